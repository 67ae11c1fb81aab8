//! Candidates of the bank that comes with a model, and what is shown of them and of what the model writes.
//!
//! A reply of the bank is judged alone and by what it does: its logit is the mean of both. Of one intent the best reply stands for
//! all, where the tone of the side that replies and the reply's place in its group count too. What the model writes counts as the
//! intent that it is closest to.

use super::candidate::{Considered, Fate, ReplySource};
use crate::bank::{BankReply, Judgement, ReadyBank, Tone, probability};
use crate::conversation::Conversation;
use crate::reply::is_duplicate;

/// What the logit of a reply gains where its tone is that of the side that replies.
const TONE_GAIN: f32 = 0.5;

/// What the logit of a reply loses for each reply that stands before it in its group.
const PLACE_COST: f32 = 0.06;

/// What one would rather not begin with stands behind what is less sure than it is by at most this.
const RELUCTANCE: f32 = 0.4;

/// A reply that was judged.
pub(super) struct Judged {
    pub(super) text: String,
    pub(super) source: ReplySource,
    pub(super) intent: usize,
    /// The probability that one could send it.
    pub(super) score: f32,
    pub(super) fate: Fate,
}

impl Judged {
    pub(super) fn considered(self, bank: &ReadyBank) -> Considered {
        let intent = Some(bank.intent_name(self.intent).to_owned());
        Considered { text: self.text, source: self.source, intent, score: Some(self.score), fate: self.fate }
    }
}

/// The best reply of each intent that `admits` takes; the likeliest intents first.
pub(super) fn of_each_intent(
    bank: &ReadyBank,
    judgement: &Judgement,
    tone: Tone,
    most: usize,
    mut admits: impl FnMut(&str) -> bool,
) -> Vec<Judged> {
    let mut found = vec![];
    for (intent, &of_intent) in judgement.intents.iter().enumerate() {
        let places = bank.replies_of(intent);
        let logit = |at: usize| (of_intent + judgement.replies[at]) / 2.0;
        let rank = |at: usize| {
            let BankReply { tone: its_tone, place, .. } = bank.reply(at);
            logit(at) + if *its_tone == tone { TONE_GAIN } else { 0.0 } - PLACE_COST * *place as f32
        };
        let mut best: Vec<usize> = places.collect();
        best.sort_by(|&a, &b| rank(b).total_cmp(&rank(a)).then(a.cmp(&b)));
        found.extend(best.first().copied().map(|at| (intent, logit(at), best)));
    }
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found.truncate(most);
    let judged = found.into_iter().filter_map(|(intent, _, best)| {
        let at = best.into_iter().find(|&at| admits(&bank.reply(at).text))?;
        let score = probability((judgement.intents[intent] + judgement.replies[at]) / 2.0);
        Some(Judged { text: bank.reply(at).text.clone(), source: ReplySource::Bank, intent, score, fate: Fate::NotNeeded })
    });
    judged.collect()
}

/// Decides what becomes of each candidate: at most `count` are shown, of different intents, the surest first; of equals that of the
/// bank. What one would rather not begin with stands behind what is about as sure. Where one is sure, others may be less so.
pub(super) fn decide(bank: &ReadyBank, candidates: &mut [Judged], is_bad_news: bool, count: usize) {
    let worth =
        |candidate: &Judged| if bank.is_reluctant(candidate.intent) { candidate.score - RELUCTANCE } else { candidate.score };
    let rank =
        |a: &Judged, b: &Judged| worth(b).total_cmp(&worth(a)).then(a.source.cmp(&b.source)).then_with(|| a.text.cmp(&b.text));
    candidates.sort_by(rank);
    let settings = bank.settings();
    let threshold_of = |source: ReplySource| match source {
        ReplySource::Bank => settings.threshold,
        ReplySource::Model => settings.written_threshold.unwrap_or(f32::INFINITY),
    };
    let is_fitting = |candidate: &Judged| !is_bad_news || bank.is_comforting(candidate.intent);
    let mut possible = candidates.iter().filter(|candidate| candidate.fate == Fate::NotNeeded && is_fitting(candidate));
    let is_one_sure = possible.any(|candidate| candidate.score >= threshold_of(candidate.source));
    for at in 0..candidates.len() {
        let (shown, rest) = candidates.split_at_mut(at);
        let candidate = &mut rest[0];
        if candidate.fate != Fate::NotNeeded {
            continue;
        }
        let threshold = match (candidate.source, settings.further_threshold) {
            (ReplySource::Bank, Some(further)) if is_one_sure => further,
            (source, _) => threshold_of(source),
        };
        let mut shown = shown.iter().filter(|other| other.fate == Fate::Shown);
        candidate.fate = if !is_fitting(candidate) {
            Fate::NotForBadNews
        } else if candidate.score.is_nan() || candidate.score < threshold {
            Fate::BelowThreshold
        } else if shown.clone().any(|other| other.intent == candidate.intent || is_duplicate(&other.text, &candidate.text)) {
            Fate::SameIntent
        } else if shown.by_ref().count() >= count {
            Fate::NotNeeded
        } else {
            Fate::Shown
        };
    }
}

