//! Post-processors: the tokens that go around a text.

use serde_json::Value;
use tokenizers::PostProcessorWrapper;

use super::library;

/// Tokens that may be put around a text.
const MAX_ADDED: usize = 1 << 16;

/// How often a text may be repeated.
const MAX_REPEATED: usize = 16;

/// The post-processor that the file describes. An error is in words.
pub(super) fn of(part: Value) -> Result<Option<PostProcessorWrapper>, String> {
    if part.is_null() {
        return Ok(None);
    }
    effect(&part, Effect { repeated: 1, added: 0 })?;
    library("post-processor", part).map(Some)
}

/// Effect of post-processors on a text.
#[derive(Clone, Copy)]
struct Effect {
    /// How often the text stands in the result.
    repeated: usize,
    /// Tokens of the result that are not the text's.
    added: usize,
}

/// The effect of all parts up to `part`, where `before` is that of the parts before it.
fn effect(part: &Value, mut before: Effect) -> Result<Effect, String> {
    if let Some(parts) = part["processors"].as_array() {
        return parts.iter().try_fold(before, |before, part| effect(part, before));
    }
    let Some(single) = part["single"].as_array() else {
        // Two tokens around a text are the most that others add.
        before.added = before.added.saturating_add(2);
        return within(before);
    };
    let mut after = Effect { repeated: 0, added: 0 };
    for piece in single {
        match piece["Sequence"]["id"].as_str() {
            Some("B") => return Err(unusable("a second text stands in its template for one")),
            Some(_) => {
                after.repeated = after.repeated.saturating_add(before.repeated);
                after.added = after.added.saturating_add(before.added);
            }
            None => after.added = after.added.saturating_add(tokens_of(part, piece)?),
        }
    }
    for piece in part["pair"].as_array().into_iter().flatten().filter(|piece| piece["SpecialToken"].is_object()) {
        tokens_of(part, piece)?;
    }
    within(after)
}

fn within(effect: Effect) -> Result<Effect, String> {
    match effect.repeated <= MAX_REPEATED && effect.added <= MAX_ADDED {
        true => Ok(effect),
        false => Err(unusable(&format!("it repeats a text more than {MAX_REPEATED} times or adds more than {MAX_ADDED} tokens"))),
    }
}

/// Number of tokens that a special token of the template `part` stands for.
fn tokens_of(part: &Value, piece: &Value) -> Result<usize, String> {
    let name = piece["SpecialToken"]["id"].as_str().unwrap_or_default();
    let token = part["special_tokens"].get(name);
    let token = token.ok_or_else(|| unusable(&format!("`{name}` is not among its `special_tokens`")))?;
    let count = |field: &str| token[field].as_array().map_or(0, Vec::len);
    match count("ids") == count("tokens") {
        true => Ok(count("ids")),
        false => Err(unusable(&format!("the special token `{name}` has not as many `ids` as `tokens`"))),
    }
}

fn unusable(reason: &str) -> String {
    format!("its `post_processor` cannot be used: {reason}")
}
