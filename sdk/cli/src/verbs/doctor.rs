//! `kinglet doctor`: whether models can run here.

use super::conformance::{agrees, sentence};
use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{DIMMED, Output};
use anstyle::{AnsiColor, Style};
use clap::Args;
use kinglet::{CancelHandle, Engine, EngineState, Kinglet, Machine, Model, Positions, ReferenceReport, one_line};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Check the machine, the engines and a model
///
/// Exit code 1 if a check fails.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet doctor
  kinglet doctor --engine ort
  kinglet doctor models/goldcrest --json
  kinglet doctor --reference models/goldcrest")]
pub(crate) struct Arguments {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    folder: Option<PathBuf>,
    /// Hold the embedded engine against a plain interpreter of the model's graph too, value by value, on a short text: slow, and
    /// for models of up to some hundred million parameters
    #[arg(long)]
    reference: bool,
}

/// Outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Pass,
    Fail,
    /// Not there, and not needed.
    Absent,
    /// Not tried, since a check before it failed.
    Skipped,
}

#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    result: Outcome,
    detail: String,
}

#[derive(Debug, Serialize)]
struct Report {
    checks: Vec<Check>,
    failed: usize,
}

/// The checks of a model, each of which needs those before it.
const MODEL_CHECKS: [&str; 6] = ["folder", "open", "tokenizer", "step", "agreement", "conformance"];
/// Tokens that the model is tried with; those beyond its vocabulary are left out.
const TRIAL: [u32; 8] = [1, 2, 3, 5, 8, 13, 21, 34];
/// Text that the reference interpreter reads.
const REFERENCE_TEXT: &str = "The tide comes in, and the tide goes out.";
/// The largest difference of logits between two ways to compute them, as a part of the largest logit.
const TOLERANCE: f32 = 0.05;

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let common = &common.naming(arguments.folder.as_ref())?;
    let folder = common.located()?;
    let mut checks = machine(common);
    match common.builder().build() {
        Ok(kinglet) => model(&kinglet, &folder, &mut checks),
        Err(error) => checks.push(Check { name: "engine", result: Outcome::Fail, detail: error.to_string() }),
    }
    if arguments.reference {
        checks.push(reference(common, &folder));
    }
    let failed = checks.iter().filter(|check| check.result == Outcome::Fail).count();
    let report = Report { failed, checks };
    if common.json {
        out.json(&report)?;
    } else {
        report.checks.iter().try_for_each(|check| show(check, out))?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::failed("one check failed; what it says above tells what to do")),
        _ => Err(Failure::failed(format!("{failed} checks failed; what they say above tells what to do"))),
    }
}

fn show(check: &Check, out: &mut Output) -> Result<(), Failure> {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    let result = match check.result {
        Outcome::Pass => out.paint(colour(AnsiColor::Green), "pass   "),
        Outcome::Fail => out.paint(colour(AnsiColor::Red), "FAIL   "),
        Outcome::Absent => out.paint(DIMMED, "absent "),
        Outcome::Skipped => out.paint(DIMMED, "skipped"),
    };
    out.line(&format!("{result} {:<12} {}", check.name, one_line(&check.detail)))
}

fn machine(common: &Common) -> Vec<Check> {
    let machine = Machine::look();
    let missing: Vec<&str> = machine.known.iter().filter(|name| !machine.available.contains(name)).copied().collect();
    let lacks = if missing.is_empty() { String::new() } else { format!("; not here: {}", missing.join(", ")) };
    let threads = common.threads.map_or(machine.threads, usize::from);
    let pass = |name, detail| Check { name, result: Outcome::Pass, detail };
    let mut checks = vec![
        pass("processor", format!("{} on {}, kernels: {}{lacks}", machine.architecture, machine.system, machine.kernels)),
        pass("threads", format!("{threads}; {} processors for this process", machine.processors)),
    ];
    checks.extend(Engine::look(None).into_iter().map(|engine| Check { name: engine.name, ..engine_check(engine.state, common) }));
    checks
}

/// An engine that is not here fails the check only where it was asked for.
fn engine_check(state: EngineState, common: &Common) -> Check {
    let absent = if common.engine == crate::arguments::Engine::Ort { Outcome::Fail } else { Outcome::Absent };
    let (result, detail) = match state {
        EngineState::Embedded => (Outcome::Pass, "embedded".to_owned()),
        EngineState::Found { library, version, providers } => {
            let providers: Vec<&str> = providers.into_iter().map(kinglet::Provider::name).collect();
            (Outcome::Pass, format!("ONNX Runtime {version}, {}; providers: {}", library.display(), providers.join(", ")))
        }
        EngineState::Missing { reason, .. } => (absent, reason),
        _ => (absent, "ONNX Runtime is not part of this build".to_owned()),
    };
    Check { name: "", result, detail }
}

fn model(kinglet: &Kinglet, folder: &std::path::Path, checks: &mut Vec<Check>) {
    let mut add = |name, result, detail| checks.push(Check { name, result, detail });
    let tried = try_model(kinglet, folder, &mut add);
    let Err((name, reason)) = tried else { return };
    checks.push(Check { name, result: Outcome::Fail, detail: reason });
    let left = MODEL_CHECKS.into_iter().skip_while(|known| *known != name).skip(1);
    checks.extend(left.map(|name| Check { name, result: Outcome::Skipped, detail: String::new() }));
}

