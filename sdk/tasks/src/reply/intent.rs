//! What a reply does: agree, decline, ask.

use crate::wording;

/// What a reply does, recognised by how it begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intent {
    /// Agrees, confirms or accepts.
    Yes,
    /// Denies, declines or regrets.
    No,
    /// Asks something back.
    Ask,
    /// Anything else.
    Other,
}

/// Beginnings of a reply that agrees. A reply begins with one if its first words are these.
const YES: &[&str] = &[
    "yes",
    "yeah",
    "yep",
    "yup",
    "yea",
    "sure",
    "of course",
    "absolutely",
    "definitely",
    "certainly",
    "ok",
    "okay",
    "alright",
    "all right",
    "sounds good",
    "sounds great",
    "sounds perfect",
    "sounds fine",
    "that sounds good",
    "that sounds great",
    "that works",
    "works for me",
    "that will work",
    "that is fine",
    "that is right",
    "that is correct",
    "that is perfect",
    "that would be great",
    "that would be perfect",
    "that would be good",
    "that would be nice",
    "that would be fine",
    "correct",
    "right",
    "exactly",
    "indeed",
    "i agree",
    "agreed",
    "i would love",
    "i would like that",
    "looks good",
    "it looks good",
    "looks great",
    "perfect",
    "great",
    "good idea",
    "no problem",
    "my pleasure",
    "go ahead",
    "please do",
    "true",
    "i think so",
    "i do",
    "it is",
    "it does",
    "they do",
    "of course not a problem",
    "will do",
    "gladly",
    "happy to",
    "i am in",
    "count me in",
    "why not",
    "deal",
];

/// Beginnings of a reply that declines or denies.
const NO: &[&str] = &[
    "no",
    "nope",
    "nah",
    "not",
    "never",
    "none",
    "nothing",
    "sorry",
    "i am sorry",
    "i am afraid",
    "unfortunately",
    "my apologies",
    "i apologize",
    "apologies",
    "i can not",
    "we can not",
    "i could not",
    "i do not",
    "we do not",
    "i did not",
    "i would not",
    "i will not",
    "i would rather not",
    "that is not",
    "that does not",
    "that will not",
    "it is not",
    "it does not",
    "there is no",
    "there are no",
    "i have not",
    "i disagree",
    "it was not",
    "i am not",
    "we are not",
    "maybe not",
    "i doubt",
];

/// Agreements that begin with a word of denial.
const YES_DESPITE_NO: &[&str] =
    &["no problem", "not a problem", "no worries", "not at all", "no doubt", "nothing better", "never better"];

impl Intent {
    /// What `reply` does. A question alone asks; a question after `yes` or `no` does not.
    pub fn of(reply: &str) -> Self {
        let words = expanded(reply);
        let begins_with = |list: &[&str]| list.iter().any(|opening| begins(&words, opening));
        let asks = wording::plain(reply).trim_end_matches(['"', '\'', ')', ' ']).ends_with('?');
        let sentences = reply.split_inclusive(['.', '!', '?', ',']).filter(|s| !wording::is_mute(s)).count();
        if asks && sentences <= 1 {
            Self::Ask
        } else if begins_with(YES_DESPITE_NO) {
            Self::Yes
        } else if begins_with(NO) {
            Self::No
        } else if begins_with(YES) {
            Self::Yes
        } else if asks {
            Self::Ask
        } else {
            Self::Other
        }
    }
}

fn begins(words: &[String], opening: &str) -> bool {
    let mut wanted = opening.split(' ');
    let mut words = words.iter();
    wanted.all(|want| words.next().is_some_and(|word| word == want))
}

