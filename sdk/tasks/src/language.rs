//! Whether a conversation is in a language that the model speaks.
//!
//! A short message says little about its language, and refusing a customer who wrote `ok`, a name or a number would be
//! worse than answering. So a message is judged only on evidence: its script, everyday words of a language, and, where
//! it is long enough, trigram detection (whatlang). A message without evidence passes the question on to the one before.

mod everyday_words;

use crate::wording;
use everyday_words::{greeting, is_everyday, languages};
use kinglet_guard::brief;
use whatlang::{Lang, Script};

/// Messages that are asked, from the latest back, before a conversation passes for lack of evidence.
const ASKED_TURNS: usize = 4;
/// A foreign script decides from this many letters on.
const SCRIPT_LETTERS: usize = 2;
/// Trigrams are trusted from this many words and letters on.
const TRIGRAM_WORDS: usize = 4;
const TRIGRAM_LETTERS: usize = 20;
/// Confidence of whatlang that is needed; less where this many words hold no everyday word of a supported language.
const CONFIDENCE: f64 = 0.8;
const CONFIDENCE_LONG: f64 = 0.3;
const LONG_WORDS: usize = 6;

/// The languages that a model answers in.
#[derive(Clone, Debug, Default)]
pub(crate) struct LanguageGate {
    supported: Vec<Lang>,
}

/// What one message says about its language.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Evidence {
    /// It is in a supported language.
    Supported,
    /// It is in this other language.
    Other(Lang),
    /// A single word of this other language, such as `gracias`: it counts if nothing else speaks for a supported one.
    Hint(Lang),
    /// Too little text.
    None,
}

impl LanguageGate {
    /// `tags` are ISO 639-1 codes, with or without a region: `en`, `pt-BR`. Tags that the detector does not know are left
    /// out; without any known tag every language passes.
    pub(crate) fn new(tags: &[String]) -> Self {
        let supported = tags.iter().filter_map(|tag| {
            let lang = language_of_tag(tag);
            if lang.is_none() {
                log::warn!("{}", unknown(tag));
            }
            lang
        });
        Self { supported: supported.collect() }
    }

    /// The tag of the language that is not supported, or `None` if the texts (oldest first) may be answered.
    pub(crate) fn refuses<'a>(&self, texts: impl DoubleEndedIterator<Item = &'a str>) -> Option<&'static str> {
        if self.supported.is_empty() {
            return None;
        }
        let mut hint = None;
        for text in texts.rev().take(ASKED_TURNS) {
            match self.evidence(text) {
                Evidence::Supported => return None,
                Evidence::Other(lang) => return Some(tag_of(lang)),
                Evidence::Hint(lang) => hint = hint.or(Some(lang)),
                Evidence::None => {}
            }
        }
        hint.map(tag_of)
    }

    fn evidence(&self, text: &str) -> Evidence {
        let words = speaking_words(text);
        let letters: usize = words.iter().map(|w| w.chars().count()).sum();
        let joined = words.join(" ");
        let Some(script) = whatlang::detect_script(&joined) else { return Evidence::None };
        if !self.supported.iter().any(|lang| writes_in(*lang, script)) {
            let lang = whatlang::detect_lang(&joined).or(script.langs().first().copied());
            return match lang {
                Some(lang) if letters >= SCRIPT_LETTERS => Evidence::Other(lang),
                _ => Evidence::None,
            };
        }
        match self.word_evidence(&words) {
            Evidence::None => self.trigram_evidence(&joined, &words, letters),
            found => found,
        }
    }

    /// Everyday words: a quarter of the words speaks for a supported language, a quarter and at least two for another one.
    fn word_evidence(&self, words: &[String]) -> Evidence {
        let hits = |lang: &Lang| words.iter().filter(|w| is_everyday(*lang, w)).count();
        let own = self.supported.iter().map(hits).max().unwrap_or(0);
        let others = languages().filter(|lang| !self.supported.contains(lang));
        let (other, foreign) = others.map(|lang| (lang, hits(&lang))).max_by_key(|(_, hits)| *hits).unwrap_or((Lang::Eng, 0));
        if foreign >= 2 && foreign > own && foreign * 4 >= words.len() {
            Evidence::Other(other)
        } else if own > 0 && own >= foreign && own * 4 >= words.len() {
            Evidence::Supported
        } else if let [word] = words
            && let Some(lang) = greeting(word).filter(|lang| !self.supported.contains(lang))
        {
            Evidence::Hint(lang)
        } else {
            Evidence::None
        }
    }

    fn trigram_evidence(&self, joined: &str, words: &[String], letters: usize) -> Evidence {
        if words.len() < TRIGRAM_WORDS || letters < TRIGRAM_LETTERS {
            return Evidence::None;
        }
        let Some(info) = whatlang::detect(joined) else { return Evidence::None };
        if self.supported.contains(&info.lang()) {
            return Evidence::Supported;
        }
        let own = words.iter().any(|w| self.supported.iter().any(|lang| is_everyday(*lang, w)));
        let needed = if own || words.len() < LONG_WORDS { CONFIDENCE } else { CONFIDENCE_LONG };
        if info.confidence() >= needed { Evidence::Other(info.lang()) } else { Evidence::None }
    }
}

