//! Norms and activations that are taken apart, held against their formulas.

use super::contract::{Length, Random};
use super::formula::{activated, rms_norm};
use super::rows::Form;
use super::{NormClaim, Proven, Prover, differs, shape_key};
use crate::recognise::Recogniser;
use crate::source::unsupported;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::GateActivation;
use kinglet_reference::{Data, Tensor};
use std::collections::HashMap;

/// The length for which computations that depend on no position are evaluated.
const LENGTH: Length = Length { rows: 3, past: 2 };

/// The part of the largest value by which both sides may differ, for their rounding.
pub(super) const TOLERANCE: f32 = 2e-3;

/// The part of each element, and of 1, by which both sides may differ where an element depends on few others: constants that were
/// rounded to 16 bits are within it, a term too many in a polynomial is not.
const TOLERANCE_EACH: f32 = 3e-4;

/// Factor on one row of a norm's input.
const LARGE: f32 = 300.0;

/// Rows of another operator that a piece reads.
struct Rows<'g> {
    value: &'g str,
    form: Form,
    width: usize,
    /// `[rows, width]`
    numbers: Vec<f32>,
}

/// Columns of rows that are taken element by element.
const NARROW: usize = 256;

/// Numbers on both sides of 0, near together where curves bend, and a few far out where only their ends show.
fn bends() -> Vec<f32> {
    let count = LENGTH.rows * NARROW;
    let far = [20.0, 33.3, 100.0, 1000.0].map(|x: f32| [x, -x]);
    let far: Vec<f32> = far.concat();
    let near = count - far.len();
    (0..near).map(|i| 32.0 * i as f32 / (near - 1) as f32 - 16.0).chain(far).collect()
}

impl<'g> Rows<'g> {
    /// Rows for what works on each element by itself: `numbers` is `[rows, NARROW]`.
    fn narrow(value: &'g str, numbers: Vec<f32>) -> Self {
        Self { value, form: Form::Batched, width: NARROW, numbers }
    }
}

impl<'s, 'g> Prover<'s, 'g> {
    pub(super) fn norm(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        input: &'g str,
        claim: NormClaim<'g>,
    ) -> Result<Form, EngineError> {
        let node = self.node_of(value)?;
        let weight = self.weight(recogniser, claim, node)?;
        let mut rows = self.rows(recogniser, input, node)?;
        let Data::Float(weights) = &weight.data else { return Err(unsupported(node, "its weight holds no numbers")) };
        if weights.len() != rows.width || rows.width == 0 {
            return Err(unsupported(node, format!("a weight of {} elements on {} columns", weights.len(), rows.width)));
        }
        // One row is so small that where epsilon is added shows, and one so large that a limit on squares does.
        rows.numbers[..rows.width].iter_mut().for_each(|x| *x *= claim.eps.sqrt());
        rows.numbers[rows.width..2 * rows.width].iter_mut().for_each(|x| *x *= LARGE);
        let expected: Vec<f32> = rows.numbers.chunks_exact(rows.width).flat_map(|x| rms_norm(x, weights, claim.eps)).collect();
        let given = HashMap::from([(claim.weight, weight.clone())]);
        let key = [10, claim.eps.to_bits(), rows.width as u32];
        self.judge(recogniser, value, &[&rows], &given, &expected, &key)
    }

    pub(super) fn centred(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        input: &'g str,
    ) -> Result<Form, EngineError> {
        let node = self.node_of(value)?;
        let mut rows = self.rows(recogniser, input, node)?;
        rows.numbers.iter_mut().for_each(|x| *x += 1.0);
        let less = |x: &[f32]| -> Vec<f32> {
            let mean = x.iter().sum::<f32>() / x.len() as f32;
            x.iter().map(|x| x - mean).collect()
        };
        let expected: Vec<f32> = rows.numbers.chunks_exact(rows.width.max(1)).flat_map(less).collect();
        self.judge(recogniser, value, &[&rows], &HashMap::new(), &expected, &[15, rows.width as u32])
    }

