# SPDX-License-Identifier: MIT
# The plan is the daemon's; the watcher is a program of its own that the daemon starts.
libvgdaemon.a-src += xenstore-watcher/plan.c

progs += vgpu-xenstore
vgpu-xenstore-src    := $(addprefix xenstore-watcher/,main.c lib.c facts.c state.c)
vgpu-xenstore-libs   := libvgbase.a
vgpu-xenstore-ldlibs := -ldl
