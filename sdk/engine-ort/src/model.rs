//! An opened model: its graph as the library is to see it, its weights, and the facts of both.

use crate::caches::{Caches, budget_bytes};
use crate::failure::{NAME, backend_error, open_error};
use crate::head::pick_rows;
use crate::library::{Library, Loaded, Search, load};
use crate::mapped::{MappedSession, SessionOptions, Weight};
use crate::outside::refuse_outside;
use crate::provider::Provider;
use crate::runner::OrtRunner;
use crate::signature::{Declared, Signature, Storage};
use crate::watch::Watch;
use kinglet_bundle::onnx::{DataType, Edits, Graph, Place, SetInt, Tensor};
use kinglet_bundle::{Bundle, Bytes};
use kinglet_engine::{EngineError, MemoryEstimate, Model, ModelInfo, Precision, Runner, RunnerOptions};
use ort::session::RunOptions;
use ort::session::builder::{PrepackedWeights, SessionBuilder};
use ort::value::TensorElementType;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How a model is opened. By default the library is looked for in its usual places, and the CPU computes.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// The file of the library, where the caller knows it.
    pub library: Option<PathBuf>,
    /// The execution provider: runs the parts of the graph that it supports; the CPU runs the others.
    pub provider: Provider,
}

/// A decoder that ONNX Runtime runs.
pub struct OrtModel {
    info: Arc<ModelInfo>,
    signature: Arc<Signature>,
    loaded: Loaded,
    provider: Provider,
    /// The content of the graph's own file.
    file: Bytes,
    edits: Edits,
    /// The folder of the files that the edited graph names.
    folder: String,
    weights: Arc<[Weight]>,
    /// Prepacked weights, shared by the sessions of all runners: a container for each way to multiply.
    prepacked: Mutex<[Option<PrepackedWeights>; 2]>,
}

/// Context of a model that names none.
const UNKNOWN_CONTEXT: usize = 4096;

/// Initializers of at least this many bytes are read where they are mapped; smaller ones stay in the graph, where the library
/// can compute with them while it optimises.
const LEAST_MAPPED_BYTES: usize = 1024;

impl OrtModel {
    /// Reads a bundle's graph and has the library look at it. Weights stay in the bundle's map.
    ///
    /// # Errors
    /// [`EngineError::NoLibrary`] where ONNX Runtime is not on this machine, and [`EngineError::NoProvider`] where it has no such
    /// provider or that refuses the machine; [`EngineError::UnsupportedNode`] and
    /// [`EngineError::UnsupportedGraph`] where it does not run the graph, the graph would have it run code or read files of its own
    /// choice, or is no decoder with a past;
    /// [`EngineError::BadModel`] where it contradicts itself.
    pub fn open(bundle: &Bundle, options: &OpenOptions) -> Result<OrtModel, EngineError> {
        let search = Search { given: options.library.clone() };
        let loaded = load(&search).map_err(|error| EngineError::NoLibrary { engine: NAME, source: error.into() })?;
        options.provider.check(&loaded.library, || SessionBuilder::new(&loaded.environment))?;
        let bad = |error: &dyn std::error::Error| EngineError::BadModel(error.to_string());
        let graph = bundle.graph().map_err(|error| bad(&error))?;
        let file = bundle.graph_file().map_err(|error| bad(&error))?;
        refuse_outside(&graph, &bundle.variant().file)?;
        let architecture = bundle.architecture();
        let declared =
            Declared { kv_heads: architecture.kv_heads, head_dim: architecture.head_dim, vocab: architecture.vocab_size };
        let signature = Signature::of(&graph, bundle.io(), declared)?;
        let weights: Vec<Weight> = graph.initializers.iter().filter_map(weight).collect();
        let folder = folder_of(&weights);
        let edits = edits_of(&graph, &signature, &weights, &folder);
        let weights: Arc<[Weight]> = weights.into_iter().filter(|weight| edits.left_out.contains_key(&weight.name)).collect();
        let folder = folder.to_str().map(str::to_owned).ok_or_else(|| {
            EngineError::UnsupportedGraph(format!("ONNX Runtime takes no folder whose name is no text: {}", folder.display()))
        })?;
        let model = OrtModel {
            info: Arc::new(info_of(&graph, bundle, &signature)),
            signature: Arc::new(signature),
            loaded,
            provider: options.provider,
            file,
            edits,
            folder,
            weights,
            prepacked: Mutex::default(),
        };
        // Whether the library has all operators is known when it has made a session; without prepacking and optimising, that
        // is a matter of milliseconds. Its own code for the CPU has all that providers leave to it.
        let options = SessionOptions {
            threads: 1,
            optimise: false,
            prepacked: None,
            config: &[],
            folder: &model.folder,
            provider: Provider::Cpu,
        };
        model.session(&options, false)?;
        Ok(model)
    }

