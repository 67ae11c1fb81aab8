//! Replies: suggested ones, and how well given ones fit.

use crate::fallback::{Backend, Order};
use crate::local_model::LocalModel;
use crate::system;
use crate::{CancelHandle, Error, Model, PromptRequest};
use kinglet_bundle::Bundle;
use kinglet_guard::{Kind, room};
use kinglet_tasks::{
    DualEncoder, ModelExtras, NgramClassifier, NgramError, ReplyBank, ReplyModel, SmartReplier, SmartReplyRequest, TaskModel,
};
use kinglet_text::{ChatTemplate, Message};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use kinglet_tasks::{
    CandidateScore, Considered, Conversation, ConversationError, CrisisKind, Fate, Place, Reason, Reply, ReplyScores,
    ReplySource, ReplyTiming, ReplyUsage, SmartReply, SmartReplyOptions, Speaker, Status, Turn,
};

/// Memory of the smart reply rules, compiled at the first reply: mostly regular expressions.
const RULES_BYTES: u64 = 12 << 20;
/// Memory of a loaded bank: text, vectors and n-gram table.
const BANK_BYTES: u64 = 12 << 20;
/// The file in which a model folder says what other runtimes do not know.
const EXTRAS: &str = "kinglet.json";
/// The bank of replies that comes with a model whose [`EXTRAS`] say how it is judged, the vectors of its replies, and what the words of
/// a message say of its intents.
const BANK: &str = "bank.txt";
const BANK_VECTORS: &str = "bank.vectors";
const BANK_NGRAMS: &str = "bank.ngrams";
/// N-gram table that scores a reply by the words of a conversation, for a model whose [`EXTRAS`] give it a weight.
const RANK_NGRAMS: &str = "rank.ngrams";
/// Stand-in for the chat template of a model that has none, where only raw prompts are scored.
const NO_TEMPLATE: &str = "{% for message in messages %}{{ message.content }}{% endfor %}";

/// Content of the folder's `kinglet.json`, or the defaults.
pub(crate) fn read_extras(bundle: &Bundle) -> Result<ModelExtras, Error> {
    let Some(path) = bundle.extra_file(EXTRAS) else { return Ok(ModelExtras::default()) };
    let unusable = |reason: String| {
        Error::BadModel(format!("`{}` cannot be used: {reason}; correct it or download it again", path.display()).into())
    };
    let text = kinglet_guard::read_text(&path, Kind::Extras).map_err(|error| Error::BadModel(error.into()))?;
    ModelExtras::from_json(&text).map_err(|error| unusable(error.to_string()))
}

/// A replier with the bank of the folder, if it has one that the model can judge.
fn with_bank(replier: SmartReplier, bundle: &Bundle, extras: &ModelExtras) -> Result<SmartReplier, Error> {
    let Some(settings) = &extras.reply_bank else { return Ok(replier) };
    let path = wanted(bundle, BANK, "reply_bank")?;
    room::check("the bank of replies", BANK_BYTES)?;
    let text = kinglet_guard::read_text(&path, Kind::Bank).map_err(|error| Error::BadModel(error.into()))?;
    let bank = ReplyBank::parse(&text)
        .map_err(|error| Error::BadModel(format!("`{}` is no bank of replies: {error}", path.display()).into()))?;
    let unknown = bank.unknown_intents(settings);
    if !unknown.is_empty() {
        log::warn!("`{}` has no intent {}, which `{EXTRAS}` names; correct one of them", path.display(), unknown.join(", "));
    }
    let vectors = bundle.extra_file(BANK_VECTORS).map(|path| bytes(&path, Kind::BankVectors)).transpose()?.unwrap_or_default();
    let ngrams = match settings.blend {
        Some(_) => Some(table(&wanted(bundle, BANK_NGRAMS, "reply_bank.blend")?, NgramClassifier::read)?),
        None => None,
    };
    Ok(replier.with_bank(bank, vectors, ngrams))
}

