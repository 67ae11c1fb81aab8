//! Many conversations with candidates: a line of scores each, and a summary where the right answers are known.

use crate::arguments::Common;
use crate::conversation;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Output;
use crate::progress::Progress;
use kinglet::{CancelHandle, CandidateScore, Conversation};
use serde::Deserialize;
use serde_json::Value;
use std::io::Write;
use std::time::Instant;

/// A line of the file.
#[derive(Deserialize)]
struct Line {
    turns: Value,
    candidates: Vec<String>,
    #[serde(default)]
    answer: Option<usize>,
}

struct Case {
    conversation: Conversation,
    candidates: Vec<String>,
    answer: Option<usize>,
}

pub(super) fn run(common: &Common, source: Source<'_>, out: &mut Output) -> Result<(), Failure> {
    let lines = source.lines()?;
    let model = common.open_ready()?;
    let progress = Progress::bar(common, lines.len() as u64, "scoring");
    let (mut summary, started) = (Summary::default(), Instant::now());
    for (number, line) in &lines {
        let place = |reason: String| Failure::failed(format!("line {number} of {source}: {reason}"));
        let case = parse(line).map_err(place)?;
        let scores = model.score_replies(&case.conversation, &case.candidates, &CancelHandle::default());
        let scores = scores.map_err(|error| place(error.to_string()))?;
        out.json(&scores)?;
        summary.add(&scores, case.answer);
        progress.advance();
    }
    drop(progress);
    summary.seconds = started.elapsed().as_secs_f64();
    if summary.answered > 0 && !common.quiet {
        // The scores are written; a stderr that takes no summary loses nothing else.
        let _ = writeln!(anstream::stderr(), "{summary}");
    }
    Ok(())
}

fn parse(line: &str) -> Result<Case, String> {
    let form = "{\"turns\":[{\"speaker\",\"text\"}],\"candidates\":[..]}";
    let Line { turns, candidates, answer } = serde_json::from_str(line).map_err(|error| format!("expected {form}: {error}"))?;
    let conversation = conversation::of_json(&turns)?;
    if candidates.is_empty() {
        return Err("there are no candidates; give at least one".to_owned());
    }
    match answer.filter(|answer| *answer >= candidates.len()) {
        Some(answer) => Err(format!("the answer is {answer}, but there are {} candidates, counted from 0", candidates.len())),
        None => Ok(Case { conversation, candidates, answer }),
    }
}

/// How well the right answers rank.
#[derive(Debug, Default, PartialEq)]
struct Summary {
    cases: usize,
    replies: usize,
    answered: usize,
    first: usize,
    among_ten: usize,
    reciprocal_ranks: f64,
    seconds: f64,
}

impl Summary {
    fn add(&mut self, scores: &[CandidateScore], answer: Option<usize>) {
        self.cases += 1;
        self.replies += scores.len();
        let Some(rank) = answer.and_then(|answer| rank(scores, answer)) else { return };
        self.answered += 1;
        self.first += usize::from(rank == 1);
        self.among_ten += usize::from(rank <= 10);
        self.reciprocal_ranks += 1.0 / rank as f64;
    }
}

/// The rank of a candidate, from 1: one more than the number of others whose score is at least as high, so that a tie counts
/// against it.
fn rank(scores: &[CandidateScore], answer: usize) -> Option<usize> {
    let right = scores.get(answer)?.score;
    let ahead = scores.iter().enumerate().filter(|(index, score)| *index != answer && score.score >= right);
    Some(1 + ahead.count())
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let part = |count: f64| count / self.answered as f64;
        write!(
            f,
            "{} cases: R@1 {:.3}, R@10 {:.3}, MRR {:.3}; {:.1} cases and {:.0} replies a second",
            self.answered,
            part(self.first as f64),
            part(self.among_ten as f64),
            part(self.reciprocal_ranks),
            self.cases as f64 / self.seconds,
            self.replies as f64 / self.seconds,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[f32]) -> Vec<CandidateScore> {
        let score = |(index, &score): (usize, &f32)| CandidateScore { index, logprob: 0.0, tokens: 1, score };
        values.iter().enumerate().map(score).collect()
    }

    #[test]
    fn ranks_count_ties_against_the_answer() {
        struct Case(&'static [f32], usize, Option<usize>);
        for Case(values, answer, expected) in [
            Case(&[0.0], 0, Some(1)),
            Case(&[3.0, 2.0, 1.0], 1, Some(2)),
            Case(&[1.0, 1.0, 1.0], 1, Some(3)),
            Case(&[f32::NEG_INFINITY, 0.0], 0, Some(2)),
            Case(&[1.0], 1, None),
        ] {
            assert_eq!(rank(&scores(values), answer), expected, "{values:?} {answer}");
        }
    }

    #[test]
    fn the_summary_is_over_the_cases_with_an_answer() {
        let mut summary = Summary::default();
        let mut twelve: Vec<f32> = (0..12u8).map(f32::from).collect();
        summary.add(&scores(&twelve), Some(11));
        summary.add(&scores(&twelve), Some(8));
        summary.add(&scores(&twelve), Some(0));
        twelve.truncate(2);
        summary.add(&scores(&twelve), None);
        summary.seconds = 2.0;
        let expected = "3 cases: R@1 0.333, R@10 0.667, MRR 0.444; 2.0 cases and 19 replies a second";
        assert_eq!(summary.to_string(), expected);
    }

    #[test]
    fn lines_are_checked() {
        let turns = r#""turns":[{"speaker":"customer","text":"Is it open?"}]"#;
        let good = format!(r#"{{{turns},"candidates":["Yes.","No."],"answer":1}}"#);
        assert_eq!(parse(&good).unwrap().answer, Some(1));
        for (line, word) in [
            ("{}".to_owned(), "turns"),
            (format!("{{{turns}}}"), "candidates"),
            (format!("{{{turns},\"candidates\":[]}}"), "no candidates"),
            (format!("{{{turns},\"candidates\":[\"a\"],\"answer\":1}}"), "the answer is 1"),
            (r#"{"turns":[{"text":"a"}],"candidates":["a"]}"#.to_owned(), "speaker"),
        ] {
            assert!(parse(&line).map(|_| ()).unwrap_err().contains(word), "{line}");
        }
    }
}
