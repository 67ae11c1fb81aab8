"""Measure ranking and perplexity: `python measure.py RUN CASES`, or choose the likelihood's weight: `python measure.py RUN --fit DATA`."""

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path

import torch
import torch.nn.functional as F

import cases
import data
import tokens
from model import Decoder, Shape, load_checkpoint
from ranking import Ranker, Terms, place, summary
from tfidf import TfIdf

WEIGHTS = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0]


def read_cases(path: Path, limit: int) -> list[cases.Case]:
    """Read a case file."""
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][:limit]
    return [cases.Case([data.Turn(**turn) for turn in row["turns"]], row["candidates"], row["answer"]) for row in rows]


def load(args: argparse.Namespace) -> tuple[Decoder, float]:
    """The network as asked for: trained or not, with quantised weights or not."""
    if args.untrained:
        torch.manual_seed(0)
        return Decoder(Shape()).eval(), 0.07
    model, temperature = load_checkpoint(args.run)
    if args.int4:
        model.quantise(4, 8)
        freeze(model)
    return model, temperature


def freeze(model: Decoder) -> None:
    """Replace every weight by its quantised value, so that it is computed once."""
    with torch.no_grad():
        for module in model.modules():
            if getattr(module, "bits", None):
                module.weight.copy_(module.effective())
                module.bits = None


@torch.no_grad()
def perplexity(model: Decoder, tokenizer, path: Path) -> float:
    """Perplexity a token over whole dialogues, one a line."""
    total, count = 0.0, 0
    for line in path.read_text(encoding="utf-8").splitlines():
        ids = torch.tensor(tokenizer.encode(line, add_special_tokens=False).ids[: model.shape.context])
        logits = model.text_logits(model(ids[None])[0][0, :-1]).float()  # [T - 1, text vocabulary]
        total += F.cross_entropy(logits, ids[1:], reduction="sum").item()
        count += len(ids) - 1
    return round(math.exp(total / count), 3)


def report(args: argparse.Namespace) -> None:
    """Print one JSON line a corpus."""
    model, temperature = load(args)
    ranker = Ranker(model, tokens.load(args.run / "tokenizer"))
    for corpus in args.corpora:
        asked = read_cases(args.cases / f"{corpus}.jsonl", args.limit)
        ranker.embed([text for case in asked for text in case.candidates])
        places: dict[str, list[float]] = defaultdict(list)
        for case in asked:
            terms = ranker.terms(case, not args.no_likelihood)
            places["cosine"].append(place(terms.cosine, case.answer))
            if not args.no_likelihood:
                places["likelihood"].append(place(terms.gain / terms.length, case.answer))
                places["both"].append(place(terms.score(temperature, args.lm_weight), case.answer))
        row = {"corpus": corpus, **{name: summary(values) for name, values in places.items()}}
        row["perplexity"] = perplexity(model, ranker.tokenizer, args.cases / "perplexity" / f"{corpus}.txt")
        print(json.dumps(row), flush=True)


def baseline(args: argparse.Namespace) -> None:
    """Print the TF-IDF rows; document frequencies come from the training dialogues."""
    for corpus in args.corpora:
        lexical = TfIdf(data.read_train(args.tfidf, corpus)[0])
        places = [place(torch.tensor(lexical.scores(c)), c.answer) for c in read_cases(args.cases / f"{corpus}.jsonl", args.limit)]
        print(json.dumps({"corpus": corpus, "tfidf": summary(places)}), flush=True)


def fit(args: argparse.Namespace) -> None:
    """Print R@1 for several weights of the likelihood, on held-out training dialogues."""
    model, temperature = load(args)
    ranker = Ranker(model, tokens.load(args.run / "tokenizer"))
    for corpus in args.corpora:
        held = data.read_train(args.fit, corpus)[1]
        found: list[tuple[Terms, int]] = []
        for case in cases.make(held, 5, args.limit):
            found.append((ranker.terms(case, True), case.answer))
        for name, power in {"sum": 0.0, "root": 0.5, "mean": 1.0}.items():
            row = {}
            for weight in WEIGHTS:
                weight_here = weight / {"sum": 10, "root": 3, "mean": 1}[name]
                scores = [t.cosine / temperature + weight_here * t.gain / t.length**power for t, _ in found]
                row[round(weight_here, 3)] = summary([place(s, a) for s, (_, a) in zip(scores, found)])["r1"]
            print(corpus, name, json.dumps(row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder that train.py wrote")
    parser.add_argument("cases", type=Path, nargs="?", help="folder that cases.py wrote")
    parser.add_argument("--fit", type=Path, metavar="DATA", help="folder with the training dialogues")
    parser.add_argument("--tfidf", type=Path, metavar="DATA", help="measure the lexical baseline instead")
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument("--float32", action="store_true", help="with the weights as trained (the default)")
    weights.add_argument("--int4", action="store_true", help="with the weights as the int4 export rounds them")
    weights.add_argument("--untrained", action="store_true", help="with random weights")
    parser.add_argument("--no-likelihood", action="store_true", help="cosine only, much faster")
    parser.add_argument("--lm-weight", type=float, default=0.5)
    parser.add_argument("--limit", type=int, default=cases.CASES, help="cases a corpus")
    parser.add_argument("--corpora", nargs="+", default=data.CORPORA)
    parser.add_argument("--threads", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    (fit if args.fit else baseline if args.tfidf else report)(args)


if __name__ == "__main__":
    main()
