//! The program as a tract plan: every operator of ours is one node of one type, which tract types and orders, and which
//! the closure given to the plan runs.

mod proto;
mod types;

use self::proto::proto;
use self::types::{check_operands, check_types};
use crate::execution::ExecutionContext;
use crate::failure::backend_error;
use crate::memory::KEPT_FACTOR;
use crate::program::Op as Operator;
use crate::verify::Verified;
use kinglet_bundle::onnx::Graph;
use kinglet_engine::{CancelToken, EngineError};
use std::sync::Arc;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{ModelProto, NodeProto};
use tract_onnx::prelude::*;
use tract_onnx::tract_core::plan::eval;
use tract_onnx::tract_hir::internal::*;

/// ONNX operator type of our nodes.
const OP_TYPE: &str = "Kinglet";
/// Symbols: rows of the step, and rows picked for logits.
const ROWS: &str = "T";
const PICKED: &str = "R";

/// One operator of ours inside tract: `x [1, rows, *] -> outputs x [1, rows, width]`, float32.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Node {
    /// Index into [`Program::steps`](crate::program::Program::steps).
    step: usize,
    width: usize,
    outputs: usize,
    /// Number of output rows where it is not that of the first input.
    picked: Option<TDim>,
}

impl Op for Node {
    fn name(&self) -> StaticName {
        OP_TYPE.into()
    }
    fn mints_runtime_symbols(&self) -> bool {
        self.picked.is_some()
    }
    op_as_typed_op!();
}

impl EvalOp for Node {
    not_out_of_plan!();
}

impl TypedOp for Node {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let rows = self.picked.clone().unwrap_or_else(|| inputs[0].shape[1].clone());
        Ok((0..self.outputs).map(|_| f32::fact([1.to_dim(), rows.clone(), self.width.to_dim()])).collect())
    }
    as_op!();
}

impl Expansion for Node {
    fn name(&self) -> StaticName {
        OP_TYPE.into()
    }
    fn nboutputs(&self) -> TractResult<usize> {
        Ok(self.outputs)
    }
    fn runs_out_of_plan(&self) -> bool {
        false
    }
    fn rules<'r, 'p: 'r, 's: 'r>(
        &'s self,
        s: &mut Solver<'r>,
        inputs: &'p [TensorProxy],
        outputs: &'p [TensorProxy],
    ) -> InferenceResult {
        for output in outputs {
            s.equals(&output.datum_type, f32::datum_type())?;
        }
        s.given(&inputs[0].shape, move |s, shape| {
            let rows = self.picked.clone().unwrap_or_else(|| shape[1].clone());
            for output in outputs {
                s.equals(&output.shape, tvec![1.to_dim(), rows.clone(), self.width.to_dim()])?;
            }
            Ok(())
        })
    }
    fn wire(&self, prefix: &str, model: &mut TypedModel, inputs: &[OutletId]) -> TractResult<TVec<OutletId>> {
        model.wire_node(prefix, self.clone(), inputs)
    }
}

/// tract's builders are plain functions: what the operator needs travels as attributes of the node.
fn build_node(ctx: &ParsingContext, node: &NodeProto) -> TractResult<(Box<dyn InferenceOp>, Vec<String>)> {
    let get = |name: &str| node.get_attr::<usize>(name);
    let picked = (get("pick")? == 1).then(|| ctx.template.symbols.sym(PICKED).to_dim());
    Ok((expand(Node { step: get("step")?, width: get("width")?, outputs: get("outputs")?, picked }), vec![]))
}

/// Operators that a plan may have. Planning takes four times the time for twice of them; decoders have some two thousand at most.
pub(crate) const MAX_PLANNED: usize = 1 << 12;

/// A plan that any number of runners share.
pub(crate) struct Plan {
    plan: Arc<TypedSimplePlan>,
    picked: Option<Symbol>,
    rows: Option<Symbol>,
}

