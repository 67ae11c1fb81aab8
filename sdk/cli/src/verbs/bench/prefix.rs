//! How soon a saved prefix is of use after a restart.

use super::measure::{Bench, complete, median};
use crate::arguments::Common;
use crate::failure::Failure;
use kinglet::{Bytes, CancelHandle, Error, Model, PrefixCache, SavedPrefix};
use std::path::Path;
use std::time::Instant;

/// Tokens of the prefix.
const TOKENS: usize = 512;
/// Models that are opened, the first of which saves.
const ROUNDS: usize = 5;

/// Time and space of a saved prefix.
pub(super) struct Saved {
    /// To find its file and read it.
    pub(super) restore_seconds: f64,
    /// The same, and one more token of the prompt, to the first token of the answer.
    pub(super) first_token_seconds: f64,
    /// The size of its file.
    pub(super) bytes: u64,
}

/// Saves a prefix and restores it in models that are opened anew: nothing of it is in memory but what the system keeps of the
/// file. The medians; `None` where the context is too small or nothing can be saved.
pub(super) fn measure(common: &Common) -> Result<Option<Saved>, Failure> {
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::failed(format!("there is no room for a prefix in the folder of temporary files ({error}); check the disk"))
    })?;
    let model = open(common, folder.path())?;
    if TOKENS + 1 > model.context() {
        return Ok(None);
    }
    let prompt = Bench::new(&model, common.seed.unwrap_or(1)).prompt(TOKENS + 1);
    let bytes = match model.save_prefix(&prompt[..TOKENS], &CancelHandle::default()) {
        Ok(SavedPrefix { file: Some(bytes), .. }) => bytes,
        Err(error @ Error::Storage(_)) => {
            log::warn!("{error}");
            return Ok(None);
        }
        other => return other.map(|_| None).map_err(Failure::from),
    };
    drop(model);
    let (mut restore, mut first_token) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let model = open(common, folder.path())?;
        let mut completer = model.token_completer()?;
        let started = Instant::now();
        let restored = model.restore_prefix(prompt.clone())?;
        restore.push(started.elapsed().as_secs_f64());
        complete(&mut completer, &prompt, 1)?;
        first_token.push(started.elapsed().as_secs_f64());
        if restored != TOKENS {
            return Err(Failure::failed(format!("{restored} tokens of a prefix of {TOKENS} came back; check the disk")));
        }
    }
    let medians = median(restore).zip(median(first_token));
    Ok(medians.map(|(restore_seconds, first_token_seconds)| Saved { restore_seconds, first_token_seconds, bytes: bytes.0 }))
}

fn open(common: &Common, folder: &Path) -> Result<Model, Failure> {
    let cache = PrefixCache { dir: folder.into(), max_bytes: Bytes(u64::MAX) };
    let model = common.builder().end_tokens(false).prefix_cache(cache).build()?.open(common.model())?;
    // Weights have a figure of their own.
    model.prepare(&CancelHandle::default(), |_| {})?;
    Ok(model)
}
