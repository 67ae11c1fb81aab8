//! The prefix cache on a tiny golden: what a later session or process finds of an earlier one, and that no answer depends on it.

use kinglet::{
    Answer, Bytes, CancelHandle, Conversation, Error, GenerationOptions, Kinglet, Model, PrefixCache, PrefixSource,
    SamplingOptions, SavedPrefix, SessionOptions, SmartReplyOptions, Threads,
};
use std::fs;
use std::path::{Path, PathBuf};

const TINY: &str = "models/goldens/qwen2/genai";
const RULES: &str = "You work in a bookshop by the harbour. Be brief, be kind, and never promise a delivery on Sundays.";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A model as a new process opens it.
fn open_at(folder: &Path, cache: Option<&Path>, exact: bool) -> Model {
    let mut builder = Kinglet::builder().threads(Threads::Exactly(2)).exact(exact);
    if let Some(cache) = cache {
        builder = builder.prefix_cache(PrefixCache::new(cache));
    }
    builder.build().unwrap().open(folder).unwrap()
}

fn open(cache: Option<&Path>) -> Model {
    open_at(&repository().join(TINY), cache, false)
}

fn greedy(tokens: usize) -> GenerationOptions {
    GenerationOptions { max_new_tokens: tokens, sampling: Some(SamplingOptions::default()), stop: vec![] }
}

fn told(instructions: &str) -> SessionOptions {
    SessionOptions { instructions: Some(instructions.to_owned()), generation: greedy(8), ..SessionOptions::default() }
}

/// The first answer of a new session.
fn ask(model: &Model, options: SessionOptions, said: &str) -> Answer {
    model.session(options).unwrap().respond(said).unwrap().finish().unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn a_later_session_restores_its_instructions_and_answers_alike() {
    let dir = tempfile::tempdir().unwrap();
    let plain = ask(&open(None), told(RULES), "Hello");
    let first = ask(&open(Some(dir.path())), told(RULES), "Hello");
    assert_eq!((&first.tokens, first.usage.cached_tokens), (&plain.tokens, 0));
    assert_eq!(files(dir.path()).len(), 1);
    let model = open(Some(dir.path()));
    let restored = ask(&model, told(RULES), "Hello");
    assert_eq!(restored.tokens, plain.tokens);
    let (cached, prompt) = (restored.usage.cached_tokens, restored.usage.prompt_tokens);
    assert!(cached > 20 && cached < prompt, "{cached} of {prompt}");
    assert!(restored.usage.timing.first_token.unwrap() >= restored.usage.timing.prefill);
    let again = ask(&model, told(RULES), "Something else");
    assert_eq!(again.usage.cached_tokens, cached, "from memory");
    assert_eq!(again.tokens, ask(&open(None), told(RULES), "Something else").tokens);
    assert_eq!(files(dir.path()).len(), 1);
}

#[test]
fn a_session_goes_on_restored_after_a_reset_and_in_a_fork() {
    let dir = tempfile::tempdir().unwrap();
    let model = open(Some(dir.path()));
    let mut session = model.session(told(RULES)).unwrap();
    let first = session.respond("Hello").unwrap().finish().unwrap();
    let fork = session.fork().unwrap().respond("And?").unwrap().finish().unwrap();
    assert!(fork.usage.cached_tokens >= first.usage.prompt_tokens);
    session.reset().unwrap();
    let second = session.respond("Hello").unwrap().finish().unwrap();
    assert!(second.usage.cached_tokens > 20, "{:?}", second.usage);
    assert_eq!(second.tokens, first.tokens);
}

#[test]
fn other_instructions_settings_and_models_have_files_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in files(&repository().join(TINY)) {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    let asked = |model: &Model, options: &SessionOptions| ask(model, options.clone(), "Hello").usage.cached_tokens;
    let ways: [&dyn Fn() -> usize; 4] = [
        &|| asked(&open(Some(dir.path())), &told(RULES)),
        &|| asked(&open(Some(dir.path())), &told(&RULES.replace("bookshop", "bakery"))),
        &|| asked(&open_at(&repository().join(TINY), Some(dir.path()), true), &told(RULES)),
        &|| asked(&open_at(copy.path(), Some(dir.path()), false), &told(RULES)),
    ];
    let first: Vec<usize> = ways.iter().map(|ask| ask()).collect();
    let second: Vec<usize> = ways.iter().map(|ask| ask()).collect();
    assert_eq!(first[0], 0);
    assert!(first.iter().zip(&second).all(|(first, second)| first < second), "{first:?} {second:?}");
    assert_eq!(files(dir.path()).len(), 4);
    // Weights that changed in place are another model.
    let weights = files(copy.path()).into_iter().find(|file| file.to_string_lossy().ends_with(".data")).unwrap();
    let mut bytes = fs::read(&weights).unwrap();
    bytes[64] ^= 1;
    fs::write(&weights, bytes).unwrap();
    assert_eq!(ways[3](), 0);
}

#[test]
fn what_is_restored_is_what_was_computed_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let never = CancelHandle::default();
    let first = open(Some(dir.path()));
    let tokens = first.tokenize(RULES, false).unwrap();
    let judge = |model: &Model| {
        let prompt = [&tokens[..], &[5, 6]].concat();
        let found = model.likelihoods(prompt, &[vec![7, 8, 9], vec![9, 8]], &never).unwrap();
        found.into_iter().map(|one| one.logprob.to_bits()).collect::<Vec<_>>()
    };
    let kept = first.save_prefix(&tokens[..], &never).unwrap();
    assert_eq!((kept.tokens, kept.source), (tokens.len(), PrefixSource::Computed));
    let second = open(Some(dir.path()));
    assert_eq!(second.restore_prefix([&tokens[..], &[5]].concat()).unwrap(), tokens.len());
    assert_eq!(judge(&second), judge(&first));
    let other = [&tokens[..tokens.len() - 1], &[3]].concat();
    let third = open(None);
    third.save_prefix(other, &never).unwrap();
    assert_eq!(judge(&third), judge(&first), "of another prefix only what is common is used");
}

