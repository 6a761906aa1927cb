# SPDX-License-Identifier: MIT
"""CuPy: kernels compiled at run time, its libraries, its memory and streams."""
from vg import expect, info, main, measure, put

import cupy
import numpy


def array(*shape, seed=1, dtype=numpy.float32):
    return cupy.asarray(numpy.random.default_rng(seed).standard_normal(shape).astype(dtype))


def device():
    found = cupy.cuda.Device(0)
    put("device", (found.compute_capability, cupy.cuda.runtime.getDeviceCount()))
    info(cupy.cuda.runtime.driverGetVersion(), found.mem_info)


def raw_kernel():
    """Source in the program, NVRTC, a cubin or PTX, constant memory, templates."""
    code = r"""
    __constant__ float factor[4];
    extern "C" __global__ void scale(const float *x, float *y, int n, float by)
    {
        int i = blockDim.x * blockIdx.x + threadIdx.x;
        if (i < n)
            y[i] = x[i] * by * factor[i % 4];
    }
    template <typename T> __global__ void twice(T *x) { x[threadIdx.x] *= 2; }
    """
    module = cupy.RawModule(code=code, name_expressions=["twice<int>", "twice<double>"])
    factor = cupy.ndarray(4, numpy.float32, module.get_global("factor"))
    factor[...] = cupy.asarray([1, 2, 3, 4], numpy.float32)
    x, y = array(10000), cupy.zeros(10000, numpy.float32)
    module.get_function("scale")((40,), (256,), (x, y, numpy.int32(10000), numpy.float32(1.5)))
    put("raw_kernel", y)
    right = x.get() * 1.5 * numpy.resize([1, 2, 3, 4], 10000)
    expect("raw_kernel.right", numpy.allclose(y.get(), right, rtol=1e-6))
    for name, kind in (("int", numpy.int32), ("double", numpy.float64)):
        z = cupy.arange(32, dtype=kind)
        module.get_function(f"twice<{name}>")((1,), (32,), (z,))
        put(f"raw_kernel.{name}", z)


def elementwise():
    double = cupy.ElementwiseKernel("float32 x, float32 y", "float32 z", "z = x * 2 + y", "vg_double")
    total = cupy.ReductionKernel("float32 x", "float32 y", "x * x", "a + b", "y = sqrt(a)", "0", "vg_norm")
    x, y = array(5000), array(5000, seed=2)
    put("elementwise", double(x, y), total(x))
    expect("elementwise.right", numpy.allclose(double(x, y).get(), x.get() * 2 + y.get(), rtol=1e-5))
    expect("elementwise.norm", abs(float(total(x)) - numpy.linalg.norm(x.get())) < 1e-2)

    @cupy.fuse
    def bell(a, b):
        return cupy.exp(-a * a) + b

    put("elementwise.fused", bell(x, y))
    put("elementwise.numpy", cupy.tanh(x) / (1 + y * y), cupy.where(x > 0, x, y), x.astype(numpy.float16))


def libraries():
    x = array(96, 96)
    spd = x @ x.T + 96 * cupy.eye(96, dtype=numpy.float32)
    put("libraries.gemm", x @ x, cupy.matmul(x.astype(numpy.float64), x.astype(numpy.float64)))
    put("libraries.svd", *cupy.linalg.svd(array(64, 48)))
    put("libraries.qr", *cupy.linalg.qr(x))
    put("libraries.eigh", *cupy.linalg.eigh(spd))
    put("libraries.solve", cupy.linalg.solve(spd, array(96, 2, seed=3)))
    put("libraries.inv", cupy.linalg.inv(spd))
    put("libraries.fft", cupy.fft.fft(array(32, 1000)), cupy.fft.rfft2(array(64, 64)))


def random():
    cupy.random.seed(5)
    put("random", cupy.random.rand(10000), cupy.random.randn(10000), cupy.random.randint(0, 99, 1000))
    generator = cupy.random.default_rng(6)
    put("random.generator", generator.random(1000), generator.integers(0, 1000, 1000),
        generator.standard_exponential(1000))


