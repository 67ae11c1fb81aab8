"""Have a teacher answer training messages, and keep what is good as training text: `python distil.py DATA OUT --teacher FOLDER`.

The teacher is an instruct model that Kinglet runs (`kinglet run`, `kinglet score`). It sees its own chat template with a few
answered messages before the one to answer. It writes replies, of which the first sentence counts, and it scores them together
with the lines of the bank that the student ranks best. A reply is kept if it passes `text_fault`, is likely under the teacher,
and is ranked near the top by the student among replies of other dialogues; of those, the one whose likelihood the conversation
raises most. OUT gets a line for every message tried, with the verdict; lines that hold `turns` are dialogues for
`train.py --distilled OUT`. A run that was stopped goes on.
"""

import argparse
import json
import random
import re
import subprocess
import tempfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import torch

import bank
import data
import style
import tokens
from cases import Case
from model import load_checkpoint
from ranking import Ranker

SYSTEM = "You text with friends, family and colleagues. Answer each message with one short, natural reply."
SHOTS = [
    ("Are you coming tonight?", "Yes, what time should I be there?"),
    ("my dog died this morning", "Oh no, I'm so sorry."),
    ("can you pick up bread on the way home", "Sure, will do."),
    ("I got the job!", "Congratulations, that's brilliant news!"),
    ("what are you up to", "Not much, just relaxing. You?"),
    ("Do you want to go swimming on Saturday?", "I'd love to, but I can't this time."),
]
NEUTRAL = [data.Turn("customer", "...")]  # what a reply's likelihood is compared with
MOST_CHARS, MOST_WORDS = 70, 14
MOST_TOKENS = 28
CONTEXT_TURNS = 3
FROM_BANK = 10  # lines of the bank that the teacher scores for a message
SENTENCE = re.compile(r"(.+?[.!?]+)(?:\s|$)")
OTHERS = 200  # replies of other dialogues that a reply is ranked among
OWN_NAMES = re.compile(r"\b(?:ai|assistant|language model|chatbot|smollm|user)\b", re.IGNORECASE)
DONE = re.compile(r"\b(?:i|we)(?:'ve| have)? (?:just |already )?(?:booked|sent|bought|ordered|paid|called|fixed)\b", re.IGNORECASE)
NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|fifty|hundred|thousand|million)\b", re.IGNORECASE
)
NAME = re.compile(r"(?<![.!?] )(?<!^)\b(?!I\b|I')[A-Z][a-z]+")
WORD = re.compile(r"[a-z']+")


@dataclass(frozen=True)
class Filter:
    """What a reply must reach besides its text."""

    min_logprob: float  # mean a token, under the teacher
    min_gain: float  # by which the conversation raises that mean
    most_above: float  # share of the other replies that the student may put above it


def new_in(pattern: re.Pattern[str], reply: str, said: str) -> bool:
    """Whether the reply holds a match that the conversation does not."""
    return any(match.lower() not in said.lower() for match in pattern.findall(reply))


def text_fault(reply: str, turns: list[data.Turn]) -> str | None:
    """Why a reply is no training text by its wording alone, or None."""
    said = " ".join(turn.text for turn in turns)
    words, last = set(WORD.findall(reply.lower())), set(WORD.findall(turns[-1].text.lower()))
    if not words or "\n" in reply or len(reply) > MOST_CHARS or len(reply.split()) > MOST_WORDS:
        return "length"
    if OWN_NAMES.search(reply) or reply.startswith(('"', "-", "*", "[", "(")) or ":" in reply:
        return "role"
    if len(words & last) > 0.6 * len(words) and len(words) > 2 or style.identity(reply) == style.identity(turns[-1].text):
        return "echo"
    if new_in(NUMBER, reply, said) or new_in(NAME, reply, said) or "http" in reply or "www." in reply:
        return "invented"
    if DONE.search(reply):
        return "done"
    return None if reply[-1] in ".?!" or not reply[-1].isascii() else "unfinished"


def first_sentence(text: str) -> str:
    """A text up to its first mark that ends a sentence."""
    found = SENTENCE.match(text)
    return found[1] if found else text