/// How the side that replies puts things: as in its own messages, or else as the other side does.
pub(super) fn tone_of(conversation: &Conversation) -> Tone {
    let next = conversation.next_speaker();
    let own: Vec<&str> = conversation.turns.iter().filter(|t| t.speaker == next).map(|t| t.text.as_str()).collect();
    let others: Vec<&str> = conversation.turns.iter().filter(|t| t.speaker != next).map(|t| t.text.as_str()).collect();
    let heard = if own.is_empty() { others } else { own };
    let careful = heard.iter().filter(|text| is_careful(text)).count();
    let formal = heard.iter().any(|text| is_formal(text));
    if formal && 2 * careful > heard.len() { Tone::Polite } else { Tone::Casual }
}

/// Whether a message begins with a capital and ends as a sentence.
fn is_careful(text: &str) -> bool {
    let text = text.trim();
    let begins = text.chars().find(|c| c.is_alphabetic()).is_some_and(char::is_uppercase);
    begins && text.ends_with(['.', '?', '!']) && text.split_whitespace().count() > 2
}

/// What people write to those whom they do not know well, or on business.
const FORMAL: &[&str] = &[
    "account",
    "afternoon",
    "apologies",
    "appointment",
    "appreciate",
    "assist",
    "booking",
    "certainly",
    "colleague",
    "convenience",
    "could",
    "customer",
    "dear",
    "deposit",
    "dr",
    "evening",
    "grateful",
    "honoured",
    "inform",
    "invoice",
    "kindly",
    "madam",
    "meeting",
    "morning",
    "mr",
    "mrs",
    "ms",
    "order",
    "ordered",
    "parcel",
    "payment",
    "please",
    "pleased",
    "proposal",
    "refund",
    "regarding",
    "regards",
    "request",
    "reservation",
    "sincerely",
    "sir",
    "team",
    "unfortunately",
    "would",
];

fn is_formal(text: &str) -> bool {
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).any(|word| FORMAL.binary_search(&word.as_str()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bank::ReplyBank;

    fn judged(text: &str, intent: usize, score: f32) -> Judged {
        Judged { text: text.into(), source: ReplySource::Bank, intent, score, fate: Fate::NotNeeded }
    }

    #[test]
    fn what_one_would_rather_not_begin_with_comes_last() {
        let json = r#"{"gain": 10, "offset": -5, "threshold": 0.5, "reluctant": ["decline"]}"#;
        let bank = ReplyBank::parse("# accept casual\nYes\n# decline casual\nNo\n").unwrap();
        let bank = bank.with_vectors(serde_json::from_str(json).unwrap(), 1, vec![1.0, 1.0]);
        let mut candidates = [judged("No", 1, 0.9), judged("Yes", 0, 0.6)];
        decide(&bank, &mut candidates, false, 3);
        let shown: Vec<&str> = candidates.iter().filter(|c| c.fate == Fate::Shown).map(|c| &*c.text).collect();
        assert_eq!(shown, ["Yes", "No"]);
        let mut candidates = [judged("Yes", 0, 0.55), judged("No", 1, 0.99)];
        decide(&bank, &mut candidates, false, 3);
        assert_eq!(candidates[0].text, "No", "that is far surer");
    }

    #[test]
    fn beside_a_sure_reply_others_may_be_less_sure() {
        let json = r#"{"gain": 10, "offset": -5, "threshold": 0.7, "further_threshold": 0.4}"#;
        let bank = ReplyBank::parse("# accept casual\nYes\n# decline casual\nNo\n# ask casual\nWhy?\n").unwrap();
        let bank = bank.with_vectors(serde_json::from_str(json).unwrap(), 1, vec![1.0, 1.0, 1.0]);
        let fates = |scores: [f32; 3]| {
            let texts = ["Yes", "No", "Why?"].into_iter().enumerate();
            let mut candidates: Vec<Judged> = texts.zip(scores).map(|((i, text), score)| judged(text, i, score)).collect();
            decide(&bank, &mut candidates, false, 3);
            candidates.iter().map(|candidate| candidate.fate).collect::<Vec<_>>()
        };
        assert_eq!(fates([0.8, 0.5, 0.3]), [Fate::Shown, Fate::Shown, Fate::BelowThreshold]);
        assert_eq!(fates([0.6, 0.5, 0.3]), [Fate::BelowThreshold; 3], "none is sure");
    }

    #[test]
    fn tones() {
        let tone = |talk| tone_of(&Conversation::parse(talk).unwrap());
        assert!(FORMAL.is_sorted());
        assert_eq!(tone("u coming?"), Tone::Casual);
        assert_eq!(tone("Fancy a pint after work?"), Tone::Casual, "a sentence is not yet polite");
        assert_eq!(tone("could you send me that report"), Tone::Casual);
        assert_eq!(tone("Could you send me the report, please?"), Tone::Polite);
        assert_eq!(tone("me: yeah np\nthem: Could you send me the report, please?"), Tone::Casual, "one's own tone wins");
        assert_eq!(tone("me: Certainly, I will look.\nthem: thx"), Tone::Polite);
        assert_eq!(tone(""), Tone::Casual);
    }
}
