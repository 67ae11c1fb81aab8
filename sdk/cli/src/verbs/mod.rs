//! The verbs, a file each: its arguments, its help and what it does.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod conformance;
pub(crate) mod detokenize;
pub(crate) mod doctor;
pub(crate) mod inspect;
pub(crate) mod list;
pub(crate) mod logits;
pub(crate) mod man;
pub(crate) mod prepare;
pub(crate) mod probe;
pub(crate) mod probe_candidate;
pub(crate) mod reply;
pub(crate) mod rm;
pub(crate) mod run;
pub(crate) mod score;
pub(crate) mod template;
pub(crate) mod tokenize;

use crate::arguments::{Cli, Verb};
use crate::failure::Failure;
use crate::output::Output;

/// Does what was asked.
pub(crate) fn run(cli: Cli) -> Result<(), Failure> {
    let mut out = Output::stdout();
    let Cli { common, verb } = &cli;
    match verb {
        Verb::Reply(arguments) => reply::run(common, arguments, &mut out),
        Verb::Chat(arguments) => chat::run(common, arguments, &mut out),
        Verb::Run(arguments) => run::run(common, arguments, &mut out),
        Verb::Score(arguments) => score::run(common, arguments, &mut out),
        Verb::Tokenize(arguments) => tokenize::run(common, arguments, &mut out),
        Verb::Detokenize(arguments) => detokenize::run(common, arguments, &mut out),
        Verb::Template(arguments) => template::run(common, arguments, &mut out),
        Verb::Logits(arguments) => logits::run(common, arguments, &mut out),
        Verb::List(arguments) => list::run(common, arguments, &mut out),
        Verb::Inspect(arguments) => inspect::run(common, arguments, &mut out),
        Verb::Rm(arguments) => rm::run(common, arguments, &mut out),
        Verb::Prepare(arguments) => prepare::run(common, arguments, &mut out),
        Verb::Conformance(arguments) => conformance::run(common, arguments, &mut out),
        Verb::Doctor(arguments) => doctor::run(common, arguments, &mut out),
        Verb::Probe(arguments) => probe::run(common, arguments, &mut out),
        Verb::ProbeCandidate(arguments) => probe_candidate::run(common, arguments),
        Verb::Bench(arguments) => bench::run(common, arguments, &mut out),
        Verb::Completions(arguments) => completions::run(arguments, &mut out),
        Verb::Man(arguments) => man::run(common, arguments, &mut out),
    }
}

/// A rounded number of milliseconds, as JSON has them.
fn milliseconds(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// Rounds to `digits` after the point, as JSON has rates.
fn rounded(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded() {
        assert_eq!(milliseconds(std::time::Duration::from_nanos(1_234_567)), 1.235);
        assert_eq!(rounded(1.2345, 2), 1.23);
    }
}
