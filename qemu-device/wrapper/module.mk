# SPDX-License-Identifier: GPL-2.0-or-later
# What xenopsd runs in front of QEMU.
progs += vgpu-qemu-wrapper
vgpu-qemu-wrapper-src    := $(wildcard qemu-device/wrapper/*.c) xenstore-watcher/lib.c \
                            xenstore-watcher/facts.c xenstore-watcher/plan.c mediator/daemon/policy.c
vgpu-qemu-wrapper-libs   := libvgbase.a libvgproto.a
vgpu-qemu-wrapper-ldlibs := -ldl
