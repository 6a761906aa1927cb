# SPDX-License-Identifier: MIT
"""A Llama of 1.1 B random parameters: prefill of 512 tokens, 72 decoded ones, six training steps."""
import os
import sys
import time

from vg import clock, expect, in_turns, info, main, measure, put, turns
from torch_setup import gpu, sync, torch
from transformers import LlamaConfig, LlamaForCausalLM

# cuDNN's attention, which PyTorch takes on Hopper, varies natively in decoding (three values on an
# H200, within one process). Where only times count, it stays.
torch.backends.cuda.enable_cudnn_sdp(bool(turns))

small = os.environ.get("VG_SMALL") == "1"   # two layers, where only results count
CONFIG = dict(hidden_size=2048, intermediate_size=5632, num_hidden_layers=2 if small else 22,
              num_attention_heads=32, num_key_value_heads=4, vocab_size=32000,
              max_position_embeddings=2048)
PROMPT, DECODED, STEPS = 512, 24 if turns else 72, 6


def new_model():
    torch.manual_seed(20)
    torch.set_default_dtype(torch.bfloat16)
    with gpu:
        model = LlamaForCausalLM(LlamaConfig(**CONFIG))
    torch.set_default_dtype(torch.float32)
    info("parameters", sum(p.numel() for p in model.parameters()))
    return model


def tokens(*shape, seed=3):
    return torch.randint(0, 32000, shape, generator=torch.Generator().manual_seed(seed)).to(gpu)


def decode(model, prompt, count):
    """Greedy decoding; returns the tokens, the last logits and the seconds of each token."""
    out = model(prompt, use_cache=True)
    taken, seconds = [], []
    for _ in range(count):
        sync()
        start = time.perf_counter()
        token = out.logits[:, -1:].argmax(-1)
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
        sync()
        seconds.append(time.perf_counter() - start)
        taken.append(token)
    return torch.cat(taken, 1), out.logits, seconds


def inference():
    start = time.perf_counter()
    model = new_model().eval()
    prompt = tokens(1, PROMPT)
    with torch.inference_mode():
        put("llama.prefill", model(prompt, use_cache=True).logits)
        clock("llama.first_answer", time.perf_counter() - start)
        decode(model, prompt, 4)
        measure("llama.prefill", lambda: model(prompt, use_cache=True), sync, 5)
        for _ in in_turns():
            taken, logits, seconds = decode(model, prompt, DECODED)
            clock("llama.decode_token", sorted(seconds)[len(seconds) // 2])
            clock(f"llama.decode_{DECODED}", sum(seconds))
        put("llama.decoded", taken, logits)
        if turns:
            ten_steps(model)


def training():
    model = new_model().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    batch = tokens(4, 256, seed=4)
    losses = []

    def step():
        sync()
        start = time.perf_counter()
        loss = model(batch, labels=batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.detach())
        sync()
        return time.perf_counter() - start

    step()
    for _ in in_turns():
        seconds = [step() for _ in range(STEPS - 1)]
        clock("llama.training_step", sorted(seconds)[len(seconds) // 2])
    put("llama.losses", *losses)
    put("llama.trained", *list(model.parameters())[:4])
    if turns:
        torch.cuda.profiler.start()
        step()
        torch.cuda.profiler.stop()


def ten_steps(model):
    """Ten decode steps between marks: with VGPU_STATS=1 our library counts what crossed then."""
    out = model(tokens(1, PROMPT), use_cache=True)
    sync()
    torch.cuda.profiler.start()
    for _ in range(10):
        token = out.logits[:, -1:].argmax(-1)
        out = model(token, past_key_values=out.past_key_values, use_cache=True)
    sync()
    torch.cuda.profiler.stop()
    return out.logits


# What a step may send to the host: work, waits, and code that it uses for the first time.
WORK = ("LAUNCH", "COPY_", "SYNC", "MARK", "SET_CONTEXT", "cuGraphLaunch", "cuMemcpy", "cuMemset", "IMAGE_", "FUNCTION_",
        "cuKernelSetAttribute", "cuFuncSetAttribute")


def crossed(path):
    """Call -> how often, between the marks, by the file that VGPU_STATS names; natively there is none."""
    if not os.path.exists(path):
        return {}
    with open(path) as file:
        lines = [line.split() for line in file]
    return {words[3]: int(words[1]) for words in lines[1:] if len(words) == 4 and words[3] != "all"}


def crossings():
    """Ten steps alone, after what only the first ones do: nothing that the guest can answer may cross."""
    model = new_model().eval()
    with torch.inference_mode():
        decode(model, tokens(1, PROMPT), 4)
        put("crossings.logits", ten_steps(model))
    calls = crossed(os.environ.get("VGPU_STATS", ""))
    info("crossed in ten steps:", calls)
    others = [name for name in calls if not name.startswith(WORK)]
    expect("crossings.only_work", not others, " ".join(others))
    expect("crossings.one_wait", calls.get("SYNC", 1) <= 10, calls.get("SYNC"))


if __name__ == "__main__":
    # crossings only where it is named
    main([inference, training] if len(sys.argv) == 1 else [inference, training, crossings])
