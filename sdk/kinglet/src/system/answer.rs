//! An answer of the system's model, as that of any engine.

use super::System;
use crate::request::Step;
use crate::{Error, FinishReason, Timing, Usage};
use kinglet_generate::CancelToken;
use kinglet_system::{SystemAnswer, SystemEnd, SystemEvent, SystemRequest};
use std::time::{Duration, Instant};

/// The steps of an answer to `request`; the model is asked at the first pull, and only prewarmed for an answer without tokens.
pub(crate) fn answer(
    system: &System,
    request: SystemRequest,
    cancel: CancelToken,
) -> impl Iterator<Item = Result<Step, Error>> + use<> {
    let seed = request.sampling.and_then(|sampling| sampling.seed).unwrap_or(0);
    let work = match request.max_new_tokens {
        0 => Work::Prewarm(system.clone(), request.instructions),
        _ => Work::Answer(system.host.ask(request, move || cancel.is_cancelled())),
    };
    Steps { work, started: None, first_text: None, engine: system.engine.clone(), seed }
}

struct Steps {
    work: Work,
    started: Option<Instant>,
    first_text: Option<Duration>,
    engine: String,
    seed: u64,
}

enum Work {
    Prewarm(System, Option<String>),
    Answer(SystemAnswer),
    Over,
}

impl Steps {
    fn done(&self, finish: FinishReason) -> Step {
        let all = self.started.map(|started| started.elapsed()).unwrap_or_default();
        let prefill = self.first_text.unwrap_or(all);
        Step::Done(Usage {
            engine: self.engine.clone(),
            refused: vec![],
            prompt_tokens: 0,
            cached_tokens: 0,
            new_tokens: 0,
            finish,
            timing: Timing { first_token: self.first_text, prefill, decode: all.saturating_sub(prefill) },
            seed: self.seed,
        })
    }
}

impl Iterator for Steps {
    type Item = Result<Step, Error>;

    fn next(&mut self) -> Option<Result<Step, Error>> {
        let started = *self.started.get_or_insert_with(Instant::now);
        let event = match &mut self.work {
            Work::Over => return None,
            Work::Answer(answer) => answer.next()?,
            Work::Prewarm(system, instructions) => {
                let prewarmed = system.host.prewarm(instructions.take());
                self.work = Work::Over;
                prewarmed.map(|()| SystemEvent::Done(SystemEnd::Length))
            }
        };
        Some(match event {
            Ok(SystemEvent::Text(text)) => {
                self.first_text.get_or_insert_with(|| started.elapsed());
                Ok(Step::Piece { ids: vec![], text })
            }
            Ok(SystemEvent::Done(end)) => Ok(self.done(match end {
                SystemEnd::Complete => FinishReason::Ended,
                SystemEnd::Length => FinishReason::Length,
                SystemEnd::Stop(which) => FinishReason::Stop { which },
                SystemEnd::Cancelled => FinishReason::Cancelled,
            })),
            Err(failure) => Err(failure.into()),
        })
    }
}
