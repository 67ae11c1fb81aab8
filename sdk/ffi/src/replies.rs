//! Suggested replies, as plain data.

use kinglet::{CandidateScore, Conversation, SmartReply, SmartReplyOptions, Speaker, Turn};

/// One message of a conversation between two sides.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct TalkTurn {
    /// Whether the side that serves said it, not the one that is served. Between friends the one who begins is served.
    pub by_agent: bool,
    /// Text of the message.
    pub text: String,
}

/// Messages in the order they were said.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct Talk {
    /// The messages, oldest first; the reply is for the side that did not speak last.
    pub turns: Vec<TalkTurn>,
    /// Instructions of the replying side, for models that were trained to read them.
    #[uniffi(default = None)]
    pub instructions: Option<String>,
}

impl From<Talk> for Conversation {
    fn from(talk: Talk) -> Conversation {
        let turn = |turn: TalkTurn| Turn::new(if turn.by_agent { Speaker::Agent } else { Speaker::Customer }, turn.text);
        Conversation { turns: talk.turns.into_iter().map(turn).collect(), instructions: talk.instructions }
    }
}

/// How replies are made and chosen; what is left out has the default of the task.
#[derive(Clone, Debug, Default, PartialEq, uniffi::Record)]
pub struct ReplyOptions {
    /// Replies to show at most, 1 to 20; none for 3.
    #[uniffi(default = None)]
    pub count: Option<u32>,
    /// Candidates that the model writes, 1 to 64; none for 8.
    #[uniffi(default = None)]
    pub candidates: Option<u32>,
    /// Characters that a reply may have; none for 160.
    #[uniffi(default = None)]
    pub max_chars: Option<u32>,
    /// Temperature of sampling, 0 to 2; none for 0.3.
    #[uniffi(default = None)]
    pub temperature: Option<f32>,
    /// The same seed gives the same replies; none for 0.
    #[uniffi(default = None)]
    pub seed: Option<u64>,
    /// Replies to choose from; none takes them from the bank that comes with the model, or has the model write them.
    #[uniffi(default = None)]
    pub bank: Option<Vec<String>>,
    /// Languages to answer in, as ISO 639-1 codes; none for those that the model speaks.
    #[uniffi(default = None)]
    pub languages: Option<Vec<String>>,
}

impl From<ReplyOptions> for SmartReplyOptions {
    fn from(options: ReplyOptions) -> SmartReplyOptions {
        let mut all = SmartReplyOptions { bank: options.bank, languages: options.languages, ..SmartReplyOptions::default() };
        all.count = options.count.map_or(all.count, |n| n as usize);
        all.candidates = options.candidates.map_or(all.candidates, |n| n as usize);
        all.max_chars = options.max_chars.map_or(all.max_chars, |n| n as usize);
        all.temperature = options.temperature.unwrap_or(all.temperature);
        all.seed = options.seed.unwrap_or(all.seed);
        all
    }
}

/// Where a suggested reply comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ReplySource {
    /// A bank of replies.
    Bank,
    /// The model wrote it.
    Model,
}

impl From<kinglet::ReplySource> for ReplySource {
    fn from(source: kinglet::ReplySource) -> ReplySource {
        match source {
            kinglet::ReplySource::Bank => ReplySource::Bank,
            kinglet::ReplySource::Model => ReplySource::Model,
        }
    }
}

/// Whether there are replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum ReplyStatus {
    /// There are.
    Ok,
    /// There is nothing to answer, or nothing good enough to say.
    NoReply,
    /// The conversation speaks of a crisis: a person should answer.
    Unsafe,
    /// The conversation is in a language that the model does not speak.
    UnsupportedLanguage,
}

impl From<kinglet::Status> for ReplyStatus {
    fn from(status: kinglet::Status) -> ReplyStatus {
        match status {
            kinglet::Status::Ok => ReplyStatus::Ok,
            kinglet::Status::NoReply => ReplyStatus::NoReply,
            kinglet::Status::Unsafe => ReplyStatus::Unsafe,
            kinglet::Status::UnsupportedLanguage => ReplyStatus::UnsupportedLanguage,
        }
    }
}

/// One suggested reply.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct SuggestedReply {
    /// One line.
    pub text: String,
    /// How well it fits, higher is better; comparable within one answer.
    pub score: f32,
    /// Where it comes from.
    pub source: ReplySource,
}

impl From<kinglet::Reply> for SuggestedReply {
    fn from(reply: kinglet::Reply) -> SuggestedReply {
        SuggestedReply { text: reply.text, score: reply.score, source: reply.source.into() }
    }
}

/// The replies, or why there are none.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct SmartReplies {
    /// Whether there are replies, and why not.
    pub status: ReplyStatus,
    /// Why there is no reply, as a word; none with `ok`.
    pub reason: Option<String>,
    /// The same as a sentence.
    pub explanation: Option<String>,
    /// The replies, best first.
    pub replies: Vec<SuggestedReply>,
    /// Milliseconds it took.
    pub total_ms: f64,
}

impl From<SmartReply> for SmartReplies {
    fn from(answer: SmartReply) -> SmartReplies {
        SmartReplies {
            status: answer.status.into(),
            reason: answer.reason.map(|reason| reason.code().to_owned()),
            explanation: answer.reason.map(|reason| reason.to_string()),
            replies: answer.replies.into_iter().map(SuggestedReply::from).collect(),
            total_ms: answer.timing.total.as_secs_f64() * 1e3,
        }
    }
}

/// How well a reply fits.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct ReplyScore {
    /// Ranking score, higher is better; comparable between candidates of one model only.
    pub score: f32,
    /// The natural logarithm of its probability after the conversation.
    pub logprob: f64,
    /// Its tokens.
    pub tokens: u64,
}

impl From<CandidateScore> for ReplyScore {
    fn from(score: CandidateScore) -> ReplyScore {
        ReplyScore { score: score.score, logprob: score.logprob, tokens: score.tokens as u64 }
    }
}
