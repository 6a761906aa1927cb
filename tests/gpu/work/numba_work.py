# SPDX-License-Identifier: MIT
"""numba-cuda: kernels from Python, through PTX."""
import math
import os

os.environ.setdefault("NUMBA_CUDA_LOW_OCCUPANCY_WARNINGS", "0")
from vg import expect, main, put

import numpy
if not hasattr(numpy, "row_stack"):     # NumPy 2.5 dropped a name that numba-cuda asks for
    numpy.row_stack = numpy.vstack
from numba import cuda, float32, int32


def array(*shape, seed=1):
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


@cuda.jit
def saxpy(a, x, y, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = a * x[i] + y[i]


@cuda.jit
def block_sums(x, out):
    part = cuda.shared.array(128, float32)
    t = cuda.threadIdx.x
    part[t] = x[cuda.grid(1)]
    cuda.syncthreads()
    step = 64
    while step > 0:
        if t < step:
            part[t] += part[t + step]
        cuda.syncthreads()
        step //= 2
    if t == 0:
        out[cuda.blockIdx.x] = part[0]


@cuda.jit
def count(x, bins):
    i = cuda.grid(1)
    if i < x.size:
        cuda.atomic.add(bins, int32(x[i]) % 16, 1)


@cuda.jit
def matmul(a, b, c):
    row, column = cuda.grid(2)
    if row < c.shape[0] and column < c.shape[1]:
        total = float32(0)
        for k in range(a.shape[1]):
            total += a[row, k] * b[k, column]
        c[row, column] = total


def device():
    put("device", (cuda.gpus[0].compute_capability, len(cuda.gpus)))
    expect("device.memory", 0 < cuda.current_context().get_memory_info().free)


def vectors():
    x, y = array(5000), array(5000, seed=2)
    out = cuda.device_array_like(x)
    saxpy[40, 128](2.5, cuda.to_device(x), cuda.to_device(y), out)
    put("vectors", out)
    host = numpy.zeros(5000, numpy.float32)
    saxpy[40, 128](2.5, x, y, host)
    put("vectors.implicit", host)
    expect("vectors.right", numpy.allclose(host, 2.5 * x + y, atol=1e-5))


def shared():
    x, out = array(4096), cuda.device_array(32, numpy.float32)
    block_sums[32, 128](cuda.to_device(x), out)
    put("shared", out)
    expect("shared.right", numpy.allclose(out.copy_to_host(), x.reshape(32, 128).sum(1), atol=1e-3))


def atomics():
    x = numpy.arange(3000, dtype=numpy.int32)
    bins = cuda.to_device(numpy.zeros(16, numpy.int32))
    count[24, 128](cuda.to_device(x), bins)
    put("atomics", bins)


def matrices():
    a, b = array(48, 64), array(64, 40, seed=2)
    c = cuda.device_array((48, 40), numpy.float32)
    matmul[(3, 3), (16, 16)](cuda.to_device(a), cuda.to_device(b), c)
    put("matrices", c)
    expect("matrices.right", numpy.allclose(c.copy_to_host(), a @ b, atol=1e-3))


def functions():
    """Generalised functions, vectorised ones, mathematics."""
    from numba import vectorize

    @vectorize(["float32(float32, float32)"], target="cuda")
    def blend(a, b):
        return math.sin(a) * math.exp(-b * b)

    put("functions", blend(array(1000), array(1000, seed=3)))

    @cuda.reduce
    def total(a, b):
        return a + b

    put("functions.reduce", float(total(array(1000))))


def streams():
    stream = cuda.stream()
    with cuda.pinned(numpy.zeros(1)):
        pass
    host = cuda.pinned_array(2000, numpy.float32)
    host[:] = array(2000)
    start, end = cuda.event(), cuda.event()
    start.record(stream)
    there = cuda.to_device(host, stream=stream)
    out = cuda.device_array_like(there, stream=stream)
    saxpy[16, 128, stream](1.5, there, there, out)
    end.record(stream)
    back = out.copy_to_host(stream=stream)
    stream.synchronize()
    put("streams", back)
    expect("streams.elapsed", cuda.event_elapsed_time(start, end) >= 0)


if __name__ == "__main__":
    main([device, vectors, shared, atomics, matrices, functions, streams])
