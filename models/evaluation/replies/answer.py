#!/usr/bin/env python3
"""Has a model answer the messages, and mixes the answers of several for a judge who must not see whose they are.

usage: answer.py run NAME KINGLET MODEL OUT.jsonl [OPTION]...   answers of one model, with options of `kinglet reply`
       answer.py mix OUT.jsonl ANSWERS.jsonl...       each different reply to each message once, shuffled: what a judge reads
       answer.py table JUDGED.jsonl ANSWERS.jsonl...  the figures of README.md, a row for each file of answers

JUDGED.jsonl holds lines {"id", "reply", "verdict": "send" | "weak" | "bad"}.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


MESSAGES = {row["id"]: row for row in rows(HERE / "messages.jsonl")}


def run(name: str, kinglet: str, model: str, out: str, *options: str) -> None:
    with open(out, "w", encoding="utf-8") as file, tempfile.TemporaryDirectory() as scratch:
        for key, message in MESSAGES.items():
            talk = Path(scratch) / "talk.json"
            talk.write_text(json.dumps(message["turns"]), encoding="utf-8")
            command = [kinglet, "reply", "--quiet", "--json", "--model", model, *options, talk]
            ran = subprocess.run(command, capture_output=True, text=True)
            if ran.returncode:
                sys.exit(f"{key}: {ran.stderr}")
            answer = json.loads(ran.stdout)
            row = {"id": key, "model": name, "status": answer["status"], "replies": answer["replies"]}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def mix(out: str, *answers: str) -> None:
    draw = random.Random(0)
    with open(out, "w", encoding="utf-8") as file:
        for key, message in MESSAGES.items():
            texts = sorted({reply["text"] for path in answers for row in rows(Path(path)) if row["id"] == key for reply in row["replies"]})
            draw.shuffle(texts)
            for text in texts:
                said = [f"{turn['speaker']}: {turn['text']}" for turn in message["turns"]]
                notes = {field: message[field] for field in ("answerable", "sensitive", "must", "must_not")}
                file.write(json.dumps({"id": key, "said": said, **notes, "reply": text}, ensure_ascii=False) + "\n")


def share(part: int, whole: int) -> str:
    return f"{part}/{whole} ({100 * part / max(whole, 1):.0f} %)"


def table(judged: str, *answers: str) -> None:
    verdicts = {(row["id"], row["reply"]): row["verdict"] for row in rows(Path(judged))}
    print("| model | shown, of the answerable | first sendable | one of three | embarrassing, of all shown | silence or sympathy on bad news |")
    print("|---|---|---|---|---|---|")
    for path in answers:
        given = rows(Path(path))
        of = lambda row: [verdicts[row["id"], reply["text"]] for reply in row["replies"]]
        shown = [row for row in given if row["replies"]]
        answerable = [row for row in given if MESSAGES[row["id"]]["answerable"]]
        sensitive = [row for row in given if MESSAGES[row["id"]]["sensitive"]]
        everything = [verdict for row in shown for verdict in of(row)]
        print(
            f"| {given[0]['model']} | {share(sum(bool(row['replies']) for row in answerable), len(answerable))} "
            f"| {share(sum(of(row)[0] == 'send' for row in shown), len(shown))} "
            f"| {share(sum('send' in of(row)[:3] for row in shown), len(shown))} "
            f"| {share(everything.count('bad'), len(everything))} "
            f"| {share(sum('bad' not in of(row) for row in sensitive), len(sensitive))} |"
        )


if __name__ == "__main__":
    {"run": run, "mix": mix, "table": table}[sys.argv[1]](*sys.argv[2:])
