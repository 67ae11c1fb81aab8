//! The immutable half: what an opened model is, and what running it would cost.

use crate::{CancelToken, EngineError, Runner, TokenId};
use std::io::Write;

/// A model that an engine has opened: weights mapped, graph planned. Shared between threads.
pub trait Model: Send + Sync {
    /// The facts that callers above need; constant for the model's life.
    fn info(&self) -> &ModelInfo;

    /// Estimates the memory of a runner with these options, before one is made.
    fn memory_estimate(&self, options: &RunnerOptions) -> MemoryEstimate;

    /// Makes a runner. Several may be alive at once; they share the weights and nothing else.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] for a context of zero or beyond the model's, [`EngineError::Backend`] when the
    /// engine cannot get its threads or memory.
    fn runner(&self, options: &RunnerOptions) -> Result<Box<dyn Runner>, EngineError>;

    /// Writes what [`Runner::prepare`] made of the weights, for [`Model::restore_prepared`]; false, and nothing written, where there
    /// is nothing of that kind, which is what an engine does that does not override this.
    ///
    /// # Errors
    /// [`EngineError::Storage`] where `out` fails.
    fn save_prepared(&self, _out: &mut dyn Write) -> Result<bool, EngineError> {
        Ok(false)
    }

    /// Has runners made from now on use what [`Model::save_prepared`] wrote, where it lies, instead of preparing. The caller
    /// answers for it: that it was made of the same weights by the same version on a machine with the same instruction set, and, by
    /// `proof`, that nothing has changed it. The proof is asked for before the bytes are first used.
    ///
    /// # Errors
    /// [`EngineError::SavedWeights`] where it is plainly of something else, and from an engine that does not override this.
    fn restore_prepared(&self, _saved: SharedBytes, _proof: Proof) -> Result<(), EngineError> {
        Err(EngineError::SavedWeights(format!("the engine {} prepares nothing", self.info().engine)))
    }
}

/// Bytes that are shared and stay what they are, such as a mapped file.
pub type SharedBytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Says whether saved bytes are those that were saved; where not, they are not used, and are made anew. It is asked until it has
/// given an answer: [`EngineError::Cancelled`] is none.
pub type Proof = Box<dyn FnMut(&CancelToken) -> Result<bool, EngineError> + Send>;

/// Metadata of an opened model, in terms that hold for every engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// Name of the engine that opened it, as in `--engine`.
    pub engine: &'static str,
    /// Number of logits a position has.
    pub vocab: usize,
    /// Positions the model was made for.
    pub max_context: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Bytes of the weights as the model's files hold them.
    pub weight_bytes: u64,
    /// How the weights of the matrix products are stored.
    pub precision: Precision,
    /// Operators that run as our kernels, and those left to the engine's own library.
    pub own_nodes: usize,
    /// Names of the operator types left to the engine's own library, sorted, each once.
    pub foreign_ops: Vec<String>,
}

/// The storage of most of a model's weight bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// IEEE single precision.
    Float32,
    /// IEEE half precision.
    Float16,
    /// bfloat16.
    BFloat16,
    /// 8-bit integers with scales.
    Int8,
    /// 4-bit integers with scales.
    Int4,
    /// 2-bit integers with scales.
    Int2,
}

impl std::fmt::Display for Precision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
            Self::Int8 => "int8",
            Self::Int4 => "int4",
            Self::Int2 => "int2",
        })
    }
}

/// How many threads a runner uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// As many as the machine has processors available to this process.
    #[default]
    Auto,
    /// Exactly this many, at least 1; the calling thread is one of them.
    Exactly(usize),
}

impl Threads {
    /// The number of them, at least 1.
    pub fn count(self) -> usize {
        match self {
            Threads::Auto => std::thread::available_parallelism().map_or(1, usize::from),
            Threads::Exactly(threads) => threads.max(1),
        }
    }
}

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvType {
    /// Half precision beside quantised weights, whose rounding is far coarser; single precision otherwise.
    #[default]
    Auto,
    /// Four bytes an element.
    Float32,
    /// Two bytes an element.
    Float16,
}

/// Where quantised weights are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightStorage {
    /// Packed where the machine has room for that, in place otherwise.
    #[default]
    Auto,
    /// From the model's files, mapped: ready at once, and the system may take the memory back.
    InPlace,
    /// From a packed copy in memory, made before the first step: faster, and the work of a moment.
    Packed,
}

/// Options of a runner. The defaults: 2,048 positions (or the model's maximum if that is smaller), room for 8 such sequences;
/// threads, storage of keys and values and of weights chosen by the engine; quantised activations allowed.
///
/// ```
/// use kinglet_engine::{RunnerOptions, Threads};
/// let options = RunnerOptions::default();
/// assert_eq!((options.context, options.sequences), (2048, 8));
/// assert_eq!(options.threads, Threads::Auto);
/// assert!(!options.exact_activations);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerOptions {
    /// Positions one sequence may hold; reduced to the model's maximum if that is smaller.
    pub context: usize,
    /// The key/value arena has room for this many full sequences; pages are taken as sequences grow.
    pub sequences: usize,
    /// Threads of the worker pool.
    pub threads: Threads,
    /// Storage of keys and values.
    pub kv_type: KvType,
    /// Multiply quantised weights with float32 activations instead of int8 ones: exact and several times slower.
    pub exact_activations: bool,
    /// Where quantised weights are read from; exact activations read them in place.
    pub weights: WeightStorage,
}

impl RunnerOptions {
    /// Positions that a sequence of this model may hold.
    pub fn context_of(&self, info: &ModelInfo) -> usize {
        self.context.min(info.max_context)
    }

    /// The same, checked at an engine's door.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] where there is no room for a single position.
    pub fn check(&self, info: &ModelInfo) -> Result<usize, EngineError> {
        match self.context_of(info) {
            context if context > 0 && self.sequences > 0 => Ok(context),
            _ => Err(EngineError::InvalidRequest("a runner needs room for at least one position of one sequence".into())),
        }
    }
}

impl Default for RunnerOptions {
    fn default() -> Self {
        Self {
            context: 2048,
            sequences: 8,
            threads: Threads::Auto,
            kv_type: KvType::default(),
            exact_activations: false,
            weights: WeightStorage::default(),
        }
    }
}

/// Bytes that running a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights: file pages that the system may evict, or packed weights.
    pub weights: u64,
    /// Keys and values when the arena is full.
    pub kv: u64,
    /// Keys and values of one position of one sequence.
    pub kv_per_token: u64,
    /// Activations and scratch of the largest step.
    pub scratch: u64,
}

impl MemoryEstimate {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.kv + self.scratch
    }
}

/// Checks that every token is inside the vocabulary.
///
/// # Errors
/// [`EngineError::TokenOutOfRange`] for the first that is not.
pub(crate) fn check_tokens(tokens: &[TokenId], vocab: usize) -> Result<(), EngineError> {
    match tokens.iter().find(|&&t| t as usize >= vocab) {
        Some(&token) => Err(EngineError::TokenOutOfRange { token, vocab }),
        None => Ok(()),
    }
}
