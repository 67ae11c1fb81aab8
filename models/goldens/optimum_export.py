#!/usr/bin/env python3
"""Runs in the Python that has Optimum: exports checkpoints with decomposed attention and past.

usage: optimum_export.py CHECKPOINT OUT [CHECKPOINT OUT]...
"""

import sys

from optimum.exporters.onnx import main_export

for checkpoint, out in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    main_export(checkpoint, out, task="text-generation-with-past")