/// A file that must be there because the folder's `kinglet.json` has `field`.
fn wanted(bundle: &Bundle, name: &str, field: &str) -> Result<PathBuf, Error> {
    bundle.extra_file(name).ok_or_else(|| {
        let folder = bundle.folder().display();
        let why = format!("`{folder}` has no `{name}`, which `{field}` of its `{EXTRAS}` asks for");
        Error::BadModel(format!("{why}; download the model again, or take `{field}` out").into())
    })
}

fn bytes(path: &Path, kind: Kind) -> Result<Vec<u8>, Error> {
    kinglet_guard::read(path, kind).map_err(|error| Error::BadModel(error.into()))
}

/// A table of n-grams in a file.
fn table<T>(path: &Path, read: impl FnOnce(Vec<u8>) -> Result<T, NgramError>) -> Result<T, Error> {
    let unusable = |error| format!("`{}` is no table of n-grams: {error}; download the model again", path.display());
    read(bytes(path, Kind::Ngrams)?).map_err(|error| Error::BadModel(unusable(error).into()))
}

impl Model {
    /// Replies for the side whose turn it is in `conversation`. That there is no good one is an answer, not an error: see
    /// [`Status`]. The same options give the same replies, unless the system's model gives them, of which that cannot be known.
    ///
    /// The system's model is asked for several replies as text. They pass the same rules of language and safety, and
    /// [`SmartReply::scores`] says that they are in the order in which it wrote them, as there are no likelihoods to rank them. It is
    /// taken to speak every language, unless the options name some.
    ///
    /// ```
    /// use kinglet::{Conversation, Kinglet, SmartReplyOptions, Status};
    /// let model = Kinglet::builder().build()?.open("goldcrest")?;
    /// let nothing = model.smart_reply(&Conversation::single("..."), SmartReplyOptions::default())?;
    /// assert_eq!(nothing.status, Status::NoReply);
    /// # Ok::<(), kinglet::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model without a chat template, [`Error::InvalidRequest`] for options out of range and for
    /// a context that is too small.
    pub fn smart_reply(&self, conversation: &Conversation, options: SmartReplyOptions) -> Result<SmartReply, Error> {
        self.smart_reply_until(conversation, options, &CancelHandle::default())
    }

    /// As [`smart_reply`](Self::smart_reply), ended early by `cancel`.
    ///
    /// # Errors
    /// As [`smart_reply`](Self::smart_reply), and [`Error::Cancelled`].
    pub fn smart_reply_until(
        &self,
        conversation: &Conversation,
        options: SmartReplyOptions,
        cancel: &CancelHandle,
    ) -> Result<SmartReply, Error> {
        let request = SmartReplyRequest { conversation: conversation.clone(), options };
        // Only likelihoods rank a bank.
        let ranked = request.options.bank.is_some() && self.local().is_ok();
        let order = if ranked { Order::new(true, None) } else { self.order() };
        order.ask(|backend| match (backend, self.system()) {
            (Backend::System, Some(system)) => system::reply(system, request.clone(), cancel),
            _ => self.local_reply(request.clone(), cancel),
        })
    }

    /// Replies of the folder's model.
    fn local_reply(&self, request: SmartReplyRequest, cancel: &CancelHandle) -> Result<SmartReply, Error> {
        self.text()?.template()?;
        let replier = if request.options.bank.is_some() { self.ranking_replier()? } else { self.replier()? };
        self.keep_fixed(|| replier.ranker().model().fixed_tokens(&request.conversation), cancel)?;
        // A caller's bank is ranked by the model alone.
        Ok(match self.judge().filter(|_| request.options.bank.is_none()) {
            Some(judge) => {
                let judge = replier_of(judge)?;
                replier.reply_judged_by(&judge, request, &cancel.0)?
            }
            None => replier.reply(request, &cancel.0)?,
        })
    }

