# SPDX-License-Identifier: MIT
# The policy core: pure, linked into the daemon and into its simulator.
libs += libvgsched.a
libvgsched.a-src := $(wildcard mediator/sched/*.c)
