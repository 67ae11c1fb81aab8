//! Days, dates and lengths of time in words.

use super::said::Said;
use super::sentences::{Clause, Sentence};
use regex::RegexSet;
use std::sync::LazyLock;

/// Wordings of one time.
struct Time {
    /// How a reply states it.
    stated: &'static str,
    /// How a conversation holds it.
    said: &'static str,
}

const fn named(wordings: &'static str) -> Time {
    Time { stated: wordings, said: wordings }
}

/// Words of a calendar that are also other words need one of these before them in a reply.
const ON: &str = "(?:on|this|next|last|by|until|till|til|from|every|since|in|of|and|or) ";
/// A count that is none.
const FEW: &str = "(?:a few|few|a couple of|couple of|couple|several|some) (?:more |business |working )?";

const TIMES: &[Time] = &[
    named("mondays?|mon"),
    named("tuesdays?|tues?"),
    Time { stated: "wednesdays?|weds|<on>wed", said: "wednesdays?|weds?" },
    named("thursdays?|thurs?|thu"),
    named("fridays?|fri"),
    Time { stated: "saturdays?|<on>sat", said: "saturdays?|sat" },
    Time { stated: "sundays?|<on>sun", said: "sundays?|sun" },
    Time {
        stated: "(?:this|next|last|at the|over the|on the|by the) weekend",
        said: "weekends?|saturday|sat|sunday|sun|friday|fri",
    },
    named("tomorrows?|tmrw|tmr|tmw|tomoz|tomo|tomorow|tommorow|tommorrow|2moro|2morrow|2mrw"),
    Time {
        stated: "tonight|tonite|2nite|2night|this evening",
        said: "tonight|tonite|2nite|2night|evening|heute abend|ce soir|later today",
    },
    Time { stated: "yesterday|last night|last evening", said: "yesterday|last night|last evening" },
    Time { stated: "(?:this|in the|tomorrow|yesterday|every|by) morning", said: "mornings?|tomorrow|tmrw|night|am" },
    Time { stated: "(?:this|in the|tomorrow|yesterday|every|by) afternoon", said: "afternoons?|pm" },
    Time { stated: "(?:in the|tomorrow|yesterday|every|by) evening", said: "evenings?|tonight|tonite|pm" },
    Time { stated: "noon|midday", said: "noon|midday|12|twelve" },
    Time { stated: "(?:at|by|around|until|till|before|after) midnight", said: "midnight|12|twelve" },
    Time { stated: "(?:this|next|last|every|end of the) week", said: "weeks?" },
    Time { stated: "(?:this|next|last|every|end of the) month", said: "months?" },
    Time { stated: "(?:end of|later in|rest of|close of) (?:the |your |my )?(?:day|business|play)", said: "days?|today" },
    Time { stated: "(?:this|next|last) year", said: "years?" },
    Time {
        stated: "(?:in|this|next|last|in the) (?:spring|summer|autumn|winter|fall)",
        said: "spring|summer|autumn|winter|fall",
    },
    named("january|jan"),
    named("february|feb"),
    Time { stated: "<on>march|march [0-9]+|[0-9]+(?:st|nd|rd|th)? march", said: "march|mar" },
    Time { stated: "<on>april|april [0-9]+|apr", said: "april|apr" },
    Time { stated: "<on>may|may [0-9]+(?:st|nd|rd|th)?|[0-9]+(?:st|nd|rd|th)? may", said: "may" },
    Time { stated: "<on>june|june [0-9]+|<on>jun", said: "june|jun" },
    named("july|jul"),
    Time { stated: "<on>august|august [0-9]+|<on>aug", said: "august|aug" },
    named("september|sept|sep"),
    named("october|oct"),
    named("november|nov"),
    named("december|dec"),
    named("christmas|xmas|boxing day"),
    named("easter"),
    named("halloween|thanksgiving|diwali|ramadan|hanukkah|valentine's|valentines"),
    named("new year|new year's|new years"),
    Time { stated: "<few>(?:minutes|mins)", said: "min|mins|minutes?" },
    Time { stated: "<few>(?:hours|hrs)", said: "hr|hrs|hours?" },
    Time { stated: "<few>days", said: "days?" },
    Time { stated: "<few>weeks", said: "weeks?" },
    Time { stated: "<few>months", said: "months?" },
    Time { stated: "<few>years", said: "years?" },
    Time {
        stated: "(?:will|going to|gonna|arrives?|arriving|delivered|shipped|closed?|opens?|due|ready)(?: [a-z]+){0,5} today",
        said: "today|now|this (?:morning|afternoon|evening)|tonight",
    },
];

static STATED: LazyLock<RegexSet> = LazyLock::new(|| compiled(|time| time.stated));
static SAID: LazyLock<RegexSet> = LazyLock::new(|| compiled(|time| time.said));

fn compiled(wordings: impl Fn(&Time) -> &'static str) -> RegexSet {
    let pattern = |time| format!(r"(?-u:\b)(?:{})(?-u:\b)", wordings(time).replace("<on>", ON).replace("<few>", FEW));
    RegexSet::new(TIMES.iter().map(pattern)).unwrap_or_else(|e| unreachable!("{e}"))
}

/// Indices of the times that a message holds.
pub(super) fn said(plain: &str) -> impl Iterator<Item = usize> {
    SAID.matches(plain).into_iter()
}

/// Whether a clause states a time that the conversation does not hold. To ask for one or to suggest one is no statement.
pub(super) fn are_invented(sentence: &Sentence, said: &Said) -> bool {
    let states = |clause: &&Clause| !clause.asks && !clause.proposes;
    sentence.clauses.iter().filter(states).any(|clause| STATED.matches(&clause.text).iter().any(|index| !said.time(index)))
}
