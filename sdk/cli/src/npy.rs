//! The file format of NumPy arrays, version 1.0: a header of Python literals, then the elements.
//! See <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>.

use std::io::{self, Write};

/// Elements begin at a multiple of this.
const ALIGNMENT: usize = 64;
/// The magic text, two bytes of version and two of the header's length.
const BEFORE_HEADER: usize = 10;

/// Writes `values`, `[rows, columns]`, as float32.
pub(crate) fn write(out: &mut impl Write, [rows, columns]: [usize; 2], values: &[f32]) -> io::Result<()> {
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {columns}), }}");
    let length = (BEFORE_HEADER + header.len() + 1).next_multiple_of(ALIGNMENT) - BEFORE_HEADER;
    header.push_str(&" ".repeat(length - 1 - header.len()));
    header.push('\n');
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&(length as u16).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for piece in values.chunks(1 << 14) {
        let bytes: Vec<u8> = piece.iter().flat_map(|value| value.to_le_bytes()).collect();
        out.write_all(&bytes)?;
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `numpy.save` of NumPy 2.3 writes `numpy.array([[1.0, -2.5]], dtype='<f4')`.
    #[test]
    fn the_bytes_are_those_of_numpy() {
        let mut expected = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }".to_vec();
        expected.resize(127, b' ');
        expected.push(b'\n');
        expected.extend([0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0]);
        let mut written = Vec::new();
        write(&mut written, [1, 2], &[1.0, -2.5]).unwrap();
        assert_eq!(written, expected);
    }
}
