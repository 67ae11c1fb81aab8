//! Attention, from its projections to its heads side by side, held against its formula.

use super::activation::close;
use super::contract::{Extent, Length, Random};
use super::formula::{Attended, Operands, Turn, attend};
use super::graph_piece::Piece;
use super::rows::Form;
use super::{AttentionClaim, NormClaim, Projections, Proven, Prover, differs, shape_key};
use crate::program::Attention;
use crate::recognise::{Recogniser, Turned, window_of};
use crate::rotary::{Angles, RotaryBuffer};
use crate::source::unsupported;
use kinglet_engine::EngineError;
use kinglet_reference::{Data, Tensor};
use std::collections::HashMap;

/// One attention with the values where its piece begins and ends.
pub(super) struct Cut<'c, 'g> {
    pub(super) claim: &'c AttentionClaim<'g>,
    /// Values that are given: projections with their forms, past, weights of norms, tables of angles.
    projections: Vec<(&'g str, Form)>,
    tables: Vec<Table<'g>>,
    /// Values that are compared: the heads, and past and step together.
    wanted: Vec<(&'g str, Made)>,
}

/// A table of cosines or sines that is given.
struct Table<'g> {
    value: &'g str,
    /// Those of the graph's table, with fewer rows.
    dims: Vec<usize>,
    /// Pairs that a row has angles for; rows twice as wide hold them twice.
    half: usize,
    is_cos: bool,
}

/// Kind of a compared value: the rows of all heads, or the cached keys or values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Rows,
    Keys,
    Values,
}

impl Made {
    /// Where an element is.
    fn place(self, at: usize, width: usize, dim: usize) -> String {
        match self {
            Made::Rows => format!("the numbers of row {}, head {},", at / width, at % width / dim),
            Made::Keys => "the keys that it keeps".into(),
            Made::Values => "the values that it keeps".into(),
        }
    }
}

/// Rows of the tables that are given in place of the graph's.
const TABLE_ROWS: usize = 160;
/// Windows up to this many positions are crossed by a whole attention, longer ones by its mask alone.
const SMALL_WINDOW: usize = 64;
/// How far scores reach that decide alone: farther than what a mask may add to a hidden one.
const STEEP: f32 = 60.0;

impl<'s, 'g> Prover<'s, 'g> {
    /// Holds the piece behind `value` against the attention that would stand for it, and gives that the window of its mask.
    pub(super) fn attention(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        claim: &AttentionClaim<'g>,
        attention: &mut Attention,
    ) -> Result<Form, EngineError> {
        let (heads, dim) = (attention.kv.kv_heads, attention.kv.head_dim);
        for present in claim.present.into_iter().flatten() {
            self.presents.insert(present, vec![Extent::Of(1), Extent::Of(heads), Extent::Total, Extent::Of(dim)]);
        }
        let cut = self.cut(recogniser, value, claim, attention)?;
        let roles: Vec<&'g str> = cut.roles();
        let outputs: Vec<&'g str> = cut.wanted.iter().map(|(name, _)| *name).collect();
        let piece = self.piece(recogniser, &outputs, &roles, claim.node)?;
        let mut key = key_of(&piece, &cut, attention);
        for norm in claim.norms.into_iter().flatten() {
            key.extend(shape_key(&self.weight_dims(recogniser, norm, claim.node)?));
        }
        if let Some(proven) = self.proven.get(&key) {
            attention.window = attention.window.or(proven.window);
            return Ok(proven.form);
        }
        for &length in &claim.lengths {
            self.length(recogniser, length, claim.node)?;
        }
        for positions in &claim.positions {
            self.positions(recogniser, positions, claim.node)?;
        }
        for turned in &claim.turned {
            self.rotation(recogniser, turned, claim.node)?;
        }
        let window = self.window(recogniser, &cut)?;
        // A window that the configuration names and the graph leaves to its runtime is no part of what the graph computes.
        let judged = Attention { window: window.or(window_of(claim.node)), ..attention.clone() };
        let mut form = Form::Batched;
        for (case, length) in lengths(judged.window).into_iter().enumerate() {
            form = self.judge_attention(recogniser, &cut, &piece, &judged, length, case)?;
        }
        attention.window = attention.window.or(window);
        self.proven.insert(key, Proven { form, window });
        Ok(form)
    }