/// Runs [`MODEL_CHECKS`] up to the first that fails, and says which that is and why.
fn try_model(
    kinglet: &Kinglet,
    folder: &std::path::Path,
    add: &mut dyn FnMut(&'static str, Outcome, String),
) -> Result<(), (&'static str, String)> {
    fn failed<E: std::fmt::Display>(name: &'static str) -> impl Fn(E) -> (&'static str, String) {
        move |error| (name, error.to_string())
    }
    let mut pass = |name, detail| add(name, Outcome::Pass, detail);
    let found = kinglet.find(folder).map_err(failed("folder"))?;
    let report = kinglet.inspect(&found).map_err(failed("folder"))?;
    pass("folder", format!("{} ({}), {}", found.display(), report.layout, report.choice));
    let started = Instant::now();
    let model = kinglet.open(&found).map_err(failed("open"))?;
    pass("open", format!("{:.1} ms", started.elapsed().as_secs_f64() * 1e3));
    let ids = model.tokenize("Hello, world.", true).map_err(failed("tokenizer"))?;
    let text = model.detokenize(&ids, false).map_err(failed("tokenizer"))?;
    pass("tokenizer", format!("`Hello, world.` is {} tokens, which are `{}`", ids.len(), text.trim()));
    let (last, detail) = step(&model).map_err(failed("step"))?;
    pass("step", detail);
    pass("agreement", agreement(&model, &last).map_err(failed("agreement"))?);
    let (result, detail) = conformance(&model).map_err(failed("conformance"))?;
    add("conformance", result, detail);
    Ok(())
}

/// Holds the embedded engine against the plain interpreter.
fn reference(common: &Common, folder: &std::path::Path) -> Check {
    let compared = || {
        let model = common.builder().engine(Engine::Tract).build()?.open(folder)?;
        let tokens = model.tokenize(REFERENCE_TEXT, true).unwrap_or_else(|_| trial(&model));
        model.compare_with_reference(&tokens, &CancelHandle::default())
    };
    let (result, detail) = match compared() {
        Ok(report) => agreement_with_reference(&report),
        Err(error) => (Outcome::Fail, error.to_string()),
    };
    Check { name: "reference", result, detail }
}

fn agreement_with_reference(report: &ReferenceReport) -> (Outcome, String) {
    let ReferenceReport { tokens, values, left_out, largest, .. } = report;
    match &report.first {
        None => {
            let others = if *left_out == 0 { String::new() } else { format!("; {left_out} more have another shape here") };
            let detail = format!("{values} values for {tokens} tokens are the plain interpreter's, within {largest:.1e}{others}");
            (Outcome::Pass, detail)
        }
        Some(first) => {
            let before = format!("{} values before it agree within {largest:.1e}", values - 1);
            let detail = format!(
                "node `{}` gives another value `{}` than the plain interpreter: {} instead of {} (element {}, {:.1e} of the \
                 largest); {before}",
                first.node, first.value, first.engine, first.reference, first.element, first.relative
            );
            (Outcome::Fail, detail)
        }
    }
}

fn trial(model: &Model) -> Vec<u32> {
    TRIAL.into_iter().filter(|token| (*token as usize) < model.vocabulary()).collect()
}

/// The logits after the trial tokens, `[vocabulary]`.
fn step(model: &Model) -> Result<(Vec<f32>, String), Failure> {
    let tokens = trial(model);
    let started = Instant::now();
    let logits = model.logits(&tokens, Positions::Last, &CancelHandle::default())?.values;
    let time = started.elapsed().as_secs_f64() * 1e3;
    if let Some(odd) = logits.iter().position(|logit| !logit.is_finite()) {
        return Err(Failure::failed(format!(
            "the logit of token {odd} is {}; the model or its precision is at fault",
            logits[odd]
        )));
    }
    let detail = format!("{} tokens in {time:.1} ms, {} finite logits", tokens.len(), logits.len());
    Ok((logits, detail))
}

/// Holds the logits of a step that gives the last position against those of a step that gives all.
fn agreement(model: &Model, last: &[f32]) -> Result<String, Failure> {
    let all = model.logits(&trial(model), Positions::All, &CancelHandle::default())?;
    let row = &all.values[all.values.len() - all.vocabulary..];
    let largest = last.iter().fold(0f32, |largest, logit| largest.max(logit.abs()));
    let difference = last.iter().zip(row).fold(0f32, |worst, (a, b)| worst.max((a - b).abs()));
    if difference > TOLERANCE * largest {
        return Err(Failure::failed(format!(
            "logits of the same tokens differ by {difference} of {largest}; report this with the model's name"
        )));
    }
    Ok(format!("logits of the last position, alone and among all, differ by {difference:.1e} of {largest:.1}"))
}

/// Holds the model against the vectors that its folder carries, if it carries any.
fn conformance(model: &Model) -> Result<(Outcome, String), Failure> {
    let Some(vectors) = model.conformance()? else {
        return Ok((Outcome::Absent, "the folder carries no vectors; `kinglet conformance make` writes some".into()));
    };
    let report = model.check_conformance(&vectors, &CancelHandle::default())?;
    agrees(&report)?;
    Ok((Outcome::Pass, sentence(&report, &vectors)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet::ReferenceDifference;

    #[test]
    fn a_difference_fails_and_names_its_node() {
        let first = ReferenceDifference {
            node: "/layers.1/norm".into(),
            value: "normed".into(),
            element: 7,
            engine: 1.5,
            reference: 1.0,
            relative: 0.25,
        };
        let mut report =
            ReferenceReport { tokens: 3, values: 9, left_out: 0, largest: 1e-6, tolerance: 1e-3, first: Some(first) };
        let (result, detail) = agreement_with_reference(&report);
        assert_eq!(result, Outcome::Fail);
        assert!(detail.starts_with("node `/layers.1/norm` gives another value `normed`"), "{detail}");
        assert!(detail.ends_with("8 values before it agree within 1.0e-6"), "{detail}");
        report.first = None;
        assert_eq!(agreement_with_reference(&report).0, Outcome::Pass);
    }
}
