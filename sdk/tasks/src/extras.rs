//! `kinglet.json`: what a model folder says about itself beyond what other runtimes know.

use crate::error::ExtrasError;
use kinglet_generate::TokenId;
use serde::Deserialize;
use std::ops::Range;

/// The content of `kinglet.json`. Every field may be left out, and further ones are ignored.
///
/// ```
/// use kinglet_tasks::{ModelExtras, ReplyFormat};
/// let extras = ModelExtras::from_json("{}")?;
/// assert_eq!(extras, ModelExtras::default());
/// assert_eq!(extras.reply_format, ReplyFormat::Assistant);
/// assert!(extras.languages.is_empty() && extras.reply_ranking.is_none());
/// # Ok::<(), kinglet_tasks::ExtrasError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ModelExtras {
    /// Languages that the model speaks, as ISO 639-1 codes. None named: every language is tried.
    pub languages: Vec<String>,
    /// How a conversation is shown to the model when it is to write a reply.
    pub reply_format: ReplyFormat,
    /// How the model ranks replies, if it was trained to.
    pub reply_ranking: Option<ReplyRanking>,
    /// How sure the model is of the replies in the bank that comes with it, if one does. Needs `reply_ranking`.
    pub reply_bank: Option<BankSettings>,
}

/// How the replies of a model's own bank are judged: a reply answers with the probability
/// `sigmoid(gain * cos(context vector, reply vector) + offset)`, where the words of the message have no say ([`Blend`]). See
/// `models/recipes/README.md`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BankSettings {
    /// Multiplies the cosine.
    pub gain: f32,
    /// Is added to it.
    pub offset: f32,
    /// Where no reply of the bank answers with this probability, none of it is shown.
    pub threshold: f32,
    /// Where one does, or one that the model wrote is sure enough, others of the bank are shown that answer with this probability;
    /// `threshold` by default.
    #[serde(default)]
    pub further_threshold: Option<f32>,
    /// The same for replies that the model writes itself; it writes none where this is not given.
    #[serde(default)]
    pub written_threshold: Option<f32>,
    /// Intents that answer bad news: where one of them fits, only those of `comforting` are shown, and none that is written.
    #[serde(default)]
    pub bad_news: Vec<String>,
    /// Intents whose replies one may send to somebody who has told bad news.
    #[serde(default)]
    pub comforting: Vec<String>,
    /// Intents that one would rather not begin with, refusals and doubts: their replies stand behind what is about as sure.
    #[serde(default)]
    pub reluctant: Vec<String>,
    /// How the table of n-grams counts that comes with the bank; not at all by default.
    #[serde(default)]
    pub blend: Option<Blend>,
    /// From what probability on an intent of `bad_news` fits; never by default.
    #[serde(default = "never")]
    pub bad_news_threshold: f32,
}

/// How the logit of an intent is made of that of the network and that of a table of n-grams:
/// `network * of_network + words * of_ngrams + offset`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Blend {
    /// Multiplies the network's logit, `gain * cos + offset`.
    pub network: f32,
    /// Multiplies that of the n-grams.
    pub words: f32,
    /// Is added.
    pub offset: f32,
}

fn never() -> f32 {
    f32::INFINITY
}

/// How a conversation is shown to the model when it is to write a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyFormat {
    /// For general chat models: the side that replies is `assistant`, the other `user`; a system message asks for one
    /// short reply.
    #[default]
    Assistant,
    /// For models trained on both sides of a dialogue: the roles are `customer` and `agent`, and the template opens the
    /// turn of the side that did not speak last.
    Speakers,
}

/// Reply ranking by vectors: certain logits after the prompt, and the same logits after the reply, are close where the reply
/// fits. See `models/recipes/README.md`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct ReplyRanking {
    /// The token that begins a reply whose vector is wanted.
    pub reply_token: String,
    /// First and last of the tokens whose logits make the vectors. No text has them, and likelihoods leave them and all that
    /// follow them out.
    pub rank_tokens: [TokenId; 2],
    /// Divides the cosine of the two vectors.
    pub temperature: f64,
    /// Weight of the likelihood beside the cosine.
    pub lm_weight: f64,
    /// How the words count beside the cosine, for a model that comes with a [`DualEncoder`](crate::DualEncoder); not at all by default.
    #[serde(default)]
    pub blend: Option<RankingBlend>,
}

