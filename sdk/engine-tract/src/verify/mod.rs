//! Between program and execution: every value gets a type, and every operator is proved to fit its operands and its weights.
//!
//! A program comes from a file that anyone may have written. The later stages trust it, down to the kernels, which write where
//! lengths tell them to; so [`Verified`] is the only form of a program that the plan, the direct executor and the execution context
//! take. One pass in running order, as a WebAssembly engine makes one over a function: [`verify`] checks the list of values,
//! [`operands`] each operator's requirements on them.

mod operands;
#[cfg(test)]
mod tests;

pub(crate) use self::operands::MAX_PARTS;
use crate::memory::Lifetimes;
use crate::program::{Op, Program, Step, ValueId};
use kinglet_engine::EngineError;
use std::ops::Deref;

/// Layers whose keys and values a model may have.
const MAX_LAYERS: usize = 1 << 10;

/// Values that may be alive at once: a decoder has a handful.
const MAX_ALIVE: usize = 1 << 8;

/// Operators that may be left to tract, which takes more than twice the time for twice the nodes.
const MAX_FOREIGN: usize = 1 << 10;

/// Element type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    /// A token id; such a value has rows of one.
    Token,
    Float32,
}

/// How many rows a value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// One for each token of the step.
    All,
    /// One for each row of logits that was asked for.
    Picked,
}

/// The type of a value: `[rows, width]` of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Type {
    pub(crate) element: Element,
    pub(crate) rows: Rows,
    pub(crate) width: usize,
}

/// A program of which all that the operators rely on is proved.
#[derive(Debug)]
pub(crate) struct Verified {
    program: Program,
    /// By value.
    types: Vec<Type>,
}

impl Deref for Verified {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}

impl Verified {
    /// The type of a value of the program.
    ///
    /// # Panics
    /// Where the program has no such value.
    pub(crate) fn type_of(&self, value: ValueId) -> Type {
        self.types[value]
    }

    /// The types of all values, by value.
    pub(crate) fn types(&self) -> &[Type] {
        &self.types
    }
}

/// Proves a program, and gives it on with the types of its values.
///
/// # Errors
/// [`EngineError::UnsupportedNode`] for the first operator that does not fit, by the name of its node;
/// [`EngineError::UnsupportedGraph`] for what no single node is to blame for.
pub(crate) fn verify(program: Program) -> Result<Verified, EngineError> {
    let graph = |why: String| Err(EngineError::UnsupportedGraph(why));
    if program.layers.len() > MAX_LAYERS {
        return graph(format!("it has {} layers; up to {MAX_LAYERS} are run", program.layers.len()));
    }
    let mut foreign = program.steps.iter().filter(|step| matches!(step.op, Op::Foreign(_)));
    if let Some(step) = foreign.nth(MAX_FOREIGN) {
        return Err(refused(step, format!("more than {MAX_FOREIGN} operators like this would be left to tract")));
    }
    let types = types_of(&program)?;
    let Some(logits) = types.get(program.logits).copied().flatten() else { return graph("nothing makes its logits".into()) };
    if logits.rows != Rows::Picked || logits.element != Element::Float32 || logits.width != program.vocab {
        return graph(format!(
            "its logits are {logits:?} where a row for each that is asked for, {} wide, is wanted",
            program.vocab
        ));
    }
    check_tables(&program)?;
    check_parts(&program)?;
    check_layers(&program)?;
    check_alive(&program)?;
    // A value that fusing has removed is neither made nor read.
    let unused = Type { element: Element::Float32, rows: Rows::All, width: 0 };
    let types = types.into_iter().map(|made| made.unwrap_or(unused)).collect();
    Ok(Verified { program, types })
}

/// The type of each value that is made; each is made once, and before it is read.
fn types_of(program: &Program) -> Result<Vec<Option<Type>>, EngineError> {
    let mut types: Vec<Option<Type>> = vec![None; program.values];
    if let Some(ids) = types.first_mut() {
        *ids = Some(Type { element: Element::Token, rows: Rows::All, width: 1 });
    }
    for step in &program.steps {
        let known = |value: &ValueId| types.get(*value).copied().flatten();
        let inputs: Option<Vec<Type>> = step.inputs.iter().map(known).collect();
        let inputs = inputs.ok_or_else(|| refused(step, "it reads a value before anything makes it".into()))?;
        let made = operands::check(program, step, &inputs).map_err(|why| refused(step, why))?;
        if made.width != step.width {
            return Err(refused(step, format!("it makes {} columns where {} are expected", made.width, step.width)));
        }
        for &output in &step.outputs {
            match types.get_mut(output) {
                Some(unmade @ None) => *unmade = Some(made),
                _ => return Err(refused(step, "it makes a value that something else makes".into())),
            }
        }
    }
    Ok(types)
}

/// Every id that the logits can name has a row in the embedding's table: a token that is chosen is read in the next step.
fn check_tables(program: &Program) -> Result<(), EngineError> {
    for step in &program.steps {
        if let Op::Embed { table, .. } = &step.op
            && table.n() < program.vocab
        {
            return Err(refused(step, format!("its table has {} rows for {} tokens", table.n(), program.vocab)));
        }
    }
    Ok(())
}

/// Parts are numbered in running order: packed weights are found by these numbers.
fn check_parts(program: &Program) -> Result<(), EngineError> {
    let mut numbers = 0..;
    for step in &program.steps {
        if step.op.parts().any(|part| Some(part.number) != numbers.next()) {
            return Err(refused(step, "its weights are not numbered in running order".into()));
        }
    }
    Ok(())
}

/// The keys and values of each layer are written by one operator, and have its heads.
fn check_layers(program: &Program) -> Result<(), EngineError> {
    let mut attended = vec![false; program.layers.len()];
    for step in &program.steps {
        let Op::Attention(attention) = &step.op else { continue };
        if program.layers.get(attention.layer) != Some(&attention.kv) {
            return Err(refused(step, format!("its keys and values are not those of layer {}", attention.layer)));
        }
        if std::mem::replace(&mut attended[attention.layer], true) {
            return Err(refused(step, format!("the keys and values of layer {} are written twice", attention.layer)));
        }
    }
    match attended.iter().position(|is_attended| !is_attended) {
        Some(layer) => Err(EngineError::UnsupportedGraph(format!("nothing attends to layer {layer}"))),
        None => Ok(()),
    }
}

/// Buffers of a step are bounded: few values wait to be read at any time.
fn check_alive(program: &Program) -> Result<(), EngineError> {
    let lifetimes = Lifetimes::of(program);
    let mut alive = 0usize;
    for (i, step) in program.steps.iter().enumerate() {
        alive += step.outputs.len();
        if alive > MAX_ALIVE {
            return Err(refused(step, format!("more than {MAX_ALIVE} values would be kept at once")));
        }
        let mut dead: Vec<ValueId> = step.inputs.iter().chain(&step.outputs).copied().filter(|value| *value != 0).collect();
        dead.sort_unstable();
        dead.dedup();
        alive -= dead.into_iter().filter(|&value| lifetimes.last_reader[value] <= i).count();
    }
    Ok(())
}

/// The error for a step, by the name of its node.
fn refused(step: &Step, reason: String) -> EngineError {
    EngineError::UnsupportedNode { node: step.label.clone(), op_type: step.op.name().to_owned(), reason }
}
