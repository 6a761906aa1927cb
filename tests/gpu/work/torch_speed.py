# SPDX-License-Identifier: MIT
"""Times of what applications do all day: small eager operations, steps, replays, copies, start-up."""
import time

began = time.perf_counter()
from vg import clock, main, measure, quick
from torch_setup import filled, gpu, sync, torch


def start():
    """From the first use of the GPU, the imports done."""
    begin = time.perf_counter()
    x = torch.zeros(1, device=gpu)
    clock("start.first_tensor", time.perf_counter() - begin)
    begin = time.perf_counter()
    (x + 1).item()
    clock("start.first_kernel", time.perf_counter() - begin)
    a = torch.ones(256, 256, device=gpu)
    begin = time.perf_counter()
    (a @ a)[0, 0].item()
    clock("start.cublas", time.perf_counter() - begin)
    image, kernel = torch.ones(1, 8, 32, 32, device=gpu), torch.ones(8, 8, 3, 3, device=gpu)
    begin = time.perf_counter()
    torch.nn.functional.conv2d(image, kernel).sum().item()
    clock("start.cudnn", time.perf_counter() - begin)
    clock("start.all_with_imports", time.perf_counter() - began)


def eager():
    """Additions of small tensors: the CPU's time per operation, and with the GPU waited for."""
    x, y = filled(64), filled(64, seed=2)
    out = torch.empty_like(x)
    count = 2000 if quick else 10000
    measure("eager.add_out", lambda: torch.add(x, y, out=out), sync, 5, count)
    measure("eager.add_new", lambda: x + y, sync, 5, count)
    measure("eager.chain", lambda: ((x * y + 1).relu() - y).sum(), sync, 5, count // 5)
    measure("eager.item", lambda: x[3].item(), sync, 5, 500)
    measure("eager.sync", lambda: (torch.add(x, y, out=out), sync()), sync, 5, 500)


def graph():
    """A graph of 100 small kernels."""
    x = filled(64)
    torch.add(x, 1)
    sync()
    captured = torch.cuda.CUDAGraph()
    with torch.cuda.graph(captured):
        for _ in range(100):
            x.add_(0.001)
    measure("graph.replay_100", captured.replay, sync, 5, 200)
    measure("graph.replay_100_sync", lambda: (captured.replay(), sync()), sync, 5, 100)


def step_86m():
    """A training step of a GPT-like net of 86 M parameters, eager, bfloat16."""
    torch.manual_seed(14)
    layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, dropout=0.0, batch_first=True,
                                             norm_first=True)
    net = torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False).to(gpu)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    x = filled(8, 256, 768)

    def step():
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    for _ in range(3):
        step()
    measure("step_86m", step, sync, 7, 3)


def copying():
    host = torch.empty(64 << 20, dtype=torch.uint8).fill_(1)
    pinned = host.pin_memory()
    there = torch.empty_like(host, device=gpu)
    for name, size in (("4KiB", 4096), ("64KiB", 1 << 16), ("1MiB", 1 << 20), ("64MiB", 64 << 20)):
        inner = max(3, min(500, (64 << 20) // size))
        g, p, h = there[:size], pinned[:size], host[:size]
        measure(f"copy.pinned_to_{name}", lambda: g.copy_(p, non_blocking=True), sync, 5, inner)
        measure(f"copy.pinned_from_{name}", lambda: p.copy_(g, non_blocking=True), sync, 5, inner)
        measure(f"copy.pageable_to_{name}", lambda: g.copy_(h), sync, 5, inner)
        measure(f"copy.pageable_from_{name}", lambda: h.copy_(g), sync, 5, inner)


def allocating():
    def fresh():
        torch.empty(64 << 20, dtype=torch.uint8, device=gpu)
        torch.cuda.empty_cache()

    measure("alloc.64MiB_and_free", fresh, sync, 5, 20)
    event = torch.cuda.Event()
    measure("event.record", event.record, sync, 5, 2000)
    measure("event.record_query", lambda: (event.record(), event.query()), sync, 5, 1000)
    measure("stream.switch", lambda: torch.cuda.Stream().wait_event(event), sync, 5, 500)


if __name__ == "__main__":
    main([start, eager, graph, step_86m, copying, allocating])
