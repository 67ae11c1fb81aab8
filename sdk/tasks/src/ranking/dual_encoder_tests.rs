use super::*;
use serde::Deserialize;

/// Two n-grams of two columns for one message and for a reply, and two buckets of shared words.
pub(crate) fn file() -> Vec<u8> {
    let mut keys = [key("tea") as u32, key("please") as u32];
    keys.sort_unstable();
    let mut bytes = b"KRN1".to_vec();
    bytes.extend([2, 2, 1, 2].iter().chain(&keys).flat_map(|n: &u32| n.to_le_bytes()));
    bytes.extend([1f32, 0.5, 2.0, 1.0].iter().flat_map(|x| x.to_le_bytes()));
    // Of the conversation [3, 4] and [0, 4 / 2]; of a reply 2 * [4, 3] and [1, 0].
    bytes.extend([11 | 12 << 4, 8 | 12 << 4, 12 | 11 << 4, 9 | 8 << 4]);
    bytes.extend(0.5f32.to_le_bytes());
    bytes.extend([2, 4]);
    bytes.extend([1f32, 0.0, 0.0, 0.0, 0.0, 3f32.ln(), 0.0].iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

#[test]
fn vectors_gates_and_shared_words_make_the_scores() {
    let encoder = DualEncoder::read(file()).unwrap();
    let first = encoder.keys.binary_search(&(key("tea") as u32)).unwrap();
    let (of_talk, of_reply) = ([[0.6, 0.8], [0.0, 1.0]], [[0.8, 0.6], [1.0, 0.0]]);
    let dot = |a: [f32; 2], b: [f32; 2]| a[0] * b[0] + a[1] * b[1];
    let found = encoder.scores(&["Tea".to_owned()], &["tea", "?", ""]);
    let shared = |word: &str| [1.0_f32, 2.0][(key(word) % 2) as usize];
    let by_tea = shared("tea") / (1.0 + shared("tea")).sqrt();
    let expected = [
        ByWords { vectors: 3.0 * dot(of_talk[first], of_reply[first]), shared: by_tea.tanh() },
        ByWords::default(),
        ByWords::default(),
    ];
    for (found, expected) in found.iter().zip(&expected) {
        let (vectors, shared) = (found.vectors - expected.vectors, found.shared - expected.shared);
        assert!(vectors.abs() < 1e-5 && shared.abs() < 1e-5, "{found:?} {expected:?}");
    }
    assert_eq!(encoder.scores(&[], &["tea"])[0].vectors, 0.0, "nobody spoke");
}

#[test]
fn how_a_message_is_typed() {
    let all = |text: &str| {
        let mut found = vec![];
        typing(text, words(text).len(), |ngram| found.push(ngram.to_owned()));
        found
    };
    assert_eq!(all("Yes, I'm in. I think!"), ["*8", "=A", "=mixed", "=!", "+,", "+.", "+'", "=I"]);
    assert_eq!(all("can i"), ["*2", "=a", "=lower", "=x", "=i"]);
    assert_eq!(all(""), ["*0"]);
    assert_eq!(all("a b c d e f g h i j k l m n")[0], "*12");
}

#[derive(Deserialize)]
struct Golden {
    messages: Vec<String>,
    candidates: Vec<String>,
    words: Vec<f32>,
    shared: Vec<f32>,
}

/// What `dual_encoder.py` makes of the shipped table.
#[test]
fn scores_are_those_of_the_recipe() {
    let shipped = include_bytes!("../../../../models/goldcrest/rank.ngrams");
    let encoder = DualEncoder::read(shipped.to_vec()).unwrap();
    let goldens: Vec<Golden> = serde_json::from_str(include_str!("dual_encoder_golden.json")).unwrap();
    assert!(goldens.len() > 4);
    for golden in goldens {
        let candidates: Vec<&str> = golden.candidates.iter().map(String::as_str).collect();
        for (at, found) in encoder.scores(&golden.messages, &candidates).iter().enumerate() {
            let (vectors, shared) = (found.vectors - golden.words[at], found.shared - golden.shared[at]);
            assert!(
                vectors.abs() < 1e-3 && shared.abs() < 1e-3,
                "{:?} {:?}: off by {vectors}, {shared}",
                golden.messages,
                candidates[at]
            );
        }
        let other = encoder.scores(&[], &candidates);
        assert!(
            other.iter().zip(&golden.words).any(|(found, vectors)| (found.vectors - vectors).abs() > 1e-2),
            "the messages count"
        );
    }
}

#[test]
fn what_is_no_table_is_refused() {
    let good = file();
    let with = |at: usize, replaced: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + replaced.len()].copy_from_slice(replaced);
        DualEncoder::read(bytes).unwrap_err()
    };
    for len in 0..good.len() {
        assert!(DualEncoder::read(good[..len].to_vec()).is_err(), "{len} bytes");
    }
    let size = NgramError::Size { found: good.len() };
    assert_eq!(with(0, b"X"), NgramError::Head);
    assert_eq!(with(7, &[0xff]), size, "more n-grams than there can be");
    assert_eq!(with(8, &[1]), size, "half a byte");
    assert_eq!(with(12, &[0]), size, "no message");
    assert_eq!(with(12, &[17]), size, "more messages than count");
    assert_eq!(with(16, &[0]), size, "no bucket");
    let keys: Vec<u8> = good[24..28].iter().chain(&good[20..24]).copied().collect();
    assert_eq!(with(20, &keys), NgramError::Number, "keys fall");
    for at in [28, 48, good.len() - 4] {
        assert_eq!(with(at, &f32::NAN.to_le_bytes()), NgramError::Number, "{at}");
        assert_eq!(with(at, &1e30f32.to_le_bytes()), NgramError::Number, "{at}: sums would overflow");
    }
    assert!(DualEncoder::read([&good[..], &[0]].concat()).is_err());
}
