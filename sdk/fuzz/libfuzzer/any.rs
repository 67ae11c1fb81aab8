//! One program for all targets, so that it is linked once: `KINGLET_FUZZ_TARGET` names the one to run.
#![no_main]

use kinglet_fuzz::{Target, target};
use std::sync::LazyLock;

static TARGET: LazyLock<&'static Target> =
    LazyLock::new(|| target(&std::env::var("KINGLET_FUZZ_TARGET").expect("KINGLET_FUZZ_TARGET names no target")));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
