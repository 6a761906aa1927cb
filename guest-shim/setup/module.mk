# SPDX-License-Identifier: MIT
# What asks the libraries in a guest, for install.sh --check.
progs += vgpu-guest-probe
vgpu-guest-probe-src    := guest-shim/setup/probe.c guest-shim/setup/compute.c
vgpu-guest-probe-ldlibs := -ldl
