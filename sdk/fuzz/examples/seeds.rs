//! Writes the seeds of all targets below a folder, one folder a target, and prints the targets' names.
//!
//!     cargo run -p kinglet-fuzz --example seeds -- FOLDER

use kinglet_fuzz::TARGETS;
use std::path::Path;

#[allow(clippy::print_stdout, reason = "the names are what the caller reads")]
fn main() -> std::io::Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| std::io::Error::other("name a folder to write to"))?;
    for target in TARGETS {
        let folder = Path::new(&folder).join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (i, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}
