#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Prints the path of a usable CUDA toolkit (a CUDA_HOME) on stdout, nothing
# else there; progress and errors go to stderr.
#
#   tools/cuda-toolkit.sh          find one, else install NVIDIA's PyPI wheels
#   tools/cuda-toolkit.sh --find   find one, never install; exit 1 if there is none
#
# Order: $CUDA_HOME, /usr/local/cuda, the wheels already in our cache, then
# (not with --find) download.  The cache lies outside the tree and its folder
# is named after the exact versions, so a change of versions makes a new one
# and a second run only looks at one file.  Only the tests need a toolkit: the
# product itself builds and runs without it.

set -eu

# cudart 13.0 with the compiler of the same release.  NVIDIA numbers the parts
# of one release separately.
WHEELS='
nvidia-cuda-nvcc==13.0.88
nvidia-cuda-crt==13.0.88
nvidia-nvvm==13.0.88
nvidia-cuda-nvrtc==13.0.88
nvidia-cuda-runtime==13.0.96
nvidia-cuda-cccl==13.0.85
nvidia-cuda-profiler-api==13.0.85
'

say() { printf '%s\n' "cuda-toolkit: $*" >&2; }
die() { say "$*"; exit 1; }

# A toolkit is usable if it can compile and link a runtime program.
usable() {
    [ -x "$1/bin/nvcc" ] || return 1
    [ -f "$1/include/cuda_runtime.h" ] ||
        [ -f "$1/targets/x86_64-linux/include/cuda_runtime.h" ] || return 1
    for lib in lib64 lib targets/x86_64-linux/lib; do
        [ -f "$1/$lib/libcudart_static.a" ] && return 0
    done
    return 1
}

cache_dir() {
    base=${VGPU_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vgpu}
    # The sum of the list names the set.
    printf '%s/cuda-13.0/%s' "$base" "$(printf '%s' "$WHEELS" | cksum | cut -d ' ' -f 1)"
}

find_toolkit() {
    for dir in "${CUDA_HOME:-}" /usr/local/cuda "$(cache_dir)"; do
        if [ -n "$dir" ] && usable "$dir"; then
            printf '%s\n' "$dir"
            return 0
        fi
    done
    return 1
}

# The wheels hold the files of a toolkit, but not its layout: nvcc looks for
# lib64, for unversioned library names, and for its tools beside itself.
lay_out() {
    ln -s lib "$1/lib64"
    for so in "$1"/lib/*.so.*; do
        link=${so%%.so.*}.so
        [ -e "$link" ] || ln -s "$(basename "$so")" "$link"
    done
    chmod +x "$1"/bin/* "$1"/nvvm/bin/* 2>/dev/null || true
    [ -e "$1/bin/cicc" ] || ln -s ../nvvm/bin/cicc "$1/bin/cicc"
}

# A toolkit that cannot compile is worse than none: try it before keeping it.
probe() {
    printf '%s\n' '#include <cooperative_groups.h>' \
        '__global__ void k(int *p) { cooperative_groups::this_grid().sync(); *p = 1; }' \
        'int main() { k<<<1, 1>>>(0); return 0; }' > "$2/probe.cu"
    "$1/bin/nvcc" -arch=sm_75 -o "$2/probe" "$2/probe.cu" >&2
}

# One at a time, so that what has arrived stays when a later one does not.
fetch_wheels() {
    for wheel in $WHEELS; do
        "$1/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps \
            --dest "$2" "$wheel" >&2 ||
            die "pip could not fetch $wheel: is there network access to PyPI?"
    done
}

# The downloaded wheels lie beside the toolkit until it works.
install_wheels() {
    dest=$(cache_dir)
    [ -n "${NVCC_CCBIN:-}" ] || command -v g++ >/dev/null ||
        die "nvcc needs g++, which is not here: install it (tools/bootstrap.sh cuda)"
    mkdir -p "$(dirname "$dest")" || die "cannot create $(dirname "$dest")"
    exec 9>"$dest.lock"
    flock 9
    if usable "$dest"; then         # another installer was faster
        printf '%s\n' "$dest"
        return
    fi
    tmp=$(mktemp -d "$(dirname "$dest")/.install.XXXXXX")
    trap 'rm -rf "$tmp"' EXIT
    trap 'exit 130' INT TERM
    say "no CUDA toolkit found; installing NVIDIA's wheels (about 200 MB) into $dest"
    python3 -m venv "$tmp/venv" >&2 || die \
        "python3 -m venv failed: install python3 and python3-venv (tools/bootstrap.sh cuda)"
    fetch_wheels "$tmp" "$dest.wheels"
    # shellcheck disable=SC2086 # a list of words
    "$tmp/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps \
        --no-compile --no-index --find-links "$dest.wheels" --target "$tmp/py" $WHEELS >&2 ||
        die "pip could not install the wheels in $dest.wheels"
    root=$tmp/py/nvidia/cu13
    [ -d "$root" ] || die "the wheels do not have the layout this script knows"
    lay_out "$root"
    mkdir -p "$root/wheels" && mv "$tmp"/py/*.dist-info "$root/wheels/"
    probe "$root" "$tmp" || die "the installed nvcc cannot compile with this g++ (see above)"
    usable "$root" || die "the installed wheels are not complete"
    mv -T "$root" "$dest" || die "cannot move into $dest"
    rm -rf "$dest.wheels"
    say "installed $("$dest/bin/nvcc" --version | sed -n 's/.*release/CUDA release/p')"
    printf '%s\n' "$dest"
}

case ${1:-} in
--find) find_toolkit || exit 1 ;;
'') find_toolkit || install_wheels ;;
*) die "usage: $0 [--find]" ;;
esac
