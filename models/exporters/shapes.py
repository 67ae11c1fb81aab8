"""The families of the table: the goldens' checkpoints, and those that have none, all tiny and with random weights."""

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "goldens"))

from checkpoints import CHECKPOINTS, HALF, SHORT, TRACED, UNTIED, Checkpoint  # noqa: E402

WINDOWED = dict(num_hidden_layers=2, sliding_window=48, layer_types=["sliding_attention", "full_attention"])

OTHERS = [
    Checkpoint("glm", "GlmConfig", dict(UNTIED, **HALF), seed=1, rope=HALF),
    Checkpoint("helium", "HeliumConfig", UNTIED | dict(head_dim=8), seed=1),
    Checkpoint("cohere", "CohereConfig", dict(SHORT, logit_scale=0.5, use_qk_norm=False), seed=1),
    Checkpoint("cohere2", "Cohere2Config", dict(SHORT, logit_scale=0.5) | WINDOWED, seed=1),
    Checkpoint("ernie4_5", "Ernie4_5Config", dict(SHORT, tie_word_embeddings=True), seed=1),
    Checkpoint("exaone4", "Exaone4Config", UNTIED | WINDOWED, seed=1),
    Checkpoint("arcee", "ArceeConfig", UNTIED, seed=1),
    Checkpoint("nemotron", "NemotronConfig", UNTIED, seed=1, rope=HALF),
    Checkpoint("olmo", "OlmoConfig", UNTIED, seed=1),
    Checkpoint("stablelm", "StableLmConfig", UNTIED | dict(head_dim=8), seed=1, rope=HALF),
]
OF_GOLDENS = ["llama", "llama3", "mistral", "qwen2", "qwen3", "gemma2", "gemma3", "phi3", "granite", "olmo2", "smollm3"]
FAMILIES = {c.name: replace(c, prompts=(1, 7, 128)) for c in [*(c for c in CHECKPOINTS if c.name in OF_GOLDENS), *TRACED, *OTHERS]}
