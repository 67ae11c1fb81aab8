//! What is asked, and the door where it is checked.

use crate::conversation::Conversation;
use crate::error::TaskError;
use std::collections::HashSet;

/// How replies are made and chosen.
///
/// ```
/// let options = kinglet_tasks::SmartReplyOptions::default();
/// assert_eq!((options.count, options.candidates, options.max_new_tokens, options.max_chars), (3, 8, 24, 160));
/// assert_eq!((options.temperature, options.top_p, options.seed), (0.3, 0.9, 0));
/// assert_eq!((options.diversity, options.min_token_logprob, options.min_score), (0.4, -2.5, f32::NEG_INFINITY));
/// assert_eq!(options.max_gap, 3.0);
/// assert!(options.bank.is_none() && options.languages.is_none() && !options.explain);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SmartReplyOptions {
    /// Replies to show at most, 1 to 20.
    pub count: usize,
    /// Candidates that the model writes, 1 to 64; taken as `count` if that is more.
    pub candidates: usize,
    /// Tokens that a candidate may have, 1 to 256.
    pub max_new_tokens: usize,
    /// Characters that a reply may have, at least 1. A longer candidate is cut to whole sentences or dropped.
    pub max_chars: usize,
    /// Temperature of sampling, 0 to 2. The candidates differ in their first tokens even at 0.
    pub temperature: f32,
    /// Nucleus of sampling, 0 to 1.
    pub top_p: f32,
    /// The same seed gives the same candidates.
    pub seed: u64,
    /// Weight of difference against score when the replies are chosen, 0 to 1: 0 shows the best, however alike.
    pub diversity: f32,
    /// Generated replies with a mean log-probability a token below this are not good enough: nonsense the sampler led into.
    pub min_token_logprob: f32,
    /// Replies that rank below this are not good enough. Scores of different models have different scales.
    pub min_score: f32,
    /// A generated reply whose score lies further below the best one's is not shown: better one reply than a bad second.
    /// A bank's replies are all shown in their order.
    pub max_gap: f32,
    /// Replies to choose from, of at most 1000 characters each, instead of those of the bank that comes with the model. With a bank the model writes nothing: it
    /// ranks these in one batch.
    pub bank: Option<Vec<String>>,
    /// Languages to answer in, as ISO 639-1 codes; by default those that the model's `kinglet.json` names.
    pub languages: Option<Vec<String>>,
    /// Whether the answer tells what was considered and why it was dropped.
    pub explain: bool,
}

impl Default for SmartReplyOptions {
    fn default() -> Self {
        Self {
            count: 3,
            candidates: 8,
            max_new_tokens: 24,
            max_chars: 160,
            temperature: 0.3,
            top_p: 0.9,
            seed: 0,
            diversity: 0.4,
            min_token_logprob: -2.5,
            min_score: f32::NEG_INFINITY,
            max_gap: 3.0,
            bank: None,
            languages: None,
            explain: false,
        }
    }
}

/// Characters that a reply of a caller's bank may have.
const MOST_CHARS: usize = 1000;

/// A conversation to answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SmartReplyRequest {
    /// The conversation so far.
    pub conversation: Conversation,
    /// How it is to be answered.
    pub options: SmartReplyOptions,
}

/// A request that was checked. The conversation holds only what counts, the bank no empty line and none twice.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidSmartReply {
    conversation: Conversation,
    options: SmartReplyOptions,
}

