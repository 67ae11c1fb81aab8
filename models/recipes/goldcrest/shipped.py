"""Read an int4 folder that export.py made back into the network: `python shipped.py FOLDER RUN` writes a checkpoint.

The weights come back as the export rounded them. Rounding them again changes nothing, so `measure.py --int4` on such a
checkpoint measures the folder itself.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor

import tokens
from model import Decoder, Shape

FUSED = "self_attn.qkv_proj"  # the builder joins the three projections along their rows


def matrix(packed: Tensor, scales: Tensor, bits: int) -> Tensor:
    """MatMulNBits weights as float32. packed: [N, K / 32, 4 * bits] bytes, low half first; scales: [N, K / 32]; gives [N, K]."""
    levels = packed.int() if bits == 8 else torch.stack((packed & 15, packed >> 4), dim=-1).flatten(2).int()
    return ((levels - 2 ** (bits - 1)) * scales[:, :, None]).flatten(1)


def weights(folder: Path) -> dict[str, Tensor]:
    """The network's state, by its names in model.py."""
    config = json.loads((folder / "config.json").read_text())
    graph = onnx.load(folder / "model.onnx").graph
    found = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    state: dict[str, Tensor] = {}
    for name, value in found.items():
        short = name.removeprefix("model.").replace(".attn.", ".self_attn.")
        if name.endswith(".MatMul.weight_Q4"):
            state[short.replace(".MatMul.weight_Q4", ".weight")] = matrix(value, found[name.replace("_Q4", "_scales")], 4)
        elif name.endswith("layernorm.weight"):
            state[short] = value
    state["embed_tokens.weight"] = matrix(found["lm_head.MatMul.weight_Q8"], found["lm_head.MatMul.weight_scales"], 8)
    state["norm.weight"] = state.pop(f"layers.{config['num_hidden_layers']}.final_norm_layernorm.weight")
    rows = [config[f"num_{heads}_heads"] * config["head_dim"] for heads in ["attention", "key_value", "key_value"]]
    for name in [name for name in state if FUSED in name]:
        for part, value in zip("qkv", state.pop(name).split(rows), strict=True):
            state[name.replace("qkv_proj", f"{part}_proj")] = value
    return state


def load(folder: Path) -> tuple[Decoder, dict[str, Tensor]]:
    """The network of an int4 folder, and the numbers that training learns beside it."""
    state = weights(folder)
    model = Decoder(Shape.fitting(state))
    model.load_state_dict(state)
    extras = json.loads((folder / "kinglet.json").read_text())
    scale = -math.log(extras["reply_ranking"]["temperature"])
    beside = {"scale": scale, "gain": extras["reply_bank"]["gain"], "offset": extras["reply_bank"]["offset"]}
    return model.eval(), {name: torch.tensor(value) for name, value in beside.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="an int4 folder, for example models/goldcrest")
    parser.add_argument("run", type=Path, help="gets the checkpoint and the tokenizer")
    args = parser.parse_args()
    model, beside = load(args.folder)
    (args.run / "tokenizer").mkdir(parents=True, exist_ok=True)
    for name in tokens.FILES:
        shutil.copy(args.folder / name, args.run / "tokenizer" / name)
    torch.save({"model": model.state_dict(), **beside}, args.run / "checkpoint.pt")


if __name__ == "__main__":
    main()
