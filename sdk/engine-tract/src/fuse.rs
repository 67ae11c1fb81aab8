//! Joins neighbouring operators, and puts the choice of rows before the head.

use crate::program::{Op, Program, Step};
use kinglet_engine::EngineError;

/// All of them, in order.
///
/// # Errors
/// [`EngineError::UnsupportedGraph`] if the logits are not made by a product over weights.
pub(crate) fn fuse(program: &mut Program) -> Result<(), EngineError> {
    scale_into_embedding(program);
    add_into_norm(program);
    pick_rows_before_head(program)
}

/// Which step makes each value; none for the token ids.
fn makers(program: &Program) -> Vec<Option<usize>> {
    let mut makers = vec![None; program.values];
    for (i, step) in program.steps.iter().enumerate() {
        step.outputs.iter().for_each(|&value| makers[value] = Some(i));
    }
    makers
}

/// How many steps read each value; the logits count as read once more.
fn readers(program: &Program) -> Vec<usize> {
    let mut readers = vec![0; program.values];
    program.steps.iter().flat_map(|step| &step.inputs).for_each(|&value| readers[value] += 1);
    readers[program.logits] += 1;
    readers
}

/// `scale(embed(ids))` is one operator.
fn scale_into_embedding(program: &mut Program) {
    let (mut makers, readers) = (makers(program), readers(program));
    for i in 0..program.steps.len() {
        let Op::Scale(factor) = program.steps[i].op else { continue };
        let input = program.steps[i].inputs[0];
        let Some(e) = makers[input] else { continue };
        if readers[input] == 1
            && let Op::Embed { scale, .. } = &mut program.steps[e].op
        {
            *scale *= factor;
            let outputs = std::mem::take(&mut program.steps[i].outputs);
            outputs.iter().for_each(|&value| makers[value] = Some(e));
            program.steps[e].outputs = outputs;
        }
    }
    program.steps.retain(|s| !s.outputs.is_empty());
}

/// A norm of a sum is computed while the sum is.
fn add_into_norm(program: &mut Program) {
    let makers = makers(program);
    for i in 0..program.steps.len() {
        let Op::Norm(norm) = &program.steps[i].op else { continue };
        let (norm, input) = (norm.clone(), program.steps[i].inputs[0]);
        let Some(a) = makers[input] else { continue };
        if matches!(program.steps[a].op, Op::Add) {
            let normed = std::mem::take(&mut program.steps[i].outputs);
            let label = program.steps[i].label.clone();
            let add = &mut program.steps[a];
            *add = Step { op: Op::AddNorm(norm), outputs: vec![normed[0], input], label, ..add.clone() };
        }
    }
    program.steps.retain(|s| !s.outputs.is_empty());
}

/// Logits are computed for the rows asked for, not for all.
fn pick_rows_before_head(program: &mut Program) -> Result<(), EngineError> {
    let makers = makers(program);
    let mut value = program.logits;
    loop {
        let Some(i) = makers[value] else {
            return Err(EngineError::UnsupportedGraph("the logits are not made by a product over weights".into()));
        };
        match &program.steps[i].op {
            Op::Scale(_) | Op::Softcap(_) | Op::Foreign(_) if program.steps[i].inputs.len() == 1 => {
                value = program.steps[i].inputs[0]
            }
            Op::Linear(parts) => {
                let (k, picked) = (parts[0].weight.k(), program.values);
                let input = std::mem::replace(&mut program.steps[i].inputs[0], picked);
                program.values += 1;
                let width = makers[input].map_or(k, |maker| program.steps[maker].width);
                let step =
                    Step { op: Op::PickRows, inputs: vec![input], outputs: vec![picked], width, label: "pick rows".into() };
                program.steps.insert(i, step);
                return Ok(());
            }
            other => {
                return Err(EngineError::UnsupportedGraph(format!(
                    "the logits are made by `{}`, not by a product over weights",
                    other.name()
                )));
            }
        }
    }
}
