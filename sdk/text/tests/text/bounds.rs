//! Tokenizer files made on purpose: each ends in an error or in tokens, soon and in little memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use kinglet_text::{Bounds, ChatTemplate, Message, Specials, TemplateInput, TextError, Tokenizer};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixtures::{Folder, Parts, added, byte_fallback, byte_level, unigram, word_piece};

fn opened(parts: &Parts) -> Result<Tokenizer, TextError> {
    Tokenizer::from_files(&parts.folder(json!({})).files())
}

fn replace(text: &str, content: &str) -> Value {
    json!({ "type": "Replace", "pattern": { "String": text }, "content": content })
}

/// The same step many times.
fn chain(kind: &str, stage: &Value, count: usize) -> Value {
    json!({ "type": "Sequence", kind: vec![stage.clone(); count] })
}

#[test]
fn files_that_the_library_would_panic_on_are_refused() {
    struct Case {
        name: &'static str,
        parts: Parts,
        says: &'static str,
    }
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = byte_level();
        change(&mut parts);
        parts
    };
    let template = |single: Value, tokens: Value| json!({ "type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": tokens });
    let text = json!({ "Sequence": { "id": "A", "type_id": 0 } });
    let token = json!({ "SpecialToken": { "id": "x", "type_id": 0 } });
    let two = json!({ "x": { "id": "x", "ids": [1, 2], "tokens": ["a"] } });
    let cases = [
        Case {
            name: "a damaged map",
            parts: with(&|parts| parts.normalizer = json!({ "type": "Precompiled", "precompiled_charsmap": "AAAA" })),
            says: "damaged",
        },
        Case {
            name: "no map",
            parts: with(&|parts| parts.normalizer = json!({ "type": "Precompiled", "precompiled_charsmap": null })),
            says: "no map",
        },
        Case {
            name: "a merge longer than any token",
            parts: with(&|parts| parts.model = json!({ "type": "BPE", "vocab": { "ab": 0, "cd": 1 }, "merges": ["ab cd"] })),
            says: "merge 0",
        },
        Case {
            name: "a merge cut inside a character",
            parts: with(&|parts| {
                parts.model =
                    json!({ "type": "BPE", "vocab": { "a": 0, "éé": 1 }, "merges": ["a éé"], "continuing_subword_prefix": "#" });
            }),
            says: "merge 0",
        },
        Case {
            name: "pieces of no length",
            parts: with(&|parts| parts.pre_tokenizer = json!({ "type": "FixedLength", "length": 0 })),
            says: "length 0",
        },
        Case {
            name: "a second text",
            parts: with(&|parts| {
                parts.post_processor = template(json!([{ "Sequence": { "id": "B", "type_id": 0 } }]), json!({}))
            }),
            says: "second text",
        },
        Case {
            name: "ids without tokens",
            parts: with(&|parts| parts.post_processor = template(json!([text, token]), two.clone())),
            says: "as many",
        },
        Case {
            name: "a text repeated",
            parts: with(&|parts| parts.post_processor = template(json!(vec![text.clone(); 99]), json!({}))),
            says: "repeats",
        },
        Case {
            name: "a text repeated again and again",
            parts: with(&|parts| {
                let twice = template(json!([text, text]), json!({}));
                parts.post_processor = chain("processors", &twice, 40);
            }),
            says: "repeats",
        },
        Case {
            name: "very long words",
            parts: {
                let mut parts = word_piece();
                parts.model["max_input_chars_per_word"] = json!(1_000_000);
                parts
            },
            says: "characters",
        },
        Case {
            name: "steps without number",
            parts: with(&|parts| parts.normalizer = chain("normalizers", &json!({ "type": "NFC" }), 1_000)),
            says: "more than",
        },
    ];
    for case in cases {
        let error = opened(&case.parts).err().unwrap_or_else(|| panic!("{} was opened", case.name));
        assert!(matches!(error, TextError::Tokenizer { .. }), "{}: {error}", case.name);
        assert!(error.to_string().contains(case.says), "{}: {error}", case.name);
    }
}

/// A tokenizer of each kind of model, with a token of so many bytes in its vocabulary.
fn with_long_token(bytes: usize) -> Vec<Parts> {
    let token = "x".repeat(bytes);
    let listed = |mut parts: Parts| {
        parts.model["vocab"].as_array_mut().unwrap().push(json!([token, -1.0]));
        parts
    };
    let named = |mut parts: Parts, kind: &str| {
        parts.model["vocab"][&token] = json!(9_999);
        parts.model["type"] = json!(kind);
        parts
    };
    let mut words = word_piece();
    words.model = json!({ "vocab": words.model["vocab"], "unk_token": "[UNK]" });
    vec![listed(unigram()), named(byte_level(), "BPE"), named(word_piece(), "WordPiece"), named(words, "WordLevel")]
}

