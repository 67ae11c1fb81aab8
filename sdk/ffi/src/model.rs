//! Models: opened, prepared, asked.

use crate::KingletError;
use crate::cancel::Cancellation;
use crate::error::closed;
use crate::file_range::FileRange;
use crate::options::{OpenOptions, SessionSetup};
use crate::replies::{ReplyOptions, ReplyScore, SmartReplies, Talk};
use crate::session::{Place, Session};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Description of a model: metadata, engine and memory use.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct ModelInfo {
    /// The folder's name.
    pub name: String,
    /// The family, such as `llama`.
    pub family: String,
    /// Parameters, whatever they are packed into.
    pub parameters: u64,
    /// How the weights are stored, such as `int4`, where that is known.
    pub precision: Option<String>,
    /// Bytes of the files that hold the weights.
    pub file_bytes: u64,
    /// The engine that runs it; none where it does not run here.
    pub engine: Option<String>,
    /// Positions that one conversation may hold.
    pub context: Option<u64>,
    /// Memory use; none where it does not run here.
    pub memory: Option<Memory>,
    /// Why it does not run here, in one sentence.
    pub unsupported: Option<String>,
    /// All of the report, as `kinglet inspect --json` writes it.
    pub json: String,
}

/// Bytes that a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Memory {
    /// Weights: file pages that the system may evict, or resident ones.
    pub weights: u64,
    /// Keys and values when all conversations are full.
    pub kv: u64,
    /// Activations and scratch.
    pub scratch: u64,
    /// All of it.
    pub total: u64,
}

impl From<kinglet::ModelReport> for ModelInfo {
    fn from(report: kinglet::ModelReport) -> ModelInfo {
        let engine = report.engine.as_ref();
        ModelInfo {
            name: report.name.clone(),
            family: report.architecture.family.clone(),
            parameters: report.parameters,
            precision: report.variant.precision.map(str::to_owned),
            file_bytes: report.file_bytes.0,
            engine: engine.map(|engine| engine.name.to_string()),
            context: engine.map(|engine| engine.context as u64),
            memory: engine.map(|engine| Memory {
                weights: engine.memory.weights.0,
                kv: engine.memory.kv.0,
                scratch: engine.memory.scratch.0,
                total: engine.memory.total.0,
            }),
            unsupported: report.unsupported.clone(),
            json: serde_json::to_string(&report).unwrap_or_default(),
        }
    }
}

/// Hears how much of a model's preparation is done.
#[uniffi::export(foreign)]
pub trait PrepareProgress: Send + Sync {
    /// `done`: from 0 to 1.
    fn on_progress(&self, done: f32);
}

/// Opens models, and tells of them.
#[derive(Debug, uniffi::Object)]
pub struct Kinglet {
    pub(crate) kinglet: kinglet::Kinglet,
}

#[uniffi::export]
impl Kinglet {
    /// # Errors
    /// [`KingletError::InvalidRequest`] for options out of range, [`KingletError::Unsupported`] for an engine that this build does
    /// not have.
    #[uniffi::constructor]
    pub fn new(options: OpenOptions) -> Result<Kinglet, KingletError> {
        Ok(Kinglet { kinglet: options.builder().build()? })
    }

    /// Opens the model in a folder. Weights are mapped, not read: it is a matter of milliseconds.
    ///
    /// # Errors
    /// [`KingletError::NotFound`], [`KingletError::BadModel`], [`KingletError::Unsupported`], [`KingletError::OutOfMemory`].
    pub fn open(&self, folder: String) -> Result<Arc<Model>, KingletError> {
        Ok(Arc::new(Model::new(self.kinglet.open(&folder)?)))
    }

    /// As [`open`](Self::open), with files that lie elsewhere than in the folder, such as uncompressed assets. They are mapped from
    /// where they lie.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`KingletError::InvalidRequest`] for a descriptor that is not open.
    pub fn open_ranges(&self, folder: String, files: Vec<FileRange>) -> Result<Arc<Model>, KingletError> {
        let files = files.into_iter().map(kinglet::FileRange::try_from).collect::<Result<_, _>>()?;
        Ok(Arc::new(Model::new(self.kinglet.open_ranges(&folder, files)?)))
    }

    /// Description of the model in a folder, also of one that does not run here: [`ModelInfo::unsupported`] then gives the reason.
    ///
    /// # Errors
    /// [`KingletError::NotFound`], [`KingletError::BadModel`], [`KingletError::Unsupported`].
    pub fn inspect(&self, folder: String) -> Result<ModelInfo, KingletError> {
        Ok(self.kinglet.inspect(&folder)?.into())
    }
}

