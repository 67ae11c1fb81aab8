//! Room for templates that somebody else wrote: how much work one may do, and a stack that holds what the work builds.
//!
//! The template engine walks expressions and nested values by recursion, and a stack that overflows ends the process. So a
//! template is compiled and rendered on a thread of its own, whose stack holds the deepest expression that its source can
//! spell and the deepest value that its work can build. A stack is address space; only what is used of it becomes memory.

use std::panic::resume_unwind;
use std::thread;

use serde_json::Value;

use super::Variables;
use crate::TextError;

/// Stack of everything that does not grow with the template: macros and loops that call themselves up to the engine's own
/// limit take 2.5 MiB without optimisation.
const BASE_BYTES: usize = 16 << 20;

/// Stack for one byte of a template's source, which opens at most one level of an expression: parsing and compiling a level
/// takes up to 2.8 kB without optimisation, where pointers have 8 bytes.
const BYTES_PER_SOURCE_BYTE: usize = 512 * size_of::<usize>();

/// Stack for one unit of the engine's fuel, of which a level of a value costs at least one and a half: writing a level, which
/// takes most, comes to 1,040 bytes of stack for a unit of fuel without optimisation, where pointers have 8 bytes.
const BYTES_PER_FUEL: usize = 256 * size_of::<usize>();

/// The largest stack that a rendering gets: 4 GiB, or 256 MiB where addresses have 32 bits.
const MAX_RENDER_BYTES: usize = if size_of::<usize>() >= 8 { 1 << 32 } else { 1 << 28 };

/// Fuel for what every template does, however short the conversation.
const BASE_FUEL: usize = 20_000;

/// Fuel for each value of the conversation: each message, each of its fields, each part of a tool.
const FUEL_PER_VALUE: usize = 400;

/// Bytes of text that a unit of fuel is given for. The engine takes one for 64 bytes that it copies.
const BYTES_PER_TEXT_FUEL: usize = 4;

/// The work that a rendering may do, in units of the engine's fuel: about one for an instruction or 64 bytes. It grows with
/// what the template is given, to what a stack can be had for.
pub(super) fn fuel_for(variables: &Variables) -> usize {
    let given = [&variables.messages, &variables.tools, &variables.documents].into_iter().chain(variables.extra.values());
    let fuel = given.map(fuel_of).fold(BASE_FUEL, usize::saturating_add);
    fuel.min((MAX_RENDER_BYTES - BASE_BYTES) / BYTES_PER_FUEL)
}

fn fuel_of(value: &Value) -> usize {
    let inner = match value {
        Value::String(text) => text.len() / BYTES_PER_TEXT_FUEL,
        Value::Array(items) => items.iter().map(fuel_of).fold(0, usize::saturating_add),
        Value::Object(fields) => fields.values().map(fuel_of).fold(0, usize::saturating_add),
        _ => 0,
    };
    FUEL_PER_VALUE.saturating_add(inner)
}

/// Runs a rendering that has `fuel`. What it builds must be gone when `work` returns.
///
/// # Errors
/// [`TextError::NoStack`] if there is no room for the stack.
pub(super) fn render<T: Send>(fuel: usize, work: impl FnOnce() -> T + Send) -> Result<T, TextError> {
    on_stack(BASE_BYTES.saturating_add(fuel.saturating_mul(BYTES_PER_FUEL)), work)
}

/// Runs the compilation of a source of `source_bytes`.
///
/// # Errors
/// [`TextError::NoStack`] if there is no room for the stack.
pub(super) fn compile<T: Send>(source_bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, TextError> {
    on_stack(BASE_BYTES.saturating_add(source_bytes.saturating_mul(BYTES_PER_SOURCE_BYTE)), work)
}

fn on_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Result<T, TextError> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("chat template".to_owned()).stack_size(bytes);
        let thread = builder.spawn_scoped(scope, work).map_err(|source| TextError::NoStack { mebibytes: bytes >> 20, source })?;
        thread.join().or_else(|panic| resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Message, TemplateInput};

    #[test]
    fn fuel_grows_with_what_is_given_to_what_a_stack_can_be_had_for() {
        let fuel =
            |messages: Vec<Message>| fuel_for(&Variables::of(&TemplateInput { messages, ..TemplateInput::default() }).unwrap());
        let message = || Message::new("user", "x".repeat(400));
        // The list, the message and its two fields, and what the texts hold; `null` for tools and documents.
        assert_eq!(fuel(vec![message()]), 20_000 + 4 * 400 + 101 + 2 * 400);
        assert_eq!(fuel(vec![message(); 2]) - fuel(vec![message()]), 3 * 400 + 101);
        let most = fuel(vec![message(); 5_000]);
        assert_eq!(most, fuel(vec![message(); 6_000]));
        assert!(BASE_BYTES + most * BYTES_PER_FUEL <= MAX_RENDER_BYTES);
    }

    #[test]
    fn a_stack_that_cannot_be_had_is_an_error() {
        let error = on_stack(usize::MAX / 4, || ()).unwrap_err();
        assert!(matches!(error, TextError::NoStack { .. }), "{error}");
        assert_eq!(on_stack(1 << 20, || 7).unwrap(), 7);
    }
}
