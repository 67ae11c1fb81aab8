"""Makes sampling_golden.json: what transformers' own logits processors leave of small rows of logits, and the tokens that
ChaCha with 8 rounds draws for a seed.

Needs torch 2 and transformers 5 (made with 5.23). Run in this folder: python sampling_golden.py
"""

import json
import struct

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

VOCAB = 24
# fmt: off
CASES = [
    dict(),
    dict(temperature=0.7),
    dict(temperature=1.9),
    dict(top_k=1),
    dict(top_k=5),
    dict(top_k=500),
    dict(top_p=0.9),
    dict(top_p=0.31),
    dict(top_p=0.001),
    dict(min_p=0.05),
    dict(min_p=0.6),
    dict(repetition_penalty=1.3),
    dict(repetition_penalty=0.8),
    dict(temperature=0.6, top_k=9, top_p=0.83),
    dict(temperature=1.4, top_k=12, min_p=0.11),
    dict(temperature=0.9, top_p=0.77, min_p=0.21),
    dict(temperature=1.2, top_k=14, top_p=0.93, min_p=0.034, repetition_penalty=1.15),
    dict(temperature=0.45, top_k=3, top_p=0.97, min_p=0.2, repetition_penalty=1.7),
]
# fmt: on


def processors(options, suppress):
    """The list that `generate` itself builds, so its order is the judge."""
    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1
    )
    model = LlamaForCausalLM(config)
    settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, **options}
    generation = GenerationConfig(do_sample=True, num_beams=1, suppress_tokens=suppress or None, **settings)
    return model._get_logits_processor(generation, input_ids_seq_length=1, device="cpu")


def sampling_cases():
    torch.manual_seed(5)
    for number, options in enumerate(CASES):
        logits = (torch.randn(VOCAB) * 3).float()
        if options == dict(top_k=5):  # three tokens share the fifth place: all of them stay
            order = logits.argsort(descending=True)
            logits[order[5]] = logits[order[4]]
            logits[order[6]] = logits[order[4]]
        prompt = torch.randint(0, VOCAB, (6,)).tolist()
        reply = torch.randint(0, VOCAB, (4,)).tolist()
        suppress = [int(logits.argmax())] if number % 3 == 1 else []
        scores = processors(options, suppress)(torch.tensor([prompt + reply]), logits[None].clone())[0]
        probabilities = scores.double().softmax(-1)
        kept = [i for i in range(VOCAB) if scores[i] > float("-inf")]
        yield {
            "options": options,
            "suppress": suppress,
            "prompt": prompt,
            "reply": reply,
            "logits": logits.tolist(),
            "kept": kept,
            "probabilities": [float(probabilities[i]) for i in kept],
        }


def rotate(value, bits):
    return (value << bits | value >> (32 - bits)) & 0xFFFFFFFF


def seed_words(seed):
    """A 64-bit seed stretched to the 256-bit key: a step of PCG32 (XSH-RR) for each word, as rand_core documents it."""
    words = []
    for _ in range(8):
        seed = (seed * 6364136223846793005 + 11634580027462260723) % 2**64
        shifted = ((seed >> 18) ^ seed) >> 27 & 0xFFFFFFFF
        turn = seed >> 59
        words.append((shifted >> turn | shifted << (32 - turn) % 32) & 0xFFFFFFFF if turn else shifted)
    return words


def chacha8_block(key, counter, stream):
    """RFC 8439's block with 8 rounds, a 64-bit counter and a 64-bit stream number, as Bernstein's original has them."""
    split = lambda value: list(struct.unpack("<2I", struct.pack("<Q", value)))
    start = list(struct.unpack("<4I", b"expand 32-byte k")) + key + split(counter) + split(stream)
    state = start[:]

    def quarter(a, b, c, d):
        for x, y, z, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[x] = (state[x] + state[y]) & 0xFFFFFFFF
            state[z] = rotate(state[z] ^ state[x], bits)

    for _ in range(4):
        for i in range(4):
            quarter(i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(i, (i + 1) % 4 + 4, (i + 2) % 4 + 8, (i + 3) % 4 + 12)
    return [(a + b) & 0xFFFFFFFF for a, b in zip(state, start)]


def seed_cases():
    """Tokens drawn from 1,000 equally likely ones: token `floor(1000 * u)` for the fraction `u` of each 64-bit number."""
    for seed, stream in ((0, 0), (42, 0), (42, 1), (2**64 - 1, 7)):
        words = [w for block in range(2) for w in chacha8_block(seed_words(seed), block, stream)]
        numbers = [words[i] | words[i + 1] << 32 for i in range(0, len(words), 2)]
        tokens = [int(1000 * ((n >> 11) / 2**53)) for n in numbers[:12]]
        yield {"seed": seed, "stream": stream, "tokens": tokens}


def main():
    golden = {"sampling": list(sampling_cases()), "seeds": list(seed_cases())}
    with open("sampling_golden.json", "w") as out:
        json.dump(golden, out, separators=(",", ":"))
        out.write("\n")


if __name__ == "__main__":
    main()
