//! The rules against replies that were labelled by hand.

use super::{Invention, invented};
use crate::conversation::Conversation;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const REPLIES: &str = include_str!("../../../../models/evaluation/replies/invented.jsonl");

/// A labelled reply.
struct Row {
    talk: Conversation,
    reply: String,
    label: Option<String>,
    held_out: bool,
}

fn rows() -> Vec<Row> {
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        Row {
            talk: Conversation::parse_json(line).unwrap(),
            reply: row["reply"].as_str().unwrap().to_owned(),
            label: row["invented"].as_str().map(str::to_owned),
            held_out: row["held_out"] == true,
        }
    };
    REPLIES.lines().map(row).collect()
}

/// What the rules said of some rows.
#[derive(Default)]
struct Counts {
    right: usize,
    missed: Vec<String>,
    wrong: Vec<String>,
    passed: usize,
    same_kind: usize,
}

impl Counts {
    fn of(rows: &[Row], judge: impl Fn(&Row) -> Option<Invention>) -> Self {
        let mut counts = Self::default();
        for row in rows {
            let found = judge(row).map(Invention::as_str);
            let last = row.talk.turns.last().map_or("", |turn| turn.text.as_str());
            let line = format!("{:?} after {last:?}: {:?}, found {found:?}", row.reply, row.label);
            match (&row.label, found) {
                (Some(label), Some(found)) => {
                    counts.right += 1;
                    counts.same_kind += usize::from(label == found);
                }
                (Some(_), None) => counts.missed.push(line),
                (None, Some(_)) => counts.wrong.push(line),
                (None, None) => counts.passed += 1,
            }
        }
        counts
    }

    fn precision(&self) -> f64 {
        self.right as f64 / (self.right + self.wrong.len()).max(1) as f64
    }

    fn recall(&self) -> f64 {
        self.right as f64 / (self.right + self.missed.len()).max(1) as f64
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let invented = self.right + self.missed.len();
        let others = self.passed + self.wrong.len();
        let (precision, recall) = (self.precision(), self.recall());
        writeln!(
            f,
            "{invented} invented, {others} not; precision {precision:.3}, recall {recall:.3}, kind right {}",
            self.same_kind
        )?;
        self.missed.iter().try_for_each(|line| writeln!(f, "  missed {line}"))?;
        self.wrong.iter().try_for_each(|line| writeln!(f, "  wrong {line}"))
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "it is a report")]
fn labelled_replies_are_told_apart() {
    let (held_out, seen): (Vec<Row>, Vec<Row>) = rows().into_iter().partition(|row| row.held_out);
    let judge = |row: &Row| invented(&row.talk, &row.reply);
    let (seen, held_out) = (Counts::of(&seen, judge), Counts::of(&held_out, judge));
    let report = format!("fitted on: {seen}held out: {held_out}");
    println!("{report}");
    assert!(seen.precision() >= 0.9 && seen.recall() >= 0.9, "{report}");
    assert!(held_out.precision() >= 0.9 && held_out.recall() >= 0.9, "{report}");
}

#[test]
fn a_judge_that_refuses_all_or_nothing_is_seen() {
    let rows = rows();
    let (all, nothing) = (Counts::of(&rows, |_| Some(Invention::Action)), Counts::of(&rows, |_| None));
    assert!(all.precision() < 0.7 && nothing.recall() == 0.0, "{all}{nothing}");
}

#[test]
fn the_set_keeps_its_form() {
    let mut halves: BTreeMap<(bool, bool), usize> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for row in rows() {
        let known = ["number", "time", "name", "place", "action"];
        assert!(row.label.as_deref().is_none_or(|label| known.contains(&label)), "{:?}", row.label);
        assert!(seen.insert(format!("{:?} {}", row.talk, row.reply)), "{:?} is there twice", row.reply);
        *halves.entry((row.held_out, row.label.is_some())).or_default() += 1;
    }
    assert_eq!(halves.len(), 4);
    assert!(halves.values().all(|count| *count >= 50), "{halves:?}");
}
