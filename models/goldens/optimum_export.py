#!/usr/bin/env python3
"""Runs in the Python that has Optimum: exports checkpoints with decomposed attention and past.

usage: optimum_export.py CHECKPOINT OUT [CHECKPOINT OUT]...
"""

import sys

from optimum.exporters.onnx import main_export, onnx_export_from_model
from transformers import AutoConfig, AutoModelForCausalLM

TASK = "text-generation-with-past"
for checkpoint, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    if getattr(AutoConfig.from_pretrained(checkpoint), "attn_logit_softcapping", None):
        # main_export takes the sdpa attention, which leaves the cap on Gemma 2's scores out without a word
        model = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager")
        onnx_export_from_model(model, out, task=TASK)
    else:
        main_export(checkpoint, out, task=TASK)
