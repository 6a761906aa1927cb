#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Regenerates kernels.ptx from kernels.cu (needs a CUDA toolkit; it is fetched
# if there is none).  The PTX version is lowered to the first one that knows
# sm_75, which these kernels do not exceed: ptxas checks that.

set -eu
here=$(cd "$(dirname "$0")" && pwd)
cuda=$("$here/../../tools/cuda-toolkit.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$cuda/bin/nvcc" -ptx -arch=compute_75 -o "$work/raw.ptx" "$here/kernels.cu"
{
    echo '// SPDX-License-Identifier: MIT'
    echo '// Compiled from kernels.cu by make-ptx.sh: change that, not this.'
    echo
    sed -e 's|^\.version .*|.version 6.4|' -e 's|[ 	]*//.*||' "$work/raw.ptx" | cat -s | sed '1{/^$/d}'
} >"$work/kernels.ptx"
"$cuda/bin/ptxas" -arch=sm_75 -o "$work/kernels.cubin" "$work/kernels.ptx"
mv "$work/kernels.ptx" "$here/kernels.ptx"