#[test]
fn keeping_says_where_a_prefix_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let never = CancelHandle::default();
    let keep = |model: &Model, prompt: &str| model.save_prefix(prompt, &never).unwrap();
    let model = open(Some(dir.path()));
    let SavedPrefix { source: PrefixSource::Computed, file: Some(bytes), .. } = keep(&model, RULES) else { panic!() };
    assert_eq!(Bytes(fs::metadata(&files(dir.path())[0]).unwrap().len()), bytes);
    let held = model.kv_bytes();
    assert_eq!((keep(&model, RULES).source, model.kv_bytes()), (PrefixSource::Memory, held));
    assert_eq!(keep(&open(Some(dir.path())), RULES).source, PrefixSource::Disk);
    assert_eq!(keep(&model, "Hi").file, None, "too short to be saved");
    assert!(matches!(model.save_prefix("", &never), Err(Error::InvalidRequest(_))));
    assert!(matches!(model.save_prefix(vec![5; 5000], &never), Err(Error::InvalidRequest(_))));
    let cancelled = CancelHandle::default();
    cancelled.cancel();
    assert!(matches!(model.save_prefix("Something that nobody has said before", &cancelled), Err(Error::Cancelled)));
    let without = keep(&open(None), RULES);
    assert_eq!((without.source, without.file), (PrefixSource::Computed, None));
}

#[test]
fn a_damaged_file_is_computed_and_saved_anew() {
    let dir = tempfile::tempdir().unwrap();
    let plain = ask(&open(Some(dir.path())), told(RULES), "Hello");
    let file = files(dir.path()).remove(0);
    let whole = fs::read(&file).unwrap();
    struct Case(&'static str, fn(&mut Vec<u8>));
    for Case(what, damage) in [
        Case("a bit", |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
        }),
        Case("cut", |bytes| bytes.truncate(bytes.len() - 5000)),
        Case("empty", Vec::clear),
    ] {
        let mut damaged = whole.clone();
        damage(&mut damaged);
        fs::write(&file, damaged).unwrap();
        let model = open(Some(dir.path()));
        let answer = ask(&model, told(RULES), "Hello");
        assert_eq!((answer.usage.cached_tokens, &answer.tokens), (0, &plain.tokens), "{what}");
        assert!(fs::read(&file).unwrap() == whole, "{what}");
    }
}

#[test]
fn answers_come_where_nothing_can_be_saved() {
    let dir = tempfile::tempdir().unwrap();
    let no_folder = dir.path().join("file");
    fs::write(&no_folder, "in the way").unwrap();
    let model = open(Some(&no_folder));
    let plain = ask(&open(None), told(RULES), "Hello");
    assert_eq!(ask(&model, told(RULES), "Hello").tokens, plain.tokens);
    let again = ask(&model, told(RULES), "Hello");
    assert!(again.tokens == plain.tokens && again.usage.cached_tokens > 20, "it is kept in memory");
    let prompt = model.tokenize("Another beginning, of more than sixteen tokens", false).unwrap();
    let refused = model.save_prefix(&prompt[..], &CancelHandle::default()).unwrap_err();
    assert!(matches!(refused, Error::Storage(_)) && refused.to_string().contains("file"), "{refused}");
    assert_eq!(model.restore_prefix(&prompt[..]).unwrap(), prompt.len(), "it is in memory");
    let small = PrefixCache { max_bytes: Bytes(1000), ..PrefixCache::new(dir.path().join("small")) };
    let small = Kinglet::builder().prefix_cache(small).build().unwrap().open(repository().join(TINY)).unwrap();
    assert_eq!(ask(&small, told(RULES), "Hello").tokens, plain.tokens);
    assert!(files(&dir.path().join("small")).is_empty());
}

