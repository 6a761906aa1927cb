# SPDX-License-Identifier: MIT
# The executor: its parts as units, and the real process driven over its ring.
tests += check-executor-units check-executor check-filter
check-filter-src  := tests/executor/check_filter.c
check-filter-libs := libvgexec.a libvgproto.a
check-filter-pkgs := check
check-filter-ldlibs := -ldl
check-executor-units-src  := tests/executor/check_units.c
check-executor-units-libs := libvgexec.a libvgproto.a
check-executor-units-pkgs := check
check-executor-units-ldlibs := -ldl
tests += check-cubin
check-cubin-src  := tests/executor/check_cubin.c
check-cubin-libs := libvgexec.a libvgproto.a
check-cubin-pkgs := check
check-cubin-ldlibs := -ldl
check-executor-src  := $(addprefix tests/executor/,check_process.c check_work.c check_ahead.c \
    check_array.c check_aside.c check_graph.c check_limits.c check_images.c harness.c) \
    mediator/limit/account.c
check-executor-libs := libvgproto.a
check-executor-pkgs := check
check-executor-deps := $(B)/bin/vgpu-executor

# What measures and holds back work, on a driver of the test's own.
tests += check-gate
check-gate-src  := tests/executor/check_gate.c
check-gate-libs := libvgexec.a libvgproto.a
check-gate-pkgs := check
check-gate-ldlibs := -ldl
