//! `cargo xtask shape`: a model folder as large as a published model, with random weights.

use crate::report::Report;
use clap::Args;
use kinglet_testing::Shape;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Writes a model folder with the shape of a published model and random weights of 4 bits.
///
/// The folder has the form that the model builder of onnxruntime-genai gives it, and takes the time and the memory of the model
/// whose shape it has; the text that it generates has no meaning. Nothing is downloaded.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[arg(value_name = "NAME", help = format!("The model whose shape it is: {}", names()), value_parser = named)]
    shape: Shape,
    /// The folder, which is made where it is not there; up to 12 GB
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Seed of the weights: the same seed gives the same files
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

fn names() -> String {
    Shape::all_published().into_iter().map(|shape| shape.name).collect::<Vec<_>>().join(", ")
}

/// The shape of the model with this name.
fn named(name: &str) -> Result<Shape, String> {
    Shape::published(name).ok_or_else(|| format!("the shapes are {}", names()))
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    report.check("shape", write(&arguments.shape, &arguments.out, arguments.seed));
}

/// Writes a folder and says how large it is.
///
/// # Errors
/// A sentence where the system refuses a file.
pub(crate) fn write(shape: &Shape, folder: &Path, seed: u64) -> Result<(), String> {
    let (parameters, bytes) = (shape.parameters() as f64 / 1e9, shape.data_bytes() as f64 / 1e6);
    eprintln!("\n{}: {parameters:.2} billion parameters, {bytes:.0} MB in {}", shape.name, folder.display());
    let started = Instant::now();
    shape.write(folder, seed).map_err(|error| error.to_string())?;
    eprintln!("written in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}
