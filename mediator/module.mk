# SPDX-License-Identifier: MIT
# The mediator daemon, its command line, and the launcher; the executor has a module.mk of its own.
libs += libvgbase.a
libvgbase.a-src := $(wildcard mediator/base/*.c)

# All but main.c is a library, so that tests link what the product runs.
libs  += libvgdaemon.a
progs += vgpu-mediator
libvgdaemon.a-src  := $(filter-out mediator/daemon/main.c,$(wildcard mediator/daemon/*.c)) \
                      $(wildcard mediator/health/*.c mediator/limit/*.c mediator/sched/*.c)
libvgdaemon.a-pkgs := json-c
vgpu-mediator-src  := mediator/daemon/main.c
vgpu-mediator-libs := libvgdaemon.a libvgbase.a libvgproto.a
vgpu-mediator-pkgs := json-c

# What survives the daemon; it is part of no library.
progs += vgpu-keeper
vgpu-keeper-src  := $(wildcard mediator/keeper/*.c)
vgpu-keeper-libs := libvgbase.a

progs += vgpu-run
vgpu-run-src  := $(wildcard mediator/run/*.c)
vgpu-run-libs := libvgbase.a

progs += vgpu-admin
vgpu-admin-src  := $(wildcard mediator/admin/*.c)
vgpu-admin-libs := libvgdaemon.a libvgbase.a
vgpu-admin-pkgs := json-c
