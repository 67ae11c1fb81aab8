"""Write the ranking cases and the perplexity texts: `python cases.py DATA OUT`. The same input gives the same files."""

import argparse
import json
import random
from dataclasses import dataclass
from pathlib import Path

import data
import tokens

CASES = 1000
CANDIDATES = 100
CONTEXT_TURNS = 4
PERPLEXITY_DIALOGUES = 100


@dataclass(frozen=True)
class Case:
    """A conversation, candidate replies, and which candidate is the true one."""

    turns: list[data.Turn]
    candidates: list[str]
    answer: int

    def to_json(self) -> str:
        """One line of a case file."""
        turns = [{"speaker": t.speaker, "text": t.text} for t in self.turns]
        return json.dumps({"turns": turns, "candidates": self.candidates, "answer": self.answer}, ensure_ascii=False)


def make(dialogues: list[data.Dialogue], seed: int, count: int = CASES, openings: bool = True) -> list[Case]:
    """Draw cases: every reply of every dialogue is equally likely to be asked for, every turn to be a distractor.

    Without `openings`, the first turns of dialogues, which answer nothing, are no distractors.
    """
    draw = random.Random(seed)
    places = [(d, i) for d, dialogue in enumerate(dialogues) for i in range(1, len(dialogue)) if dialogue[i].text]
    texts = [turn.text for dialogue in dialogues for turn in dialogue[0 if openings else 1 :] if turn.text]
    cases = []
    for number, index in draw.sample(places, min(count, len(places))):
        dialogue = dialogues[number]
        truth = dialogue[index].text
        candidates = {truth: None}
        while len(candidates) < CANDIDATES:
            candidates[draw.choice(texts)] = None
        order = list(candidates)
        draw.shuffle(order)
        cases.append(Case(dialogue[max(0, index - CONTEXT_TURNS) : index], order, order.index(truth)))
    return cases


def write(path: Path, lines: list[str]) -> None:
    """One line each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def render(dialogue: data.Dialogue) -> str:
    """A dialogue as the chat template writes it."""
    return tokens.CONTROL[tokens.BEGIN] + "".join(f"<|{t.speaker}|>{t.text}{tokens.CONTROL[tokens.END]}" for t in dialogue)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the *_dev.jsonl files")
    parser.add_argument("out", type=Path, help="gets CORPUS.jsonl and perplexity/CORPUS.txt")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-openings", action="store_true", help="no first turn of a dialogue among the candidates")
    args = parser.parse_args()
    for corpus in data.CORPORA:
        dialogues = data.read_dev(args.data, corpus)
        write(args.out / f"{corpus}.jsonl", [case.to_json() for case in make(dialogues, args.seed, openings=not args.no_openings)])
        few = random.Random(args.seed).sample(dialogues, PERPLEXITY_DIALOGUES)
        write(args.out / "perplexity" / f"{corpus}.txt", [render(dialogue) for dialogue in few])


if __name__ == "__main__":
    main()
