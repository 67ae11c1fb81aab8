//! Folders that open: the three layouts, their variants, and what their configuration says.

use kinglet_bundle::{Bundle, Layout, OpenOptions, Precision};

use crate::writer::{
    CONFIG, FLOAT, GENAI, Message, decoder, external, folder, model, raw_floats, tensor, value, whole_model, write,
};

fn open(folder: &tempfile::TempDir) -> Bundle {
    Bundle::open(folder.path(), &OpenOptions::default()).unwrap()
}

#[test]
fn a_genai_folder_opens_with_what_its_configuration_says() {
    let folder = folder(&[("genai_config.json", GENAI.as_bytes()), ("model.onnx", &whole_model()), ("tokenizer.json", b"{}")]);
    let bundle = open(&folder);
    assert_eq!(bundle.layout(), Layout::Genai);
    assert_eq!((bundle.variant().name.as_str(), bundle.variant().precision), ("model", Some(Precision::Float32)));
    let about = bundle.architecture();
    assert_eq!(about.model_type, "qwen2");
    assert_eq!((about.hidden_size, about.layers, about.attention_heads), (Some(32), Some(3), Some(4)));
    assert_eq!((about.kv_heads, about.head_dim, about.intermediate_size), (Some(2), Some(16), None));
    assert_eq!((about.vocab_size, about.max_context), (Some(300), Some(1024)));
    assert_eq!((&about.eos_ids[..], about.eos_source), (&[5, 6][..], Some("genai_config.json")));
    assert_eq!((about.bos_id, about.pad_id), (Some(1), None), "a negative id is none");
    let generation = bundle.generation();
    assert_eq!((generation.do_sample, generation.top_k, generation.temperature), (Some(true), Some(40), Some(0.5)));
    assert_eq!((generation.top_p, generation.max_length), (None, Some(1024)));
    assert_eq!(bundle.text_files().tokenizer().unwrap(), folder.path().join("tokenizer.json"));
}

