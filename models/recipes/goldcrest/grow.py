"""Begin a training from a smaller model's int4 folder instead of from random weights.

Layers, norms and rank tokens are taken over. A token of text begins as the mean of the tokens that the smaller model's
tokenizer reads its text as, so that a vocabulary can grow. Layers beyond the smaller model's begin as layers that change nothing.
"""

from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

import shipped
import tokens
from model import Decoder


def embeddings(old: Tensor, old_tokenizer: Tokenizer, tokenizer: Tokenizer) -> Tensor:
    """The embedding matrix for `tokenizer`: [V, D] from [old V, D], rank tokens last."""
    rank_tokens = old[-tokens.RANK_TOKENS :]
    rows = [old[: len(tokens.CONTROL)]]
    for token in range(len(tokens.CONTROL), tokens.TEXT_VOCAB):
        same = old_tokenizer.token_to_id(tokenizer.id_to_token(token))
        text = tokenizer.decode([token])
        ids = [same] if same is not None else old_tokenizer.encode(text, add_special_tokens=False).ids
        rows.append(old[ids].mean(0, keepdim=True))
    return torch.cat([*rows, rank_tokens])


def begin(model: Decoder, folder: Path, tokenizer: Tokenizer) -> float:
    """Fill the network from an int4 folder. Returns the folder's ranking temperature."""
    smaller, temperature = shipped.load(folder)
    state = smaller.state_dict()
    state["embed_tokens.weight"] = embeddings(state["embed_tokens.weight"], tokens.load(folder), tokenizer)
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected:
        raise SystemExit(f"{folder} holds weights that the network lacks: {unexpected}")
    with torch.no_grad():
        for name in missing:
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                model.get_parameter(name).zero_()
    return temperature