#[test]
fn a_vocabulary_with_a_token_that_is_too_long_is_refused() {
    for parts in with_long_token(4096) {
        let opened = opened(&parts);
        assert!(opened.is_ok(), "{}: {opened:?}", parts.model["type"]);
    }
    for parts in with_long_token(200_000) {
        let kind = parts.model["type"].clone();
        let error = opened(&parts).err().unwrap_or_else(|| panic!("{kind} was opened"));
        assert!(matches!(error, TextError::Tokenizer { .. }), "{kind}: {error}");
        let message = error.to_string();
        assert!(
            ["`xxx", "200000 bytes", "4096 at most", "Export"].iter().all(|word| message.contains(word)),
            "{kind}: {message}"
        );
        assert!(message.len() < 1_000, "{kind}: {message}");
    }
}

#[test]
fn added_tokens_that_are_too_long_are_refused_wherever_they_stand() {
    let long = "x".repeat(4097);
    let refusal = |parts: &Parts, config: Value| Tokenizer::from_files(&parts.folder(config).files()).unwrap_err();
    let mut parts = byte_level();
    parts.added_tokens.push(added(999, &long, &[]));
    let error = refusal(&parts, json!({}));
    assert!(matches!(&error, TextError::Tokenizer { reason, .. } if reason.contains("4097 bytes")), "{error}");
    let places = [
        ("added_tokens_decoder.7", json!({ "added_tokens_decoder": { "7": { "content": long } } })),
        ("eos_token", json!({ "eos_token": long })),
        ("pad_token", json!({ "pad_token": { "content": long } })),
        ("extra_special_tokens", json!({ "additional_special_tokens": ["a", long] })),
        ("image_token", json!({ "extra_special_tokens": { "image_token": long } })),
        ("chat_control_tokens", json!({ "chat_control_tokens": [long] })),
    ];
    for (place, config) in places {
        let error = refusal(&byte_level(), config);
        assert!(matches!(&error, TextError::Field { field, .. } if field == place), "{place}: {error}");
        assert!(error.to_string().contains("4097 bytes"), "{place}: {error}");
    }
    let older = parts_with_map(&byte_level(), &json!({ "eos_token": long }));
    let error = Tokenizer::from_files(&older.files()).unwrap_err();
    assert!(matches!(&error, TextError::Field { path, .. } if path.ends_with("special_tokens_map.json")), "{error}");
}

/// A folder as older ones are, with the names of special tokens in a file of their own.
fn parts_with_map(parts: &Parts, map: &Value) -> Folder {
    Folder::new(&[("tokenizer.json", parts.json().to_string()), ("special_tokens_map.json", map.to_string())])
}

#[test]
fn added_tokens_are_bounded_together_with_what_normalizers_make_of_them() {
    let tokens = |count: usize, bytes: usize, flags: &[&str]| {
        let mut parts = byte_level();
        parts.added_tokens = (0..count).map(|i| added(300 + i, &format!("{i:0bytes$}"), flags)).collect();
        parts
    };
    assert!(opened(&tokens(20, 4_000, &["normalized"])).is_ok());
    let error = opened(&tokens(1_100, 4_000, &[])).unwrap_err();
    assert!(error.to_string().contains("4400000 bytes together"), "{error}");
    let listed: serde_json::Map<_, _> =
        (0..600).map(|i| ((300 + i).to_string(), json!({ "content": format!("{i:04000}") }))).collect();
    let error = Tokenizer::from_files(&tokens(500, 4_000, &[]).folder(json!({ "added_tokens_decoder": listed })).files());
    assert!(error.as_ref().unwrap_err().to_string().contains("4400000 bytes together"), "{error:?}");
    let mut grown = tokens(100, 1_000, &["normalized"]);
    grown.normalizer = replace("0", &"0".repeat(60));
    let error = opened(&grown).unwrap_err();
    assert!(error.to_string().contains("together"), "{error}");
}

#[test]
fn the_largest_id_leaves_no_room_for_another() {
    let mut parts = byte_level();
    parts.model["vocab"]["last"] = json!(u32::MAX);
    parts.added_tokens = vec![added(0, "last", &[])];
    let tokenizer = opened(&parts).unwrap();
    assert_eq!(tokenizer.token_id("last"), Some(u32::MAX));
    let config = json!({ "added_tokens_decoder": { tokenizer.vocab_size().to_string(): { "content": "next" } } });
    let error = Tokenizer::from_files(&parts.folder(config).files()).unwrap_err();
    assert!(error.to_string().contains("largest id"), "{error}");
}

