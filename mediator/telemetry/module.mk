# SPDX-License-Identifier: MIT
# The mediator's helper that asks driver and NVML for the numbers of the GPUs.
progs += vgpu-telemetry
vgpu-telemetry-src    := $(wildcard mediator/telemetry/*.c)
vgpu-telemetry-libs   := libvgproto.a
vgpu-telemetry-ldlibs := -ldl
