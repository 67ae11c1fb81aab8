//! Times of operators, by their kind and shape.

use crate::program::{Attention, Op, Part, Step};
use kinglet_engine::OperatorTime;
use kinglet_kernels::PackedWeights;
use std::collections::HashMap;
use std::time::Duration;

/// Sizes of one operator call, from which its bytes and operations follow.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) rows: usize,
    /// Positions of keys and values that the rows see together, each sequence counted once.
    pub(crate) positions: usize,
    /// Bytes of one number of a key or value.
    pub(crate) kv_bytes: usize,
    pub(crate) packed: Option<&'a PackedWeights>,
}

/// Times, bytes and operations by operator, since profiling began.
#[derive(Debug, Default)]
pub(crate) struct Profile(HashMap<String, OperatorTime>);

impl Profile {
    /// Adds a call of a step.
    pub(crate) fn add(&mut self, step: &Step, call: Call<'_>, time: Duration) {
        let operator = name(step);
        let entry = self.0.entry(operator).or_insert_with_key(|operator| OperatorTime {
            operator: operator.clone(),
            calls: 0,
            time: Duration::ZERO,
            bytes: 0,
            operations: 0,
        });
        let (bytes, operations) = call.cost(step);
        entry.calls += 1;
        entry.time += time;
        entry.bytes += bytes;
        entry.operations += operations;
    }

    pub(crate) fn finish(self) -> Vec<OperatorTime> {
        self.0.into_values().collect()
    }
}

/// The operator and its shape.
fn name(step: &Step) -> String {
    let kind = step.op.name();
    match &step.op {
        Op::Linear(parts) => format!("{kind} {} -> {}", parts.first().map_or(0, |part| part.weight.k()), step.width),
        Op::Gated { up, .. } => format!("{kind} {} -> 2 x {}", up.weight.k(), up.weight.n()),
        Op::Foreign(foreign) => format!("{kind} {}", foreign.node.op_type),
        _ => kind.to_owned(),
    }
}

impl Call<'_> {
    /// Bytes read at least, and operations.
    fn cost(self, step: &Step) -> (u64, u64) {
        match &step.op {
            Op::Linear(parts) => self.products(parts),
            Op::Gated { gate, up, .. } => self.products([gate, up]),
            Op::Attention(attention) => {
                let Attention { q_heads, kv, .. } = &**attention;
                let (positions, dims) = (self.positions, kv.head_dim + kv.value_dim);
                ((positions * kv.kv_heads * dims * self.kv_bytes) as u64, 2 * (self.rows * positions * q_heads * dims) as u64)
            }
            _ => (0, 0),
        }
    }

    fn products<'p>(self, parts: impl IntoIterator<Item = &'p Part>) -> (u64, u64) {
        parts.into_iter().fold((0, 0), |(bytes, operations), part| {
            let weight = &part.weight;
            let tiles = self.packed.and_then(|packed| packed.matrix_bytes(part.number));
            let read = tiles.map_or(weight.row_bytes() * weight.n() as u64, |bytes| bytes as u64);
            (bytes + read, operations + 2 * (self.rows * weight.n() * weight.k()) as u64)
        })
    }
}