#[test]
fn spaces_that_tokens_swallow_again_and_again_are_an_error() {
    let mut parts = byte_level();
    parts.added_tokens.push(added(999, " ", &["rstrip"]));
    let tokenizer = opened(&parts).unwrap();
    assert!(tokenizer.encode("a  b", Specials::PROMPT).is_ok());
    let error = tokenizer.encode(&" ".repeat(20_000), Specials::PROMPT).unwrap_err();
    assert!(matches!(error, TextError::TokenizerFailed { .. }), "{error}");
}

#[test]
fn a_text_grows_only_so_far() {
    struct Case {
        name: &'static str,
        parts: Parts,
        text: String,
    }
    let with = |change: &dyn Fn(&mut Parts)| {
        let mut parts = byte_level();
        change(&mut parts);
        parts
    };
    let bytes = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false });
    let prepend = json!({ "type": "Prepend", "prepend": "x".repeat(30_000) });
    let cases = [
        Case {
            name: "a letter to 10^12",
            parts: with(&|parts| parts.normalizer = chain("normalizers", &replace("a", &"a".repeat(100)), 6)),
            text: "a".to_owned(),
        },
        Case {
            name: "one long replacement",
            parts: with(&|parts| parts.normalizer = replace("a", &"b".repeat(1 << 20))),
            text: "a".repeat(10_000),
        },
        Case {
            name: "a replacement of nothing",
            parts: with(&|parts| parts.normalizer = chain("normalizers", &replace("", "ab"), 30)),
            text: "a".to_owned(),
        },
        Case {
            name: "text in front of each piece",
            parts: with(&|parts| parts.normalizer = prepend.clone()),
            text: "a<think>".repeat(1_000),
        },
        Case {
            name: "bytes of bytes of bytes",
            parts: with(&|parts| parts.pre_tokenizer = chain("pretokenizers", &bytes, 40)),
            text: "é".to_owned(),
        },
    ];
    for case in cases {
        let error = opened(&case.parts).and_then(|tokenizer| tokenizer.encode(&case.text, Specials::PROMPT));
        let error = error.err().unwrap_or_else(|| panic!("{} was encoded", case.name));
        assert!(error.to_string().contains("as long"), "{}: {error}", case.name);
    }
    let mut parts = byte_fallback(false);
    parts.decoder = chain("decoders", &replace("h", &"h".repeat(100)), 6);
    let tokenizer = opened(&parts).unwrap();
    let error = tokenizer.decode(&[tokenizer.token_id("h").unwrap()], true).unwrap_err();
    assert!(matches!(error, TextError::TokenizerFailed { .. }), "{error}");
}

#[test]
fn patterns_that_try_without_end_are_errors() {
    let pattern =
        json!({ "type": "Split", "pattern": { "Regex": "(?:(?:a|a)+)+(?=b)c|." }, "behavior": "Isolated", "invert": false });
    let mut parts = byte_level();
    parts.pre_tokenizer = json!({ "type": "Sequence", "pretokenizers": [pattern, parts.pre_tokenizer] });
    let tokenizer = opened(&parts).unwrap();
    assert!(tokenizer.encode("hello", Specials::PROMPT).is_ok());
    let error = tokenizer.encode(&"a".repeat(200), Specials::PROMPT).unwrap_err();
    assert!(matches!(&error, TextError::TokenizerFailed { reason } if reason.contains("steps")), "{error}");
}

#[test]
fn many_added_tokens_open_soon_and_are_found() {
    let mut parts = byte_level();
    let next = 300;
    let many = (0..20_000).map(|i| added(next + i, &format!("x{i}"), &["lstrip", "rstrip", "single_word", "normalized"]));
    parts.added_tokens.extend(many);
    let listed: serde_json::Map<_, _> =
        (0..20_000).map(|i| ((next + i).to_string(), json!({ "content": format!("x{i}"), "special": false }))).collect();
    let folder = parts.folder(json!({ "added_tokens_decoder": listed }));
    let tokenizer = folder.tokenizer();
    let ids = tokenizer.encode("x19999", Specials::PROMPT).unwrap();
    assert_eq!(ids.last().copied(), tokenizer.token_id("x19999"));
}

#[test]
fn of_many_added_tokens_the_first_and_longest_is_taken() {
    let mut parts = byte_level();
    let names: Vec<String> = (0..10_000).map(|i| format!("t{i}")).collect();
    parts.added_tokens.extend(names.iter().enumerate().map(|(i, name)| added(300 + i, name, &[])));
    let tokenizer = opened(&parts).unwrap();
    let text = "t9t99t999t9999 t4095t4096t4097t8191t8192, t12345tt0t";
    let encoding = tokenizer.encode(text, Specials::TEXT).unwrap();
    let taken: Vec<&str> = encoding
        .iter()
        .filter_map(|&id| names.iter().find(|name| tokenizer.token_id(name) == Some(id)))
        .map(String::as_str)
        .collect();
    assert_eq!(taken, ["t9", "t99", "t999", "t9999", "t4095", "t4096", "t4097", "t8191", "t8192", "t1234", "t0"]);
}

