//! Regular expressions that come with a model, searched with a bound on the work.
//!
//! A pattern that looks around or refers back is matched by trying, and one made on purpose tries without end. So each match
//! gets few steps first, and many where these do not suffice, which a text may ask for so often. What does not fit is an
//! error: the library would take the rest of the text for one without matches, which gives other tokens.

use std::sync::OnceLock;

use fancy_regex::{Match, Regex, RegexBuilder, RuntimeError};
use tokenizers::Offsets;
use tokenizers::pattern::Pattern;

use crate::work::{Refusal, Work};

/// Bytes of a pattern. Those in use have up to 500.
const MAX_PATTERN_BYTES: usize = 16 << 10;

/// Steps back for a match, as a rule.
const FEW_STEPS: usize = 10_000;

/// Steps back for a match that needs more.
const MANY_STEPS: usize = 1_000_000;

/// Bytes of text for which one match more may take many steps.
const BYTES_PER_LONG_MATCH: usize = 1 << 10;

/// Matches that may take many steps in any text.
const LONG_MATCHES: usize = 64;

/// Matches between two looks at whether the caller has given up.
const MATCHES_PER_CHECK: usize = 256;

/// A pattern of `tokenizer.json`.
pub(crate) struct BoundedRegex {
    quick: Regex,
    patient: OnceLock<Option<Regex>>,
}

impl BoundedRegex {
    /// Compiles `pattern`. An error is in words.
    pub(super) fn new(pattern: &str) -> Result<BoundedRegex, String> {
        if pattern.len() > MAX_PATTERN_BYTES {
            return Err(format!("a pattern has more than {} KiB", MAX_PATTERN_BYTES >> 10));
        }
        let quick = RegexBuilder::new(pattern).backtrack_limit(FEW_STEPS).build();
        let quick = quick.map_err(|error| format!("the pattern `{}` cannot be used: {error}", pattern.escape_debug()))?;
        Ok(BoundedRegex { quick, patient: OnceLock::new() })
    }

    /// A pattern given as `{"String": ..}` or `{"Regex": ..}`.
    pub(super) fn of(pattern: &serde_json::Value) -> Result<BoundedRegex, String> {
        match (pattern["String"].as_str(), pattern["Regex"].as_str()) {
            (Some(text), None) => BoundedRegex::new(&::regex::escape(text)),
            (None, Some(regex)) => BoundedRegex::new(regex),
            _ => Err("a pattern is neither a `String` nor a `Regex`".to_owned()),
        }
    }

    /// The pattern for the texts of `work`, to be replaced by `content` where that is given.
    pub(super) fn within<'a>(&'a self, work: &'a Work<'a>, content: Option<&'a str>) -> Search<'a> {
        Search { regex: self, work, content }
    }

    fn patient(&self) -> Option<&Regex> {
        let build = || RegexBuilder::new(self.quick.as_str()).backtrack_limit(MANY_STEPS).build().ok();
        self.patient.get_or_init(build).as_ref()
    }

    /// The first match at or after `from`.
    fn find<'t>(&self, text: &'t str, from: usize, long_matches: &mut usize) -> Result<Option<Match<'t>>, Refusal> {
        let gave_up = || Refusal::Pattern { pattern: self.quick.as_str().to_owned() };
        match self.quick.find_from_pos(text, from) {
            Ok(found) => Ok(found),
            Err(fancy_regex::Error::RuntimeError(RuntimeError::BacktrackLimitExceeded)) if *long_matches > 0 => {
                *long_matches -= 1;
                self.patient().ok_or_else(gave_up)?.find_from_pos(text, from).map_err(|_| gave_up())
            }
            Err(_) => Err(gave_up()),
        }
    }
}

/// A search in the texts of one encoding or decoding.
pub(super) struct Search<'a> {
    regex: &'a BoundedRegex,
    work: &'a Work<'a>,
    content: Option<&'a str>,
}

