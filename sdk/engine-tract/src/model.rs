//! An opened model: the program, its plan, and the facts of both.

use crate::build::build;
use crate::cache::{Caches, PAGE};
use crate::direct::DirectExecutor;
use crate::execution::ExecutionContext;
use crate::failure::NAME;
use crate::fuse::fuse;
use crate::memory::{Room, estimate};
use crate::packed::{PackedSlot, wanted};
use crate::plan::{MAX_PLANNED, Plan};
use crate::program::{Op, Program};
use crate::recognise::{Facts, Window};
use crate::runner::{Executor, TractRunner, pages_for};
use crate::verify::{Verified, verify};
use kinglet_bundle::Bundle;
use kinglet_bundle::onnx::{Dim, Graph};
use kinglet_engine::{
    EngineError, KvType, MemoryEstimate, Model, ModelInfo, Precision, Proof, Runner, RunnerOptions, SharedBytes, WeightStorage,
};
use kinglet_guard::room;
use kinglet_kernels::{Activations, KvElement, KvLayout, Pool};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

/// How a model is run. By default: by a tract plan, but for programs that are too long for one.
///
/// ```
/// assert!(!kinglet_tract::OpenOptions::default().direct);
/// ```
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Run the operators by the direct executor, a loop of our own, instead of a tract plan, if all of them are ours: the results
    /// are the same.
    pub direct: bool,
}

/// Facts from the configuration files that the graph does not have.
pub(crate) struct GraphFacts {
    pub(crate) input_ids: String,
    pub(crate) logits: String,
    pub(crate) head_dim: Option<usize>,
    pub(crate) sliding_window: Option<Window>,
    pub(crate) max_context: Option<usize>,
    pub(crate) attention_mask: Option<String>,
    pub(crate) position_ids: Option<String>,
    /// By the name of an input of past keys or values: the output that becomes it at the next step.
    pub(crate) presents: HashMap<String, String>,
}

impl Default for GraphFacts {
    fn default() -> Self {
        Self {
            input_ids: "input_ids".into(),
            logits: "logits".into(),
            head_dim: None,
            sliding_window: None,
            max_context: None,
            attention_mask: Some("attention_mask".into()),
            position_ids: Some("position_ids".into()),
            presents: HashMap::new(),
        }
    }
}

/// A decoder that runs on our kernels through tract.
pub struct TractModel {
    info: Arc<ModelInfo>,
    program: Arc<Verified>,
    /// None where the direct executor runs the program.
    plan: Option<Plan>,
    packed_slot: Arc<PackedSlot>,
}

/// Memory for planning a graph: a fixed part, and a part for each of its nodes.
const PLAN_BYTES: u64 = 4 << 20;
const NODE_BYTES: u64 = 32 << 10;

/// Context of a model that names none.
const UNKNOWN_CONTEXT: usize = 4096;

impl TractModel {
    /// Rewrites and plans a bundle's graph. Weights stay in the bundle's map.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedNode`] for the first node that neither we nor tract run, [`EngineError::UnsupportedGraph`]
    /// where the graph is no decoder, [`EngineError::BadModel`] where it contradicts itself.
    pub fn open(bundle: &Bundle, options: &OpenOptions) -> Result<Self, EngineError> {
        let graph = bundle.graph().map_err(|e| EngineError::BadModel(e.to_string()))?;
        let architecture = bundle.architecture();
        let facts = GraphFacts {
            input_ids: bundle.io().input_ids.clone(),
            logits: bundle.io().logits.clone(),
            head_dim: architecture.head_dim,
            sliding_window: architecture.sliding_window.as_ref().map(|w| Window {
                positions: w.positions,
                past_keys: w
                    .layers
                    .as_ref()
                    .filter(|layers| !layers.is_empty())
                    .map(|layers| layers.iter().map(|&l| bundle.io().past_key.of_layer(l)).collect()),
            }),
            max_context: architecture.max_context,
            attention_mask: bundle.io().attention_mask.clone(),
            position_ids: bundle.io().position_ids.clone(),
            presents: presents(bundle, &graph),
        };
        let model = Self::of_graph(&graph, &facts, options)?;
        // Releases the pages of the files that were read: small tensors are copied by now, others are read again when needed.
        bundle.release();
        Ok(model)
    }

    pub(crate) fn of_graph(graph: &Graph, given: &GraphFacts, options: &OpenOptions) -> Result<Self, EngineError> {
        let facts = Facts {
            head_dim: declared_head_dim(graph).or(given.head_dim),
            sliding_window: given.sliding_window.clone(),
            input_ids: given.input_ids.clone(),
            attention_mask: given.attention_mask.clone(),
            position_ids: given.position_ids.clone(),
            presents: given.presents.clone(),
            max_context: given.max_context,
        };
        let nodes = graph.nodes.len() as u64;
        room::check("the plan of the graph", PLAN_BYTES + NODE_BYTES.saturating_mul(nodes))?;
        let mut program = build(graph, &facts, &given.logits)?;
        fuse(&mut program)?;
        program.number_parts();
        let program = verify(program)?;
        kv_layout(&program, KvElement::Float32)?;
        let info = Arc::new(info_of(&program, given.max_context));
        let is_wanted = options.direct || program.steps.len() > MAX_PLANNED;
        let by_itself = is_wanted && info.foreign_ops.is_empty();
        let plan = if by_itself { None } else { Some(Plan::new(&program, graph)?) };
        Ok(Self { info, program: Arc::new(program), plan, packed_slot: Arc::default() })
    }

