"""OpenELM in torch, after Mehta et al., "OpenELM: An Efficient Language Model Family with Open Training and Inference
Framework" (2024): transformers has no such model. Each layer has heads and a feed-forward width of its own, queries and keys
are normalised a head at a time, the products of a feed-forward block lie in one matrix, and the head is the embedding."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

import golden

EPSILON = 1e-6
THETA = 10000.0


@dataclass(frozen=True)
class Shape:
    """`heads`, `kv_heads` and `inner` (the feed-forward width): one number a layer."""

    vocab: int = 72
    hidden: int = 32
    head_dim: int = 16
    heads: tuple[int, ...] = (2, 4)
    kv_heads: tuple[int, ...] = (1, 2)
    inner: tuple[int, ...] = (24, 48)
    context: int = 192


class RmsNorm(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + EPSILON) * self.weight


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x: [batch, heads, rows, head_dim]; cos, sin: [batch, 1, rows, head_dim]."""
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Layer(nn.Module):
    def __init__(self, shape: Shape, index: int) -> None:
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = shape.heads[index], shape.kv_heads[index], shape.head_dim
        width, inner = shape.head_dim, shape.inner[index]
        self.attn_norm, self.ffn_norm = RmsNorm(shape.hidden), RmsNorm(shape.hidden)
        self.q_norm, self.k_norm = RmsNorm(width), RmsNorm(width)
        self.qkv_proj = nn.Linear(shape.hidden, (self.heads + 2 * self.kv_heads) * width, bias=False)
        self.out_proj = nn.Linear(self.heads * width, shape.hidden, bias=False)
        self.proj_1 = nn.Linear(shape.hidden, 2 * inner, bias=False)
        self.proj_2 = nn.Linear(inner, shape.hidden, bias=False)

    def attention(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, rows, _ = x.shape
        qkv = self.qkv_proj(x).reshape(batch, rows, self.heads + 2 * self.kv_heads, self.head_dim).transpose(1, 2)
        q, k, v = qkv.split([self.heads, self.kv_heads, self.kv_heads], dim=1)
        q, k = rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin)
        k, v = torch.cat((key, k), dim=2), torch.cat((value, v), dim=2)
        group = self.heads // self.kv_heads
        scores = q @ k.repeat_interleave(group, dim=1).transpose(2, 3) * self.head_dim**-0.5 + mask
        mixed = functional.softmax(scores, dim=-1) @ v.repeat_interleave(group, dim=1)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, rows, self.heads * self.head_dim)), k, v

    def forward(self, x: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        added, k, v = self.attention(self.attn_norm(x), *rest)
        x = x + added
        gate, up = self.proj_1(self.ffn_norm(x)).chunk(2, dim=-1)
        return x + self.proj_2(functional.silu(gate) * up), k, v


class OpenElm(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.token_embeddings = nn.Embedding(shape.vocab, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape, i) for i in range(len(shape.heads)))
        self.norm = RmsNorm(shape.hidden)

    def forward(self, ids: Tensor, attention_mask: Tensor, position_ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """ids, position_ids: [batch, rows]; attention_mask: [batch, past + rows]; past: key and value of each layer,
        [batch, kv_heads, past, head_dim] -> logits [batch, rows, vocab], and the keys and values with the new rows."""
        frequencies = THETA ** -(torch.arange(0, self.shape.head_dim, 2, dtype=torch.float32) / self.shape.head_dim)
        angles = position_ids[:, :, None].float() * frequencies
        angles = torch.cat((angles, angles), dim=-1)[:, None]
        columns = torch.arange(attention_mask.shape[1])
        seen = (columns[None, None, :] <= position_ids[:, :, None]) & attention_mask[:, None, :].bool()
        mask = torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None]
        x = self.token_embeddings(ids)
        present: list[Tensor] = []
        for i, layer in enumerate(self.layers):
            x, key, value = layer(x, angles.cos(), angles.sin(), mask, past[2 * i], past[2 * i + 1])
            present += [key, value]
        return (functional.linear(self.norm(x), self.token_embeddings.weight), *present)

    def empty_past(self) -> list[Tensor]:
        return [torch.zeros(1, heads, 0, self.shape.head_dim) for heads in self.shape.kv_heads for _ in range(2)]


def random(shape: Shape, seed: int) -> OpenElm:
    torch.manual_seed(seed)
    model = OpenElm(shape).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn_like(weight)
            if "norm" in name:
                weight.copy_(1.0 + 0.2 * noise)
            else:
                weight.copy_(0.3 * noise if "embed" in name else 1.6 * weight.shape[1] ** -0.5 * noise)
    return model


class Torch(golden.WholeSequence):
    """A runner of golden runs."""

    source = f"torch {torch.__version__.split('+')[0]} float32"

    def __init__(self, model: OpenElm) -> None:
        super().__init__()
        self.model = model

    def logits(self, ids: Tensor) -> Tensor:
        rows = torch.arange(ids.shape[1])[None]
        return self.model(ids, torch.ones_like(rows), rows, *self.model.empty_past())[0]


def config(shape: Shape) -> dict[str, Any]:
    """`config.json` as the published folders have it."""
    return {
        "architectures": ["OpenELMForCausalLM"],
        "model_type": "openelm",
        "vocab_size": shape.vocab,
        "model_dim": shape.hidden,
        "head_dim": shape.head_dim,
        "num_transformer_layers": len(shape.heads),
        "num_query_heads": list(shape.heads),
        "num_kv_heads": list(shape.kv_heads),
        "ffn_multipliers": [inner / shape.hidden for inner in shape.inner],
        "max_context_length": shape.context,
        "normalize_qk_projections": True,
        "share_input_output_layers": True,
        "ffn_with_glu": True,
        "activation_fn_name": "swish",
        "rope_freq_constant": int(THETA),
        "bos_token_id": 0,
        "eos_token_id": 0,
    }


def export(model: OpenElm, folder: Path) -> None:
    """A folder with torch's exporter, inputs and outputs called as Optimum calls them."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config(model.shape), indent=2))
    layers = range(len(model.shape.heads))
    past = [f"past_key_values.{i}.{what}" for i in layers for what in ("key", "value")]
    present = [name.replace("past_key_values", "present") for name in past]
    names = ["input_ids", "attention_mask", "position_ids", *past]
    axes = {name: {0: "batch_size", 1: "sequence_length"} for name in names[:3:2]}
    axes |= {"attention_mask": {0: "batch_size", 1: "total_sequence_length"}}
    axes |= {name: {0: "batch_size", 2: "past_sequence_length"} for name in past}
    axes |= {name: {0: "batch_size", 2: "total_sequence_length"} for name in present} | {"logits": axes["input_ids"]}
    caches = [torch.zeros(2, heads, 3, model.shape.head_dim) for heads in model.shape.kv_heads for _ in range(2)]
    ids = torch.ones(2, 5, dtype=torch.int64)
    rows = torch.arange(3, 8)[None].expand(2, 5)
    example = (ids, torch.ones(2, 8, dtype=torch.int64), rows, *caches)
    graph = str(folder / "model.onnx")
    torch.onnx.export(
        model, example, graph, input_names=names, output_names=["logits", *present], dynamic_axes=axes, opset_version=18, dynamo=False
    )  # fmt: skip