#[test]
fn an_optimum_folder_opens_and_the_generation_config_comes_first() {
    let generation =
        br#"{"eos_token_id":[7],"bos_token_id":null,"temperature":0.7,"top_k":-1,"min_p":0.1,"suppress_tokens":[3,-1]}"#;
    let config = CONFIG.replace('}', r#","bos_token_id":1,"head_dim":8}"#);
    let folder =
        folder(&[("config.json", config.as_bytes()), ("generation_config.json", generation), ("model.onnx", &whole_model())]);
    let bundle = open(&folder);
    assert_eq!(bundle.layout(), Layout::Optimum);
    let about = bundle.architecture();
    assert_eq!((&about.eos_ids[..], about.eos_source), (&[7][..], Some("generation_config.json")));
    assert_eq!((about.bos_id, about.head_dim, about.intermediate_size), (Some(1), Some(8), Some(128)));
    let generation = bundle.generation();
    assert_eq!((generation.top_k, generation.min_p, &generation.suppress_ids[..]), (Some(0), Some(0.1), &[3][..]));
    assert!(bundle.choice().starts_with("model.onnx (float32, 0.0 MB): the only one"), "{}", bundle.choice());
}

#[test]
fn a_community_folder_opens_the_variant_that_is_liked_or_asked_for() {
    let halves = model(&decoder(&[tensor("w", 10, &[2]).bytes(9, [0; 4])])).0;
    let files: [(&str, &[u8]); 5] = [
        ("config.json", CONFIG.as_bytes()),
        ("onnx/model.onnx", &whole_model()),
        ("onnx/model_fp16.onnx", &halves),
        ("onnx/model_bnb4.onnx", b"not looked at"),
        ("tokenizer.json", b"{}"),
    ];
    let folder = folder(&files);
    let bundle = open(&folder);
    assert_eq!((bundle.layout(), bundle.variant().name.as_str()), (Layout::Community, "model_fp16"));
    assert_eq!(bundle.variants().len(), 3);
    assert!(bundle.choice().starts_with("onnx/model_fp16.onnx (float16"), "{}", bundle.choice());
    assert!(bundle.text_files().tokenizer().is_ok());

    for request in ["fp32", "model", "onnx/model.onnx", "float32"] {
        let options = OpenOptions { variant: Some(request.into()), ..OpenOptions::default() };
        let bundle = Bundle::open(folder.path(), &options).unwrap();
        assert_eq!(bundle.variant().precision, Some(Precision::Float32));
        assert!(bundle.choice().ends_with(&format!("asked for as `{request}`")), "{}", bundle.choice());
    }
}

#[test]
fn names_of_older_graphs_are_known() {
    let config = CONFIG.as_bytes();
    let folder = folder(&[
        ("config.json", config),
        ("onnx/decoder_model.onnx", &whole_model()),
        ("onnx/decoder_model_merged.onnx", &whole_model()),
    ]);
    assert_eq!(open(&folder).variant().name, "decoder_model_merged");
}

#[test]
fn a_genai_configuration_whose_graph_is_absent_yields_to_the_graphs_that_are_there() {
    let folder = folder(&[
        ("genai_config.json", GENAI.as_bytes()),
        ("config.json", CONFIG.as_bytes()),
        ("onnx/model_q4.onnx", &whole_model()),
    ]);
    let bundle = open(&folder);
    assert_eq!((bundle.layout(), bundle.variant().name.as_str()), (Layout::Community, "model_q4"));
}

#[test]
fn a_genai_folder_answers_to_the_precision_of_its_graph() {
    let folder = folder(&[("genai_config.json", GENAI.as_bytes()), ("model.onnx", &whole_model())]);
    for request in ["float32", "model"] {
        let options = OpenOptions { variant: Some(request.into()), ..OpenOptions::default() };
        assert!(Bundle::open(folder.path(), &options).is_ok(), "{request}");
    }
}

#[test]
fn weights_in_several_parts_are_mapped_and_counted() {
    let floats: Vec<u8> = [1.0_f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let graph = model(&decoder(&[
        external("a", &[2], &[("location", "model.onnx_data"), ("offset", "8"), ("length", "8")]),
        external("b", &[4], &[("location", "model.onnx_data_1")]),
        external("c", &[2], &[("location", "model.onnx_data")]),
        raw_floats("d", &[5.0]),
    ]));
    let folder = folder(&[
        ("config.json", CONFIG.as_bytes()),
        ("model.onnx", &graph.0),
        ("model.onnx_data", &floats),
        ("model.onnx_data_1", &floats),
    ]);
    let bundle = open(&folder);
    let constants = bundle.graph().unwrap().initializers;
    let content: Vec<Vec<f32>> = constants.iter().map(|tensor| tensor.to_f32().unwrap()).collect();
    assert_eq!(content, [vec![3.0, 4.0], vec![1.0, 2.0, 3.0, 4.0], vec![1.0, 2.0], vec![5.0]]);
    assert!(constants.iter().all(|tensor| tensor.bytes.is_mapped()));
    let names: Vec<_> = bundle.weight_files().iter().map(|file| file.path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["model.onnx", "model.onnx_data", "model.onnx_data_1"]);
    assert_eq!(bundle.total_bytes(), graph.0.len() as u64 + 32);
    assert_eq!(bundle.variant().bytes, bundle.total_bytes());
}

#[test]
fn a_graph_outlives_its_bundle_and_its_files() {
    let folder = folder(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &whole_model())]);
    let graph = open(&folder).graph().unwrap();
    folder.close().unwrap();
    assert_eq!(graph.initializers[0].to_f32().unwrap(), [1.0, 2.0, 3.0]);
}

#[test]
fn names_of_inputs_come_from_the_configuration_or_are_the_usual_ones() {
    let graph = Message::default()
        .bytes(11, value("ids", 7))
        .bytes(11, value("pos", 7))
        .bytes(11, value("k_0", FLOAT))
        .bytes(11, value("use_cache_branch", 9))
        .bytes(12, value("scores", FLOAT));
    let genai = GENAI.replace(
        r#""head_size""#,
        r#""inputs":{"input_ids":"ids","position_ids":"pos","past_key_names":"k_%d"},"outputs":{"logits":"scores"},"head_size""#,
    );
    let bundle = open(&folder(&[("genai_config.json", genai.as_bytes()), ("model.onnx", &model(&graph).0)]));
    let io = bundle.io();
    assert_eq!((io.input_ids.as_str(), io.logits.as_str()), ("ids", "scores"));
    assert_eq!((io.position_ids.as_deref(), io.attention_mask.as_deref()), (Some("pos"), None));
    assert_eq!((io.past_key.of_layer(3), io.present_value.of_layer(3)), ("k_3".into(), "present.3.value".into()));
    assert_eq!(io.other_inputs, ["use_cache_branch"]);

    let bundle = open(&folder(&[("config.json", CONFIG.as_bytes()), ("model.onnx", &whole_model())]));
    assert_eq!(bundle.io().attention_mask.as_deref(), Some("attention_mask"));
    assert_eq!(bundle.io().other_inputs, [""; 0]);
}

