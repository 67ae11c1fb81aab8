"""Small tokenizers of the kinds in the wild, each with its tokenizer_config.json in one of the forms in the wild."""

import collections
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import chats

LINES = [
    "The baker opens her shop at six and the smell of warm bread fills the street.",
    "When will the parcel arrive? It should be here tomorrow, in the morning.",
    "We walked along the river, talked about the weather and had some tea.",
    "I can't come today, I'm sorry; they've asked me to stay until we're done.",
    "Der Zug nach Köln fährt um acht Uhr ab. Où est la gare, s'il vous plaît ?",
    "Настало утро, и птицы запели. Доброе утро! Спасибо, всё хорошо.",
    "def total(items):\n    return sum(item.price for item in items)\n",
    "if (count > 10) { print(\"more than ten\"); } else { count += 1; }",
]
SPLIT_THREE_DIGITS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLIT_ONE_DIGIT = SPLIT_THREE_DIGITS.replace(r"\p{N}{1,3}", r"\p{N}")


class Made(NamedTuple):
    """A tokenizer, its tokenizer_config.json, and the other files of its folder by path."""

    tokenizer: Tokenizer
    config: dict[str, Any]
    files: dict[str, str] = {}


def special(text: str, **flags: bool) -> AddedToken:
    return AddedToken(text, special=True, normalized=False, **flags)


def decoder_table(tokenizer: Tokenizer) -> dict[str, dict[str, Any]]:
    """`added_tokens_decoder`, the old form's list of added tokens."""
    fields = ("content", "lstrip", "normalized", "rstrip", "single_word", "special")
    added = tokenizer.get_added_tokens_decoder()
    return {str(i): {f: getattr(token, f) for f in fields} for i, token in sorted(added.items())}


def byte_level_bpe(size: int, split: str, normalizer: Any, **options: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    inner = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(split), "isolated"), inner])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(LINES, trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False))
    if options:
        learnt = json.loads(tokenizer.to_str())["model"]
        tokenizer.model = models.BPE(learnt["vocab"], [tuple(m) for m in learnt["merges"]], **options)
    return tokenizer


def sentencepiece_bpe(first: list[str], size: int) -> Tokenizer:
    """Pieces learnt from whole words, then 256 byte tokens below them for what they cannot spell."""
    learner = Tokenizer(models.BPE())
    learner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    learner.train_from_iterator(LINES[:5], trainers.BpeTrainer(vocab_size=size, show_progress=False))
    learnt = json.loads(learner.to_str())["model"]
    pieces = first + [f"<0x{byte:02X}>" for byte in range(256)] + sorted(learnt["vocab"], key=learnt["vocab"].get)
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    merges = [tuple(m) for m in learnt["merges"]]
    return Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))


def bos_template(bos: str, number: int) -> Any:
    return processors.TemplateProcessing(single=f"{bos} $A", pair=f"{bos} $A {bos}:1 $B:1", special_tokens=[(bos, number)])


