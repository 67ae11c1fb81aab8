//! The streaming detokenizer: its pieces together are what decoding everything gives.

use std::sync::Arc;

use kinglet_text::{Detokenizer, Specials, Tokenizer};
use proptest::prelude::*;
use serde_json::json;

use crate::fixtures::{self, FRAGMENTS, byte_fallback, byte_level};

fn pieces(tokenizer: &Arc<Tokenizer>, ids: &[u32], show_special: bool) -> Vec<String> {
    let mut detokenizer = Detokenizer::new(tokenizer.clone()).show_special(show_special);
    let mut pieces: Vec<String> = ids.iter().map(|&id| detokenizer.push(id).unwrap()).collect();
    pieces.push(detokenizer.finish().unwrap());
    pieces
}

fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(proptest::sample::select(&FRAGMENTS[..]), 0..10).prop_map(|fragments| fragments.concat())
}

/// Ids of which many are bytes, special tokens or outside the vocabulary.
fn ids() -> impl Strategy<Value = Vec<u32>> {
    let id = prop_oneof![3 => 0u32..320, 2 => 120u32..262, 1 => 259u32..300, 1 => 0u32..20, 1 => Just(100_000u32)];
    proptest::collection::vec(id, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn pieces_together_are_the_whole(text in text(), ids in ids()) {
        for (name, tokenizer, _) in fixtures::opened() {
            for ids in [tokenizer.encode(&text, Specials::RENDERED).unwrap(), ids.clone()] {
                for show_special in [true, false] {
                    let whole = tokenizer.decode(&ids, !show_special).unwrap();
                    let streamed = pieces(tokenizer, &ids, show_special);
                    prop_assert_eq!(streamed.concat(), whole, "{} {:?}", name, &ids);
                }
            }
        }
    }

    #[test]
    fn text_never_shows_half_a_character(text in text()) {
        for (_, tokenizer, _) in fixtures::opened() {
            let ids = tokenizer.encode(&text, Specials::RENDERED).unwrap();
            prop_assume!(!tokenizer.decode(&ids, false).unwrap().contains('\u{fffd}'));
            for piece in pieces(tokenizer, &ids, true) {
                prop_assert!(!piece.contains('\u{fffd}'), "{:?} in {:?}", piece, text);
            }
        }
    }
}

#[test]
fn characters_and_spaces_come_at_the_right_token() {
    struct Case {
        name: &'static str,
        parts: fixtures::Parts,
        tokens: &'static [&'static str],
        pieces: &'static [&'static str],
    }
    let cases = [
        Case {
            name: "an emoji in two byte-level tokens",
            parts: byte_level(),
            tokens: &["ðŁĺ", "Ģ", "a"],
            pieces: &["", "😀", "a", ""],
        },
        Case { name: "an emoji cut off", parts: byte_level(), tokens: &["a", "ðŁĺ"], pieces: &["a", "", "\u{fffd}"] },
        Case {
            name: "byte fallback waits for the run to end",
            parts: byte_fallback(false),
            tokens: &["<0xC3>", "<0xA9>", "a"],
            pieces: &["", "", "éa", ""],
        },
        Case {
            name: "byte fallback at the end of the text",
            parts: byte_fallback(false),
            tokens: &["a", "<0xC3>", "<0xA9>"],
            pieces: &["a", "", "", "é"],
        },
        Case {
            name: "the first space goes, the others stay",
            parts: byte_fallback(false),
            tokens: &["▁hello", "▁hello", "▁", "▁hello"],
            pieces: &["hello", " hello", " ", " hello", ""],
        },
        Case {
            name: "a special token in front leaves the first space first",
            parts: byte_fallback(false),
            tokens: &["<s>", "▁hello", "<|end|>", "▁hello"],
            pieces: &["", "hello", "", " hello", ""],
        },
        Case {
            name: "words and their ends",
            parts: fixtures::word_piece(),
            tokens: &["hello", "##s", "world", "."],
            pieces: &["hello", "s", " world", ".", ""],
        },
        Case {
            name: "Metaspace",
            parts: fixtures::unigram(),
            tokens: &["▁he", "llo", "▁wor", "ld"],
            pieces: &["he", "llo", " wor", "ld", ""],
        },
    ];
    for case in cases {
        let tokenizer = case.parts.folder(json!({})).tokenizer();
        let ids: Vec<u32> = case.tokens.iter().map(|token| tokenizer.token_id(token).unwrap()).collect();
        assert_eq!(pieces(&tokenizer, &ids, false), case.pieces, "{}", case.name);
    }
}

#[test]
fn a_clone_goes_on_by_itself_and_finish_begins_anew() {
    let tokenizer = byte_level().folder(json!({})).tokenizer();
    let id = |token: &str| tokenizer.token_id(token).unwrap();
    let mut first = Detokenizer::new(tokenizer.clone());
    assert_eq!(first.push(id("ðŁĺ")).unwrap(), "");
    let mut second = first.clone();
    assert_eq!(first.push(id("Ģ")).unwrap(), "😀");
    assert_eq!(second.push(id("ģ")).unwrap(), "😁");
    assert_eq!(second.push(id("ð")).unwrap(), "");
    assert_eq!(second.finish().unwrap(), "\u{fffd}");
    assert_eq!(second.push(id("a")).unwrap(), "a");
}
