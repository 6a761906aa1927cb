# SPDX-License-Identifier: MIT
# The policy core rule by rule (check-sched, check-sched-shares), and on a simulated GPU: named cases as a table (check-sched-table), and a
# million small worlds at random (check-sched-sim).
sched-sim-src := tests/sched/sim.c tests/sched/gpu.c tests/sched/exec.c

tests += check-sched
check-sched-src  := tests/sched/check_sched.c tests/sched/core_world.c
check-sched-libs := libvgsched.a
check-sched-pkgs := check

tests += check-sched-shares
check-sched-shares-src  := tests/sched/check_shares.c tests/sched/core_world.c
check-sched-shares-libs := libvgsched.a
check-sched-shares-pkgs := check

# Kernels longer than turns, and ones that do not end.
tests += check-sched-long
check-sched-long-src  := tests/sched/check_long.c
check-sched-long-libs := libvgsched.a
check-sched-long-pkgs := check

tests += check-sched-table
check-sched-table-src    := tests/sched/table.c tests/sched/scenarios.c $(sched-sim-src)
check-sched-table-libs   := libvgsched.a
check-sched-table-ldlibs := -lm

tests += check-sched-sim
check-sched-sim-src  := tests/sched/cases.c $(sched-sim-src)
check-sched-sim-libs := libvgsched.a

# How soon changes of weight, class and membership take effect.
tests += check-sched-changes
check-sched-changes-src    := tests/sched/changes.c $(sched-sim-src)
check-sched-changes-libs   := libvgsched.a
check-sched-changes-ldlibs := -lm

# Shares for kernels of every length, and so for turns that end at every moment of a hardware slice.
tests += check-sched-phases
check-sched-phases-src    := tests/sched/phases.c $(sched-sim-src)
check-sched-phases-libs   := libvgsched.a
check-sched-phases-ldlibs := -lm
