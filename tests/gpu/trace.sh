#!/bin/sh
# SPDX-License-Identifier: MIT
# The tracing libcuda on ours: the program runs as without it, and its calls are in the file.
set -eu
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-trace.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/lib"
ln -s "$(readlink -f "$VG_BUILD/lib/libvgpu-trace.so")" "$work/lib/libcuda.so.1"
"$VG_BUILD/bin/vgpu-run" --backend soft -- env VG_TRACE_OUT="$work/calls" \
    VG_TRACE_REAL="$(readlink -f "$VG_BUILD/lib/guest/libcuda.so.1")" \
    VG_TRACE_TIMES=1 LD_LIBRARY_PATH="$work/lib" "$VG_BUILD/client/images" >"$work/out" 2>&1 ||
    { cat "$work/out"; exit 1; }
for call in 'cuInit(Flags=0 ) = 0' 'cuModuleLoadData(' 'cuMemAlloc_v2(bytesize=' 'cuLaunchKernel('; do
    grep -qF "$call" "$work"/calls.* || { echo "not traced: $call"; exit 1; }
done
grep -Eq '^cuMemAlloc_v2.* took [0-9]+\.[0-9]$' "$work"/calls.* || { echo 'not timed'; exit 1; }
echo "$(cat "$work"/calls.* | wc -l) calls traced"
