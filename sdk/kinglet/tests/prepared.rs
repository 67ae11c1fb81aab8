//! Prepared weights: made once, used by whoever opens the model next, and never a reason to fail.

use kinglet::{CancelHandle, Error, Kinglet, Model, WeightStorage};
use std::fs;
use std::path::{Path, PathBuf};

/// The shipped model, with weights of four bits.
fn open(folder: &Path, weights: WeightStorage) -> Model {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/goldcrest");
    Kinglet::builder().prepared_weights(folder).weights(weights).build().unwrap().open(model).unwrap()
}

fn prepare(model: &Model) -> Result<(), Error> {
    model.prepare(&CancelHandle::default(), |_| {})
}

/// How often `prepare` tells how far it is: weights that are there already are not prepacked.
fn steps(model: &Model) -> usize {
    let mut steps = 0;
    model.prepare(&CancelHandle::default(), |_| steps += 1).unwrap();
    steps
}

/// Of the token after a few others, all of them.
fn logits(model: &Model) -> Vec<u32> {
    let logits = model.logits(&[1, 2, 3, 4], kinglet::Positions::Last, &CancelHandle::default()).unwrap();
    logits.values.iter().map(|x| x.to_bits()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn weights_are_prepared_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("made/when/needed");
    let first = open(&cache, WeightStorage::Auto);
    assert!(steps(&first) > 0);
    let [file] = &files(&cache)[..] else { panic!("{:?}", files(&cache)) };
    let (written, bytes) = (fs::metadata(file).unwrap().modified().unwrap(), fs::metadata(file).unwrap().len());
    let second = open(&cache, WeightStorage::Auto);
    assert_eq!(steps(&second), 0, "they were there");
    assert_eq!(logits(&first), logits(&second), "bit for bit");
    assert_eq!(fs::metadata(file).unwrap().modified().unwrap(), written);
    let memory = second.report().unwrap().engine.unwrap().memory;
    assert!(memory.weights.0 <= bytes && bytes < memory.weights.0 + 65_536, "{bytes} bytes for {}", memory.weights);
    for (weights, prepacked) in [(WeightStorage::Packed, true), (WeightStorage::InPlace, false)] {
        assert_eq!(steps(&open(&cache, weights)) > 0, prepacked, "who wants them elsewhere has them there: {weights:?}");
    }
}

#[test]
fn what_is_damaged_is_removed_and_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let good = open(folder.path(), WeightStorage::Auto);
    prepare(&good).unwrap();
    let file = files(folder.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let damages: [fn(&mut Vec<u8>); 6] = [
        |bytes| bytes.truncate(bytes.len() - 1),
        |bytes| bytes.truncate(4096),
        |bytes| bytes.truncate(100),
        |bytes| bytes.truncate(0),
        |bytes| bytes[20] ^= 1,
        |bytes| bytes[4096] ^= 1,
    ];
    for (case, damage) in damages.into_iter().enumerate() {
        let mut bytes = whole.clone();
        damage(&mut bytes);
        // In place of the file, since `good` has it mapped.
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        let model = open(folder.path(), WeightStorage::Auto);
        assert!(!file.exists(), "case {case}");
        assert!(steps(&model) > 0 && file.exists(), "case {case}");
        assert_eq!(logits(&model), logits(&good), "case {case}");
        assert_eq!(fs::read(&file).unwrap(), whole, "case {case}");
    }
}

/// A damage to a file of so many bytes, chosen by a number.
fn damage(bytes: &mut Vec<u8>, case: usize, other: &[u8]) -> &'static str {
    // Spread over the file; the largest prime below 2^32 shares no factor with any length here.
    let at = case.wrapping_mul(4_294_967_291) % bytes.len();
    match case % 6 {
        0 => {
            bytes[at] ^= 1 << (case / 6 % 8);
            "a flipped bit"
        }
        1 => {
            // Somewhere where there is not nothing already.
            let start = at.min(bytes.len() - 65_536);
            let odd = (0..65_536).any(|place| bytes[start + place] != 0);
            bytes[start..start + 65_536].fill(0);
            if !odd {
                bytes[start] = 1;
            }
            "64 KiB of zeros"
        }
        2 => {
            bytes.truncate(at);
            "a cut"
        }
        3 => {
            let (one, two) = (at % (bytes.len() / 2 - 4096), bytes.len() / 2);
            let (first, second) = bytes.split_at_mut(two);
            first[one..one + 4096].swap_with_slice(&mut second[..4096]);
            "pages that changed places"
        }
        4 => {
            let start = at.min(other.len() - 1);
            let end = bytes.len().min(other.len());
            bytes[start..end].copy_from_slice(&other[start..end]);
            "the end of another model's file"
        }
        _ => {
            bytes[at % 4096] ^= 0x40;
            "a damaged head"
        }
    }
}

#[test]
fn no_damage_goes_unnoticed_or_changes_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let good = open(folder.path(), WeightStorage::Auto);
    prepare(&good).unwrap();
    let expected = logits(&good);
    let file = files(folder.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    let other = {
        let folder = tempfile::tempdir().unwrap();
        let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/goldens/quantised/int4-b32");
        let model = Kinglet::builder().prepared_weights(folder.path()).build().unwrap().open(golden).unwrap();
        prepare(&model).unwrap();
        fs::read(files(folder.path()).remove(0)).unwrap()
    };
    for case in 0..30 {
        let mut bytes = whole.clone();
        let what = damage(&mut bytes, case, &other);
        assert_ne!(bytes, whole, "{what}, case {case}");
        // In place of the file, since `good` has it mapped.
        fs::remove_file(&file).unwrap();
        fs::write(&file, bytes).unwrap();
        let model = open(folder.path(), WeightStorage::Auto);
        // Its weights are made by the first step, unless those of the file were used.
        assert_eq!(logits(&model), expected, "{what}, case {case}");
        assert!(!file.exists(), "{what}, case {case}: it is not removed");
        fs::write(&file, &whole).unwrap();
    }
    let again = open(folder.path(), WeightStorage::Auto);
    assert_eq!((steps(&again), logits(&again) == expected), (0, true), "and what is whole is used");
}

#[test]
fn files_of_the_same_model_for_another_version_go_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    prepare(&open(folder.path(), WeightStorage::Auto)).unwrap();
    let file = files(folder.path()).remove(0);
    let name = file.file_name().unwrap().to_str().unwrap();
    let model = name.split_once('-').unwrap().0;
    let old = folder.path().join(format!("{model}-0123456789abcdef.kweights"));
    let others = ["notes.txt", "0000000000000000-0123456789abcdef.kweights"].map(|name| folder.path().join(name));
    fs::rename(&file, &old).unwrap();
    others.iter().for_each(|other| fs::write(other, "other").unwrap());
    prepare(&open(folder.path(), WeightStorage::Auto)).unwrap();
    assert!(file.exists() && !old.exists());
    assert!(others.iter().all(|other| other.exists()));
}

#[test]
fn a_folder_that_takes_nothing_is_told_and_the_model_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "no folder").unwrap();
    let model = open(&file, WeightStorage::Auto);
    let error = prepare(&model).unwrap_err();
    assert!(matches!(error, Error::Storage(_)) && error.to_string().contains("name another folder"), "{error}");
    assert!(!logits(&model).is_empty());
}
