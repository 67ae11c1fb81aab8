"""The training objectives: next token; reply ranking with the other replies of the batch as negatives; which intents of the bank answer
a message."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

import bank
from data import Group, Sequences
from model import Decoder

Encoder = Callable[[Tensor], Tensor]  # ids [B, T] to hidden states [B, T, D]
MAX_SCALE = 50.0


def half(device: str) -> torch.dtype:
    """The type of products in training: bfloat16 where the device multiplies it faster than float32."""
    fast = device != "cpu" or torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if fast else torch.float32


def mixed(device: str) -> torch.autocast:
    """Products in the narrow type where that is faster."""
    narrow = half(device)
    return torch.autocast(device, narrow, enabled=narrow != torch.float32)


def known_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy a message, summed over the intents of which something is known. Both [P, intents]."""
    loss = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0.0), reduction="none")
    return (loss * (labels != bank.UNKNOWN)).sum(1).mean()


class LinearCrossEntropy(torch.autograd.Function):
    """Sum of the cross-entropies of `hidden @ weight.T`, in chunks that stay in the cache; gradients are made in the forward pass."""

    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, targets: Tensor, chunk: int = 256) -> Tensor:  # [n, D], [V, D], [n]
        narrow = half(hidden.device.type)
        rows, matrix = hidden.to(narrow), weight.to(narrow)
        grad_rows = torch.empty_like(rows)
        grad_matrix = torch.zeros_like(weight, dtype=torch.float32)
        loss = torch.zeros((), device=weight.device)
        for start in range(0, rows.shape[0], chunk):
            part, target = rows[start : start + chunk], targets[start : start + chunk, None]
            logits = (part @ matrix.T).float()  # [chunk, V]
            peak = logits.amax(1, keepdim=True)
            wanted = logits.gather(1, target)
            logits.sub_(peak).exp_()
            total = logits.sum(1, keepdim=True)
            loss += (total.log() + peak - wanted).sum()
            logits.div_(total)
            logits.scatter_add_(1, target, torch.full_like(wanted, -1.0))
            grad = logits.to(narrow)
            grad_rows[start : start + chunk] = grad @ matrix
            grad_matrix += grad.T @ part
        ctx.save_for_backward(grad_rows, grad_matrix)
        return loss

    @staticmethod
    def backward(ctx, grad: Tensor):
        grad_rows, grad_matrix = ctx.saved_tensors
        return grad_rows * grad, grad_matrix * grad, None, None


def encode(encoder: Encoder, batches: list[Sequences]) -> Tensor:
    """Hidden states of all batches, flattened and joined: [sum of B x T, D]."""
    return torch.cat([encoder(batch.ids).flatten(0, 1) for batch in batches])


def next_tokens(batches: list[Sequences]) -> tuple[Tensor, Tensor]:
    """Positions in the flattened whole that have a next token, and that token."""
    positions: list[Tensor] = []
    targets: list[Tensor] = []
    start = 0
    for batch in batches:
        width = batch.ids.shape[1]
        flat = torch.arange(batch.ids.numel(), device=batch.ids.device).view(batch.ids.shape)
        valid = torch.arange(width, device=batch.ids.device)[None] < batch.lengths[:, None] - 1
        positions.append(flat[valid] + start)
        targets.append(batch.ids.flatten()[flat[valid] + 1])
        start += batch.ids.numel()
    return torch.cat(positions), torch.cat(targets)


def ranking_loss(contexts: Tensor, replies: Tensor, scale: Tensor, group: Group) -> tuple[Tensor, Tensor]:
    """Symmetric InfoNCE over [P, 128] unit vectors, and the share of contexts whose own reply comes first."""
    scores = contexts @ replies.T * scale  # [P, P]
    own = torch.eye(scores.shape[0], dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill(group.same & ~own, -1e4)
    truth = torch.arange(scores.shape[0], device=scores.device)
    loss = (F.cross_entropy(scores, truth) + F.cross_entropy(scores.T, truth)) / 2
    return loss, (scores.argmax(1) == truth).float().mean()


def losses(model: Decoder, encoder: Encoder, scale: Tensor, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Next-token loss in nats a token, ranking loss, and the share ranked first."""
    hidden = encode(encoder, group.windows)
    positions, targets = next_tokens(group.windows)
    weight = model.embed_tokens.effective()
    nats = LinearCrossEntropy.apply(hidden[positions], weight[: model.shape.text_vocab], targets) / len(targets)
    contexts = model.rank_vector(hidden[group.context_at])
    replies = model.rank_vector(encode(encoder, group.replies)[group.reply_at])
    ranking, first = ranking_loss(contexts, replies, scale.exp().clamp(max=MAX_SCALE), group)
    return nats, ranking, first


def intent_losses(model: Decoder, encoder: Encoder, gain: Tensor, offset: Tensor, group: bank.Group) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy a message, summed over intents, and the share of answerable messages whose likeliest intent answers them.

    How surely a reply answers a message is `sigmoid(gain * cos(context vector, reply vector) + offset)`; of an intent, the same with the
    mean of its replies' vectors, scaled to length 1. Half of the loss is of each.
    """
    contexts = model.rank_vector(encode(encoder, group.windows)[group.context_at])  # [P, 128]
    replies = model.rank_vector(encode(encoder, group.replies)[group.reply_at])  # [intents, REPLIES, 128]
    of_intents = gain * contexts @ F.normalize(replies.mean(1), dim=-1).T + offset  # [P, intents]
    of_replies = gain * torch.einsum("pd,ird->pir", contexts, replies) + offset  # [P, intents, REPLIES]
    cross = known_loss(of_intents, group.labels)
    cross_each = torch.stack([known_loss(of_reply, group.labels) for of_reply in of_replies.unbind(2)]).mean()
    answerable = group.labels.amax(1) > 0.5
    right = group.labels.gather(1, of_intents.argmax(1, keepdim=True)).squeeze(1)[answerable] > 0.5
    return (cross + cross_each) / 2, right.float().mean()