def handles():
    """The libraries' own beginnings: a cuBLAS handle, a cuFFT plan, a cuRAND generator."""
    from cupy_backends.cuda.libs import cublas, curand
    handle = cublas.create()
    stream = cupy.cuda.Stream(non_blocking=True)
    cublas.setStream(handle, stream.ptr)
    put("handles.cublas", (handle != 0, cublas.getVersion(handle) // 10000))
    x, y = array(64), array(64, seed=2)
    matrix, out = array(64, 64, seed=4), cupy.zeros(64, numpy.float32)
    one, zero = numpy.ones(1, numpy.float32), numpy.zeros(1, numpy.float32)
    sum_of = x.get() + y.get()
    cupy.cuda.Device().synchronize()
    cublas.saxpy(handle, 64, one.ctypes.data, x.data.ptr, 1, y.data.ptr, 1)
    cublas.sgemv(handle, cublas.CUBLAS_OP_N, 64, 64, one.ctypes.data, matrix.data.ptr, 64, x.data.ptr,
                 1, zero.ctypes.data, out.data.ptr, 1)
    stream.synchronize()
    put("handles.cublas_products", y, out)
    expect("handles.saxpy", numpy.allclose(y.get(), sum_of, atol=1e-6))
    expect("handles.sgemv", numpy.allclose(out.get(), x.get() @ matrix.get(), atol=1e-3))
    cublas.destroy(handle)
    host = numpy.random.default_rng(3).standard_normal((8, 120)).astype(numpy.float32)
    there = cupy.fft.fft(cupy.asarray(host))
    put("handles.cufft", there)
    expect("handles.cufft_right", numpy.allclose(there.get(), numpy.fft.fft(host), atol=1e-3))
    generator = curand.createGenerator(curand.CURAND_RNG_PSEUDO_PHILOX4_32_10)
    curand.setPseudoRandomGeneratorSeed(generator, 1234)
    numbers = cupy.zeros(4096, numpy.float32)
    curand.generateUniform(generator, numbers.data.ptr, numbers.size)
    put("handles.curand", numbers)
    expect("handles.curand_mean", 0.45 < float(numbers.get().mean()) < 0.55)
    curand.destroyGenerator(generator)


def sorts():
    x = array(20000)
    put("sorts", cupy.sort(x), cupy.argsort(x), cupy.unique((x * 10).astype(numpy.int32)))
    put("sorts.scan", cupy.cumsum(x), cupy.histogram(x, 50)[0], cupy.percentile(x, 30))


def sparse():
    import cupyx.scipy.sparse as sp
    dense = array(200, 200)
    dense[cupy.abs(dense) < 1] = 0
    m = sp.csr_matrix(dense)
    put("sparse", m @ array(200, 4, seed=2), (m @ m).toarray(), m.T.tocsr().data)


def memory():
    """Its pool, pinned memory, managed memory, the asynchronous allocator, unowned memory."""
    pool = cupy.get_default_memory_pool()
    x = cupy.ones(1 << 20)
    put("memory.used", pool.used_bytes() >= x.nbytes)
    pinned = cupy.cuda.alloc_pinned_memory(4096)
    host = numpy.frombuffer(pinned, numpy.float32, 1024)
    host[...] = 3
    put("memory.pinned", cupy.asarray(host).sum())
    managed = cupy.cuda.MemoryPool(cupy.cuda.malloc_managed)
    with cupy.cuda.using_allocator(managed.malloc):
        put("memory.managed", (cupy.arange(100000, dtype=numpy.float32) * 2).sum())
    with cupy.cuda.using_allocator(cupy.cuda.MemoryAsyncPool().malloc):
        put("memory.async", (cupy.arange(100000, dtype=numpy.float32) * 2).sum())
    view = cupy.cuda.UnownedMemory(x.data.ptr, x.nbytes, x)
    put("memory.unowned", cupy.ndarray(10, numpy.float64, cupy.cuda.MemoryPointer(view, 0)))


def streams():
    stream = cupy.cuda.Stream(non_blocking=True)
    start, end = cupy.cuda.Event(), cupy.cuda.Event()
    with stream:
        start.record()
        x = array(1000, 1000)
        for _ in range(5):
            x = cupy.tanh(x @ x)
        end.record()
    stream.synchronize()
    put("streams", x)
    expect("streams.elapsed", cupy.cuda.get_elapsed_time(start, end) > 0)
    seen = []
    stream.launch_host_func(lambda _: seen.append(1), None)
    stream.synchronize()
    put("streams.host_func", len(seen))


def graphs():
    stream = cupy.cuda.Stream(non_blocking=True)
    x = array(1000)
    with stream:
        y = x * 2
        stream.begin_capture()
        cupy.add(x, 1, out=x)
        cupy.multiply(x, 0.5, out=y)
        graph = stream.end_capture()
        for _ in range(3):
            graph.launch(stream)
    stream.synchronize()
    put("graphs", x, y)
    expect("graphs.right", numpy.allclose(y.get(), (array(1000).get() + 3) / 2, atol=1e-5))


def textures():
    """A CUDA array, a texture object on it, and a kernel that filters through it."""
    code = r"""
    extern "C" __global__ void sample(cudaTextureObject_t t, float *out, int w)
    {
        int x = threadIdx.x, y = blockIdx.x;
        out[y * w + x] = tex2D<float>(t, x + 0.75f, y + 0.25f);
    }
    """
    t = cupy.cuda.texture
    rt = cupy.cuda.runtime
    kind = t.ChannelFormatDescriptor(32, 0, 0, 0, rt.cudaChannelFormatKindFloat)
    store = t.CUDAarray(kind, 32, 16)
    store.copy_from(array(16, 32))
    described = t.ResourceDescriptor(rt.cudaResourceTypeArray, cuArr=store)
    how = t.TextureDescriptor((rt.cudaAddressModeClamp,) * 2, rt.cudaFilterModeLinear,
                              rt.cudaReadModeElementType)
    texture = t.TextureObject(described, how)
    out = cupy.zeros((16, 32), numpy.float32)
    cupy.RawKernel(code, "sample")((16,), (32,), (texture, out, numpy.int32(32)))
    put("textures", out)


def speed():
    x, y = array(1000), array(1000, seed=2)
    sync = cupy.cuda.Device().synchronize
    measure("cupy.add", lambda: cupy.add(x, y, out=x), sync, 5, 2000)
    measure("cupy.to_and_from", lambda: cupy.asarray(x.get()), sync, 5, 200)


if __name__ == "__main__":
    main([device, raw_kernel, elementwise, libraries, handles, random, sorts, sparse, memory, streams, graphs,
          textures, speed])
