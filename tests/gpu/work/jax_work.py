# SPDX-License-Identifier: MIT
"""JAX: jit, grad, command buffers, libraries, host callbacks."""
import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
# Choices by timing would differ from run to run.
os.environ.setdefault("XLA_FLAGS", "--xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0 "
                                   "--xla_gpu_graph_min_graph_size=1 "
                                   "--xla_gpu_enable_triton_gemm=false")
from vg import expect, info, main, measure, put

import numpy
import jax
import jax.numpy as jnp


def array(*shape, seed=1, dtype=numpy.float32):
    return jnp.asarray(numpy.random.default_rng(seed).standard_normal(shape).astype(dtype))


def device():
    found = jax.devices()[0]
    expect("device.is_gpu", found.platform == "gpu")
    put("device", (found.platform, found.device_kind, len(jax.devices())))
    put("device.capability", getattr(found, "compute_capability", None))
    info(found.memory_stats())


def jit():
    f = jax.jit(lambda a, b: jnp.tanh(a @ b).sum(0) * 2 + jnp.exp(-b.mean()))
    put("jit", f(array(128, 256), array(256, 64, seed=2)))
    put("jit.half", jax.jit(lambda a: (a @ a.T).sum())(array(64, 64).astype(jnp.bfloat16)).astype(jnp.float32))
    put("jit.sort", jnp.sort(array(10000)), jnp.argsort(array(500)), jnp.cumsum(array(5000)))


def grad():
    def loss(params, x, y):
        hidden = jnp.tanh(x @ params["w1"] + params["b1"])
        return jnp.mean((hidden @ params["w2"] - y) ** 2)

    params = {"w1": array(32, 64), "b1": jnp.zeros(64), "w2": array(64, 4, seed=2)}
    step = jax.jit(jax.value_and_grad(loss))
    x, y = array(16, 32, seed=3), array(16, 4, seed=4)
    for i in range(5):
        value, slopes = step(params, x, y)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, slopes)
        put(f"grad.loss{i}", value)
    put("grad.params", *jax.tree.leaves(params))


def command_buffers():
    """Loops whose bodies XLA records into CUDA graphs and updates between launches."""
    @jax.jit
    def many(x):
        for i in range(12):
            x = jnp.sin(x @ x) + jnp.roll(x, i, 0) * 0.5
        return x

    x = array(64, 64)
    for i in range(6):
        x = many(x)
        put(f"command_buffers.{i}", x)
    looped = jax.jit(lambda x: jax.lax.fori_loop(0, 50, lambda i, v: jnp.cos(v @ v) + i, x))
    put("command_buffers.loop", looped(array(32, 32)))
    branch = jax.jit(lambda p, x: jax.lax.cond(p, lambda v: v * 2, lambda v: v @ v, x))
    put("command_buffers.cond", branch(True, x), branch(False, x))
    counted = jax.jit(lambda x: jax.lax.while_loop(lambda s: s.sum() < 1e4, lambda s: s * 1.5 + 1, x))
    put("command_buffers.while", counted(jnp.ones((16, 16))))


def libraries():
    """cuBLAS, cuDNN, cuFFT, cuSOLVER."""
    x = array(64, 64)
    spd = x @ x.T + 64 * jnp.eye(64)
    put("libraries.fft", jnp.fft.fft(array(16, 500)), jnp.fft.rfft2(array(32, 32)))
    put("libraries.cholesky", jnp.linalg.cholesky(spd))
    put("libraries.solve", jnp.linalg.solve(spd, array(64, 3, seed=2)))
    put("libraries.eigh", *jnp.linalg.eigh(spd))
    put("libraries.svd", *jnp.linalg.svd(array(48, 32)))
    put("libraries.qr", *jnp.linalg.qr(x))
    put("libraries.conv", jax.lax.conv(array(2, 8, 20, 20), array(16, 8, 3, 3, seed=3), (1, 1), "SAME"))
    put("libraries.gemm", array(100, 200) @ array(200, 50, seed=5))


def random():
    key = jax.random.key(7)
    put("random", jax.random.normal(key, (1000,)), jax.random.uniform(key, (1000,)),
        jax.random.permutation(key, 1000), jax.random.categorical(key, jnp.ones((10, 10))))


def transforms():
    """vmap, scan, associative scan, double precision."""
    put("vmap", jax.vmap(lambda a: (a @ a.T).trace())(array(10, 16, 16)))
    put("scan", *jax.lax.scan(lambda c, x: (c * 0.9 + x, c.sum()), jnp.zeros(8), array(100, 8)))
    put("associative", jax.lax.associative_scan(jnp.maximum, array(1000)))
    with jax.enable_x64(True):
        put("double", jnp.asarray(numpy.arange(100.0)) @ jnp.asarray(numpy.arange(100.0)))


def callbacks():
    """XLA calls back into Python in the middle of a program."""
    shape = jax.ShapeDtypeStruct((16,), numpy.float32)
    f = jax.jit(lambda x: jax.pure_callback(lambda v: numpy.asarray(v) * 3, shape, x + 1) - 1)
    put("callbacks", f(array(16)))


def transfers():
    for count in (1, 1000, 1 << 20, 16 << 20):
        host = numpy.arange(count, dtype=numpy.float32)
        expect(f"transfers.{count}", numpy.array_equal(numpy.asarray(jax.device_put(host)), host))


def speed():
    f = jax.jit(lambda a: jnp.tanh(a @ a))
    x = array(256, 256)
    f(x).block_until_ready()
    last = []

    def once():
        last[:] = [f(x)]

    measure("jax.dispatch", once, lambda: last and last[0].block_until_ready(), 5, 500)
    measure("jax.round_trip", lambda: f(x).block_until_ready(), lambda: None, 5, 200)


if __name__ == "__main__":
    main([device, jit, grad, command_buffers, libraries, random, transforms, callbacks, transfers,
          speed])
