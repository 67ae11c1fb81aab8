//! A number of bytes, as people write it.

use std::fmt;
use std::str::FromStr;

/// A number of bytes.
///
/// ```
/// use kinglet::Bytes;
/// assert_eq!(Bytes::mib(2), Bytes(2 * 1024 * 1024));
/// assert_eq!("600MB".parse(), Ok(Bytes(600_000_000)));
/// assert_eq!("1.5 GiB".parse(), Ok(Bytes(1536 * 1024 * 1024)));
/// assert_eq!(Bytes(4_441_088).to_string(), "4.4 MB");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many units of 1,048,576 bytes; the largest number there is where they are more than fit.
    pub const fn mib(count: u64) -> Bytes {
        Bytes(count.saturating_mul(1 << 20))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0 as f64;
        match self.0 {
            0..1_000 => write!(f, "{} bytes", self.0),
            1_000..1_000_000 => write!(f, "{:.1} kB", bytes / 1e3),
            1_000_000..1_000_000_000 => write!(f, "{:.1} MB", bytes / 1e6),
            _ => write!(f, "{:.2} GB", bytes / 1e9),
        }
    }
}

/// A text that is no number of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size; write a number with B, kB, MB, GB, KiB, MiB or GiB, such as 600MB")]
pub struct BytesError(String);

/// Units and their factors, as they are written in lower case. A letter alone counts in 1,024s.
const UNITS: [(&str, f64); 11] = [
    ("", 1.0),
    ("b", 1.0),
    ("kb", 1e3),
    ("mb", 1e6),
    ("gb", 1e9),
    ("k", 1024.0),
    ("kib", 1024.0),
    ("m", 1_048_576.0),
    ("mib", 1_048_576.0),
    ("g", 1_073_741_824.0),
    ("gib", 1_073_741_824.0),
];

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Bytes, BytesError> {
        let error = || BytesError(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(digits);
        let unit = unit.trim_start().to_ascii_lowercase();
        let number: f64 = number.parse().map_err(|_| error())?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(error)?;
        let bytes = number * factor;
        if bytes.is_finite() && bytes < u64::MAX as f64 { Ok(Bytes(bytes as u64)) } else { Err(error()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        struct Case(&'static str, Option<u64>);
        for Case(text, bytes) in [
            Case("0", Some(0)),
            Case("600", Some(600)),
            Case("600B", Some(600)),
            Case("2k", Some(2048)),
            Case("2 kB", Some(2000)),
            Case("600MB", Some(600_000_000)),
            Case(" 600 MiB ", Some(600 << 20)),
            Case("0.5g", Some(1 << 29)),
            Case("", None),
            Case("MB", None),
            Case("-1MB", None),
            Case("1.2.3MB", None),
            Case("1e9", None),
            Case("600XB", None),
            Case("99999999999999999999999GB", None),
        ] {
            assert_eq!(text.parse().ok(), bytes.map(Bytes), "{text:?}");
        }
    }

    #[test]
    fn sizes_as_people_read_them() {
        for (bytes, text) in
            [(0, "0 bytes"), (999, "999 bytes"), (1_500, "1.5 kB"), (37_040_000, "37.0 MB"), (2_500_000_000, "2.50 GB")]
        {
            assert_eq!(Bytes(bytes).to_string(), text);
        }
    }
}
