# SPDX-License-Identifier: MIT
"""cuda.bindings and cuda.core: the driver's and the compiler's interfaces in Python."""
import ctypes

from vg import expect, info, main, put

import numpy
from cuda.bindings import driver, nvrtc, runtime

SOURCE = r"""
extern "C" __global__ void saxpy(float a, const float *x, float *y, size_t n)
{
    size_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n)
        y[i] = a * x[i] + y[i];
}
"""


def ok(answer):
    """The values of a call that must succeed."""
    code, *values = answer
    if code.value != 0:
        raise RuntimeError(f"{code.name}")
    return values[0] if len(values) == 1 else values


def compile_ptx(architecture, source=SOURCE):
    program = ok(nvrtc.nvrtcCreateProgram(source.encode(), b"saxpy.cu", 0, [], []))
    options = [f"--gpu-architecture=compute_{architecture}".encode()]
    ok(nvrtc.nvrtcCompileProgram(program, len(options), options))
    size = ok(nvrtc.nvrtcGetPTXSize(program))
    ptx = b" " * size
    ok(nvrtc.nvrtcGetPTX(program, ptx))
    return ptx


def bindings():
    """NVRTC makes PTX, the driver loads it, one launch, one copy back."""
    ok(driver.cuInit(0))
    device = ok(driver.cuDeviceGet(0))
    info(ok(driver.cuDeviceGetName(64, device)))
    context = ok(driver.cuDevicePrimaryCtxRetain(device))
    ok(driver.cuCtxSetCurrent(context))
    module = ok(driver.cuModuleLoadData(compile_ptx(75)))
    kernel = ok(driver.cuModuleGetFunction(module, b"saxpy"))
    n = 1000
    x, y = numpy.arange(n, dtype=numpy.float32), numpy.ones(n, numpy.float32)
    there = [ok(driver.cuMemAlloc(4 * n)) for _ in range(2)]
    for pointer, values in zip(there, (x, y)):
        ok(driver.cuMemcpyHtoD(pointer, values.ctypes.data, 4 * n))
    stream = ok(driver.cuStreamCreate(0))
    values = (2.0, there[0], there[1], n)
    kinds = (ctypes.c_float, None, None, ctypes.c_size_t)
    ok(driver.cuLaunchKernel(kernel, 8, 1, 1, 128, 1, 1, 0, stream, (values, kinds), 0))
    ok(driver.cuMemcpyDtoHAsync(y.ctypes.data, there[1], 4 * n, stream))
    ok(driver.cuStreamSynchronize(stream))
    put("bindings", y)
    expect("bindings.right", numpy.array_equal(y, 2 * x + 1))
    expect("bindings.bad", driver.cuMemFree(12345)[0] == driver.CUresult.CUDA_ERROR_INVALID_VALUE)


def bindings_runtime():
    """The runtime's half: it has a cudart of its own inside."""
    put("runtime.count", ok(runtime.cudaGetDeviceCount()))
    properties = ok(runtime.cudaGetDeviceProperties(0))
    put("runtime.device", (properties.name, properties.multiProcessorCount))
    pointer = ok(runtime.cudaMalloc(1 << 20))
    ok(runtime.cudaMemset(pointer, 7, 1 << 20))
    back = numpy.zeros(1 << 20, numpy.uint8)
    ok(runtime.cudaMemcpy(back.ctypes.data, pointer, 1 << 20,
                          runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost))
    expect("runtime.memset", bool((back == 7).all()))
    ok(runtime.cudaFree(pointer))
    put("runtime.versions", (ok(runtime.cudaDriverGetVersion()), ok(runtime.cudaRuntimeGetVersion())))


def core():
    """cuda.core: device, stream, program, launch, buffers, events."""
    from cuda.core import Device, LaunchConfig, Program, ProgramOptions, launch
    device = Device()
    device.set_current()
    put("core.device", (device.name, device.compute_capability.major))
    stream = device.create_stream()
    program = Program(SOURCE, "c++", ProgramOptions(std="c++17", arch="sm_75"))
    kernel = program.compile("ptx").get_kernel("saxpy")
    n = 4096
    x, y = device.allocate(4 * n, stream=stream), device.allocate(4 * n, stream=stream)
    host = numpy.arange(n, dtype=numpy.float32)
    for buffer in (x, y):
        ok(driver.cuMemcpyHtoDAsync(int(buffer.handle), host.ctypes.data, 4 * n, int(stream.handle)))
    event = device.create_event()
    launch(stream, LaunchConfig(grid=n // 256, block=256), kernel, ctypes.c_float(3.0), x, y,
           ctypes.c_size_t(n))
    stream.record(event)
    event.sync()
    out = numpy.zeros(n, numpy.float32)
    ok(driver.cuMemcpyDtoH(out.ctypes.data, int(y.handle), 4 * n))
    put("core", out)
    expect("core.right", numpy.array_equal(out, 4 * host))
    device.sync()


def compiled_twice():
    """A program so long that NVRTC asks the driver whether it has been compiled before."""
    loops = "\n".join(f"for (int j = i; j < n; j += {k + 1}) y[j] += sinf(x[j]) * {k}.0f;"
                      for k in range(40))
    source = SOURCE[:SOURCE.rindex("}")] + loops + "}"
    first, second = compile_ptx("80", source), compile_ptx("80", source)
    put("compiled_twice", len(first) > 10000, first == second)


def core_linker():
    """Two objects linked: by nvJitLink, or by the driver where that is not there."""
    from cuda.core import Device, Linker, LinkerOptions, Program, ProgramOptions
    Device().set_current()
    arch = "sm_" + Device().arch
    part = 'extern __device__ int other(int); extern "C" __global__ void k(int *p) { *p = other(*p); }'
    options = ProgramOptions(arch=arch, relocatable_device_code=True)
    objects = [Program(code, "c++", options).compile("ptx")
               for code in (part, "__device__ int other(int x) { return x * 3; }")]
    linked = Linker(*objects, options=LinkerOptions(arch=arch)).link("cubin")
    linked.get_kernel("k")
    put("core_linker", "linked")


def compiled_for_this_gpu():
    """NVRTC makes a cubin for the very GPU."""
    from cuda.core import Device, Program, ProgramOptions
    device = Device()
    device.set_current()
    arch = "sm_" + device.arch
    kernel = Program(SOURCE, "c++", ProgramOptions(arch=arch)).compile("cubin").get_kernel("saxpy")
    threads = kernel.attributes.max_threads_per_block
    put("cubin.threads", threads() if callable(threads) else threads)


if __name__ == "__main__":
    main([bindings, bindings_runtime, core, core_linker, compiled_twice, compiled_for_this_gpu])
