//! Memory that running a program takes, estimated before it runs.

use crate::cache::PAGE;
use crate::packed::packed_bytes;
use crate::program::{Op, Program, ValueId};
use crate::rotary::{Angles, Rotary};
use kinglet_engine::MemoryEstimate;
use kinglet_kernels::KvLayout;
use std::collections::HashMap;

/// Rows of the largest step that the estimate reckons with: a piece of a long prompt.
const STEP_ROWS: usize = 256;

/// Pages in which large memory is taken.
const LARGE_PAGE: usize = 2 << 20;

/// Bytes of a file that Linux maps at once around the place that is read.
const MAPPED_AROUND: u64 = 64 << 10;

/// The sizes that an estimate is for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    /// Positions that a sequence may hold.
    pub(crate) context: usize,
    pub(crate) sequences: usize,
    /// Pages of the arena of keys and values.
    pub(crate) pages: usize,
    /// Bytes of the weights where they are read in place; `None` where they are packed.
    pub(crate) in_place: Option<u64>,
    /// Whether the direct executor runs the program, rather than a tract plan.
    pub(crate) direct: bool,
}

/// Estimates the memory of a runner of these sizes.
pub(crate) fn estimate(program: &Program, layout: Option<&KvLayout>, room: Room) -> MemoryEstimate {
    let page_bytes = layout.map_or(0, KvLayout::page_bytes);
    let weights = room.in_place.unwrap_or_else(|| {
        let table = program.embedding().filter(|table| program.tied_to(table).is_none());
        let read = |table: u64| table.min((room.context * room.sequences) as u64 * MAPPED_AROUND);
        packed_bytes(program) + table.map_or(0, |table| read(table.bytes()))
    });
    MemoryEstimate {
        weights,
        kv: (room.pages * page_bytes).next_multiple_of(LARGE_PAGE) as u64,
        kv_per_token: (page_bytes / PAGE) as u64,
        scratch: (scratch_bytes(program, STEP_ROWS.min(room.context), room.sequences, room.direct)
            + table_bytes(program, room.context)) as u64,
    }
}

/// Bytes of the tables of cosines and sines that `context` positions read.
fn table_bytes(program: &Program, context: usize) -> usize {
    let rows = |rotary: &Rotary| match rotary.within(context) {
        Angles::Tables { stride, .. } => context * stride * 2,
        Angles::Frequencies { .. } => 0,
    };
    program.rotaries.iter().map(rows).sum::<usize>() * size_of::<f32>()
}

/// Bytes of the values of a step of `rows` rows with logits for `picked` of them, of the kernels' input in 8 bits, and of the logits
/// as they are handed on and as one row of them is sampled.
fn scratch_bytes(program: &Program, rows: usize, picked: usize, direct: bool) -> usize {
    let buffers = Buffers::of(program, rows, picked);
    let values = if direct { buffers.most_alive * buffers.widest } else { buffers.by_shape.min(KEPT_FACTOR * buffers.most) };
    let widest_input = program.parts().map(|part| part.weight.k()).max().unwrap_or(0);
    values * size_of::<f32>() + rows * widest_input + (picked + 1) * program.vocab * size_of::<f32>()
}

/// Bytes that a step needs at most while it runs: its values, and the logits three times over, as they are computed, handed on and
/// sampled; a part more for what is not reckoned by itself.
pub(crate) fn step_bytes(program: &Program, rows: usize, picked: usize, direct: bool) -> u64 {
    let known = scratch_bytes(program, rows, picked, direct) + 2 * picked * program.vocab * size_of::<f32>();
    (known + known / 8) as u64
}

/// Buffers that a plan keeps beyond those in use: so many times what is in use at most.
pub(crate) const KEPT_FACTOR: usize = 2;

/// Buffers of one step; sizes are in float32 numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Buffers {
    /// All that are alive together at most.
    most: usize,
    /// The same, each shape reckoned by itself: buffers serve values of their own shape alone.
    by_shape: usize,
    /// The largest one.
    widest: usize,
    /// Buffers that are alive together at most.
    most_alive: usize,
}

