//! From measurements to a winner.

use super::measure::{ANSWER, PROMPT};
use super::{Agreement, Candidate, Figures, Measured, Row, Setback, Verdict, agreement};
use crate::Logits;

/// A candidate takes the place of one before it only where it spares at least this part of its time: less is noise, and those
/// before it are the better known ones.
const MARGIN: f64 = 0.05;

/// Judges candidates as they are measured. The first with sound logits is what the others are compared with: candidates begin
/// with what runs on the CPU.
#[derive(Debug, Default)]
pub(super) struct Judge {
    reference: Option<(Candidate, Logits)>,
    rows: Vec<Row>,
}

impl Judge {
    /// Takes what came of trying a candidate at the time `tried`.
    pub(super) fn hear(&mut self, candidate: Candidate, tried: &str, came: Result<Measured, Setback>) {
        let (verdict, reason, figures) = match came {
            Ok(measured) => self.compare(candidate, measured),
            Err(Setback::Refused(reason)) => (Verdict::Refused, Some(reason), None),
            Err(Setback::Failed(reason)) => (Verdict::Failed, Some(reason), None),
            Err(Setback::Crashed(reason)) => (Verdict::Crashed, Some(reason), None),
            Err(Setback::Hung(time)) => {
                (Verdict::Hung, Some(format!("it came to no end in {:.0} seconds", time.as_secs_f64())), None)
            }
            Err(Setback::Cancelled) => return,
        };
        self.rows.push(Row { candidate, verdict, reason, tried: tried.into(), figures });
    }

    /// Takes what is known of a candidate that is not tried again.
    pub(super) fn recall(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// The rows, and the fastest of those that are right.
    pub(super) fn decide(mut self) -> (Option<Candidate>, Vec<Row>) {
        let mut best: Option<(usize, f64)> = None;
        for (place, row) in self.rows.iter().enumerate().filter(|(_, row)| row.verdict == Verdict::Slower) {
            let seconds = row.figures.as_ref().map_or(f64::INFINITY, seconds);
            if seconds.is_finite() && best.is_none_or(|(_, best)| seconds < best * (1.0 - MARGIN)) {
                best = Some((place, seconds));
            }
        }
        let fastest = best.map(|(place, _)| {
            self.rows[place].verdict = Verdict::Fastest;
            self.rows[place].candidate
        });
        (fastest, self.rows)
    }

    /// A candidate with the right logits is `Slower` until it turns out to be the fastest.
    fn compare(&mut self, candidate: Candidate, measured: Measured) -> (Verdict, Option<String>, Option<Figures>) {
        let mut figures = figures(&measured);
        let wrong = |reason: String, figures| (Verdict::Wrong, Some(reason), Some(figures));
        if !agreement::is_sound(&measured.logits) {
            return wrong("a logit is no finite number".into(), figures);
        }
        let Some((reference, logits)) = &self.reference else {
            self.reference = Some((candidate, measured.logits));
            return (Verdict::Slower, None, Some(figures));
        };
        let Some(agreement) = Agreement::of(logits, &measured.logits) else {
            return wrong(format!("its logits have another shape than those of {reference}"), figures);
        };
        figures.relative_difference = Some(rounded(agreement.relative_difference, 1e6)).filter(|it| it.is_finite());
        figures.same_first = Some(agreement.same_first);
        if !agreement.holds() {
            let Agreement { relative_difference, same_first, positions, .. } = agreement;
            let percent = relative_difference * 100.0;
            return wrong(
                format!(
                    "its logits differ from those of {reference} by {percent:.0} % of their spread; {same_first} of {positions} first tokens are the same"
                ),
                figures,
            );
        }
        (Verdict::Slower, None, Some(figures))
    }
}

/// Measurements in the form of the record, before any comparison.
fn figures(measured: &Measured) -> Figures {
    Figures {
        open_ms: rounded(measured.open.as_secs_f64() * 1e3, 100.0),
        prefill_tokens_per_second: rounded(measured.prefill_tokens_per_second, 100.0),
        decode_tokens_per_second: rounded(measured.decode_tokens_per_second, 100.0),
        relative_difference: None,
        same_first: None,
        positions: measured.logits.positions,
    }
}

/// A value in whole parts of one, so that it is read from the file as it was written.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// Seconds that reading a prompt and answering take; infinite where a rate is 0.
fn seconds(figures: &Figures) -> f64 {
    PROMPT as f64 / figures.prefill_tokens_per_second + ANSWER as f64 / figures.decode_tokens_per_second
}
