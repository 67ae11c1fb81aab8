//! The toolchain that xtask/arm64-toolchain.sh makes.

use crate::process::{cargo, listen, program, target_folder};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "aarch64-unknown-linux-gnu";

/// A toolchain that is complete.
#[derive(Debug)]
pub(super) struct Toolchain {
    /// Holds what the script says.
    bin: PathBuf,
    /// Where cargo builds: apart from what the usual compiler builds.
    target: PathBuf,
}

impl Toolchain {
    /// The toolchain in `folder`, made if it is not there.
    ///
    /// # Errors
    /// A sentence where it cannot be made here.
    pub(super) fn ready(folder: Option<&Path>) -> Result<Toolchain, String> {
        let folder = folder.map_or_else(default_folder, |folder| Ok(folder.to_owned()))?;
        let mut last = String::new();
        let outcome = listen(program("sh").arg("xtask/arm64-toolchain.sh").arg(&folder), |line| {
            println!("{line}");
            line.clone_into(&mut last);
        });
        outcome.map_err(|why| if last.is_empty() { why } else { last })?;
        let bin = folder.canonicalize().map_err(|error| format!("{} cannot be used: {error}", folder.display()))?.join("bin");
        Ok(Toolchain { bin, target: target_folder()?.join("arm64") })
    }

    /// A cargo command that builds for ARM, and runs what it built on an emulated `processor`. Flags come after the first argument.
    pub(super) fn cargo(&self, arguments: &[&str], processor: &str) -> Command {
        let tool = |name| self.bin.join(name);
        let mut command = cargo(&arguments[..1]);
        command.args(["--target", TARGET]).args(&arguments[1..]);
        command.env("CARGO_TARGET_DIR", &self.target).env("QEMU_CPU", processor);
        // Cargo looks for clippy in the search path, and the toolchain manager would put its own compiler in front.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(self.bin.clone()).chain(std::env::split_paths(&path));
        command.env("PATH", std::env::join_paths(path).unwrap_or_default());
        command.env("RUSTC", tool("rustc")).env("RUSTDOC", tool("rustdoc"));
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", tool("arm64-cc"));
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER", tool("arm64-run"));
        command.env("CC_aarch64_unknown_linux_gnu", tool("arm64-cc")).env("AR_aarch64_unknown_linux_gnu", tool("arm64-ar"));
        // Programs that only run here need no debug information, which takes half of the time to build.
        command.env("CARGO_PROFILE_DEV_DEBUG", "false").env("CARGO_INCREMENTAL", "0");
        command
    }

    /// Where cargo puts an example of the release profile.
    pub(super) fn example(&self, name: &str) -> PathBuf {
        self.target.join(TARGET).join("release/examples").join(name)
    }

    /// The emulator, as a processor that has every instruction.
    pub(super) fn emulator(&self) -> Command {
        let mut command = program(self.bin.join("arm64-run"));
        command.env("QEMU_CPU", "max");
        command
    }
}

fn default_folder() -> Result<PathBuf, String> {
    let cache = kinglet_testing::cache_folder().ok_or("no home folder is known; set HOME, or name a folder with --toolchain")?;
    Ok(cache.join("arm64"))
}