impl Buffers {
    fn of(program: &Program, rows: usize, picked: usize) -> Buffers {
        let lifetimes = Lifetimes::of(program);
        let mut sizes = vec![0; program.values];
        let (mut alive, mut most_of) = (HashMap::<usize, usize>::new(), HashMap::<usize, usize>::new());
        let (mut numbers, mut count) = (0, 0);
        let mut all = Buffers::default();
        for (i, step) in program.steps.iter().enumerate() {
            for &value in &step.outputs {
                sizes[value] = step.width * if lifetimes.picked[value] { picked } else { rows };
                let of_shape = alive.entry(sizes[value]).or_default();
                *of_shape += 1;
                let most = most_of.entry(sizes[value]).or_default();
                *most = (*most).max(*of_shape);
                all.widest = all.widest.max(sizes[value]);
                (numbers, count) = (numbers + sizes[value], count + 1);
            }
            all.most = all.most.max(numbers);
            all.most_alive = all.most_alive.max(count);
            let mut dead: Vec<ValueId> = step.inputs.iter().chain(&step.outputs).copied().filter(|value| *value != 0).collect();
            dead.sort_unstable();
            dead.dedup();
            for value in dead.into_iter().filter(|&value| lifetimes.last_reader[value] <= i) {
                if let Some(of_shape) = alive.get_mut(&sizes[value]).filter(|of_shape| **of_shape > 0) {
                    *of_shape -= 1;
                    (numbers, count) = (numbers - sizes[value], count - 1);
                }
            }
        }
        all.by_shape = most_of.iter().map(|(size, count)| size * count).sum();
        all
    }
}

/// How long values are needed, and how many rows they have.
pub(crate) struct Lifetimes {
    /// By value: the last step that reads it.
    pub(crate) last_reader: Vec<usize>,
    /// By value: whether its rows are the picked ones rather than all.
    pub(crate) picked: Vec<bool>,
}

impl Lifetimes {
    pub(crate) fn of(program: &Program) -> Lifetimes {
        let mut last_reader = vec![0; program.values];
        for (i, step) in program.steps.iter().enumerate() {
            step.inputs.iter().for_each(|&v| last_reader[v] = i);
        }
        last_reader[program.logits] = usize::MAX;
        let mut picked = vec![false; program.values];
        for step in &program.steps {
            let here = matches!(step.op, Op::PickRows) || step.inputs.iter().any(|&v| picked[v]);
            step.outputs.iter().for_each(|&v| picked[v] = here);
        }
        Lifetimes { last_reader, picked }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Step;

    fn step(op: Op, inputs: &[ValueId], outputs: &[ValueId], width: usize) -> Step {
        Step { op, inputs: inputs.into(), outputs: outputs.into(), width, label: String::new() }
    }

    #[test]
    fn buffers_of_a_step() {
        // 0 -> 1 (wide 8) -> 2 (wide 32), 3 (wide 8) = 1 + 2's reader; picked 4; logits 5 (wide 100).
        let program = Program {
            steps: vec![
                step(Op::Scale(1.0), &[0], &[1], 8),
                step(Op::Scale(1.0), &[1], &[2], 32),
                step(Op::Add, &[1, 2], &[3], 8),
                step(Op::PickRows, &[3], &[4], 8),
                step(Op::Scale(1.0), &[4], &[5], 100),
            ],
            logits: 5,
            values: 6,
            vocab: 100,
            ..Program::default()
        };
        let buffers = Buffers::of(&program, 10, 2);
        // 1, 2 and 3 are alive together; the picked rows are a shape of their own, and so are the logits.
        assert_eq!(buffers, Buffers { most: 480, by_shape: 2 * 80 + 320 + 16 + 200, widest: 320, most_alive: 3 });
        assert_eq!(scratch_bytes(&program, 10, 2, false), (160 + 320 + 16 + 200 + 300) * 4);
        assert_eq!(scratch_bytes(&program, 10, 2, true), (3 * 320 + 300) * 4);
    }
}
