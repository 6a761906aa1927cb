# SPDX-License-Identifier: MIT
"""torch.compile: kernels that Inductor and Triton write, and graphs it captures."""
from vg import clock, main, measure, put
from torch_setup import filled, gpu, sync, torch
import time


def chain(x, w):
    return torch.nn.functional.gelu((x * 2 + 1).softmax(-1) @ w).sum(-1)


def compiled():
    x, w = filled(128, 512), filled(512, 64, seed=2)
    start = time.perf_counter()
    fast = torch.compile(chain)
    put("compile.forward", fast(x, w))
    clock("compile.first", time.perf_counter() - start)
    for i in range(3):
        put(f"compile.again{i}", fast(filled(128, 512, seed=i), w))


def compiled_training():
    torch.manual_seed(13)
    net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.LayerNorm(128), torch.nn.GELU(),
                              torch.nn.Linear(128, 8)).to(gpu)
    fast = torch.compile(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(4):
        loss = fast(filled(32, 64, seed=step)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        put(f"compile.loss{step}", loss.detach())


def reduced_overhead():
    """CUDA graphs made by the compiler."""
    x, w = filled(128, 512), filled(512, 64, seed=2)
    fast = torch.compile(chain, mode="reduce-overhead")
    for i in range(4):
        torch.compiler.cudagraph_mark_step_begin()
        put(f"compile.graph{i}", fast(filled(128, 512, seed=i), w).clone())
    measure("compile.graph_replay", lambda: fast(x, w), sync, 5, 50)


if __name__ == "__main__":
    main([compiled, compiled_training, reduced_overhead])
