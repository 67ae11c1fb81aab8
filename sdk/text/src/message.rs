//! A message of a conversation, as templates see it.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One message: `role`, `content` and whatever other fields the caller gives (`name`, `tool_calls`, ..), in the caller's
/// order.
///
/// ```
/// use kinglet_text::Message;
///
/// let message = Message::new("user", "How do I reset it?");
/// assert_eq!(message.role(), Some("user"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Message {
    fields: Map<String, Value>,
}

impl Message {
    /// A message of `role` (`system`, `user`, `assistant`, `tool`) whose content is text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message::default().with("role", role.into()).with("content", content.into())
    }

    /// The same message with one more field, or with another value for a field it had.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: impl Into<Value>) -> Message {
        self.fields.insert(field.into(), value.into());
        self
    }

    /// The speaker's role, if the field is there and is a string.
    pub fn role(&self) -> Option<&str> {
        self.fields.get("role")?.as_str()
    }

    /// The content: text, or a list of parts for templates that take them.
    pub fn content(&self) -> Option<&Value> {
        self.fields.get("content")
    }

    /// All fields.
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }
}

impl From<Map<String, Value>> for Message {
    fn from(fields: Map<String, Value>) -> Message {
        Message { fields }
    }
}
