# SPDX-License-Identifier: MIT
# What runs on a GPU has its own script (run, pack); CI checks that script itself.
test-scripts += tests/gpu/self.sh tests/gpu/sched.sh tests/gpu/soft.sh tests/gpu/trace.sh

# Stands before any libcuda.so.1 and traces the calls to it.
shlibs += libvgpu-trace.so
libvgpu-trace.so-src := tests/gpu/trace.c tests/gpu/trace_own.c
libvgpu-trace.so-libs := libvgproto.a
libvgpu-trace.so-map = $(vg-api-map)
libvgpu-trace.so-soname := libcuda.so.1
libvgpu-trace.so-ldlibs := -ldl
