//! `cargo xtask hammer`: the facade's `tests/hammer.rs` under ThreadSanitizer.

use crate::process::{cargo, stream};
use crate::report::Report;
use crate::tool::{self, NIGHTLY};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// How long it goes on
    #[arg(long, default_value_t = 10)]
    minutes: u64,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    let Some(cache) = kinglet_testing::cache_folder() else {
        return report.skip("hammer", "no home folder is known; set HOME");
    };
    if let Err(why) = tool::nightly() {
        return report.skip("hammer", &why);
    }
    if let Err(why) = tool::sources() {
        return report.skip("hammer", &why);
    }
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut test = cargo(&["test", "-Zbuild-std", "--package", "kinglet", "--test", "hammer", "--target", &target]);
    test.args(["--target-dir"]).arg(cache.join("hammer")).args(["--", "--nocapture"]);
    // The standard library is built with the rest: the sanitizer does not see what the locks of the toolchain's own one order.
    test.env("RUSTFLAGS", "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer").env_remove("CARGO");
    test.env("RUSTUP_TOOLCHAIN", NIGHTLY).env("KINGLET_HAMMER_SECONDS", (arguments.minutes * 60).to_string());
    report.check("hammer", stream(&mut test));
}
