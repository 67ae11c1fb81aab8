//! Which golden models run on which engine: the table of the README, which `cargo xtask matrix` writes and this test holds.
#![cfg(feature = "ort")]

use kinglet_bundle::Bundle;
use kinglet_engine::Model;
use kinglet_ort::OrtModel;
use kinglet_testing::{GoldenModel, conformance, golden_models, onnxruntime, repository};
use kinglet_tract::TractModel;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Set by `cargo xtask matrix` to have the table written instead of held.
const WRITES: &str = "KINGLET_WRITE_MATRIX";
/// Markers before and after the table.
const MARKS: [&str; 2] = ["<!-- written by `cargo xtask matrix` -->\n", "<!-- end of the matrix -->\n"];
const PRECISIONS: [&str; 5] = ["float32", "float16", "bfloat16", "int8", "int4"];
const ENGINES: [&str; 2] = ["tract", "ort"];

/// Result of one model on one engine: passed, or why it does not run or what differs.
type Outcome = Result<(), String>;

/// Opens a model on an engine and holds it against its references.
fn outcome(golden: &GoldenModel, bundle: &Bundle, engine: &str) -> Outcome {
    let model: Box<dyn Model> = if engine == "tract" {
        Box::new(TractModel::open(bundle, &Default::default()).map_err(|error| error.to_string())?)
    } else {
        let options = kinglet_ort::OpenOptions { library: onnxruntime(), ..Default::default() };
        Box::new(OrtModel::open(bundle, &options).map_err(|error| error.to_string())?)
    };
    if engine == "tract" || golden.exact_is_possible() {
        conformance::agreement(golden, &*model, &conformance::options(true))?;
    }
    match &golden.rounded {
        Some((rounding, theirs)) => {
            let exact = engine == "tract" && *rounding == kinglet_testing::Rounding::Float16;
            let noise = conformance::noise(golden, theirs, &*model, &conformance::options(exact))?;
            if noise.is_alike() { Ok(()) } else { Err(format!("noisier than the reference: {noise}")) }
        }
        None => Ok(()),
    }
}

/// The models of one family in one layout, by precision: how many there are, and how many pass on each engine.
type Row = BTreeMap<String, (usize, [usize; 2])>;

/// The table, and how many outcomes of how many are good.
fn matrix() -> (String, usize, usize) {
    let mut rows: BTreeMap<(String, String), Row> = BTreeMap::new();
    let (mut notes, mut passed, mut all) = (vec![], 0, 0);
    for golden in golden_models().unwrap() {
        let bundle = conformance::bundle(&golden).unwrap();
        // The folders of one model type hold several families; those named after what they show hold models of a type.
        let group = golden.name.split('/').next().unwrap_or_default();
        let by_type = ["quantised", "community", "bfloat16"].contains(&group);
        let family = if by_type { bundle.architecture().model_type.clone() } else { group.to_owned() };
        let row = rows.entry((family, golden.layout.clone())).or_default();
        let (count, passing) = row.entry(golden.precision.clone()).or_default();
        *count += 1;
        for (engine, passing) in ENGINES.into_iter().zip(passing) {
            all += 1;
            match outcome(&golden, &bundle, engine) {
                Ok(()) => (*passing, passed) = (*passing + 1, passed + 1),
                Err(why) => notes.push(format!("- `{}`, {}, {engine}: {why}\n", golden.name, golden.precision)),
            }
        }
    }
    let mut table = format!("| family | layout | {} |\n|---|---|{}\n", PRECISIONS.join(" | "), "---|".repeat(PRECISIONS.len()));
    for ((family, layout), row) in &rows {
        let cells: Vec<String> = PRECISIONS.iter().map(|precision| row.get(*precision).map_or(String::new(), cell)).collect();
        writeln!(table, "| {family} | {layout} | {} |", cells.join(" | ")).unwrap();
    }
    (format!("{table}\n{passed} of {all} runs pass.\n{}", notes.concat()), passed, all)
}

/// Which engines run all models of a cell; of those that do not, how many.
fn cell((count, passing): &(usize, [usize; 2])) -> String {
    let of = |engine: &str, passing: usize| {
        if passing == *count { engine.to_owned() } else { format!("{engine} {passing}") }
    };
    let number = if *count == 1 { String::new() } else { format!(" ({count})") };
    match passing {
        [tract, ort] if tract == count && ort == count => format!("both{number}"),
        [tract, ort] => format!("{}, {}{number}", of(ENGINES[0], *tract), of(ENGINES[1], *ort)),
    }
}

#[test]
fn the_table_of_the_readme_is_what_runs() {
    if onnxruntime().is_none() {
        return;
    }
    let (table, passed, all) = matrix();
    assert!(passed * 100 >= all * 95, "{passed} of {all} runs pass");
    let file = repository().join("README.md");
    let readme = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = readme.split_once(MARKS[0]).expect("the README has a place for the table");
    let (held, after) = rest.split_once(MARKS[1]).expect("the table ends");
    if std::env::var_os(WRITES).is_some() {
        std::fs::write(&file, [before, MARKS[0], &table, MARKS[1], after].concat()).unwrap();
    } else {
        assert_eq!(held, table, "the README's table is not what runs; `cargo xtask matrix` writes it");
    }
}