    fn cut<'c>(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        claim: &'c AttentionClaim<'g>,
        attention: &Attention,
    ) -> Result<Cut<'c, 'g>, EngineError> {
        let mut projections = vec![];
        for projection in claim.projections.values() {
            let form = self.form(recogniser, projection)?;
            let form =
                form.ok_or_else(|| unsupported(claim.node, format!("`{projection}` does not hold a row for each token")))?;
            projections.push((projection, form));
        }
        self.check_sizes(recogniser, claim, attention)?;
        let mut tables: Vec<Table<'g>> = vec![];
        for turned in &claim.turned {
            if let Angles::Tables { stride, half, .. } = turned.rotary.angles {
                for (value, is_cos) in [(turned.cos, true), (turned.sin, false)] {
                    let mut dims = self.source.constant(value).map_or_else(|| vec![0, stride], |t| t.dims.clone());
                    if dims.len() < 2 || dims.iter().rev().skip(2).any(|d| *d != 1) {
                        return Err(unsupported(claim.node, format!("a table of angles of shape {dims:?}")));
                    }
                    let rows = dims.len() - 2;
                    dims[rows] = TABLE_ROWS;
                    tables.push(Table { value, dims, half, is_cos });
                }
            }
        }
        let mut wanted = vec![(value, Made::Rows)];
        for (i, made) in [Made::Keys, Made::Values].into_iter().enumerate() {
            let declared = self.facts.presents.get(claim.past[i]).and_then(|name| self.source.output(name));
            // The runtime keeps all positions, and so must the graph, however long the sequence is.
            if let (Some(declared), Some(present)) = (declared, claim.present[i])
                && self.source.moved(declared) != self.source.moved(present)
            {
                return Err(unsupported(claim.node, format!("`{declared}` is not all of its keys or values as they are")));
            }
            wanted.extend(claim.present[i].into_iter().chain(declared).map(|name| (name, made)));
        }
        Ok(Cut { claim, projections, tables, wanted })
    }

    /// Heads must be as wide together as what they are cut from, so that no number in a file asks for more than its weights.
    fn check_sizes(
        &self,
        recogniser: &Recogniser<'s, 'g>,
        claim: &AttentionClaim<'g>,
        attention: &Attention,
    ) -> Result<(), EngineError> {
        let (dim, kv) = (attention.kv.head_dim, attention.kv.kv_heads.checked_mul(attention.kv.head_dim));
        let q = attention.q_heads.checked_mul(dim);
        let expected = match claim.projections {
            Projections::Separate(_) => vec![q, kv, kv],
            Projections::Packed(_) => vec![q.zip(kv).and_then(|(q, kv)| kv.checked_mul(2)?.checked_add(q))],
        };
        for (value, expected) in claim.projections.values().into_iter().zip(expected) {
            let width = self.width(recogniser, self.source.plain(value))?;
            if expected.is_none() || width != expected {
                let width = width.map_or("an unknown number of".into(), |w| w.to_string());
                return Err(unsupported(
                    claim.node,
                    format!(
                        "`{value}` has {width} columns, which are not {} heads over {} of {dim}",
                        attention.q_heads, attention.kv.kv_heads
                    ),
                ));
            }
        }
        match claim.turned.iter().map(|t| t.rotary.half()).find(|half| half.saturating_mul(2) > dim) {
            Some(half) => Err(unsupported(claim.node, format!("{half} pairs of {dim} elements of a head would be rotated"))),
            None => Ok(()),
        }
    }

    /// Evaluates the piece for one length and compares all that it makes.
    fn judge_attention(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        cut: &Cut<'_, 'g>,
        piece: &Piece<'g>,
        attention: &Attention,
        length: Length,
        case: usize,
    ) -> Result<Form, EngineError> {
        let node = cut.claim.node;
        let mut random = Random::new(case as u64 + 1);
        let given = self.given(recogniser, cut, attention, length, case, &mut random)?;
        let wanted: Vec<&str> = cut.wanted.iter().map(|(name, _)| *name).collect();
        let made = self.evaluate(piece, length, &given.tensors, &wanted);
        let made = made.map_err(|e| differs(node, format!("it cannot be evaluated for {length}: {e}")))?;
        let expected = given.expected(cut, attention, length)?;
        let (width, dim) = (attention.q_heads * attention.kv.head_dim, attention.kv.head_dim);
        for ((name, what), made) in cut.wanted.iter().zip(&made) {
            let Data::Float(values) = &made.data else { return Err(differs(node, format!("`{name}` holds no numbers"))) };
            let is_cache = made.dims == [1, attention.kv.kv_heads, length.total(), dim];
            let (expected, fits) = match what {
                Made::Rows => (&expected.rows, Form::of(&made.dims, width, length).is_some()),
                Made::Keys => (&expected.keys, is_cache),
                Made::Values => (&expected.values, is_cache),
            };
            if !fits {
                return Err(differs(node, format!("`{name}` has the shape {:?} for {length}", made.dims)));
            }
            if let Some(at) = close(values, expected) {
                let number = |from: &[f32]| from.get(at).copied().unwrap_or(f32::NAN);
                let place = what.place(at, width, dim);
                let (got, want) = (number(values), number(expected));
                return Err(differs(node, format!("for {length}, {place} become {got} where {want} is expected")));
            }
        }
        let form = made.first().and_then(|made| Form::of(&made.dims, width, length));
        form.ok_or_else(|| differs(node, "it gives no rows"))
    }

    /// Random numbers for all that the piece begins with.
    fn given(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        cut: &Cut<'_, 'g>,
        attention: &Attention,
        length: Length,
        case: usize,
        random: &mut Random,
    ) -> Result<Given<'g>, EngineError> {
        let (dim, kv_heads) = (attention.kv.head_dim, attention.kv.kv_heads);
        let widths = [attention.q_heads * dim, kv_heads * dim, kv_heads * dim];
        let [mut q, mut k, v] = widths.map(|width| random.numbers(length.rows * width));
        let reach = reach(attention, case);
        // Scores of deviation 1 where nothing is done to queries; norms undo what is done here, and are steep by their weights.
        let flat = 1.0
            / (attention.scale / cut.claim.key_scale).abs().max(1e-6)
            / (dim as f32).sqrt()
            / cut.claim.key_scale.abs().max(1e-6);
        for (row, q) in q.chunks_exact_mut(widths[0]).enumerate() {
            q.iter_mut().for_each(|q| *q *= flat * reach[row % reach.len()]);
        }
        let tiny = |norm: &Option<NormClaim<'_>>, x: &mut [f32], width: usize| {
            if let Some(norm) = norm {
                x.chunks_exact_mut(width).step_by(2).flatten().for_each(|x| *x *= norm.eps.sqrt());
            }
        };
        tiny(&cut.claim.norms[0], &mut q, widths[0]);
        tiny(&cut.claim.norms[1], &mut k, widths[1]);
        let past = [0, 1].map(|_| random.numbers(kv_heads * length.past * dim));
        let mut tensors: HashMap<&'g str, Tensor> = HashMap::new();
        for (i, (value, form)) in cut.projections.iter().enumerate() {
            let tensor = match cut.claim.projections {
                Projections::Separate(_) => form.tensor([&q, &k, &v][i], widths[i], length),
                Projections::Packed(_) => {
                    form.tensor(&side_by_side([&q, &k, &v], widths, length.rows), widths.iter().sum(), length)
                }
            };
            tensors.insert(value, tensor);
        }
        for (name, past) in cut.claim.past.iter().zip(&past) {
            tensors.insert(name, Tensor::floats([1, kv_heads, length.past, dim], past.clone()));
        }
        for (i, norm) in cut.claim.norms.iter().enumerate() {
            let Some(norm) = norm else { continue };
            let mut weight = self.weight(recogniser, *norm, cut.claim.node)?;
            if let Data::Float(values) = &mut weight.data {
                let steep = if i == 0 && case == 1 {
                    flat * STEEP
                } else if i == 0 {
                    flat
                } else {
                    1.0
                };
                values.iter_mut().for_each(|w| *w *= steep);
            }
            tensors.insert(norm.weight, weight);
        }
        for table in &cut.tables {
            tensors.insert(table.value, table.tensor());
        }
        Ok(Given { q, k, v, past, tensors })
    }
}