    /// Names of the operators in running order.
    pub fn operators(&self) -> impl Iterator<Item = &'static str> {
        self.program.steps.iter().map(|s| s.op.name())
    }

    /// How a runner with these options keeps keys and values.
    fn layout(&self, options: &RunnerOptions) -> Result<KvLayout, EngineError> {
        let quantised = matches!(self.info.precision, Precision::Int2 | Precision::Int4 | Precision::Int8);
        let element = match options.kv_type {
            KvType::Float16 => KvElement::Float16,
            KvType::Auto if quantised && !options.exact_activations => KvElement::Float16,
            _ => KvElement::Float32,
        };
        kv_layout(&self.program, element)
    }

    /// Whether a runner with these options reads packed weights.
    fn is_packed(&self, options: &RunnerOptions) -> bool {
        let ready = options.weights == WeightStorage::Auto && self.packed_slot.is_there();
        !options.exact_activations && (ready || wanted(options.weights, self.info.weight_bytes))
    }
}

impl Model for TractModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn memory_estimate(&self, options: &RunnerOptions) -> MemoryEstimate {
        let context = options.context_of(&self.info);
        let room = Room {
            context,
            sequences: options.sequences,
            pages: pages_for(context, options.sequences),
            in_place: (!self.is_packed(options)).then_some(self.info.weight_bytes),
            direct: self.plan.is_none(),
        };
        // A layout that was possible when the model was opened is possible with smaller elements.
        estimate(&self.program, self.layout(options).ok().as_ref(), room)
    }

    fn runner(&self, options: &RunnerOptions) -> Result<Box<dyn Runner>, EngineError> {
        let context = options.check(&self.info)?;
        let long_angles = self.program.rotaries.iter().any(|rotary| rotary.is_long(context));
        let caches = Caches::new(self.layout(options)?, pages_for(context, options.sequences), long_angles)?;
        let activations = if options.exact_activations { Activations::Exact } else { Activations::Int8 };
        let execution =
            ExecutionContext::new(self.program.clone(), Pool::new(options.threads.count()), caches, activations, context);
        let executor = match &self.plan {
            Some(plan) => Executor::Tract(Box::new(plan.spawn()?)),
            None => Executor::Direct(DirectExecutor::new(&self.program)),
        };
        Ok(Box::new(TractRunner {
            info: self.info.clone(),
            program: self.program.clone(),
            execution,
            executor,
            context,
            packed_slot: self.is_packed(options).then(|| self.packed_slot.clone()),
            may_stay_in_place: options.weights == WeightStorage::Auto,
            logits: vec![],
            known_room: (0, 0),
        }))
    }

    fn save_prepared(&self, out: &mut dyn Write) -> Result<bool, EngineError> {
        let Some(packed) = self.packed_slot.proven() else { return Ok(false) };
        packed.save(out).map_err(EngineError::Storage)?;
        Ok(true)
    }

    fn restore_prepared(&self, saved: SharedBytes, proof: Proof) -> Result<(), EngineError> {
        self.packed_slot.restore(&self.program, saved, proof)
    }
}

fn kv_layout(program: &Program, element: KvElement) -> Result<KvLayout, EngineError> {
    KvLayout::new(&program.layers, PAGE, element).map_err(|e| EngineError::UnsupportedGraph(e.to_string()))
}

fn info_of(program: &Program, declared_context: Option<usize>) -> ModelInfo {
    let tables = program.rotaries.iter().filter_map(|r| r.positions()).min();
    let max_context = [declared_context, tables].into_iter().flatten().min().unwrap_or(UNKNOWN_CONTEXT);
    let storages: HashMap<usize, (Precision, u64)> =
        program.weights().map(|w| (w.identity(), (w.precision(), w.bytes()))).collect();
    let mut by_precision: HashMap<Precision, u64> = HashMap::new();
    storages.values().for_each(|(p, bytes)| *by_precision.entry(*p).or_default() += bytes);
    let precision = by_precision.iter().max_by_key(|(_, bytes)| **bytes).map_or(Precision::Float32, |(p, _)| *p);
    ModelInfo {
        engine: NAME,
        vocab: program.vocab,
        max_context,
        layers: program.layers.len(),
        weight_bytes: storages.values().map(|(_, bytes)| bytes).sum(),
        precision,
        own_nodes: program.steps.iter().filter(|s| !matches!(s.op, Op::Foreign(_))).count(),
        foreign_ops: program.foreign_ops(),
    }
}

/// By the name of each past key and value among the graph's inputs: what the bundle calls its successor.
fn presents(bundle: &Bundle, graph: &Graph) -> HashMap<String, String> {
    let io = bundle.io();
    let pairs = [(&io.past_key, &io.present_key), (&io.past_value, &io.present_value)];
    let successor = |name: &str| pairs.iter().find_map(|(past, present)| Some(present.of_layer(past.layer_of(name)?)));
    graph.inputs.iter().filter_map(|i| Some((i.name.clone(), successor(&i.name)?))).collect()
}

/// The last dimension of the first past input, `[batch, kv heads, past, head_dim]`.
fn declared_head_dim(graph: &Graph) -> Option<usize> {
    let mut dims = graph.inputs.iter().filter_map(|i| i.dims.as_ref()).filter(|d| d.len() == 4);
    match dims.next()?.last()? {
        Dim::Known(n) => Some(*n),
        _ => None,
    }
}