/// What is said of a tag that the detector does not know.
fn unknown(tag: &str) -> String {
    format!("the language `{}` of the model is not known to the detector and is not checked for", brief(tag))
}

/// The words that carry a language: no numbers, addresses, mentions, emoji or laughter.
fn speaking_words(text: &str) -> Vec<String> {
    let plain = wording::plain(text);
    let speaks = |token: &&str| {
        !token.contains(['@', '/', '#', '_', '\\']) && !token.contains("www.") && !token.contains(char::is_numeric)
    };
    plain.split(' ').filter(speaks).flat_map(wording::words).filter(|w| w.chars().any(char::is_alphabetic)).collect()
}

/// Japanese mixes its syllables with the characters that whatlang files under Mandarin.
fn writes_in(lang: Lang, script: Script) -> bool {
    script.langs().contains(&lang) || (lang == Lang::Jpn && script == Script::Mandarin)
}

/// ISO 639-1 codes beside whatlang's languages.
const TAGS: &[(&str, Lang)] = &[
    ("af", Lang::Afr),
    ("ak", Lang::Aka),
    ("am", Lang::Amh),
    ("ar", Lang::Ara),
    ("az", Lang::Aze),
    ("be", Lang::Bel),
    ("bg", Lang::Bul),
    ("bn", Lang::Ben),
    ("ca", Lang::Cat),
    ("cs", Lang::Ces),
    ("cy", Lang::Cym),
    ("da", Lang::Dan),
    ("de", Lang::Deu),
    ("el", Lang::Ell),
    ("en", Lang::Eng),
    ("eo", Lang::Epo),
    ("es", Lang::Spa),
    ("et", Lang::Est),
    ("fa", Lang::Pes),
    ("fi", Lang::Fin),
    ("fr", Lang::Fra),
    ("gu", Lang::Guj),
    ("he", Lang::Heb),
    ("hi", Lang::Hin),
    ("hr", Lang::Hrv),
    ("hu", Lang::Hun),
    ("hy", Lang::Hye),
    ("id", Lang::Ind),
    ("it", Lang::Ita),
    ("ja", Lang::Jpn),
    ("jv", Lang::Jav),
    ("ka", Lang::Kat),
    ("km", Lang::Khm),
    ("kn", Lang::Kan),
    ("ko", Lang::Kor),
    ("la", Lang::Lat),
    ("lt", Lang::Lit),
    ("lv", Lang::Lav),
    ("mk", Lang::Mkd),
    ("ml", Lang::Mal),
    ("mr", Lang::Mar),
    ("my", Lang::Mya),
    ("nb", Lang::Nob),
    ("ne", Lang::Nep),
    ("nl", Lang::Nld),
    ("or", Lang::Ori),
    ("pa", Lang::Pan),
    ("pl", Lang::Pol),
    ("pt", Lang::Por),
    ("ro", Lang::Ron),
    ("ru", Lang::Rus),
    ("si", Lang::Sin),
    ("sk", Lang::Slk),
    ("sl", Lang::Slv),
    ("sn", Lang::Sna),
    ("sr", Lang::Srp),
    ("sv", Lang::Swe),
    ("ta", Lang::Tam),
    ("te", Lang::Tel),
    ("th", Lang::Tha),
    ("tk", Lang::Tuk),
    ("tl", Lang::Tgl),
    ("tr", Lang::Tur),
    ("uk", Lang::Ukr),
    ("ur", Lang::Urd),
    ("uz", Lang::Uzb),
    ("vi", Lang::Vie),
    ("yi", Lang::Yid),
    ("zh", Lang::Cmn),
    ("zu", Lang::Zul),
];

fn language_of_tag(tag: &str) -> Option<Lang> {
    let lower = tag.trim().to_lowercase();
    let primary = lower.split(['-', '_']).next().unwrap_or_default();
    TAGS.iter().find(|(code, _)| *code == primary).map(|(_, lang)| *lang)
}

fn tag_of(lang: Lang) -> &'static str {
    TAGS.iter().find(|(_, l)| *l == lang).map_or(lang.code(), |(tag, _)| tag)
}

#[cfg(test)]
#[path = "language_tests.rs"]
mod tests;
