//! Making vectors: what a model gives here and now.

use super::{ChatVector, Conformance, FORM, GreedyVector, TextVector, largest, likeliest};
use crate::{CancelHandle, Error, Message, Model, Positions, PromptRequest};
use kinglet_engine::Precision;

/// Texts that tokenizers find hard.
const TEXTS: [&str; 9] = [
    "Hello, world.",
    "  two  spaces, a\ttab,\n\nand lines\r\n",
    "naïve café, e\u{301}tude, Straße, Ωμέγα, Привет",
    "東京へ行きます。你好，世界！ 한국어",
    "ภาษาไทย สวัสดี · العربية: مرحبا · עברית",
    "👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈 ✔️ 1️⃣",
    "fn main() { println!(\"{}\", 0x1F_u8 << 3); } // 3.14e-10",
    "don't we've 1234567890 10,000.50 %&$#@ <|im_start|> </s> [INST]",
    "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenhersteller",
];
/// Tokens of the prompts, and of what follows.
const PROMPTS: [usize; 3] = [1, 8, 40];
const ANSWER: usize = 16;

impl Model {
    /// The vectors of this model as it runs here, to be kept in its folder: made on one engine, they judge another, or a later
    /// version. `progress` hears how much is done, from 0 to 1.
    ///
    /// # Errors
    /// [`Error::Cancelled`] soon after `cancel` is raised, and what the model fails with.
    pub fn make_conformance(&self, cancel: &CancelHandle, mut progress: impl FnMut(f32)) -> Result<Conformance, Error> {
        let info = self.local()?.generator.info();
        let mut greedy = vec![];
        let answered = PROMPTS.into_iter().filter(|tokens| tokens + ANSWER <= self.context());
        for (i, tokens) in answered.enumerate() {
            greedy.push(self.greedy_vector(prompt(tokens, self.vocabulary()), cancel)?);
            progress((i + 1) as f32 / PROMPTS.len() as f32);
        }
        Ok(Conformance {
            form: FORM,
            source: format!("{}, {} weights, by Kinglet {}", info.engine, info.precision, env!("CARGO_PKG_VERSION")),
            max_relative: tolerance(info.precision),
            texts: if self.text().is_ok() { self.text_vectors() } else { vec![] },
            chats: if self.text().is_ok_and(|text| text.template().is_ok()) { self.chat_vectors() } else { vec![] },
            greedy,
        })
    }

    /// Texts that the vocabulary has no tokens for are left out.
    fn text_vectors(&self) -> Vec<TextVector> {
        let vector = |text: &str| {
            Some(TextVector { text: text.into(), ids: self.tokenize(text, true).ok()?, plain: self.tokenize(text, false).ok()? })
        };
        TEXTS.into_iter().filter_map(vector).collect()
    }

    fn chat_vectors(&self) -> Vec<ChatVector> {
        let [system, user, assistant] = ["system", "user", "assistant"];
        let conversations: [&[(&str, &str)]; 4] = [
            &[(user, "Is the table by the window free tonight?")],
            &[(system, "Answer in one sentence."), (user, "What is a kinglet?")],
            &[(user, "One."), (assistant, " Two.\n"), (user, "<|im_end|></s> Three?\n")],
            &[(user, "One."), (user, "Two.")],
        ];
        let message = |&(role, content): &(&str, &str)| Message::new(role, content);
        let vector = |messages: Vec<Message>| ChatVector { rendered: self.render(&chat(&messages)).ok(), messages };
        conversations.into_iter().map(|messages| vector(messages.iter().map(message).collect())).collect()
    }

    fn greedy_vector(&self, ids: Vec<u32>, cancel: &CancelHandle) -> Result<GreedyVector, Error> {
        let mut vector = GreedyVector { ids, tokens: vec![], logits: vec![], gaps: vec![], largest: 0.0 };
        let mut sequence = vector.ids.clone();
        while vector.tokens.len() < ANSWER {
            let row = self.logits(&sequence, Positions::Last, cancel)?.values;
            let best = likeliest(&row);
            let others = row.iter().enumerate().filter(|(token, _)| *token != best).map(|(_, logit)| *logit);
            vector.gaps.push(row[best] - others.fold(f32::NEG_INFINITY, f32::max));
            vector.logits.push(row[best]);
            vector.largest = vector.largest.max(largest(&row));
            vector.tokens.push(best as u32);
            sequence.push(best as u32);
        }
        Ok(vector)
    }
}

/// The conversation as the vectors have it, with their clock.
pub(super) fn chat(messages: &[Message]) -> PromptRequest {
    let noon = kinglet_text::DateTime::constant(2026, 1, 31, 12, 0, 0, 0);
    PromptRequest { messages: messages.to_vec(), now: Some(noon), ..PromptRequest::default() }
}

/// How far engines may be apart: with weights of few bits, activations are rounded to 8 bits, each engine in its own way.
fn tolerance(precision: Precision) -> f32 {
    match precision {
        Precision::Float32 => 1e-3,
        Precision::Float16 | Precision::BFloat16 => 1e-2,
        _ => 0.08,
    }
}

/// Tokens spread over the vocabulary, the same each time (a step of the golden ratio).
pub(crate) fn prompt(tokens: usize, vocabulary: usize) -> Vec<u32> {
    let place = |i: usize| (i + 1) as f64 * 0.618_033_988_749_895 % 1.0;
    (0..tokens).map(|i| (place(i) * vocabulary as f64) as u32).collect()
}