    /// The library that runs it.
    pub fn library(&self) -> &Library {
        &self.loaded.library
    }

    /// Whether one buffer is past and present; else each step makes new ones.
    pub fn shares_buffers(&self) -> bool {
        matches!(self.signature.storage, Storage::Shared { .. })
    }

    /// Whether the product with the vocabulary is done for the wanted rows alone.
    pub fn picks_rows(&self) -> bool {
        self.edits.picks.is_some()
    }

    fn session(&self, options: &SessionOptions<'_>, exact: bool) -> Result<MappedSession, EngineError> {
        let mut edits = self.edits.clone();
        if exact {
            edits.attributes.push(SetInt { op_type: "MatMulNBits".into(), attribute: "accuracy_level".into(), value: 0 });
        }
        let model = edits.apply(&self.file).map_err(|error| EngineError::BadModel(error.to_string()))?;
        MappedSession::new(&self.loaded.environment, &model, self.weights.clone(), options).map_err(|error| open_error(&error))
    }
}

impl Model for OrtModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn memory_estimate(&self, options: &RunnerOptions) -> MemoryEstimate {
        let (context, position) = (options.context_of(&self.info), self.signature.position_bytes());
        let logit_rows = if self.edits.picks.is_some() { options.sequences } else { STEP_ROWS };
        MemoryEstimate {
            // Prepacked weights are a copy; the mapped ones can be dropped by the system.
            weights: self.info.weight_bytes,
            kv: budget_bytes(position, context, options.sequences) as u64,
            kv_per_token: position as u64,
            // While a sequence's tensors grow, the old and the new are there.
            scratch: context
                .saturating_mul(position)
                .saturating_add(logit_rows.saturating_mul(self.signature.vocab * size_of::<f32>() * 2))
                as u64,
        }
    }

    fn runner(&self, options: &RunnerOptions) -> Result<Box<dyn Runner>, EngineError> {
        let context = options.check(&self.info)?;
        let exact = options.exact_activations;
        let prepacked = {
            let mut shared = self.prepacked.lock().unwrap_or_else(PoisonError::into_inner);
            shared[usize::from(exact)].get_or_insert_with(PrepackedWeights::new).clone()
        };
        let config = [
            ("session.qdq_matmulnbits_accuracy_level", if exact { "0" } else { "4" }),
            // Without it, products of unsigned and signed bytes overflow on x86-64 without VNNI, and logits are wrong.
            ("session.x64quantprecision", "1"),
        ];
        let threads = options.threads.count();
        let session = SessionOptions {
            threads,
            optimise: true,
            prepacked: Some(&prepacked),
            config: &config,
            folder: &self.folder,
            provider: self.provider,
        };
        let session = self.session(&session, exact)?;
        Ok(Box::new(OrtRunner {
            info: self.info.clone(),
            signature: self.signature.clone(),
            rows_input: self.edits.picks.as_ref().map(|picks| picks.indices.clone()),
            context,
            caches: Caches::new(&self.signature, context, options.sequences),
            options: Arc::new(RunOptions::new().map_err(backend_error)?),
            watch: Watch::start().map_err(backend_error)?,
            given: None,
            logits: vec![],
            session,
        }))
    }
}

