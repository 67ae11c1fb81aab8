//! From the logits backwards: asks the recogniser for each value that is needed and lists the operators in running order.

use crate::program::{Attention, Op, Program, Step, ValueId};
use crate::prove::Prover;
use crate::recognise::{Facts, Found, Recogniser, Want, admit};
use crate::source::Source;
use kinglet_bundle::onnx::Graph;
use kinglet_engine::EngineError;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};

/// Rewrites a decoder graph into a [`Program`]. `logits` names the output to start from.
///
/// # Errors
/// [`EngineError::UnsupportedNode`], [`EngineError::UnsupportedGraph`] or [`EngineError::BadModel`].
pub(crate) fn build(graph: &Graph, facts: &Facts, logits: &str) -> Result<Program, EngineError> {
    if graph.nodes.len() > MAX_NODES {
        let nodes = graph.nodes.len();
        return Err(EngineError::UnsupportedGraph(format!("it has {nodes} nodes; graphs of up to {MAX_NODES} are opened")));
    }
    let source = Source::new(graph)?;
    let output = graph.outputs.iter().map(|o| o.name.as_str()).find(|o| *o == logits);
    let output = output.ok_or_else(|| EngineError::UnsupportedGraph(format!("the graph has no output `{logits}`")))?;
    let mut builder = Builder {
        source: &source,
        recogniser: Recogniser::new(&source, facts, output),
        prover: Prover::new(&source, facts),
        made: HashMap::new(),
        program: Program::default(),
        widths: vec![1],
        copied: 0,
    };
    let input = graph.inputs.iter().map(|i| i.name.as_str()).find(|i| *i == facts.input_ids);
    let input = input.ok_or_else(|| EngineError::UnsupportedGraph(format!("the graph has no input `{}`", facts.input_ids)))?;
    admit(&source, input, output)?;
    builder.made.insert(Want::Value(input), 0);
    let logits = builder.make(Want::Value(output))?;
    builder.finish(logits)
}

/// Nodes that a graph may have: the largest decoders written out have some twenty thousand.
const MAX_NODES: usize = 200_000;

/// Numbers that norms, biases and constants may hold together, 256 MiB of them: the largest decoders have a tenth of it.
const MAX_COPIED: usize = 1 << 26;

struct Builder<'s, 'g> {
    source: &'s Source<'g>,
    recogniser: Recogniser<'s, 'g>,
    prover: Prover<'s, 'g>,
    made: HashMap<Want<'g>, ValueId>,
    program: Program,
    /// Width of each value.
    widths: Vec<usize>,
    /// Numbers that the operators so far hold copies of.
    copied: usize,
}

impl<'g> Builder<'_, 'g> {
    /// Two names of one value are one wish.
    fn plain(&self, want: Want<'g>) -> Want<'g> {
        match want {
            Want::Value(v) => Want::Value(self.source.plain(v)),
            Want::Scaled(v, factor) => Want::Scaled(self.source.plain(v), factor),
            other => other,
        }
    }

    /// Makes a value and all that it needs, each after what it reads itself. The graph has no circles, so this ends.
    fn make(&mut self, want: Want<'g>) -> Result<ValueId, EngineError> {
        let want = self.plain(want);
        let mut open = vec![want];
        let mut found: HashMap<Want<'g>, Found<'g>> = HashMap::new();
        while let Some(&next) = open.last() {
            if self.made.contains_key(&next) {
                open.pop();
                continue;
            }
            let here = match found.entry(next) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(self.recogniser.recognise(next)?),
            };
            let inputs: Vec<_> = here.inputs.iter().map(|&i| self.plain(i)).collect();
            let missing: Vec<_> = inputs.iter().copied().filter(|i| !self.made.contains_key(i)).collect();
            if !missing.is_empty() {
                open.extend(missing.into_iter().rev());
            } else if let Some(mut found) = found.remove(&next) {
                self.prover.check(&mut self.recogniser, next, &mut found)?;
                let inputs = inputs.iter().map(|i| self.made[i]).collect();
                let id = self.emit(found, inputs)?;
                self.program.names.resize(id, None);
                self.program.names.push(if let Want::Value(name) = next { Some(name.to_owned()) } else { None });
                self.made.insert(next, id);
            }
        }
        Ok(self.made[&want])
    }

    fn emit(&mut self, found: Found<'g>, inputs: Vec<ValueId>) -> Result<ValueId, EngineError> {
        let input_widths = inputs.iter().map(|&i| self.widths[i]);
        let id = self.widths.len();
        let width = found.width.unwrap_or_else(|| {
            input_widths.reduce(|a, b| if matches!(found.op, Op::Pack) { a.saturating_add(b) } else { a }).unwrap_or(0)
        });
        self.copied += copied(&found.op);
        if self.copied > MAX_COPIED {
            return Err(EngineError::UnsupportedNode {
                node: found.label.to_owned(),
                op_type: found.op.name().to_owned(),
                reason: format!("norms, biases and constants up to here hold more than {MAX_COPIED} numbers"),
            });
        }
        self.widths.push(width);
        self.program.steps.push(Step { op: found.op, inputs, outputs: vec![id], width, label: found.label.to_owned() });
        Ok(id)
    }

    fn finish(mut self, logits: ValueId) -> Result<Program, EngineError> {
        self.program.logits = logits;
        self.program.vocab = self.widths[logits];
        self.program.values = self.widths.len();
        self.program.rotaries = self.recogniser.into_rotaries();
        number_layers(&mut self.program);
        Ok(self.program)
    }
}

/// Layers were noted as places among the graph's inputs; here they get numbers from 0, in that order.
fn number_layers(program: &mut Program) {
    let places: BTreeSet<usize> = attentions(program).map(|a| a.layer).collect();
    let numbers: HashMap<usize, usize> = places.into_iter().enumerate().map(|(i, place)| (place, i)).collect();
    let mut layers = vec![None; numbers.len()];
    for step in &mut program.steps {
        if let Op::Attention(a) = &mut step.op {
            a.layer = numbers[&a.layer];
            layers[a.layer] = Some(a.kv);
        }
    }
    program.layers = layers.into_iter().flatten().collect();
}

fn attentions(program: &Program) -> impl Iterator<Item = &Attention> {
    program.steps.iter().filter_map(|s| if let Op::Attention(a) = &s.op { Some(&**a) } else { None })
}

/// Numbers that an operator holds copies of: what is small is not read from the file.
fn copied(op: &Op) -> usize {
    match op {
        Op::Norm(norm) => norm.weight.len(),
        Op::Foreign(foreign) => foreign.constants.iter().map(|(_, constant)| constant.values.len()).sum(),
        other => other.parts().filter_map(|part| part.bias.as_ref()).map(|bias| bias.len()).sum(),
    }
}