impl Search<'_> {
    /// The matches in `text`, an empty one right behind another left out.
    fn matches(&self, text: &str) -> Result<Vec<Offsets>, Refusal> {
        let (mut found, mut from, mut behind) = (Vec::new(), 0, None);
        let mut long_matches = LONG_MATCHES + text.len() / BYTES_PER_LONG_MATCH;
        while from <= text.len() {
            let Some(next) = self.regex.find(text, from, &mut long_matches)? else { break };
            let (start, end) = (next.start(), next.end());
            from = if start < end { end } else { end + text[end..].chars().next().map_or(1, char::len_utf8) };
            if start < end || behind != Some(end) {
                found.push((start, end));
                behind = Some(end);
            }
            if found.len() % MATCHES_PER_CHECK == 1 {
                self.work.bounds.check()?;
                self.work.allows(found.len().saturating_mul(self.content.map_or(0, str::len)))?;
            }
        }
        self.work.allows(found.len().saturating_mul(self.content.map_or(0, str::len)))?;
        Ok(found)
    }

    /// `text` with each match replaced by the content.
    pub(super) fn replaced(&self, text: &str) -> Result<String, Refusal> {
        let (mut out, mut done) = (String::with_capacity(text.len()), 0);
        for (start, end) in self.matches(text)? {
            out.push_str(&text[done..start]);
            out.push_str(self.content.unwrap_or_default());
            done = end;
        }
        out.push_str(&text[done..]);
        self.work.grow(text.len(), out.len())?;
        Ok(out)
    }
}

impl Pattern for &Search<'_> {
    fn find_matches(&self, inside: &str) -> tokenizers::Result<Vec<(Offsets, bool)>> {
        if inside.is_empty() {
            return Ok(vec![((0, 0), false)]);
        }
        let (mut parts, mut done) = (Vec::new(), 0);
        for (start, end) in self.matches(inside)? {
            parts.extend((done != start).then_some(((done, start), false)));
            parts.push(((start, end), true));
            done = end;
        }
        parts.extend((done != inside.len()).then_some(((done, inside.len()), false)));
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::utils::SysRegex;

    use super::*;
    use crate::Bounds;

    proptest! {
        #[test]
        fn matches_are_the_librarys(pattern in "(a|b|\\\\s|a\\*|b\\*|\\(\\?!a\\)|\\(\\?=b\\)|\\\\w\\+|\\|){1,5}", text in "[abé \\n]{0,20}") {
            let (Ok(ours), Ok(theirs)) = (BoundedRegex::new(&pattern), SysRegex::new(&pattern)) else { return Ok(()) };
            let work = Work::on(text.len(), Bounds::default());
            let found = (&ours.within(&work, None)).find_matches(&text).unwrap();
            prop_assert_eq!(found, (&theirs).find_matches(&text).unwrap(), "{:?} in {:?}", pattern, text);
        }
    }

    #[test]
    fn a_pattern_that_tries_without_end_is_an_error() {
        let regex = BoundedRegex::new(r"(?:(?:a|a)+)+(?=b)c").unwrap();
        let text = "a".repeat(200);
        let work = Work::on(text.len(), Bounds::default());
        let error = (&regex.within(&work, None)).find_matches(&text).unwrap_err();
        assert!(error.to_string().contains("more steps"), "{error}");
    }

    #[test]
    fn a_long_match_gets_its_steps() {
        let regex = BoundedRegex::new(r"\s*[\r\n]+(?!x)|\s+(?!\S)|\s+").unwrap();
        let text = " ".repeat(3 * FEW_STEPS) + "a";
        let work = Work::on(text.len(), Bounds::default());
        assert!((&regex.within(&work, None)).find_matches(&text).is_ok());
    }

    #[test]
    fn patterns_that_are_none_are_refused() {
        for pattern in ["(", "(?:(?:a{1000}){1000}){1000}", &"x".repeat(MAX_PATTERN_BYTES + 1)] {
            assert!(BoundedRegex::new(pattern).is_err(), "{pattern:.20}");
        }
    }
}