impl Plan {
    /// # Errors
    /// [`EngineError::Backend`] with tract's own words if it refuses the graph, [`EngineError::UnsupportedNode`] where it types a
    /// value otherwise than the program, [`EngineError::UnsupportedGraph`] for more than [`MAX_PLANNED`] operators.
    pub(crate) fn new(program: &Verified, graph: &Graph) -> Result<Self, EngineError> {
        let proto = proto(program, graph);
        let operators = proto.graph.as_ref().map_or(0, |graph| graph.node.len());
        if operators > MAX_PLANNED {
            let foreign = program.foreign_ops().join(", ");
            return Err(EngineError::UnsupportedGraph(format!(
                "it comes to {operators} operators, some of which ({foreign}) would be left to tract; that is done for up to \
                 {MAX_PLANNED}"
            )));
        }
        let typed = Self::parse(&proto).map_err(failed)?;
        check_types(program, &typed)?;
        // As it stands: tract's simplifications are those of numbers, and make finite ones of what is not (`sqrt(x)^2` to x, `0 * x`
        // to 0).
        let plan = TypedSimplePlan::new(typed).map_err(failed)?;
        check_operands(program, plan.model())?;
        let symbol = |name: &str| plan.model().symbols.get(name);
        Ok(Self { picked: symbol(PICKED), rows: symbol(ROWS), plan })
    }

    fn parse(proto: &ModelProto) -> TractResult<TypedModel> {
        let mut framework = onnx();
        framework.op_register.insert(OP_TYPE, build_node);
        let parsed = framework.parse(proto, None)?;
        ensure!(parsed.unresolved_inputs.is_empty(), "unresolved inputs {:?}", parsed.unresolved_inputs);
        parsed.model.into_typed()
    }

    pub(crate) fn spawn(&self) -> Result<State, EngineError> {
        let state = self.plan.spawn().map_err(failed)?;
        Ok(State { state, picked: self.picked.clone(), rows: self.rows.clone(), buffers: Buffers::default() })
    }
}

/// The mutable half of a plan: one a runner.
pub(crate) struct State {
    state: TypedSimpleState,
    picked: Option<Symbol>,
    rows: Option<Symbol>,
    buffers: Buffers,
}

impl State {
    /// Drops the buffers.
    pub(crate) fn trim(&mut self) {
        self.buffers = Buffers::default();
    }

    /// Runs the step that `execution` has laid out; appends the logits, `[picked, vocab]`, to `logits`.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] between two nodes after `cancel` was raised, or what a node failed with.
    pub(crate) fn run(
        &mut self,
        program: &Verified,
        execution: &mut ExecutionContext,
        cancel: &CancelToken,
        logits: &mut Vec<f32>,
    ) -> Result<(), EngineError> {
        let tokens: Vec<i64> = execution.tokens().iter().map(|&t| i64::from(t)).collect();
        let input = Tensor_::from_shape(&[1, tokens.len()], &tokens).map_err(failed)?;
        // Known from the start: otherwise the plan would try to solve for them after every node.
        let symbols = &mut self.state.turn_state.resolved_symbols;
        for (symbol, value) in [(&self.picked, execution.picked()), (&self.rows, tokens.len())] {
            if let Some(symbol) = symbol {
                symbols.set(symbol, value as i64);
            }
        }
        let mut failure = None;
        let buffers = &mut self.buffers;
        let result =
            self.state.run_plan_with_eval(tvec!(input.into()), |ctx, op_state, node, inputs| -> TractResult<TVec<TValue>> {
                if cancel.is_cancelled() {
                    failure = Some(EngineError::Cancelled);
                    bail!("cancelled");
                }
                match node.op_as::<Node>() {
                    Some(ours) => run_node(program, ours.step, execution, buffers, &inputs, &mut failure),
                    None => eval(ctx, op_state, node, inputs),
                }
            });
        match result {
            Ok(outputs) => {
                logits.extend_from_slice(floats(&outputs[0]).map_err(failed)?);
                Ok(())
            }
            Err(error) => {
                // A failed turn leaves values behind.
                self.state.reset_turn().map_err(failed)?;
                Err(failure.unwrap_or_else(|| failed(error)))
            }
        }
    }
}

