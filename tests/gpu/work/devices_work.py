# SPDX-License-Identifier: MIT
"""Which devices a process sees, by the driver's own functions, and what CUDA_VISIBLE_DEVICES changes."""
import ctypes
import os
import subprocess
import sys

from vg import expect, info, main, put

LOOK = "--look"


def look():
    """One line for a process of its own: count, and each device's PCI address, or cuInit's error."""
    cuda = ctypes.CDLL("libcuda.so.1")
    error = cuda.cuInit(0)
    if error:
        print("error", error)
        return
    count, text = ctypes.c_int(), ctypes.create_string_buffer(32)
    cuda.cuDeviceGetCount(ctypes.byref(count))
    seen = []
    for i in range(count.value):
        cuda.cuDeviceGetPCIBusId(text, 32, i)
        seen.append(text.value.decode())
    print(*seen)


def uuids():
    cuda = ctypes.CDLL("libcuda.so.1")
    cuda.cuInit(0)
    count, raw, found = ctypes.c_int(), (ctypes.c_ubyte * 16)(), []
    cuda.cuDeviceGetCount(ctypes.byref(count))
    for i in range(count.value):
        cuda.cuDeviceGetUuid_v2(raw, i)
        digits = bytes(raw).hex()
        found.append("GPU-" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])))
    return found


def seen_with(value):
    env = dict(os.environ)
    env.pop("CUDA_VISIBLE_DEVICES", None)
    if value is not None:
        env["CUDA_VISIBLE_DEVICES"] = value
    done = subprocess.run([sys.executable, __file__, LOOK], env=env, stdout=subprocess.PIPE, text=True,
                          timeout=60, check=True)
    return done.stdout.split()


def visible():
    """Numbers in any order, what is behind a wrong one, nothing at all."""
    everything = seen_with(None)
    put("visible.count", len(everything))
    for value in ("0", "", "-1", "0,-1", "0,1", "7", "0,7", "no", "0,0"):
        got = seen_with(value)
        put(f"visible.{value or 'nothing'}", tuple(everything.index(g) if g in everything else g for g in got))


def pairs():
    """Of two devices: the second alone, both the other way round, the second by its UUID."""
    everything = seen_with(None)
    if len(everything) < 2:
        put("pairs", "one device")
        return
    for value in ("1", "1,0", "1,7,0", uuids()[1], uuids()[1][:12] + "," + uuids()[0]):
        got = seen_with(value)
        name = value if not value.startswith("GPU") else f"uuid{len(value)}"
        put(f"pairs.{name}", tuple(everything.index(g) if g in everything else g for g in got))
    expect("pairs.differ", everything[0] != everything[1])


def links():
    """NVML's view: how many, which, who reaches whom, which links are up."""
    nvml = ctypes.CDLL("libnvidia-ml.so.1")
    count, value = ctypes.c_uint(), ctypes.c_uint()
    put("links.init", nvml.nvmlInit_v2())
    nvml.nvmlDeviceGetCount_v2(ctypes.byref(count))
    put("links.count", count.value)
    handles = []
    for i in range(count.value):
        handle = ctypes.c_void_p()
        nvml.nvmlDeviceGetHandleByIndex_v2(i, ctypes.byref(handle))
        handles.append(handle)
        states = [(nvml.nvmlDeviceGetNvLinkState(handle, k, ctypes.byref(value)), value.value) for k in range(18)]
        info("states", states)
        put(f"links.{i}.states", tuple(states))
        can = [(nvml.nvmlDeviceGetNvLinkCapability(handle, k, 0, ctypes.byref(value)), value.value)
               for k in range(18)]
        put(f"links.{i}.p2p", tuple(can))
    for a in range(count.value):
        for b in range(count.value):
            if a != b:
                kinds = [(nvml.nvmlDeviceGetP2PStatus(handles[a], handles[b], k, ctypes.byref(value)), value.value)
                         for k in range(4)]
                put(f"links.{a}-{b}", tuple(kinds))
                put(f"links.{a}-{b}.ancestor", nvml.nvmlDeviceGetTopologyCommonAncestor(
                    handles[a], handles[b], ctypes.byref(value)), value.value)


if __name__ == "__main__":
    if LOOK in sys.argv:
        look()
        sys.exit(0)
    main([visible, pairs, links])