#[test]
fn windows_and_uneven_heads_are_told_as_far_as_they_are_known() {
    struct Case(&'static str, Option<(usize, Option<Vec<usize>>)>);
    for Case(fields, window) in [
        Case(r#""sliding_window":null"#, None),
        Case(r#""sliding_window":4096"#, Some((4096, None))),
        Case(r#""sliding_window":4096,"use_sliding_window":false"#, None),
        Case(
            r#""sliding_window":512,"layer_types":["sliding_attention","full_attention","sliding_attention"]"#,
            Some((512, Some(vec![0, 2]))),
        ),
        Case(r#""sliding_window":512,"layer_types":["full_attention"]"#, None),
    ] {
        let config = CONFIG.replace('}', &format!(",{fields}}}"));
        let bundle = open(&folder(&[("config.json", config.as_bytes()), ("model.onnx", &whole_model())]));
        let found = bundle.architecture().sliding_window.clone().map(|window| (window.positions, window.layers));
        assert_eq!(found, window, "{fields}");
    }
    let genai = GENAI.replace(r#""head_size""#, r#""sliding_window":{"window_size":64,"layers":[1]},"head_size""#);
    let bundle = open(&folder(&[("genai_config.json", genai.as_bytes()), ("model.onnx", &whole_model())]));
    assert_eq!(bundle.architecture().sliding_window.as_ref().unwrap().layers, Some(vec![1]));

    let openelm = br#"{"model_type":"openelm","model_dim":1280,"num_transformer_layers":2,"num_query_heads":[12,16],
        "num_kv_heads":[3,4],"head_dim":64,"max_context_length":2048,"vocab_size":32000}"#;
    let bundle = open(&folder(&[("config.json", openelm), ("model.onnx", &whole_model())]));
    let about = bundle.architecture();
    assert_eq!((about.hidden_size, about.layers, about.max_context), (Some(1280), Some(2), Some(2048)));
    assert_eq!((about.attention_heads, about.kv_heads, about.head_dim), (None, None, Some(64)));
}

#[test]
fn text_files_and_further_files_are_found_inside_only() {
    let files: [(&str, &[u8]); 7] = [
        ("config.json", CONFIG.as_bytes()),
        ("model.onnx", &whole_model()),
        ("tokenizer_config.json", b"{}"),
        ("chat_template.jinja", b"x"),
        ("additional_chat_templates/tool_use.jinja", b"x"),
        ("additional_chat_templates/README.md", b"x"),
        ("kinglet.json", b"{}"),
    ];
    let folder = folder(&files);
    let bundle = open(&folder);
    let text = bundle.text_files();
    assert_eq!(text.chat_template.as_deref(), Some(&*folder.path().join("chat_template.jinja")));
    assert!(text.tokenizer_config.is_some() && text.special_tokens_map.is_none() && text.chat_template_json.is_none());
    let named: Vec<&str> = text.additional_templates.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named, ["tool_use"]);
    assert_eq!(bundle.extra_file("kinglet.json"), Some(folder.path().join("kinglet.json")));
    assert_eq!(bundle.extra_file("absent.json"), None);
    assert_eq!(bundle.extra_file("../kinglet.json"), None);
    assert_eq!(bundle.extra_file("additional_chat_templates"), None);
}

#[cfg(unix)]
#[test]
fn a_snapshot_of_the_hubs_cache_opens() {
    let blobs: [(&str, &[u8]); 3] = [
        ("blobs/1", CONFIG.as_bytes()),
        ("blobs/2", &model(&decoder(&[external("w", &[1], &[("location", "model.onnx_data")])])).0),
        ("blobs/3", &[0; 4]),
    ];
    let cache = folder(&blobs);
    let snapshot = cache.path().join("snapshots/abc");
    write(&snapshot, "onnx/README.md", b"x");
    let link = |blob: &str, name: &str| std::os::unix::fs::symlink(blob, snapshot.join(name)).unwrap();
    link("../../blobs/1", "config.json");
    link("../../../blobs/2", "onnx/model.onnx");
    link("../../../blobs/3", "onnx/model.onnx_data");
    let bundle = Bundle::open(&snapshot, &OpenOptions::default()).unwrap();
    assert_eq!(bundle.weight_files().len(), 2);
}

#[test]
fn defaults_prefer_the_smallest() {
    let names: Vec<&str> = OpenOptions::default().preference.iter().map(|precision| precision.name()).collect();
    assert_eq!(names, ["int4", "int4-float16", "int8", "float16", "float32"]);
    assert_eq!(OpenOptions::default().variant, None);
}
