#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Prints the path of a Python that has CUDA client libraries: numba-cuda, cuda.core,
# cuda.bindings, CuPy, NVRTC, cuBLAS, cuFFT, cuRAND. Nothing else on stdout.
#
#   tools/client-libraries.sh          find it, else install the wheels
#   tools/client-libraries.sh --find   find it; exit 1 if it is not there
#
# Like tools/cuda-toolkit.sh: outside the tree, in a folder named after the exact
# versions. Only tests need it (tests/gpu/soft.sh).

set -eu

# Left out on purpose: nvidia-nvjitlink. Without it numba-cuda and cuda.core link by the
# driver's linker, and so from PTX, which the software GPU runs.
WHEELS='
numpy==2.4.6
numba==0.68.1
llvmlite==0.50.0
numba-cuda==0.30.4
cuda-core==1.2.2
cuda-bindings==13.5.0
cuda-pathfinder==1.9.0
packaging==26.3
cupy-cuda13x==14.2.0
nvidia-ml-py==13.615.71
nvidia-nvvm==13.0.88
nvidia-cuda-nvrtc==13.0.88
nvidia-cuda-crt==13.0.88
nvidia-cuda-runtime==13.0.96
nvidia-cublas==13.1.0.3
nvidia-cufft==12.0.0.61
nvidia-curand==10.4.0.35
'

say() { printf '%s\n' "client-libraries: $*" >&2; }
die() { say "$*"; exit 1; }

cache_dir() {
    base=${VGPU_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vgpu}
    printf '%s/clients-13.0/%s' "$base" "$(printf '%s' "$WHEELS" | cksum | cut -d ' ' -f 1)"
}

# The last thing an installation makes.
complete() { [ -e "$1/complete" ]; }

# Tried before it is kept: a wheel may not fit this Python.
probe() {
    "$1/bin/python3" -c 'import cupy, cuda.core, cuda.bindings.nvrtc, numba.cuda, pynvml' >&2
}

install() {
    dest=$(cache_dir)
    mkdir -p "$(dirname "$dest")" || die "cannot create $(dirname "$dest")"
    exec 9>"$dest.lock"
    flock 9
    if complete "$dest"; then return; fi      # another installer was faster
    rm -rf "$dest"
    say "installing CUDA client libraries (about 900 MB) into $dest"
    python3 -m venv "$dest" >&2 ||
        die "python3 -m venv failed: install python3 and python3-venv (tools/bootstrap.sh cuda)"
    # shellcheck disable=SC2086 # a list of words
    "$dest/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-cache-dir \
        --no-compile --only-binary=:all: $WHEELS >&2 ||
        die "pip could not install them: is there network access to PyPI?"
    probe "$dest" || die "what was installed does not work (see above)"
    touch "$dest/complete"
}

# Small, and wanted by one test: no reason to fetch all others again.
add_profiler() {
    dest=$(cache_dir)
    [ -z "$(find "$dest" -name libcupti.so.13 -print -quit)" ] || return 0
    say 'installing CUPTI (11 MB)'
    "$dest/bin/pip" install --quiet --disable-pip-version-check --no-deps --no-cache-dir \
        --no-compile --only-binary=:all: nvidia-cuda-cupti==13.0.85 >&2 ||
        die 'pip could not install it: is there network access to PyPI?'
}

case ${1:-} in
--find) complete "$(cache_dir)" || exit 1 ;;
'')
    complete "$(cache_dir)" || install
    add_profiler
    ;;
*) die "usage: $0 [--find]" ;;
esac
printf '%s\n' "$(cache_dir)/bin/python3"