    /// Content of the file `bank.vectors` beside the `bank.txt` of the model's folder, so that the first reply need not compute
    /// it; `None` where the model has no bank. Make it anew after the bank or the weights have changed.
    ///
    /// # Errors
    /// As [`smart_reply`](Self::smart_reply), and [`Error::Cancelled`].
    pub fn bank_vectors(&self, cancel: &CancelHandle) -> Result<Option<Vec<u8>>, Error> {
        self.text()?.template()?;
        Ok(self.replier()?.bank_vectors(&cancel.0)?)
    }

    /// How well each candidate fits as the next message of `conversation`, in the order of the candidates. Candidates that
    /// were scored before are scored faster.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model without a chat template, [`Error::InvalidRequest`] for a conversation without any
    /// text, one that the template refuses, or a candidate that is too long, [`Error::Cancelled`].
    pub fn score_replies<S: AsRef<str>>(
        &self,
        conversation: &Conversation,
        candidates: &[S],
        cancel: &CancelHandle,
    ) -> Result<Vec<CandidateScore>, Error> {
        self.text()?.template()?;
        let replier = self.ranking_replier()?;
        self.keep_fixed(|| replier.ranker().model().fixed_tokens(conversation), cancel)?;
        Ok(replier.ranker().score(conversation, candidates, &cancel.0)?)
    }

    /// How well each candidate fits after a prompt as it stands, in the order of the candidates. Special tokens in the prompt
    /// count, and a prompt that ends with what opens a reply in the model's template is scored as a conversation.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a prompt that is empty or, with a candidate, longer than the context,
    /// [`Error::Cancelled`].
    pub fn score_completions<S: AsRef<str>>(
        &self,
        prompt: &str,
        candidates: &[S],
        cancel: &CancelHandle,
    ) -> Result<Vec<CandidateScore>, Error> {
        Ok(self.replier()?.ranker().score_prompt(prompt, candidates, &cancel.0)?)
    }

    /// The tokens of a conversation as the model's chat template writes it down, with nothing after its last message.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn transcript_tokens(&self, conversation: &Conversation) -> Result<Vec<u32>, Error> {
        let role = |speaker: Speaker| match speaker {
            Speaker::Customer => "user",
            Speaker::Agent => "assistant",
        };
        let told = conversation.instructions.iter().map(|told| Message::new("system", told.as_str()));
        let said = conversation.turns.iter().map(|turn| Message::new(role(turn.speaker), turn.text.as_str()));
        let messages = told.chain(said).collect();
        self.render_tokens(&PromptRequest { messages, add_generation_prompt: false, ..PromptRequest::default() })
    }

    /// The smart replier of the model, made at the first call.
    fn replier(&self) -> Result<Arc<SmartReplier>, Error> {
        replier_of(self.local()?)
    }

    /// The same, with the table of n-grams that counts where replies are ranked, if the folder has one.
    fn ranking_replier(&self) -> Result<Arc<SmartReplier>, Error> {
        let (local, replier) = (self.local()?, self.replier()?);
        if replier.ranker().wants_words() {
            let path = wanted(&local.bundle, RANK_NGRAMS, "reply_ranking.blend")?;
            replier.ranker().set_words(table(&path, DualEncoder::read)?);
        }
        Ok(replier)
    }
}

/// The smart replier of a folder's model, made at the first call.
fn replier_of(local: &LocalModel) -> Result<Arc<SmartReplier>, Error> {
    local.replier.get_or_read(|| {
        let text = local.text()?;
        let template = match text.template() {
            Ok(template) => (**template).clone(),
            Err(_) => ChatTemplate::from_sources(vec![("default".into(), NO_TEMPLATE.into())], vec![])?,
        };
        let model = TaskModel::new(local.generator.clone(), text.tokenizer.clone(), template);
        let model = ReplyModel::new(model.at(jiff::ZonedDateTime::now().datetime()), local.extras.clone())?;
        room::check("the rules of smart replies", RULES_BYTES)?;
        let replier = SmartReplier::new(Arc::new(model));
        with_bank(replier, &local.bundle, &local.extras)
    })
}
