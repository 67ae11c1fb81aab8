//! The program as a tract plan: every operator of ours is one node of one type, which tract types and orders, and which
//! the closure given to the plan runs.

use crate::failure::backend_error;
use crate::memory::KEPT_FACTOR;
use crate::program::{Foreign, Op as Operator, Program, Step};
use crate::run::Machine;
use kinglet_bundle::onnx::{AttributeValue, Graph, Tensor};
use kinglet_engine::{CancelToken, EngineError};
use std::sync::Arc;
use tract_onnx::model::ParsingContext;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType as ProtoType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as DimValue, type_proto,
};
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
    /// Index into [`Program::steps`].
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

/// A plan that any number of runners share.
pub(crate) struct Plan {
    plan: Arc<TypedSimplePlan>,
    picked: Option<Symbol>,
    rows: Option<Symbol>,
}

impl Plan {
    /// # Errors
    /// [`EngineError::Backend`] with tract's own words if it refuses the graph.
    pub(crate) fn new(program: &Program, graph: &Graph) -> Result<Self, EngineError> {
        Self::parse(program, graph).map_err(failed)
    }

    fn parse(program: &Program, graph: &Graph) -> TractResult<Self> {
        let mut framework = onnx();
        framework.op_register.insert(OP_TYPE, build_node);
        let parsed = framework.parse(&proto(program, graph), None)?;
        ensure!(parsed.unresolved_inputs.is_empty(), "unresolved inputs {:?}", parsed.unresolved_inputs);
        let plan = TypedSimplePlan::new(parsed.model.into_typed()?.into_optimized()?)?;
        let symbol = |name: &str| plan.model().symbols.get(name);
        Ok(Self { picked: symbol(PICKED), rows: symbol(ROWS), plan })
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

    /// Runs the step that `machine` has laid out; appends the logits, `[picked, vocab]`, to `logits`.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] between two nodes after `cancel` was raised, or what a node failed with.
    pub(crate) fn run(
        &mut self,
        program: &Program,
        machine: &mut Machine,
        cancel: &CancelToken,
        logits: &mut Vec<f32>,
    ) -> Result<(), EngineError> {
        let tokens: Vec<i64> = machine.tokens().iter().map(|&t| i64::from(t)).collect();
        let input = Tensor_::from_shape(&[1, tokens.len()], &tokens).map_err(failed)?;
        // Known from the start: otherwise the plan would try to solve for them after every node.
        let symbols = &mut self.state.turn_state.resolved_symbols;
        for (symbol, value) in [(&self.picked, machine.picked()), (&self.rows, tokens.len())] {
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
                    Some(ours) => run_node(&program.steps[ours.step], machine, buffers, &inputs, &mut failure),
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
    step: &Step,
    machine: &mut Machine,
    buffers: &mut Buffers,
    inputs: &[TValue],
    failure: &mut Option<EngineError>,
) -> TractResult<TVec<TValue>> {
    let is_embedding = matches!(step.op, Operator::Embed { .. });
    let views: TVec<&[f32]> = inputs.iter().filter(|_| !is_embedding).map(|t| floats(t)).collect::<TractResult<_>>()?;
    let rows = machine.output_rows(&step.op, inputs[0].shape()[1]);
    let mut made: TVec<Arc<Tensor_>> =
        (0..step.outputs.len()).map(|_| buffers.take(rows, step.width)).collect::<TractResult<_>>()?;
    {
        let own = made
            .iter_mut()
            .map(|t: &mut Arc<Tensor_>| Arc::get_mut(t).context("a buffer that somebody holds")?.try_as_plain_ram_mut());
        let mut plain: TVec<_> = own.collect::<TractResult<_>>()?;
        let mut outputs: TVec<&mut [f32]> = plain.iter_mut().map(|p| p.as_slice_mut()).collect::<TractResult<_>>()?;
        if let Err(error) = machine.execute(step, &views, &mut outputs) {
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

// The program as protobuf.

fn proto(program: &Program, graph: &Graph) -> ModelProto {
    let mut initializer = vec![];
    let node = program.steps.iter().enumerate().map(|(i, step)| match &step.op {
        Operator::Foreign(foreign) => foreign_node(i, step, foreign, &mut initializer),
        _ => own_node(i, step),
    });
    let node = node.collect();
    let graph_proto = GraphProto {
        node,
        initializer,
        name: "kinglet".into(),
        input: vec![value_info(&value_name(0), ProtoType::Int64, &["1", ROWS])],
        output: vec![ValueInfoProto { name: value_name(program.logits), ..Default::default() }],
        ..Default::default()
    };
    // Where no operator of the file is left, its version says nothing; tract warns of those that it was not tested with.
    let foreign = program.steps.iter().any(|s| matches!(s.op, Operator::Foreign(_)));
    let of_file = graph.opsets.iter().map(|o| OperatorSetIdProto { domain: o.domain.clone(), version: o.version });
    let opset_import = if foreign { of_file.collect() } else { vec![OperatorSetIdProto { domain: String::new(), version: 18 }] };
    ModelProto { ir_version: 8, opset_import, graph: Some(graph_proto), ..Default::default() }
}

fn value_name(value: usize) -> String {
    format!("v{value}")
}

fn own_node(index: usize, step: &Step) -> NodeProto {
    let pick = usize::from(matches!(step.op, Operator::PickRows));
    let attribute =
        [("step", index), ("width", step.width), ("outputs", step.outputs.len()), ("pick", pick)].map(|(name, value)| {
            AttributeProto { name: name.into(), i: value as i64, r#type: AttributeType::Int as i32, ..Default::default() }
        });
    NodeProto {
        name: format!("{index} {} {}", step.op.name(), step.label),
        op_type: OP_TYPE.into(),
        input: step.inputs.iter().map(|&v| value_name(v)).collect(),
        output: step.outputs.iter().map(|&v| value_name(v)).collect(),
        attribute: attribute.into(),
        ..Default::default()
    }
}

fn foreign_node(index: usize, step: &Step, foreign: &Foreign, initializers: &mut Vec<TensorProto>) -> NodeProto {
    let node = &foreign.node;
    let mut values = step.inputs.iter();
    let input = node.inputs.iter().enumerate().map(|(i, name)| {
        if name.is_empty() {
            return String::new();
        }
        match foreign.constants.iter().find(|(at, _)| *at == i) {
            Some((_, tensor)) => {
                let name = format!("c{index}_{i}");
                initializers.push(tensor_proto(&name, tensor));
                name
            }
            None => values.next().map(|&v| value_name(v)).unwrap_or_default(),
        }
    });
    NodeProto {
        name: format!("{index} {}", step.label),
        op_type: node.op_type.clone(),
        domain: node.domain.clone(),
        input: input.collect(),
        output: step.outputs.iter().map(|&v| value_name(v)).collect(),
        attribute: node.attributes.iter().filter_map(|a| attribute_proto(&a.name, &a.value)).collect(),
        ..Default::default()
    }
}

fn attribute_proto(name: &str, value: &AttributeValue) -> Option<AttributeProto> {
    let base = |kind: AttributeType| AttributeProto { name: name.into(), r#type: kind as i32, ..Default::default() };
    Some(match value {
        AttributeValue::Int(i) => AttributeProto { i: *i, ..base(AttributeType::Int) },
        AttributeValue::Float(f) => AttributeProto { f: *f, ..base(AttributeType::Float) },
        AttributeValue::String(s) => AttributeProto { s: s.clone(), ..base(AttributeType::String) },
        AttributeValue::Ints(v) => AttributeProto { ints: v.clone(), ..base(AttributeType::Ints) },
        AttributeValue::Floats(v) => AttributeProto { floats: v.clone(), ..base(AttributeType::Floats) },
        AttributeValue::Tensor(t) => AttributeProto { t: Some(tensor_proto(&t.name, t)), ..base(AttributeType::Tensor) },
        _ => return None,
    })
}

/// Small constants, as float32 or int64: float activations of any width are float32 here.
fn tensor_proto(name: &str, tensor: &Tensor) -> TensorProto {
    let base = TensorProto { name: name.into(), dims: tensor.dims.iter().map(|&d| d as i64).collect(), ..Default::default() };
    match tensor.to_f32() {
        Ok(values) => TensorProto { data_type: ProtoType::Float as i32, float_data: values, ..base },
        Err(_) => TensorProto { data_type: ProtoType::Int64 as i32, int64_data: tensor.to_i64().unwrap_or_default(), ..base },
    }
}

fn value_info(name: &str, kind: ProtoType, dims: &[&str]) -> ValueInfoProto {
    let dim = |d: &&str| Dimension {
        value: Some(d.parse().map_or_else(|_| DimValue::DimParam((*d).into()), DimValue::DimValue)),
        ..Default::default()
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape: Some(shape) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}
