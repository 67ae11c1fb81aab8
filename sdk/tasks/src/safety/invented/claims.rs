//! States of the world that a reply claims: that something is ready, costs nothing, is there or is attached.

use super::actions::is_hedged;
use super::said::Said;
use super::sentences::{Clause, expanded, holds};
use crate::safety::constant;
use regex::Regex;
use std::sync::LazyLock;

/// Nouns that follow `there is` in idioms.
const IDLE_THERE: &str = "no nothing need rush problem problems worries hurry way point hope reason doubt chance always more plenty \
                          something anything one time room someone everyone pressure harm place excuse";

/// Wordings of claims. One is no invention where the conversation has a word that it captures; what it captures as `value` may
/// also be a judgement.
static CLAIMS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let thing = "(?:it|they|everything|all|that|(?:your|the|my|our|his|her) (?:[a-z0-9]+ ){0,2}[a-z0-9]+)";
    let be = "(?:is|are|was|were)(?: not| now| still| already| all| both| currently| fully| always| almost| nearly)*";
    let state = "ready|available|unavailable|free|full|waiting|open|closed|done|gone|complete|underway|stable|raining|snowing|sunny|\
                 broken|empty|working|stuck|successful|active|valid|expired|dead|pregnant|asleep|awake|safe|vegan|halal";
    let asked = "password|code|pin|address|email|number|price|total|cost|fee|answer|rent|score|name|surname|nickname|theme|menu";
    let event = "meeting|appointment|class|exam|shift|flight|date|reservation|booking|interview|call|lecture|wedding|party|deadline|\
                 coupon|discount|voucher|receipt|table|car|dog|cat|brother|sister|son|daughter|headache|fever|cold|test|game|concert";
    let shop = "offer|sell|stock|accept|deliver|close|open|charge|ship|provide|serve|carry|specialize|specialise";
    let patterns = [
        format!("(?:{thing}) {be} (?<what>{state})"),
        format!("(?:{thing}|you) {be} (?:on (?:its|it is|the|their|his|her) (?<what>way)|out for (?<a>delivery)|(?:in|out of) (?<b>stock)|sold (?<c>out)|all (?<d>set)|up and (?<e>running)|in (?<f>progress))"),
        "we are(?: not| now| still| currently| fully)* (?<what>open|closed|full|booked|sold)".to_owned(),
        "(?:it|they|that|delivery|shipping|entry|parking|(?:the|a|our|each) [a-z]+) (?<what>costs?|cost)".to_owned(),
        format!("(?:my|the|our|your|his|her)(?: [a-z]+)? (?:{asked}) (?:is|was) (?<value>[a-z0-9]+)"),
        "there (?:is|are|was|were)(?: still| also| only)? (?<value>a|an|some|no|lots|not|plenty|free|many|several|also|only)(?: of| more| any| other| good| great| nice)? (?<what>[a-z]+)".to_owned(),
        "here (?:is|are) (?:the|your|my|some|our|a|an) [a-z]+".to_owned(),
        "(?:please find|see|i have|find) (?<what>attached)".to_owned(),
        format!("we(?: also| do| not| only| currently| always)* (?<what>{shop})"),
        format!("(?:i|we) (?:have|have got|got|already have)(?: [a-z]+)? (?:a|an|my|another)(?: [a-z]+)? (?<what>{event})"),
        "(?:it|that|mine|ours) is the (?:one|[a-z]+) (?:with|next|near|after|before|on the|at the) [a-z ]*?(?<what>[a-z]+)$".to_owned(),
        "we(?: also| do| currently)* have (?:several|many|some|lots|a variety|a wide|a range|a selection|a few|great|both|all kinds|all sorts|different|various)(?: of)? (?<what>[a-z]+)".to_owned(),
        "my name is (?<what>[a-z]+)".to_owned(),
        "(?:delivery|shipping|parking|entry|breakfast|wifi) is (?<what>free|included|available)".to_owned(),
        "(?:it|they|doors?|(?:the|your|our|my) (?:[a-z]+ )?[a-z]+) (?<what>opens|closes|starts|leaves|arrives|departs|ends|begins|boards|expires)".to_owned(),
        "(?:you|i) (?:are|am) (?:number|next) (?<what>in line)".to_owned(),
    ];
    patterns.iter().map(|pattern| constant(&format!(r"(?-u:\b)(?:{pattern})(?-u:\b)"))).collect()
});

/// Whether a clause claims a state that the conversation does not speak of.
pub(super) fn are_invented(clause: &Clause, said: &Said) -> bool {
    CLAIMS.iter().any(|pattern| {
        pattern.captures_iter(&clause.text).any(|found| {
            let begin = found.get(0).map_or(0, |whole| whole.start());
            !is_hedged(&expanded(&clause.text[..begin])) && !is_excused(pattern, &found, said)
        })
    })
}

/// Whether what was found was said before, or judges where it could tell: `the price is fine`.
fn is_excused(pattern: &Regex, found: &regex::Captures<'_>, said: &Said) -> bool {
    const JUDGED: &str =
        "fine ok okay good great right wrong correct perfect too not so very nice cool alright high low reasonable a the";
    let named = |name: &&str| !name.is_empty();
    let words = pattern.capture_names().flatten().filter(named).filter_map(|name| Some((name, found.name(name)?.as_str())));
    words.into_iter().any(|(name, word)| {
        let stem = word.trim_end_matches(['s', 'd']);
        match name {
            "value" => holds(JUDGED, word) && word != "a" || said.word(word) && word.len() > 3,
            _ if found.get(0).is_some_and(|whole| whole.as_str().starts_with("there ")) => {
                holds(IDLE_THERE, word) || said.word(word) && ["there", "any", "have"].iter().any(|asked| said.word(asked))
            }
            _ => said.word(word) || said.word(stem),
        }
    })
}
