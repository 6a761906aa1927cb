# SPDX-License-Identifier: MIT
"""Triton kernels: elementwise, softmax, a product by tensor cores, atomics, a descriptor (TMA)."""
from vg import main, measure, put
from torch_setup import filled, gpu, sync, torch

import triton
import triton.language as tl
from triton.tools.tensor_descriptor import TensorDescriptor


@triton.jit
def add_kernel(x, y, out, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    ok = at < n
    tl.store(out + at, tl.load(x + at, mask=ok) + tl.load(y + at, mask=ok), mask=ok)


@triton.jit
def softmax_kernel(x, out, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    at = tl.arange(0, BLOCK)
    v = tl.load(x + row * columns + at, mask=at < columns, other=-float("inf"))
    e = tl.exp(v - tl.max(v, 0))
    tl.store(out + row * columns + at, e / tl.sum(e, 0), mask=at < columns)


@triton.jit
def matmul_kernel(a, b, c, n, BLOCK: tl.constexpr):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inner = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK, BLOCK), tl.float32)
    for k in range(0, n, BLOCK):
        left = tl.load(a + rows[:, None] * n + (k + inner)[None, :])
        right = tl.load(b + (k + inner)[:, None] * n + columns[None, :])
        total += tl.dot(left, right)
    tl.store(c + rows[:, None] * n + columns[None, :], total)


@triton.jit
def count_kernel(x, counts, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.atomic_add(counts + tl.load(x + at, mask=at < n, other=0), 1, mask=at < n)


@triton.jit
def copy_kernel(source, target, BLOCK: tl.constexpr):
    row = tl.program_id(0) * BLOCK
    column = tl.program_id(1) * BLOCK
    target.store([row, column], source.load([row, column]) * 2)


def add():
    x, y = filled(10000), filled(10000, seed=2)
    out = torch.empty_like(x)
    add_kernel[(triton.cdiv(10000, 512),)](x, y, out, 10000, BLOCK=512)
    put("add", out)
    measure("triton.launch", lambda: add_kernel[(20,)](x, y, out, 10000, BLOCK=512), sync, 5, 1000)


def softmax():
    x = filled(64, 781)
    out = torch.empty_like(x)
    softmax_kernel[(64,)](x, out, 781, BLOCK=1024)
    put("softmax", out)


def matmul():
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        a, b = filled(256, 256, dtype=dtype), filled(256, 256, dtype=dtype, seed=2)
        c = torch.empty(256, 256, device=gpu)
        matmul_kernel[(4, 4)](a, b, c, 256, BLOCK=64)
        put(f"matmul.{dtype}", c)


def atomics():
    x = (filled(5000) * 4).int() & 15
    counts = torch.zeros(16, dtype=torch.int32, device=gpu)
    count_kernel[(10,)](x, counts, 5000, BLOCK=512)
    put("atomics", counts)


def descriptors():
    """A tensor map made by the host, used by the copy engine of sm_90."""
    x = filled(256, 256, dtype=torch.float16)
    out = torch.empty_like(x)
    copy_kernel[(4, 4)](TensorDescriptor.from_tensor(x, [64, 64]),
                        TensorDescriptor.from_tensor(out, [64, 64]), BLOCK=64)
    put("descriptors", out)


if __name__ == "__main__":
    main([add, softmax, matmul, atomics, descriptors])
