# SPDX-License-Identifier: MIT
# vgpu-executor: one process per guest process; the only code that decodes guest bytes.
# All but main.c is a library, so that tests and the fuzzer link what the product runs.
libs  += libvgexec.a
progs += vgpu-executor
libvgexec.a-src := $(filter-out mediator/executor/main.c,$(wildcard mediator/executor/*.c)) \
    $(wildcard mediator/limit/*.c) mediator/base/regmem.c mediator/shelf/shelf.c
vgpu-executor-src    := mediator/executor/main.c
vgpu-executor-libs   := libvgexec.a libvgproto.a
vgpu-executor-ldlibs := -ldl