/// An opened model. It may be used from several threads: they take turns step by step.
#[derive(Debug, uniffi::Object)]
pub struct Model {
    model: Mutex<Option<kinglet::Model>>,
    /// Sessions that were opened, to be closed with it.
    sessions: Mutex<Vec<Weak<Place>>>,
}

impl Model {
    pub(crate) fn new(model: kinglet::Model) -> Model {
        Model { model: Mutex::new(Some(model)), sessions: Mutex::default() }
    }

    pub(crate) fn opened(&self) -> Result<kinglet::Model, KingletError> {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        model.clone().ok_or_else(|| closed("model"))
    }
}

#[uniffi::export]
impl Model {
    /// Description of the opened model, with the context that the memory budget allowed.
    ///
    /// # Errors
    /// [`KingletError::Closed`], [`KingletError::BadModel`] where its files have changed since it was opened.
    pub fn info(&self) -> Result<ModelInfo, KingletError> {
        Ok(self.opened()?.report()?.into())
    }

    /// Does now what the first answer would have to do first: a moment for small models, a second or two for large ones.
    ///
    /// # Errors
    /// [`KingletError::Closed`], [`KingletError::Cancelled`], [`KingletError::OutOfMemory`], [`KingletError::Storage`].
    pub fn prepare(
        &self,
        progress: Option<Arc<dyn PrepareProgress>>,
        cancellation: Arc<Cancellation>,
    ) -> Result<(), KingletError> {
        let hear = |done: f32| {
            if let Some(progress) = &progress {
                progress.on_progress(done);
            }
        };
        Ok(self.opened()?.prepare(&cancellation.handle, hear)?)
    }

    /// Begins a conversation.
    ///
    /// # Errors
    /// [`KingletError::Closed`], [`KingletError::Unsupported`] for a model without a chat template, [`KingletError::BadModel`].
    pub fn session(&self, setup: SessionSetup) -> Result<Arc<Session>, KingletError> {
        let session = Session::new(self.opened()?.session(setup.into())?);
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|place| place.strong_count() > 0);
        sessions.push(session.place());
        Ok(Arc::new(session))
    }

    /// Up to three replies for the side whose turn it is. That there is no good one is an answer, not an error.
    ///
    /// # Errors
    /// [`KingletError::Closed`], [`KingletError::Cancelled`], [`KingletError::Unsupported`], [`KingletError::InvalidRequest`].
    pub fn smart_reply(
        &self,
        talk: Talk,
        options: ReplyOptions,
        cancellation: Arc<Cancellation>,
    ) -> Result<SmartReplies, KingletError> {
        Ok(self.opened()?.smart_reply_until(&talk.into(), options.into(), &cancellation.handle)?.into())
    }

    /// The same model, whose suggested replies `judge` judges: a model with a bank of replies, as the one that ships with Kinglet. Its
    /// bank fills in where this model writes nothing good, and where neither is sure there is no reply. Both go on being used and ended
    /// by themselves; they are held until what this gives is ended as well.
    ///
    /// # Errors
    /// [`KingletError::Closed`], [`KingletError::Unsupported`] for a judge without a bank.
    pub fn judged_by(&self, judge: Arc<Model>) -> Result<Arc<Model>, KingletError> {
        Ok(Arc::new(Model::new(self.opened()?.judged_by(&judge.opened()?)?)))
    }

    /// How well each candidate fits as the next message, in the order of the candidates.
    ///
    /// # Errors
    /// As [`smart_reply`](Self::smart_reply).
    pub fn score_replies(
        &self,
        talk: Talk,
        candidates: Vec<String>,
        cancellation: Arc<Cancellation>,
    ) -> Result<Vec<ReplyScore>, KingletError> {
        let scores = self.opened()?.score_replies(&talk.into(), &candidates, &cancellation.handle)?;
        Ok(scores.into_iter().map(ReplyScore::from).collect())
    }

    /// Bytes that keys and values of all sessions take now; 0 once it is closed.
    pub fn kv_bytes(&self) -> u64 {
        self.opened().map_or(0, |model| model.kv_bytes().0)
    }

    /// Closes the model and its sessions, whose answers end within a token. Ending it twice does nothing more. What another call
    /// is computing with it ends by its own cancellation, and keeps the memory until then.
    pub fn end(&self) {
        let sessions = std::mem::take(&mut *self.sessions.lock().unwrap_or_else(PoisonError::into_inner));
        sessions.iter().filter_map(Weak::upgrade).for_each(|place| place.close());
        *self.model.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
