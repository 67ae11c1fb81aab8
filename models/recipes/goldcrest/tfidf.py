"""The lexical baseline: cosine of TF-IDF vectors of the context and of each candidate."""

import math
import re
from collections import Counter

import data
from cases import Case

WORD = re.compile(r"\w\w+")


def words(text: str) -> list[str]:
    """Lower-case words of two letters or more."""
    return WORD.findall(text.lower())


class TfIdf:
    """Inverse document frequencies of a collection of turns."""

    def __init__(self, dialogues: list[data.Dialogue]) -> None:
        turns = [set(words(turn.text)) for dialogue in dialogues for turn in dialogue]
        counts = Counter(word for turn in turns for word in turn)
        self.rarity = {word: math.log((1 + len(turns)) / (1 + count)) + 1 for word, count in counts.items()}
        self.unseen = math.log(1 + len(turns)) + 1

    def vector(self, text: str) -> dict[str, float]:
        """Unit vector of a text, as a sparse map."""
        vector = {word: count * self.rarity.get(word, self.unseen) for word, count in Counter(words(text)).items()}
        length = math.sqrt(sum(value * value for value in vector.values())) or 1.0
        return {word: value / length for word, value in vector.items()}

    def scores(self, case: Case) -> list[float]:
        """A score for each candidate."""
        context = self.vector(" ".join(turn.text for turn in case.turns))
        return [sum(context.get(word, 0.0) * value for word, value in self.vector(c).items()) for c in case.candidates]
