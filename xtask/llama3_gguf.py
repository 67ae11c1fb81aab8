"""Writes a GGUF file with the shape of Llama 3 8B and random weights of 4 bits (Q4_0), to measure llama.cpp beside Kinglet on what
`cargo xtask shape llama3-8b` writes. What it says has no sense. Needs numpy and gguf from PyPI.

usage: llama3_gguf.py OUT
"""

import sys

import gguf
import numpy as np

HIDDEN, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB = 4096, 32, 32, 8, 128, 14336, 128256
BLOCK = 32  # weights that share a scale
CHUNK = 1 << 20  # blocks that are filled at once

random = np.random.default_rng(1)
nibbles = random.integers(0, 256, (CHUNK, BLOCK // 2), dtype=np.uint8)
out = gguf.GGUFWriter(sys.argv[1], "llama")


def matrix(name, rows, columns, scale):
    """[rows, columns] in blocks of a float16 scale and 16 bytes of codes."""
    blocks = np.empty((rows * columns // BLOCK, 2 + BLOCK // 2), dtype=np.uint8)
    blocks[:, :2] = np.frombuffer(np.float16(scale / 4.6).tobytes(), dtype=np.uint8)  # codes of -8 to 7 deviate by 4.6
    for start in range(0, len(blocks), CHUNK):
        part = blocks[start : start + CHUNK, 2:]
        part[:] = np.roll(nibbles, int(random.integers(CHUNK)), axis=0)[: len(part)]
    out.add_tensor(name, blocks.reshape(rows, -1), raw_dtype=gguf.GGMLQuantizationType.Q4_0)


def product(name, rows, columns):
    matrix(name, rows, columns, 0.8 * columns**-0.5)


def norm(name):
    out.add_tensor(name, (1 + 0.1 * random.standard_normal(HIDDEN)).astype(np.float32))


out.add_context_length(8192)
out.add_embedding_length(HIDDEN)
out.add_block_count(LAYERS)
out.add_feed_forward_length(FFN)
out.add_head_count(HEADS)
out.add_head_count_kv(KV_HEADS)
out.add_layer_norm_rms_eps(1e-5)
out.add_rope_freq_base(5e5)
out.add_rope_dimension_count(HEAD_DIM)
out.add_vocab_size(VOCAB)
out.add_tokenizer_model("no_vocab")
matrix("token_embd.weight", VOCAB, HIDDEN, 0.02)
for layer in (f"blk.{i}." for i in range(LAYERS)):
    norm(layer + "attn_norm.weight")
    product(layer + "attn_q.weight", HEADS * HEAD_DIM, HIDDEN)
    product(layer + "attn_k.weight", KV_HEADS * HEAD_DIM, HIDDEN)
    product(layer + "attn_v.weight", KV_HEADS * HEAD_DIM, HIDDEN)
    product(layer + "attn_output.weight", HIDDEN, HEADS * HEAD_DIM)
    norm(layer + "ffn_norm.weight")
    product(layer + "ffn_gate.weight", FFN, HIDDEN)
    product(layer + "ffn_up.weight", FFN, HIDDEN)
    product(layer + "ffn_down.weight", HIDDEN, FFN)
norm("output_norm.weight")
product("output.weight", VOCAB, HIDDEN)
out.write_header_to_file()
out.write_kv_data_to_file()
out.write_tensors_to_file()
out.close()
