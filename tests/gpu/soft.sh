#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 400
#
# NVIDIA's and others' client libraries, unmodified, on the software GPU: kernels that
# numba-cuda, CuPy and cuda.core compile at run time, and what of cuBLAS, cuFFT and
# cuRAND runs from PTX. The workloads compare with NumPy.
set -u
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-clients.XXXXXX")
cache=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-compiled.XXXXXX") # each run below empties $work
trap 'rm -rf "$work" "$cache"' EXIT
export PYTHONDONTWRITEBYTECODE=1 CUDA_CACHE_PATH=$cache
failures=0

python=$("$here/../../tools/client-libraries.sh" --find) ||
    { echo 'no client libraries: tools/client-libraries.sh installs them'; exit 77; }

# cases COMPUTE-CAPABILITY NAME...
cases() {
    local cc=$1
    shift
    OUT=$work VGPU_SOFT_CC=$cc CUPY_COMPILE_WITH_PTX=1 "$python" "$here/run" --backend soft \
        --product "$VG_BUILD" --jobs 2 "$@" || failures=$((failures + 1))
}

cases 80 numba cuda-python/{bindings,bindings_runtime,core,core_linker,compiled_twice}
# The PTX inside cuBLAS and cuRAND is for 12.0 and 12.1 only.
cases 121 cupy/{device,raw_kernel,elementwise,handles,memory,graphs,textures}

# What NVRTC compiled in a case is found by the next that compiles the same.
if [ -z "$(ls "$cache/vgpu")" ]; then
    echo "NVRTC's cache is empty"
    failures=$((failures + 1))
fi
[ $failures = 0 ]
