//! `cargo xtask growth`: how speed and memory grow, as figures and charts.

mod chart;
mod charts;
mod table;

use crate::bench::release_build;
use crate::date;
use crate::machine::{Machine, commit, rustc};
use crate::process::{listen, program, root};
use crate::report::Report;
use clap::Args;
use kinglet_testing::Shape;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Measures how speed and memory grow with the context, the model, the answers at once and the threads.
///
/// Writes models with random weights to a temporary folder, one after the other, up to 9 GB, and measures them with a release build.
/// Into docs/growth go figures.json, with the machine and the commit, a table of the models, and a chart for each figure. Fails where
/// memory differs by more than 3 % from what `kinglet inspect` says. Takes about half an hour; nothing else should run meanwhile.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Draw the charts again from the figures that are there
    #[arg(long)]
    draw: bool,
    /// Measure only models of these shapes, and keep the other figures
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',', conflicts_with = "draw")]
    sizes: Vec<String>,
    /// Where models are written for a while [default: the system's temporary folder]
    #[arg(long, value_name = "FOLDER", conflicts_with = "draw")]
    work: Option<PathBuf>,
}

/// The shape that all but the size of the model is varied on.
const SHAPE: &str = "qwen2-0.5b";
/// Tokens of the prompts whose speed is measured, and of those that only memory is measured with.
const CONTEXTS: &str = "128,256,512,1024,2048,4096,8192";
const MEMORY_CONTEXTS: [u32; 4] = [1024, 2048, 4096, 8192];
const CANDIDATES: &str = "1,2,3,4,6,8,12,16";
/// The prompt that models of all sizes read.
const SIZE_CONTEXT: &str = "1024";
/// How far memory may be from what was predicted.
const TOLERANCE: f64 = 0.03;

/// Measurements; numbers as `kinglet bench` gives them.
#[derive(Debug, Serialize, Deserialize)]
struct Figures {
    date: String,
    machine: Value,
    commit: String,
    rustc: String,
    /// One entry for each number of threads.
    contexts: Vec<Contexts>,
    candidates: Vec<Candidates>,
    sizes: Vec<Size>,
    memory: Vec<MemoryOf>,
}

