//! The constants of a graph, and what their bytes are: written one after the other, never held.

use super::random::Random;
use super::{BLOCK, Rope, Stretched};
use crate::onnx::{FLOAT, Message, UINT8, external};
use std::io::{self, Write};

/// A constant.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub(super) name: String,
    pub(super) dims: Vec<usize>,
    pub(super) content: Content,
}

/// Content of a constant.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    /// float32 around `mean`, evenly spread, with a standard deviation.
    Floats { mean: f32, deviation: f32 },
    /// Two weights of 4 bits a byte, evenly spread.
    Nibbles,
    /// float32 scales with which such weights get a standard deviation. A quantiser gives the number that is largest in size the
    /// code -8, so that scales have either sign; here it also takes out that the codes' mean is half below their middle.
    Scales { deviation: f32 },
    /// float32 cosines (or sines) of position times frequency, `[positions, head_dim / 2]`.
    Angles { rope: Rope, head_dim: usize, sine: bool },
}

/// The root of the mean square of the codes 0 to 15 around 8, and that of the scales' sizes.
const CODE_DEVIATION: f32 = 4.636_809;
const SCALE_DEVIATION: f32 = 1.010_363;
/// Scales are this much larger or smaller than their middle.
const SCALE_SPREAD: f32 = 0.25;
/// Factor that gives numbers of [`Random::even`] a standard deviation of 1.
const UNIT: f32 = 1.732_050_8;

/// Bytes that are written at once.
const PIECE: usize = 1 << 16;

impl Tensor {
    pub(super) fn new(name: impl Into<String>, dims: &[usize], content: Content) -> Tensor {
        Tensor { name: name.into(), dims: dims.into(), content }
    }

    /// Bytes of the content.
    pub(super) fn bytes(&self) -> u64 {
        let element = if matches!(self.content, Content::Nibbles) { 1 } else { 4 };
        self.dims.iter().product::<usize>() as u64 * element
    }

    /// The `TensorProto` that says that the content is at `offset` in the file `location`.
    pub(super) fn proto(&self, location: &str, offset: u64) -> Message {
        let data_type = if matches!(self.content, Content::Nibbles) { UINT8 } else { FLOAT };
        let dims: Vec<i64> = self.dims.iter().map(|dim| *dim as i64).collect();
        let (offset, length) = (offset.to_string(), self.bytes().to_string());
        external(&self.name, data_type, &dims, &[("location", location), ("offset", &offset), ("length", &length)])
    }

    /// Writes the content.
    ///
    /// # Errors
    /// Those of `out`.
    pub(super) fn write(&self, seed: u64, out: &mut impl Write) -> io::Result<()> {
        let mut random = Random::of(seed, &self.name);
        let numbers = self.dims.iter().product();
        match self.content {
            Content::Nibbles => {
                chunks(numbers, 8, out, |_, chunk| chunk.copy_from_slice(&random.bits().to_le_bytes()[..chunk.len()]))
            }
            Content::Floats { mean, deviation } => floats(numbers, out, |_| mean + random.even() * UNIT * deviation),
            Content::Scales { deviation } => {
                let middle = deviation / (CODE_DEVIATION * SCALE_DEVIATION);
                floats(numbers, out, |_| {
                    let sign = if random.bits() & 1 == 0 { middle } else { -middle };
                    sign * (1.0 + SCALE_SPREAD * random.even())
                })
            }
            Content::Angles { rope, head_dim, sine } => {
                let frequencies = frequencies(rope, head_dim);
                floats(numbers, out, |index| {
                    // As the builder: the angle is a float32 product of float32 numbers.
                    let angle = (index / frequencies.len()) as f32 * frequencies[index % frequencies.len()];
                    if sine { f64::from(angle).sin() as f32 } else { f64::from(angle).cos() as f32 }
                })
            }
        }
    }
}

/// The frequencies of the pairs of a head, `[head_dim / 2]`.
fn frequencies(rope: Rope, head_dim: usize) -> Vec<f32> {
    let plain = (0..head_dim / 2).map(|pair| rope.theta.powf(-((2 * pair) as f64) / head_dim as f64));
    plain.map(|frequency| rope.stretched.map_or(frequency, |rule| rule.applied(frequency)) as f32).collect()
}

