//! `cargo xtask bench`: figures of a model for the history, or beside other engines.

use crate::date;
use crate::machine::{Machine, commit, rustc};
use crate::process::{cargo, listen, program, root, stream, target_folder};
use crate::report::Report;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Builds `kinglet` for release and measures a model with it.
///
/// Appends one line to benches/history/MACHINE.jsonl: the date, the machine, the commit, the compiler, the model and the
/// figures. With --peers it runs the comparison kit instead, which alternates between Kinglet and other engines.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The model: a folder or a name
    #[arg(short, long, default_value = "goldcrest")]
    model: PathBuf,
    /// Threads to compute on [default: what the machine has]
    #[arg(short, long)]
    threads: Option<u16>,
    /// Compare with the peers of the kit; the history stays as it is
    #[arg(long, requires = "kit")]
    peers: bool,
    /// The folder of the comparison kit, which holds bench.sh
    #[arg(long, value_name = "FOLDER", requires = "peers")]
    kit: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    let outcome = release_build().and_then(|kinglet| match &arguments.kit {
        Some(kit) => compare(kit, &kinglet),
        None => measure(arguments, &kinglet),
    });
    report.check("bench", outcome);
}

/// Builds the command and gives its path.
pub(crate) fn release_build() -> Result<PathBuf, String> {
    stream(&mut cargo(&["build", "--release", "--package", "kinglet-cli"]))?;
    Ok(target_folder()?.join("release").join(format!("kinglet{}", std::env::consts::EXE_SUFFIX)))
}

fn compare(kit: &Path, kinglet: &Path) -> Result<(), String> {
    let script = kit.join("bench.sh").canonicalize().map_err(|error| format!("{} has no bench.sh: {error}", kit.display()))?;
    let contender = format!("'{}' bench --model \"$BENCH_MODEL\" --threads \"$THREADS\" --json", kinglet.display());
    stream(program(script).args(["--name", "kinglet", "--with", &contender]))
}

fn measure(arguments: &Arguments, kinglet: &Path) -> Result<(), String> {
    let mut command = program(kinglet);
    command.args(["bench", "--json", "--model"]).arg(&arguments.model);
    if let Some(threads) = arguments.threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let mut figures = None;
    listen(&mut command, |line| {
        println!("{line}");
        figures = serde_json::from_str::<Value>(line).ok().filter(Value::is_object).or(figures.take());
    })?;
    let figures = figures.ok_or("`kinglet bench --json` gave no figures")?;
    let machine = Machine::here();
    let threads = arguments.threads.map_or(machine.cores, usize::from);
    let model = arguments.model.file_name().map(|name| name.to_string_lossy().into_owned());
    let line = json!({
        "date": date::today(), "machine": machine.json(), "commit": commit(), "rustc": rustc(),
        "model": model, "threads": threads, "figures": figures,
    });
    append(&root().join("benches/history").join(machine.slug()).with_extension("jsonl"), &line)
}

fn append(path: &Path, line: &Value) -> Result<(), String> {
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(path))?;
        writeln!(std::fs::OpenOptions::new().create(true).append(true).open(path)?, "{line}")
    };
    write().map_err(|error| format!("{} cannot be written: {error}", path.display()))?;
    eprintln!("\nOne line more in {}", path.display());
    Ok(())
}
