"""The checkpoints: random weights in the Hugging Face form, one per model family, and the tokenizers beside them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEXT = [
    "The small bird sat on the garden wall and sang until the rain came.",
    "Could you tell me when the next train to the coast will leave?",
    "Thanks, that works for me. I will see you at the station at nine.",
    "She put the kettle on, opened the window and waited for the others.",
    "Sorry, I cannot make it today; shall we meet on Thursday instead?",
    "There are seven hills, three rivers and one very old bridge in the town.",
]


@dataclass(frozen=True)
class Checkpoint:
    """One family. `embedding` scales the token table, `inner` the products; together they set how lively the output is."""

    name: str
    config: str
    shape: dict[str, Any]
    seed: int
    prompts: tuple[int, ...] = (1, 7, 128)
    theta: float = 10000.0
    rope: dict[str, Any] = field(default_factory=dict)
    embedding: float = 0.3
    inner: float = 1.6
    layouts: tuple[str, ...] = ("genai", "optimum")


# The builder takes any product with as many columns as there are tokens for the head: no other width may be 40, 72 or 128.
HEADS = dict(num_attention_heads=4, num_key_value_heads=2, head_dim=16)
LONG = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=2, max_position_embeddings=768, vocab_size=128, **HEADS)
SHORT = dict(hidden_size=32, intermediate_size=32, num_hidden_layers=1, max_position_embeddings=192, vocab_size=72, **HEADS)
SOFTCAPS = dict(attn_logit_softcapping=3.0, final_logit_softcapping=4.0, query_pre_attn_scalar=20)
TWO_HEADS = dict(num_attention_heads=2, num_key_value_heads=1, head_dim=32)
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=48)
LONGROPE = dict(rope_type="longrope", type="longrope", short_factor=[1.0, 1.1, 1.2, 1.3, 1.4, 1.6, 1.8, 2.0],
                long_factor=[1.0, 1.4, 2.5, 4.0, 5.0, 6.0, 7.0, 8.0], partial_rotary_factor=0.5, original_max_position_embeddings=96)
LOCAL_THETA = 1e4
MULTIPLIERS = dict(embedding_multiplier=3.0, attention_multiplier=0.2, residual_multiplier=0.6, logits_scaling=1.5)

CHECKPOINTS = [
    Checkpoint("qwen2", "Qwen2Config", dict(LONG, tie_word_embeddings=True, use_sliding_window=False, rms_norm_eps=1e-6),
               seed=8, prompts=(1, 7, 128, 700), theta=1e6),
    Checkpoint("llama", "LlamaConfig", dict(SHORT, vocab_size=128, tie_word_embeddings=False, rms_norm_eps=1e-5), seed=8, theta=5e5),
    Checkpoint("mistral", "MistralConfig", dict(SHORT, sliding_window=48, tie_word_embeddings=False), seed=8),
    Checkpoint("gemma2", "Gemma2Config", dict(SHORT, **SOFTCAPS, hidden_size=16, num_hidden_layers=2, sliding_window=48), seed=1),
    Checkpoint("phi3", "Phi3Config", dict(SHORT, **TWO_HEADS, original_max_position_embeddings=192, sliding_window=None,
               tie_word_embeddings=True), seed=5, rope=dict(partial_rotary_factor=0.5)),
    Checkpoint("qwen3", "Qwen3Config", dict(SHORT, tie_word_embeddings=True, use_sliding_window=False), seed=11, theta=1e6),
    Checkpoint("llama3", "LlamaConfig", dict(SHORT, tie_word_embeddings=True, rms_norm_eps=1e-5), seed=9, theta=5e5, rope=LLAMA3),
    Checkpoint("gemma", "GemmaConfig", dict(SHORT, hidden_size=16, num_key_value_heads=1, num_hidden_layers=2), seed=2),
    Checkpoint("gemma3", "Gemma3TextConfig", dict(SHORT, hidden_size=16, num_hidden_layers=2, sliding_window=48, sliding_window_pattern=2,
               query_pre_attn_scalar=20, layer_types=["sliding_attention", "full_attention"]), seed=9, theta=1e6),
    Checkpoint("olmo2", "Olmo2Config", dict(SHORT, tie_word_embeddings=False), seed=3, theta=5e5, layouts=("optimum",)),
    Checkpoint("granite", "GraniteConfig", dict(SHORT, **MULTIPLIERS, tie_word_embeddings=False), seed=4),
    Checkpoint("smollm3", "SmolLM3Config", dict(SHORT, num_hidden_layers=2, no_rope_layers=[1, 0], use_sliding_window=False,
               tie_word_embeddings=True), seed=7, theta=5e6),
    Checkpoint("phi4", "Phi3Config", dict(SHORT, original_max_position_embeddings=192, sliding_window=None, tie_word_embeddings=False),
               seed=7, theta=250000.0),
    Checkpoint("phi4-mini", "Phi3Config", dict(SHORT, **TWO_HEADS, hidden_size=64, original_max_position_embeddings=96,
               sliding_window=None, tie_word_embeddings=True), seed=10, rope=LONGROPE, layouts=("genai",)),
]  # fmt: skip

HALF = dict(partial_rotary_factor=0.5)
UNTIED = dict(SHORT, tie_word_embeddings=False)
DENSE_HYBRID = dict(UNTIED, **MULTIPLIERS, layer_types=["attention"], num_local_experts=0, num_experts_per_tok=0,
                    shared_intermediate_size=32, mamba_n_heads=4, mamba_d_head=16, mamba_expand=2, position_embedding_type="rope")
TRACED = [  # families that torch's own exporter alone takes on
    Checkpoint("granite4", "GraniteMoeHybridConfig", DENSE_HYBRID, seed=1),
    Checkpoint("glm4", "Glm4Config", dict(UNTIED, **HALF), seed=1, rope=HALF),
    Checkpoint("hunyuan", "HunYuanDenseV1Config", UNTIED, seed=1),
]  # fmt: skip

NARROW = dict(hidden_size=64, intermediate_size=32, num_hidden_layers=1, max_position_embeddings=160, vocab_size=40, **HEADS)
QWEN = dict(use_sliding_window=False, rms_norm_eps=1e-6)
QUANTISED = [  # short products, so that every quantisation has a folder; `wide` has a whole block of 128 in a row
    Checkpoint("tied", "Qwen2Config", dict(NARROW, **QWEN, tie_word_embeddings=True), seed=8),
    Checkpoint("wide", "Qwen2Config", dict(NARROW, **QWEN, tie_word_embeddings=True, intermediate_size=128), seed=4),
    Checkpoint("untied", "LlamaConfig", dict(NARROW, tie_word_embeddings=False, rms_norm_eps=1e-6), seed=5),
]


def tokenizer(size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE: every byte where the vocabulary has room for all 256, else printable ASCII or no more than small letters."""
    bpe = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), byte_level])
    bpe.decoder = decoders.ByteLevel()
    whole = sorted(pre_tokenizers.ByteLevel.alphabet())
    ascii_only = [c for c in whole if "!" <= c <= "~"] + ["\u0120", "\u010a"]
    letters = [c for c in ascii_only if c.islower() or c in ".,?!;\u0120"]
    alphabet = next(a for a in (whole, ascii_only, letters) if len(a) + len(SPECIAL) < size)
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([t.lower() for t in TEXT] if alphabet is letters else TEXT, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token=SPECIAL[0], pad_token=SPECIAL[0], additional_special_tokens=SPECIAL[1:])
    fast.chat_template = CHAT
    return fast


