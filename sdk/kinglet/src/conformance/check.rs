//! Holding a model against vectors.

use super::make::chat;
use super::{Conformance, GreedyVector, likeliest};
use crate::{CancelHandle, Error, Model, Positions};

/// Result of a conformance check.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConformanceReport {
    /// Texts whose tokens are those of the vectors.
    pub texts: usize,
    /// Conversations whose prompts are.
    pub chats: usize,
    /// Tokens that followed as they should.
    pub tokens: usize,
    /// Tokens where another one won because the two were as good as equally likely.
    pub near_ties: usize,
    /// The largest difference of a logit, as a part of the largest logit.
    pub worst: f32,
    /// The first thing that differs, in one sentence; `None` where nothing does.
    pub difference: Option<String>,
}

impl Model {
    /// Holds this model against vectors, up to the first difference.
    ///
    /// # Errors
    /// [`Error::Cancelled`] soon after `cancel` is raised, and what the model fails with; a difference is no error.
    pub fn check_conformance(&self, vectors: &Conformance, cancel: &CancelHandle) -> Result<ConformanceReport, Error> {
        let mut report = ConformanceReport::default();
        for vector in &vectors.texts {
            for (expected, specials) in [(&vector.ids, true), (&vector.plain, false)] {
                let found = self.tokenize(&vector.text, specials)?;
                if let Some(words) = differing_tokens(expected, &found) {
                    return Ok(report.differing(format!("the text {:?} has other tokens: {words}", vector.text)));
                }
            }
            report.texts += 1;
        }
        for (number, vector) in vectors.chats.iter().enumerate() {
            let found = self.render(&chat(&vector.messages)).ok();
            if found != vector.rendered {
                let words = differing_prompts(vector.rendered.as_deref(), found.as_deref());
                return Ok(report.differing(format!("conversation {} has another prompt: {words}", number + 1)));
            }
            report.chats += 1;
        }
        for (number, vector) in vectors.greedy.iter().enumerate() {
            if let Some(words) = self.check_greedy(vector, vectors.max_relative, cancel, &mut report)? {
                return Ok(report.differing(format!("after prompt {} of {} tokens, {words}", number + 1, vector.ids.len())));
            }
        }
        Ok(report)
    }

    /// The first difference, if any. The expected tokens are fed (teacher forcing), so that one near tie does not spoil the rest.
    fn check_greedy(
        &self,
        vector: &GreedyVector,
        max_relative: f32,
        cancel: &CancelHandle,
        report: &mut ConformanceReport,
    ) -> Result<Option<String>, Error> {
        let sequence: Vec<u32> = vector.ids.iter().chain(&vector.tokens).copied().collect();
        if let Some(token) = sequence.iter().find(|&&token| token as usize >= self.vocabulary()) {
            return Ok(Some(format!("token {token} should follow, and the vocabulary has {} tokens", self.vocabulary())));
        }
        let (Some(first), Some(last)) = (vector.ids.len().checked_sub(1), sequence.len().checked_sub(1)) else { return Ok(None) };
        let logits = self.logits(&sequence[..last], Positions::All, cancel)?;
        let rows = logits.values.chunks_exact(logits.vocabulary).skip(first);
        let allowed = max_relative * vector.largest;
        for (i, (row, &token)) in rows.zip(&vector.tokens).enumerate() {
            let off = (row[token as usize] - vector.logits[i]).abs();
            // NaN exceeds every tolerance.
            if off.is_nan() || off > allowed {
                let (found, expected) = (row[token as usize], vector.logits[i]);
                return Ok(Some(format!(
                    "the logit of token {} is {found} and should be {expected}, give or take {allowed}",
                    i + 1
                )));
            }
            report.worst = report.worst.max(off / vector.largest);
            match likeliest(row) {
                best if best == token as usize => report.tokens += 1,
                _ if vector.gaps[i] <= 2.0 * allowed => report.near_ties += 1,
                best => return Ok(Some(format!("token {} is {best} and should be {token}", i + 1))),
            }
        }
        Ok(None)
    }
}

impl ConformanceReport {
    fn differing(self, difference: String) -> ConformanceReport {
        ConformanceReport { difference: Some(difference), ..self }
    }
}

/// Where the tokens part, if they do.
fn differing_tokens(expected: &[u32], found: &[u32]) -> Option<String> {
    if expected == found {
        return None;
    }
    let at = kinglet_generate::common_prefix(expected, found);
    let name = |tokens: &[u32]| tokens.get(at).map_or("none".to_owned(), |token| token.to_string());
    Some(format!("token {} is {} and should be {}", at + 1, name(found), name(expected)))
}

/// Where the prompts part.
fn differing_prompts(expected: Option<&str>, found: Option<&str>) -> String {
    match (expected, found) {
        (Some(_), None) => "the template refuses it".into(),
        (None, _) => "the template should refuse it".into(),
        (Some(expected), Some(found)) => {
            let at = expected.chars().zip(found.chars()).take_while(|(a, b)| a == b).count();
            let rest = |text: &str| text.chars().skip(at).take(24).collect::<String>();
            format!("from character {} on it is {:?} and should be {:?}", at + 1, rest(found), rest(expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_tokens_part() {
        assert_eq!(differing_tokens(&[1, 2], &[1, 2]), None);
        assert_eq!(differing_tokens(&[1, 2], &[1, 3]).unwrap(), "token 2 is 3 and should be 2");
        assert_eq!(differing_tokens(&[1, 2], &[1]).unwrap(), "token 2 is none and should be 2");
    }

    #[test]
    fn where_prompts_part() {
        assert_eq!(differing_prompts(Some("a café"), Some("a cafe")), "from character 6 on it is \"e\" and should be \"é\"");
        assert!(differing_prompts(None, Some("a")).contains("should refuse"));
        assert!(differing_prompts(Some("a"), None).contains("refuses"));
    }
}