impl SmartReplyRequest {
    /// Checks every option.
    ///
    /// # Errors
    /// [`TaskError::InvalidOption`] for the first that is out of its range.
    pub fn validate(self) -> Result<ValidSmartReply, TaskError> {
        let Self { conversation, mut options } = self;
        let counts = [
            ("count", options.count, 1..=20, "from 1 to 20"),
            ("candidates", options.candidates, 1..=64, "from 1 to 64"),
            ("max_new_tokens", options.max_new_tokens, 1..=256, "from 1 to 256"),
            ("max_chars", options.max_chars, 1..=usize::MAX, "at least 1"),
        ];
        for (field, value, range, expected) in counts {
            if !range.contains(&value) {
                return Err(TaskError::InvalidOption { field, value: value.to_string(), expected });
            }
        }
        let reals = [
            ("temperature", options.temperature, 0.0..=2.0, "from 0 to 2"),
            ("top_p", options.top_p, 0.0..=1.0, "from 0 to 1"),
            ("diversity", options.diversity, 0.0..=1.0, "from 0 to 1"),
            ("min_token_logprob", options.min_token_logprob, f32::NEG_INFINITY..=0.0, "0 or less"),
            ("min_score", options.min_score, f32::NEG_INFINITY..=f32::MAX, "a number"),
            ("max_gap", options.max_gap, 0.0..=f32::INFINITY, "0 or more"),
        ];
        for (field, value, range, expected) in reals {
            if !range.contains(&value) {
                return Err(TaskError::InvalidOption { field, value: value.to_string(), expected });
            }
        }
        options.candidates = options.candidates.max(options.count);
        if let Some(bank) = &mut options.bank {
            if let Some((place, long)) = bank.iter().enumerate().find(|(_, line)| line.chars().count() > MOST_CHARS) {
                let value = format!("one whose reply {} has {} characters", place + 1, long.chars().count());
                return Err(TaskError::InvalidOption { field: "bank", value, expected: "of replies of at most 1000 characters" });
            }
            let mut seen = HashSet::new();
            *bank = bank
                .iter()
                .map(|line| line.trim().to_owned())
                .filter(|line| !line.is_empty() && seen.insert(line.clone()))
                .collect();
        }
        Ok(ValidSmartReply { conversation: conversation.counted(), options })
    }
}

impl ValidSmartReply {
    /// The messages that count.
    pub fn conversation(&self) -> &Conversation {
        &self.conversation
    }

    /// The options, all in range.
    pub fn options(&self) -> &SmartReplyOptions {
        &self.options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut SmartReplyOptions)) -> String {
        let mut request = SmartReplyRequest::default();
        change(&mut request.options);
        request.validate().expect_err("an option is out of range").to_string()
    }

    #[test]
    fn options_out_of_range_are_refused_by_name() {
        assert_eq!(refused(|o| o.count = 0), "count is 0; it must be from 1 to 20");
        assert_eq!(refused(|o| o.candidates = 65), "candidates is 65; it must be from 1 to 64");
        assert_eq!(refused(|o| o.max_new_tokens = 0), "max_new_tokens is 0; it must be from 1 to 256");
        assert_eq!(refused(|o| o.max_chars = 0), "max_chars is 0; it must be at least 1");
        assert_eq!(refused(|o| o.temperature = f32::NAN), "temperature is NaN; it must be from 0 to 2");
        assert_eq!(refused(|o| o.top_p = 1.5), "top_p is 1.5; it must be from 0 to 1");
        assert_eq!(refused(|o| o.diversity = -0.1), "diversity is -0.1; it must be from 0 to 1");
        assert_eq!(refused(|o| o.min_token_logprob = 0.5), "min_token_logprob is 0.5; it must be 0 or less");
        assert_eq!(refused(|o| o.min_score = f32::NAN), "min_score is NaN; it must be a number");
        assert_eq!(
            refused(|o| o.bank = Some(vec!["Yes.".into(), "x".repeat(1001)])),
            "bank is one whose reply 2 has 1001 characters; it must be of replies of at most 1000 characters"
        );
        assert_eq!(refused(|o| o.max_gap = -1.0), "max_gap is -1; it must be 0 or more");
    }

    #[test]
    fn a_valid_request_is_put_in_order() {
        let bank = ["Yes.", "", "  No. ", "Yes."].map(str::to_owned).to_vec();
        let options = SmartReplyOptions { count: 9, candidates: 2, bank: Some(bank), ..Default::default() };
        let valid = SmartReplyRequest { conversation: Conversation::single(" hi "), options }.validate().unwrap();
        assert_eq!(valid.options().bank.as_deref(), Some(&["Yes.".to_owned(), "No.".to_owned()][..]));
        assert_eq!(valid.options().candidates, 9, "at least as many candidates as replies");
        assert_eq!(valid.conversation().turns[0].text, "hi");
    }
}