def older_rope(checkpoint: Checkpoint) -> dict[str, Any]:
    """What transformers 4 reads, which does not look into `rope_parameters`."""
    older: dict[str, Any] = {"rope_theta": checkpoint.theta}
    rope = dict(checkpoint.rope)
    if "partial_rotary_factor" in rope:
        older["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
    if rope.get("rope_type") == "longrope":
        rope.pop("original_max_position_embeddings")  # it belongs beside the scaling
        rope.pop("rope_type")
    if checkpoint.name == "gemma3":
        older["rope_local_base_freq"] = LOCAL_THETA
    return older | ({"rope_scaling": rope} if rope else {})


def write(checkpoint: Checkpoint, out: Path) -> None:
    """Writes `out` in the form that both transformers 5 and transformers 4 read."""
    torch.manual_seed(checkpoint.seed)
    rope = {"rope_type": "default", "rope_theta": checkpoint.theta, **checkpoint.rope}
    if checkpoint.name == "gemma3":  # each kind of layer has its own
        rope = {"full_attention": rope, "sliding_attention": {**rope, "rope_theta": LOCAL_THETA}}
    ids = dict(bos_token_id=0, eos_token_id=0, pad_token_id=0)
    config = getattr(transformers, checkpoint.config)(**checkpoint.shape, **ids, rope_parameters=rope)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()
    gemma = checkpoint.name.startswith("gemma")  # its norms multiply by one plus the weight
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn_like(weight)
            if gemma and "layernorm" in name and "post_" in name:
                weight.copy_(3.0 + 0.2 * noise)  # what a layer adds must not drown in the scaled embedding
            elif "norm" in name:
                weight.copy_((0.0 if gemma else 1.0) + 0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.3 * noise)
            elif gemma and "embed" in name:  # rows of one length, or the longest would win every step
                weight.copy_(checkpoint.embedding * noise * (weight.shape[1] ** 0.5 / noise.norm(dim=1, keepdim=True)))
            elif "embed" in name or "lm_head" in name:
                weight.copy_(checkpoint.embedding * noise)
            else:
                weight.copy_(checkpoint.inner * weight.shape[1] ** -0.5 * noise)
    model.save_pretrained(out)
    tokens = tokenizer(config.vocab_size)
    tokens.save_pretrained(out)
    settings = json.loads((out / "tokenizer_config.json").read_text())
    settings["additional_special_tokens"] = SPECIAL[1:]
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    settings.pop("extra_special_tokens", None)  # transformers 4 stumbles over the list that transformers 5 writes
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=2))
    saved = json.loads((out / "config.json").read_text())
    saved |= older_rope(checkpoint)
    (out / "config.json").write_text(json.dumps(saved, indent=2))
