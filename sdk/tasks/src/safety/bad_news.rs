//! Messages that tell bad news: illness, death, accidents, money trouble, an end of something that mattered.
//!
//! The words of such messages are few, and what they ask for is comfort or silence. The rules stand beside what a model makes of
//! the message: either is enough. They would rather take a harmless message for bad news than answer bad news with a joke.

use super::constant;
use crate::wording;
use regex::Regex;
use std::sync::LazyLock;

static BAD_NEWS: LazyLock<Regex> = LazyLock::new(|| constant(&format!(r"\b(?:{})(?:\b|$)", WORDINGS.join("|"))));

/// In small letters, apostrophes straight.
const WORDINGS: &[&str] = &[
    // death
    r"died|dying|dead|passed away|passed on|funeral|(?:a|the) wake|put (?:him|her|them|it) (?:down|to sleep)|didn'?t make it",
    r"(?:lost|losing) (?:my|our|the|her|his|their|a) (?:mum|mom|dad|mother|father|nan|gran\w*|baby|brother|sister|wife|husband|son|daughter|dog|cat|friend)",
    // illness and accidents
    r"hospital|ambulance|a&e|intensive care|surgery|operation|chemo\w*|cancer|tumou?r|leuk\w+|stroke|heart attack|dementia",
    r"miscarr\w+|stillb\w+|biops\w+|diagnos\w+|palliative|hospice|terminal|overdose\w*|relaps\w+|stitches|concuss\w+",
    r"(?:had|been in|in) an? (?:\w+ )?(?:accident|crash|fall)|crashed|car crash|broke (?:my|his|her|their) (?:leg|arm|hip|wrist|ankle|neck|back|nose|foot)",
    // money and home
    r"(?:lost|losing) (?:my|his|her|their|our) (?:\w+ )?(?:job|house|home|flat)s?|redundan\w+|laid off|got fired|been fired|sacked|bankrup\w+",
    r"evict\w+|bailiff\w*|can'?t afford|can'?t pay(?: (?:it|them|you|the|my|our|for|this|any\w*|rent|bills?)|[.!?,]|$)|in debt|overdrawn|burgl\w+|broken into|broke into|robbed|mugged|flooded(?: (?:out|again|last|in|when|because|and)|[.!?,]|$)|burn(?:t|ed) down",
    // between people
    r"(?:broke|breaking|split|splitting) up|dumped (?:me|him|her)|divorc\w+|cheat(?:ed|ing) on|left me|affair|separated",
    // and how it feels
    r"depress\w+|heartbroken|devastated|suicid\w+|self.?harm\w*|panic attacks?|can'?t cope|hopeless|grief|grieving",
    r"crying(?: (?:again|all|my eyes|about|over|because|in|on|and|every|since|myself)|[.!?,]|$)",
    r"scared(?: (?:about|for|that|to|it|she|he|they|i|and|of (?:losing|dying|what|the|him|her))|[.!?,]|$)",
];

/// Signs that stand for it.
const SIGNS: [char; 5] = ['\u{1f494}', '\u{1f622}', '\u{1f62d}', '\u{1f61e}', '\u{1f614}'];

/// Whether a message tells bad news.
pub(crate) fn is_bad_news(text: &str) -> bool {
    let plain = wording::plain(text);
    BAD_NEWS.is_match(&plain) || text.contains(SIGNS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_news_and_what_looks_like_it() {
        let bad = [
            "mum is in hospital",
            "Nan passed away this morning",
            "we had to put her down",
            "i lost my job",
            "He\u{2019}s been made redundant",
            "she broke up with me",
            "we got burgled last night",
            "they found a tumour",
            "I can\u{2019}t afford the rent",
            "the biopsy came back \u{1f494}",
            "Dad had a fall",
            "the kitchen flooded",
            "she won't stop crying",
            "I'm scared it's come back",
            "we can't pay the rent",
        ];
        let other = [
            "I lost my keys",
            "dinner at six?",
            "the meeting was long",
            "we lost the match",
            "Are you coming?",
            "the bus was late",
            "are you scared of spiders?",
            "the flat was flooded with light",
            "can't pay by card there, bring cash",
            "I'm crying laughing at that video",
            "I had a good day",
        ];
        assert!(bad.iter().all(|text| is_bad_news(text)), "{:?}", bad.iter().find(|text| !is_bad_news(text)));
        assert!(!other.iter().any(|text| is_bad_news(text)), "{:?}", other.iter().find(|text| is_bad_news(text)));
    }
}
