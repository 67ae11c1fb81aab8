//! Weights that lie elsewhere: ranges of an open file, as in an application's package.

use kinglet_bundle::{Bundle, BundleError, FileError, FileRange, Layout, OpenOptions};
use std::fs::File;
use std::io::Write;
use std::sync::Arc;

use crate::writer::{CONFIG, GENAI, decoder, external, folder, model, whole_model};

/// A package with each content at an odd place, and where it is.
fn package(contents: &[(&str, &[u8])]) -> Vec<FileRange> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"PK and something else").unwrap();
    let mut places = vec![];
    for (name, content) in contents {
        places.push((name.to_string(), std::io::Seek::stream_position(&mut file).unwrap(), content.len() as u64));
        file.write_all(content).unwrap();
        file.write_all(&[0xff; 7]).unwrap();
    }
    let file = Arc::new(file);
    places.into_iter().map(|(name, offset, bytes)| FileRange { name, file: file.clone(), offset, bytes }).collect()
}

fn open(folder: &tempfile::TempDir, files: Vec<FileRange>) -> Result<Bundle, BundleError> {
    Bundle::open(folder.path(), &OpenOptions { files, ..OpenOptions::default() })
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_part_is_read_from_where_it_lies() {
    let graph = model(&decoder(&[external("a", &[2], &[("location", "model.onnx_data"), ("offset", "8"), ("length", "8")])]));
    let files = || package(&[("other", b"x"), ("model.onnx_data", &floats(&[1.0, 2.0, 3.0, 4.0]))]);
    let alone = folder(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &graph.0)]);
    let covered =
        folder(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &graph.0), ("model.onnx_data", &floats(&[9.0; 4]))]);
    for folder in [alone, covered] {
        let bundle = open(&folder, files()).unwrap();
        let constants = bundle.graph().unwrap().initializers;
        assert_eq!(constants[0].to_f32().unwrap(), [3.0, 4.0]);
        assert!(constants[0].bytes.is_mapped());
        assert_eq!(bundle.total_bytes(), graph.0.len() as u64 + 16);
        bundle.check_files().unwrap();
    }
}

#[test]
fn the_graph_itself_may_be_given_in_each_layout() {
    for (layout, configuration, name) in [
        (Layout::Genai, ("genai_config.json", GENAI), "model.onnx"),
        (Layout::Optimum, ("config.json", CONFIG), "model.onnx"),
        (Layout::Community, ("config.json", CONFIG), "onnx/model_q4.onnx"),
    ] {
        let folder = folder(&[(configuration.0, configuration.1.as_bytes())]);
        std::fs::create_dir(folder.path().join("onnx")).unwrap();
        let bundle = open(&folder, package(&[(name, &whole_model())])).unwrap();
        assert_eq!((bundle.layout(), bundle.variant().bytes), (layout, whole_model().len() as u64));
        assert_eq!(bundle.graph().unwrap().initializers[0].to_f32().unwrap(), [1.0, 2.0, 3.0]);
    }
}

#[test]
fn a_range_that_is_not_all_there_is_refused_and_one_that_shrinks_is_noticed() {
    let folder = folder(&[("config.json", CONFIG.as_bytes())]);
    let files = package(&[("model.onnx", &whole_model())]);
    let length = files[0].file.metadata().unwrap().len();
    for (offset, bytes) in [(length, 1), (0, length + 1), (u64::MAX, 2), (5, u64::MAX)] {
        let error = open(&folder, vec![FileRange { offset, bytes, ..files[0].clone() }]).unwrap_err();
        assert!(matches!(error, BundleError::File(FileError::RangeOutside { .. })), "{error}");
    }
    let error = open(&folder, vec![FileRange { bytes: 0, ..files[0].clone() }]).unwrap_err();
    assert!(matches!(error, BundleError::File(FileError::Empty { .. })), "{error}");
    let error = open(&folder, vec![FileRange { name: "../model.onnx".into(), ..files[0].clone() }]).unwrap_err();
    assert!(matches!(error, BundleError::File(FileError::OutsideFolder { .. })), "{error}");

    let path = folder.path().join("package");
    let mut written = File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    written.write_all(&whole_model()).unwrap();
    let given = FileRange { name: "model.onnx".into(), bytes: whole_model().len() as u64, offset: 0, file: Arc::new(written) };
    let bundle = open(&folder, vec![given]).unwrap();
    bundle.check_files().unwrap();
    File::options().write(true).open(&path).unwrap().set_len(10).unwrap();
    assert!(matches!(bundle.check_files(), Err(FileError::Shrunk { .. })));
}

#[cfg(unix)]
#[test]
fn what_is_given_is_a_regular_file() {
    let folder = folder(&[("config.json", CONFIG.as_bytes())]);
    for path in ["/dev/zero", "/"] {
        let file = Arc::new(File::open(path).unwrap());
        let error = open(&folder, vec![FileRange { name: "model.onnx".into(), offset: 0, bytes: 4096, file }]).unwrap_err();
        assert!(matches!(error, BundleError::File(FileError::NotAFile { .. })), "{path}: {error}");
    }
}