@dataclass
class Teacher:
    """An instruct model with the template of SmolLM2, run by the command `kinglet`."""

    kinglet: str
    folder: Path
    cache: Path

    def prompt(self, turns: list[data.Turn]) -> str:
        """The examples and the conversation; the side that replies is the assistant."""
        side = {turns[-1].speaker: "user"}
        shots = [(role, text) for pair in SHOTS for role, text in zip(("user", "assistant"), pair)]
        said = [("system", SYSTEM), *shots, *((side.get(t.speaker, "assistant"), t.text) for t in turns)]
        return "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in said) + "<|im_start|>assistant\n"

    def _call(self, verb: list[str], given: str | None = None) -> dict | list:
        command = [self.kinglet, *verb, "--json", "--model", str(self.folder)]
        return json.loads(subprocess.run(command, input=given, capture_output=True, check=True, text=True).stdout)

    def write(self, turns: list[data.Turn], count: int) -> list[str]:
        """The first sentence of the likeliest reply, then of sampled ones; each once."""
        texts: dict[str, None] = {}
        for number in range(count):
            warmth = ["--temp", "0"] if number == 0 else ["--temp", "0.7", "--top-p", "0.9", "--seed", str(number)]
            verb = ["run", "--raw", "-n", str(MOST_TOKENS), "--stop", "\n", "--prefix-cache", str(self.cache), *warmth]
            text = self._call(verb, self.prompt(turns))["text"].strip()
            texts[first_sentence(text)] = None
        return list(texts)

    def logprobs(self, turns: list[data.Turn], replies: list[str]) -> list[float]:
        """Mean log-probability a token of each reply."""
        with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
            file.write("".join(f"{reply}\n" for reply in replies))
            file.flush()
            scores = self._call(["score", "-p", self.prompt(turns), "--candidates", file.name])
        return [score["logprob"] / max(score["tokens"], 1) for score in scores]


@dataclass
class Judge:
    """The student as a ranker, with the bank and with replies of other dialogues to rank among."""

    ranker: Ranker
    bank: list[str]
    others: list[str]

    def _cosine(self, turns: list[data.Turn], replies: list[str]) -> torch.Tensor:
        return self.ranker.terms(Case(turns, replies, 0), likelihood=False).cosine

    def best_of_bank(self, turns: list[data.Turn], count: int) -> list[str]:
        """The lines of the bank that fit best."""
        return [self.bank[i] for i in self._cosine(turns, self.bank).topk(count).indices.tolist()]

    def share_above(self, turns: list[data.Turn], replies: list[str]) -> list[float]:
        """For each reply, the share of the others that fit the conversation better."""
        cosine = self._cosine(turns, [*replies, *self.others])
        others = cosine[len(replies) :]
        return [(others > value).float().mean().item() for value in cosine[: len(replies)]]


@dataclass
class Messages:
    """Conversations that end with a short message, drawn from the training dialogues without end."""

    dialogues: list[data.Dialogue]
    random: random.Random
    seen: set[str] = field(default_factory=set)

    def draw(self) -> tuple[str, list[data.Turn]]:
        """A conversation that was not drawn before, and its name."""
        while True:
            number = self.random.randrange(len(self.dialogues))
            stop = self.random.randrange(len(self.dialogues[number])) + 1
            first = max(0, stop - self.random.randint(1, CONTEXT_TURNS))
            turns, name = self.dialogues[number][first:stop], f"{number}/{first}-{stop}"
            if name not in self.seen and 0 < len(turns[-1].text) <= 100 and all(len(turn.text) <= 200 for turn in turns):
                self.seen.add(name)
                return name, turns


def fault(logprob: float, gain: float, above: float, wanted: Filter) -> str | None:
    """What a reply's scores miss, or None."""
    if logprob < wanted.min_logprob:
        return "unlikely"
    if gain < wanted.min_gain:
        return "would be said to anything"
    return "ranked low" if above > wanted.most_above else None


