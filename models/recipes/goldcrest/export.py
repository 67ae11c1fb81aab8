"""Turn a checkpoint into model folders: `python export.py RUN OUT [--kinds hf int4 fp32]`."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import onnx
import torch
from transformers import LlamaConfig, LlamaForCausalLM

import tokens
from model import Decoder, load_checkpoint

INT4_OPTIONS = [
    "accuracy_level=4",
    "block_size=32",
    "op_types_to_quantize=MatMul/Gather",
    "matmul_mixed_precision=last_matmul:int8",
    "shared_embeddings=true",
]


def to_transformers(model: Decoder) -> LlamaForCausalLM:
    """The same weights in the class of transformers; stops if the logits differ."""
    shape = model.shape
    config = LlamaConfig(
        vocab_size=shape.vocab,
        hidden_size=shape.hidden,
        intermediate_size=shape.ffn,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        rms_norm_eps=shape.norm_eps,
        rope_theta=shape.rope_theta,
        tie_word_embeddings=True,
        bos_token_id=tokens.BEGIN,
        eos_token_id=tokens.END,
        pad_token_id=tokens.PAD,
    )
    copy = LlamaForCausalLM(config).eval()
    missing, unexpected = copy.model.load_state_dict(model.state_dict(), strict=False)
    if missing or unexpected:
        raise SystemExit(f"weights do not fit: missing {missing}, unexpected {unexpected}")
    copy.tie_weights()
    ids = torch.randint(0, shape.text_vocab, (2, 300))
    with torch.no_grad():
        ours = torch.nn.functional.linear(model(ids)[0], model.embed_tokens.weight)
        difference = (copy(ids).logits - ours).abs().max().item()
    if difference > 1e-3:
        raise SystemExit(f"transformers computes other logits: difference {difference}")
    return copy


def write_transformers(model: Decoder, run: Path, folder: Path) -> None:
    """A transformers folder: weights, configuration, tokenizer, generation settings."""
    to_transformers(model).save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["rope_theta"] = model.shape.rope_theta  # readers of the older form look here
    path.write_text(json.dumps(config, indent=1) + "\n")
    generation = {
        "bos_token_id": tokens.BEGIN,
        "eos_token_id": tokens.END,
        "pad_token_id": tokens.PAD,
        "suppress_tokens": [
            *(t for t in range(len(tokens.CONTROL)) if t != tokens.END),
            *range(tokens.FIRST_RANK, tokens.LAST_RANK + 1),
        ],
    }
    (folder / "generation_config.json").write_text(json.dumps(generation) + "\n")
    for name in tokens.FILES:
        shutil.copy(run / "tokenizer" / name, folder / name)


def join_shared_weights(path: Path) -> None:
    """Name the 8-bit output matrix in the embedding look-up as the quantiser named it: the builder's two halves disagree."""
    graph = onnx.load(path, load_external_data=False)
    known = {initializer.name for initializer in graph.graph.initializer}
    right = {"lm_head.MatMul.weight_Q8G32": "lm_head.MatMul.weight_Q8", "lm_head.MatMul.weight_scale": "lm_head.MatMul.weight_scales"}
    for node in graph.graph.node:
        for index, name in enumerate(node.input):
            if name in right and name not in known:
                node.input[index] = right[name]
    onnx.save(graph, path)


def build(source: Path, folder: Path, precision: str, scratch: Path) -> None:
    """Run the onnxruntime-genai model builder."""
    shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "onnxruntime_genai.models.builder", "-i", str(source), "-o", str(folder)]
    command += ["-p", precision, "-e", "cpu", "-c", str(scratch)]
    if precision == "int4":
        command += ["--extra_options", *INT4_OPTIONS]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if precision == "int4":
        join_shared_weights(folder / "model.onnx")
    for name in ["config.json", "generation_config.json", *tokens.FILES]:
        shutil.copy(source / name, folder / name)
    (folder / "chat_template.jinja").unlink(missing_ok=True)  # tokenizer_config.json holds it