def byte_level_bos() -> Made:
    """Llama 3: words looked up whole before merging, a start token by the post-processor; old form, rules as strings."""
    tokenizer = byte_level_bpe(360, SPLIT_THREE_DIGITS, None, ignore_merges=True)
    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|python_tag|>"]
    tokenizer.add_special_tokens([special(n) for n in names])
    start = bos_template(names[0], tokenizer.token_to_id(names[0]))
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), start])
    config = {
        "added_tokens_decoder": decoder_table(tokenizer),
        "bos_token": names[0],
        "chat_template": chats.HEADERS,
        "clean_up_tokenization_spaces": True,
        "eos_token": names[2],
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 131072,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    return Made(tokenizer, config)


def byte_level_tools() -> Made:
    """Qwen: composed by NFC, no start token, plain added tokens for tools; new form, template in a file of its own."""
    tokenizer = byte_level_bpe(340, SPLIT_ONE_DIGIT, normalizers.NFC())
    tokenizer.add_special_tokens([special(n) for n in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")])
    plain = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", "<think>", "</think>")
    tokenizer.add_tokens([AddedToken(n, normalized=False) for n in plain])
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    config = {
        "add_prefix_space": False,
        "backend": "tokenizers",
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "is_local": False,
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": None,
    }
    return Made(tokenizer, config, {"chat_template.jinja": chats.TOOLS})


def metaspace_prepend() -> Made:
    """Llama 2: a space put before the text, byte fallback; old form, rules as dictionaries and switches."""
    tokenizer = sentencepiece_bpe(["<unk>", "<s>", "</s>"], 220)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens([special(n) for n in ("<unk>", "<s>", "</s>")])
    tokenizer.post_processor = bos_template("<s>", 1)

    def rule(text: str) -> dict[str, Any]:
        flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
        return {"__type": "AddedToken", "content": text, **flags}

    config = {
        "add_bos_token": True,
        "add_eos_token": False,
        "added_tokens_decoder": decoder_table(tokenizer),
        "bos_token": rule("<s>"),
        "chat_template": chats.INSTRUCTIONS,
        "clean_up_tokenization_spaces": False,
        "eos_token": rule("</s>"),
        "legacy": True,
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": None,
        "sp_model_kwargs": {},
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": rule("<unk>"),
    }
    rules = {n: {k: v for k, v in config[n].items() if k != "__type"} for n in ("bos_token", "eos_token", "unk_token")}
    return Made(tokenizer, config, {"special_tokens_map.json": json.dumps(rules)})


def metaspace_plain() -> Made:
    """Gemma: spaces replaced, none added, runs of line ends as added tokens; new form, further templates in a folder."""
    tokenizer = sentencepiece_bpe(["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>", "\n\n", "\n\n\n"], 200)
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([special(n) for n in ("<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>")])
    tokenizer.add_tokens([AddedToken(n, normalized=False) for n in ("\n\n", "\n\n\n")])
    tokenizer.post_processor = bos_template("<bos>", 2)
    config = {
        "backend": "tokenizers",
        "bos_token": "<bos>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "<eos>",
        "extra_special_tokens": ["<start_of_turn>", "<end_of_turn>"],
        "model_max_length": 1000000000000000019884624838656,
        "pad_token": "<pad>",
        "spaces_between_special_tokens": False,
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
        "use_default_system_prompt": False,
    }
    files = {"chat_template.jinja": chats.TURNS, "additional_chat_templates/briefly.jinja": chats.BRIEFLY}
    return Made(tokenizer, config, files)


def unigram() -> Made:
    """Unigram with NFKC and an end token; old form, a list of named templates, added tokens that swallow spaces."""
    text = " ".join(LINES[:6]).replace(" ", "\u2581")
    learnt = sentencepiece_bpe([], 160).get_vocab(with_added_tokens=False)
    counts = {p: text.count(p) for p in sorted(learnt, key=learnt.__getitem__) if text.count(p)}
    scores = [(p, round(math.log(n / len(text)), 3)) for p, n in counts.items()]
    tokenizer = Tokenizer(models.Unigram([("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), *scores], 2, False))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.add_special_tokens([special(n) for n in ("<pad>", "</s>", "<unk>")])
    greedy = [special("<sep>", lstrip=True), special("<mask>", lstrip=True, rstrip=True), special("<user>", rstrip=True)]
    tokenizer.add_special_tokens(greedy)
    tokenizer.add_tokens([AddedToken("teapot", single_word=True)])
    end = [("</s>", tokenizer.token_to_id("</s>"))]
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>", special_tokens=end)
    named = [{"name": "default", "template": chats.PLAIN}, {"name": "tool_use", "template": chats.PLAIN_TOOLS}]
    config = {
        "added_tokens_decoder": decoder_table(tokenizer),
        "additional_special_tokens": ["<sep>", "<user>"],
        "chat_template": named,
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "mask_token": "<mask>",
        "model_max_length": 512,
        "pad_token": "<pad>",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "<unk>",
    }
    return Made(tokenizer, config)


def wordpiece() -> Made:
    """BERT: small letters without accents, pieces marked ##, a token before and after; no chat template."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = re.findall(r"\w+|[^\w\s]", " ".join(LINES).lower().translate(str.maketrans("\u00f6\u00e4\u00f9\u00ee", "oaui")))
    letters = sorted(set("".join(words)))
    ends = collections.Counter(word[i:] for word in words for i in range(1, len(word) - 1))
    pieces = names + letters + [f"##{c}" for c in letters if c.isalpha()]
    pieces += [w for w in sorted(set(words)) if len(w) < 6] + sorted(f"##{end}" for end, count in ends.items() if count > 1)
    vocab = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.add_special_tokens([special(n) for n in names])
    around = [(n, tokenizer.token_to_id(n)) for n in ("[CLS]", "[SEP]")]
    both = "[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1"
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0", pair=both, special_tokens=around)
    config = {
        "added_tokens_decoder": decoder_table(tokenizer),
        "clean_up_tokenization_spaces": True,
        "cls_token": "[CLS]",
        "do_lower_case": True,
        "mask_token": "[MASK]",
        "model_max_length": 512,
        "pad_token": "[PAD]",
        "sep_token": "[SEP]",
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": "[UNK]",
    }
    return Made(tokenizer, config)


ALL: dict[str, Callable[[], Made]] = {
    "byte-level-bos": byte_level_bos,
    "byte-level-tools": byte_level_tools,
    "metaspace-prepend": metaspace_prepend,
    "metaspace-plain": metaspace_plain,
    "unigram": unigram,
    "wordpiece": wordpiece,
}


def write(made: Made, folder: Path) -> None:
    folder.mkdir(parents=True)
    whole = json.loads(made.tokenizer.to_str())
    (folder / "tokenizer.json").write_text(json.dumps(whole, ensure_ascii=False, separators=(",", ":")))
    (folder / "tokenizer_config.json").write_text(json.dumps(made.config, ensure_ascii=False, indent=2))
    for name, text in made.files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
