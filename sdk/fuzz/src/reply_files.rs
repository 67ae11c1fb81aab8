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

static FOLDER: LazyLock<Mutex<Scratch>> = LazyLock::new(|| Mutex::new(Scratch::of(&shipped())));

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let name = FILES[choices.below(FILES.len())];
    let valid = std::fs::read(shipped().join(name)).expect("the shipped model is in the repository");
    let content = match choices.byte() % 3 {
        0 if name == "kinglet.json" => with_other_fields(&valid, &mut choices),
        1 => choices.rest().to_vec(),
        _ => changed(&valid, &mut choices),
    };
    let folder = FOLDER.lock().unwrap_or_else(PoisonError::into_inner);
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
