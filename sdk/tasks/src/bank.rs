//! The bank of replies that comes with a model: short replies that anyone would send, by what they do.
//!
//! Knows: the text of a bank, the vectors of its replies, and how surely each answers a context's vector and its words. Must not
//! know: models, conversations, what is shown in the end.

mod classifier;
mod parse;
mod vectors;

pub use classifier::NgramClassifier;
pub use parse::BankError;
pub(crate) use parse::Tone;
use parse::{Group, parse};
pub(crate) use vectors::{read as read_vectors, write as write_vectors};

use crate::extras::{BankSettings, Blend};
use std::ops::Range;
use std::sync::Arc;

/// One reply of the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BankReply {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    /// Its place in its group, from 0: the first fits the most messages.
    pub(crate) place: usize,
}

/// A bank, without the vectors of its replies.
#[derive(Clone, Debug)]
pub struct ReplyBank {
    intents: Vec<Intent>,
    replies: Vec<BankReply>,
}

/// What some replies of the bank do, in the words of its headings.
#[derive(Clone, Debug)]
struct Intent {
    name: String,
    /// Its replies' places.
    replies: Range<usize>,
}

/// A bank whose replies have vectors, ready to be asked.
#[derive(Debug)]
pub(crate) struct ReadyBank {
    bank: ReplyBank,
    settings: BankSettings,
    roles: Vec<Role>,
    /// Columns of a vector.
    columns: usize,
    /// `[replies, columns]`, each of length 1.
    vectors: Vec<f32>,
    /// `[intents, columns]`: the directions of the means of their replies.
    means: Vec<f32>,
    words: Option<Words>,
}

/// What the words of a message say beside the network.
#[derive(Debug)]
struct Words {
    classifier: Arc<NgramClassifier>,
    blend: Blend,
    /// By intent of the bank: its place among those that the classifier knows.
    places: Vec<Option<usize>>,
}

/// What the settings say of an intent.
#[derive(Clone, Copy, Debug)]
struct Role {
    /// Its replies may answer bad news.
    comforting: bool,
    /// A message that they answer is bad news.
    bad_news: bool,
    /// One would rather not begin with it.
    reluctant: bool,
}

/// How surely a bank's replies answer something.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// By intent: the logit of the probability that its replies answer.
    pub(crate) intents: Vec<f32>,
    /// By reply: the same for it alone.
    pub(crate) replies: Vec<f32>,
    /// By intent: what the words of the message have added to the logits of the network.
    by_words: Vec<f32>,
    /// Whether it is bad news that they would answer.
    pub(crate) is_bad_news: bool,
}

impl ReplyBank {
    /// Reads a bank: a line `# intent tone` begins a group, its tone `casual` or `polite`; every other line that is not empty is a
    /// reply, and those that fit the most messages stand first. Replies with a slot (`{time}`) are left out.
    ///
    /// # Errors
    /// [`BankError`], with the line.
    pub fn parse(text: &str) -> Result<Self, BankError> {
        let mut groups = parse(text)?;
        groups.sort_by_key(|group| group.order);
        let (mut intents, mut replies): (Vec<Intent>, Vec<BankReply>) = (vec![], vec![]);
        for Group { intent, tone, lines, .. } in groups {
            let from = replies.len();
            let lines = lines.into_iter().filter(|line| !line.contains('{'));
            replies.extend(lines.zip(0..).map(|(text, place)| BankReply { text, tone, place }));
            match intents.last_mut().filter(|last| last.name == intent) {
                Some(last) => last.replies.end = replies.len(),
                None => intents.push(Intent { name: intent, replies: from..replies.len() }),
            }
        }
        intents.retain(|intent| !intent.replies.is_empty());
        if intents.is_empty() { Err(BankError::Empty) } else { Ok(Self { intents, replies }) }
    }

    /// The intents that the settings of a model name and the bank lacks.
    pub fn unknown_intents<'s>(&self, settings: &'s BankSettings) -> Vec<&'s str> {
        let named = [&settings.bad_news, &settings.comforting, &settings.reluctant].into_iter().flatten();
        named.map(String::as_str).filter(|name| self.intents.iter().all(|intent| intent.name != *name)).collect()
    }

    /// The texts of all replies, in the order of their vectors.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.replies.iter().map(|reply| reply.text.as_str())
    }

    /// The bank with the vectors of its replies, `[replies, columns]`, each of length 1.
    pub(crate) fn with_vectors(self, settings: BankSettings, columns: usize, vectors: Vec<f32>) -> ReadyBank {
        let mean = |intent: &Intent| {
            let rows = &vectors[intent.replies.start * columns..intent.replies.end * columns];
            let mut sum = vec![0f32; columns];
            rows.chunks_exact(columns).for_each(|row| sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += x));
            normalised(&sum)
        };
        let means = self.intents.iter().flat_map(mean).collect();
        let role = |Intent { name, .. }: &Intent| Role {
            comforting: settings.comforting.contains(name),
            bad_news: settings.bad_news.contains(name),
            reluctant: settings.reluctant.contains(name),
        };
        let roles = self.intents.iter().map(role).collect();
        ReadyBank { roles, columns, means, vectors, settings, bank: self, words: None }
    }
}

