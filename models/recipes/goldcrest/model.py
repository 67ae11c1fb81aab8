"""The network: a Llama-shaped decoder written for training on a CPU, with weights named as transformers names them.

Shapes in comments: B sequences, T positions, D hidden size, H query heads, G key/value heads, E head size, V vocabulary.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Cache = list[tuple[Tensor, Tensor]]  # per layer: keys and values, [B, G, T, E]


@dataclass(frozen=True)
class Shape:
    """Sizes of the network; every matrix has K a multiple of 128 and N a multiple of 32."""

    hidden: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ffn: int = 768
    vocab: int = 4224
    text_vocab: int = 4096
    context: int = 1024
    rope_theta: float = 10000.0
    norm_eps: float = 1e-6
    dropout: float = 0.0

    @staticmethod
    def fitting(state: dict[str, Tensor]) -> "Shape":
        """The shape of saved weights; what they do not tell is as by default."""
        vocab, hidden = state["embed_tokens.weight"].shape
        layers = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("layers."))
        rank_tokens = Shape.vocab - Shape.text_vocab
        return Shape(hidden=hidden, layers=layers, vocab=vocab, text_vocab=vocab - rank_tokens)


def quantise_dequantise(weight: Tensor, bits: int = 4, block: int = 32) -> Tensor:
    """Symmetric block-wise round-to-nearest along K, as ONNX Runtime's MatMulNBits quantiser does it. weight: [N, K]."""
    blocks = weight.reshape(weight.shape[0], -1, block)  # [N, K / block, block]
    largest = blocks.gather(2, blocks.abs().argmax(2, keepdim=True))  # the signed value of greatest magnitude
    half = 2 ** (bits - 1)
    scale = largest / -half
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)
    levels = (blocks * inverse).round().clamp(-half, half - 1)
    return (levels * scale).reshape(weight.shape)


class Matrix(nn.Module):
    """A weight matrix without bias. With `bits` set, the forward pass sees the quantised weight and the gradient passes straight through."""

    def __init__(self, rows: int, columns: int, std: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(rows, columns) * std)  # [N, K]
        self.bits: int | None = None

    def effective(self) -> Tensor:
        if self.bits is None:
            return self.weight
        with torch.no_grad():
            error = quantise_dequantise(self.weight, self.bits) - self.weight
        return self.weight + error

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.effective())


class Norm(nn.Module):
    """Root-mean-square normalisation."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)


def rotary_tables(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines of the rotary position embedding, each [context, E]."""
    powers = torch.arange(0, shape.head_dim, 2, dtype=torch.float64) / shape.head_dim
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float64), shape.rope_theta**-powers)
    angles = torch.cat((angles, angles), dim=1)
    return angles.cos().float(), angles.sin().float()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply the rotary embedding in the half-split layout. x: [B, heads, T, E]; cos, sin: [T, E]."""
    low, high = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-high, low), dim=-1) * sin


class Attention(nn.Module):
    """Grouped-query attention."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width, kv_width = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.shape = shape
        self.q_proj = Matrix(width, shape.hidden, shape.hidden**-0.5)
        self.k_proj = Matrix(kv_width, shape.hidden, shape.hidden**-0.5)
        self.v_proj = Matrix(kv_width, shape.hidden, shape.hidden**-0.5)
        self.o_proj = Matrix(shape.hidden, width, 0.3 * width**-0.5)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None, mask: Tensor):
        batch, steps, _ = x.shape
        split = lambda y, heads: y.view(batch, steps, heads, self.shape.head_dim).transpose(1, 2)  # [B, heads, T, E]
        v = split(self.v_proj(x), self.shape.kv_heads)
        q = rotate(split(self.q_proj(x), self.shape.heads), cos, sin).to(v.dtype)
        k = rotate(split(self.k_proj(x), self.shape.kv_heads), cos, sin).to(v.dtype)
        if past is not None:
            k, v = (torch.cat((old.expand(batch, -1, -1, -1), add), dim=2) for old, add in zip(past, (k, v)))
        groups = self.shape.heads // self.shape.kv_heads
        keys, values = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        scores = (q @ keys.transpose(2, 3)) * self.shape.head_dim**-0.5  # [B, H, T, past + T]
        weights = torch.softmax(scores.float().masked_fill(~mask, -1e9), dim=-1)
        mixed = weights.to(values.dtype) @ values
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, steps, -1)), (k, v)


class FeedForward(nn.Module):
    """Gated feed-forward layer with SiLU."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = Matrix(shape.ffn, shape.hidden, shape.hidden**-0.5)
        self.up_proj = Matrix(shape.ffn, shape.hidden, shape.hidden**-0.5)
        self.down_proj = Matrix(shape.hidden, shape.ffn, 0.3 * shape.ffn**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One decoder layer."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = Norm(shape.hidden, shape.norm_eps)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = Norm(shape.hidden, shape.norm_eps)
        self.mlp = FeedForward(shape)
        self.dropout = shape.dropout

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, past: tuple[Tensor, Tensor] | None, mask: Tensor):
        mixed, present = self.self_attn(self.input_layernorm(x), cos, sin, past, mask)
        x = x + F.dropout(mixed, self.dropout, self.training)
        grown = self.mlp(self.post_attention_layernorm(x))
        return x + F.dropout(grown, self.dropout, self.training), present


class Decoder(nn.Module):
    """Token ids to final hidden states; the embedding matrix is also the output matrix."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embed_tokens = Matrix(shape.vocab, shape.hidden, 0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = Norm(shape.hidden, shape.norm_eps)
        cos, sin = rotary_tables(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(self, ids: Tensor, past: Cache | None = None) -> tuple[Tensor, Cache]:
        """ids: [B, T], padded on the right. Returns hidden states [B, T, D] and the keys and values of every layer."""
        start = past[0][0].shape[2] if past else 0
        steps = ids.shape[1]
        cos, sin = self.cos[start : start + steps], self.sin[start : start + steps]
        mask = torch.ones(steps, start + steps, dtype=torch.bool, device=ids.device).tril(start)  # [T, start + T]
        x = F.embedding(ids, self.embed_tokens.effective())
        presents: Cache = []
        for index, layer in enumerate(self.layers):
            x, present = layer(x, cos, sin, past[index] if past else None, mask)
            presents.append(present)
        return self.norm(x), presents

    def text_logits(self, hidden: Tensor) -> Tensor:
        """Logits of the tokens that text can hold: [.., D] to [.., text vocabulary]."""
        return F.linear(hidden, self.embed_tokens.effective()[: self.shape.text_vocab])

    def rank_vector(self, hidden: Tensor) -> Tensor:
        """Unit vector made of the logits of the rank tokens: [.., D] to [.., 128]."""
        logits = F.linear(hidden, self.embed_tokens.effective()[self.shape.text_vocab :])
        return F.normalize(logits.float(), dim=-1)

    def quantise(self, bits: int | None, head_bits: int | None) -> None:
        """Train through quantised weights: `bits` in the layers, `head_bits` in the embedding; None turns it off."""
        for module in self.layers.modules():
            if isinstance(module, Matrix):
                module.bits = bits
        self.embed_tokens.bits = head_bits


def load_checkpoint(run: Path) -> tuple[Decoder, float]:
    """The network of a training run, and its ranking temperature."""
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    model = Decoder(Shape.fitting(content["model"]))
    model.load_state_dict(content["model"])
    return model.eval(), 1 / content["scale"].exp().clamp(max=50.0).item()
