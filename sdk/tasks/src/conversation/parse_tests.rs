use super::{Conversation, Speaker};
use proptest::prelude::*;

/// `C text` or `A text`, a line a message.
fn shown(conversation: &Conversation) -> Vec<String> {
    conversation.turns.iter().map(|t| format!("{} {}", &t.speaker.name()[..1].to_uppercase(), t.text)).collect()
}

#[test]
fn forms_that_are_read() {
    struct Case {
        input: &'static str,
        turns: &'static [&'static str],
    }
    let cases = [
        Case { input: "", turns: &[] },
        Case { input: " \n\t\n", turns: &[] },
        Case { input: "[]", turns: &[] },
        Case { input: "Is it open today?", turns: &["C Is it open today?"] },
        Case { input: "Note: we close at six", turns: &["C Note: we close at six"] },
        Case { input: "Two things.\nBring cash: no cards.", turns: &["C Two things.\nBring cash: no cards."] },
        Case { input: "See http://example.org at 12:30", turns: &["C See http://example.org at 12:30"] },
        Case { input: "customer: hi\nagent: hello", turns: &["C hi", "A hello"] },
        Case { input: "\u{feff}Customer: hi\r\n\r\nAGENT :  hello\r\n", turns: &["C hi", "A hello"] },
        Case { input: "user: hi\nassistant: hello\nuser: bye", turns: &["C hi", "A hello", "C bye"] },
        Case { input: "user: hi\ncustomer: me again\nagent: yes?", turns: &["C hi", "C me again", "A yes?"] },
        Case { input: "agent: welcome\nAnna: thanks", turns: &["A welcome", "C thanks"] },
        Case { input: "Anna: hi\nme: hello\nAnna: lunch?", turns: &["C hi", "A hello", "C lunch?"] },
        Case { input: "me: hi\nAnna: hello", turns: &["A hi", "C hello"] },
        Case { input: "Anna B.: hi\nBob: hello", turns: &["C hi", "A hello"] },
        Case { input: "me: hi\nagent: hello", turns: &["C hi", "A hello"] },
        Case { input: "customer: one\n  two: 2\nagent: ok", turns: &["C one\ntwo: 2", "A ok"] },
        Case { input: "customer: one\n\tand more\nagent:", turns: &["C one\nand more", "A "] },
        Case { input: "customer: at 12:30, http://x.org", turns: &["C at 12:30, http://x.org"] },
        Case { input: r#"[{"role":"user","content":"hi"},{"role":"assistant","content":"hello"}]"#, turns: &["C hi", "A hello"] },
        Case { input: r#"[{"speaker":"agent","text":"hi"},{"speaker":"customer","text":"hello"}]"#, turns: &["A hi", "C hello"] },
        Case { input: r#"{"turns":[{"speaker":"customer","text":"hi"}]}"#, turns: &["C hi"] },
        Case {
            input: r#" {"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"text":"b"}]}]}"#,
            turns: &["C a\nb"],
        },
        Case { input: r#"[{"role":"user","content":null}]"#, turns: &["C "] },
    ];
    for case in cases {
        let read = Conversation::parse(case.input).unwrap_or_else(|e| panic!("{:?}: {e}", case.input));
        assert_eq!(shown(&read), case.turns, "{:?}", case.input);
    }
}

#[test]
fn system_messages_become_instructions() {
    let json =
        r#"[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"},{"role":"developer","content":"Be kind."}]"#;
    let read = Conversation::parse(json).unwrap();
    assert_eq!(shown(&read), ["C hi"]);
    assert_eq!(read.instructions.as_deref(), Some("Be brief.\nBe kind."));
}

#[test]
fn errors_say_the_place_and_what_was_expected() {
    struct Case {
        input: &'static str,
        says: &'static [&'static str],
    }
    let cases = [
        Case { input: "hello there\nagent: hi", says: &["line 1", "`speaker: text`", "hello there"] },
        Case { input: "customer: hi\n\nso what", says: &["line 3", "`customer: ..`", "so what"] },
        Case {
            input: "customer: hi\nagent: hello\nBob: me too",
            says: &["line 3", "third speaker, `Bob`", "`customer` or `agent`"],
        },
        Case { input: "[{\"role\":\"user\",\n \"content\": }]", says: &["line 2, column 13", "\"role\": \"customer\""] },
        Case { input: "[ok] fine", says: &["line 1, column 2"] },
        Case { input: "{\"text\":\"hi\"}", says: &["the conversation", "`messages` or `turns`", "an object with `text`"] },
        Case { input: "[\"hi\"]", says: &["message 1", "an object such as", "the string \"hi\""] },
        Case { input: r#"[{"role":"user","content":"a"},{"content":"b"}]"#, says: &["message 2", "`role` or `speaker`"] },
        Case { input: r#"[{"role":"user"}]"#, says: &["message 1", "`content` or `text`", "an object with `role`"] },
        Case { input: r#"[{"role":3,"content":"a"}]"#, says: &["message 1", "a name under `role`", "`3`"] },
        Case { input: r#"[{"role":"user","content":7}]"#, says: &["message 1", "a string under `content`", "`7`"] },
        Case { input: r#"[{"role":"user","content":[{"type":"image"}]}]"#, says: &["message 1", "parts of the form"] },
        Case {
            input: r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"tool","content":"c"}]"#,
            says: &["message 3", "third speaker, `tool`"],
        },
    ];
    for case in cases {
        let message = Conversation::parse(case.input).expect_err(case.input).to_string();
        for part in case.says {
            assert!(message.contains(part), "{:?}\nsays {message:?}\nwithout {part:?}", case.input);
        }
    }
}

proptest! {
    #[test]
    fn no_text_brings_it_down(text in "(?s).{0,200}") {
        let _ = Conversation::parse(&text);
        let _ = Conversation::parse_lines(&text);
        let _ = Conversation::parse_json(&text);
    }

    #[test]
    fn what_was_written_as_lines_is_read_back(said in prop::collection::vec((prop::bool::ANY, "[a-z]{1,8}( [a-z]{1,8}){0,4}[.?!]"), 1..12)) {
        let lines: Vec<String> = said.iter().map(|(c, t)| format!("{}: {t}", if *c { "customer" } else { "agent" })).collect();
        let read = Conversation::parse(&lines.join("\n")).unwrap();
        let back: Vec<(bool, String)> = read.turns.into_iter().map(|t| (t.speaker == Speaker::Customer, t.text)).collect();
        prop_assert_eq!(back, said);
    }
}
