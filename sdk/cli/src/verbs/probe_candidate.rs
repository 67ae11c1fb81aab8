//! `kinglet probe-candidate`: one of the processes of `kinglet probe`.

use super::probe::handed;
use crate::arguments::Common;
use crate::failure::Failure;
use clap::Args;
use kinglet::CancelHandle;
use kinglet::probe::{Candidate, Setback};
use std::path::PathBuf;

/// Measure one way to run a model, for `kinglet probe`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet probe-candidate ort/cpu --out measured --model models/goldcrest")]
pub(crate) struct Arguments {
    /// The engine, and for ONNX Runtime the provider
    candidate: Candidate,
    /// The file to write what was measured to
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(crate) fn run(common: &Common, arguments: &Arguments) -> Result<(), Failure> {
    let kinglet = common.builder().build()?;
    let came = kinglet.measure(common.model(), arguments.candidate, &CancelHandle::default()).map_err(Setback::from);
    handed::write(&arguments.out, &came).map_err(|error| {
        Failure::failed(format!("`{}` cannot be written ({error}); check the path and the disk", arguments.out.display()))
    })
}
