//! `kinglet logits`: what the network itself says of tokens.

use crate::arguments::{Common, Ids};
use crate::failure::Failure;
use crate::npy;
use crate::output::Output;
use crate::progress::Progress;
use clap::{Args, ValueEnum};
use kinglet::{Bytes, CancelHandle};
use serde::Serialize;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// Raw logits of token ids, as a NumPy array
///
/// Writes float32 [positions, vocabulary] in the .npy format, version 1.0.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet logits --ids 1,2,3 --out last.npy
  kinglet logits path/to/model --ids 1,2,3 --out last.npy
  kinglet logits --ids \"$(kinglet tokenize Hello)\" --positions all --out all.npy --json")]
pub(crate) struct Arguments {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    named: Option<PathBuf>,
    /// The tokens, separated by commas or spaces
    #[arg(long, value_name = "IDS")]
    ids: Ids,
    /// The positions to write logits of
    #[arg(long, value_enum, default_value_t = Positions::Last)]
    positions: Positions,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Positions {
    /// The last one
    Last,
    /// Every one
    All,
}

#[derive(Serialize)]
struct Written<'a> {
    shape: [usize; 2],
    dtype: &'static str,
    path: &'a Path,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let Arguments { named, ids: Ids(ids), positions, out: path } = arguments;
    let common = &common.naming(named.as_ref())?;
    let positions = match positions {
        Positions::Last => kinglet::Positions::Last,
        Positions::All => kinglet::Positions::All,
    };
    let model = common.open_ready()?;
    let logits = {
        let _progress = Progress::spinner(common, "computing logits");
        model.logits(ids, positions, &CancelHandle::default())?
    };
    let shape = [logits.positions, logits.vocabulary];
    save(path, shape, &logits.values)?;
    if common.json {
        return out.json(&Written { shape, dtype: "float32", path });
    }
    let bytes = Bytes((logits.values.len() * size_of::<f32>()) as u64);
    out.line(&format!("{}: float32 [{}, {}], {bytes}", path.display(), shape[0], shape[1]))
}

fn save(path: &Path, shape: [usize; 2], values: &[f32]) -> Result<(), Failure> {
    let written = File::create(path).and_then(|file| npy::write(&mut BufWriter::new(file), shape, values));
    written.map_err(|error| {
        Failure::failed(format!("`{}` cannot be written ({error}); check the path and the disk", path.display()))
    })
}
