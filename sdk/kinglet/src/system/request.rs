//! A conversation as the system's model is asked to go on with it.

use crate::{Error, GenerationOptions, Message, SamplingOptions};
use kinglet_system::{SystemMessage, SystemRequest, SystemRole, SystemSampling};

/// The request for an answer to the last of `messages`. System messages before all others are its instructions.
///
/// # Errors
/// [`Error::Unsupported`] for messages that are more than a text of somebody.
pub(crate) fn system_request(messages: &[Message], options: &GenerationOptions) -> Result<SystemRequest, Error> {
    let messages = messages.iter().map(message).collect::<Result<Vec<_>, _>>()?;
    let told = messages.iter().take_while(|message| message.role == SystemRole::System).count();
    let instructions: Vec<&str> = messages[..told].iter().map(|message| message.text.as_str()).collect();
    Ok(SystemRequest {
        instructions: (told > 0).then(|| instructions.join("\n\n")),
        messages: messages[told..].to_vec(),
        sampling: options.sampling.as_ref().map(sampling),
        max_new_tokens: u32::try_from(options.max_new_tokens).unwrap_or(u32::MAX),
        stop: options.stop.clone(),
    })
}

fn message(message: &Message) -> Result<SystemMessage, Error> {
    let role = match message.role() {
        Some("system" | "developer") => SystemRole::System,
        Some("user") => SystemRole::User,
        Some("assistant") => SystemRole::Assistant,
        other => {
            let role = other.unwrap_or("none");
            return Err(Error::unsupported(format!("the system's model takes no message of the role `{role}`; leave it out")));
        }
    };
    let text = message.content().and_then(|content| content.as_str());
    let text = text.ok_or_else(|| Error::unsupported("the system's model takes messages of text alone; leave out the others"))?;
    Ok(SystemMessage { role, text: text.to_owned() })
}

/// Sampling options that a system's model may support; none supports penalties and `min_p`.
pub(super) fn sampling(options: &SamplingOptions) -> SystemSampling {
    SystemSampling {
        temperature: options.temperature,
        top_k: u32::try_from(options.top_k).ok().filter(|&top_k| top_k > 0),
        top_p: (options.top_p < 1.0).then_some(options.top_p),
        seed: options.seed,
    }
}
