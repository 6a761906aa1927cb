# SPDX-License-Identifier: MIT
"""A Llama with random weights as a GGUF file, always the same bytes, with a vocabulary.

    model.py FILE [LAYERS]     22 layers (the default) are 1.1 B parameters, 600 MB

Weights are Q4_0: blocks of 32 values, a scale in half precision and 32 halves of a byte.
"""
import random
import struct
import sys

VOCABULARY, WIDTH, HIDDEN, HEADS, KV_HEADS = 32000, 2048, 5632, 32, 4
HEAD = WIDTH // HEADS
F32, Q4_0 = 0, 2                        # types of tensors
U32, FLOAT, STRING, ARRAY, I32 = 4, 6, 8, 9, 5    # types of values
ALIGNMENT = 32
SCALE = struct.pack("<e", 0.0045)       # times -8 to 7: a standard deviation of about 0.02


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, data):
    return struct.pack("<I", kind) + (text(data) if kind == STRING else
                                      struct.pack({U32: "<I", FLOAT: "<f", I32: "<i"}[kind], data))


def array(kind, items):
    body = b"".join(text(i) for i in items) if kind == STRING else \
        struct.pack(f"<{len(items)}{'f' if kind == FLOAT else 'i'}", *items)
    return struct.pack("<IIQ", ARRAY, kind, len(items)) + body


def vocabulary():
    """Three of control, every byte, and words: (text, score, type) each."""
    yield from (("<unk>", 0.0, 2), ("<s>", 0.0, 3), ("</s>", 0.0, 3))
    yield from ((f"<0x{byte:02X}>", 0.0, 6) for byte in range(256))
    yield from ((f"\u2581t{n}", -float(n), 1) for n in range(VOCABULARY - 259))


def settings(layers):
    tokens, scores, types = zip(*vocabulary())
    return {
        "general.architecture": value(STRING, "llama"),
        "general.name": value(STRING, "random"),
        "general.file_type": value(U32, 2),
        "llama.context_length": value(U32, 2048),
        "llama.embedding_length": value(U32, WIDTH),
        "llama.block_count": value(U32, layers),
        "llama.feed_forward_length": value(U32, HIDDEN),
        "llama.attention.head_count": value(U32, HEADS),
        "llama.attention.head_count_kv": value(U32, KV_HEADS),
        "llama.rope.dimension_count": value(U32, HEAD),
        "llama.attention.layer_norm_rms_epsilon": value(FLOAT, 1e-5),
        "llama.vocab_size": value(U32, VOCABULARY),
        "tokenizer.ggml.model": value(STRING, "llama"),
        "tokenizer.ggml.tokens": array(STRING, tokens),
        "tokenizer.ggml.scores": array(FLOAT, scores),
        "tokenizer.ggml.token_type": array(I32, types),
        "tokenizer.ggml.bos_token_id": value(U32, 1),
        "tokenizer.ggml.eos_token_id": value(U32, 2),
    }


def tensors(layers):
    """(name, shape), a matrix or a row of ones."""
    yield from (("token_embd", (WIDTH, VOCABULARY)), ("output_norm", (WIDTH,)),
                ("output", (WIDTH, VOCABULARY)))
    for n in range(layers):
        for name, shape in (("attn_norm", (WIDTH,)), ("attn_q", (WIDTH, WIDTH)),
                            ("attn_k", (WIDTH, KV_HEADS * HEAD)), ("attn_v", (WIDTH, KV_HEADS * HEAD)),
                            ("attn_output", (WIDTH, WIDTH)), ("ffn_norm", (WIDTH,)),
                            ("ffn_gate", (WIDTH, HIDDEN)), ("ffn_up", (WIDTH, HIDDEN)),
                            ("ffn_down", (HIDDEN, WIDTH))):
            yield f"blk.{n}.{name}", shape


def weights(shape, chance):
    if len(shape) == 1:
        return struct.pack("<f", 1.0) * shape[0]
    blocks = shape[0] * shape[1] // 32
    data = bytearray(chance.randbytes(blocks * 18))
    data[0::18], data[1::18] = SCALE[:1] * blocks, SCALE[1:] * blocks
    return data


def size_of(shape):
    return shape[0] * 4 if len(shape) == 1 else shape[0] * shape[1] // 32 * 18


def padding(size):
    return b"\0" * (-size % ALIGNMENT)


def write(out, layers):
    table, offset, parts = b"", 0, list(tensors(layers))
    for name, shape in parts:
        table += text(name + ".weight") + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape,
                                                      Q4_0 if len(shape) == 2 else F32, offset)
        offset += size_of(shape) + len(padding(size_of(shape)))
    pairs = settings(layers)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(parts), len(pairs)) + \
        b"".join(text(key) + data for key, data in pairs.items()) + table
    out.write(head + padding(len(head)))
    chance = random.Random(42)
    for _, shape in parts:
        data = weights(shape, chance)
        out.write(data + padding(len(data)))


if __name__ == "__main__":
    with open(sys.argv[1], "wb") as file:
        write(file, int(sys.argv[2]) if len(sys.argv) > 2 else 22)
