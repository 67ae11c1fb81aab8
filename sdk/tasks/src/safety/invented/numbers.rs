//! Numbers in digits and words, read so that `7`, `seven`, `7pm` and `7:00` are one.

use super::Invention;
use super::said::Said;
use super::sentences::{Sentence, holds};
use crate::safety::constant;
use regex::Regex;
use std::sync::LazyLock;

/// What a number can be read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reading {
    /// Hundredths: `2.50` is 250.
    Value(u64),
    /// Minutes after noon or midnight, below 720.
    Clock(u32),
}

/// A number in a text.
struct Quantity {
    readings: Vec<Reading>,
    is_time: bool,
}

struct Token<'a> {
    text: &'a str,
    /// Whether nothing stands between it and the token before.
    is_joined: bool,
}

const UNITS: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] = ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const ORDINALS: [&str; 13] =
    ["", "", "", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"];
/// Letters that may follow digits at once and leave them a number; `2nite` is none.
const SUFFIXES: &str = "am pm a p st nd rd th k m h hr hrs min mins lb lbs oz kg g km cm mm ml l x s d c f ish pm's gb mb w";
const TIME_UNITS: &str = "am pm a.m p.m a.m. p.m. o'clock oclock min mins minute minutes hr hrs hour hours h day days week weeks \
                          month months year years yr yrs night nights sec secs second seconds january february april june july \
                          august september october november december jan feb mar apr jun jul aug sept sep oct nov dec ish";
const BEFORE_TIMES: &str = "at by around until till til before after @ since";

/// The kind of the first number that the conversation does not hold.
pub(super) fn invented(sentence: &Sentence, said: &Said) -> Option<Invention> {
    let quantities = read(&sentence.plain, false);
    let made_up = quantities.iter().find(|quantity| !said.number(&quantity.readings))?;
    Some(if made_up.is_time { Invention::Time } else { Invention::Number })
}

/// All readings of all numbers of a message, also of words that only suggest one: `both`, `once`.
pub(super) fn loosely(plain: &str) -> Vec<Reading> {
    let suggested = |word: &str| match word {
        "one" | "once" | "single" | "first" | "an" | "1st" => Some(1),
        "both" | "couple" | "twice" | "pair" | "second" | "double" => Some(2),
        _ => None,
    };
    let words = plain.split(|c: char| !c.is_alphanumeric()).filter_map(suggested).map(|n| Reading::Value(n * 100));
    read(plain, true).into_iter().flat_map(|quantity| quantity.readings).chain(words).collect()
}

/// The numbers of a text. What is no claim in a reply, such as `100%` or the `2` of `2 u`, is left out unless `all` are
/// asked for.
fn read(plain: &str, all: bool) -> Vec<Quantity> {
    static TOKEN: LazyLock<Regex> = LazyLock::new(|| constant(r"[0-9]+(?:[.,:][0-9]+)*|\p{L}+(?:['.]\p{L}+)*|[^\s0-9\p{L}]"));
    let mut end = 0;
    let tokens: Vec<Token<'_>> = TOKEN
        .find_iter(plain)
        .map(|found| {
            let is_joined = found.start() == end && end > 0;
            end = found.end();
            Token { text: found.as_str(), is_joined }
        })
        .collect();
    let mut found = vec![];
    let mut at = 0;
    while at < tokens.len() {
        let (quantity, used) = at_token(&tokens, at, all);
        found.extend(quantity);
        at += used.max(1);
    }
    found
}

/// The number that begins at a token, and how many tokens it takes.
fn at_token(tokens: &[Token<'_>], at: usize, all: bool) -> (Option<Quantity>, usize) {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    let before = if at == 0 { "" } else { text(at - 1) };
    if let Some((readings, used)) = clock_in_words(tokens, at) {
        return (Some(Quantity { readings, is_time: true }), used);
    }
    let (readings, used) = match tokens[at].text {
        "a" | "an" if before != "half" => match length_of_one(before, text(at + 1)) {
            true => (vec![Reading::Value(100)], 2),
            false => return (None, 1),
        },
        digits if digits.starts_with(|c: char| c.is_ascii_digit()) => {
            if !all && (is_joined_to_word(tokens, at) || is_figure_of_speech(tokens, at)) {
                return (None, 1 + idle_after(tokens, at));
            }
            (readings_of_digits(digits, text(at + 1)), 1)
        }
        _ => match number_in_words(tokens, at) {
            Some((value, used)) => {
                let compound = text(at + used) == "-" && !holds(TIME_UNITS, text(at + used + 1)) && text(at + used + 1) != "star";
                let compound = compound && tokens[at + used..].iter().take(2).all(|token| token.is_joined);
                let idle = !all && (compound || used == 1 && is_idle_word(tokens[at].text, before, text(at + 1)));
                if idle || !all && is_exaggerated(value, text(at + used)) {
                    return (None, used);
                }
                (readings_of_value(value), used)
            }
            None => return (None, 1),
        },
    };
    let after = text(at + used).trim_end_matches('.');
    let small = readings.iter().any(|reading| matches!(reading, Reading::Clock(_)));
    let is_time = holds(TIME_UNITS, after)
        || tokens[at].text.contains(':')
        || small && holds(BEFORE_TIMES, before)
        || holds("an a", tokens[at].text)
        || holds(TIME_UNITS, before) && before.len() > 2;
    (Some(Quantity { readings, is_time }), used)
}

/// Whether `a` before `after` counts one: `an hour`, `in a week`; not `a day`.
fn length_of_one(before: &str, after: &str) -> bool {
    after == "hour" || holds("week month year fortnight", after) && holds("in within for about", before)
}

/// `half past six`, `quarter to 7`, `half an hour`, `six thirty`, `noon`.
fn clock_in_words(tokens: &[Token<'_>], at: usize) -> Option<(Vec<Reading>, usize)> {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    let hour = |i: usize| {
        let digits = text(i).parse::<u32>().ok();
        digits
            .or_else(|| UNITS.iter().position(|unit| *unit == text(i)).and_then(|n| n.try_into().ok()))
            .filter(|h| (1..=24).contains(h))
    };
    let clock = |hours: u32, minutes: u32| vec![Reading::Clock((hours * 60 + minutes) % 720)];
    match (text(at), text(at + 1), text(at + 2)) {
        ("half", "an", "hour") => Some((vec![Reading::Value(3000)], 3)),
        ("half", "past", _) => Some((clock(hour(at + 2)?, 30), 3)),
        ("quarter", "past", _) => Some((clock(hour(at + 2)?, 15), 3)),
        ("quarter", "to", _) => Some((clock(hour(at + 2)? + 11, 45), 3)),
        (first, second, third) => {
            let hours = UNITS[1..=12].iter().position(|unit| *unit == first)?;
            let tens = ["ten", "fifteen", "twenty", "thirty", "forty", "fifty"].iter().position(|tens| *tens == second)?;
            let fives = tens > 2 && third == "five";
            let minutes = [10, 15, 20, 30, 40, 50][tens] + if fives { 5 } else { 0 };
            Some((clock(u32::try_from(hours).ok()? + 1, minutes), if fives { 3 } else { 2 }))
        }
    }
}

/// Digits inside a word: `b4`, `2nite`, `gr8`.
fn is_joined_to_word(tokens: &[Token<'_>], at: usize) -> bool {
    let is_word = |token: &Token<'_>| token.text.starts_with(char::is_alphabetic);
    let before = tokens[at].is_joined && at > 0 && (is_word(&tokens[at - 1]) || holds("< : ;", tokens[at - 1].text));
    let after = tokens.get(at + 1).is_some_and(|next| next.is_joined && is_word(next) && !holds(SUFFIXES, next.text));
    before || after
}

/// `100%`, `24/7`, `2 u`.
fn is_figure_of_speech(tokens: &[Token<'_>], at: usize) -> bool {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    idle_after(tokens, at) == 2
        || text(at) == "100" && holds("% percent", text(at + 1))
        || holds("2 4", text(at)) && holds("u me us ur b you", text(at + 1))
}

/// How many tokens after the one at `at` belong to a pair such as `24/7`.
fn idle_after(tokens: &[Token<'_>], at: usize) -> usize {
    let pair: Vec<&str> = tokens[at..].iter().take(3).map(|token| token.text).collect();
    if [["24", "/", "7"], ["10", "/", "10"], ["50", "/", "50"], ["100", "/", "10"]].iter().any(|idle| pair == idle) {
        2
    } else {
        0
    }
}

/// A number word that counts nothing: `that one`, `you two`, `one of us`.
fn is_idle_word(word: &str, before: &str, after: &str) -> bool {
    match word {
        "zero" => true,
        "one" => !(before == "at" || holds("hour week month year dollar pound euro o'clock pm am hundred percent night", after)),
        "two" => holds("you us these those the", before) || holds("of cents ticks secs shakes", after),
        "five" => before == "high",
        _ => false,
    }
}

/// `a million thanks`, `a hundred percent`.
fn is_exaggerated(value: u64, after: &str) -> bool {
    value >= 100 && value.is_multiple_of(100) && holds("times thanks apologies percent % per things reasons", after)
}

/// Digits as a value, and as a time of day where they can be one.
fn readings_of_digits(digits: &str, after: &str) -> Vec<Reading> {
    let mut readings = vec![];
    let parts: Vec<u32> = digits.split([':', '.', ',']).filter_map(|part| part.parse().ok()).collect();
    if let [hours @ 0..=24, minutes @ 0..=59, ..] = parts[..] {
        readings.push(Reading::Clock((hours * 60 + minutes) % 720));
    }
    if !digits.contains(':') {
        let thousand = if after == "k" { 1000.0 } else { 1.0 };
        // A comma before three digits parts thousands.
        let value = digits.replace(',', "").parse::<f64>().map_or(0.0, |value| value * thousand * 100.0);
        // Saturates, which keeps very long numbers apart from all others that are not as long.
        readings.push(Reading::Value(value.round() as u64));
    }
    if let [hours @ 0..=24] = parts[..] {
        readings.push(Reading::Clock(hours * 60 % 720));
    }
    readings
}

fn readings_of_value(value: u64) -> Vec<Reading> {
    let clock = u32::try_from(value).ok().filter(|hours| *hours <= 24).map(|hours| Reading::Clock(hours * 60 % 720));
    [Some(Reading::Value(value.saturating_mul(100))), clock].into_iter().flatten().collect()
}

/// The value of the number words from a token on, and how many tokens they are: `two hundred and five`, `a dozen`.
fn number_in_words(tokens: &[Token<'_>], at: usize) -> Option<(u64, usize)> {
    let text = |i: usize| tokens.get(i).map_or("", |token| token.text);
    let (mut total, mut current, mut used) = (0u64, None::<u64>, 0);
    loop {
        let word = text(at + used);
        let index = |list: &[&str]| list.iter().position(|listed| !listed.is_empty() && *listed == word).map(|n| n as u64);
        let follows_tens = current.is_some_and(|n| n % 100 >= 20 && n % 10 == 0 || n >= 100 && n.is_multiple_of(100));
        match (index(&UNITS), index(&TENS), word) {
            (Some(unit), ..) if current.is_none() => current = Some(unit),
            (Some(unit), ..) if follows_tens && (unit < 10 || current.is_some_and(|n| n % 100 == 0)) => {
                current = current.map(|n| n.saturating_add(unit))
            }
            (_, Some(tens), _) if current.is_none_or(|n| n >= 100 && n.is_multiple_of(100)) => {
                current = Some(current.unwrap_or(0).saturating_add(tens * 10))
            }
            (.., "hundred" | "hundreds") => current = Some(current.unwrap_or(1).saturating_mul(100)),
            (.., "dozen" | "dozens") => current = Some(current.unwrap_or(1).saturating_mul(12)),
            (.., "thousand" | "million" | "thousands" | "millions") => {
                let scale = if word.starts_with('t') { 1000 } else { 1_000_000 };
                total = total.saturating_add(current.unwrap_or(1).saturating_mul(scale));
                current = None;
            }
            (.., "and") if used > 0 && current.map_or(total, |n| n) >= 100 && UNITS.contains(&text(at + used + 1)) => {}
            (.., "-") if used > 0 && follows_tens && UNITS[1..10].contains(&text(at + used + 1)) => {}
            _ => {
                let ordinal = if used == 0 { index(&ORDINALS) } else { None };
                let value = current.or((total > 0).then_some(0));
                return value.map(|n| (total.saturating_add(n), used)).or_else(|| ordinal.map(|n| (n, 1)));
            }
        }
        used += 1;
    }
}
