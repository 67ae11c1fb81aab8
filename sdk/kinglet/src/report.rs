//! The report on a model, as plain data.

use crate::budget::Fit;
use crate::engines::{self, Chosen, EngineRefusal};
use crate::local_model::fit_of;
use crate::parameters::parameters;
use crate::probe::Decision;
use crate::replies::read_extras;
use crate::settings::Settings;
use crate::system::SystemReport;
use crate::text::Text;
use crate::{Bytes, Error, Model, ProcessMemory, Provider};
use kinglet_bundle::onnx::Graph;
use kinglet_bundle::{Architecture, Bundle, Precision, Variant};
use kinglet_engine::{MemoryEstimate, Threads};
use kinglet_tasks::{ModelExtras, ReplyFormat};
use serde::Serialize;
use std::path::PathBuf;

/// Report on a model: metadata, tokenizer, engine and memory use.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelReport {
    /// The folder's name.
    pub name: String,
    /// The folder.
    pub folder: PathBuf,
    /// How the folder is laid out: `onnxruntime-genai`, `Optimum` or `onnx-community`.
    pub layout: String,
    /// The graph that was chosen.
    pub variant: VariantReport,
    /// Why it was chosen, in one sentence.
    pub choice: String,
    /// All graphs that the folder offers.
    pub variants: Vec<VariantReport>,
    /// The shape of the model.
    pub architecture: ArchitectureReport,
    /// Parameters, whatever they are packed into.
    pub parameters: u64,
    /// Bytes of the files that hold the weights.
    pub file_bytes: Bytes,
    /// Those files.
    pub files: Vec<PathBuf>,
    /// How it runs here; `None` where it does not.
    pub engine: Option<EngineReport>,
    /// Why it does not run here, in one sentence.
    pub unsupported: Option<String>,
    /// Recommended alternative to this form of the model, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Its tokenizer and templates.
    pub text: TextReport,
    /// Reply settings of its `kinglet.json`.
    pub replies: RepliesReport,
    /// The system's model beside it, where one may be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemReport>,
}

/// One graph of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VariantReport {
    /// The file's name without `.onnx`.
    pub name: String,
    /// The graph's file.
    pub file: PathBuf,
    /// How its weights are stored, where that is known.
    pub precision: Option<&'static str>,
    /// Bytes of graph and weights.
    pub bytes: Bytes,
}

/// The shape of a model, as its files say it; `None` where they do not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArchitectureReport {
    /// The family, such as `qwen2`.
    pub family: String,
    /// Width of the residual stream.
    pub hidden_size: Option<usize>,
    /// Layers.
    pub layers: Option<usize>,
    /// Query heads a layer.
    pub attention_heads: Option<usize>,
    /// Key and value heads a layer.
    pub kv_heads: Option<usize>,
    /// Width of one head.
    pub head_dim: Option<usize>,
    /// Width inside the feed-forward part.
    pub intermediate_size: Option<usize>,
    /// Logits a position has.
    pub vocabulary: Option<usize>,
    /// Positions that it was made for.
    pub max_context: Option<usize>,
    /// Positions that layers with a window see.
    pub sliding_window: Option<usize>,
    /// Tokens that end an answer.
    pub end_tokens: Vec<u32>,
}

/// How a model runs on an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineReport {
    /// The engine's name.
    pub name: &'static str,
    /// The execution provider, of ONNX Runtime.
    pub provider: Option<Provider>,
    /// Decision of a probe's record; `None` where there is none or the engine was named.
    pub decision: Option<Decision>,
    /// Storage of most of the weights' bytes.
    pub precision: String,
    /// Operators that run on Kinglet's kernels.
    pub own_operators: usize,
    /// Types of those that are left to the engine's own library.
    pub foreign_operators: Vec<String>,
    /// Threads that it was told to use; `None` leaves it to the engine.
    pub threads: Option<usize>,
    /// Positions that one conversation may hold.
    pub context: usize,
    /// Full conversations that there is room for at once.
    pub max_sequences: usize,
    /// Why that is less than was asked for, in one sentence.
    pub reduced: Option<String>,
    /// The engines that were asked before this one, and why they do not run the model.
    pub refused: Vec<EngineRefusal>,
    /// Memory use.
    pub memory: MemoryReport,
}

