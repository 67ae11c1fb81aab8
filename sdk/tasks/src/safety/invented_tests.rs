use super::*;
use crate::conversation::{Speaker, Turn};
use proptest::prelude::*;

/// Replies after one conversation: those that make something up, and their nearest neighbours that do not.
struct Case {
    /// The last is said by the other side.
    said: &'static [&'static str],
    invented: &'static [&'static str],
    fine: &'static [&'static str],
}

fn talk(said: &[&str]) -> Conversation {
    let speaker = |i: usize| if (said.len() - i) % 2 == 1 { Speaker::Customer } else { Speaker::Agent };
    let turns = said.iter().enumerate().map(|(i, text)| Turn::new(speaker(i), *text)).collect();
    Conversation { turns, instructions: None }
}

fn check(kinds: &[Invention], cases: &[Case]) {
    let mut faults = vec![];
    for Case { said, invented: made_up, fine } in cases {
        let talk = talk(said);
        for reply in *made_up {
            let found = invented(&talk, reply);
            if !found.is_some_and(|found| kinds.contains(&found)) {
                faults.push(format!("{reply:?} after {said:?}: {found:?}"));
            }
        }
        let wrong = fine.iter().filter_map(|reply| Some(format!("{reply:?} after {said:?}: {:?}", invented(&talk, reply)?)));
        faults.extend(wrong);
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn numbers() {
    let cases = [
        Case {
            said: &["How many are coming?"],
            invented: &[
                "7",
                "Seven",
                "We are twenty-five.",
                "two hundred and five",
                "A dozen",
                "It's $8.50.",
                "30%",
                "Call 555-0137.",
                "It's our third visit.",
                "3k",
                "Would you like two or three?",
            ],
            fine: &[
                "No one, I think",
                "That one!",
                "100%!",
                "24/7 haha",
                "Just you two",
                "One sec",
                "A few",
                "A couple of us",
                "<3",
                "see u l8r, gr8 news",
                "A million thanks",
                "High five!",
                "I second that.",
                "What a two-faced thing to say",
            ],
        },
        Case {
            said: &["A table for 4 at 7pm, 2,500 in all, order 48213, 9.15 or half past six, a couple of coats and a dozen eggs"],
            invented: &["A table for five?", "Order 48214", "Was it 2,501?"],
            fine: &[
                "Four, thank you",
                "Seven o'clock is fine.",
                "19:00 then",
                "7:00",
                "twenty five hundred? Two thousand five hundred!",
                "Order 48213",
                "quarter past nine",
                "6:30",
                "Two coats and 12 eggs",
            ],
        },
    ];
    check(&[Invention::Number, Invention::Time], &cases);
}

#[test]
fn times() {
    let cases = [
        Case {
            said: &["When can you come?"],
            invented: &[
                "At seven.",
                "half past six",
                "Around 7:30 pm",
                "See you tomorrow",
                "I'll do it tonight.",
                "On Friday",
                "fri is good",
                "In ten minutes",
                "In half an hour",
                "It takes a few days.",
                "In March",
                "on may 5th",
                "Next week works",
                "At noon",
                "It arrives today.",
                "Six thirty",
                "I saw him last night.",
                "How about 7pm?",
                "I'll see you tomorrow, ok?",
            ],
            fine: &[
                "How about tomorrow?",
                "Maybe on Friday?",
                "Let's do it tonight",
                "Would next week work?",
                "In a minute",
                "One day",
                "Any day is good",
                "Have a great weekend!",
                "Good morning!",
                "I may be late",
                "I love the sun",
                "As soon as I can today",
                "What a week!",
                "Soon, I hope",
                "Are you free on Monday?",
            ],
        },
        Case {
            said: &["Lunch tmrw or fri? Or this evening, or 5 days before Christmas"],
            invented: &["Saturday is better.", "Easter is better."],
            fine: &["Tomorrow is good", "See you on Friday!", "Tonight, please", "Christmas it is", "a few days before"],
        },
    ];
    check(&[Invention::Time, Invention::Number], &cases);
}

#[test]
fn names_and_places() {
    let cases = [
        Case {
            said: &["Who is coming? And where are you?"],
            invented: &[
                "Thanks, Sarah!",
                "sarah and mike",
                "John says hi.",
                "I'm with Mr. Zabrowski.",
                "Ask at Fernsby and Sons.",
                "I'll order it on amazon",
                "I'm watching the NFL.",
                "I'm in London.",
                "paris is lovely",
                "I'm at the station.",
                "I'm at home.",
                "We're still at work.",
                "It's in the blue box.",
                "Meet me near the old library.",
                "On Main Street",
                "I live in Oxbridge.",
                "My name is Bond.",
            ],
            fine: &[
                "I'm on my way",
                "I'm here for you.",
                "Mum and Dad, I think",
                "I love Italian food!",
                "Oh, I don't know",
                "You're on the right track",
                "Happy Birthday!",
                "Thank You So Much",
                "That is SO good",
                "Will do",
                "It's in the past.",
                "Are you at the station?",
                "LOL ok",
                "Call me when you're home",
                "Get home safe",
                "I'm in!",
                "Just down the road",
                "Dear Sir or Madam",
            ],
        },
        Case {
            said: &["mias at the station with Tom's brother, home by bus"],
            invented: &["I'm at the airport.", "Is Jane there?"],
            fine: &[
                "Say hi to Mia!",
                "Tom and his brother?",
                "I'm at the station too.",
                "I'm still at home",
                "I'll wait by the bus",
            ],
        },
    ];
    check(&[Invention::Name, Invention::Place], &cases);
}

#[test]
fn deeds() {
    let cases = [
        Case {
            said: &["Can you send me the slides and lock the door?"],
            invented: &[
                "I have sent them.",
                "I've just sent it",
                "ive already locked it",
                "I called the doctor.",
                "We refunded it.",
                "Done!",
                "All done, thanks",
                "Just sent it",
                "Sent!",
                "Your table is booked.",
                "Your oat latte is ready.",
                "Order has been shipped.",
                "It's on its way.",
                "It has been moved.",
                "You are all set.",
                "You have been charged.",
                "She said it, and he paid for it.",
                "My dog died.",
                "I got the milk.",
                "That is confirmed.",
                "I sent it, ok?",
            ],
            fine: &[
                "I'll send them now",
                "Will do",
                "I'm sending it",
                "I'm on my way",
                "I need a minute",
                "I haven't sent them yet",
                "Have you sent them?",
                "I loved it",
                "I'm tired",
                "I thought so",
                "I've got plenty",
                "Got it",
                "I got your message, thanks",
                "Well done!",
                "Let me know when it's ready",
                "I hope it arrived",
                "If it is booked, yes",
                "That made me laugh",
                "I'll get it done",
                "It was a great game",
                "I'm glad you asked",
                "Consider it done",
            ],
        },
        Case {
            said: &["I booked the hotel", "did you lock the door? have u bought milk? Has it shipped?"],
            invented: &["I paid for it.", "I cleaned the kitchen."],
            fine: &["Yes, I locked it", "I bought some", "Yes, it has shipped", "Already done", "I booked it, yes"],
        },
        Case { said: &["My parcel has not arrived."], invented: &["It has arrived."], fine: &["Oh no, it hasn't arrived?"] },
    ];
    check(&[Invention::Action], &cases);
}

#[test]
fn claims() {
    let cases = [
        Case {
            said: &["Do you have this in blue? What is the wifi password?"],
            invented: &[
                "It costs a lot.",
                "It is available.",
                "The shop is closed.",
                "It's out of stock.",
                "We are fully booked.",
                "We offer free delivery.",
                "There are no tables left.",
                "Here is the report.",
                "Please find attached the form.",
                "The password is sunflower.",
                "I have a meeting.",
                "The train leaves soon.",
                "We have several kinds.",
            ],
            fine: &[
                "Is it available?",
                "I hope it is available",
                "I'm free",
                "There's no rush",
                "Here you go",
                "The price is fine",
                "I have no idea",
                "I have time",
                "We could ask",
                "The password is wrong",
                "You're ready!",
            ],
        },
        Case {
            said: &["Is it available? Is the shop open? Is there any milk? Do you deliver?"],
            invented: &["There are no eggs."],
            fine: &["Yes, it is available", "It is not open", "There is some milk", "We deliver, yes"],
        },
    ];
    check(&[Invention::Action], &cases);
}

#[test]
fn what_the_instructions_say_is_known() {
    let mut talk = talk(&["When do you close?"]);
    assert_eq!(invented(&talk, "At nine."), Some(Invention::Time));
    talk.instructions = Some("You answer for Bella's Bistro. It closes at 9 pm.".to_owned());
    assert_eq!(invented(&talk, "Bella's Bistro closes at nine."), None);
}

#[test]
fn kinds_have_words() {
    use Invention::{Action, Name, Number, Place, Time};
    let words = [Number, Time, Name, Place, Action].map(|kind| kind.to_string());
    assert_eq!(words, ["number", "time", "name", "place", "action"]);
}

proptest! {
    #[test]
    fn any_text_is_judged(said in any::<String>(), reply in "(?:\\PC{0,8}|[ .,:?'0-9]|one|two|hundred|million|half past|quarter to|I've|sent|the|is|at|Bo){0,24}") {
        let _ = invented(&Conversation::single(said.clone()), &reply);
        // What is said may be said again, but for what was asked to be done.
        let _ = invented(&Conversation::single(reply), &said);
    }
}