/// The folder that most weights are in, links followed: the library takes files from one folder alone, and no links that lead out
/// of it, as those of the cache of Hugging Face's hub do.
fn folder_of(weights: &[Weight]) -> PathBuf {
    let mut bytes: HashMap<PathBuf, usize> = HashMap::new();
    for weight in weights {
        if let Some(folder) = weight.file.parent() {
            *bytes.entry(folder.to_owned()).or_default() += weight.bytes.len();
        }
    }
    bytes.into_iter().max_by_key(|(_, bytes)| *bytes).map_or_else(PathBuf::new, |(folder, _)| folder)
}

/// The edits of the graph for the library: weights below `folder` are left out of the file, all other constants are brought into it
/// (of large weights a copy, where nothing else can be done), and the head computes picked rows alone.
fn edits_of(graph: &Graph, signature: &Signature, weights: &[Weight], folder: &Path) -> Edits {
    let place = |weight: &Weight| {
        let location = weight.file.strip_prefix(folder).ok()?.to_str()?.to_owned();
        Some((weight.name.clone(), Place { location, offset: weight.offset, length: weight.bytes.len() }))
    };
    let left_out: HashMap<String, Place> = weights.iter().filter_map(place).collect();
    let rest = graph.initializers.iter().filter(|tensor| !left_out.contains_key(&tensor.name));
    let brought_in = rest.map(|tensor| (tensor.name.clone(), tensor.bytes.clone())).collect();
    Edits { brought_in, picks: pick_rows(graph, &signature.logits), left_out, attributes: vec![] }
}

/// Rows of the largest step that the estimate of scratch reckons with.
const STEP_ROWS: usize = 256;

/// The weight that an initializer is, if it is large enough to be read where it lies. Elements that lie at an odd address, which
/// happens inside the graph's own file, are copied.
fn weight(tensor: &Tensor) -> Option<Weight> {
    let (element, alignment) = match tensor.data_type {
        DataType::Float32 => (TensorElementType::Float32, 4),
        DataType::Float16 => (TensorElementType::Float16, 2),
        DataType::BFloat16 => (TensorElementType::Bfloat16, 2),
        DataType::UInt8 => (TensorElementType::Uint8, 1),
        DataType::Int8 => (TensorElementType::Int8, 1),
        DataType::UInt4 => (TensorElementType::Uint4, 1),
        DataType::Int4 => (TensorElementType::Int4, 1),
        _ => return None,
    };
    if tensor.bytes.len() < LEAST_MAPPED_BYTES {
        return None;
    }
    let (file, offset) = tensor.bytes.place()?;
    let file = file.canonicalize().ok()?;
    let aligned = (tensor.bytes.as_ptr() as usize).is_multiple_of(alignment);
    let bytes = if aligned { tensor.bytes.clone() } else { Bytes::copy_of::<u8>(&tensor.bytes) };
    let dims = tensor.dims.iter().map(|dim| i64::try_from(*dim).ok()).collect::<Option<_>>()?;
    Some(Weight { name: tensor.name.clone(), element, dims, bytes, file, offset })
}

fn info_of(graph: &Graph, bundle: &Bundle, signature: &Signature) -> ModelInfo {
    use kinglet_bundle::Precision as Stored;
    let operators: BTreeSet<&str> = graph.nodes.iter().map(|node| node.op_type.as_str()).collect();
    ModelInfo {
        engine: NAME,
        vocab: signature.vocab,
        max_context: bundle.architecture().max_context.unwrap_or(UNKNOWN_CONTEXT),
        layers: signature.kv.len() / 2,
        weight_bytes: graph.initializers.iter().map(|tensor| tensor.bytes.len() as u64).sum(),
        precision: match bundle.variant().precision {
            Some(Stored::Int4 | Stored::Int4Float16 | Stored::NormalFloat4) => Precision::Int4,
            Some(Stored::Int8) => Precision::Int8,
            Some(Stored::Float16) => Precision::Float16,
            Some(Stored::BFloat16) => Precision::BFloat16,
            _ => Precision::Float32,
        },
        own_nodes: 0,
        foreign_ops: operators.into_iter().map(str::to_owned).collect(),
    }
}
