//! Instructions for each multiply-add, counted by the emulator.
//!
//! The example `instruction_counts` of kinglet-kernels announces each product on stdout and computes it. The emulator is told to
//! translate one instruction at a time and to log each one that it executes, and the system calls: a `write` in the log is where the
//! next product begins. The products come in two sizes, and what counts is the difference, so that everything which does not grow
//! with the weights (rounding the activations, handing out work, writing the line) is out of it.

use super::toolchain::Toolchain;
use crate::process::{read, stream};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

/// Input features of the products, as in the example.
const K: u64 = 1024;

/// Prints the table.
pub(super) fn table(toolchain: &Toolchain) -> Result<(), String> {
    let build = ["build", "--release", "--package", "kinglet-kernels", "--example", "instruction_counts"];
    stream(&mut toolchain.cargo(&build, "max"))?;
    let example = toolchain.example("instruction_counts");
    let products = read(toolchain.emulator().arg(&example))?;
    let mut emulator = toolchain.emulator();
    emulator.args(["-one-insn-per-tb", "-d", "exec,nochain,strace"]).arg(&example);
    let failed = |error: std::io::Error| format!("the emulator could not be read: {error}");
    let mut child = emulator.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let log = child.stderr.take().ok_or("the emulator has no log")?;
    let sections = sections(log).map_err(failed)?;
    child.wait().map_err(failed)?;
    println!("\n{}", render(&rows(&products, &sections)?));
    Ok(())
}

/// How many instructions were executed after each write to stdout.
fn sections(log: impl Read) -> std::io::Result<Vec<u64>> {
    let mut sections = vec![];
    let mut line = vec![];
    let mut log = BufReader::with_capacity(1 << 20, log);
    while log.read_until(b'\n', &mut line)? > 0 {
        if line.starts_with(b"Trace ") {
            if let Some(count) = sections.last_mut() {
                *count += 1;
            }
        } else if line.windows(8).any(|part| part == b"write(1,") {
            sections.push(0);
        }
        line.clear();
    }
    Ok(sections)
}

/// One line of the table.
#[derive(Debug, PartialEq)]
struct Row {
    isa: String,
    /// `in-place` or `tiles`.
    storage: String,
    bits: u64,
    m: u64,
    /// Instructions for each multiply-add.
    instructions: f64,
}

/// Each two products that differ in n alone, as the example printed them, become a row.
fn rows(products: &str, sections: &[u64]) -> Result<Vec<Row>, String> {
    let strange = || "the example and its log do not fit together".to_owned();
    let lines: Vec<&str> = products.lines().collect();
    if sections.len() != lines.len() || !lines.len().is_multiple_of(4) {
        return Err(strange());
    }
    // Every other line is `done`: the section after it prepares the next product.
    let products: Vec<&str> = lines.into_iter().step_by(2).collect();
    let sections: Vec<u64> = sections.iter().copied().step_by(2).collect();
    let row = |(products, counts): (&[&str], &[u64])| {
        let [small, large] = [products[0], products[1]].map(|line| line.split(' ').collect::<Vec<_>>());
        let ([isa, storage, bits, m, n], [.., more]) = (small.try_into().ok()?, <[&str; 5]>::try_from(large).ok()?);
        let [bits, m, n, more] = [bits, m, n, more].map(|number| number.parse::<u64>().ok());
        let multiply_adds = m? * more?.checked_sub(n?)? * K;
        let instructions = counts[1].checked_sub(counts[0])? as f64 / multiply_adds as f64;
        Some(Row { isa: isa.to_owned(), storage: storage.to_owned(), bits: bits?, m: m?, instructions })
    };
    products.chunks(2).zip(sections.chunks(2)).map(|pair| row(pair).ok_or_else(strange)).collect()
}

/// A table in Markdown: a line for each instruction set and storage of weights, a column for each number of rows.
fn render(rows: &[Row]) -> String {
    let mut rows_of_x: Vec<u64> = rows.iter().map(|row| row.m).collect();
    rows_of_x.sort_unstable();
    rows_of_x.dedup();
    let mut text = "| instruction set | weights |".to_owned();
    rows_of_x.iter().for_each(|m| text += &format!(" m = {m} |"));
    text += &format!("\n|---|---|{}\n", "---:|".repeat(rows_of_x.len()));
    for line in rows.chunk_by(|a, b| (&a.isa, &a.storage, a.bits) == (&b.isa, &b.storage, b.bits)) {
        text += &format!("| {} | int{}, {} |", line[0].isa, line[0].bits, line[0].storage);
        line.iter().for_each(|row| text += &format!(" {:.3} |", row.instructions));
        text += "\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRODUCTS: &str =
        "neon tiles 4 1 64\ndone\nneon tiles 4 1 128\ndone\nneon tiles 4 16 64\ndone\nneon tiles 4 16 128\ndone\n";

    #[test]
    fn instructions_after_a_write_are_those_of_the_product() {
        let log = "Trace 0: 0x7f [0/400/0/0] main\nTrace 0: 0x7f [0/404/0/0] main\n12 write(1,0x10,5) = 5\nTrace 0: 0x7f\n\
            12 write(2,0x10,5) = 5\nTrace 0: 0x80\n12 write(1,0x10,4) = 4\nTrace 0: 0x7f\n";
        assert_eq!(sections(log.as_bytes()).unwrap(), [2, 1]);
    }

    #[test]
    fn two_sizes_make_a_row() {
        let sections = [100, 9, 100 + 64 * 1024, 8, 500, 7, 500 + 4 * 64 * 1024, 6];
        let rows = rows(PRODUCTS, &sections).unwrap();
        let row = |m, instructions| Row { isa: "neon".to_owned(), storage: "tiles".to_owned(), bits: 4, m, instructions };
        assert_eq!(rows, [row(1, 1.), row(16, 0.25)]);
        let table =
            "| instruction set | weights | m = 1 | m = 16 |\n|---|---|---:|---:|\n| neon | int4, tiles | 1.000 | 0.250 |\n";
        assert_eq!(render(&rows), table);
    }

    #[test]
    fn a_log_of_something_else_is_refused() {
        assert!(rows(PRODUCTS, &[1, 2, 3, 4]).is_err());
        assert!(rows(PRODUCTS, &[2, 0, 1, 0, 3, 0, 4, 0]).is_err());
        assert!(rows("neon 4 1 64\ndone\nneon 4 1 128\ndone\n", &[1, 2, 3, 4]).is_err());
    }
}
