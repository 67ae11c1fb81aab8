//! `cargo xtask matrix`: which models run on which engine, for the README.

use crate::onnxruntime;
use crate::process::{cargo, stream};
use crate::report::Report;

/// Runs every golden model on both engines and writes the table into the README.
pub(crate) fn run(report: &mut Report) {
    onnxruntime::run(report);
    let test = ["test", "--package", "kinglet", "--features", "ort", "--test", "matrix"];
    report.check("matrix", stream(cargo(&test).env("KINGLET_WRITE_MATRIX", "1")));
}