    pub(super) fn activated(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        [gate, up]: [&'g str; 2],
        activation: GateActivation,
    ) -> Result<Form, EngineError> {
        let (gate, up) = (self.source.plain(gate), self.source.plain(up));
        let random = Random::new(up.len() as u64 + 11).numbers(LENGTH.rows * NARROW);
        let (gate, up) = (Rows::narrow(gate, bends()), Rows::narrow(up, random));
        let expected: Vec<f32> = gate.numbers.iter().zip(&up.numbers).map(|(g, u)| activated(activation, *g) * u).collect();
        let key = [11, activation as u32];
        self.judge(recogniser, value, &[&gate, &up], &HashMap::new(), &expected, &key)
    }

    pub(super) fn capped(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        input: &'g str,
        cap: f32,
    ) -> Result<Form, EngineError> {
        // Element by element, so that any shape serves; what makes the logits is no value with a row for each token.
        let rows = Rows::narrow(self.source.plain(input), bends().into_iter().map(|x| x * cap / 4.0).collect());
        let expected: Vec<f32> = rows.numbers.iter().map(|x| cap * (x / cap).tanh()).collect();
        self.judge(recogniser, value, &[&rows], &HashMap::new(), &expected, &[12, cap.to_bits()])
    }

    fn node_of(&self, value: &'g str) -> Result<&'g Node, EngineError> {
        let refuse = || EngineError::UnsupportedGraph(format!("no node makes `{value}`"));
        self.source.maker(value).ok_or_else(refuse)
    }

    /// Random rows for a value.
    fn rows(&mut self, recogniser: &Recogniser<'s, 'g>, value: &'g str, node: &Node) -> Result<Rows<'g>, EngineError> {
        let value = self.source.plain(value);
        let form = self.form(recogniser, value)?;
        let (Some(form), Some(width)) = (form, self.width(recogniser, value)?) else {
            return Err(unsupported(node, format!("it reads `{value}`, which does not hold a row for each token")));
        };
        let seed = value.len() as u64 + 3;
        Ok(Rows { value, form, width, numbers: Random::new(seed).numbers(LENGTH.rows * width) })
    }

    /// A norm's weight as a value of its own: random numbers in its shape.
    pub(super) fn weight(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        claim: NormClaim<'g>,
        node: &Node,
    ) -> Result<Tensor, EngineError> {
        let dims = self.weight_dims(recogniser, claim, node)?;
        let count = dims.iter().product();
        Ok(Tensor::floats(dims, Random::new(5).numbers(count)))
    }

    /// The shape of a norm's weight: that of the graph's constant, or of what the graph computes from constants.
    pub(super) fn weight_dims(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        claim: NormClaim<'g>,
        node: &Node,
    ) -> Result<Vec<usize>, EngineError> {
        match self.source.constant(claim.weight) {
            Some(constant) => Ok(constant.dims.clone()),
            None => {
                let piece = self.piece(recogniser, &[claim.weight], &[], node)?;
                let made = self.evaluate(&piece, LENGTH, &HashMap::new(), &[claim.weight]);
                let made = made.map_err(|e| differs(node, format!("its weight cannot be evaluated: {e}")))?;
                let folded = self.source.floats(claim.weight).unwrap_or_default();
                match &made[0].data {
                    Data::Float(values) if close(values, &folded).is_none() => Ok(made[0].dims.clone()),
                    _ => Err(differs(node, "its weight is computed from constants in a way that is not known")),
                }
            }
        }
    }

    /// Evaluates the piece behind `value` over some rows, and compares it with what is expected, `[rows, width]`.
    fn judge(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        rows: &[&Rows<'g>],
        given: &HashMap<&'g str, Tensor>,
        expected: &[f32],
        key: &[u32],
    ) -> Result<Form, EngineError> {
        let node = self.node_of(value)?;
        let roles: Vec<&'g str> = rows.iter().map(|r| r.value).chain(given.keys().copied()).collect();
        let piece = self.piece(recogniser, &[value], &roles, node)?;
        let forms = rows.iter().map(|r| r.form.code());
        let shapes = given.values().flat_map(|given| shape_key(&given.dims));
        let key: Vec<u32> = key.iter().copied().chain(forms).chain(shapes).chain(piece.signature.iter().copied()).collect();
        let width = expected.len() / LENGTH.rows;
        if let Some(proven) = self.proven.get(&key) {
            return Ok(proven.form);
        }
        let mut tensors: HashMap<&str, Tensor> = given.iter().map(|(name, t)| (*name, t.clone())).collect();
        tensors.extend(rows.iter().map(|r| (r.value, r.form.tensor(&r.numbers, r.width, LENGTH))));
        let made = self.evaluate(&piece, LENGTH, &tensors, &[value]);
        let made = made.map_err(|e| differs(node, format!("it cannot be evaluated: {e}")))?;
        let made = &made[0];
        let Some(form) = Form::of(&made.dims, width, LENGTH) else {
            return Err(differs(node, format!("it gives the shape {:?} for {} rows of {width}", made.dims, LENGTH.rows)));
        };
        let Data::Float(values) = &made.data else { return Err(differs(node, "it gives no numbers")) };
        if let Some(at) = close_each(values, expected) {
            let (got, want) = (values.get(at).copied().unwrap_or(f32::NAN), expected.get(at).copied().unwrap_or(f32::NAN));
            return Err(differs(node, format!("it gives {got} where {want} is expected")));
        }
        self.proven.insert(key, Proven { form, window: None });
        Ok(form)
    }
}

/// The first place where two lists of numbers are not the same, but for rounding.
pub(super) fn close(got: &[f32], expected: &[f32]) -> Option<usize> {
    let largest = expected.iter().fold(0.0f32, |top, x| top.max(x.abs()));
    if got.len() != expected.len() {
        return Some(got.len().min(expected.len()));
    }
    got.iter().zip(expected).position(|(a, b)| (a - b).abs() > TOLERANCE * largest.max(1e-3) || a.is_nan() != b.is_nan())
}

/// The first place where two lists of numbers are not the same, each by itself, but for rounding.
fn close_each(got: &[f32], expected: &[f32]) -> Option<usize> {
    if got.len() != expected.len() {
        return Some(got.len().min(expected.len()));
    }
    got.iter().zip(expected).position(|(a, b)| (a - b).abs() > TOLERANCE_EACH * (1.0 + b.abs()) || a.is_nan() != b.is_nan())
}
