//! Folders that do not open, each with the error that says what to do.

use kinglet_bundle::onnx::{OnnxError, TensorProblem};
use kinglet_bundle::{Bundle, BundleError, FileError, OpenOptions, OtherFormat};

use crate::writer::{
    CONFIG, FLOAT, GENAI, INT64, Message, decoder, external, folder, model, node, raw_floats, value, whole_model,
};

/// Content of a Git LFS pointer file.
const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";

fn refusal(folder: &std::path::Path) -> BundleError {
    match Bundle::open(folder, &OpenOptions::default()) {
        Ok(bundle) => panic!("{bundle:?} opened"),
        Err(error) => error,
    }
}

/// The error of a folder with these files.
fn refused(files: &[(&str, &[u8])]) -> BundleError {
    refusal(folder(files).path())
}

/// Checks variant and wording: a message must name these things, and end in an action rather than in mid-air.
macro_rules! assert_refused {
    ($error:expr, $variant:pat, $($word:expr),+) => {{
        let error = $error;
        let message = error.to_string();
        assert!(matches!(error, $variant), "{error:?}");
        $(assert!(message.contains($word), "`{}` is not in: {message}", $word);)+
    }};
}

#[test]
fn paths_that_are_no_model_folder() {
    let place = folder(&[("a.onnx", b"x"), ("empty/x", b"")]);
    std::fs::remove_file(place.path().join("empty/x")).unwrap();
    assert_refused!(refusal(&place.path().join("absent")), BundleError::NotFound { .. }, "absent", "give the folder");
    assert_refused!(refusal(&place.path().join("a.onnx")), BundleError::NotAFolder { .. }, "is a file", "give the folder");
    let named = "onnx-community/no-such-model";
    assert_refused!(refusal(named.as_ref()), BundleError::HubName { .. }, "no-such-model", "downloads nothing", "docs/models.md");
    let other = place.path().join("wren.gguf");
    assert_refused!(refusal(&other), BundleError::OtherFormat { .. }, "wren.gguf", "GGUF", "docs/models.md");
    std::fs::write(&other, "GGUF").unwrap();
    assert_refused!(refusal(&other), BundleError::OtherFormat { format: OtherFormat::Gguf, .. }, "llama.cpp", "docs/models.md");
    let other = place.path().join("wren.safetensors");
    assert_refused!(refusal(&other), BundleError::OtherFormat { format: OtherFormat::Safetensors, .. }, "PyTorch", "export");
    assert_refused!(refusal(&place.path().join("empty")), BundleError::EmptyFolder { .. }, "empty", "download");
}

#[test]
fn folders_without_a_graph_get_a_hint_that_fits() {
    struct Case(&'static [&'static str], &'static str);
    for Case(files, hint) in [
        Case(&["README.md"], "download a model"),
        Case(&["model.safetensors"], "optimum-cli export onnx"),
        Case(&["model.Q4_0.gguf"], "GGUF"),
        Case(&["phi3.onnx"], "rename"),
        Case(&["cpu/int4/genai_config.json", "gpu/genai_config.json"], "cpu/int4`"),
    ] {
        let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &b"x"[..])).collect();
        assert_refused!(refused(&files), BundleError::NoModel { .. }, "no ONNX model", hint);
    }
}

#[test]
fn a_graph_without_a_configuration() {
    assert_refused!(refused(&[("model.onnx", &whole_model())]), BundleError::NoConfig { .. }, "config.json", "download");
    let place = folder(&[("config.json", CONFIG.as_bytes()), ("onnx/model.onnx", &whole_model())]);
    assert_refused!(refusal(&place.path().join("onnx")), BundleError::NoConfig { .. }, "the folder above has one");
}

