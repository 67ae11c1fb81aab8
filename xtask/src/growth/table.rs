//! The models, as a table.

use super::{Figures, SIZE_CONTEXT};
use std::fmt::Write;

/// A Markdown page with a row for each model.
pub(super) fn of(figures: &Figures) -> String {
    let machine = &figures.machine;
    let (cpu, cores) = (machine["cpu"].as_str().unwrap_or("unknown"), machine["cores"].as_u64().unwrap_or(0));
    let mut page = format!(
        "# Models of published shapes\n\nMade by `cargo xtask growth`: random weights of 4 bits, {cores} cores of {cpu}, {}, after a \
         prompt of {SIZE_CONTEXT} tokens; memory with one conversation of that length.\n\n\
         | shape | parameters, billions | reading, tokens a second | decoding, tokens a second | MB resident at most | MB predicted | off |\n\
         |---|---|---|---|---|---|---|\n",
        figures.date
    );
    for size in &figures.sizes {
        let off = (size.rss_predicted_mb / size.rss_peak_mb - 1.0) * 100.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            page,
            "| {} | {:.2} | {:.1} | {:.2} | {:.0} | {:.0} | {off:+.1} % |",
            size.shape,
            size.parameters as f64 / 1e9,
            size.prefill,
            size.decode,
            size.rss_peak_mb,
            size.rss_predicted_mb
        );
    }
    page
}
