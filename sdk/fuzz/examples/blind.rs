//! Random bytes for one target, or for all, on the ordinary toolchain: quick, and blind to what they reach.
//!
//!     cargo run -p kinglet-fuzz --example blind -- 60 graph
//!
//! Each input that ends in a panic is written to the folder `finds`, and the work goes on.

use kinglet_fuzz::{TARGETS, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The bytes of one input: a generator of 64 bits, seeded by its number.
fn input(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let length = next() % 48;
    (0..length).map(|_| (next() >> 32) as u8).collect()
}

#[allow(clippy::print_stdout, reason = "what it finds is what it is for")]
fn run(target: &Target, time: Duration) -> std::io::Result<()> {
    let (began, mut number, mut finds) = (Instant::now(), 0, 0);
    while began.elapsed() < time {
        number += 1;
        let bytes = input(number);
        let started = Instant::now();
        let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes)));
        if ended.is_err() || started.elapsed() > Duration::from_secs(5) {
            finds += 1;
            std::fs::create_dir_all("finds")?;
            std::fs::write(format!("finds/{}-{number}", target.name), &bytes)?;
            println!("{} input {number}: {}", target.name, if ended.is_err() { "a panic" } else { "slow" });
        }
    }
    println!("{}: {number} inputs, {finds} finds", target.name);
    Ok(())
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(10);
    let names: Vec<String> = arguments.collect();
    TARGETS
        .iter()
        .filter(|target| names.is_empty() || names.iter().any(|name| name == target.name))
        .try_for_each(|target| run(target, Duration::from_secs(seconds)))
}
