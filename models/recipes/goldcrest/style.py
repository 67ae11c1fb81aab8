"""How a message is typed: as it came, tidied, or plain. Training shows every corpus in every style.

The shipped bank is tidy and people are not: without this, a ranker learns how each corpus is typed instead of what it says.
"""

import random
import re

AS_TYPED, TIDY, PLAIN = range(3)

_APOSTROPHES = {
    "im": "I'm", "ive": "I've", "dont": "don't", "doesnt": "doesn't", "didnt": "didn't", "cant": "can't", "wont": "won't",
    "isnt": "isn't", "arent": "aren't", "wasnt": "wasn't", "werent": "weren't", "couldnt": "couldn't", "wouldnt": "wouldn't",
    "shouldnt": "shouldn't", "havent": "haven't", "hasnt": "hasn't", "hadnt": "hadn't", "thats": "that's", "whats": "what's",
    "youre": "you're", "youve": "you've", "theyre": "they're", "hes": "he's", "shes": "she's", "theres": "there's",
}  # fmt: skip
_SHORT = {
    "you": "u", "your": "ur", "you're": "ur", "are": "r", "please": "pls", "thanks": "thx", "tomorrow": "tmrw", "because": "cuz",
    "okay": "ok", "though": "tho", "great": "gr8", "later": "l8r", "about": "abt", "before": "b4", "people": "ppl", "see": "c",
    "really": "rly", "tonight": "2nite", "why": "y", "message": "msg", "and": "n", "something": "smth", "with": "w", "to": "2",
}  # fmt: skip
_WORD = re.compile(r"[A-Za-z][A-Za-z'\u2019]*")
_LONE_I = re.compile(r"\bi\b(?!\.[a-z])")
_SENTENCE = re.compile(r"(^|[.!?]\s+)([a-z])")
_QUESTION = re.compile(r"^(?:who|what|when|where|why|how|which|do|does|did|is|are|was|were|can|could|would|will|have|has|should)\b")


def tidy(text: str) -> str:
    """Capitals where a sentence begins, apostrophes, a mark at the end."""
    text = _WORD.sub(lambda m: _APOSTROPHES.get(m[0].lower(), m[0]), text)
    text = _LONE_I.sub("I", text)
    ends = "" if not text or not text[-1].isalnum() else "?" if _QUESTION.match(text.lower()) else "."
    return _SENTENCE.sub(lambda m: m[1] + m[2].upper(), text) + ends


def plain(text: str, draw: random.Random) -> str:
    """Small letters, no mark at the end, some apostrophes left out and some words shortened."""
    apostrophes = draw.random() < 0.5
    shorten = draw.choice((0.0, 0.0, 0.3, 0.7))

    def typed(match: re.Match[str]) -> str:
        word = match[0]
        if draw.random() < shorten:
            word = _SHORT.get(word, word)
        return word if apostrophes else word.replace("'", "").replace("\u2019", "")

    return _WORD.sub(typed, text.lower()).rstrip(".!")


def typed(text: str, style: int, draw: random.Random) -> str:
    """The text in a style; never empty."""
    changed = tidy(text) if style == TIDY else plain(text, draw) if style == PLAIN else text
    return changed or text


def identity(text: str) -> str:
    """What two texts share that say the same in other styles."""
    return " ".join(_WORD.findall(text.lower().replace("'", "").replace("\u2019", ""))) or text
