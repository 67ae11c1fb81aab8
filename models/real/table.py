"""The figures as a document."""

from typing import Any

from hard import TALKS, TEXTS
from measure import LENGTHS, NEW, WINDOW, Figures, agreement, equal_answers, repeated

INTRODUCTION = """# A trained model in every form

<!-- written by `cargo xtask real-models` -->

SmolLM2-135M-Instruct (Apache-2.0), out of a GGUF in 4 bits that a package of the Python registry holds: its weights in float32 are
the checkpoint that every exporter starts from, so what a form loses here it loses on top of those 4 bits.

Perplexity and the share of equal likeliest tokens are over {tokens} tokens of {text}, in windows of {window};
answers are {new} greedy tokens after {prompts} prompts of {shortest} to {longest} tokens. Kinglet multiplies with float32 (`--exact`) where
weights are float32, and as it does by default elsewhere; ONNX Runtime runs the same folder with its default settings.
"""

CHOICE = """
## Which to choose

A model this small has little to lose. Plain int4 (each weight rounded to the nearest of 16 values, all matrices alike) raises the
perplexity by more than a quarter, and at more than a third of the positions another token is the likeliest. k-quant
(`algo_config=k_quant_mixed`), which keeps the most sensitive matrices in 8 bits, costs a tenth, int8 a hundredth. Below about 500 million
parameters take int8, or k-quant where its size is too much; `kinglet inspect` says so where it sees plain int4 in a model of that
size. Larger models take plain int4 with less harm.

In a folder of `quantize_dynamic`, ONNX Runtime rounds the activations of all positions of a call with one scale. Kinglet rounds each
position with its own, which is why its perplexity is lower there and the likeliest tokens are others.
"""


def figures(ours: Figures, theirs: Figures, reference: Figures) -> dict[str, Any]:
    equal, prompts = equal_answers(ours, reference)
    return {
        "perplexity": ours.perplexity,
        "their_perplexity": theirs.perplexity,
        "best_as_theirs": agreement(ours, theirs),
        "best_as_transformers": agreement(ours, reference),
        "as_onnxruntime": equal_answers(ours, theirs)[0],
        "as_transformers": equal,
        "prompts": prompts,
        "repeated": repeated(ours.greedy),
    }


def cells(row: dict[str, Any]) -> str:
    if "refused" in row:
        return f"| {row['title']} | refused: {row['refused']} |" + " |" * 6
    of = row["prompts"]
    parts = [
        row["title"],
        f"{row['perplexity']:.3f}",
        f"{row['their_perplexity']:.3f}",
        f"{row['best_as_theirs']:.2%}",
        f"{row['best_as_transformers']:.2%}",
        f"{row['as_onnxruntime']} of {of}",
        f"{row['as_transformers']} of {of}",
        f"{row['repeated']:.0%}",
    ]
    return "| " + " | ".join(parts) + " |"


def document(rows: list[dict[str, Any]], reference: Figures, llama: Figures | None, differences: list[str], tokens: int, own: bool, unmeasured: list[str]) -> str:
    about = INTRODUCTION.format(
        tokens=f"{tokens:,}", text="the documentation of this repository" if own else "a text that the caller named", window=f"{WINDOW:,}",
        new=NEW, prompts=len(reference.greedy), shortest=min(LENGTHS), longest=max(LENGTHS),
    )  # fmt: skip
    head = [
        "form", "perplexity", "ONNX Runtime's", "likeliest token as ONNX Runtime's", "as transformers'", "answers as ONNX Runtime's",
        "as transformers'", "repeated runs of four tokens",
    ]  # fmt: skip
    lines = [about, "| " + " | ".join(head) + " |", "|---" * len(head) + "|", *map(cells, rows)]
    lines.append(f"\ntransformers on the checkpoint, in float32: perplexity {reference.perplexity:.3f}, {repeated(reference.greedy):.0%} repeated.")
    if llama:
        equal, of = equal_answers(llama, reference)
        lines.append(
            f"llama.cpp on the GGUF, in 4 bits: perplexity {llama.perplexity:.3f}, likeliest token as transformers' "
            f"{agreement(llama, reference):.2%}, {equal} of {of} answers equal, {repeated(llama.greedy):.0%} repeated."
        )
    else:
        lines.append("llama.cpp was not measured: the package llama-cpp-python is not installed.")
    if unmeasured:
        lines.append("Not measured yet, so that nothing is said of it here: " + "; ".join(unmeasured) + ".")
    text = "all equal" if not differences else "other: " + "; ".join(differences)
    lines.append(f"\nTokens of {len(TEXTS)} hard texts and prompts of {len(TALKS)} conversations, beside transformers: {text}.")
    return "\n".join(lines) + "\n" + CHOICE
