//! Answers and logits against those of transformers, which the committed goldens hold.

use crate::kit::{ids, kinglet, repository};
use serde::Deserialize;
use std::fs;

#[derive(Deserialize)]
struct Golden {
    logits_file: String,
    vocab: usize,
    prompts: Vec<Prompt>,
}

#[derive(Deserialize)]
struct Prompt {
    name: String,
    ids: Vec<u32>,
    greedy: Vec<u32>,
    positions: Vec<usize>,
    logits_offset: usize,
}

const FAMILY: &str = "models/goldens/qwen2";
const LAYOUTS: [&str; 2] = ["genai", "optimum"];
/// The largest difference of a logit, as a part of the largest one.
const TOLERANCE: f32 = 1e-3;

fn golden() -> (Golden, Vec<f32>) {
    let folder = repository().join(FAMILY);
    let golden: Golden = serde_json::from_str(&fs::read_to_string(folder.join("golden.json")).unwrap()).unwrap();
    let logits = floats(&fs::read(folder.join(&golden.logits_file)).unwrap());
    (golden, logits)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn joined(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// The shape and the values of a `.npy` file of float32.
fn read_npy(path: &std::path::Path) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(path).unwrap();
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    assert_eq!((10 + length) % 64, 0, "elements are not aligned");
    let header = std::str::from_utf8(&bytes[10..10 + length]).unwrap();
    assert!(header.contains("'descr': '<f4'") && header.contains("'fortran_order': False"), "{header}");
    let shape = header.split(['(', ')']).nth(1).unwrap().split(',').map(|part| part.trim().parse().unwrap()).collect();
    (shape, floats(&bytes[10 + length..]))
}

fn worst(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0f32, |largest, logit| largest.max(logit.abs()));
    ours.iter().zip(theirs).fold(0f32, |worst, (a, b)| worst.max((a - b).abs())) / largest
}

#[test]
fn greedy_answers_are_those_of_transformers() {
    let (golden, _) = golden();
    for layout in LAYOUTS {
        let model = format!("{FAMILY}/{layout}");
        for prompt in &golden.prompts {
            let count = prompt.greedy.len().to_string();
            let run = kinglet(&["run", "--ids", &joined(&prompt.ids), "-n", &count, "-m", &model, "--json"]).json();
            // An end token ends the answer here, while the golden goes on after it.
            let tokens = ids(&run, "tokens");
            assert_eq!(tokens, prompt.greedy[..tokens.len()], "{layout} {}", prompt.name);
            assert!(run["finish"] == "end_of_turn" || tokens.len() == prompt.greedy.len(), "{run}");
        }
    }
}

#[test]
fn logits_are_those_of_transformers() {
    let (golden, logits) = golden();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("logits.npy");
    for layout in LAYOUTS {
        for prompt in &golden.prompts {
            let given = joined(&prompt.ids);
            let out = path.to_str().unwrap();
            let model = format!("{FAMILY}/{layout}");
            let told = kinglet(&["logits", "--ids", &given, "--positions", "all", "--out", out, "-m", &model, "--json"]).json();
            let (shape, values) = read_npy(&path);
            assert_eq!(shape, [prompt.ids.len(), golden.vocab]);
            assert_eq!(told["shape"], serde_json::json!(shape));
            assert_eq!((told["dtype"].as_str(), told["path"].as_str()), (Some("float32"), Some(out)));
            for (row, &position) in prompt.positions.iter().enumerate() {
                let ours = &values[position * golden.vocab..][..golden.vocab];
                let theirs = &logits[prompt.logits_offset + row * golden.vocab..][..golden.vocab];
                let difference = worst(ours, theirs);
                assert!(difference < TOLERANCE, "{layout} {} at {position}: {difference}", prompt.name);
            }
        }
    }
}

#[test]
fn the_last_position_is_the_last_of_all() {
    let folder = tempfile::tempdir().unwrap();
    let [last, all] = ["last", "all"].map(|positions| {
        let path = folder.path().join(positions);
        let out = path.to_str().unwrap();
        kinglet(&["logits", "--ids", "5, 6 7", "--positions", positions, "--out", out, "-m", crate::kit::TINY]).done();
        read_npy(&path)
    });
    assert_eq!((last.0[0], all.0[0]), (1, 3));
    assert!(worst(&last.1, &all.1[2 * all.0[1]..]) < 1e-5);
}

#[test]
fn the_comparison_can_fail() {
    assert!(worst(&[1.0, 2.0], &[1.0, 2.01]) > TOLERANCE);
    assert!(worst(&[1.0, 2.0], &[1.0, 2.0]) < TOLERANCE);
}
