//! How models are opened and answers are made.

use kinglet::{Builder, Bytes, Engine, Kinglet, Message, PrefixCache, SamplingOptions, SessionOptions, Threads, WeightStorage};

/// Which engine runs models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Enum)]
pub enum EngineChoice {
    /// The fastest by the record of a probe, else the first that runs the model.
    #[default]
    Auto,
    /// The embedded one.
    Tract,
    /// ONNX Runtime, where this build has it and its library is found.
    OnnxRuntime,
}

/// Where quantised weights are read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, uniffi::Enum)]
pub enum WeightsChoice {
    /// Packed where the machine has room for that.
    #[default]
    Auto,
    /// The mapped files: ready at once, and the system may take their memory back.
    InPlace,
    /// Memory of their own, prepacked before the first answer: faster.
    Packed,
}

/// How a model is opened. Every part has a default.
#[derive(Clone, Debug, Default, PartialEq, uniffi::Record)]
pub struct OpenOptions {
    /// Threads to compute on; none for what suits the machine.
    #[uniffi(default = None)]
    pub threads: Option<u32>,
    /// Bytes that the model may take: weights, keys and values, scratch; none for no limit.
    #[uniffi(default = None)]
    pub memory_budget: Option<u64>,
    /// Positions that one conversation may hold; none for 2,048, or what the model was made for if that is less.
    #[uniffi(default = None)]
    pub context: Option<u32>,
    /// Full conversations that there is room for at once; none for 8.
    #[uniffi(default = None)]
    pub max_sequences: Option<u32>,
    /// The engine; none for the fastest that runs the model.
    #[uniffi(default = None)]
    pub engine: Option<EngineChoice>,
    /// Where quantised weights are read from; none for what the machine has room for.
    #[uniffi(default = None)]
    pub weights: Option<WeightsChoice>,
    /// Which of several graphs in the model's folder; none for the smallest precision.
    #[uniffi(default = None)]
    pub variant: Option<String>,
    /// A folder for prefixes of prompts, computed once and restored later; none to save nothing.
    #[uniffi(default = None)]
    pub prefix_cache: Option<String>,
    /// A folder for prepacked weights, which `prepare` fills and later openings read; none to prepack at every start.
    #[uniffi(default = None)]
    pub prepared_weights: Option<String>,
}

impl OpenOptions {
    pub(crate) fn builder(&self) -> Builder {
        let mut builder = Kinglet::builder().engine(match self.engine.unwrap_or_default() {
            EngineChoice::Auto => Engine::Auto,
            EngineChoice::Tract => Engine::Tract,
            EngineChoice::OnnxRuntime => Engine::Ort,
        });
        builder = builder.weights(match self.weights.unwrap_or_default() {
            WeightsChoice::Auto => WeightStorage::Auto,
            WeightsChoice::InPlace => WeightStorage::InPlace,
            WeightsChoice::Packed => WeightStorage::Packed,
        });
        builder = with(builder, self.threads, |b, n| b.threads(Threads::Exactly(n as usize)));
        builder = with(builder, self.memory_budget, |b, n| b.memory_budget(Bytes(n)));
        builder = with(builder, self.context, |b, n| b.context(n as usize));
        builder = with(builder, self.max_sequences, |b, n| b.max_sequences(n as usize));
        builder = with(builder, self.variant.as_deref(), |b, name| b.variant(name));
        builder = with(builder, self.prefix_cache.as_deref(), |b, folder| b.prefix_cache(PrefixCache::new(folder)));
        builder = with(builder, self.prepared_weights.as_deref(), |b, folder| b.prepared_weights(folder));
        builder
    }
}

fn with<T>(builder: Builder, option: Option<T>, set: impl FnOnce(Builder, T) -> Builder) -> Builder {
    match option {
        Some(value) => set(builder, value),
        None => builder,
    }
}

/// How tokens are chosen.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct Sampling {
    /// Below 1 sharpens, above 1 flattens, 0 takes the most likely token.
    #[uniffi(default = 0.0)]
    pub temperature: f32,
    /// Keep so many of the most likely tokens; 0 keeps all.
    #[uniffi(default = 0)]
    pub top_k: u32,
    /// Keep the fewest most likely tokens whose probabilities reach this sum; 1 keeps all.
    #[uniffi(default = 1.0)]
    pub top_p: f32,
    /// Keep tokens at least this fraction as likely as the most likely one; 0 keeps all.
    #[uniffi(default = 0.0)]
    pub min_p: f32,
    /// Makes tokens of prompt and answer less likely; 1 changes nothing.
    #[uniffi(default = 1.0)]
    pub repetition_penalty: f32,
    /// The same seed and input give the same answer; none draws one.
    #[uniffi(default = None)]
    pub seed: Option<u64>,
}

/// How an answer is made.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct GenerationOptions {
    /// Tokens that an answer has at most.
    #[uniffi(default = 256)]
    pub max_new_tokens: u32,
    /// How tokens are chosen; none is as the model's makers recommend.
    #[uniffi(default = None)]
    pub sampling: Option<Sampling>,
    /// The answer ends before the first of these to appear.
    #[uniffi(default = [])]
    pub stop: Vec<String>,
}

impl From<GenerationOptions> for kinglet::GenerationOptions {
    fn from(options: GenerationOptions) -> kinglet::GenerationOptions {
        let sampling = options.sampling.map(|s| SamplingOptions {
            temperature: s.temperature,
            top_k: s.top_k as usize,
            top_p: s.top_p,
            min_p: s.min_p,
            repetition_penalty: s.repetition_penalty,
            seed: s.seed,
            ..SamplingOptions::default()
        });
        kinglet::GenerationOptions { max_new_tokens: options.max_new_tokens as usize, sampling, stop: options.stop }
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Text of the message.
    pub content: String,
}

impl From<&Message> for ChatMessage {
    fn from(message: &Message) -> ChatMessage {
        let content = message.content().map(|content| content.as_str().map_or_else(|| content.to_string(), str::to_owned));
        ChatMessage { role: message.role().unwrap_or_default().to_owned(), content: content.unwrap_or_default() }
    }
}

/// How a session begins.
#[derive(Clone, Debug, Default, PartialEq, uniffi::Record)]
pub struct SessionSetup {
    /// Instructions: a system message before all others.
    #[uniffi(default = None)]
    pub instructions: Option<String>,
    /// Earlier messages of the conversation, oldest first.
    #[uniffi(default = [])]
    pub messages: Vec<ChatMessage>,
    /// The name of a chat template; none for the model's default.
    #[uniffi(default = None)]
    pub template: Option<String>,
}

impl From<SessionSetup> for SessionOptions {
    fn from(setup: SessionSetup) -> SessionOptions {
        SessionOptions {
            instructions: setup.instructions,
            messages: setup.messages.into_iter().map(|m| Message::new(m.role, m.content)).collect(),
            template: setup.template,
            ..SessionOptions::default()
        }
    }
}
