#!/usr/bin/env python3
"""Exporters that trace a model: torch's own, over a model whose inputs and outputs are called as Optimum calls them, that of
transformers, and Optimum, in the Python that has it.

usage: trace.py < JOBS   (a JSON object a line: kind, checkpoint, folder, and the settings of that kind)
"""

import json
import logging
import os
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")
warnings.filterwarnings("ignore")

import torch  # noqa: E402 (the libraries read the environment when they start)
from torch import Tensor, nn  # noqa: E402
from transformers import AutoModelForCausalLM, DynamicCache, PreTrainedModel  # noqa: E402

BESIDE = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
BEFORE, ROWS = 3, 5  # positions of the example: cached, and in this step


class Decoder(nn.Module):
    """A causal model as a step with growing caches, or without any."""

    def __init__(self, model: PreTrainedModel, with_past: bool) -> None:
        super().__init__()
        self.model, self.with_past = model, with_past

    def forward(self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past: list[Tensor]) -> tuple[Tensor, ...]:
        """past: key and value of each layer, [batch, kv_heads, past, head_dim] -> logits, and the caches with the new rows."""
        given: dict[str, Any] = dict(input_ids=input_ids, attention_mask=attention_mask, position_ids=position_ids)
        if not self.with_past:
            return (self.model(**given, use_cache=False).logits,)
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        logits = self.model(**given, past_key_values=cache, use_cache=True).logits
        return (logits, *(tensor for layer in cache.layers for tensor in (layer.keys, layer.values)))


def example(before: int) -> dict[str, Tensor]:
    """Two sequences of `ROWS` tokens behind `before` cached ones."""
    positions = torch.arange(before, before + ROWS)[None].expand(2, ROWS).contiguous()
    mask = torch.ones(2, before + ROWS, dtype=torch.int64)
    return {"input_ids": torch.ones(2, ROWS, dtype=torch.int64), "attention_mask": mask, "position_ids": positions}


def loaded(checkpoint: str, **settings: Any) -> PreTrainedModel:
    return AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, **settings).eval()


def by_torch(checkpoint: str, folder: Path, opset: int, with_past: bool) -> None:
    """`torch.onnx.export(dynamo=True)`."""
    model = loaded(checkpoint)
    config = model.config
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    count = 2 * config.num_hidden_layers if with_past else 0
    past = [torch.randn(2, config.num_key_value_heads, BEFORE, head_dim) for _ in range(count)]
    given = (*example(BEFORE if with_past else 0).values(), past)
    dynamic = torch.export.Dim.DYNAMIC
    rows = {0: dynamic, 1: dynamic}
    shapes = (rows, rows, rows, [{0: dynamic, 2: dynamic} for _ in past])
    names = [f"past_key_values.{i}.{what}" for i in range(count // 2) for what in ("key", "value")]
    inputs = ["input_ids", "attention_mask", "position_ids", *names]
    outputs = ["logits", *(name.replace("past_key_values", "present") for name in names)]
    torch.onnx.export(
        Decoder(model, with_past), given, str(folder / "model.onnx"), dynamo=True, opset_version=opset, dynamic_shapes=shapes,
        input_names=inputs, output_names=outputs, external_data=False, verbose=False,
    )  # fmt: skip


def by_transformers(checkpoint: str, folder: Path, fusions: str | None) -> None:
    """`transformers.exporters.OnnxExporter`, which names the caches after their places in a DynamicCache."""
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    model = loaded(checkpoint)
    with torch.no_grad():
        cache = model(torch.ones(2, BEFORE, dtype=torch.int64), use_cache=True).past_key_values
    given = {**example(BEFORE), "past_key_values": cache, "use_cache": True}
    exported = OnnxExporter().export(model, given, config=OnnxConfig(dynamic=True, ort_fusions=fusions))
    exported.save_pretrained(str(folder))


def by_optimum(checkpoint: str, folder: Path) -> None:
    """Optimum; with eager attention where scores have a cap, which the usual one leaves out without a word."""
    from optimum.exporters.onnx import main_export, onnx_export_from_model
    from transformers import AutoConfig

    task = "text-generation-with-past"
    if getattr(AutoConfig.from_pretrained(checkpoint), "attn_logit_softcapping", None):
        onnx_export_from_model(loaded(checkpoint, attn_implementation="eager"), folder, task=task)
    else:
        main_export(checkpoint, folder, task=task)


KINDS = {"torch": by_torch, "transformers": by_transformers, "optimum": by_optimum}


def export(kind: str, checkpoint: str, folder: str, **settings: Any) -> None:
    """Writes `folder`, or what went wrong beside it as `FOLDER.failed`."""
    out, part = Path(folder), Path(folder + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        KINDS[kind](checkpoint, part, **settings)
    except Exception as error:  # an exporter may fail with anything; the table says with what
        traceback.print_exc()
        Path(folder + ".failed").write_text(f"{type(error).__name__}: {error}")
        shutil.rmtree(part)
        return
    for name in BESIDE:
        if (Path(checkpoint) / name).exists():
            shutil.copy(Path(checkpoint) / name, part / name)
    part.rename(out)


def main() -> None:
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    for line in sys.stdin:
        export(**json.loads(line))


if __name__ == "__main__":
    main()