/// Tokens a second after prompts of different lengths.
#[derive(Debug, Serialize, Deserialize)]
struct Contexts {
    threads: usize,
    rows: Vec<Context>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Context {
    tokens: u32,
    prefill: f64,
    decode: f64,
}

/// Answers to one prompt at once.
#[derive(Debug, Serialize, Deserialize)]
struct Candidates {
    candidates: u32,
    seconds: f64,
    rate: f64,
}

/// A model of another size, after a prompt of 1,024 tokens.
#[derive(Debug, Serialize, Deserialize)]
struct Size {
    shape: String,
    parameters: u64,
    prefill: f64,
    decode: f64,
    rss_peak_mb: f64,
    rss_predicted_mb: f64,
}

/// Memory with one conversation of so many tokens.
#[derive(Debug, Serialize, Deserialize)]
struct MemoryOf {
    tokens: u32,
    rss_peak_mb: f64,
    rss_predicted_mb: f64,
}

/// JSON output of `kinglet bench --contexts --candidates --json`.
#[derive(Debug, Deserialize)]
struct Run {
    contexts: Vec<Context>,
    candidates: Vec<Candidates>,
    rss_peak_mb: f64,
    rss_predicted_mb: f64,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    let folder = root().join("docs/growth");
    let file = folder.join("figures.json");
    let figures = if arguments.draw { read(&file) } else { measure(arguments, &file).and_then(|figures| write(&file, figures)) };
    match figures {
        Ok(figures) => {
            for (what, peak, predicted) in figures.memories() {
                report.check(&format!("memory of {what}"), close(peak, predicted));
            }
            report.check("charts", charts::draw(&figures, &folder));
            report.check("table", write_text(&folder.join("models.md"), &table::of(&figures)));
        }
        Err(why) => report.fail("growth", &why),
    }
}

impl Figures {
    /// Subject of each memory measurement, and megabytes measured and predicted.
    fn memories(&self) -> Vec<(String, f64, f64)> {
        let sizes = self.sizes.iter().map(|size| (size.shape.clone(), size.rss_peak_mb, size.rss_predicted_mb));
        let contexts =
            self.memory.iter().map(|m| (format!("{SHAPE} with {} tokens", m.tokens), m.rss_peak_mb, m.rss_predicted_mb));
        sizes.chain(contexts).collect()
    }
}

fn close(peak: f64, predicted: f64) -> Result<(), String> {
    let off = (predicted - peak) / peak;
    let words = format!("{predicted:.1} MB predicted, {peak:.1} MB taken: {:+.1} %", off * 100.0);
    eprintln!("{words}");
    if off.abs() <= TOLERANCE { Ok(()) } else { Err(words) }
}

/// Measures all, or the models of some shapes only, the other figures being those of the file.
fn measure(arguments: &Arguments, file: &Path) -> Result<Figures, String> {
    let kinglet = release_build()?;
    let work = arguments.work.clone().unwrap_or_else(std::env::temp_dir).join(format!("kinglet-growth-{}", std::process::id()));
    let here = || Figures {
        date: date::today(),
        machine: Machine::here().json(),
        commit: commit(),
        rustc: rustc(),
        contexts: vec![],
        candidates: vec![],
        sizes: vec![],
        memory: vec![],
    };
    let names = |shapes: Vec<Shape>| shapes.into_iter().map(|shape| shape.name.to_owned()).collect();
    let (figures, shapes) = match &arguments.sizes[..] {
        [] => (here(), names(Shape::all_published())),
        some => (Figures { date: date::today(), commit: commit(), ..read(file)? }, some.to_vec()),
    };
    let measured = measure_in(&work, &kinglet, figures, &shapes);
    // Model folders that are left over take gigabytes.
    if work.exists() {
        std::fs::remove_dir_all(&work).map_err(|error| format!("{} cannot be removed: {error}", work.display()))?;
    }
    measured
}

fn measure_in(work: &Path, kinglet: &Path, mut figures: Figures, shapes: &[String]) -> Result<Figures, String> {
    let all = figures.contexts.is_empty();
    for name in shapes {
        let shape = Shape::published(name).ok_or_else(|| format!("there is no shape {name}"))?;
        let folder = work.join(name);
        crate::shape::write(&shape, &folder, 1)?;
        if all && name == SHAPE {
            measure_growth(kinglet, &folder, &mut figures)?;
        }
        let run = bench(kinglet, &folder, &["--contexts", SIZE_CONTEXT])?;
        let row = run.contexts.into_iter().next().ok_or_else(|| format!("{name} holds no prompt of {SIZE_CONTEXT} tokens"))?;
        figures.sizes.retain(|size| size.shape != *name);
        figures.sizes.push(Size {
            shape: name.clone(),
            parameters: shape.parameters(),
            prefill: row.prefill,
            decode: row.decode,
            rss_peak_mb: run.rss_peak_mb,
            rss_predicted_mb: run.rss_predicted_mb,
        });
        std::fs::remove_dir_all(&folder).map_err(|error| format!("{} cannot be removed: {error}", folder.display()))?;
    }
    figures.sizes.sort_by_key(|size| size.parameters);
    Ok(figures)
}

/// All that is varied on one shape.
fn measure_growth(kinglet: &Path, folder: &Path, figures: &mut Figures) -> Result<(), String> {
    for threads in 1..=Machine::here().cores {
        let rows = bench(kinglet, folder, &["--contexts", CONTEXTS, "--threads", &threads.to_string()])?.contexts;
        figures.contexts.push(Contexts { threads, rows });
    }
    figures.candidates = bench(kinglet, folder, &["--candidates", CANDIDATES])?.candidates;
    for tokens in MEMORY_CONTEXTS {
        let Run { rss_peak_mb, rss_predicted_mb, .. } = bench(kinglet, folder, &["--contexts", &tokens.to_string()])?;
        figures.memory.push(MemoryOf { tokens, rss_peak_mb, rss_predicted_mb });
    }
    Ok(())
}

fn bench(kinglet: &Path, model: &Path, arguments: &[&str]) -> Result<Run, String> {
    let mut command = program(kinglet);
    command.args(["bench", "--json", "--model"]).arg(model).args(arguments);
    let mut figures = None;
    listen(&mut command, |line| {
        println!("{line}");
        figures = serde_json::from_str(line).ok().or(figures.take());
    })?;
    figures.ok_or_else(|| "`kinglet bench --json` gave no figures".to_owned())
}

fn read(file: &Path) -> Result<Figures, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{} has no figures: {error}", file.display()))
}

fn write(file: &Path, figures: Figures) -> Result<Figures, String> {
    write_text(file, &format!("{:#}\n", json!(figures)))?;
    Ok(figures)
}

fn write_text(file: &Path, text: &str) -> Result<(), String> {
    let write = || {
        std::fs::create_dir_all(file.parent().unwrap_or(file))?;
        std::fs::write(file, text)
    };
    write().map_err(|error| format!("{} cannot be written: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prediction_that_is_far_off_is_seen() {
        assert!(close(100.0, 102.9).is_ok() && close(100.0, 97.1).is_ok());
        assert!(close(100.0, 103.1).is_err_and(|why| why.contains("+3.1 %")));
        assert!(close(100.0, 96.9).is_err());
    }

    #[test]
    fn the_shape_is_known() {
        assert!(Shape::published(SHAPE).is_some());
    }
}