/// The words of a text with contractions written out: `can't` gives `can not`, `I'll` gives `i will`.
pub(super) fn expanded(text: &str) -> Vec<String> {
    wording::words(text)
        .iter()
        .flat_map(|word| expand(word).unwrap_or(word).split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn expand(word: &str) -> Option<&'static str> {
    CONTRACTIONS.iter().find(|(short, _)| *short == word).map(|(_, long)| *long)
}

/// Contractions as [`wording::words`] gives them, without apostrophes. Those that are words of their own (`ill`, `well`,
/// `wed`, `were`, `id`, `hell`, `shell`, `shed`) are read as the contraction, which replies hold more often.
const CONTRACTIONS: &[(&str, &str)] = &[
    ("im", "i am"),
    ("ill", "i will"),
    ("id", "i would"),
    ("ive", "i have"),
    ("youre", "you are"),
    ("youll", "you will"),
    ("youve", "you have"),
    ("youd", "you would"),
    ("were", "we are"),
    ("well", "we will"),
    ("weve", "we have"),
    ("wed", "we would"),
    ("theyre", "they are"),
    ("theyll", "they will"),
    ("hes", "he is"),
    ("shes", "she is"),
    ("its", "it is"),
    ("itll", "it will"),
    ("thats", "that is"),
    ("thatll", "that will"),
    ("thatd", "that would"),
    ("theres", "there is"),
    ("heres", "here is"),
    ("whats", "what is"),
    ("lets", "let us"),
    ("dont", "do not"),
    ("doesnt", "does not"),
    ("didnt", "did not"),
    ("isnt", "is not"),
    ("arent", "are not"),
    ("wasnt", "was not"),
    ("werent", "were not"),
    ("cant", "can not"),
    ("cannot", "can not"),
    ("couldnt", "could not"),
    ("wont", "will not"),
    ("wouldnt", "would not"),
    ("shouldnt", "should not"),
    ("havent", "have not"),
    ("hasnt", "has not"),
    ("hadnt", "had not"),
    ("aint", "is not"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intents_of_replies() {
        struct Case {
            intent: Intent,
            replies: &'static [&'static str],
        }
        let cases = [
            Case {
                intent: Intent::Yes,
                replies: &[
                    "Yes",
                    "yeah!",
                    "Yep, that's the one.",
                    "Sure, I can do that.",
                    "Of course.",
                    "OK.",
                    "That sounds great!",
                    "That's right.",
                    "No problem, I will book it.",
                    "Not a problem!",
                    "Yes, would you like anything else?",
                    "Perfect. Anything else?",
                    "That would be great, thank you.",
                    "I'd love to.",
                    "I think so.",
                    "Correct.",
                    "Works for me",
                ],
            },
            Case {
                intent: Intent::No,
                replies: &[
                    "No",
                    "nope",
                    "No, thank you.",
                    "Not today.",
                    "Sorry, we are closed.",
                    "Unfortunately it is sold out.",
                    "I can't do that.",
                    "I\u{2019}m afraid not.",
                    "I don't think so.",
                    "That's not right.",
                    "There are no seats left.",
                    "No, is there another one?",
                    "It isn't open.",
                    "I am sorry, what was the date?",
                ],
            },
            Case {
                intent: Intent::Ask,
                replies: &[
                    "What size would you like?",
                    "How many people?",
                    "Is it open today?",
                    "Can you say that again?",
                    "The one on Main Street. Is that right?",
                    "Sure?",
                    "For what time would you like it?",
                ],
            },
            Case {
                intent: Intent::Other,
                replies: &[
                    "Your table is booked.",
                    "Thank you!",
                    "Have a great day.",
                    "It costs $12.",
                    "\u{1f44d}",
                    "",
                    "Notes are on the page.",
                    "Surely they will win.",
                    "Nobody knows.",
                    "Northern lights are pretty.",
                ],
            },
        ];
        for case in cases {
            for reply in case.replies {
                assert_eq!(Intent::of(reply), case.intent, "{reply:?}");
            }
        }
    }

    #[test]
    fn contractions_are_written_out() {
        assert_eq!(expanded("I'll say it can't be."), ["i", "will", "say", "it", "can", "not", "be"]);
    }
}