#[test]
fn prompts_are_saved_only_where_that_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let complete = |prompt: &str, save: bool| {
        let model = open(Some(dir.path()));
        model.completer().unwrap().save_prompts(save).complete(prompt, &greedy(4)).unwrap().finish().unwrap()
    };
    let first = complete(RULES, false);
    assert!(files(dir.path()).is_empty());
    assert_eq!(complete(RULES, true).tokens, first.tokens);
    assert_eq!(files(dir.path()).len(), 1);
    let again = complete(RULES, true);
    assert_eq!((again.usage.cached_tokens, again.tokens), (first.usage.prompt_tokens - 1, first.tokens));
    let longer = complete(&format!("{RULES} And close at six."), true);
    assert!(longer.usage.cached_tokens + 2 >= first.usage.prompt_tokens, "{:?}", longer.usage);
    assert_eq!(complete(RULES, false).usage.cached_tokens, 0);
}

#[test]
fn smart_reply_keeps_its_instructions() {
    let dir = tempfile::tempdir().unwrap();
    let talk = Conversation { instructions: Some(RULES.into()), ..Conversation::single("Are you open today?") };
    let suggest = |cache: Option<&Path>| {
        let options = SmartReplyOptions { languages: Some(vec![]), min_score: f32::MIN, ..SmartReplyOptions::default() };
        open(cache).smart_reply(&talk, options).unwrap()
    };
    let plain = suggest(None);
    for _ in 0..2 {
        let found = suggest(Some(dir.path()));
        assert_eq!((&found.replies, found.usage), (&plain.replies, plain.usage));
        assert_eq!(files(dir.path()).len(), 1);
    }
    let shipped = tempfile::tempdir().unwrap();
    let goldcrest = open_at(&repository().join("models/goldcrest"), Some(shipped.path()), false);
    goldcrest.smart_reply(&talk, SmartReplyOptions::default()).unwrap();
    assert!(files(shipped.path()).is_empty(), "its prompts begin with nothing but the conversation");
}

#[test]
fn a_conversation_goes_on_in_another_process_without_being_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = ("Where is the harbour? I have been walking along the river all day.", "And is it open on Sundays?");
    let converse = |cache: Option<&Path>| {
        let mut session = open(cache).session(told(RULES)).unwrap();
        session.respond(first).unwrap().finish().unwrap();
        (
            session.messages()[1..].to_vec(),
            cache.map(|_| session.save().unwrap()),
            session.respond(second).unwrap().finish().unwrap(),
        )
    };
    let (_, _, plain) = converse(None);
    let (messages, kept, _) = converse(Some(dir.path()));
    let kept = kept.unwrap();
    assert!(kept.file.is_some_and(|file| file.0 > 0), "{kept:?}");
    let again = || open(Some(dir.path())).session(SessionOptions { messages: messages.clone(), ..told(RULES) }).unwrap();
    let restored = again().respond(second).unwrap().finish().unwrap();
    assert_eq!((&restored.text, &restored.tokens), (&plain.text, &plain.tokens));
    assert!(restored.usage.cached_tokens + 1 >= kept.tokens, "{:?} of {kept:?}", restored.usage);
    let other = again().respond(first).unwrap().finish().unwrap();
    assert!(other.usage.cached_tokens + 1 >= kept.tokens, "another message after the same conversation");
}

#[test]
fn a_conversation_is_kept_only_where_there_is_a_place_for_it() {
    let mut session = open(None).session(told(RULES)).unwrap();
    session.respond("Hello").unwrap().finish().unwrap();
    let error = session.save().unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)) && error.to_string().contains("prefix_cache"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let taken = dir.path().join("taken");
    fs::write(&taken, "a file where a folder should be").unwrap();
    let mut session = open(Some(&taken)).session(told(RULES)).unwrap();
    assert_eq!(session.save().unwrap().tokens, 0, "nothing was read yet");
    session.respond("Hello").unwrap().finish().unwrap();
    assert!(matches!(session.save(), Err(Error::Storage(_))));
}
