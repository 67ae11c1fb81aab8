//! Opens every folder of the goldens, which the exporters themselves wrote.

use std::path::Path;

use kinglet_bundle::{Bundle, Layout, OpenOptions};
use serde_json::Value;

#[test]
#[allow(clippy::print_stderr)] // a test that is skipped says so
fn every_golden_folder_opens_as_what_it_is() {
    let goldens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/goldens");
    let Ok(index) = std::fs::read(goldens.join("index.json")) else {
        eprintln!("SKIPPED: there is no {}; `cargo xtask goldens` makes it", goldens.join("index.json").display());
        return;
    };
    let index: Value = serde_json::from_slice(&index).unwrap();
    let models = index["models"].as_array().unwrap();
    assert!(!models.is_empty());
    for model in models {
        open(&goldens, model);
    }
}

fn open(goldens: &Path, model: &Value) {
    let path = model["path"].as_str().unwrap();
    let variant = model["file"].as_str().map(|file| file.trim_end_matches(".onnx").to_owned());
    let bundle = Bundle::open(&goldens.join(path), &OpenOptions { variant, ..OpenOptions::default() });
    let bundle = bundle.unwrap_or_else(|error| panic!("{path}: {error}"));
    let layout = match bundle.layout() {
        Layout::Genai => "genai",
        Layout::Optimum => "optimum",
        Layout::Community => "community",
    };
    assert_eq!(layout, model["layout"].as_str().unwrap(), "{path}");

    let precision = bundle.variant().precision.unwrap_or_else(|| panic!("{path}: no precision")).name();
    let expected = model["precision"].as_str().unwrap();
    assert!(precision == expected || precision == format!("{expected}-float16"), "{path}: {precision} instead of {expected}");

    let (architecture, graph) = (bundle.architecture(), bundle.graph().unwrap());
    let layers = architecture.layers.unwrap_or_else(|| panic!("{path} does not say how many layers it has"));
    for template in [&bundle.io().past_key, &bundle.io().past_value] {
        let inputs = graph.inputs.iter().filter(|input| template.layer_of(&input.name).is_some()).count();
        assert_eq!(inputs, layers, "{path}: caches of {layers} layers");
    }
    assert!(architecture.vocab_size.is_some() && architecture.head_dim.is_some(), "{path}: {architecture:?}");
    assert!(!architecture.eos_ids.is_empty(), "{path}");

    let weights: usize = graph.initializers.iter().map(|tensor| tensor.bytes.len()).sum();
    assert!(weights > 0 && weights as u64 <= bundle.total_bytes(), "{path}: {weights} of {}", bundle.total_bytes());
    let on_heap: usize =
        graph.initializers.iter().filter(|tensor| !tensor.bytes.is_mapped()).map(|tensor| tensor.bytes.len()).sum();
    assert!(on_heap <= weights / 10, "{path}: {on_heap} of {weights} bytes of weights were copied to the heap");
}
