//! Rewriting of a template's source before the engine compiles it.
//!
//! Jinja2 reads every kind of line end as `\n`. transformers adds a block `generation`, which marks what the assistant says for
//! training and renders as its content; the engine has no such tag, and `with` renders the same and has the same scope.
//! [`operators`] rewrites what the engine takes otherwise than Jinja2. Behind the value of each `set` goes a filter that checks
//! what is kept.
//!
//! Sources that would take the engine too long or too deep to compile are refused: its time grows with the square of an expression.

use super::kept::{KEPT, KEPT_IN_NAMESPACE};
use super::operators;

/// Bytes of a whole template. Those that models come with have up to a tenth of it.
const MAX_SOURCE_BYTES: usize = 256 << 10;

/// Bytes of one tag, strings and white space left out.
const MAX_TAG_BYTES: usize = 4 << 10;

/// Why a source is not compiled, and where.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    /// From 1.
    pub(super) line: usize,
    pub(super) reason: &'static str,
}

/// The source with Unix line ends, without `generation` blocks, and with assignments looked at.
///
/// # Errors
/// [`TooLong`] for a template of more than 256 KiB, or with a tag of more than 4 KiB of code.
pub(super) fn prepare(source: &str) -> Result<String, TooLong> {
    if source.len() > MAX_SOURCE_BYTES {
        return Err(TooLong { line: 1, reason: "it is longer than 256 KiB" });
    }
    rewritten(&source.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Replaces the tags `generation` and `endgeneration` by `with` and `endwith`, and adds the filters to `set`, outside of
/// comments, expressions and raw text.
fn rewritten(source: &str) -> Result<String, TooLong> {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    let begins_tag = |text: &str, at: usize| matches!(text.as_bytes().get(at + 1), Some(b'%' | b'{' | b'#'));
    while let Some((at, _)) = rest.match_indices('{').find(|&(at, _)| begins_tag(rest, at)) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Code { end, bytes } = match &rest[..2] {
            "{#" => Code { end: rest.find("#}").map_or(rest.len(), |end| end + 2), bytes: 0 },
            "{{" => code(rest, "}}"),
            _ => code(rest, "%}"),
        };
        if bytes > MAX_TAG_BYTES {
            return Err(TooLong { line: 1 + out.matches('\n').count(), reason: "the tag that begins here is longer than 4 KiB" });
        }
        let (tag, after) = rest.split_at(end);
        let called = if tag.starts_with("{#") { None } else { operators::rewritten(tag) };
        let tag = called.as_deref().unwrap_or(tag);
        match tag_name(tag) {
            Some("generation") => out.push_str(&tag.replacen("generation", "with", 1)),
            Some("endgeneration") => out.push_str(&tag.replacen("endgeneration", "endwith", 1)),
            Some("set") => match with_filter(tag) {
                Some(looked_at) => out.push_str(&looked_at),
                None => out.push_str(tag),
            },
            Some("for") if tag.ends_with("%}") => out.push_str(operators::with_each(tag).as_deref().unwrap_or(tag)),
            Some("raw") => {
                let end = end_of_raw(after);
                out.push_str(tag);
                out.push_str(&after[..end]);
                rest = &after[end..];
                continue;
            }
            _ => out.push_str(tag),
        }
        rest = after;
    }
    Ok(out + rest)
}

/// The tag `set` with a filter behind its value. `None` for a block, whose value is text, and for what the engine refuses:
/// it must not become right by the parentheses.
fn with_filter(tag: &str) -> Option<String> {
    let inner = tag.strip_suffix("%}")?;
    let inner = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    let (targets, value) = inner.split_once('=')?;
    let is_block = targets[2..].contains(['|', '[', '{', '\'', '"']);
    if is_block || value.starts_with('=') || value.trim().is_empty() || !is_balanced(value) {
        return None;
    }
    let filter = if targets.contains('.') { KEPT_IN_NAMESPACE } else { KEPT };
    Some(format!("{targets}=({value})|{filter} {}", &tag[inner.len()..]))
}

/// Whether brackets outside of strings close after they open, so that parentheses around the code stay the outermost.
fn is_balanced(code: &str) -> bool {
    let (mut quote, mut open) = (None, 0_i64);
    let mut chars = code.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(closing) => quote = (closing != c).then_some(closing),
            None if c == '"' || c == '\'' => quote = Some(c),
            None => open += bracket(c),
        }
        if open < 0 {
            return false;
        }
    }
    open == 0 && quote.is_none()
}

/// 1 for an opening bracket, -1 for a closing one.
fn bracket(c: char) -> i64 {
    i64::from("([{".contains(c)) - i64::from(")]}".contains(c))
}

/// Name of a block tag; `None` for comments and expressions.
fn tag_name(tag: &str) -> Option<&str> {
    let inner = tag.strip_prefix("{%")?.trim_start_matches(['-', '+']).trim_start();
    let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inner.len());
    Some(&inner[..end])
}

/// The code of a tag.
struct Code {
    /// Offset after the delimiter that ends it.
    end: usize,
    /// Bytes of the code, strings and white space left out.
    bytes: usize,
}

