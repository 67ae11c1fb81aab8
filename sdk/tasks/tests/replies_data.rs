//! The shipped bank of replies and the messages that smart reply is measured on keep their rules.

use kinglet_tasks::Conversation;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const BANK: &str = include_str!("../../../models/goldcrest/bank.txt");
const MESSAGES: &str = include_str!("../../../models/evaluation/replies/messages.jsonl");
const TRAINING: &str = include_str!("../../../models/recipes/goldcrest/messages.txt");

const MOST_CHARS: usize = 80;
const TONES: [&str; 2] = ["casual", "polite"];
const SLOTS: [&str; 4] = ["{time}", "{day}", "{place}", "{name}"];
/// What nobody may be made to say unasked: that something is done.
const DONE: [&str; 8] =
    ["ve booked", "have booked", "is booked", "ve sent", "been sent", "been refunded", "ve ordered", "ve paid"];

/// A text as it is compared with others: its words in small letters, or the text itself where it has none.
fn same_as(text: &str) -> String {
    let kept: String = text.to_lowercase().chars().filter(|c| !['\'', '\u{2019}'].contains(c)).collect();
    let words: Vec<&str> = kept.split(|c: char| !c.is_alphanumeric() && c != '{').filter(|w| !w.is_empty()).collect();
    if words.is_empty() { text.to_owned() } else { words.join(" ") }
}

/// What is wrong with a line of a group.
fn faults_of_line(tone: &str, line: &str) -> Vec<&'static str> {
    let bare = SLOTS.iter().fold(line.to_owned(), |text, slot| text.replace(slot, ""));
    let low = line.to_lowercase();
    let checks = [
        (line != line.trim(), "white space around it"),
        (line.chars().count() > MOST_CHARS, "too long"),
        (line.chars().any(char::is_numeric), "a number"),
        (bare.contains(['{', '}']), "an unknown slot"),
        (DONE.iter().any(|done| low.contains(done)), "a finished action"),
        (low.contains("http") || low.contains("www."), "an address"),
        (tone == "polite" && !line.ends_with(['.', '?', '!']), "no mark at the end"),
    ];
    checks.into_iter().filter(|(wrong, _)| *wrong).map(|(_, what)| what).collect()
}

/// What is wrong with a bank, one sentence each.
fn faults(bank: &str) -> Vec<String> {
    let mut found = vec![];
    let mut group: Option<(&str, &str)> = None;
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut tones: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (line, number) in bank.lines().zip(1..).filter(|(line, _)| !line.is_empty()) {
        if let Some(heading) = line.strip_prefix("# ") {
            group = heading.split_once(' ').filter(|(_, tone)| TONES.contains(tone));
            match group {
                Some((intent, tone)) if tones.entry(intent).or_default().insert(tone) => {}
                Some(_) => found.push(format!("line {number}: the group is there already")),
                None => found.push(format!("line {number}: a heading is `# intent tone`")),
            }
            continue;
        }
        let Some((_, tone)) = group else {
            found.push(format!("line {number}: outside of a group"));
            continue;
        };
        found.extend(faults_of_line(tone, line).iter().map(|fault| format!("line {number}: {fault}")));
        if let Some(before) = seen.insert(same_as(line), number) {
            found.push(format!("line {number}: the same as line {before}"));
        }
    }
    found.extend(tones.iter().filter(|(_, of)| of.len() < TONES.len()).map(|(intent, _)| format!("{intent}: one tone only")));
    found
}

#[test]
fn the_bank_keeps_its_rules() {
    assert_eq!(faults(BANK), Vec::<String>::new());
    let replies = BANK.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).count();
    assert!((1500..=3000).contains(&replies), "{replies} replies");
}

