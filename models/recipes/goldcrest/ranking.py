"""Ranking candidate replies with the network, as kinglet does it.

score(reply) = cos(context, reply) / temperature + lm_weight * gain(reply)
gain(reply)  = (logp(reply | context) - logp(reply | no context)) / tokens(reply)

`context` ends with the token of the speaker who replies; `no context` is the begin token and that speaker token.
The tokens of a reply are its text and the end token; log-probabilities are over the tokens of text only.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

import data
import tokens
from cases import Case
from model import Cache, Decoder


@dataclass
class Terms:
    """What the score of each candidate is made of: [C] each."""

    cosine: Tensor
    gain: Tensor  # summed over the reply's tokens
    length: Tensor

    def score(self, temperature: float, lm_weight: float) -> Tensor:
        """The ranking score."""
        return self.cosine / temperature + lm_weight * self.gain / self.length


@dataclass
class Ranker:
    """Scores replies and keeps what does not depend on the conversation."""

    model: Decoder
    tokenizer: Tokenizer
    encoded: dict[str, list[int]] = field(default_factory=dict)
    vectors: dict[str, Tensor] = field(default_factory=dict)
    priors: dict[tuple[int, str], float] = field(default_factory=dict)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""
        if text not in self.encoded:
            self.encoded[text] = self.tokenizer.encode(text, add_special_tokens=False).ids[:200]
        return self.encoded[text]

    def prompt(self, turns: list[data.Turn]) -> list[int]:
        """The conversation, and the token of the speaker whose turn it is."""
        ids = [tokens.BEGIN]
        for turn in turns:
            ids += [tokens.SPEAKERS[turn.speaker], *self.encode(turn.text), tokens.END]
        return [*ids, tokens.CUSTOMER if turns and turns[-1].speaker == "agent" else tokens.AGENT]

    @torch.no_grad()
    def embed(self, texts: list[str]) -> None:
        """Compute the reply vectors that are not known yet."""
        todo = [text for text in dict.fromkeys(texts) if text not in self.vectors]
        if not todo:
            return
        batches, offsets = data.pad([[tokens.REPLY, *self.encode(text), tokens.END] for text in todo], most=4096)
        at = {}
        for number, (text, offset) in enumerate(zip(todo, offsets, strict=True)):
            at[offset + len(self.encode(text)) + 1] = number
        start = 0
        for batch in batches:
            ends = torch.arange(len(batch.lengths)), batch.lengths - 1
            vectors = self.model.rank_vector(self.model(batch.ids)[0][ends])  # [B, 128]
            for row, end in enumerate(batch.lengths.tolist()):
                self.vectors[todo[at[start + row * batch.ids.shape[1] + end - 1]]] = vectors[row]
            start += batch.ids.numel()

    def log_likelihoods(self, texts: list[str], first: Tensor, past: Cache) -> list[float]:
        """Log-probability of each text and its end after a prefix. first: [D], the hidden state at the prefix's last token."""
        batches, offsets = data.pad([[*self.encode(text), tokens.END] for text in texts], most=4096)
        sums: list[Tensor] = []
        opening = F.log_softmax(self.model.text_logits(first).float(), dim=-1)  # [text vocabulary]
        for batch in batches:
            hidden = self.model(batch.ids, past)[0][:, :-1]  # [B, T - 1, D]
            valid = torch.arange(hidden.shape[1])[None] < batch.lengths[:, None] - 1
            targets = batch.ids[:, 1:][valid]
            losses = torch.zeros(valid.shape)
            losses[valid] = -F.cross_entropy(self.model.text_logits(hidden[valid]).float(), targets, reduction="none")
            padded = torch.zeros(batch.ids.shape)
            padded[:, 0] = opening[batch.ids[:, 0]] + losses.sum(1)
            sums.append(padded.flatten())
        flat = torch.cat(sums)
        return [flat[offset].item() for offset in offsets]

    def prior(self, texts: list[str], speaker: int) -> list[float]:
        """Log-probability of each text as the first message of a speaker."""
        todo = [text for text in dict.fromkeys(texts) if (speaker, text) not in self.priors]
        if todo:
            hidden, past = self.model(torch.tensor([[tokens.BEGIN, speaker]]))
            for text, value in zip(todo, self.log_likelihoods(todo, hidden[0, -1], past), strict=True):
                self.priors[speaker, text] = value
        return [self.priors[speaker, text] for text in texts]

    @torch.no_grad()
    def terms(self, case: Case, likelihood: bool) -> Terms:
        """The parts of the score; without `likelihood` the gain is zero."""
        prompt = self.prompt(case.turns)
        hidden, past = self.model(torch.tensor([prompt]))
        self.embed(case.candidates)
        replies = torch.stack([self.vectors[text] for text in case.candidates])  # [C, 128]
        cosine = replies @ self.model.rank_vector(hidden[0, -1])
        length = torch.tensor([len(self.encode(text)) + 1.0 for text in case.candidates])
        gain = torch.zeros(len(case.candidates))
        if likelihood:
            after = torch.tensor(self.log_likelihoods(case.candidates, hidden[0, -1], past))
            gain = after - torch.tensor(self.prior(case.candidates, prompt[-1]))
        return Terms(cosine.float(), gain, length)


def place(scores: Tensor, answer: int) -> float:
    """Rank of the answer, from 1; candidates with the same score share the mean of their ranks."""
    above = (scores > scores[answer]).sum().item()
    level = (scores == scores[answer]).sum().item()
    return above + (level + 1) / 2


def summary(places: list[float]) -> dict[str, float]:
    """R@1 and mean reciprocal rank."""
    count = len(places)
    return {"r1": round(sum(p == 1 for p in places) / count, 4), "mrr": round(sum(1 / p for p in places) / count, 4)}
