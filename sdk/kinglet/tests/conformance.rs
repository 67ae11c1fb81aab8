//! Vectors of a model: made by it they fit it, and each kind of them can be missed.

use kinglet::{CancelHandle, Conformance, Error, Kinglet, Model, Threads};
use std::path::PathBuf;

fn golden(name: &str) -> Model {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("models/goldens").join(name);
    Kinglet::builder().threads(Threads::Exactly(2)).build().unwrap().open(folder).unwrap()
}

fn made(model: &Model) -> Conformance {
    model.make_conformance(&CancelHandle::default(), |_| {}).unwrap()
}

fn difference(model: &Model, vectors: &Conformance) -> Option<String> {
    model.check_conformance(vectors, &CancelHandle::default()).unwrap().difference
}

#[test]
fn a_model_gives_what_it_gave() {
    let model = golden("qwen2/genai");
    let vectors = made(&model);
    assert!(vectors.texts.len() > 5 && vectors.chats.len() > 2 && vectors.greedy.len() == 3, "{vectors:?}");
    let report = model.check_conformance(&vectors, &CancelHandle::default()).unwrap();
    assert_eq!(report.difference, None);
    let counts = (report.texts, report.chats, report.tokens + report.near_ties);
    assert_eq!(counts, (vectors.texts.len(), vectors.chats.len(), 3 * 16));
    assert!(report.worst <= vectors.max_relative, "{report:?}");
    // The same model in another layout, whose folder has another export's tokenizer.
    let tokens_alone = Conformance { texts: Vec::new(), chats: Vec::new(), ..vectors };
    assert_eq!(difference(&golden("qwen2/optimum"), &tokens_alone), None);
}

#[test]
fn every_kind_of_difference_is_seen() {
    let model = golden("qwen2/genai");
    let vectors = made(&model);
    let changed = |change: fn(&mut Conformance)| {
        let mut vectors = vectors.clone();
        change(&mut vectors);
        difference(&model, &vectors).expect("a difference")
    };
    assert!(changed(|v| v.texts[0].ids[0] += 1).contains("Hello, world."));
    assert!(changed(|v| v.texts[1].plain.push(1)).contains("is none and should be 1"));
    assert!(changed(|v| v.chats[0].rendered.as_mut().unwrap().push('!')).contains("conversation 1"));
    assert!(changed(|v| v.chats[1].rendered = None).contains("should refuse"));
    assert!(changed(|v| v.greedy[1].logits[3] += v.greedy[1].largest).contains("the logit of token 4"));
    assert!(changed(|v| v.greedy[0].logits[0] = f32::NAN).contains("logit of token 1"));
    assert!(changed(|v| v.greedy[2].ids[0] = 1_000_000).contains("vocabulary"));
    let another = difference(&golden("llama/genai"), &vectors).expect("another model");
    assert!(!another.is_empty());
}

#[test]
fn a_token_may_differ_only_where_two_were_nearly_as_good() {
    let model = golden("qwen2/genai");
    let mut vectors = made(&model);
    // Another token, with the logit that the model gives it, so that only its place in the order is wrong.
    let vector = &mut vectors.greedy[1];
    let row = model.logits(&vector.ids, kinglet::Positions::Last, &CancelHandle::default()).unwrap().values;
    let other = (0..row.len()).find(|&token| token as u32 != vector.tokens[0]).unwrap();
    (vector.tokens, vector.logits, vector.gaps) = (vec![other as u32], vec![row[other]], vec![vector.largest]);
    assert!(difference(&model, &vectors).unwrap().contains("should be"));
    vectors.greedy[1].gaps = vec![0.0];
    let report = model.check_conformance(&vectors, &CancelHandle::default()).unwrap();
    assert_eq!((report.difference, report.near_ties > 0), (None, true));
}

#[test]
fn files_of_vectors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vectors.json");
    let model = golden("qwen2/genai");
    assert!(model.conformance().unwrap().is_none());
    assert!(matches!(Conformance::read(&file), Err(Error::NotFound { .. })));
    let vectors = made(&model);
    vectors.write(&file).unwrap();
    assert_eq!(Conformance::read(&file).unwrap(), vectors);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    let later = std::fs::read_to_string(&file).unwrap().replacen("\"form\": 1", "\"form\": 2", 1);
    let short = std::fs::read_to_string(&file).unwrap().replacen("\"gaps\": [", "\"gaps\": [1.0,", 1);
    for (text, words) in
        [("", "no conformance vectors"), ("{}", "no conformance vectors"), (&later, "form 2"), (&short, "without logits")]
    {
        std::fs::write(&file, text).unwrap();
        let error = Conformance::read(&file).unwrap_err();
        assert!(matches!(error, Error::BadModel(_)) && error.to_string().contains(words), "{error}");
    }
    assert!(matches!(vectors.write(&folder.path().join("none/vectors.json")), Err(Error::Storage(_))));
}

#[test]
fn raised_cancels() {
    let cancel = CancelHandle::default();
    cancel.cancel();
    assert!(matches!(golden("qwen2/genai").make_conformance(&cancel, |_| {}), Err(Error::Cancelled)));
}