/// How far the scores of rows reach, one after the other: near together, so that all that is seen counts, and so far apart
/// that what is hidden by less than enough shows, or what a cap does.
fn reach(attention: &Attention, case: usize) -> [f32; 3] {
    let far = attention.softcap.map_or(STEEP, |cap| 2.0 * cap);
    if case.is_multiple_of(2) { [1.0, far, 1.0] } else { [far, 1.0, far] }
}

/// The lengths for which a whole attention is evaluated.
fn lengths(window: Option<usize>) -> Vec<Length> {
    let mut lengths = vec![Length { rows: 5, past: 0 }, Length { rows: 3, past: 4 }, Length { rows: 1, past: 6 }];
    if let Some(window) = window.filter(|w| (2..=SMALL_WINDOW).contains(w)) {
        lengths.push(Length { rows: 3, past: window - 1 });
    }
    lengths
}

/// Columns of q, k and v side by side in each row.
fn side_by_side(parts: [&[f32]; 3], widths: [usize; 3], rows: usize) -> Vec<f32> {
    (0..rows)
        .flat_map(|row| parts.into_iter().zip(widths).flat_map(move |(part, width)| &part[row * width..(row + 1) * width]))
        .copied()
        .collect()
}

/// Inputs of one evaluation.
struct Given<'g> {
    q: Vec<f32>,
    k: Vec<f32>,
    v: Vec<f32>,
    past: [Vec<f32>; 2],
    tensors: HashMap<&'g str, Tensor>,
}

