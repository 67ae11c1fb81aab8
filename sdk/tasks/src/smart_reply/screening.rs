//! What must not or cannot be answered, found before the model is asked.

use super::Reason;
use crate::conversation::Conversation;
use crate::language::LanguageGate;
use crate::safety::crisis;
use crate::wording;

/// Why `conversation`, of which all messages count, gets no reply; `None` if it may get one. A crisis weighs most, in
/// whatever message of either side it is.
pub(super) fn screen(conversation: &Conversation, languages: &LanguageGate) -> Option<Reason> {
    let turns = &conversation.turns;
    let crisis = turns.iter().rev().find_map(|turn| crisis(&turn.text)).map(Reason::Crisis);
    let nothing = || is_mute(conversation).then_some(Reason::NothingToAnswer);
    let language = || languages.refuses(turns.iter().map(|turn| turn.text.as_str())).map(Reason::Language);
    crisis.or_else(nothing).or_else(language)
}

/// Whether the side that spoke last said nothing since the other did: `???` after a question of one's own asks for an answer
/// to that question, alone it asks nothing.
fn is_mute(conversation: &Conversation) -> bool {
    let speaker = conversation.next_speaker().other();
    let since = conversation.turns.iter().rev().take_while(|turn| turn.speaker == speaker);
    since.into_iter().all(|turn| wording::is_mute(&turn.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::CrisisKind;

    #[test]
    fn conversations_are_screened() {
        struct Case {
            talk: &'static str,
            reason: Option<Reason>,
        }
        let (crisis, nothing) = (|kind| Some(Reason::Crisis(kind)), Some(Reason::NothingToAnswer));
        let cases = [
            Case { talk: "Is it open today?", reason: None },
            Case { talk: "", reason: nothing },
            Case { talk: "...", reason: nothing },
            Case { talk: "customer:\nagent:  ", reason: nothing },
            Case { talk: "customer: Is it open?\ncustomer: ???", reason: None },
            Case { talk: "customer: Is it open?\nagent: Yes.\ncustomer: ...", reason: nothing },
            Case { talk: "\u{1f44d}", reason: None },
            Case { talk: "42", reason: None },
            Case { talk: "I want to kill myself", reason: crisis(CrisisKind::SelfHarm) },
            Case { talk: "customer: my husband hits me\nagent: I am so sorry.\ncustomer: ok", reason: crisis(CrisisKind::Abuse) },
            Case { talk: "agent: I can't breathe\ncustomer: !!!", reason: crisis(CrisisKind::Emergency) },
            Case { talk: "customer: This cake is to die for\nagent: Thanks!", reason: None },
            Case { talk: "\u{bf}Puede decirme cu\u{e1}nto cuesta la entrada?", reason: Some(Reason::Language("es")) },
            Case { talk: "ich will, aber: I want to die", reason: crisis(CrisisKind::SelfHarm) },
        ];
        let gate = LanguageGate::new(&["en".to_owned()]);
        for Case { talk, reason } in cases {
            let conversation = Conversation::parse(talk).unwrap().counted();
            assert_eq!(screen(&conversation, &gate), reason, "{talk:?}");
        }
    }
}