use tract_onnx::prelude::Tensor as Tensor_;

fn floats(tensor: &Tensor_) -> TractResult<&[f32]> {
    tensor.try_as_plain_ram()?.as_slice()
}

fn run_node(
    program: &Verified,
    index: usize,
    execution: &mut ExecutionContext,
    buffers: &mut Buffers,
    inputs: &[TValue],
    failure: &mut Option<EngineError>,
) -> TractResult<TVec<TValue>> {
    let step = &program.steps[index];
    let is_embedding = matches!(step.op, Operator::Embed { .. });
    let view = |t| if is_embedding { Ok(&[][..]) } else { floats(t) };
    let views: TVec<&[f32]> = inputs.iter().map(|t| view(t)).collect::<TractResult<_>>()?;
    let made = step.outputs.iter().map(|&value| buffers.take(execution.rows_of(program.type_of(value).rows), step.width));
    let mut made: TVec<Arc<Tensor_>> = made.collect::<TractResult<_>>()?;
    {
        let own = made
            .iter_mut()
            .map(|t: &mut Arc<Tensor_>| Arc::get_mut(t).context("a buffer that somebody holds")?.try_as_plain_ram_mut());
        let mut plain: TVec<_> = own.collect::<TractResult<_>>()?;
        let mut outputs: TVec<&mut [f32]> = plain.iter_mut().map(|p| p.as_slice_mut()).collect::<TractResult<_>>()?;
        if let Err(error) = execution.execute(program, index, &views, &mut outputs) {
            let message = error.to_string();
            *failure = Some(error);
            bail!(message);
        }
    }
    made.iter().for_each(|t| buffers.watch(t));
    Ok(made.into_iter().map(TValue::from_const).collect())
}

/// Outputs are recycled: a handle is kept on each buffer, and one that nobody else holds is used again.
#[derive(Default)]
struct Buffers {
    /// The one used last stands at the end.
    known: Vec<Arc<Tensor_>>,
    /// Numbers in the buffers that were in use together at most.
    most: usize,
}

impl Buffers {
    /// Buffers beyond this many are dropped when another shape is asked for.
    const KEPT: usize = 48;

    /// A buffer `[1, rows, width]` with any content.
    fn take(&mut self, rows: usize, width: usize) -> TractResult<Arc<Tensor_>> {
        if let Some(i) = self.known.iter().rposition(|t| is_unused(t) && t.shape() == [1, rows, width]) {
            return Ok(self.known.remove(i));
        }
        self.make_room(rows * width);
        Ok(Arc::new(Tensor_::zero::<f32>(&[1, rows, width])?))
    }

    /// Drops what was not used for longest where a buffer of `more` numbers would be one too many.
    fn make_room(&mut self, more: usize) {
        let mut all: usize = self.known.iter().map(|t| t.len()).sum();
        let in_use: usize = self.known.iter().filter(|t| !is_unused(t)).map(|t| t.len()).sum();
        self.most = self.most.max(in_use + more);
        while all + more > KEPT_FACTOR * self.most || self.known.len() >= Self::KEPT {
            let Some(i) = self.known.iter().position(is_unused) else { return };
            all -= self.known.remove(i).len();
        }
    }

    fn watch(&mut self, tensor: &Arc<Tensor_>) {
        self.known.push(tensor.clone());
    }
}

fn is_unused(tensor: &Arc<Tensor_>) -> bool {
    Arc::strong_count(tensor) == 1
}

pub(crate) fn failed(error: TractError) -> EngineError {
    backend_error(None, format!("{error:#}"))
}
