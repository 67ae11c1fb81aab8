//! Writes the file of vectors that belongs beside the bank of a model: `cargo run --release -p kinglet --example bank_vectors -- FOLDER`.

use kinglet::{CancelHandle, Kinglet};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("name the folder of a model")?);
    std::fs::remove_file(folder.join("bank.vectors")).or_else(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })?;
    let model = Kinglet::builder().build()?.open(&folder)?;
    let vectors =
        model.bank_vectors(&CancelHandle::default())?.ok_or("the model has no bank, or no `reply_bank` in kinglet.json")?;
    std::fs::write(folder.join("bank.vectors"), &vectors)?;
    Ok(())
}
