//! Prepared weights: prepacked once, saved in a folder, and read from there by whoever opens the model next.
//!
//! ```text
//! magic [8]  version u32  key [32]  fingerprint of the model [32]    zeros up to a multiple of 4096    what the engine saved    seal
//! ```
//!
//! Every byte is under the seal, which says so before any of them is used: see [`seal`].

mod seal;
mod verify;

use crate::Error;
use crate::engines::Chosen;
use crate::saved::{ModelKey, UNFINISHED, hex, key, remove};
use etcetera::BaseStrategy;
use kinglet_bundle::{Bundle, Bytes, Fingerprint};
use kinglet_engine::{EngineError, Model, Proof};
use seal::{Sealed, Sealer};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use verify::Verification;

const MAGIC: [u8; 8] = *b"kingletW";
const VERSION: u32 = 2;
/// Bytes of the header; the engine's bytes behind it stay on a page boundary.
const HEAD_BYTES: usize = 4096;
/// File name suffix.
const ENDING: &str = ".kweights";
/// Bytes of a hash that are part of a name.
const NAMED_BYTES: usize = 8;

/// The folder of the user's cache that the command keeps prepared weights in: `kinglet/weights`. `None` where no home folder is known.
pub fn users_prepared_weights() -> Option<PathBuf> {
    etcetera::base_strategy::choose_native_strategy().ok().map(|base| base.cache_dir().join("kinglet").join("weights"))
}

/// The place of one model's prepared weights.
#[derive(Debug)]
pub(crate) struct PreparedWeights {
    folder: PathBuf,
    /// Prefix of the names of all files of this model, for any machine or version.
    model: String,
    fingerprint: Fingerprint,
    /// Everything that the prepacked weights depend on.
    key: ModelKey,
}

impl PreparedWeights {
    /// Reads what tells this model from others. No folder is touched.
    pub(crate) fn new(folder: &Path, bundle: &Bundle, engine: &Chosen) -> PreparedWeights {
        let fingerprint = bundle.fingerprint();
        let key = key(&fingerprint, [engine.model.info().engine, &engine.arithmetic]);
        PreparedWeights { folder: folder.into(), model: hex(&fingerprint.0[..NAMED_BYTES]), fingerprint, key }
    }

    /// The file.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(format!("{}-{}{ENDING}", self.model, hex(&self.key[..NAMED_BYTES])))
    }

    /// Has `engine` use the file where there is one, once it is verified, which begins now. One that is damaged is removed.
    pub(crate) fn recall(&self, engine: &dyn Model) {
        let path = self.path();
        match self.read(&path, engine) {
            Ok(used) => log::debug!("prepared weights: {}", if used { path.display().to_string() } else { "none".into() }),
            Err(reason) => discard(&path, &reason),
        }
    }

    /// Whether there was a file, which `engine` uses now; or why it is damaged.
    fn read(&self, path: &Path, engine: &dyn Model) -> Result<bool, String> {
        let bytes = match Bytes::map(path) {
            Ok(bytes) => bytes,
            Err(_) if !path.is_file() => return Ok(false),
            Err(error) => return Err(error.to_string()),
        };
        if bytes.get(..HEAD_BYTES) != Some(&self.head()[..]) {
            return Err("it is for another model, machine or version, or its beginning is damaged".into());
        }
        let sealed = Sealed::of(&bytes, HEAD_BYTES).ok_or("it is cut off, or its checksums are damaged")?;
        let saved = bytes.slice(sealed.saved.clone()).ok_or("it ends too early")?;
        engine.restore_prepared(Box::new(saved), proof(path, bytes, sealed)).map_err(|error| error.to_string())?;
        Ok(true)
    }

    /// Saves what `engine` has prepared, unless it is saved already or there is nothing; files of the same model for other
    /// machines or versions go.
    ///
    /// # Errors
    /// [`Error::Storage`] where the folder cannot be written to.
    pub(crate) fn save(&self, engine: &dyn Model) -> Result<(), Error> {
        if self.path().is_file() {
            return Ok(());
        }
        self.write(engine).map_err(|error| {
            let folder = self.folder.display();
            let message = format!("the prepared weights cannot be saved in `{folder}` ({error}); make room there or name another folder; the model runs without them");
            Error::Storage(message.into())
        })
    }

    fn write(&self, engine: &dyn Model) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut unfinished = tempfile::Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).tempfile_in(&self.folder)?;
        unfinished.write_all(&self.head())?;
        let mut sealer = Sealer::new(unfinished.as_file_mut());
        let saved = engine.save_prepared(&mut sealer).map_err(|error| match error {
            EngineError::Storage(error) => error,
            other => io::Error::other(other),
        })?;
        if !saved {
            return Ok(());
        }
        sealer.finish(&self.head())?;
        unfinished.as_file().sync_all()?;
        for entry in fs::read_dir(&self.folder)?.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| name.starts_with(&format!("{}-", self.model)) && name.ends_with(ENDING)) {
                remove(&entry.path(), format_args!("`{}`", entry.path().display()));
            }
        }
        unfinished.persist(self.path()).map_err(|error| error.error)?;
        Ok(())
    }

    /// The first bytes of the file.
    fn head(&self) -> Vec<u8> {
        let mut head = [&MAGIC[..], &VERSION.to_le_bytes(), &self.key, &self.fingerprint.0].concat();
        head.resize(HEAD_BYTES, 0);
        head
    }
}

/// Proof of the file at `path`: its blocks, verified from now on. A damaged file is removed.
fn proof(path: &Path, bytes: Bytes, sealed: Sealed) -> Proof {
    let path = path.to_owned();
    let mut verification = Verification::begin(bytes, sealed);
    Box::new(move |cancel| match verification.finish(|| cancel.is_cancelled()) {
        None => Err(EngineError::Cancelled),
        Some(true) => Ok(true),
        Some(false) => {
            discard(&path, "what it holds is not what was saved");
            Ok(false)
        }
    })
}

fn discard(path: &Path, reason: &str) {
    log::warn!("the prepared weights `{}` are removed and made anew: {reason}", path.display());
    remove(path, format_args!("`{}`", path.display()));
}
