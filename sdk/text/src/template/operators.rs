//! Operators and loops in which the template engine differs from Jinja2, rewritten in the source.
//!
//! The operator `%` formats text in Python, and takes numbers alone in the engine: it becomes a call. The value that a loop
//! iterates over passes a filter: the characters of a text are a list, whose last one is known, and `none` cannot be iterated.

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::printf;

/// The function that stands for `%`.
const MODULO: &str = "kinglet_modulo";

/// The filter behind the value that a loop iterates over.
const EACH: &str = "kinglet_each";

/// Words that end an operand.
const KEYWORDS: [&str; 12] = ["and", "or", "not", "in", "is", "if", "elif", "else", "set", "for", "print", "do"];

/// Adds the function to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_function(MODULO, modulo);
    environment.add_filter(EACH, each);
}

/// The value that a loop iterates over: of a text a list of its characters.
fn each(value: Value) -> Result<Value, Error> {
    match value.as_str() {
        Some(text) => Ok(Value::from_iter(text.chars().map(Value::from))),
        None if value.is_none() => Err(Error::new(ErrorKind::InvalidOperation, "none cannot be walked")),
        None => Ok(value),
    }
}

/// The tag of a loop with the filter. `None` where the value that the loop iterates over cannot be told.
pub(super) fn with_each(tag: &str) -> Option<String> {
    let pieces = pieces(tag);
    let outermost = |word: &'static str| move |piece: &&Piece<'_>| piece.depth <= 1 && piece.text == word;
    let walked = pieces.iter().find(outermost("in"))?.end();
    let behind = |piece: &&Piece<'_>| piece.start > walked && (outermost("if")(piece) || outermost("recursive")(piece));
    let close = tag.len() - 2;
    let last = if tag[..close].ends_with(['-', '+']) { close - 1 } else { close };
    let end = pieces.iter().find(behind).map_or(last, |piece| piece.start);
    let (before, value) = (&tag[..walked], tag.get(walked..end)?);
    let value = Some(value).filter(|value| !value.trim().is_empty())?;
    Some(format!("{before} ({value})|{EACH} {}", &tag[end..]))
}

/// `left % right`.
fn modulo(left: &Value, right: Value) -> Result<Value, Error> {
    if let Some(format) = left.as_str() {
        return printf::format(format, &right).map(Value::from);
    }
    let number = |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if !number(left) || !number(&right) {
        let reason = format!("`%` does not take values of the kinds {} and {}", left.kind(), right.kind());
        return Err(Error::new(ErrorKind::InvalidOperation, reason));
    }
    let zero = || Error::new(ErrorKind::InvalidOperation, "a division by zero");
    let whole = |value: &Value| match value.kind() {
        ValueKind::Bool => Some(i128::from(value.is_true())),
        _ => value.as_i64().filter(|_| value.is_integer()).map(i128::from),
    };
    if let (Some(left), Some(right)) = (whole(left), whole(&right)) {
        let rest = left.checked_rem(right).ok_or_else(zero)?;
        return Ok(Value::from(if rest != 0 && (rest < 0) != (right < 0) { rest + right } else { rest }));
    }
    let (left, right) = (f64::try_from(left.clone())?, f64::try_from(right)?);
    if right == 0.0 {
        return Err(zero());
    }
    let rest = left % right;
    Ok(Value::from(if rest != 0.0 && (rest < 0.0) != (right < 0.0) { rest + right } else { rest }))
}

/// A tag with calls instead of `%`. `None` where it has none, and where it cannot be told what belongs to one.
pub(super) fn rewritten(tag: &str) -> Option<String> {
    let close = if tag.starts_with("{{") { "}}" } else { "%}" };
    let signed = tag.as_bytes().get(2).is_some_and(|sign| b"-+".contains(sign));
    let (open, inner) = tag.strip_suffix(close)?.split_at_checked(if signed { 3 } else { 2 })?;
    let trimmed = inner.strip_suffix(['-', '+']).unwrap_or(inner);
    let (mut code, tail) = (trimmed.to_owned(), &inner[trimmed.len()..]);
    let mut any = false;
    while let Some(next) = one(&code)? {
        (code, any) = (next, true);
    }
    any.then(|| format!("{open}{code}{tail}{close}"))
}

/// A word, text or sign of an expression.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    /// Its place in the code.
    start: usize,
    /// Number of brackets that it stands in; a bracket stands in itself.
    depth: usize,
}

impl Piece<'_> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// Whether an operand can end with it.
    fn ends_operand(&self) -> bool {
        let last = self.text.chars().next_back().unwrap_or(' ');
        (last.is_alphanumeric() || "_\"')]}".contains(last)) && !KEYWORDS.contains(&self.text)
    }

    fn opens(&self) -> bool {
        matches!(self.text, "(" | "[" | "{")
    }
}

/// The code with its first `%` as a call; `Some(None)` where there is none, `None` where it lacks an operand.
fn one(code: &str) -> Option<Option<String>> {
    let pieces = pieces(code);
    let Some(at) = pieces.iter().position(|piece| piece.text == "%") else { return Some(None) };
    let depth = pieces[at].depth;
    let mut first = at;
    while first > 0 && !(pieces[first - 1].depth < depth || pieces[first - 1].depth == depth && is_boundary(&pieces, first - 1)) {
        first -= 1;
    }
    let last = operand(&pieces, at + 1, depth)?;
    if first == at {
        return None;
    }
    let (from, to) = (pieces[first].start, pieces[last].end());
    let (left, right) = (&code[from..pieces[at].start], &code[pieces[at].end()..to]);
    Some(Some(format!("{}{MODULO}({},{}){}", &code[..from], left, right, &code[to..])))
}

