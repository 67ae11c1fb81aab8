//! The files of a model folder that smart replies read: `kinglet.json`, the bank of replies, its vectors, and the tables of n-grams.

use crate::bytes::{Choices, changed};
use crate::config::with_other_fields;
use crate::folder::Scratch;
use kinglet::{CancelHandle, Conversation, Kinglet, SmartReplyOptions};
use kinglet_testing::repository;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

const FILES: [&str; 5] = ["kinglet.json", "bank.txt", "bank.vectors", "bank.ngrams", "rank.ngrams"];

fn shipped() -> PathBuf {
    repository().join("models/goldcrest")
}

/// Lines of the bank that are kept: where its vectors are damaged they are computed, which takes long for all of them.
const LINES: usize = 120;

/// The shipped model with a part of its bank.
static FOLDER: LazyLock<Mutex<Scratch>> = LazyLock::new(|| {
    let folder = Scratch::of(&shipped());
    let bank = std::fs::read_to_string(folder.path().join("bank.txt")).expect("the bank is text");
    folder.write("bank.txt", bank.lines().take(LINES).collect::<Vec<_>>().join("\n").as_bytes());
    Mutex::new(folder)
});

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let name = FILES[choices.below(FILES.len())];
    let folder = FOLDER.lock().unwrap_or_else(PoisonError::into_inner);
    let valid = std::fs::read(folder.path().join(name)).expect("the file is there");
    let content = match choices.byte() % 3 {
        0 if name == "kinglet.json" => with_other_fields(&valid, &mut choices),
        1 => choices.rest().to_vec(),
        _ => changed(&valid, &mut choices),
    };
    folder.write(name, &content);
    let model = Kinglet::builder().context(64).build().and_then(|kinglet| kinglet.open(folder.path()));
    if let Ok(model) = model {
        for message in ["are you coming tonight?", "mum is in hospital"] {
            let talk = Conversation::single(message);
            let written = model.smart_reply(&talk, SmartReplyOptions { explain: true, ..Default::default() });
            let ranked = model.score_replies(&talk, &["I'm so sorry", "Yes!"], &CancelHandle::default());
            let of_replies = written.iter().flat_map(|answer| &answer.replies).map(|reply| reply.score);
            let of_ranking = ranked.iter().flatten().map(|scored| scored.score);
            assert!(of_replies.chain(of_ranking).all(f32::is_finite), "a score is no number");
        }
    }
    folder.write(name, &valid);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let scales = [vec![3, 0, 2], vec![4, 0, 2]].into_iter().map(|mut seed| {
        seed.extend([3, 0, 1, 0, 3, 0xff, 0xff, 0x7f, 0x7f, 0, 0, 0, 0]);
        seed
    });
    (0..FILES.len() as u8)
        .flat_map(|file| {
            [vec![file, 0, 2], vec![file, 0, 2, 5, 0, 1, 1, 9], vec![file, 0, 1, b'{', b'}'], vec![file, 0, 0, 5, 1]]
        })
        .chain(scales)
        .chain([[&[1, 0, 1][..], b"# accept casual\nAt {time}\n"].concat(), [&[1, 0, 1][..], b"# a casual\nYes\nYes\n"].concat()])
        .collect()
}
