//! A file of the prefix cache, as it is found again: damaged, with a checksum that fits all the same, or not a file of ours.

use crate::bytes::{Choices, changed};
use crate::folder::{Scratch, golden};
use kinglet::{CancelHandle, Kinglet, Model, PrefixCache, Prompt};
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

struct Kept {
    folder: Scratch,
    file: PathBuf,
    valid: Vec<u8>,
}

fn tokens() -> Prompt {
    Prompt::Tokens((1..40).collect())
}

fn open(folder: &Scratch) -> Model {
    let cache = PrefixCache::new(folder.path());
    let builder = Kinglet::builder().prefix_cache(cache).context(64);
    builder.build().and_then(|kinglet| kinglet.open(golden("qwen2/genai"))).expect("a golden opens")
}

static KEPT: LazyLock<Mutex<Kept>> = LazyLock::new(|| {
    let folder = Scratch::new();
    open(&folder).save_prefix(tokens(), &CancelHandle::default()).expect("it is kept");
    let mut files = std::fs::read_dir(folder.path()).expect("a readable folder");
    let file = files.next().and_then(Result::ok).expect("a file of the cache").path();
    let valid = std::fs::read(&file).expect("a readable file");
    Mutex::new(Kept { folder, file, valid })
});

pub(crate) fn run(bytes: &[u8]) {
    let kept = KEPT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = changed(&kept.valid, &mut Choices::new(bytes));
    let same = file == kept.valid;
    std::fs::write(&kept.file, &file).expect("room for a file");
    let restored = open(&kept.folder).restore_prefix(tokens()).expect("a damaged file is no error");
    assert_eq!(restored > 0, same, "{restored} tokens of a file that is {}", if same { "as it was" } else { "damaged" });
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![vec![], vec![0, 0, 0, 4, 9], vec![1, 0, 1, 0], vec![3, 0, 0, 8, 0, 3], vec![2, 0, 0, 60, 200]]
}
