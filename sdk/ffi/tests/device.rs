//! Conditions on a phone: the model lies in a package, memory runs short, the app goes to the background, the process is ended.

use kinglet_ffi::*;
use kinglet_testing::repository;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TINY: &str = "models/goldens/llama/genai";

fn open(options: OpenOptions) -> Arc<Model> {
    Kinglet::new(options).unwrap().open(repository().join(TINY).display().to_string()).unwrap()
}

fn response(max_new_tokens: u32) -> GenerationOptions {
    let greedy = Sampling { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: None };
    GenerationOptions { max_new_tokens, sampling: Some(greedy), stop: vec![] }
}

fn read(generation: &Generation) -> (String, Usage) {
    let mut all = String::new();
    loop {
        match generation.next_blocking().unwrap() {
            Some(Piece::Text { text }) => all.push_str(&text),
            Some(Piece::Done { usage }) => return (all, usage),
            None => panic!("an answer ends with what it took"),
        }
    }
}

#[cfg(unix)]
#[test]
fn a_model_is_opened_from_ranges_of_a_package() {
    use std::io::{Seek, Write};
    use std::os::fd::AsRawFd;
    let source = repository().join("models/goldcrest");
    let folder = tempfile::tempdir().unwrap();
    let mut package = tempfile::tempfile().unwrap();
    let mut files = vec![];
    for entry in std::fs::read_dir(&source).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let content = std::fs::read(entry.path()).unwrap();
        if name.starts_with("model.onnx") {
            package.write_all(b"local header").unwrap();
            let offset = package.stream_position().unwrap();
            package.write_all(&content).unwrap();
            files.push(FileRange { name, descriptor: package.as_raw_fd(), offset, bytes: content.len() as u64 });
        } else {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
    }
    let kinglet = Kinglet::new(OpenOptions::default()).unwrap();
    let model = kinglet.open_ranges(folder.path().display().to_string(), files.clone()).unwrap();
    let whole = kinglet.open(source.display().to_string()).unwrap();
    drop(package);
    let replies = |model: &Model| {
        let turns = vec![TalkTurn { by_agent: false, text: "Do you want to grab lunch tomorrow?".into() }];
        let talk = Talk { turns, instructions: None };
        model.smart_reply(talk, ReplyOptions::default(), Arc::new(Cancellation::new())).unwrap().replies
    };
    assert!(!replies(&whole).is_empty());
    assert_eq!(replies(&model), replies(&whole));

    for descriptor in [-1, -7, 1 << 20] {
        let files = files.iter().cloned().map(|file| FileRange { descriptor, ..file }).collect();
        let error = kinglet.open_ranges(folder.path().display().to_string(), files).unwrap_err();
        assert!(matches!(error, KingletError::InvalidRequest(_)), "{error:?}");
    }
}

#[test]
fn short_memory_and_heat_change_no_answer() {
    let model = open(OpenOptions::default());
    let calm = read(&model.session(SessionSetup::default()).unwrap().respond("hello".into(), response(30)).unwrap()).0;
    let session = model.session(SessionSetup::default()).unwrap();
    let generation = session.respond("hello".into(), response(30)).unwrap();
    for pressure in [MemoryPressure::Moderate, MemoryPressure::Critical] {
        model.memory_pressure(pressure);
    }
    for state in [ThermalState::Critical, ThermalState::Serious, ThermalState::Fair, ThermalState::Nominal] {
        model.thermal(state);
    }
    assert_eq!(read(&generation).0, calm);
}

#[test]
fn a_paused_model_waits_and_is_cancelled_closed_or_resumed() {
    let model = open(OpenOptions::default());
    model.pause();
    let session = model.session(SessionSetup::default()).unwrap();
    let generation = session.respond("hello".into(), response(3)).unwrap();
    std::thread::sleep(Duration::from_millis(30));
    assert!(session.is_responding(), "it waits");
    generation.cancel();
    assert_eq!(read(&generation).1.finish, FinishReason::Cancelled);
    let generation = session.respond("hello".into(), response(3)).unwrap();
    model.resume();
    assert!(read(&generation).1.new_tokens > 0);
    model.pause();
    let generation = session.respond("hello".into(), response(3)).unwrap();
    let began = Instant::now();
    model.end();
    while generation.next_blocking().is_ok_and(|piece| piece.is_some()) {}
    assert!(began.elapsed() < Duration::from_secs(20));
    model.memory_pressure(MemoryPressure::Critical);
    model.resume();
}

