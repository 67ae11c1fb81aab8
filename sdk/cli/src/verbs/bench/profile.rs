//! Where the time of a prompt and of decoding goes.

use super::measure::{Bench, Work};
use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{BOLD, Output};
use kinglet::{MachineLimits, Model, OperatorProfile};
use serde_json::json;

/// A phase, and what was timed in it.
struct Phase {
    name: &'static str,
    operators: Vec<OperatorProfile>,
    /// Seconds of the whole phase.
    seconds: f64,
}

impl Phase {
    fn of(name: &'static str, bench: &mut Bench<'_>, work: Work, model: &Model) -> Result<Option<Phase>, Failure> {
        let Some(mut ready) = bench.ready(work)? else { return Ok(None) };
        let (operators, took) = model.profile(|| ready.run())?;
        Ok(Some(Phase { name, operators, seconds: took.as_secs_f64() }))
    }

    /// Seconds outside of operators: the loop over them, sampling, and what threads wait for in between.
    fn rest(&self) -> f64 {
        self.seconds - self.operators.iter().map(|operator| operator.seconds).sum::<f64>()
    }
}

pub(super) fn run(common: &Common, model: &Model, bench: &mut Bench<'_>, out: &mut Output) -> Result<(), Failure> {
    let threads = common.threads.map_or(kinglet::Machine::look().processors, usize::from);
    let limits = MachineLimits::measure(threads)?;
    let works = [("prefill128", Work::Prompt), ("decode128", Work::Answer), ("batch4", Work::Answers)];
    let mut phases = vec![];
    for (name, work) in works {
        phases.extend(Phase::of(name, bench, work, model)?);
    }
    if common.json {
        let phases: Vec<_> = phases.iter().map(|phase| {
            json!({ "phase": phase.name, "seconds": phase.seconds, "rest_seconds": phase.rest(), "operators": phase.operators })
        }).collect();
        return out.json(&json!({ "threads": threads, "limits": limits, "phases": phases }));
    }
    let (read, compute) = (limits.read_bytes_per_second / 1e9, limits.int8_operations_per_second / 1e9);
    out.line(&format!("{threads} threads read {read:.1} GB/s from memory and do {compute:.0} int8 GOPS at most"))?;
    for phase in &phases {
        let head = format!("{}: {:.1} ms", phase.name, phase.seconds * 1e3);
        out.line("")?;
        out.line(&out.paint(BOLD, &head))?;
        out.line("   share       ms   calls    GB/s  of limit    GOPS  of limit  operator")?;
        for operator in &phase.operators {
            out.line(&line(phase, operator, &limits))?;
        }
        let rest = phase.rest();
        out.line(&format!("  {:5.1}% {:8.2} {:49}loop, sampling, waiting", rest / phase.seconds * 100.0, rest * 1e3, ""))?;
    }
    Ok(())
}

fn line(phase: &Phase, operator: &OperatorProfile, limits: &MachineLimits) -> String {
    let rate = |amount: u64, limit: f64| {
        let rate = amount as f64 / operator.seconds;
        if amount == 0 { " ".repeat(17) } else { format!("{:7.1} {:8.0}%", rate / 1e9, rate / limit * 100.0) }
    };
    format!(
        "  {:5.1}% {:8.2} {:7} {} {}  {}",
        operator.seconds / phase.seconds * 100.0,
        operator.seconds * 1e3,
        operator.calls,
        rate(operator.bytes, limits.read_bytes_per_second),
        rate(operator.operations, limits.int8_operations_per_second),
        operator.operator
    )
}