/// Whether the piece binds less than `%`.
fn is_boundary(pieces: &[Piece<'_>], at: usize) -> bool {
    let text = pieces[at].text;
    match text {
        "+" | "-" => at > 0 && pieces[at - 1].ends_operand(),
        "~" | "==" | "!=" | "<" | ">" | "<=" | ">=" | "=" | "," | ":" | "%" => true,
        // A bracket of the same depth is the one that the operator stands in.
        "(" | "[" | "{" => true,
        _ => KEYWORDS.contains(&text),
    }
}

/// The last piece of the operand that begins at `at`: a sign, a value, and what is called, taken or filtered of it.
fn operand(pieces: &[Piece<'_>], mut at: usize, depth: usize) -> Option<usize> {
    while pieces.get(at).is_some_and(|piece| matches!(piece.text, "-" | "+")) {
        at += 1;
    }
    let mut last = group(pieces, at)?;
    loop {
        let next = pieces.get(last + 1).filter(|next| next.depth >= depth);
        last = match next.map(|next| next.text) {
            Some("(" | "[") => group(pieces, last + 1)?,
            Some("." | "|") => group(pieces, last + 2)?,
            Some("**") => return operand(pieces, last + 2, depth),
            _ => return Some(last),
        };
    }
}

/// The last piece of a value, or of what stands in brackets.
fn group(pieces: &[Piece<'_>], at: usize) -> Option<usize> {
    let first = pieces.get(at)?;
    if !first.opens() {
        return first.ends_operand().then_some(at);
    }
    let closes = |piece: &Piece<'_>| piece.depth == first.depth && matches!(piece.text, ")" | "]" | "}");
    pieces.iter().skip(at + 1).position(closes).map(|behind| at + 1 + behind)
}

fn pieces(code: &str) -> Vec<Piece<'_>> {
    let (mut found, mut depth, mut at) = (Vec::new(), 0_usize, 0);
    while let Some(c) = code[at..].chars().next() {
        let rest = &code[at..];
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let length = match c {
            '"' | '\'' => string_length(rest),
            c if word(c) => rest.find(|c| !word(c)).unwrap_or(rest.len()),
            c if ["**", "//", "==", "!=", "<=", ">="].iter().any(|sign| rest.starts_with(sign)) => c.len_utf8() + 1,
            c => c.len_utf8(),
        };
        let text = &rest[..length];
        let opens = matches!(c, '(' | '[' | '{');
        depth += usize::from(opens);
        if !c.is_whitespace() {
            found.push(Piece { text, start: at, depth });
        }
        depth = if matches!(c, ')' | ']' | '}') { depth.saturating_sub(1) } else { depth };
        at += length;
    }
    found
}

/// Bytes of the string that `text` begins with, quotes included.
fn string_length(text: &str) -> usize {
    let quote = text.chars().next();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            chars.next();
        } else if Some(c) == quote {
            return at + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::{rewritten, with_each};

    #[test]
    fn what_a_loop_walks_passes_a_filter() {
        struct Case(&'static str, Option<&'static str>);
        let cases = [
            Case("{% for a in b %}", Some("{% for a in ( b )|kinglet_each %}")),
            Case(
                "{%- for a, (b, c) in d['in'] if a in c -%}",
                Some("{%- for a, (b, c) in ( d['in'] )|kinglet_each if a in c -%}"),
            ),
            Case("{% for a in b recursive+%}", Some("{% for a in ( b )|kinglet_each recursive+%}")),
            Case("{% for a in 1, 2 %}", Some("{% for a in ( 1, 2 )|kinglet_each %}")),
            Case("{% for a in %}", None),
            Case("{% for %}", None),
        ];
        for Case(tag, expected) in cases {
            assert_eq!(with_each(tag).as_deref(), expected, "{tag}");
        }
    }

    #[test]
    fn each_operator_becomes_a_call_of_its_operands() {
        struct Case(&'static str, Option<&'static str>);
        let cases = [
            Case("{{ a % b }}", Some("{{ kinglet_modulo(a , b) }}")),
            Case("{{ '%s' % x.y[0]|f(1) ~ z }}", Some("{{ kinglet_modulo('%s' , x.y[0]|f(1)) ~ z }}")),
            Case("{{- a % b -}}", Some("{{- kinglet_modulo(a , b) -}}")),
            Case("{%- if loop.index0 % 2 == 0 -%}", Some("{%- if kinglet_modulo(loop.index0 , 2) == 0 -%}")),
            Case("{{ 1 + -7 * 2 % 3 }}", Some("{{ 1 + kinglet_modulo(-7 * 2 , 3) }}")),
            Case("{{ a % b % c }}", Some("{{ kinglet_modulo(kinglet_modulo(a , b) , c) }}")),
            Case("{{ f(a % 2, b) }}", Some("{{ f(kinglet_modulo(a , 2), b) }}")),
            Case("{{ '%s %s' % (a, b % 2) }}", Some("{{ kinglet_modulo('%s %s' , (a, kinglet_modulo(b , 2))) }}")),
            Case("{{ x is odd and not y % 2 ** 3 }}", Some("{{ x is odd and not kinglet_modulo(y , 2 ** 3) }}")),
            Case("{{ {'a': b % -c} }}", Some("{{ {'a': kinglet_modulo(b , -c)} }}")),
            Case("{{ '%' }}", None),
            Case("{% set x = 'a%' %}", None),
            Case("{{ % a }}", None),
            Case("{{ a % }}", None),
            Case("{{ a", None),
        ];
        for Case(tag, expected) in cases {
            assert_eq!(rewritten(tag).as_deref(), expected, "{tag}");
        }
    }
}
