//! `kinglet inspect`: what is known of a model before it is used.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{BOLD, Output};
use clap::Args;
use kinglet::probe::Decision;
use kinglet::{ArchitectureReport, EngineReport, ModelReport, RepliesReport, one_line};
use std::path::PathBuf;

/// Layout, architecture, precision, parameters, memory, and what is unsupported and why
///
/// A model that this build does not run is described as well; the exit code is 0 as long as the folder can be read.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet inspect models/goldcrest
  kinglet show goldcrest
  kinglet inspect goldcrest --context 1024 --memory-budget 40MB --json")]
pub(crate) struct Arguments {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    folder: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let common = common.naming(arguments.folder.as_ref())?;
    let report = common.builder().build()?.inspect(common.located()?)?;
    if common.json {
        return out.json(&report);
    }
    for (label, value) in rows(&report) {
        let label = out.paint(BOLD, &format!("{label:<14}"));
        out.line(&format!("{label} {}", one_line(&value)))?;
    }
    Ok(())
}

/// Labels and values, for people.
fn rows(report: &ModelReport) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("model", report.name.clone()),
        ("folder", report.folder.display().to_string()),
        ("layout", report.layout.clone()),
        ("graph", report.choice.clone()),
    ];
    if report.variants.len() > 1 {
        let names: Vec<&str> = report.variants.iter().map(|variant| variant.name.as_str()).collect();
        rows.push(("graphs", names.join(", ")));
    }
    rows.push(("architecture", architecture(&report.architecture)));
    rows.push(("parameters", count(report.parameters)));
    rows.push(("weights", format!("{} in {}", report.file_bytes, files(report.files.len()))));
    rows.push(("tokenizer", tokenizer(report)));
    rows.push(("replies", replies(&report.replies)));
    rows.extend(report.engine.iter().flat_map(engine));
    rows.extend(report.unsupported.iter().map(|reason| ("unsupported", reason.clone())));
    rows.extend(report.advice.iter().map(|advice| ("advice", advice.clone())));
    rows
}

fn architecture(shape: &ArchitectureReport) -> String {
    let facts = [
        (shape.layers, "layers"),
        (shape.hidden_size, "wide"),
        (shape.attention_heads, "heads"),
        (shape.kv_heads, "key/value heads"),
        (shape.head_dim, "a head"),
        (shape.vocabulary, "tokens"),
        (shape.max_context, "positions"),
        (shape.sliding_window, "positions in the window"),
    ];
    let known = facts.iter().filter_map(|(number, what)| number.map(|number| format!("{number} {what}")));
    std::iter::once(shape.family.clone()).filter(|family| !family.is_empty()).chain(known).collect::<Vec<_>>().join(", ")
}

fn tokenizer(report: &ModelReport) -> String {
    let text = &report.text;
    match (&text.unusable, text.vocabulary) {
        (Some(reason), _) => format!("unusable: {reason}"),
        (None, vocabulary) => {
            let templates = if text.templates.is_empty() {
                "no chat template".into()
            } else {
                format!("chat templates: {}", text.templates.join(", "))
            };
            format!("{} tokens, {templates}", vocabulary.unwrap_or(0))
        }
    }
}

fn replies(report: &RepliesReport) -> String {
    let languages = if report.languages.is_empty() { "any language".into() } else { report.languages.join(", ") };
    format!("in {languages}, as {}, ranking {}", report.format, report.ranking)
}

fn engine(engine: &EngineReport) -> Vec<(&'static str, String)> {
    let memory = &engine.memory;
    let foreign = if engine.foreign_operators.is_empty() { "none".into() } else { engine.foreign_operators.join(", ") };
    let provider = engine.provider.map(|provider| format!(" with {provider}")).unwrap_or_default();
    let mut rows = vec![
        ("engine", format!("{}{provider}, {} weights", engine.name, engine.precision)),
        ("operators", format!("{} on Kinglet's kernels; left to the engine: {foreign}", engine.own_operators)),
        ("context", format!("{} positions, {} at once", engine.context, engine.max_sequences)),
        (
            "memory",
            format!(
                "{} at most: weights {}, keys and values {} ({} a position), scratch {}",
                memory.total, memory.weights, memory.kv, memory.kv_per_token, memory.scratch
            ),
        ),
    ];
    if let (Some(process), Some(resident)) = (memory.process, memory.resident()) {
        rows.push(("process", format!("{resident} at most: that, and {process} for the program, graph and tokenizer")));
    }
    rows.extend(engine.decision.iter().map(|decision| ("record", record(decision))));
    rows.extend(engine.refused.iter().map(|refusal| ("not by", format!("{}: {}", refusal.engine, refusal.reason))));
    rows.extend(engine.reduced.iter().map(|reason| ("reduced", reason.clone())));
    rows
}

/// The record of a probe and its use, in one line.
fn record(decision: &Decision) -> String {
    let said = match (&decision.unused, decision.fastest) {
        (Some(reason), _) => format!("is not used: {reason}"),
        (None, Some(fastest)) => format!("decided: {fastest} is the fastest"),
        (None, None) => "decides nothing".into(),
    };
    let version = decision.onnxruntime.as_ref().map(|version| format!(", with ONNX Runtime {version}")).unwrap_or_default();
    format!("of {}{version}, {}, {said}", decision.taken, decision.record.display())
}

fn count(parameters: u64) -> String {
    match parameters {
        0..1_000_000 => format!("{:.1} thousand", parameters as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} million", parameters as f64 / 1e6),
        _ => format!("{:.2} billion", parameters as f64 / 1e9),
    }
}

fn files(count: usize) -> String {
    if count == 1 { "one file".into() } else { format!("{count} files") }
}
