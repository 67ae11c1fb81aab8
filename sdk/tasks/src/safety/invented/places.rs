//! Where something or someone is said to be, and addresses.

use super::said::Said;
use super::sentences::{Clause, Sentence, holds};
use crate::safety::constant;
use regex::Regex;
use std::sync::LazyLock;

const PLACES: &str = "station|airport|office|school|gym|pub|bar|restaurant|cafe|shop|store|supermarket|mall|market|hotel|hospital|\
                      library|park|beach|church|cinema|theater|theatre|stadium|museum|bank|bakery|kitchen|garden|garage|bathroom|\
                      bedroom|lobby|reception|entrance|desk|counter|porch|stop|corner|drawer|fridge|freezer|car|train|bus|flat|\
                      apartment|house|pool|court|field|pitch|club|clinic|surgery|pharmacy|salon|warehouse|depot|terminal|gate|\
                      platform|hall|campus|university|college|farm|lake|river|mountains?|cupboard|shed|attic|basement|hallway|\
                      window|table|balcony|terrace|square|tower|bridge|floor|room|building|lift|elevator|driveway|yard|street|harbou?r|port|centre|center|downtown|suburbs?";
/// What follows a preposition and is no place.
const NO_PLACES: &str = "way mood moment list end case weekend right left same best edge ball cards middle meantime rest morning \
                         afternoon evening night house loop know team job clock point limit phone line future past internet \
                         agenda menu mend go dot road fence head heart mind life world day week month year time idea hope track \
                         thoughts prayers hands plan works side fault thing name conversation message problem question air process works";

/// Whether a statement names a place that the conversation does not hold.
pub(super) fn are_invented(sentence: &Sentence, said: &Said) -> bool {
    sentence.clauses.iter().any(|clause| {
        is_address(clause, said)
            || !clause.asks && (is_at(clause, said) || is_whereabouts(clause, said) || is_position(clause, said))
    })
}

/// Whether what a pattern captures as `place` somewhere in a clause was not said, and is none of `excused`.
fn is_unsaid(pattern: &Regex, clause: &Clause, said: &Said, excused: &str) -> bool {
    let places = pattern.captures_iter(&clause.text).filter_map(|found| found.name("place"));
    places.map(|place| place.as_str()).any(|place| !said.word(place) && !holds(excused, place))
}

/// `on Main Street`, `12 oak road`.
fn is_address(clause: &Clause, said: &Said) -> bool {
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| {
        let kinds = "street|avenue|ave|lane|boulevard|blvd|road|rd|crescent";
        constant(&format!(
            r"(?-u:\b)(?:(?:on|at|in|to|near|of|is|[0-9]+) |^)(?<place>[a-z]+|[0-9]+(?:st|nd|rd|th)) (?:{kinds})(?-u:\b)"
        ))
    });
    is_unsaid(&ADDRESS, clause, said, "the this that my your our a same main across down whole long next other on to in")
}

/// `at the station`, `in my car`, `near the old library`.
fn is_at(clause: &Clause, said: &Said) -> bool {
    static AT: LazyLock<Regex> = LazyLock::new(|| {
        let near = "at|in|to|from|near|outside|inside|by|behind|opposite|next to|on|into|under|around|over|through";
        let whose = "the|a|an|my|your|our|his|her|their|this";
        constant(&format!(r"(?-u:\b)(?:{near}) (?:{whose})(?: [a-z]+){{0,2}}? (?<place>{PLACES})(?-u:\b)"))
    });
    is_unsaid(&AT, clause, said, "")
}

/// `I am at home`, `we are in town`, `I live in Leeds`.
fn is_whereabouts(clause: &Clause, said: &Said) -> bool {
    static WHEREABOUTS: LazyLock<Regex> = LazyLock::new(|| {
        let someone = "(?:i|we|he|she|they|it|am|still|already|just|now)";
        let be = "(?:am|is|are|was|were|got|arrived|here|still|already|now|just)";
        let at = "(?:at home|home|at work|at school|at church|at uni|at college|in town|in bed|in hospital|abroad|outside|downstairs|upstairs|next door)";
        let live = "(?:live|lives|living|located|based|situated)";
        constant(&format!(
            r"(?-u:\b)(?:{someone} {be}(?: not)?(?: still| already| just| now)? {at}$|{someone} {be}(?: still| just)? (?:at|in) (?:home|work|school|church|uni|college|town|bed|hospital)(?-u:\b)|{live} (?:in|at|on|near|next to)(?: the| a)? [a-z]+)"
        ))
    });
    let hedged = |end: usize| clause.text[..end].split(' ').any(|word| holds("if when once until till after before", word));
    WHEREABOUTS.captures_iter(&clause.text).filter(|found| !hedged(found.get(0).map_or(0, |whole| whole.start()))).any(|found| {
        let last = found[0].rsplit(' ').next().unwrap_or_default().to_owned();
        !said.word(&last) && !holds("door edge own", &last)
    })
}

/// `it is in the fridge`, `your keys are under the mat`.
fn is_position(clause: &Clause, said: &Said) -> bool {
    static POSITION: LazyLock<Regex> = LazyLock::new(|| {
        let near = "in|on|at|under|behind|by|next to|near|inside|outside|opposite|above|below|beside";
        constant(&format!(
            r"(?-u:\b)[a-z]+ (?:is|are|was|were|am)(?: still| just| now| right| all| not)? (?:{near}) (?:the|my|your|our|his|her|a) (?:[a-z]+ )??(?<place>[a-z]+?)(?: too| now| already| still| again)?$"
        ))
    });
    let subject = clause.words.first().map_or("", String::as_str);
    !holds("if when let", subject) && is_unsaid(&POSITION, clause, said, NO_PLACES)
}
