//! Memory released under memory pressure: resident bytes of the process at each stage.
//!
//! ```sh
//! cargo run --release -p kinglet --example pressure -- models/goldcrest
//! ```

use kinglet::{CancelHandle, ContinuationOptions, Kinglet, MemoryPressure, Model, ProcessMemory};
use std::time::Instant;

fn main() -> Result<(), kinglet::Error> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "goldcrest".into());
    let model = Kinglet::builder().build()?.open(folder)?;
    told("opened");
    answer(&model)?;
    told("after an answer");
    for pressure in [MemoryPressure::Moderate, MemoryPressure::Critical] {
        model.memory_pressure(pressure);
        told(&format!("{pressure:?}"));
        let began = Instant::now();
        answer(&model)?;
        told(&format!("after an answer, {:.0} ms", began.elapsed().as_secs_f64() * 1e3));
    }
    Ok(())
}

/// Eight tokens after a prompt of 256.
fn answer(model: &Model) -> Result<(), kinglet::Error> {
    let prompt: Vec<u32> = (0..256).map(|token| token % 200 + 3).collect();
    let options = ContinuationOptions { count: 1, max_new_tokens: 8, ..ContinuationOptions::default() };
    model.continuations(prompt, &options, &CancelHandle::default())?;
    Ok(())
}

#[allow(clippy::print_stdout)] // its output is what it is for
fn told(when: &str) {
    let resident = ProcessMemory::look().map_or(0, |memory| memory.resident.0);
    println!("{:8.1} MB  {when}", resident as f64 / 1e6);
}
