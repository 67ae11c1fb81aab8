//! Sessions at once: tokens a second of all together, and the share of the slowest. One that ends early asks again.
//!
//! ```sh
//! cargo run --release -p kinglet --example sessions -- models/goldcrest 64
//! ```

use kinglet::{Event, GenerationOptions, Kinglet, Model, Prompt};
use std::sync::Barrier;
use std::time::Instant;

fn main() -> Result<(), kinglet::Error> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "goldcrest".into());
    let tokens = arguments.next().and_then(|tokens| tokens.parse().ok()).unwrap_or(64);
    let model = Kinglet::builder().context(256).max_sequences(16).build()?.open(folder)?;
    answers(&model, 1, tokens)?;
    for sessions in [1, 2, 4, 8, 16] {
        let rates = answers(&model, sessions, tokens)?;
        let all: f64 = rates.iter().sum();
        let slowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
        told(&format!(
            "{sessions:2} sessions  {all:7.1} tokens/s  slowest {:3.0} % of an equal share",
            100.0 * slowest * sessions as f64 / all
        ));
    }
    Ok(())
}

/// Tokens a second of each session: from when all begin to its last token.
fn answers(model: &Model, sessions: usize, tokens: usize) -> Result<Vec<f64>, kinglet::Error> {
    let options = GenerationOptions { max_new_tokens: tokens, ..GenerationOptions::default() };
    let together = Barrier::new(sessions);
    std::thread::scope(|scope| {
        let ask = |first: usize| {
            let (options, together) = (&options, &together);
            scope.spawn(move || {
                let mut completer = model.token_completer()?;
                together.wait();
                let (began, mut made) = (Instant::now(), 0);
                while made < tokens {
                    let prompt: Vec<u32> = (0..16).map(|token| (token + 7 * first as u32 + made as u32) % 200 + 3).collect();
                    for event in completer.complete(Prompt::Tokens(prompt), options)? {
                        if let Event::Done(usage) = event? {
                            made += usage.new_tokens;
                        }
                    }
                }
                Ok(made as f64 / began.elapsed().as_secs_f64())
            })
        };
        let threads: Vec<_> = (0..sessions).map(ask).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

#[allow(clippy::print_stdout)] // its output is what it is for
fn told(line: &str) {
    println!("{line}");
}