@dataclass
class Distiller:
    """Everything that gives a verdict on a message."""

    teacher: Teacher
    judge: Judge
    wanted: Filter
    written: int  # replies that the teacher writes to a message
    priors: dict[str, float] = field(default_factory=dict)

    def gains(self, replies: list[str], logprobs: list[float]) -> list[float]:
        """By how much the conversation raised each reply's mean log-probability."""
        todo = [reply for reply in replies if reply not in self.priors]
        if todo:
            self.priors.update(zip(todo, self.teacher.logprobs(NEUTRAL, todo), strict=True))
        return [logprob - self.priors[reply] for reply, logprob in zip(replies, logprobs, strict=True)]

    def answer(self, turns: list[data.Turn]) -> dict:
        """`turns` with the reply where one is kept, otherwise what was wrong with each."""
        written = self.teacher.write(turns, self.written)
        proposed = list(dict.fromkeys([*written, *self.judge.best_of_bank(turns, FROM_BANK)]))
        faults = {reply: text_fault(reply, turns) for reply in proposed if reply in written}
        fit = [reply for reply in proposed if faults.get(reply) is None]
        logprobs = self.teacher.logprobs(turns, fit)
        scores = zip(self.gains(fit, logprobs), logprobs, self.judge.share_above(turns, fit), fit, strict=True)
        for gain, logprob, above, reply in sorted(scores, reverse=True):
            faults[reply] = fault(logprob, gain, above, self.wanted)
            if faults[reply] is None:
                said = [*turns, data.Turn("agent" if turns[-1].speaker == "customer" else "customer", reply)]
                row = {"turns": [{"speaker": t.speaker, "text": t.text} for t in said], "written": reply in written}
                return {**row, "logprob": round(logprob, 3), "gain": round(gain, 3), "above": round(above, 3)}
        return {"faults": faults}


def load(args: argparse.Namespace, learn: list[data.Dialogue], cache: Path) -> Distiller:
    """Read the student and the bank."""
    draw = random.Random(zlib.crc32(b"others"))
    ranker = Ranker(load_checkpoint(args.student)[0].eval(), tokens.load(args.student / "tokenizer"))
    lines = [line for replies in bank.read_bank(args.bank).values() for line in replies]
    judge = Judge(ranker, lines, [draw.choice(draw.choice(learn)).text or "ok" for _ in range(OTHERS)])
    teacher = Teacher(args.kinglet, args.teacher, cache)
    return Distiller(teacher, judge, Filter(args.min_logprob, args.min_gain, args.most_above), args.written)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the *_train.jsonl files")
    parser.add_argument("out", type=Path, help="file that gets the verdicts")
    parser.add_argument("--teacher", type=Path, required=True, help="model folder of SmolLM2-135M-Instruct")
    parser.add_argument("--student", type=Path, required=True, help="folder that train.py wrote, or an int4 folder read by shipped.py")
    parser.add_argument("--kinglet", default="kinglet", help="the command")
    parser.add_argument("--messages", type=int, default=1000, help="messages to try in all")
    parser.add_argument("--bank", type=Path, default=bank.BANK)
    parser.add_argument("--written", type=int, default=2, help="replies that the teacher writes to a message")
    parser.add_argument("--min-logprob", type=float, default=-2.5)
    parser.add_argument("--min-gain", type=float, default=0.2)
    parser.add_argument("--most-above", type=float, default=0.1)
    parser.add_argument("--corpus", default="everyday", choices=data.CORPORA)
    args = parser.parse_args()
    torch.set_num_threads(1)
    learn, _ = data.read_train(args.data, args.corpus)
    tried = [json.loads(line) for line in args.out.read_text(encoding="utf-8").splitlines()] if args.out.exists() else []
    messages = Messages(learn, random.Random(len(tried) + 1), {row["id"] for row in tried})
    with tempfile.TemporaryDirectory() as cache, open(args.out, "a", encoding="utf-8") as out:
        distiller = load(args, learn, Path(cache))
        for _ in range(len(tried), args.messages):
            name, turns = messages.draw()
            out.write(json.dumps({"id": name, **distiller.answer(turns)}, ensure_ascii=False) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