#[test]
fn a_conversation_outlives_its_process() {
    let cache = tempfile::tempdir().unwrap();
    let options = || OpenOptions { prefix_cache: Some(cache.path().display().to_string()), ..OpenOptions::default() };
    let session = open(options()).session(SessionSetup::default()).unwrap();
    read(&session.respond("Tell me about the harbour and its ships.".into(), response(20)).unwrap());
    let (messages, kept) = (session.messages().unwrap(), session.save().unwrap());
    let expected = read(&session.respond("And then?".into(), response(8)).unwrap()).0;
    let again = open(options()).session(SessionSetup { messages, ..SessionSetup::default() }).unwrap();
    let (text, usage) = read(&again.respond("And then?".into(), response(8)).unwrap());
    assert_eq!(text, expected);
    assert!(usage.cached_tokens + 1 >= kept, "{usage:?} of {kept}");
}

/// A copy of the shipped model, to be harmed.
fn copied() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(repository().join("models/goldcrest")).unwrap().flatten() {
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn replies(model: &Model) -> Result<Vec<SuggestedReply>, KingletError> {
    let turns = vec![TalkTurn { by_agent: false, text: "Do you want to grab lunch tomorrow?".into() }];
    let talk = Talk { turns, instructions: None };
    Ok(model.smart_reply(talk, ReplyOptions::default(), Arc::new(Cancellation::new()))?.replies)
}

#[test]
fn a_model_that_is_replaced_or_removed_while_open_answers_as_before() {
    let folder = copied();
    let kinglet = Kinglet::new(OpenOptions { weights: Some(WeightsChoice::InPlace), ..OpenOptions::default() }).unwrap();
    let model = kinglet.open(folder.path().display().to_string()).unwrap();
    let before = replies(&model).unwrap();
    let data = folder.path().join("model.onnx.data");
    let beside = folder.path().join("download");
    std::fs::write(&beside, b"another file").unwrap();
    std::fs::rename(&beside, &data).unwrap();
    assert_eq!(replies(&model).unwrap(), before, "what is open stays");
    let error = kinglet.open(folder.path().display().to_string()).unwrap_err();
    assert!(matches!(error, KingletError::BadModel(_)), "{error:?}");
    drop(folder);
    assert_eq!(replies(&model).unwrap(), before);
    assert!(matches!(model.info(), Ok(_) | Err(KingletError::BadModel(_))));
}

#[test]
fn two_models_of_one_folder_do_not_know_each_other() {
    let folder = copied();
    let open = || Kinglet::new(OpenOptions::default()).unwrap().open(folder.path().display().to_string()).unwrap();
    let (first, second) = (open(), open());
    let before = replies(&first).unwrap();
    first.end();
    assert_eq!(replies(&second).unwrap(), before);
    assert!(matches!(replies(&first), Err(KingletError::Closed(_))));
}

#[test]
fn where_nothing_can_be_saved_answers_come_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let taken = folder.path().join("taken");
    std::fs::write(&taken, "a file where a folder should be").unwrap();
    let taken = taken.display().to_string();
    let options = OpenOptions { prefix_cache: Some(taken.clone()), prepared_weights: Some(taken), ..OpenOptions::default() };
    let model = Kinglet::new(options).unwrap().open(repository().join("models/goldcrest").display().to_string()).unwrap();
    let prepared = model.prepare(None, Arc::new(Cancellation::new()));
    assert!(matches!(prepared, Err(KingletError::Storage(_))), "{prepared:?}");
    assert!(!replies(&model).unwrap().is_empty());
}

/// `KINGLET_CYCLES` sets another number.
#[cfg(target_os = "linux")]
#[test]
fn screens_that_come_and_go_leave_nothing_behind() {
    let cycle = || {
        let session = open(OpenOptions::default()).session(SessionSetup::default()).unwrap();
        read(&session.respond("hello".into(), response(8)).unwrap());
    };
    let resident = || kinglet::ProcessMemory::look().unwrap().resident.0 / 1024;
    let cycles = std::env::var("KINGLET_CYCLES").map_or(100, |cycles| cycles.parse().unwrap());
    (0..20).for_each(|_| cycle());
    let before = resident();
    (0..cycles).for_each(|_| cycle());
    let grown = resident().saturating_sub(before);
    println!("GROWTH of {cycles} openings: {grown} KiB");
    // Other tests run beside it.
    assert!(grown < 64 * 1024, "{grown} KiB");
}
