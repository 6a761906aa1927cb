# SPDX-License-Identifier: MIT
"""pynvml: what monitors ask. Measured values are only looked at, not compared."""
from vg import expect, info, main, put

import pynvml


def identity():
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    put("count", pynvml.nvmlDeviceGetCount())
    put("name", pynvml.nvmlDeviceGetName(handle))
    info(pynvml.nvmlSystemGetDriverVersion(), pynvml.nvmlSystemGetNVMLVersion())
    put("cuda", pynvml.nvmlSystemGetCudaDriverVersion())
    put("capability", tuple(pynvml.nvmlDeviceGetCudaComputeCapability(handle)))
    info(pynvml.nvmlDeviceGetUUID(handle), pynvml.nvmlDeviceGetPciInfo(handle).busId)


def measured():
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    info("memory", memory.total, memory.used, memory.free)
    expect("memory", 0 < memory.free <= memory.total)
    expect("temperature", 0 < pynvml.nvmlDeviceGetTemperature(handle, 0) < 120)
    expect("power", pynvml.nvmlDeviceGetPowerUsage(handle) > 1000)
    expect("utilization", 0 <= pynvml.nvmlDeviceGetUtilizationRates(handle).gpu <= 100)
    info("clocks", [pynvml.nvmlDeviceGetClockInfo(handle, i) for i in range(3)])
    info("processes", len(pynvml.nvmlDeviceGetComputeRunningProcesses(handle)))


if __name__ == "__main__":
    main([identity, measured])
