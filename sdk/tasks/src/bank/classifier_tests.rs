use super::*;

fn texts(talk: &[&str]) -> Vec<String> {
    talk.iter().map(|&text| text.to_owned()).collect()
}

/// What `ngrams.py` makes of the same.
#[test]
fn messages_are_taken_apart_as_by_the_recipe() {
    assert_eq!(
        words("Don\u{2019}t! I'm 25m away, caf\u{e9} \u{2615} ok?"),
        ["don't", "!", "i'm", "00m", "away", ",", "caf\u{e9}", "\u{2615}", "ok", "?"]
    );
    let all = |talk: &[&str]| {
        let mut found = vec![];
        ngrams(&texts(talk), |ngram| found.push(ngram.to_owned()));
        found
    };
    assert_eq!(all(&["no"]), ["alone", "0|no", "0|^ no", "0|no $", "0|^ no $", "#<no", "#no>", "#<no>"]);
    let two = all(&["hi", "ok u"]);
    assert_eq!(two[..6], ["0|ok", "0|u", "0|^ ok", "0|ok u", "0|u $", "0|^ ok u"]);
    assert_eq!(two[11..], ["1|hi", "1|^ hi", "1|hi $"]);
    struct Case(&'static [&'static str], usize, u64);
    for Case(talk, count, sum) in [
        Case(&["hi", "ok u"], 14, 0x250e_e0ce_2bff_2c02),
        Case(&["Where\u{2019}s my parcel? It was \u{a3}30!!"], 74, 0xc226_8858_17f4_06ee),
        Case(&["are you in", "yes \u{1f44d}", "Gr\u{fc}\u{df}e, see you at 7:30 then"], 75, 0x2f25_d636_7eed_902d),
        Case(&[""], 2, 0x2beb_bb13_b4ff_9acd),
    ] {
        let keys: Vec<u64> = all(talk).iter().map(|ngram| key(ngram)).collect();
        let found = keys.iter().fold(0u64, |sum, key| sum.wrapping_mul(31).wrapping_add(*key));
        assert_eq!((keys.len(), found), (count, sum), "{talk:?}");
    }
}

/// One bucket of two columns, `[scale * 1, scale * -3]`, that counts twice, and two intents.
pub(crate) fn file(scale: f32, weights: [f32; 4], addends: [f32; 2]) -> Vec<u8> {
    let names = "agree\nsorry\n";
    let mut bytes = b"KBN1".to_vec();
    bytes.extend([1, 2, 2, names.len() as u32].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(names.as_bytes());
    bytes.extend([2.0, scale].iter().flat_map(|x: &f32| x.to_le_bytes()));
    bytes.push(9 | 5 << 4);
    bytes.extend(weights.iter().chain(&addends).flat_map(|x| x.to_le_bytes()));
    bytes
}

#[test]
fn logits_are_the_mean_of_rows_times_weights() {
    let table = NgramClassifier::read(file(0.5, [1.0, 0.0, 2.0, 4.0], [0.25, -1.0])).unwrap();
    assert_eq!(table.names(), ["agree", "sorry"]);
    // Every n-gram falls into the one bucket, so the mean is its row, [0.5, -1.5].
    let found = table.logits(&texts(&["see you there"]));
    assert!((found[0] - 0.75).abs() < 1e-4 && (found[1] + 6.0).abs() < 1e-4 && found.len() == 2, "{found:?}");
    assert_eq!(table.logits(&[]), [0.25, -1.0], "no n-gram, no vector");
}

#[test]
fn an_ngram_counts_by_its_mass() {
    // Two buckets of which one counts three times as much; which n-gram lies where, the keys say.
    let names = "agree\n";
    let mut bytes = b"KBN1".to_vec();
    bytes.extend([2, 2, 1, names.len() as u32].iter().flat_map(|n| n.to_le_bytes()));
    bytes.extend(names.as_bytes());
    bytes.extend([1f32, 3.0, 1.0, 1.0].iter().flat_map(|x| x.to_le_bytes()));
    bytes.extend([15, 8 | 8 << 4]);
    bytes.extend([1f32, 10.0, 0.5].iter().flat_map(|x| x.to_le_bytes()));
    let table = NgramClassifier::read(bytes).unwrap();
    let talk = texts(&["no"]);
    let (mut of_first, mut of_second) = (0.0, 0.0);
    ngrams(&talk, |ngram| *if key(ngram).is_multiple_of(2) { &mut of_first } else { &mut of_second } += 1.0);
    assert!(of_first > 0.0 && of_second > 0.0);
    // The first bucket's vector is [7, -8], the second's [0, 0].
    let share = of_first / (of_first + 3.0 * of_second);
    let expected: f32 = share * (7.0 - 8.0 * 10.0) + 0.5;
    assert!((table.logits(&talk)[0] - expected).abs() < 1e-4, "{} is not {expected}", table.logits(&talk)[0]);
}

#[test]
fn what_is_no_table_is_refused() {
    let good = file(0.5, [1.0; 4], [0.0; 2]);
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        NgramClassifier::read(bytes).unwrap_err()
    };
    for len in 0..good.len() {
        assert!(NgramClassifier::read(good[..len].to_vec()).is_err(), "{len} bytes");
    }
    assert_eq!(with(0, b'X'), NgramError::Head);
    assert_eq!(with(4, 0), NgramError::Size { found: good.len() }, "no buckets");
    assert_eq!(with(7, 0xff), NgramError::Size { found: good.len() }, "more buckets than there can be");
    assert_eq!(with(8, 1), NgramError::Size { found: good.len() }, "half a byte");
    assert_eq!(with(20, 0xff), NgramError::Names);
    assert_eq!(with(25, b'x'), NgramError::Names, "one name for two intents");
    let of_mass = |bytes: [u8; 4]| {
        let mut massless = good.clone();
        massless[32..36].copy_from_slice(&bytes);
        NgramClassifier::read(massless).unwrap_err()
    };
    for mass in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert_eq!(of_mass(mass.to_le_bytes()), NgramError::Number, "{mass}");
    }
    assert_eq!(NgramClassifier::read(file(f32::NAN, [0.0; 4], [0.0; 2])).unwrap_err(), NgramError::Number);
    assert_eq!(NgramClassifier::read(file(1.0, [0.0, 0.0, f32::INFINITY, 0.0], [0.0; 2])).unwrap_err(), NgramError::Number);
    let mut longer = good.clone();
    longer.push(0);
    assert!(NgramClassifier::read(longer).is_err());
}
