//! The charts, a figure each.

use super::chart::{Chart, Line};
use super::{Figures, SHAPE};
use std::path::Path;

/// Draws all charts into a folder.
///
/// # Errors
/// A sentence where a figure is missing or a file cannot be written.
pub(super) fn draw(figures: &Figures, folder: &Path) -> Result<(), String> {
    let charts = [
        ("context", context(figures)),
        ("size", size(figures)),
        ("candidates", candidates(figures)),
        ("threads", threads(figures)),
        ("memory-context", memory_of_context(figures)),
        ("memory-size", memory_of_size(figures)),
    ];
    charts.iter().try_for_each(|(name, chart)| chart.draw(&folder.join(name).with_extension("svg")))
}

fn line(name: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Line {
    Line { name: name.into(), points: points.into_iter().collect(), predicted: false }
}

fn predicted(points: impl IntoIterator<Item = (f64, f64)>) -> Line {
    Line { predicted: true, ..line("predicted by kinglet inspect", points) }
}

fn counted(count: usize) -> String {
    if count == 1 { "1 thread".into() } else { format!("{count} threads") }
}

fn context(figures: &Figures) -> Chart {
    let of_threads = |c: &super::Contexts| line(counted(c.threads), c.rows.iter().map(|row| (f64::from(row.tokens), row.decode)));
    Chart {
        title: format!("Decoding, {SHAPE} int4"),
        x: "tokens before the answer",
        y: "tokens a second",
        doubling: false,
        lines: figures.contexts.iter().map(of_threads).collect(),
    }
}

fn size(figures: &Figures) -> Chart {
    let points = |rate: fn(&super::Size) -> f64| figures.sizes.iter().map(move |size| (size.parameters as f64 / 1e9, rate(size)));
    Chart {
        title: "Models of different sizes, int4, after 1,024 tokens".into(),
        x: "billions of parameters",
        y: "tokens a second",
        doubling: true,
        lines: vec![line("reading the prompt", points(|size| size.prefill)), line("decoding", points(|size| size.decode))],
    }
}

fn candidates(figures: &Figures) -> Chart {
    Chart {
        title: format!("Answers of 16 tokens to one prompt at once, {SHAPE} int4"),
        x: "answers at once",
        y: "tokens a second, all together",
        doubling: false,
        lines: vec![line("answers", figures.candidates.iter().map(|row| (f64::from(row.candidates), row.rate)))],
    }
}

fn threads(figures: &Figures) -> Chart {
    let first = |c: &super::Contexts, rate: fn(&super::Context) -> f64| c.rows.first().map_or(0.0, rate);
    let speedup = |rate: fn(&super::Context) -> f64| {
        let alone = figures.contexts.first().map_or(1.0, |c| first(c, rate));
        figures.contexts.iter().map(move |c| (c.threads as f64, first(c, rate) / alone))
    };
    Chart {
        title: format!("Threads, {SHAPE} int4, after 128 tokens"),
        x: "threads",
        y: "times the speed of one thread",
        doubling: false,
        lines: vec![line("reading the prompt", speedup(|row| row.prefill)), line("decoding", speedup(|row| row.decode))],
    }
}

fn memory_of_context(figures: &Figures) -> Chart {
    let points = |megabytes: fn(&super::MemoryOf) -> f64| figures.memory.iter().map(move |m| (f64::from(m.tokens), megabytes(m)));
    Chart {
        title: format!("Memory of one conversation, {SHAPE} int4"),
        x: "tokens before the answer",
        y: "MB resident at most",
        doubling: false,
        lines: vec![line("taken", points(|m| m.rss_peak_mb)), predicted(points(|m| m.rss_predicted_mb))],
    }
}

fn memory_of_size(figures: &Figures) -> Chart {
    let points =
        |megabytes: fn(&super::Size) -> f64| figures.sizes.iter().map(move |s| (s.parameters as f64 / 1e9, megabytes(s)));
    Chart {
        title: "Memory of models of different sizes, int4, with 1,024 tokens".into(),
        x: "billions of parameters",
        y: "MB resident at most",
        doubling: true,
        lines: vec![line("taken", points(|s| s.rss_peak_mb)), predicted(points(|s| s.rss_predicted_mb))],
    }
}
