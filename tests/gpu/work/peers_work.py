# SPDX-License-Identifier: MIT
"""Two GPUs in JAX (sharded arrays, collectives through NCCL) and CuPy (peer copies, peer kernels)."""
import os
import sys

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0 "
                                   "--xla_gpu_enable_triton_gemm=false")
from vg import expect, main, put

import numpy


def array(*shape, seed=1):
    return numpy.random.default_rng(seed).standard_normal(shape).astype(numpy.float32)


def jax_sharded():
    """Rows on one device each, products that gather and sums that reduce over both."""
    import jax
    import jax.numpy as jnp
    from jax.sharding import Mesh, NamedSharding, PartitionSpec
    devices = jax.devices()
    put("jax.devices", (devices[0].platform, len(devices)))
    mesh = Mesh(numpy.array(devices[:2]), ("x",))
    rows = NamedSharding(mesh, PartitionSpec("x"))
    a, b = jax.device_put(array(256, 128), rows), jax.device_put(array(128, 64, seed=2), rows)
    put("jax.sharded", jax.jit(lambda a, b: jnp.tanh(a @ b))(a, b))
    put("jax.reduced", jax.jit(lambda a: (a * a).sum(0))(a))
    moved = jax.device_put(jnp.arange(1000.0), devices[1])
    put("jax.moved", jax.device_put(moved * 2, devices[0]))


def cupy_pair():
    import cupy
    with cupy.cuda.Device(0) as device:
        x = cupy.asarray(array(1 << 20))
        device.synchronize()
    with cupy.cuda.Device(1) as device:
        y = cupy.asarray(x)     # a copy from the other device
        z = y * 2
        z += 1
        device.synchronize()    # streams of two devices wait for each other by events only
    with cupy.cuda.Device(0):
        back = cupy.asarray(z)
        cupy.cuda.Device(0).synchronize()
    put("cupy.pair", back)
    expect("cupy.right", numpy.array_equal(back.get(), x.get() * 2 + 1))
    put("cupy.can", (cupy.cuda.runtime.deviceCanAccessPeer(0, 1), cupy.cuda.runtime.deviceCanAccessPeer(1, 0)))


if __name__ == "__main__":
    import ctypes
    cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)) or count.value < 2:
        print("one device only")
        sys.exit(77)
    main([jax_sharded, cupy_pair])
