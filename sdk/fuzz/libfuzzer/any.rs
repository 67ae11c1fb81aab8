//! One program for all targets, so that it is linked once: `KINGLET_FUZZ_TARGET` names the one to run.
//!
//! With `KINGLET_FUZZ_SEEDS` it runs none: it writes the seeds of all below the folder of that name, one folder a target, and prints
//! the targets' names.
#![no_main]

use kinglet_fuzz::{TARGETS, Target, target};
use std::path::Path;
use std::sync::LazyLock;

static TARGET: LazyLock<&'static Target> =
    LazyLock::new(|| target(&std::env::var("KINGLET_FUZZ_TARGET").expect("KINGLET_FUZZ_TARGET names no target")));

fn write_seeds(folder: &Path) -> std::io::Result<()> {
    for target in TARGETS {
        let folder = folder.join(target.name);
        std::fs::create_dir_all(&folder)?;
        for (i, seed) in (target.seeds)().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), seed)?;
        }
        println!("{}", target.name);
    }
    Ok(())
}

libfuzzer_sys::fuzz_target!(
    init: {
        if let Some(folder) = std::env::var_os("KINGLET_FUZZ_SEEDS") {
            write_seeds(Path::new(&folder)).expect("room for seeds");
            std::process::exit(0);
        }
    },
    |bytes: &[u8]| (TARGET.run)(bytes)
);
