# SPDX-License-Identifier: MIT
# The mediator daemon, its command line, and the launcher; the executor has a module.mk of its own.
libs += libvgbase.a
libvgbase.a-src := $(wildcard mediator/base/*.c)