BANK = {
    "threshold": 0.75,
    "further_threshold": 0.6,
    "written_threshold": 0.9,
    # a message that one of these answers is bad news ..
    "bad_news": [
        "sympathise", "sympathise-other", "condole", "condole-pet", "get-well", "get-well-other", "hope-results", "here-for-you",
        "emergency", "are-you-ok", "funeral", "pet-ill", "danger-coming", "service-condole", "how-sad", "safe-with-someone",
        "hard-day", "glad-safe",
    ],
    # .. and only these answer it
    "comforting": [
        "sympathise", "here-for-you", "condole", "condole-pet", "get-well", "get-well-other", "hope-results", "are-you-ok",
        "what-happened", "next-time", "it-will-be-fine", "encourage", "kind-back", "you-did-right", "not-angry", "offer-help",
        "space", "cover", "emergency", "see-doctor", "clinic", "keep-secret", "keep-me-posted", "no-rush", "sympathise-other",
        "deserve-better", "funeral", "miss-too", "report-it", "pet-ill", "danger-coming", "pick-up-you", "service-condole",
        "service-urgent", "absence-noted", "how-sad", "safe-with-someone", "stay-safe", "oh-dear-thanks", "relieved",
        "check-first", "hard-day", "glad-safe", "sleep-soon", "company", "when-sorted", "ring-bank", "nothing-yet", "talk-to-them",
    ],
    "bad_news_threshold": 0.3,
    "reluctant": [
        "decline-invitation", "decline-plan", "decline-offer", "decline-work", "deny", "cannot-do", "do-not-allow", "disagree",
        "not-yet", "never-mind", "unwanted", "boundary", "maybe", "do-not-know", "cannot-come-ok", "reschedule", "feedback-bad",
        "it-was-so-so", "no-longer-available", "price-firm", "cannot-share", "not-home", "in-writing", "need-time",
        "not-seen-it", "sorry-no-change", "flattered", "not-eaten", "neither", "forgot",
    ],
}  # fmt: skip


def write_ranking(run: Path, folder: Path, temperature: float, lm_weight: float) -> None:
    """kinglet.json: the language, how a conversation is shown to this model, how it ranks replies and judges those of the bank. And the
    tables of n-grams that rank and judge with it."""
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    sure = {name: round(content[name].item(), 5) for name in ("gain", "offset")}
    ranking = {
        "reply_token": tokens.CONTROL[tokens.REPLY],
        "rank_tokens": [tokens.FIRST_RANK, tokens.LAST_RANK],
        "temperature": round(temperature, 6),
        "lm_weight": lm_weight,
    }
    blend = {"blend": json.loads((run / "blend.json").read_text())}
    ranking["blend"] = json.loads((run / "rank_blend.json").read_text())
    for name in ("bank.ngrams", "rank.ngrams"):
        shutil.copy(run / name, folder / name)
    extras = {"languages": ["en"], "reply_format": "speakers", "reply_ranking": ranking, "reply_bank": {**sure, **blend, **BANK}}
    (folder / "kinglet.json").write_text(json.dumps(extras, indent=1) + "\n")


def publish(built: Path, target: Path) -> None:
    """Put the built files into the target folder, each written beside and renamed; files that the target alone has stay."""
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(built.iterdir()):
        beside = target / f".{source.name}.part"
        shutil.copyfile(source, beside)
        os.replace(beside, target / source.name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder that train.py, ngrams.py and dual_encoder.py wrote")
    parser.add_argument("out", type=Path, help="gets the folders hf, int4 and fp32")
    parser.add_argument("--kinds", nargs="+", choices=["int4", "fp32"], default=["int4", "fp32"])
    parser.add_argument("--lm-weight", type=float, default=0.5, help="weight of the likelihood term in the ranking score")
    parser.add_argument("--publish", type=Path, help="copy the int4 files into this folder as well")
    args = parser.parse_args()
    torch.manual_seed(0)
    model, temperature = load_checkpoint(args.run)
    args.out.mkdir(parents=True, exist_ok=True)
    write_transformers(model, args.run, args.out / "hf")
    for kind in args.kinds:
        build(args.out / "hf", args.out / kind, kind, args.out / "cache")
        write_ranking(args.run, args.out / kind, temperature, args.lm_weight)
        size = sum(f.stat().st_size for f in (args.out / kind).iterdir())
        print(f"{args.out / kind}: {size / 1e6:.2f} MB")
    if args.publish:
        publish(args.out / "int4", args.publish)


if __name__ == "__main__":
    main()
