//! Replies that the system's model suggests.

use super::System;
use super::request::sampling;
use crate::request::Step;
use crate::{CancelHandle, Error, FinishReason, SamplingOptions, SmartReply};
use kinglet_system::{SystemMessage, SystemRequest, SystemRole};
use kinglet_tasks::{ReplyPrompt, SmartReplyRequest, WrittenReplies, replies_in_text};
use std::time::Instant;

/// Replies to a conversation, asked for as text.
///
/// # Errors
/// [`Error::InvalidRequest`] for options out of range, [`Error::Unsupported`] for a bank, [`Error::Cancelled`], and what the system's
/// model fails with.
pub(crate) fn reply(system: &System, request: SmartReplyRequest, cancel: &CancelHandle) -> Result<SmartReply, Error> {
    if request.options.bank.is_some() {
        let message = "the system's model gives no likelihoods that could rank a bank of replies; open a model folder for that";
        return Err(Error::unsupported(message));
    }
    let started = Instant::now();
    replies_in_text(request, || started.elapsed(), |prompt| write(system, prompt, cancel))
}

fn write(system: &System, prompt: ReplyPrompt, cancel: &CancelHandle) -> Result<WrittenReplies, Error> {
    let request = SystemRequest {
        instructions: Some(prompt.instructions),
        messages: vec![SystemMessage { role: SystemRole::User, text: prompt.message }],
        sampling: Some(sampling(&SamplingOptions {
            temperature: prompt.temperature,
            top_p: prompt.top_p,
            seed: Some(prompt.seed),
            ..SamplingOptions::default()
        })),
        max_new_tokens: u32::try_from(prompt.max_new_tokens).unwrap_or(u32::MAX),
        stop: vec![],
    };
    let mut text = String::new();
    for step in super::answer(system, request, cancel.0.clone()) {
        match step? {
            Step::Piece { text: piece, .. } => text.push_str(&piece),
            Step::Done(usage) if usage.finish == FinishReason::Cancelled => return Err(Error::Cancelled),
            Step::Done(usage) => return Ok(WrittenReplies { text, finished: usage.finish != FinishReason::Length }),
        }
    }
    Ok(WrittenReplies { text, finished: false })
}
