#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Managed variables find their places (mediator/executor/cubin.h) in what NVIDIA's compiler makes of
# tests/cuda/managed_vars.cu: as nvcc puts it into programs, and linked, as the driver's linker and JIT give it.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
check=$(cd "${VG_BUILD:-$top/build/release}" && pwd)/tests/check-cubin
home=$("$top/tools/cuda-toolkit.sh" --find) || { echo 'no CUDA toolkit'; exit 77; }
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-cubin.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT

for gpu in sm_80 sm_90; do
    "$home/bin/nvcc" -std=c++17 -O2 -arch=$gpu -cubin -o "$work/$gpu-whole" "$top/tests/cuda/managed_vars.cu" &&
        "$home/bin/nvcc" -std=c++17 -O2 -arch=$gpu -rdc=true -cubin -o "$work/part.cubin" "$top/tests/cuda/managed_vars.cu" &&
        "$home/bin/nvlink" -arch=$gpu -o "$work/$gpu-linked" "$work/part.cubin" || exit 1
    set -- "$@" "$work/$gpu-whole" whole "$work/$gpu-linked" halves
done
"$check" "$@"
