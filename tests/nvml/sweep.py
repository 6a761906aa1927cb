# SPDX-License-Identifier: MIT
"""pynvml on libvgpu-nvml.so: what it says, and every function that takes one device.

A function may refuse with an NVMLError; anything else ends this with an error.
"""
import inspect
import sys

import pynvml as n

# They write into memory of their own, or wait.
SKIPPED = {"nvmlDeviceGetHandleFromMigDeviceHandle"}


def by_name(handle):
    assert n.nvmlDeviceGetName(handle) == "vGPU software device"
    assert n.nvmlSystemGetDriverVersion().startswith("580.")
    assert n.nvmlSystemGetCudaDriverVersion() >= 13000
    uuid = n.nvmlDeviceGetUUID(handle)
    again = n.nvmlDeviceGetHandleByUUID(uuid)
    assert n.nvmlDeviceGetIndex(again) == 0
    bus = n.nvmlDeviceGetPciInfo(handle).busId
    assert n.nvmlDeviceGetIndex(n.nvmlDeviceGetHandleByPciBusId(bus)) == 0
    memory = n.nvmlDeviceGetMemoryInfo(handle)
    second = n.nvmlDeviceGetMemoryInfo(handle, version=n.nvmlMemory_v2)
    assert memory.total == second.total == second.used + second.free + second.reserved
    assert 0 <= n.nvmlDeviceGetUtilizationRates(handle).gpu <= 100
    for process in n.nvmlDeviceGetComputeRunningProcesses(handle):
        print("process", process.pid, process.usedGpuMemory)


def refusals(handle):
    for call, code in ((lambda: n.nvmlDeviceGetTemperature(handle, 0), n.NVML_ERROR_NOT_SUPPORTED),
                       (lambda: n.nvmlDeviceGetHandleByIndex(5), n.NVML_ERROR_INVALID_ARGUMENT),
                       (lambda: n.nvmlDeviceSetPersistenceMode(handle, 1),
                        n.NVML_ERROR_NO_PERMISSION)):
        try:
            call()
        except n.NVMLError as error:
            assert error.value == code, error
        else:
            raise AssertionError("was not refused")


def one_handle(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
    return len(needed) == 1 and needed[0].name in ("handle", "device")


def sweep(handle):
    answered = refused = 0
    for name, function in inspect.getmembers(n, inspect.isfunction):
        if not name.startswith("nvmlDevice") or name in SKIPPED or not one_handle(function):
            continue
        try:
            result = function(handle)
            str(result)
            answered += 1
        except n.NVMLError:
            refused += 1
    print(answered, "answered,", refused, "refused")
    assert answered >= 25 and refused >= 40


def main():
    n.nvmlInit()
    assert n.nvmlDeviceGetCount() == 1
    handle = n.nvmlDeviceGetHandleByIndex(0)
    by_name(handle)
    refusals(handle)
    sweep(handle)
    n.nvmlShutdown()
    try:
        n.nvmlDeviceGetCount()
    except n.NVMLError_Uninitialized:
        return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