/// Bytes that running a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryReport {
    /// Weights: file pages that the system may evict.
    pub weights: Bytes,
    /// Keys and values when all conversations are full.
    pub kv: Bytes,
    /// Keys and values of one position.
    pub kv_per_token: Bytes,
    /// Activations and scratch.
    pub scratch: Bytes,
    /// All of it.
    pub total: Bytes,
    /// Memory of the process beside it: the program, the graph, the tokenizer. `None` where the system does not tell.
    pub process: Option<Bytes>,
}

impl MemoryReport {
    /// Memory that the process takes at most, once all conversations are full; `None` where the system does not tell what the
    /// process has besides the model.
    pub fn resident(&self) -> Option<Bytes> {
        self.process.map(|process| Bytes(process.0 + self.total.0))
    }

    fn new(estimate: MemoryEstimate, opened: Option<Bytes>, text: Option<&Text>) -> MemoryReport {
        MemoryReport {
            weights: Bytes(estimate.weights),
            kv: Bytes(estimate.kv),
            kv_per_token: Bytes(estimate.kv_per_token),
            scratch: Bytes(estimate.scratch),
            total: Bytes(estimate.total()),
            process: opened.map(|opened| Bytes(opened.0 + text.map_or(0, |text| text.resident.0))),
        }
    }
}

/// A model's tokenizer and templates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TextReport {
    /// Tokens in the tokenizer's vocabulary; `None` without a usable tokenizer.
    pub vocabulary: Option<usize>,
    /// Names of the chat templates.
    pub templates: Vec<String>,
    /// Why there is no usable tokenizer, in one sentence.
    pub unusable: Option<String>,
}

/// How a model replies in conversations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepliesReport {
    /// Languages that it speaks, as ISO 639-1 codes; none named, every language is tried.
    pub languages: Vec<String>,
    /// Whom it was trained to be: `assistant`, or one of two `speakers`.
    pub format: &'static str,
    /// How it ranks replies: `trained` for it, or by their `likelihood`.
    pub ranking: &'static str,
}

impl Model {
    /// Report on the opened model, with the context and number of sequences that the memory budget allowed.
    ///
    /// # Errors
    /// [`Error::BadModel`] where its files have changed since it was opened; [`Error::Unsupported`] for a model without a folder,
    /// of which [`system_report`](Self::system_report) tells.
    pub fn report(&self) -> Result<ModelReport, Error> {
        let local = self.local()?;
        let text = local.text();
        let memory = MemoryReport::new(local.fit.estimate, local.process, text.as_deref().ok());
        let engine = EngineReport::new(&local.engine, &local.fit, &local.settings, memory);
        let report = report(&local.bundle, Ok(engine), TextReport::new(text.as_deref()), &local.extras)?;
        Ok(ModelReport { system: self.system_report(), ..report })
    }
}

/// The report of a bundle that may or may not run.
pub(crate) fn inspect(bundle: Bundle, settings: &Settings) -> Result<ModelReport, Error> {
    let engine = engines::open(&bundle, settings, true);
    let opened = ProcessMemory::look().map(|memory| memory.resident);
    let text = Text::read(&bundle);
    let engine = engine.and_then(|engine| {
        let fit = fit_of(&*engine.model, settings)?;
        let memory = MemoryReport::new(fit.estimate, opened, text.as_ref().ok());
        Ok(EngineReport::new(&engine, &fit, settings, memory))
    });
    let report = report(&bundle, engine, TextReport::new(text.as_ref()), &read_extras(&bundle)?)?;
    Ok(ModelReport { system: settings.system.as_ref().map(SystemReport::of), ..report })
}