#[test]
fn configurations_that_cannot_be_used() {
    let onnx = whole_model();
    let config = |content: &str| refused(&[("config.json", content.as_bytes()), ("model.onnx", &onnx)]);
    assert_refused!(config("{"), BundleError::Json { .. }, "config.json", "line 1", "download it again");
    assert_refused!(config(r#"{"hidden_size":"wide"}"#), BundleError::Json { .. }, "whole number");
    assert_refused!(config(r#"{"hidden_size":8}"#), BundleError::ConfigLacks { .. }, "model_type");
    assert_refused!(config(""), BundleError::File(FileError::Empty { .. }), "config.json", "empty");
    for (field, value) in [("hidden_size", "0"), ("num_hidden_layers", "-1"), ("vocab_size", "99999999999")] {
        let content = format!(r#"{{"model_type":"llama","{field}":{value}}}"#);
        assert_refused!(config(&content), BundleError::Config { .. }, field, value, "cannot be");
    }
    let content = r#"{"model_type":"llama","eos_token_id":[2,4294967296]}"#;
    assert_refused!(config(content), BundleError::Config { .. }, "eos_token_id", "4294967296");

    let genai = |content: &str| refused(&[("genai_config.json", content.as_bytes()), ("model.onnx", &onnx)]);
    assert_refused!(genai(&GENAI.replace(r#""qwen2""#, "null")), BundleError::ConfigLacks { .. }, "model.type");
    assert_refused!(genai(&GENAI.replace("filename", "name")), BundleError::ConfigLacks { .. }, "model.decoder.filename");
    let names = GENAI.replace(r#""head_size""#, r#""inputs":{"past_key_names":"past"},"head_size""#);
    assert_refused!(genai(&names), BundleError::Config { .. }, "past_key_names", "`", "genai_config.json");
}

#[test]
fn models_of_another_kind() {
    // A graph without past keys and values, like an encoder's.
    let onnx = without_past();
    let config = |content: &str| refused(&[("config.json", content.as_bytes()), ("model.onnx", &onnx)]);
    let genai = |content: &str| refused(&[("genai_config.json", content.as_bytes()), ("model.onnx", &onnx)]);
    let unknown = |error: BundleError| assert_refused!(error, BundleError::UnknownArchitecture { .. }, "Known types:", "llama");
    unknown(config(r#"{"model_type":"abacus"}"#));
    unknown(config(r#"{"model_type":"t5"}"#));
    unknown(genai(&GENAI.replace("qwen2", "whisper")));
    let both = CONFIG.replace('}', r#","is_encoder_decoder":true}"#);
    assert_refused!(config(&both), BundleError::UnknownArchitecture { .. }, "encoder");
    let seeing = GENAI.replace(r#""decoder""#, r#""vision":{"filename":"v.onnx"},"decoder""#);
    assert_refused!(genai(&seeing), BundleError::UnknownArchitecture { .. }, "pictures");
    let stages = GENAI.replace(r#""head_size""#, r#""pipeline":[{"embeddings":{}},{"layers":{}},{"head":{}}],"head_size""#);
    assert_refused!(genai(&stages), BundleError::Pipeline { stages: 3, .. }, "pipeline of 3", "single graph");
    let pictures = model(&Message::default().bytes(11, value("pixel_values", FLOAT)).bytes(12, value("logits", FLOAT))).0;
    unknown(refused(&[("config.json", br#"{"model_type":"llava"}"#), ("model.onnx", &pictures)]));
    // The kind is told even where the graphs of such a model have other names.
    let error = refused(&[("config.json", br#"{"model_type":"t5"}"#), ("onnx/encoder_model.onnx", &onnx)]);
    unknown(error);
}

#[test]
fn variants_that_are_not_there_or_cannot_run() {
    let place = folder(&[("config.json", CONFIG.as_bytes()), ("onnx/model_fp16.onnx", b"x"), ("onnx/model_bnb4.onnx", b"x")]);
    let asking = |name: &str| {
        let options = OpenOptions { variant: Some(name.into()), ..OpenOptions::default() };
        Bundle::open(place.path(), &options).unwrap_err()
    };
    assert_refused!(asking("q4"), BundleError::UnknownVariant { .. }, "`q4`", "model_fp16 (float16), model_bnb4 (bnb4)");
    assert_refused!(asking("bnb4"), BundleError::UnsupportedVariant { .. }, "model_bnb4.onnx", "bitsandbytes", "model_fp16");

    let genai = folder(&[("genai_config.json", GENAI.as_bytes()), ("model.onnx", &whole_model())]);
    let options = OpenOptions { variant: Some("int4".into()), ..OpenOptions::default() };
    assert_refused!(
        Bundle::open(genai.path(), &options).unwrap_err(),
        BundleError::UnknownVariant { .. },
        "`int4`",
        "model (float32)"
    );

    let graph = decoder(&[raw_floats("w", &[1.0])]).bytes(1, node("MatMulBnb4", &["x"], &["y"]));
    let error = refused(&[("genai_config.json", GENAI.as_bytes()), ("model.onnx", &model(&graph).0)]);
    assert_refused!(error, BundleError::UnsupportedVariant { .. }, "model.onnx", "bitsandbytes");
}

#[test]
fn files_that_are_not_what_they_should_be() {
    let config = ("config.json", CONFIG.as_bytes());
    let part = |entries| model(&decoder(&[external("w", &[4], entries)])).0;
    let named = part(&[("location", "model.onnx_data")]);
    struct Case(&'static str, Vec<(&'static str, Vec<u8>)>, fn(&FileError) -> bool, &'static str);
    for Case(what, files, is_it, named) in [
        Case("pointer", vec![("model.onnx", POINTER.into())], |e| matches!(e, FileError::GitLfsPointer { .. }), "git lfs pull"),
        Case("empty", vec![("model.onnx", vec![])], |e| matches!(e, FileError::Empty { .. }), "model.onnx"),
        Case("no part", vec![("model.onnx", named.clone())], |e| matches!(e, FileError::Missing { .. }), "model.onnx_data"),
        Case(
            "part is a pointer",
            vec![("model.onnx", named.clone()), ("model.onnx_data", POINTER.into())],
            |e| matches!(e, FileError::GitLfsPointer { .. }),
            "model.onnx_data",
        ),
        Case(
            "part is a folder",
            vec![("model.onnx", named.clone()), ("model.onnx_data/x", vec![1])],
            |e| matches!(e, FileError::NotAFile { .. }),
            "regular file",
        ),
        Case(
            "part is outside",
            vec![("model.onnx", part(&[("location", "../secret")]))],
            |e| matches!(e, FileError::OutsideFolder { .. }),
            "`../secret`",
        ),
        Case(
            "part is absolute",
            vec![("model.onnx", part(&[("location", "/etc/passwd")]))],
            |e| matches!(e, FileError::OutsideFolder { .. }),
            "absolute",
        ),
    ] {
        let mut all = vec![config];
        all.extend(files.iter().map(|(name, content)| (*name, &content[..])));
        let error = refused(&all);
        assert!(matches!(&error, BundleError::File(error) if is_it(error)), "{what}: {error:?}");
        assert!(error.to_string().contains(named), "{what}: {error}");
    }
    let error = refused(&[("genai_config.json", GENAI.replace("model.onnx", "../model.onnx").as_bytes())]);
    assert_refused!(error, BundleError::File(FileError::OutsideFolder { .. }), "../model.onnx");
    let error = refused(&[("genai_config.json", GENAI.as_bytes())]);
    assert_refused!(error, BundleError::File(FileError::Missing { .. }), "model.onnx", "download");
    let error = refused(&[("genai_config.json", POINTER)]);
    assert_refused!(error, BundleError::File(FileError::GitLfsPointer { .. }), "genai_config.json", "git lfs pull");
}

#[test]
fn a_tokenizer_that_is_missing_is_told_when_it_is_asked_for() {
    struct Case(&'static [(&'static str, &'static [u8])], &'static str);
    for Case(files, word) in [
        Case(&[], "download"),
        Case(&[("tokenizer.model", b"x")], "SentencePiece"),
        Case(&[("vocab.json", b"x")], "vocab.json"),
        Case(&[("tokenizer.json", POINTER)], "git lfs pull"),
    ] {
        let onnx = whole_model();
        let mut all: Vec<(&str, &[u8])> = vec![("config.json", CONFIG.as_bytes()), ("model.onnx", &onnx)];
        all.extend(files);
        let place = folder(&all);
        let bundle = Bundle::open(place.path(), &OpenOptions::default()).unwrap();
        let error = bundle.text_files().tokenizer().unwrap_err();
        assert_refused!(error, BundleError::NoTokenizer { .. } | BundleError::File(_), word, "tokenizer.json");
    }
}

#[test]
fn graphs_that_cannot_be_read_or_are_no_decoders() {
    let onnx = |graph: &[u8]| refused(&[("config.json", CONFIG.as_bytes()), ("model.onnx", graph)]);
    let whole = whole_model();
    assert_refused!(onnx(&whole[..whole.len() / 2]), BundleError::Onnx { .. }, "cut off or damaged", "download");
    assert_refused!(onnx(b"PK\x03\x04 not a model"), BundleError::Onnx { .. }, "model.onnx");
    let short = model(&decoder(&[external("w", &[4], &[("location", "part"), ("offset", "8")])]));
    let error = refused(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &short.0), ("part", &[0; 16])]);
    let BundleError::Onnx { source: OnnxError::Tensor { tensor, problem: TensorProblem::OutsideFile { .. } }, .. } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(tensor, "w");
    assert!(error.to_string().contains("16 bytes"), "{error}");

    let graph = Message::default().bytes(11, value("pixels", 1));
    assert_refused!(onnx(&model(&graph).0), BundleError::MissingValue { .. }, "input `input_ids`", "pixels");
    let graph = Message::default().bytes(11, value("input_ids", 7));
    assert_refused!(onnx(&model(&graph).0), BundleError::MissingValue { .. }, "output `logits`", "none at all");
}

#[test]
fn a_file_that_shrinks_is_noticed_before_it_is_read() {
    let place = folder(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &whole_model())]);
    let bundle = Bundle::open(place.path(), &OpenOptions::default()).unwrap();
    assert!(bundle.check_files().is_ok());
    let file = std::fs::OpenOptions::new().write(true).open(place.path().join("model.onnx")).unwrap();
    file.set_len(10).unwrap();
    assert!(matches!(bundle.check_files(), Err(FileError::Shrunk { file_bytes: 10, .. })));
    assert_refused!(bundle.graph().unwrap_err(), BundleError::File(FileError::Shrunk { .. }), "open the model again");
}

#[cfg(unix)]
#[test]
fn what_the_system_will_not_show_and_what_would_wait_for_ever() {
    use std::os::unix::fs::PermissionsExt;
    let place = folder(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &whole_model())]);
    let path = place.path().join("model.onnx");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything.
    if std::fs::File::open(&path).is_err() {
        assert_refused!(refusal(place.path()), BundleError::File(FileError::Unreadable { .. }), "permissions");
    }
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if made.is_ok_and(|status| status.success()) {
        assert_refused!(refusal(place.path()), BundleError::NoModel { .. }, "no ONNX model");
    }
}

#[test]
fn too_many_parts_are_refused() {
    let names: Vec<String> = (0..201).map(|index| format!("part{index}")).collect();
    let constants: Vec<Message> = names.iter().map(|name| external(name, &[1], &[("location", name)])).collect();
    let onnx = model(&decoder(&constants)).0;
    let mut files: Vec<(&str, &[u8])> = vec![("config.json", CONFIG.as_bytes()), ("model.onnx", &onnx)];
    files.extend(names.iter().map(|name| (name.as_str(), &[0_u8; 4][..])));
    assert_refused!(refused(&files), BundleError::File(FileError::TooManyParts { limit: 200 }), "200 files");
}

/// A graph that takes token ids and gives logits, and nothing that was computed before.
fn without_past() -> Vec<u8> {
    let graph = Message::default()
        .bytes(1, node("MatMul", &["input_ids", "w"], &["logits"]))
        .bytes(5, raw_floats("w", &[1.0]))
        .bytes(11, value("input_ids", INT64))
        .bytes(12, value("logits", FLOAT));
    model(&graph).0
}

#[test]
fn a_type_is_no_reason_where_the_graph_is_a_decoder() {
    let onnx = whole_model();
    for model_type in ["granitemoehybrid", "mixtral", "t5", "abacus"] {
        let config = CONFIG.replace("llama", model_type);
        let place = folder(&[("config.json", config.as_bytes()), ("model.onnx", &onnx)]);
        let bundle = Bundle::open(place.path(), &OpenOptions::default()).unwrap_or_else(|error| panic!("{model_type}: {error}"));
        assert_eq!(bundle.architecture().model_type, model_type);
        assert_eq!(bundle.architecture().hindrance().is_none(), model_type == "abacus", "{model_type}");
    }
}

#[test]
fn numbers_that_no_model_has_are_refused_with_their_field_or_line() {
    let onnx = whole_model();
    let open = |config: &str| {
        let place = folder(&[("config.json", config.as_bytes()), ("model.onnx", &onnx)]);
        Bundle::open(place.path(), &OpenOptions::default())
    };
    struct Case(&'static str, &'static str, Option<&'static str>);
    for Case(field, value, refused) in [
        Case("num_attention_heads", "1e30", Some("whole number")),
        Case("num_attention_heads", "9223372036854775808", Some("whole number")),
        Case("num_attention_heads", "-9223372036854775808", Some("num_attention_heads is -9223372036854775808")),
        Case("num_attention_heads", "1e999", Some("line 1")),
        Case("num_attention_heads", "[8, [8]]", Some("whole number")),
        Case("num_attention_heads", "16777217", Some("num_attention_heads is 16777217")),
        Case("head_dim", "0", Some("head_dim is 0")),
        Case("sliding_window", "9223372036854775807", None),
        Case("sliding_window", "-9223372036854775808", None),
        Case("sliding_window", "1.5", Some("line 1")),
        Case("eos_token_id", "18446744073709551615", Some("whole number")),
        Case("hidden_size", "{\"hidden_size\": 1}", Some("whole number")),
        Case("model_type", "\"llama\"", Some("duplicate field")),
        Case("rope_theta", "1e30", None),
        Case("rope_theta", "Infinity", None),
        Case("num_attention_heads", "NaN", None),
    ] {
        let outcome = open(&format!(r#"{{"model_type":"llama","{field}":{value}}}"#));
        match (&outcome, refused) {
            (Ok(_), None) => {}
            (Err(error), Some(words)) => assert!(error.to_string().contains(words), "{field} {value}: {error}"),
            _ => panic!("{field} {value}: {outcome:?}"),
        }
    }
    let window = open(r#"{"model_type":"llama","sliding_window":9223372036854775807}"#).unwrap();
    assert_eq!(window.architecture().sliding_window.as_ref().unwrap().positions, 1 << 24);
    let deep = format!(r#"{{"model_type":"llama","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_refused!(open(&deep).unwrap_err(), BundleError::Json { .. }, "recursion limit", "correct it there");
}

#[test]
fn a_configuration_of_any_size_is_refused_at_once() {
    let place = folder(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &whole_model())]);
    for name in ["config.json", "genai_config.json", "generation_config.json"] {
        let path = place.path().join(name);
        let kept = std::fs::read(&path).ok();
        std::fs::File::create(&path).unwrap().set_len(30 << 30).unwrap();
        assert_refused!(
            refusal(place.path()),
            BundleError::File(FileError::Unfit(_)),
            name,
            "32212254720 bytes",
            "16777216 at most"
        );
        std::fs::remove_file(&path).unwrap();
        kept.into_iter().for_each(|content| std::fs::write(&path, content).unwrap());
    }
}

#[test]
fn names_out_of_files_cannot_steer_a_terminal_or_fill_it() {
    let odd = r"a\u001b[31m\u202e".to_owned() + &"x".repeat(100_000);
    let config = format!(r#"{{"model_type":"{odd}"}}"#);
    let message = refused(&[("config.json", config.as_bytes()), ("model.onnx", &without_past())]).to_string();
    assert!(message.contains(r"a\u{1b}[31m\u{202e}xx") && message.len() < 2000, "{message}");
}