impl<'g> Given<'g> {
    fn floats(&self, name: &str) -> &[f32] {
        match self.tensors.get(name).map(|t| &t.data) {
            Some(Data::Float(values)) => values,
            _ => &[],
        }
    }

    /// Results of our operator's formula for these inputs.
    fn expected(&self, cut: &Cut<'_, 'g>, attention: &Attention, length: Length) -> Result<Attended, EngineError> {
        let mut angles = RotaryBuffer::default();
        let turned = cut.claim.turned.first();
        if let Some(turned) = turned {
            self.angles(turned, length, &mut angles)?;
            let count = length.rows * turned.rotary.half();
            if angles.cos.len() != count || angles.sin.len() != count {
                return Err(unsupported(cut.claim.node, "its tables of angles are not as wide as they are used"));
            }
        }
        let turn = turned.map(|turned| Turn {
            cos: &angles.cos,
            sin: &angles.sin,
            half: turned.rotary.half(),
            interleaved: turned.rotary.interleaved,
        });
        let operands = Operands {
            q: &self.q,
            k: &self.k,
            v: &self.v,
            past_keys: &self.past[0],
            past_values: &self.past[1],
            norms: cut.claim.norms.map(|norm| norm.map(|n| (self.floats(n.weight), n.eps))),
            turn,
            key_scale: cut.claim.key_scale,
        };
        Ok(attend(attention, &operands, length))
    }

    /// The step's cosines and sines: of the tables that were given, or computed.
    fn angles(&self, turned: &Turned<'g>, length: Length, to: &mut RotaryBuffer) -> Result<(), EngineError> {
        match turned.rotary.angles {
            Angles::Tables { half, stride, .. } => {
                for position in length.past..length.total() {
                    let row = position * stride..position * stride + half;
                    to.cos.extend_from_slice(self.floats(turned.cos).get(row.clone()).unwrap_or_default());
                    to.sin.extend_from_slice(self.floats(turned.sin).get(row).unwrap_or_default());
                }
                Ok(())
            }
            Angles::Frequencies { .. } => turned.rotary.append(length.past..length.total(), 0, to),
        }
    }
}

impl Table<'_> {
    /// Random numbers in the shape of the graph's table, with fewer rows.
    fn tensor(&self) -> Tensor {
        let dims = self.dims.clone();
        let columns = dims.last().copied().unwrap_or(1).max(1);
        let mut random = Random::new(if self.is_cos { 21 } else { 22 });
        let mut values = random.numbers(dims.iter().product());
        if columns == 2 * self.half {
            values.chunks_exact_mut(columns).for_each(|row| row.copy_within(..self.half, self.half));
        }
        Tensor::floats(dims, values)
    }
}

impl<'g> Cut<'_, 'g> {
    fn roles(&self) -> Vec<&'g str> {
        let projections = self.projections.iter().map(|(value, _)| *value);
        let weights = self.claim.norms.iter().flatten().map(|n| n.weight);
        projections.chain(self.claim.past).chain(weights).chain(self.tables.iter().map(|t| t.value)).collect()
    }
}

/// All that a proof rests on: the piece, the forms in which it is given rows, and what the operator would do.
fn key_of(piece: &Piece<'_>, cut: &Cut<'_, '_>, a: &Attention) -> Vec<u32> {
    let option = |x: Option<f32>| x.map_or([0, 0], |x| [1, x.to_bits()]);
    let mut key = vec![13, a.q_heads as u32, a.kv.kv_heads as u32, a.kv.head_dim as u32, a.scale.to_bits()];
    key.extend(option(a.softcap));
    key.extend([a.window.map_or(0, |w| w as u32), u32::from(a.norm_after_rotation), cut.claim.key_scale.to_bits()]);
    key.extend([a.rotary.map_or(0, |r| r as u32 + 1), cut.wanted.len() as u32, cut.claim.masks.len() as u32]);
    cut.claim.norms.iter().for_each(|norm| key.extend(option(norm.map(|n| n.eps))));
    key.extend(cut.projections.iter().map(|(_, form)| form.code()));
    key.extend(cut.tables.iter().flat_map(|table| shape_key(&table.dims).chain([table.half as u32, u32::from(table.is_cos)])));
    key.extend_from_slice(&piece.signature);
    key
}