fn report(
    bundle: &Bundle,
    engine: Result<EngineReport, Error>,
    text: TextReport,
    extras: &ModelExtras,
) -> Result<ModelReport, Error> {
    let folder = bundle.folder();
    let (engine, unsupported) = match engine {
        Ok(engine) => (Some(engine), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let graph = bundle.graph()?;
    let parameters = parameters(&graph);
    let named = folder.canonicalize().unwrap_or_else(|_| folder.into());
    Ok(ModelReport {
        name: named.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        folder: folder.into(),
        layout: bundle.layout().to_string(),
        variant: VariantReport::of(bundle.variant()),
        choice: bundle.choice().to_owned(),
        variants: bundle.variants().iter().map(VariantReport::of).collect(),
        architecture: ArchitectureReport::of(bundle.architecture()),
        parameters,
        file_bytes: Bytes(bundle.total_bytes()),
        files: bundle.weight_files().iter().map(|file| file.path.clone()).collect(),
        engine,
        unsupported,
        advice: advice(&graph, parameters),
        text,
        replies: RepliesReport::of(extras),
        system: None,
    })
}

/// Below so many parameters a model loses much when all its weights are rounded to 4 bits: docs/real-models.md.
const SMALL: u64 = 500_000_000;

/// Recommended alternative to this form of a model, if one is known.
fn advice(graph: &Graph, parameters: u64) -> Option<String> {
    (parameters < SMALL && Precision::is_plain_int4(graph)).then(|| {
        "a model of this size loses much in plain 4 bits, unless it was trained for them: int8, or int4 by k-quant with some matrices in 8 \
         bits, writes better"
            .into()
    })
}

impl VariantReport {
    fn of(variant: &Variant) -> VariantReport {
        VariantReport {
            name: variant.name.clone(),
            file: variant.file.clone(),
            precision: variant.precision.map(|precision| precision.name()),
            bytes: Bytes(variant.bytes),
        }
    }
}

impl ArchitectureReport {
    fn of(architecture: &Architecture) -> ArchitectureReport {
        ArchitectureReport {
            family: architecture.model_type.clone(),
            hidden_size: architecture.hidden_size,
            layers: architecture.layers,
            attention_heads: architecture.attention_heads,
            kv_heads: architecture.kv_heads,
            head_dim: architecture.head_dim,
            intermediate_size: architecture.intermediate_size,
            vocabulary: architecture.vocab_size,
            max_context: architecture.max_context,
            sliding_window: architecture.sliding_window.as_ref().map(|window| window.positions),
            end_tokens: architecture.eos_ids.clone(),
        }
    }
}

impl EngineReport {
    fn new(engine: &Chosen, fit: &Fit, settings: &Settings, memory: MemoryReport) -> EngineReport {
        let info = engine.model.info();
        EngineReport {
            name: info.engine,
            provider: engine.provider,
            decision: engine.decision.clone(),
            precision: info.precision.to_string(),
            own_operators: info.own_nodes,
            foreign_operators: info.foreign_ops.clone(),
            threads: match settings.threads {
                Threads::Auto => None,
                Threads::Exactly(threads) => Some(threads),
            },
            context: fit.room.context,
            max_sequences: fit.room.sequences,
            reduced: fit.reduced.clone(),
            refused: engine.refused.clone(),
            memory,
        }
    }
}

impl RepliesReport {
    fn of(extras: &ModelExtras) -> RepliesReport {
        RepliesReport {
            languages: extras.languages.clone(),
            format: match extras.reply_format {
                ReplyFormat::Assistant => "assistant",
                ReplyFormat::Speakers => "speakers",
            },
            ranking: if extras.reply_ranking.is_some() { "trained" } else { "likelihood" },
        }
    }
}

impl TextReport {
    fn new(text: Result<&Text, &Error>) -> TextReport {
        match text {
            Ok(text) => TextReport { vocabulary: Some(text.tokenizer.vocab_size()), templates: text.templates(), unusable: None },
            Err(error) => TextReport { unusable: Some(error.to_string()), ..TextReport::default() },
        }
    }
}
