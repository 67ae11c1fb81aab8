"""Tokenizer folders and cases.json: what transformers makes of texts, chats and template features."""

import datetime
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

import chats
import features
import tokens
from layouts import Workplace, empty

Fail = Callable[[str], None]
TEXTS = {
    "empty": "",
    "one space": " ",
    "plain": "The baker opens her shop at six.",
    "spaces": "  two before,  two between, two after  ",
    "line ends": "one\n\ntwo\r\nthree\n\n\n\tfour\n ",
    "digits": "In 2026 it cost 1234567.89 or 3 x 45",
    "contractions": "I'm sure they'VE said it's John's, don't you?",
    "emoji": "\U0001f600 a \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea\U0001f44d\U0001f3fd\u2764\ufe0f",
    "combining": "cafe\u0301 vs caf\u00e9, n\u0303, \u1ec7 e\u0323\u0302",
    "thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e04\u0e23\u0e31\u0e1a \u0e02\u0e2d\u0e1a\u0e04\u0e38\u0e13",
    "arabic": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0643\u0645\u060c \u0643\u064e\u064a\u0641\u064e \u0627\u0644\u062d\u0627\u0644\u061f",
    "chinese": "\u4f60\u597d\uff0c\u4e16\u754c\uff01\u3000\u4eca\u65e5\u306f",
    "cyrillic": "\u0414\u043e\u0431\u0440\u043e\u0435 \u0443\u0442\u0440\u043e!",
    "width": "\uff21\uff22\uff43 \ufb01ne \u2460 \u00bd",
    "code": "def f(x):\n    if x >= 10:\n\treturn {'a': x // 2}  # half\n",
    "long word": "antidisestablishment" * 10,
    "long run": "=" * 40 + " " * 20 + "!",
    "specials": "<s>[INST]</s> <|eot_id|>x<|im_end|>\n<end_of_turn> <bos>y<unk> [SEP][MASK]",
    "plain added": "<tool_call>\n{}</tool_call> <think> a</think>b teapot teapots ateapot",
    "greedy added": "a  <mask>  b <sep>c <user>  d",
    "pieces as text": "<0x41>\u2581x ##y \u0120z \u010a",
    "odd characters": "\u0000\u0007a\u00a0b\u200bc\u2028d\ufeffe\ufffd",
}


class Clock(datetime.datetime):
    """Stands still at the moment that cases.json names."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> "Clock":
        return cls.fromisoformat(features.NOW)


def text_cases(tokenizer: PreTrainedTokenizerFast, folder: Path, fail: Fail) -> dict[str, Any]:
    """What the post-processor puts around every text, and for each text its ids without that.

    `as_text`: the ids when specials in the text are taken for plain text, where that differs; `decoded` and `shown`: the
    whole sequence decoded with and without its special tokens, where that differs from the text.
    """
    bare = tokens.Tokenizer.from_file(str(folder / "tokenizer.json"))
    around = len(tokenizer.encode("x", add_special_tokens=False))
    whole = tokenizer.encode("x")
    before = next(i for i in range(len(whole)) if whole[i : i + around] == tokenizer.encode("x", add_special_tokens=False))
    prefix, suffix = whole[:before], whole[before + around :]
    cases = []
    for name, text in TEXTS.items():
        ids, plain = (tokenizer.encode(text, add_special_tokens=added) for added in (True, False))
        same = bare.encode(text).ids == ids and bare.encode(text, add_special_tokens=False).ids == plain
        if not same or ids != prefix + plain + suffix:
            fail(f"{folder.name}: {name}: the library alone gives other ids than transformers, or other ones around them")
        decoded, shown = (tokenizer.decode(ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False) for skip in (False, True))
        extra = {
            "as_text": tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True),
            "decoded": decoded,
            "shown": shown,
        }
        usual = {"as_text": plain, "decoded": text, "shown": text}
        cases.append({"text": name, "ids": plain} | {k: v for k, v in extra.items() if v != usual[k]})
    return {"prefix": prefix, "suffix": suffix, "cases": cases}


def rendered(render: Callable[[], Any]) -> dict[str, str]:
    try:
        return {"rendered": render()}
    except Exception as error:  # noqa: BLE001 (whatever a template raises is the case)
        return {"error": str(error), "error_kind": type(error).__name__}


def chat_cases(tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
    cases = []
    named = tokenizer.chat_template if isinstance(tokenizer.chat_template, dict) else {}
    for talk in chats.CONVERSATIONS if tokenizer.chat_template else []:
        if talk.get("template") and talk["template"] not in named:
            continue
        options = {"tokenize": False, "add_generation_prompt": talk["add_generation_prompt"], **talk.get("variables", {})}
        options |= {"tools": talk.get("tools"), "chat_template": talk.get("template")}
        cases.append({"conversation": talk["name"]} | rendered(partial(tokenizer.apply_chat_template, talk["messages"], **options)))
    return cases


def feature_cases(tokenizer: PreTrainedTokenizerFast) -> list[dict[str, Any]]:
    cases = []
    for case in features.FEATURES:
        options = {"chat_template": case["template"], "tokenize": False, **case["variables"]}
        cases.append(case | rendered(partial(tokenizer.apply_chat_template, case["messages"], **options)))
    return cases


def lines(values: list[dict[str, Any]]) -> str:
    return "[\n" + ",\n".join("    " + json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in values) + "\n  ]"


def make(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    out = empty(work.out / "tokenizers")
    chat_template_utils.datetime = Clock
    parts = []
    for name, made in tokens.ALL.items():
        folder = out / name
        tokens.write(made(), folder)
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        about = text_cases(tokenizer, folder, fail)
        around = f'"prefix": {about["prefix"]}, "suffix": {about["suffix"]}'
        parts.append(f'  "{name}": {{{around}, "texts": {lines(about["cases"])}, "chats": {lines(chat_cases(tokenizer))}}}')
    tokenizer = PreTrainedTokenizerFast.from_pretrained(out / "byte-level-bos")
    fields = [
        '"source": "transformers 5.23, tokenizers 0.23"',
        f'"now": "{features.NOW}"',
        f'"texts": {json.dumps(TEXTS, ensure_ascii=False, indent=1)}',
        f'"conversations": {lines(chats.CONVERSATIONS)}',
        '"features_tokenizer": "byte-level-bos"',
        f'"features": {lines(feature_cases(tokenizer))}',
        '"tokenizers": {\n' + ",\n".join(parts) + "\n}",
    ]
    (out / "cases.json").write_text("{\n" + ",\n".join(fields) + "\n}\n")
    json.loads((out / "cases.json").read_text())
    return []


GROUPS = {"tokenizers": make}
