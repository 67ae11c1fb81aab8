//! An opened model: what everything else is asked of.

use crate::fallback::{Backend, Order};
use crate::local_model::LocalModel;
use crate::system::System;
use crate::text::Text;
use crate::{Bytes, CancelHandle, EngineRefusal, Error};
use kinglet_generate::SamplingOptions;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

/// An opened model: that of a folder, the system's, or both. Clones are the same one, and it may be used from several threads:
/// they take turns step by step.
///
/// Token-level functions (raw prompts, likelihoods, logits, prefixes, tokenizer and template) are those of the folder's
/// model alone; where there is none, it is [`Error::Unsupported`].
#[derive(Clone)]
pub struct Model(Arc<Backends>);

/// State shared by the clones: the backends.
struct Backends {
    local: Option<Arc<LocalModel>>,
    system: Option<System>,
    /// Why there is no model of a folder, where one was asked for.
    absent: Option<EngineRefusal>,
    /// Who judges suggested replies beside the model of a folder.
    judge: Option<Arc<LocalModel>>,
}

impl Model {
    /// The model of a folder, and the system's beside it.
    pub(crate) fn new(local: LocalModel, system: Option<System>) -> Model {
        Model(Arc::new(Backends { local: Some(Arc::new(local)), system, absent: None, judge: None }))
    }

    /// The system's model alone.
    pub(crate) fn of_system(system: System, absent: Option<EngineRefusal>) -> Model {
        Model(Arc::new(Backends { local: None, system: Some(system), absent, judge: None }))
    }

    /// The same model, whose suggested replies `judge` judges: a model with a bank of replies, as the one that ships with Kinglet. What
    /// this model writes is shown where the judge is sure of it, replies of the judge's bank fill in, and where the judge is sure of
    /// nothing there is no reply. Models with a bank of their own, callers' banks, the system's model, and conversations in a language that
    /// the judge does not speak are judged as before.
    ///
    /// ```no_run
    /// use kinglet::{Conversation, Kinglet, SmartReplyOptions};
    /// let kinglet = Kinglet::builder().build()?;
    /// let (writer, judge) = (kinglet.open("smollm2")?, kinglet.open("goldcrest")?);
    /// let replies = writer.judged_by(&judge)?.smart_reply(&Conversation::single("thanks!!"), SmartReplyOptions::default())?;
    /// # Ok::<(), kinglet::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] where `judge` is the system's model alone, or has no bank.
    pub fn judged_by(&self, judge: &Model) -> Result<Model, Error> {
        let local = judge.local()?;
        if !judge.has_bank() {
            let folder = local.bundle.folder().display();
            return Err(Error::unsupported(format!(
                "`{folder}` has no bank of replies to judge with; take the model that ships with Kinglet"
            )));
        }
        let Backends { local: writer, system, absent, .. } = &*self.0;
        let judge = Some(local.clone());
        Ok(Model(Arc::new(Backends { local: writer.clone(), system: system.clone(), absent: absent.clone(), judge })))
    }

    /// Whether the model of the folder has a bank of replies, by which it judges.
    pub fn has_bank(&self) -> bool {
        self.0.local.as_ref().is_some_and(|local| local.extras.reply_bank.is_some())
    }

    /// Who judges suggested replies beside the model of the folder.
    pub(crate) fn judge(&self) -> Option<&LocalModel> {
        self.0.judge.as_deref()
    }

    /// The model of a folder.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is none.
    pub(crate) fn local(&self) -> Result<&Arc<LocalModel>, Error> {
        self.0.local.as_ref().ok_or_else(|| {
            let why = self.0.absent.as_ref().map(|absent| format!(", and the folder could not be opened ({})", absent.reason));
            let message = "the system's model takes and gives text alone, no tokens, likelihoods or prefixes";
            Error::unsupported(format!("{message}{}; open a model folder for that", why.unwrap_or_default()))
        })
    }

    /// The system's model, where one may be used.
    pub(crate) fn system(&self) -> Option<&System> {
        self.0.system.as_ref()
    }

    /// Who is asked, in which order.
    pub(crate) fn order(&self) -> Order {
        Order::new(self.0.local.is_some(), self.system().map(|system| system.policy))
    }

    /// Why there is no model of a folder, where one was asked for.
    pub(crate) fn absent(&self) -> Option<&EngineRefusal> {
        self.0.absent.as_ref()
    }

    /// Does now what the first answer would have to do first, such as prepacking weights: a moment for small models, a second
    /// or two for large ones. `progress` hears how much is done, from 0 to 1. Where it is done already, or was saved, saved weights
    /// are verified and nothing else happens. A system's model that is asked first and available is prewarmed instead.
    ///
    /// # Errors
    /// [`Error::Cancelled`] soon after `cancel` is raised, [`Error::OutOfMemory`] or another where the engine fails;
    /// [`Error::Storage`] where the weights are prepared but [could not be saved](crate::Builder::prepared_weights).
    pub fn prepare(&self, cancel: &CancelHandle, mut progress: impl FnMut(f32)) -> Result<(), Error> {
        let first = self.system().filter(|_| self.order().first == Backend::System);
        if let Some(system) = first.filter(|system| system.host.availability().is_available()) {
            return Ok(system.host.prewarm(None)?);
        }
        // Where the system's model comes first but is not there, nothing else may be there to be prepared.
        let Some(local) = &self.0.local else { return Ok(()) };
        local.generator.prepare(&cancel.0, &mut progress)?;
        let prepared = local.prepared.as_ref().filter(|_| local.settings.save_prepared);
        prepared.map_or(Ok(()), |prepared| prepared.save(&*local.engine.model))
    }

    /// The file with this model's [prepared weights](crate::Builder::prepared_weights); `None` where there is none.
    pub fn prepared_file(&self) -> Option<PathBuf> {
        let prepared = self.0.local.as_ref()?.prepared.as_ref()?;
        Some(prepared.path()).filter(|path| path.is_file())
    }

    /// Positions that one conversation may hold; 0 where the system's model alone answers, which counts no positions.
    pub fn context(&self) -> usize {
        self.0.local.as_ref().map_or(0, |local| local.generator.context())
    }

    /// Number of logits that a position has; 0 where the system's model alone answers, which gives none.
    pub fn vocabulary(&self) -> usize {
        self.0.local.as_ref().map_or(0, |local| local.generator.info().vocab)
    }

    /// Bytes that keys and values of all sessions and of the prefix pool take now, without those of the system's model.
    pub fn kv_bytes(&self) -> Bytes {
        Bytes(self.0.local.as_ref().map_or(0, |local| local.generator.kv_bytes() as u64))
    }

    /// How the model's makers would have tokens chosen; greedy where its files say nothing usable, and where the system's model
    /// alone answers, which chooses by itself unless it is told.
    pub fn recommended_sampling(&self) -> &SamplingOptions {
        static GREEDY: LazyLock<SamplingOptions> = LazyLock::new(SamplingOptions::default);
        self.0.local.as_ref().map_or(&*GREEDY, |local| &local.sampling)
    }

    /// Tokenizer and template, read from the folder at the first call.
    pub(crate) fn text(&self) -> Result<Arc<Text>, Error> {
        self.local()?.text()
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let local = self.0.local.as_ref().map(|local| (local.bundle.folder(), &local.fit));
        f.debug_struct("Model").field("local", &local).field("system", &self.0.system).finish_non_exhaustive()
    }
}
