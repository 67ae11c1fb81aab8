//! The public surface of the bindings, as committed text that a change has to meet.

use crate::process::root;
use crate::report::Report;
use std::fs;

/// Holds a surface against the committed one, or commits it where `write` says so.
pub(crate) fn hold(file: &str, surface: &str, write: bool, verb: &str, report: &mut Report) {
    let (path, name) = (root().join(file), format!("{verb}, the public surface"));
    if write {
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, surface));
        return report.check(&name, written.map_err(|error| format!("{file} cannot be written: {error}")));
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    report.check(
        &name,
        difference(&committed, surface).map_or(Ok(()), |difference| {
            Err(format!("it is another than {file} says; `cargo xtask {verb} --write-api` writes that anew\n{difference}"))
        }),
    );
}

/// The lines that only one of them has.
fn difference(committed: &str, surface: &str) -> Option<String> {
    let only = |a: &str, b: &str, sign: char| -> Vec<String> {
        a.lines().filter(|line| !b.lines().any(|other| other == *line)).map(|line| format!("{sign} {line}")).collect()
    };
    let lines = [only(committed, surface, '-'), only(surface, committed, '+')].concat();
    (committed != surface).then(|| lines.join("\n"))
}

/// The declarations of Kotlin sources that begin with `public`, as the sources say them, with the entries of enumerations: one a line,
/// indented as they are nested. What lies in something that is not public is left out.
pub(crate) fn kotlin(source: &str) -> String {
    let source = without_comments(source);
    let mut out = String::new();
    // For each open brace: whether what is in it is public, and whether it is an enumeration.
    let mut blocks: Vec<(bool, bool)> = vec![];
    let mut rest = source.as_str();
    while !rest.is_empty() {
        let line_end = rest.find('\n').map_or(rest.len(), |end| end + 1);
        let line = rest[..line_end].trim();
        let within = blocks.iter().all(|(public, _)| *public);
        let is_public = line.starts_with("public ") || (within && !blocks.is_empty() && line.starts_with("override "));
        let taken = if within && is_public { declaration(rest) } else { line_end };
        let text = &rest[..taken];
        if within && is_public {
            let said = text.split_whitespace().collect::<Vec<_>>().join(" ");
            out += &format!("{}{}\n", "    ".repeat(blocks.len()), said.trim_end_matches('{').trim_end());
        } else if within && blocks.last().is_some_and(|(_, entries)| *entries) && is_entry(line) {
            out += &format!("{}{}\n", "    ".repeat(blocks.len()), line.trim_end_matches([',', ';']));
        }
        let opens_type = within && is_public && ["class ", "interface ", "object "].iter().any(|kind| text.contains(kind));
        for symbol in text.chars() {
            match symbol {
                '{' => blocks.push((opens_type, opens_type && text.contains("enum class "))),
                '}' => drop(blocks.pop()),
                _ => {}
            }
        }
        rest = &rest[taken..];
    }
    out
}

fn is_entry(line: &str) -> bool {
    let name = line.trim_end_matches([',', ';']);
    !name.is_empty() && name.chars().all(|symbol| symbol.is_ascii_uppercase() || symbol == '_')
}

/// The length of the declaration at the start: up to its body, its value, or the end of a line outside of brackets.
fn declaration(text: &str) -> usize {
    let mut depth = 0;
    for (at, symbol) in text.char_indices() {
        match symbol {
            '(' | '<' | '[' => depth += 1,
            '>' if text[..at].ends_with('-') => {}
            ')' | '>' | ']' => depth -= 1,
            '{' if depth == 0 => return at + 1,
            '=' if depth == 0 => return at,
            '\n' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn without_comments(source: &str) -> String {
    let mut out = String::new();
    let mut rest = source;
    while let Some(start) = rest.find("/*") {
        out += &rest[..start];
        rest = rest[start..].split_once("*/").map_or("", |(_, after)| after);
    }
    out += rest;
    out.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_public_is_told_and_nothing_else() {
        let source = r#"
package a
/** public class Comment */
public class Model internal constructor(private val native: Any) : AutoCloseable {
    /* many
       lines */
    public suspend fun info(
        a: Map<String, Int> = emptyMap(), // with a default
        f: (Float) -> Unit = {},
    ): Info = native { if (true) { Info() } else { public() } }

    private fun hidden() { public val x = 1 }
    override fun close(): Unit = native.end()
    internal class Inner { public fun out() {} }
    public companion object {
        public fun of(): Model { return it }
    }
}
internal fun no() {}
public enum class Kind {
    ONE,
    TWO,
    ;

    internal fun native() = 1
}
"#;
        let expected = "public class Model internal constructor(private val native: Any) : AutoCloseable
    public suspend fun info( a: Map<String, Int> = emptyMap(), f: (Float) -> Unit = {}, ): Info
    override fun close(): Unit
    public companion object
        public fun of(): Model
public enum class Kind
    ONE
    TWO
";
        assert_eq!(kotlin(source), expected);
    }

    #[test]
    fn a_change_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n").unwrap(), "- b\n+ c");
    }
}
