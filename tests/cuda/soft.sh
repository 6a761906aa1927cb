#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Unmodified nvcc programs on the software GPU: soft.sh DIRECTORY... (below
# $O/cuda).  Called by static.sh, shared.sh, ptds.sh and variants.sh.

set -u
here=$(cd "$(dirname "$0")" && pwd)
cuda=$VG_BUILD/../cuda
dirs=
for d; do
    [ -d "$cuda/$d" ] || { echo "no CUDA toolkit: programs not built"; exit 77; }
    dirs="$dirs $cuda/$d"
done
# shellcheck disable=SC2086 # words
exec "$here/run.sh" $dirs -- "$VG_BUILD/bin/vgpu-run" --backend soft --
