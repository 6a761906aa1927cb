# SPDX-License-Identifier: MIT
# What shim, device, mediator and executor share; no system calls, no allocation, no CUDA.
libs += libvgproto.a
libvgproto.a-src := $(wildcard protocol/*.c)
