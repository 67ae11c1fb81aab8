//! Small language models on the device: open a model folder, get a session, stream or score text.
//!
//! This is the facade: the one place where engines, budgets and defaults are put together. No type of an engine or of the
//! generator crosses it; what does are plain data with defaults, and a few handles. There is no runtime, no network, and
//! nothing is downloaded, unless an application asks its system for the system's own model ([`SystemModel`]).
//!
//! ```
//! use kinglet::{Bytes, Conversation, Event, Kinglet, SessionOptions, SmartReplyOptions};
//!
//! let kinglet = Kinglet::builder().memory_budget(Bytes::mib(600)).build()?;
//! let model = kinglet.open("goldcrest")?; // a folder, or a model by name
//! let talk = Conversation::parse("customer: Hi!\nagent: Hello, what can I do for you?\ncustomer: Are you open today?")?;
//! for reply in model.smart_reply(&talk, SmartReplyOptions::default())?.replies {
//!     println!("{:.2} {}", reply.score, reply.text);
//! }
//! let mut session = model.session(SessionOptions::default())?;
//! for event in session.respond("How do I reset it?")? {
//!     match event? {
//!         Event::Text(text) => print!("{text}"),
//!         Event::Done(usage) => println!("\n{} tokens", usage.new_tokens),
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod budget;
mod builder;
mod bytes;
mod completion;
mod conformance;
mod engines;
mod error;
mod fallback;
mod find;
mod installed;
mod kinglet;
mod lazy;
mod local_model;
mod logits;
mod machine;
mod model;
mod parameters;
mod prefix;
mod prepared;
mod pressure;
pub mod probe;
mod process;
mod profile;
mod provider;
mod reference;
mod replies;
mod report;
mod request;
mod saved;
mod session;
mod settings;
mod system;
mod text;

pub use builder::Builder;
pub use bytes::{Bytes, BytesError};
pub use completion::{Completer, Continuation, ContinuationOptions, Continuations};
pub use conformance::{CONFORMANCE_FILE, ChatVector, Conformance, ConformanceReport, GreedyVector, TextVector};
pub use engines::{EngineRefusal, EngineState, EngineStatus};
pub use error::{Cause, Error};
pub use find::DEFAULT_MODEL;
pub use installed::{FoundModel, RemovableModel};
pub use kinglet::Kinglet;
pub use kinglet_bundle::FileRange;
pub use kinglet_engine::{Threads, WeightStorage};
pub use kinglet_guard::one_line;
pub use kinglet_system::fake as fake_system;
pub use kinglet_system::{
    Availability, DownloadProgress, DownloadSink, SystemFailure, SystemFinish, SystemMessage, SystemModel, SystemRequest,
    SystemRole, SystemSampling, TextSink, UnavailableReason,
};
pub use logits::{Likelihood, Logits, Positions};
pub use machine::Machine;
pub use model::Model;
pub use prefix::{PrefixCache, PrefixSource, SavedPrefix};
pub use prepared::users_prepared_weights;
pub use pressure::{MemoryPressure, ThermalState};
pub use process::ProcessMemory;
pub use profile::{MachineLimits, OperatorProfile};
pub use provider::Provider;
pub use reference::{ReferenceDifference, ReferenceReport};
pub use replies::{
    CandidateScore, Considered, Conversation, ConversationError, CrisisKind, Fate, Place, Reason, Reply, ReplyScores,
    ReplySource, ReplyTiming, ReplyUsage, SmartReply, SmartReplyOptions, Speaker, Status, Turn,
};
pub use report::{ArchitectureReport, EngineReport, MemoryReport, ModelReport, RepliesReport, TextReport, VariantReport};
pub use request::{Answer, CancelHandle, Event, FinishReason, GenerationOptions, Response, SamplingOptions, Timing, Usage};
pub use session::{Session, SessionOptions, Transcript};
pub use settings::Engine;
pub use system::{SystemPolicy, SystemReport};
pub use text::{DateTime, Message, Prompt, PromptRequest};
