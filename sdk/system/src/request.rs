//! Requests to a system's model: plain data.

/// One request: a conversation to be answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SystemRequest {
    /// Instructions to the model: the system prompt.
    pub instructions: Option<String>,
    /// The conversation, oldest first; the last message is to be answered.
    pub messages: Vec<SystemMessage>,
    /// How the answer is drawn; `None` is as the system does by itself.
    pub sampling: Option<SystemSampling>,
    /// Tokens that the answer has at most. A host whose system allows fewer asks for as many as it allows.
    pub max_new_tokens: u32,
    /// Where the answer ends. Kinglet cuts the text before the first of these by itself: a host need not look at them.
    pub stop: Vec<String>,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemMessage {
    /// Role of the speaker.
    pub role: SystemRole,
    /// The text of the message.
    pub text: String,
}

/// Who says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemRole {
    /// Further instructions, in the middle of a conversation.
    System,
    /// Who asks.
    User,
    /// Who answers.
    Assistant,
}

/// How an answer is drawn. A host passes on what its system takes, in the range that it takes, and leaves out the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SystemSampling {
    /// Temperature; 0 is greedy.
    pub temperature: f32,
    /// Draw from this many of the likeliest tokens; `None` from all.
    pub top_k: Option<u32>,
    /// Draw from the likeliest tokens whose probabilities reach this sum; `None` from all.
    pub top_p: Option<f32>,
    /// The same seed gives the same answer, where the system can do that.
    pub seed: Option<u64>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SystemFinish {
    /// The model ended it, or the system does not tell why.
    Complete,
    /// The answer has as many tokens as were asked for, or as the system allows.
    Length,
}