impl Stretched {
    fn applied(self, frequency: f64) -> f64 {
        let turns = self.context as f64 * frequency / std::f64::consts::TAU;
        let share = ((turns - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        frequency * (share + (1.0 - share) / self.factor)
    }
}

fn floats(count: usize, out: &mut impl Write, mut number: impl FnMut(usize) -> f32) -> io::Result<()> {
    chunks(count * 4, 4, out, |index, chunk| chunk.copy_from_slice(&number(index).to_le_bytes()))
}

/// Writes `bytes` bytes, a piece at a time, of which `fill` makes chunk after chunk of `size` and is told their numbers.
fn chunks(bytes: usize, size: usize, out: &mut impl Write, mut fill: impl FnMut(usize, &mut [u8])) -> io::Result<()> {
    let mut piece = [0; PIECE];
    for start in (0..bytes).step_by(PIECE) {
        let piece = &mut piece[..(bytes - start).min(PIECE)];
        piece.chunks_mut(size).enumerate().for_each(|(index, chunk)| fill(start / size + index, chunk));
        out.write_all(piece)?;
    }
    Ok(())
}

/// The two constants of a `MatMulNBits` of `n` outputs and `k` inputs whose outputs are `gain` times as large as its inputs.
pub(super) fn quantised(name: &str, n: usize, k: usize, gain: f32) -> [Tensor; 2] {
    let blocks = k / BLOCK;
    let deviation = gain / (k as f32).sqrt();
    [
        Tensor::new(format!("{name}_Q4"), &[n, blocks, BLOCK / 2], Content::Nibbles),
        Tensor::new(format!("{name}_scales"), &[n, blocks], Content::Scales { deviation }),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tensor: &Tensor) -> Vec<u8> {
        let mut bytes = vec![];
        tensor.write(3, &mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, tensor.bytes());
        bytes
    }

    fn read(tensor: &Tensor) -> Vec<f32> {
        written(tensor).as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }

    #[test]
    fn a_product_keeps_the_size_of_what_it_multiplies() {
        for (n, k, gain) in [(512, 128, 1.0), (64, 8192, 0.25)] {
            let [packed, scales] = quantised("w", n, k, gain);
            let (codes, scales) = (written(&packed), read(&scales));
            let weight = |i: usize| {
                let code = codes[i / 2] >> (i % 2 * 4) & 15;
                (f32::from(code) - 8.0) * scales[i / BLOCK]
            };
            let (sum, squares) = (0..n * k)
                .map(weight)
                .fold((0.0f64, 0.0f64), |(sum, squares), w| (sum + f64::from(w), squares + f64::from(w) * f64::from(w)));
            let (mean, square) = (sum / (n * k) as f64, squares / (n * k) as f64);
            assert!((square * k as f64 / f64::from(gain * gain) - 1.0).abs() < 0.02, "{square}");
            assert!(mean.abs() < 0.01 * square.sqrt() * 4.0, "{mean} beside {}", square.sqrt());
        }
    }

    #[test]
    fn angles_turn_with_positions() {
        let rope = Rope { theta: 1e4, stretched: None };
        let table = |sine| read(&Tensor::new("t", &[40, 4], Content::Angles { rope, head_dim: 8, sine }));
        let (cos, sin) = (table(false), table(true));
        assert_eq!((cos[0], sin[0]), (1.0, 0.0));
        // Position 30 of the pair with frequency 10,000^(-2/8) = 0.1.
        assert!((cos[30 * 4 + 1] - 3.0f32.cos()).abs() < 1e-6 && (sin[30 * 4 + 1] - 3.0f32.sin()).abs() < 1e-6);
    }

    /// Values of transformers' `llama3` rule for the 64 numbers of a head of Llama 3.2 1B.
    #[test]
    fn stretched_frequencies_are_those_of_transformers() {
        let rule = Stretched { factor: 32.0, low: 1.0, high: 4.0, context: 8192 };
        let got = frequencies(Rope { theta: 5e5, stretched: Some(rule) }, 64);
        for (pair, want) in STRETCHED {
            assert!((got[pair] / want - 1.0).abs() < 1e-5, "{pair}: {} instead of {want}", got[pair]);
        }
    }

    const STRETCHED: [(usize, f32); 7] = [
        (0, 1.0),
        (10, 0.016_560_44),
        (15, 0.001_290_548),
        (16, 0.000_429_556_7),
        (17, 9.708_286e-5),
        (18, 1.946_163_9e-5),
        (31, 9.418_306e-8),
    ];
}
