#!/usr/bin/env python3
"""Runs in the Python that has Optimum: exports checkpoints with decomposed attention and past.

usage: optimum_export.py CHECKPOINT OUT [CHECKPOINT OUT]...
"""

import json
import sys
from pathlib import Path

from optimum.exporters.onnx import main_export

for checkpoint, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    config = json.loads(Path(checkpoint, "config.json").read_text())
    # the usual (sdpa) attention leaves Gemma 2's cap on the attention scores out of the graph without a word
    eager = {"attn_implementation": "eager"} if config.get("attn_logit_softcapping") else {}
    main_export(checkpoint, out, task="text-generation-with-past", model_kwargs=eager)
