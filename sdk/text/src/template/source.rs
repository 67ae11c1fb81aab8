//! What is done to a template's source before the engine compiles it.
//!
//! Jinja2 reads every kind of line end as `\n`. transformers adds a block `generation`, which marks what the assistant says
//! for training and renders as its content; the engine has no such tag, and `with` renders the same and has the same scope.

/// The source with Unix line ends and without `generation` blocks.
pub(super) fn prepare(source: &str) -> String {
    without_generation_blocks(&source.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Replaces the tags `generation` and `endgeneration` by `with` and `endwith`, outside of comments, expressions and raw text.
fn without_generation_blocks(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find("{%").into_iter().chain(rest.find("{{")).chain(rest.find("{#")).min() {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let end = match &rest[..2] {
            "{#" => rest.find("#}").map_or(rest.len(), |end| end + 2),
            "{{" => end_of_code(rest, "}}"),
            _ => end_of_code(rest, "%}"),
        };
        let (tag, after) = rest.split_at(end);
        match tag_name(tag) {
            Some("generation") => out.push_str(&tag.replacen("generation", "with", 1)),
            Some("endgeneration") => out.push_str(&tag.replacen("endgeneration", "endwith", 1)),
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
    out + rest
}

/// Name of a block tag; `None` for comments and expressions.
fn tag_name(tag: &str) -> Option<&str> {
    let inner = tag.strip_prefix("{%")?.trim_start_matches(['-', '+']).trim_start();
    let end = inner.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(inner.len());
    Some(&inner[..end])
}

/// Offset after the delimiter `close` that ends the code at the start of `text`, strings left out of account.
fn end_of_code(text: &str, close: &str) -> usize {
    let mut quote = None;
    let mut chars = text.char_indices().skip(2);
    while let Some((at, c)) = chars.next() {
        match quote {
            Some(_) if c == '\\' => {
                chars.next();
            }
            Some(open) => quote = (open != c).then_some(open),
            None if c == '"' || c == '\'' => quote = Some(c),
            None if text[at..].starts_with(close) => return at + close.len(),
            None => {}
        }
    }
    text.len()
}

/// Offset of the tag that ends a raw block.
fn end_of_raw(text: &str) -> usize {
    let tags = text.match_indices("{%").map(|(at, _)| at);
    tags.into_iter().find(|&at| tag_name(&text[at..]) == Some("endraw")).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::prepare;

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
            Case { source: "{% set generation = 1 %}{{ generation }}", prepared: "{% set generation = 1 %}{{ generation }}" },
            Case { source: "a\r\nb\rc\n", prepared: "a\nb\nc\n" },
            Case { source: "generation {% if x", prepared: "generation {% if x" },
            Case { source: "é{% generation %}é{", prepared: "é{% with %}é{" },
        ];
        for case in cases {
            assert_eq!(prepare(case.source), case.prepared, "{}", case.source);
        }
    }
}