/// The code at the start of `text`, up to the delimiter `close` outside of strings and brackets.
fn code(text: &str, close: &str) -> Code {
    let (mut quote, mut open_brackets, mut bytes) = (None, 0_i64, 0);
    let mut chars = text.char_indices().skip(2);
    while let Some((at, c)) = chars.next() {
        match quote {
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(open) => quote = (open != c).then_some(open),
            None if c == '"' || c == '\'' => quote = Some(c),
            None if open_brackets == 0 && text[at..].starts_with(close) => return Code { end: at + close.len(), bytes },
            None => {
                open_brackets += bracket(c);
                bytes += if c.is_whitespace() { 0 } else { c.len_utf8() };
            }
        }
    }
    Code { end: text.len(), bytes }
}

/// Offset of the tag that ends a raw block.
fn end_of_raw(text: &str) -> usize {
    let tags = text.match_indices("{%").map(|(at, _)| at);
    tags.into_iter().find(|&at| tag_name(&text[at..]) == Some("endraw")).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::{MAX_SOURCE_BYTES, MAX_TAG_BYTES, prepare};

    #[test]
    fn generation_tags_become_scopes_and_nothing_else_changes() {
        struct Case {
            source: &'static str,
            prepared: &'static str,
        }
        let cases = [
            Case { source: "{% generation %}a{% endgeneration %}", prepared: "{% with %}a{% endwith %}" },
            Case { source: "{%- generation -%}a{%+endgeneration-%}", prepared: "{%- with -%}a{%+endwith-%}" },
            Case { source: "{# {% generation %} #}", prepared: "{# {% generation %} #}" },
            Case { source: "{{ '{% generation %}' }}", prepared: "{{ '{% generation %}' }}" },
            Case { source: "{{ '\\'{% generation %}' }}", prepared: "{{ '\\'{% generation %}' }}" },
            Case { source: "{% raw %}{% generation %}{% endraw %}", prepared: "{% raw %}{% generation %}{% endraw %}" },
            Case {
                source: "{% set generation = 1 %}{{ generation }}",
                prepared: "{% set generation =( 1 )|kinglet_kept %}{{ generation }}",
            },
            Case { source: "{%-set a,b=1,'%}' -%}", prepared: "{%-set a,b=(1,'%}' )|kinglet_kept -%}" },
            Case { source: "{% set ns.a = {'=': [1]} %}", prepared: "{% set ns.a =( {'=': [1]} )|kinglet_kept_in_namespace %}" },
            Case { source: "{% set(n.a)=1 if x == 1+%}", prepared: "{% set(n.a)=(1 if x == 1)|kinglet_kept_in_namespace +%}" },
            Case { source: "{% set a | replace(old='x') %}", prepared: "{% set a | replace(old='x') %}" },
            Case { source: "{% set a %}=1{% endset %}", prepared: "{% set a %}=1{% endset %}" },
            Case { source: "{% set a = %}", prepared: "{% set a = %}" },
            Case { source: "{% set a == 1 %}", prepared: "{% set a == 1 %}" },
            Case { source: "{% set a = 1) or (2 %}", prepared: "{% set a = 1) or (2 %}" },
            Case { source: "{% set a = (1 %}", prepared: "{% set a = (1 %}" },
            Case { source: "{% settle = 1 %}", prepared: "{% settle = 1 %}" },
            Case { source: "{{ {'a': {'{': 1}} }}{% generation %}", prepared: "{{ {'a': {'{': 1}} }}{% with %}" },
            Case { source: "a\r\nb\rc\n", prepared: "a\nb\nc\n" },
            Case { source: "generation {% if x", prepared: "generation {% if x" },
            Case { source: "é{% generation %}é{", prepared: "é{% with %}é{" },
        ];
        for case in cases {
            assert_eq!(prepare(case.source).as_deref(), Ok(case.prepared), "{}", case.source);
        }
    }
    #[test]
    fn what_is_too_long_is_refused_where_it_begins() {
        struct Case {
            name: &'static str,
            source: String,
            line: Option<usize>,
        }
        let minus = |count: usize| "-".repeat(count);
        let cases = [
            Case { name: "a long text", source: "x".repeat(MAX_SOURCE_BYTES), line: None },
            Case { name: "a longer one", source: "x".repeat(MAX_SOURCE_BYTES + 1), line: Some(1) },
            Case { name: "a long tag", source: format!("{{{{ {}1 }}}}", minus(MAX_TAG_BYTES - 1)), line: None },
            Case { name: "a longer one", source: format!("a\nb\n{{{{ {}1 }}}}", minus(MAX_TAG_BYTES)), line: Some(3) },
            Case { name: "a tag that does not end", source: format!("\n{{% if {}", minus(9999)), line: Some(2) },
            Case { name: "a tag that seems to end", source: format!("{{{{ {{1:{{2:3}}}} ~ {} }}}}", minus(9999)), line: Some(1) },
            Case { name: "a long string", source: format!("{{{{ '{}' }}}}", minus(9999)), line: None },
            Case { name: "a long comment", source: format!("{{# {} #}}", minus(9999)), line: None },
            Case { name: "long raw text", source: format!("{{% raw %}}{{{{ {} }}}}{{% endraw %}}", minus(9999)), line: None },
        ];
        for case in cases {
            assert_eq!(prepare(&case.source).err().map(|refused| refused.line), case.line, "{}", case.name);
        }
    }
}