/// How the fit of a reply is made of that of the network, `cos / temperature`, and of what the words say:
/// `network * of_network + words * by_vectors + shared * by_shared_words`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct RankingBlend {
    /// Multiplies the network's.
    pub network: f64,
    /// Multiplies that of the n-grams' vectors.
    pub words: f64,
    /// Multiplies that of the words in common.
    pub shared: f64,
}

impl ReplyRanking {
    /// Columns of the logits that make the vectors.
    pub fn columns(&self) -> Range<usize> {
        self.rank_tokens[0] as usize..self.rank_tokens[1] as usize + 1
    }
}

impl ModelExtras {
    /// Reads the text of a `kinglet.json`.
    ///
    /// # Errors
    /// [`ExtrasError::Json`], and [`ExtrasError::Range`] for numbers that cannot be.
    pub fn from_json(text: &str) -> Result<Self, ExtrasError> {
        let extras: Self = kinglet_guard::json::parse(text.as_bytes()).map_err(|e| ExtrasError::Json {
            line: e.line(),
            column: e.column(),
            reason: e.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
        })?;
        extras.check()?;
        Ok(extras)
    }

    fn check(&self) -> Result<(), ExtrasError> {
        let range = |field, value: String, expected| Err(ExtrasError::Range { field, value, expected });
        if let Some(bank) = &self.reply_bank {
            let of_bank =
                [("reply_bank.gain", bank.gain), ("reply_bank.offset", bank.offset), ("reply_bank.threshold", bank.threshold)];
            let others = [
                ("reply_bank.further_threshold", bank.further_threshold),
                ("reply_bank.written_threshold", bank.written_threshold),
            ];
            let given = others.into_iter().filter_map(|(field, value)| Some((field, value?)));
            let of_blend = bank.blend.iter().flat_map(|blend| {
                [
                    ("reply_bank.blend.network", blend.network),
                    ("reply_bank.blend.words", blend.words),
                    ("reply_bank.blend.offset", blend.offset),
                ]
            });
            let mut numbers = of_bank.into_iter().chain(given).chain(of_blend);
            if let Some((field, value)) = numbers.find(|(_, value)| !value.is_finite()) {
                return range(field, value.to_string(), "a finite number");
            }
            let thresholds = [
                ("reply_bank.threshold", Some(bank.threshold)),
                ("reply_bank.further_threshold", bank.further_threshold),
                ("reply_bank.written_threshold", bank.written_threshold),
            ];
            for (field, value) in thresholds {
                if let Some(value) = value.filter(|value| !(0.0..=1.0).contains(value)) {
                    return range(field, value.to_string(), "a probability, from 0 to 1");
                }
            }
            if bank.bad_news_threshold < 0.0 {
                return range("reply_bank.bad_news_threshold", bank.bad_news_threshold.to_string(), "0 or more");
            }
            if let Some(further) = bank.further_threshold.filter(|further| *further > bank.threshold) {
                return range("reply_bank.further_threshold", further.to_string(), "at most `threshold`");
            }
            if self.reply_ranking.is_none() {
                return range("reply_bank", "there".into(), "beside `reply_ranking`, which says what its vectors are");
            }
        }
        let Some(ranking) = &self.reply_ranking else { return Ok(()) };
        let [first, last] = ranking.rank_tokens;
        if first == 0 || first > last {
            return range(
                "reply_ranking.rank_tokens",
                format!("[{first}, {last}]"),
                "the first and last of ids that follow those of text",
            );
        }
        if !(ranking.temperature > 0.0 && ranking.temperature.is_finite()) {
            return range("reply_ranking.temperature", ranking.temperature.to_string(), "above 0");
        }
        if !(ranking.lm_weight >= 0.0 && ranking.lm_weight.is_finite()) {
            return range("reply_ranking.lm_weight", ranking.lm_weight.to_string(), "0 or more");
        }
        let of_blend = ranking.blend.iter().flat_map(|blend| {
            [
                ("reply_ranking.blend.network", blend.network),
                ("reply_ranking.blend.words", blend.words),
                ("reply_ranking.blend.shared", blend.shared),
            ]
        });
        if let Some((field, value)) = of_blend.into_iter().find(|(_, value)| !value.is_finite()) {
            return range(field, value.to_string(), "a finite number");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read() {
        let json = r#"{"languages": ["en", "de"], "reply_format": "speakers", "someday": {}, "reply_ranking":
            {"reply_token": "<|reply|>", "rank_tokens": [4096, 4223], "temperature": 0.06, "lm_weight": 0.5}}"#;
        let extras = ModelExtras::from_json(json).unwrap();
        assert_eq!((extras.languages.len(), extras.reply_format), (2, ReplyFormat::Speakers));
        let ranking = extras.reply_ranking.unwrap();
        assert_eq!((ranking.columns(), ranking.temperature, ranking.lm_weight), (4096..4224, 0.06, 0.5));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        struct Case {
            json: &'static str,
            says: &'static str,
        }
        let ranking = [
            Case {
                json: r#""rank_tokens": [5, 4], "temperature": 1, "lm_weight": 0"#,
                says: "`reply_ranking.rank_tokens` is [5, 4]",
            },
            Case {
                json: r#""rank_tokens": [0, 4], "temperature": 1, "lm_weight": 0"#,
                says: "`reply_ranking.rank_tokens` is [0, 4]",
            },
            Case {
                json: r#""rank_tokens": [4, 4], "temperature": 0, "lm_weight": 0"#,
                says: "`reply_ranking.temperature` is 0; it must be above 0",
            },
            Case { json: r#""rank_tokens": [4, 4], "temperature": 1, "lm_weight": -1"#, says: "`reply_ranking.lm_weight` is -1" },
            Case { json: r#""rank_tokens": [4, -4], "temperature": 1, "lm_weight": 0"#, says: "line 1, column" },
            Case { json: r#""rank_tokens": [4], "temperature": 1, "lm_weight": 0"#, says: "line 1, column" },
            Case { json: r#""rank_tokens": [4, 5], "lm_weight": 0"#, says: "missing field `temperature`" },
        ];
        let ranking = ranking.map(|c| (format!(r#"{{"reply_ranking": {{"reply_token": "r", {}}}}}"#, c.json), c.says));
        let bank = r#"{"gain": 8, "offset": -6, "threshold": 0.5}"#;
        let bank_with = |field: &str| format!(r#"{{"reply_bank": {}}}"#, bank.replace('}', &format!(", {field}}}")));
        let others = [
            (bank_with(r#""further_threshold": 0.5"#), "beside `reply_ranking`"),
            (r#"{"reply_bank": {"gain": 1e39, "offset": 0, "threshold": 0}}"#.to_owned(), "`reply_bank.gain` is inf"),
            (r#"{"reply_bank": {"gain": 8, "offset": -6}}"#.to_owned(), "missing field `threshold`"),
            (bank_with(r#""further_threshold": 0.6"#), "`reply_bank.further_threshold` is 0.6; it must be at most `threshold`"),
            (bank_with(r#""written_threshold": 1.5"#), "`reply_bank.written_threshold` is 1.5; it must be a probability"),
            (bank_with(r#""bad_news_threshold": -1"#), "`reply_bank.bad_news_threshold` is -1; it must be 0 or more"),
            (r#"{"reply_bank": {"gain": 8, "offset": -6, "threshold": 7}}"#.to_owned(), "`reply_bank.threshold` is 7"),
            (bank_with(r#""written_threshold": 1e39"#), "`reply_bank.written_threshold` is inf"),
            (
                r#"{"reply_bank": {"gain": 8, "offset": -6, "threshold": 0, "blend": {"network": 1, "words": -1e39, "offset": 0}}}"#
                    .to_owned(),
                "`reply_bank.blend.words` is -inf",
            ),
            ("".to_owned(), "line 1, column 0"),
            (r#"{"languages": "en"}"#.to_owned(), "expected a sequence"),
            ("{\n\"reply_format\": \"poem\"}".to_owned(), "line 2, column"),
        ];
        for (json, says) in ranking.into_iter().chain(others) {
            let error = ModelExtras::from_json(&json).expect_err(&json).to_string();
            assert!(error.contains(says), "{json}: {error}");
        }
    }
}
