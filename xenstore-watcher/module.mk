# SPDX-License-Identifier: MIT
# The plan is the daemon's; the watcher is a program of its own that the daemon starts.
libvgdaemon.a-src += xenstore-watcher/plan.c
