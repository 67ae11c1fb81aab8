//! Encoding and decoding, judged by the tokenizer library that transformers uses.

use std::str::FromStr;

use kinglet_text::{Specials, Tokenizer};
use proptest::prelude::*;
use serde_json::json;

use crate::fixtures::{self, FRAGMENTS, Parts, added, byte_fallback, byte_level};

/// The library's tokenizer from the same file, with truncation and padding off.
fn library(parts: &Parts) -> tokenizers::Tokenizer {
    let mut tokenizer = tokenizers::Tokenizer::from_str(&parts.json().to_string()).unwrap();
    tokenizer.with_truncation(None).unwrap();
    tokenizer.with_padding(None);
    tokenizer
}

fn text() -> impl Strategy<Value = String> {
    let fragment = prop_oneof![4 => proptest::sample::select(&FRAGMENTS[..]).prop_map(str::to_owned), 1 => ".{0,4}"];
    proptest::collection::vec(fragment, 0..8).prop_map(|fragments| fragments.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn ids_and_text_are_the_librarys(texts in proptest::collection::vec(text(), 5), ids in proptest::collection::vec(0u32..300, 0..30)) {
        for (name, ours, parts) in fixtures::opened() {
            let mut theirs = library(parts);
            for text in &texts {
                for (parse, add) in [(true, true), (true, false), (false, true), (false, false)] {
                    theirs.set_encode_special_tokens(!parse);
                    let expected = theirs.encode(text.as_str(), add).unwrap();
                    let ids = ours.encode(text, Specials { add, parse }).unwrap();
                    prop_assert_eq!(&ids, expected.get_ids(), "{} {:?} parse {} add {}", name, text, parse, add);
                }
            }
            for skip in [true, false] {
                prop_assert_eq!(ours.decode(&ids, skip).unwrap(), theirs.decode(&ids, skip).unwrap(), "{} {:?}", name, &ids);
            }
        }
    }
}

#[test]
fn special_text_becomes_a_token_only_when_asked() {
    let tokenizer = byte_level().folder(json!({})).tokenizer();
    let end = tokenizer.token_id("<|im_end|>").unwrap();
    let think = tokenizer.token_id("<think>").unwrap();
    let text = "a<|im_end|><think>";
    assert!(tokenizer.encode(text, Specials::RENDERED).unwrap().contains(&end));
    let as_text = tokenizer.encode(text, Specials::TEXT).unwrap();
    assert!(!as_text.contains(&end));
    assert!(as_text.contains(&think), "added tokens that are not special stay tokens");
    assert_eq!(tokenizer.decode(&as_text, true).unwrap(), text);
    let with_bos = tokenizer.encode("a", Specials::PROMPT).unwrap();
    assert_eq!(with_bos[0], tokenizer.token_id("<|bos|>").unwrap());
    assert_eq!(with_bos.len(), 2, "neither cut nor padded");
}

#[test]
fn the_end_of_a_token_text_is_no_token() {
    let tokenizer = byte_level().folder(json!({})).tokenizer();
    assert_eq!(tokenizer.token_id("<|im_end"), None);
    assert_eq!(tokenizer.token(9999), None);
    assert_eq!(tokenizer.decode(&[9999], false).unwrap(), "");
}

#[test]
fn names_come_from_the_configuration_in_all_its_forms() {
    struct Case {
        name: &'static str,
        config: serde_json::Value,
        bos: Option<&'static str>,
        eos: Option<&'static str>,
        pad: Option<&'static str>,
    }
    let cases = [
        Case { name: "nothing named", config: json!({}), bos: None, eos: None, pad: None },
        Case {
            name: "strings",
            config: json!({ "bos_token": "<|bos|>", "eos_token": "<|im_end|>", "pad_token": null }),
            bos: Some("<|bos|>"),
            eos: Some("<|im_end|>"),
            pad: None,
        },
        Case {
            name: "objects",
            config: json!({
                "bos_token": { "__type": "AddedToken", "content": "<|bos|>", "lstrip": false },
                "eos_token": { "content": "<|im_end|>" }
            }),
            bos: Some("<|bos|>"),
            eos: Some("<|im_end|>"),
            pad: None,
        },
        Case { name: "a token without a row", config: json!({ "pad_token": "[PAD]" }), bos: None, eos: None, pad: None },
    ];
    for case in cases {
        let tokenizer = byte_level().folder(case.config).tokenizer();
        let id = |token: Option<&str>| token.map(|token| tokenizer.token_id(token).unwrap());
        let found = (tokenizer.bos(), tokenizer.eos(), tokenizer.pad());
        assert_eq!(found, (id(case.bos), id(case.eos), id(case.pad)), "{}", case.name);
    }
}

#[test]
fn the_configurations_flags_win() {
    let parts = byte_level();
    let plain = parts.folder(json!({})).tokenizer();
    let id = plain.token_id("<|im_end|>").unwrap();
    let word = plain.token_id("word").unwrap();
    assert!(plain.is_special(id) && !plain.is_special(word));

    let mut end = added(0, "<|im_end|>", &["special", "rstrip"]);
    end.as_object_mut().unwrap().remove("id");
    let config = json!({ "added_tokens_decoder": { id.to_string(): end }, "extra_special_tokens": ["word"] });
    let tokenizer = parts.folder(config).tokenizer();
    assert!(tokenizer.is_special(word), "a token that the configuration names is special");
    let ids = tokenizer.encode("<|im_end|>   a", Specials::RENDERED).unwrap();
    assert_eq!(ids.len(), 2, "rstrip takes the spaces: {ids:?}");
    assert_eq!(plain.encode("<|im_end|>   a", Specials::RENDERED).unwrap().len(), 5);
}

#[test]
fn a_listed_token_comes_in_with_its_id_or_not_at_all() {
    let parts = byte_level();
    let size = parts.folder(json!({})).tokenizer().vocab_size();
    let listed = |id: usize| json!({ "added_tokens_decoder": { id.to_string(): { "content": "<extra>", "special": true } } });
    let with = |config| parts.folder(config).tokenizer();
    assert_eq!(with(listed(size)).token_id("<extra>"), Some(size as u32));
    assert_eq!(with(listed(size + 5)).token_id("<extra>"), None);
}

#[test]
fn the_special_tokens_map_counts_where_the_configuration_lists_no_tokens() {
    let map = json!({ "eos_token": { "content": "<|im_end|>" }, "additional_special_tokens": ["<think>"] }).to_string();
    let folder = |config: serde_json::Value| {
        fixtures::Folder::new(&[
            ("tokenizer.json", byte_level().json().to_string()),
            ("tokenizer_config.json", config.to_string()),
            ("special_tokens_map.json", map.clone()),
        ])
        .tokenizer()
    };
    let old = folder(json!({ "eos_token": "<|bos|>" }));
    assert_eq!(old.eos(), old.token_id("<|im_end|>"));
    assert!(old.is_special(old.token_id("<think>").unwrap()));
    let listed = json!({ "eos_token": "<|bos|>", "added_tokens_decoder": { "0": { "content": "!", "special": false } } });
    let current = folder(listed);
    assert_eq!(current.eos(), current.token_id("<|bos|>"));
    assert!(!current.is_special(current.token_id("<think>").unwrap()));
}

#[test]
fn invalid_utf8_cannot_come_in_and_replacement_characters_pass_through() {
    let tokenizer = byte_fallback(false).folder(json!({})).tokenizer();
    let text = String::from_utf8_lossy(b"a\xff\xfeb");
    let ids = tokenizer.encode(&text, Specials::TEXT).unwrap();
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "a\u{fffd}\u{fffd}b");
}

#[test]
fn nothing_decodes_to_nothing_with_every_decoder() {
    let mut suffixed = byte_level();
    suffixed.decoder = json!({ "type": "BPEDecoder", "suffix": "</w>" });
    let tokenizer = suffixed.folder(json!({})).tokenizer();
    let end = tokenizer.token_id("<|im_end|>").unwrap();
    for ids in [&[][..], &[end], &[99_999]] {
        assert_eq!(tokenizer.decode(ids, true).unwrap(), "");
        let mut detokenizer = kinglet_text::Detokenizer::new(tokenizer.clone());
        assert!(ids.iter().all(|&id| detokenizer.push(id).unwrap().is_empty()));
        assert_eq!(detokenizer.finish().unwrap(), "");
    }
}

#[test]
fn tokenizers_are_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
    shared::<kinglet_text::ChatTemplate>();
    shared::<kinglet_text::Detokenizer>();
}
