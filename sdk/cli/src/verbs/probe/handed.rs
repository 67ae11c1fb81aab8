//! The file in which a process of a probe hands its result to the one that began it: a line of JSON, and behind it the logits,
//! float32, little-endian, `[positions, vocabulary]`.

use kinglet::Logits;
use kinglet::probe::{Measured, Setback};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::time::Duration;

/// The line of JSON is shorter.
const LINE_BYTES: u64 = 1 << 16;

/// The line of JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Measured { open_s: f64, prefill: f64, decode: f64, positions: usize, vocabulary: usize },
    Refused(String),
    Failed(String),
}

/// Writes the result of a candidate.
///
/// # Errors
/// Errors of the operating system.
pub(crate) fn write(file: &Path, came: &Result<Measured, Setback>) -> io::Result<()> {
    let (line, values) = match came {
        Ok(measured) => {
            let Measured { open, prefill_tokens_per_second, decode_tokens_per_second, logits } = measured;
            let line = Line::Measured {
                open_s: open.as_secs_f64(),
                prefill: *prefill_tokens_per_second,
                decode: *decode_tokens_per_second,
                positions: logits.positions,
                vocabulary: logits.vocabulary,
            };
            (line, &logits.values[..])
        }
        Err(Setback::Refused(reason)) => (Line::Refused(reason.clone()), &[][..]),
        Err(Setback::Failed(reason)) => (Line::Failed(reason.clone()), &[][..]),
        Err(other) => (Line::Failed(format!("{other:?}")), &[][..]),
    };
    let mut out = BufWriter::new(File::create(file)?);
    serde_json::to_writer(&mut out, &line)?;
    out.write_all(b"\n")?;
    values.iter().try_for_each(|value| out.write_all(&value.to_le_bytes()))?;
    out.flush()
}

/// Reads what [`write()`] wrote.
///
/// # Errors
/// Errors of the operating system; for any other content [`io::ErrorKind::InvalidData`], or [`io::ErrorKind::UnexpectedEof`] where
/// the JSON ends too early.
pub(crate) fn read(file: &Path) -> io::Result<Result<Measured, Setback>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut source = BufReader::new(File::open(file)?);
    let mut line = vec![];
    source.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
    let (open_s, prefill_tokens_per_second, decode_tokens_per_second, positions, vocabulary) =
        match serde_json::from_slice(&line)? {
            Line::Measured { open_s, prefill, decode, positions, vocabulary } => (open_s, prefill, decode, positions, vocabulary),
            Line::Refused(reason) => return Ok(Err(Setback::Refused(reason))),
            Line::Failed(reason) => return Ok(Err(Setback::Failed(reason))),
        };
    let mut bytes = vec![];
    source.read_to_end(&mut bytes)?;
    let (chunks, rest) = bytes.as_chunks::<4>();
    let values: Vec<f32> = chunks.iter().map(|chunk| f32::from_le_bytes(*chunk)).collect();
    if !rest.is_empty() || positions.checked_mul(vocabulary) != Some(values.len()) {
        return Err(invalid("the logits are not as many as their shape says"));
    }
    let open = Duration::try_from_secs_f64(open_s).map_err(|_| invalid("a time is none"))?;
    let logits = Logits { positions, vocabulary, values };
    Ok(Ok(Measured { open, prefill_tokens_per_second, decode_tokens_per_second, logits }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let logits = Logits { positions: 2, vocabulary: 3, values: vec![1.5, -2.0, f32::NEG_INFINITY, 0.0, 1e-9, 3.0] };
        let open = Duration::from_millis(1500);
        Measured { open, prefill_tokens_per_second: 321.5, decode_tokens_per_second: 12.25, logits }
    }

    #[test]
    fn what_is_handed_over_is_what_arrives() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("measured");
        for came in [Ok(measured()), Err(Setback::Refused("no\n \"wren\"".into())), Err(Setback::Failed("odd".into()))] {
            write(&file, &came).unwrap();
            assert_eq!(read(&file).unwrap(), came);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("measured");
        assert!(read(&file).is_err());
        write(&file, &Ok(measured())).unwrap();
        let whole = std::fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&whole).into_owned();
        for damaged in [
            vec![],
            whole[..whole.len() - 1].to_vec(),
            whole[..whole.len() - 4].to_vec(),
            whole[..20].to_vec(),
            b"{}\n".to_vec(),
            text.replace("1.5,", "-1.5,").into_bytes(),
            text.replace("\"positions\":2", "\"positions\":18446744073709551615").into_bytes(),
            vec![b'{'; 1 << 17],
        ] {
            std::fs::write(&file, &damaged).unwrap();
            assert!(read(&file).is_err(), "{:?}", String::from_utf8_lossy(&damaged[..damaged.len().min(40)]));
        }
    }
}