#[test]
fn what_cannot_fit_is_refused_before_the_work() {
    let tokenizer = opened(&byte_level()).unwrap();
    let asked = AtomicUsize::new(0);
    let count = || {
        asked.fetch_add(1, Ordering::Relaxed);
        false
    };
    let bounds = Bounds { most_tokens: Some(100), cancelled: Some(&count) };
    let long = "hello ".repeat(1 << 20);
    let error = tokenizer.encode_within(&long, Specials::TEXT, &bounds).unwrap_err();
    assert!(matches!(error, TextError::TooLong { bytes, most_tokens: 100, .. } if bytes == long.len()), "{error}");
    assert_eq!(asked.load(Ordering::Relaxed), 0, "nothing was done");
    let fits = tokenizer.encode_within("hello there", Specials::TEXT, &bounds).unwrap();
    assert_eq!(fits, tokenizer.encode("hello there", Specials::TEXT).unwrap());
    let more = "a b ".repeat(200);
    let counted = tokenizer.encode_within(&more, Specials::TEXT, &bounds).unwrap();
    assert!(counted.len() > 100, "the caller learns how many there are");
}

#[test]
fn who_gives_up_is_heard_at_the_next_word() {
    let asked = AtomicUsize::new(0);
    let later = || asked.fetch_add(1, Ordering::Relaxed) >= 50;
    let bounds = Bounds { cancelled: Some(&later), ..Bounds::default() };
    for parts in [byte_level(), byte_fallback(false), unigram()] {
        asked.store(0, Ordering::Relaxed);
        let tokenizer = opened(&parts).unwrap();
        let text = "a b c ".repeat(2_000);
        let result = tokenizer.encode_within(&text, Specials::TEXT, &bounds);
        // A vocabulary of whole texts is asked between its steps alone.
        assert!(matches!(result, Err(TextError::Cancelled)) || asked.load(Ordering::Relaxed) <= 50, "{result:?}");
    }
    let now = Bounds { cancelled: Some(&|| true), ..Bounds::default() };
    let tokenizer = opened(&byte_level()).unwrap();
    let template =
        ChatTemplate::from_sources(vec![("default".to_owned(), "{{ messages[0].content }}".to_owned())], Vec::new()).unwrap();
    let input = TemplateInput { messages: vec![Message::new("user", "a")], ..TemplateInput::default() };
    assert!(matches!(template.encode_within(&tokenizer, &input, &now), Err(TextError::Cancelled)));
}

/// Any JSON, of the words that such files have.
fn part() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (0_u64..9).prop_map(Value::from),
        prop::sample::select(vec!["", "a", "▁", "ByteLevel", "Replace", "Sequence", "(", "AAAA", "NFC", "Isolated"])
            .prop_map(Value::from),
    ];
    let names = vec![
        "type",
        "pattern",
        "String",
        "Regex",
        "content",
        "normalizers",
        "decoders",
        "pretokenizers",
        "length",
        "behavior",
        "prepend",
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(names.clone()), inner), 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())),
        ]
    })
}

/// The known kinds with any fields.
fn stage() -> impl Strategy<Value = Value> {
    let kinds = vec![
        "Replace",
        "Split",
        "Prepend",
        "Strip",
        "Precompiled",
        "BertNormalizer",
        "Metaspace",
        "ByteLevel",
        "FixedLength",
        "Digits",
        "Punctuation",
        "CharDelimiterSplit",
        "WordPiece",
        "BPEDecoder",
        "CTC",
        "Fuse",
        "ByteFallback",
        "Lowercase",
        "NFKD",
        "Sequence",
        "TemplateProcessing",
        "RobertaProcessing",
        "BertProcessing",
    ];
    (prop::sample::select(kinds), part()).prop_map(|(kind, mut fields)| {
        if let Some(fields) = fields.as_object_mut() {
            fields.insert("type".to_owned(), kind.into());
        }
        fields
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// A tokenizer with any parts opens or says why not, and then encodes and decodes, or says why not.
    #[test]
    fn no_file_panics(normalizer in stage(), pre_tokenizer in stage(), post_processor in stage(), decoder in stage(), text in "[a▁é ]{0,9}") {
        let mut parts = unigram();
        (parts.normalizer, parts.pre_tokenizer) = (normalizer, pre_tokenizer);
        (parts.post_processor, parts.decoder) = (post_processor, decoder);
        if let Ok(tokenizer) = opened(&parts) {
            for specials in [Specials::PROMPT, Specials::TEXT] {
                if let Ok(ids) = tokenizer.encode(&text, specials) {
                    let _ = tokenizer.decode(&ids, true);
                }
            }
        }
    }
}