#[test]
fn a_fault_in_a_bank_is_found() {
    struct Case {
        line: &'static str,
        fault: &'static str,
    }
    let cases = [
        Case { line: "Yes.", fault: "line 3: the same as line 2" },
        Case { line: "yes", fault: "line 3: the same as line 2" },
        Case { line: " No", fault: "line 3: white space around it" },
        Case { line: "At 5", fault: "line 3: a number" },
        Case { line: "At {hour}", fault: "line 3: an unknown slot" },
        Case { line: "At time}", fault: "line 3: an unknown slot" },
        Case { line: "I've booked it", fault: "line 3: a finished action" },
        Case { line: "See www.example.org", fault: "line 3: an address" },
        Case { line: "# agree", fault: "line 3: a heading is `# intent tone`" },
        Case { line: "# agree rude", fault: "line 3: a heading is `# intent tone`" },
        Case { line: "# agree casual", fault: "line 3: the group is there already" },
    ];
    for Case { line, fault } in cases {
        let bank = format!("# agree casual\nYes\n{line}\n\n# agree polite\nVery well.\n");
        assert!(faults(&bank).contains(&fault.to_owned()), "{line:?}: {:?}", faults(&bank));
    }
    let long = format!("# agree casual\n{}\n# agree polite\nVery well\n", "y".repeat(MOST_CHARS + 1));
    assert_eq!(faults(&long), ["line 2: too long", "line 4: no mark at the end"]);
    assert_eq!(faults("Yes\n# agree casual\nNo\n"), ["line 1: outside of a group", "agree: one tone only"]);
    assert_eq!(faults("# agree casual\nAt {time}\n# agree polite\n{day} is fine.\n"), Vec::<String>::new());
}

#[test]
fn every_message_of_the_evaluation_is_a_conversation_to_answer() {
    let rows: Vec<Value> = MESSAGES.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let before = |row: &Value| row["turns"].as_array().unwrap().len() - 1;
    assert_eq!((rows.len(), rows.iter().filter(|row| before(row) > 0).count()), (300, 100));
    let mut ids = BTreeSet::new();
    let mut texts = BTreeSet::new();
    for row in &rows {
        let id = row["id"].as_str().unwrap();
        assert!(ids.insert(id), "{id} is there twice");
        assert!(texts.insert(row["turns"].to_string()), "{id} is a conversation that is there already");
        assert!(before(row) <= 2, "{id}");
        assert_eq!(row["turns"][before(row)]["speaker"], "them", "{id}");
        let talk = Conversation::parse_json(&row.to_string()).unwrap_or_else(|e| panic!("{id}: {e}"));
        let last = talk.turns.last().unwrap();
        assert_eq!((talk.turns.len(), talk.next_speaker()), (before(row) + 1, last.speaker.other()), "{id}");
        assert!(row["answerable"].is_boolean() && row["sensitive"].is_boolean(), "{id}");
        assert!(["must", "must_not"].iter().all(|note| row[note].as_str().is_some_and(|n| !n.is_empty())), "{id}");
    }
}

/// What stands between the messages of a conversation in the training messages.
const BEFORE: &str = " > ";

/// Headings of the training messages that name an intent which the bank lacks, and lines that are also in `kept`.
fn faults_of_training(training: &str, bank: &str, kept: &BTreeSet<String>) -> Vec<String> {
    let intents: BTreeSet<&str> = bank.lines().filter_map(|line| line.strip_prefix("# ")?.split(' ').next()).collect();
    let mut found = vec![];
    for line in training.lines() {
        match line.strip_prefix("# ") {
            Some("none") => {}
            Some(named) => found.extend(named.split(' ').filter(|intent| !intents.contains(intent)).map(str::to_owned)),
            None if kept.contains(&same_as(line)) => found.push(line.to_owned()),
            None => {}
        }
    }
    found
}

#[test]
fn no_message_of_the_evaluation_is_trained_on() {
    let rows = MESSAGES.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut kept = BTreeSet::new();
    for row in rows {
        let texts: Vec<&str> = row["turns"].as_array().unwrap().iter().map(|turn| turn["text"].as_str().unwrap()).collect();
        kept.extend([same_as(texts.last().unwrap()), same_as(&texts.join(BEFORE))]);
    }
    assert_eq!(faults_of_training(TRAINING, BANK, &kept), Vec::<String>::new());
    let leaked = "# agree nod\nShall we?\nU There\n# none\nhi > U There\n";
    assert_eq!(faults_of_training(leaked, "# agree casual\nYes\n", &kept), ["nod", "U There"]);
}