impl Judgement {
    /// What the words of the message add to the logit of anything that does the same as this intent's replies.
    pub(crate) fn by_words(&self, intent: usize) -> f32 {
        self.by_words[intent]
    }
}

impl ReadyBank {
    /// The same, with what the words of a message say, where the settings say how that counts.
    pub(crate) fn with_words(mut self, classifier: Option<Arc<NgramClassifier>>) -> Self {
        self.words = classifier.zip(self.settings.blend).map(|(classifier, blend)| {
            let place = |intent: &Intent| classifier.names().iter().position(|name| *name == intent.name);
            let places = self.bank.intents.iter().map(place).collect();
            Words { classifier, blend, places }
        });
        self
    }

    pub(crate) fn settings(&self) -> &BankSettings {
        &self.settings
    }

    pub(crate) fn reply(&self, index: usize) -> &BankReply {
        &self.bank.replies[index]
    }

    pub(crate) fn intent_name(&self, intent: usize) -> &str {
        &self.bank.intents[intent].name
    }

    /// Places of an intent's replies.
    pub(crate) fn replies_of(&self, intent: usize) -> Range<usize> {
        self.bank.intents[intent].replies.clone()
    }

    /// Whether replies of this intent may answer bad news.
    pub(crate) fn is_comforting(&self, intent: usize) -> bool {
        self.roles[intent].comforting
    }

    /// Whether one would rather not begin with this intent.
    pub(crate) fn is_reluctant(&self, intent: usize) -> bool {
        self.roles[intent].reluctant
    }

    /// How surely each reply answers a context with this vector, of length 1, in which these messages were said: they take turns,
    /// and the last is to be answered.
    pub(crate) fn judge(&self, context: &[f32], talk: &[String]) -> Judgement {
        let mut intents: Vec<f32> = self.means.chunks_exact(self.columns).map(|mean| self.logit(context, mean)).collect();
        let by_words = self.words.as_ref().map_or_else(|| vec![0.0; intents.len()], |words| words.add_to(&intents, talk));
        let vectors = self.vectors.chunks_exact(self.columns);
        let mut replies: Vec<f32> = vectors.map(|reply| self.logit(context, reply)).collect();
        for (intent, added) in by_words.iter().enumerate() {
            intents[intent] += added;
            replies[self.replies_of(intent)].iter_mut().for_each(|logit| *logit += added);
        }
        let bad = intents.iter().zip(&self.roles).filter(|(_, role)| role.bad_news).map(|(logit, _)| probability(*logit));
        let is_bad_news = bad.fold(0.0, f32::max) >= self.settings.bad_news_threshold;
        Judgement { intents, replies, by_words, is_bad_news }
    }

    /// How surely a reply with the vector `reply` answers, as a logit.
    pub(crate) fn logit(&self, context: &[f32], reply: &[f32]) -> f32 {
        let cosine: f32 = context.iter().zip(reply).map(|(a, b)| a * b).sum();
        self.settings.gain * cosine + self.settings.offset
    }

    /// The intent whose replies a vector is closest to.
    pub(crate) fn nearest(&self, reply: &[f32]) -> usize {
        let likeness = |mean: &[f32]| -> f32 { mean.iter().zip(reply).map(|(a, b)| a * b).sum() };
        let likenesses = self.means.chunks_exact(self.columns).map(likeness).enumerate();
        likenesses.max_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(intent, _)| intent)
    }
}

impl Words {
    /// By intent: what turns the network's logit into the blended one; nothing for intents that the classifier does not know.
    fn add_to(&self, network: &[f32], talk: &[String]) -> Vec<f32> {
        let Blend { network: weight, words, offset } = self.blend;
        let said = self.classifier.logits(talk);
        let blended = |logit: f32, place: usize| weight * logit + words * said[place] + offset;
        let places = network.iter().zip(&self.places);
        places.map(|(&logit, place)| place.map_or(0.0, |place| blended(logit, place) - logit)).collect()
    }
}

/// The probability of a logit.
pub(crate) fn probability(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}

/// The same direction with length 1; zeros stay.
pub(crate) fn normalised(row: &[f32]) -> Vec<f32> {
    let length = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let scale = if length > 0.0 { 1.0 / length } else { 0.0 };
    row.iter().map(|x| (f64::from(*x) * scale) as f32).collect()
}

#[cfg(test)]
#[path = "bank/tests.rs"]
mod tests;
