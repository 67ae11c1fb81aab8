"""The tokenizer: byte-level BPE learnt from the training dialogues, control tokens, rank tokens, chat template."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

CONTROL = ["<|begin|>", "<|end|>", "<|customer|>", "<|agent|>", "<|system|>", "<|reply|>", "<|pad|>"]
BEGIN, END, CUSTOMER, AGENT, SYSTEM, REPLY, PAD = range(len(CONTROL))
SPEAKERS = {"customer": CUSTOMER, "agent": AGENT}
FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"]
TEXT_VOCAB = 4096
RANK_TOKENS = 128
FIRST_RANK = TEXT_VOCAB
LAST_RANK = TEXT_VOCAB + RANK_TOKENS - 1
SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
CHAT_TEMPLATE = """{{- '<|begin|>' -}}
{%- for message in messages -%}
{%- if message['role'] in ['user', 'customer'] -%}
{{- '<|customer|>' -}}
{%- elif message['role'] in ['assistant', 'agent'] -%}
{{- '<|agent|>' -}}
{%- elif message['role'] == 'system' -%}
{{- '<|system|>' -}}
{%- else -%}
{{- raise_exception('unknown role: ' ~ message['role']) -}}
{%- endif -%}
{{- message['content'].strip() ~ '<|end|>' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{%- if messages and messages[-1]['role'] in ['assistant', 'agent'] -%}
{{- '<|customer|>' -}}
{%- else -%}
{{- '<|agent|>' -}}
{%- endif -%}
{%- endif -%}
"""


def side(speaker: str, swapped: bool = False) -> int:
    """The token of a speaker, or of the other one."""
    return SPEAKERS[speaker] if not swapped else CUSTOMER + AGENT - SPEAKERS[speaker]


def learn(texts: Iterable[str]) -> Tokenizer:
    """Learn the vocabulary; ids run control tokens, bytes and merges (4,096 in all), then the rank tokens."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(SPLIT), "isolated"), byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TEXT_VOCAB,
        special_tokens=CONTROL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() != TEXT_VOCAB:
        raise SystemExit(f"the text is too small: {tokenizer.get_vocab_size()} tokens instead of {TEXT_VOCAB}")
    tokenizer.add_special_tokens([AddedToken(f"<|rank{i}|>", special=True, normalized=False) for i in range(RANK_TOKENS)])
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write tokenizer.json, tokenizer_config.json and special_tokens_map.json."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"bos_token": CONTROL[BEGIN], "eos_token": CONTROL[END], "pad_token": CONTROL[PAD]}
    added = {
        str(i): {"content": t.content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
        for i, t in sorted(tokenizer.get_added_tokens_decoder().items())
    }
    config = {
        **names,
        "add_bos_token": False,
        "add_eos_token": False,
        "added_tokens_decoder": added,
        "additional_special_tokens": [t for t in CONTROL if t not in names.values()],
        "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=1) + "\n")


def load(folder: Path) -> Tokenizer:
    """Read back what `save` wrote."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))
