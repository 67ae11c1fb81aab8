//! A model whose replies and rankings can be worked out by hand: a token is a byte, and its logits follow a script.

use crate::extras::ModelExtras;
use crate::reply_model::ReplyModel;
use crate::task_model::TaskModel;
use kinglet_engine::fake::{FakeControl, FakeModel};
use kinglet_engine::{Model, RunnerOptions};
use kinglet_generate::{Generator, GeneratorOptions, TokenId};
use kinglet_text::{ChatTemplate, TextFiles, Tokenizer};
use serde_json::{Map, json};
use std::sync::Arc;

const SPECIALS: [&str; 9] =
    ["<|begin|>", "<|end|>", "<|customer|>", "<|agent|>", "<|reply|>", "<|rank0|>", "<|rank1|>", "<|rank2|>", "<|rank3|>"];
pub(crate) const BEGIN: TokenId = 256;
pub(crate) const END: TokenId = 257;
pub(crate) const CUSTOMER: TokenId = 258;
pub(crate) const AGENT: TokenId = 259;
pub(crate) const REPLY: TokenId = 260;
pub(crate) const FIRST_RANK: TokenId = 261;
pub(crate) const VOCAB: usize = 265;

/// Opens the turn of the side that did not speak last, as the shipped model's template does.
pub(crate) const SPEAKERS: &str = "<|begin|>{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
    {% if add_generation_prompt %}<|{{ 'customer' if messages[-1].role == 'agent' else 'agent' }}|>{% endif %}";

/// A chat model's: two roles, a header for the assistant, and no system message.
pub(crate) const CHAT: &str = "{% for m in messages %}\
    {% if m.role not in ['user', 'assistant'] %}{{ raise_exception('no role ' ~ m.role) }}{% endif %}\
    {{ m.role }}: {{ m.content }}<|end|>\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}";

pub(crate) const PLAIN: &str = r#"{"languages": ["en"], "reply_format": "speakers"}"#;
pub(crate) const RANKING: &str = r#"{"languages": ["en"], "reply_format": "speakers",
    "reply_ranking": {"reply_token": "<|reply|>", "rank_tokens": [261, 264], "temperature": 0.5, "lm_weight": 0.25}}"#;

/// GPT-2's names for the 256 bytes: printable Latin-1 stands for itself, the rest from U+0100 on.
fn byte_names() -> Vec<char> {
    let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut next = 255;
    let name = |b: u32| {
        next += u32::from(!printable(b));
        char::from_u32(if printable(b) { b } else { next }).unwrap()
    };
    (0..256).map(name).collect()
}

/// Every token is one byte or special.
fn text(template: &str) -> (Arc<Tokenizer>, ChatTemplate) {
    let folder = tempfile::tempdir().unwrap();
    let vocab: Map<_, _> = byte_names().into_iter().zip(0..).map(|(name, id): (char, u32)| (name.into(), id.into())).collect();
    let special = |(id, content): (usize, &&str)| {
        json!({"id": 256 + id, "content": content, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false})
    };
    let added: Vec<_> = SPECIALS.iter().enumerate().map(special).collect();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []},
    });
    let config = json!({"chat_template": template, "bos_token": "<|begin|>", "eos_token": "<|end|>"});
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let files = TextFiles::in_folder(folder.path());
    let tokenizer = Tokenizer::from_files(&files).unwrap();
    let template = ChatTemplate::from_files(&files, &tokenizer).unwrap().unwrap();
    (Arc::new(tokenizer), template)
}

/// A model over a fake engine, with what watches it.
pub(crate) struct Bench {
    pub(crate) model: Arc<ReplyModel>,
    pub(crate) control: Arc<FakeControl>,
    pub(crate) fake: FakeModel,
}

pub(crate) fn bench(fake: FakeModel, template: &str, extras: &str, context: usize) -> Bench {
    let (tokenizer, template) = text(template);
    let runner = fake.runner(&RunnerOptions { context, sequences: 70, ..Default::default() }).unwrap();
    let suppress = (BEGIN..VOCAB as TokenId).filter(|&token| token != END).collect();
    let extras = ModelExtras::from_json(extras).unwrap();
    let text_vocab = extras.reply_ranking.as_ref().map(|ranking| ranking.columns().start);
    let generator =
        Generator::new(runner, GeneratorOptions { eos: vec![END], suppress, text_vocab, ..Default::default() }).unwrap();
    let model = ReplyModel::new(TaskModel::new(generator, tokenizer, template), extras).unwrap();
    Bench { model: Arc::new(model), control: fake.control(), fake }
}

/// A model that replies, to anything, with one of `replies`: the logit of a byte is the best weight among the replies that go
/// on with it, all other bytes have -30. The logits of the rank tokens are [`rank_logits`].
pub(crate) fn replying(replies: &'static [(&'static str, f32)]) -> FakeModel {
    FakeModel::new(VOCAB, 4096, move |tokens| {
        let said = tokens.iter().rposition(|&t| t == CUSTOMER || t == AGENT).map_or(0, |at| at + 1);
        let said: Vec<u8> = tokens[said..].iter().map(|&t| t as u8).collect();
        let mut row = vec![-30.0; VOCAB];
        for (text, weight) in replies {
            if let Some(rest) = text.as_bytes().strip_prefix(said.as_slice()) {
                let next = rest.first().map_or(END as usize, |&byte| usize::from(byte));
                row[next] = f32::max(row[next], *weight);
            }
        }
        row[FIRST_RANK as usize..].copy_from_slice(&rank_logits(tokens));
        row
    })
}

/// The topics of the text: `coffee`, `bus` and `film` have a column each, and any text a little of the fourth. Large, as
/// nothing keeps them small in training either.
pub(crate) fn rank_logits(tokens: &[TokenId]) -> [f32; 4] {
    let text: String = tokens.iter().filter(|&&t| t < 128).map(|&t| char::from(t as u8)).collect();
    let topic = |word: &str| if text.contains(word) { 20.0 } else { 0.0 };
    [topic("coffee"), topic("bus"), topic("film"), 1.0]
}

/// The tokens of a text whose special tokens are spelt out.
pub(crate) fn tokens(text: &str) -> Vec<TokenId> {
    let mut out = vec![];
    let mut rest = text;
    while let Some(&byte) = rest.as_bytes().first() {
        let special = SPECIALS.iter().position(|special| rest.starts_with(special));
        out.push(special.map_or(byte.into(), |index| 256 + index as TokenId));
        rest = &rest[special.map_or(1, |index| SPECIALS[index].len())..];
    }
    out
}
