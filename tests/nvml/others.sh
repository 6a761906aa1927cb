#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Other people's programs on libvgpu-nvml.so: pynvml, with every function that takes a
# device, and nvtop.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

cache=${VGPU_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vgpu}/pynvml
version=13.580.82

# A wheel without compiled parts is a path that Python can import from.
pynvml() {
    local wheel=$cache/nvidia_ml_py-$version-py3-none-any.whl
    [ -e "$wheel" ] || python3 -m pip download --quiet --disable-pip-version-check --no-deps \
        --dest "$cache" "nvidia-ml-py==$version" >&2 || return 1
    echo "$wheel"
}

# What it draws in three seconds, without the terminal's control sequences.
nvtop_shows() {
    local text
    # shellcheck disable=SC2016 # for the inner shell
    host env TERM=xterm timeout 4 script -qc "stty rows 40 cols 150; exec timeout 3 $nvtop" /dev/null \
        </dev/null | sed 's/\x1b\[[0-9;?]*[a-zA-Z]/ /g' >"$work/out"
    for text in "$@"; do
        grep -aq "$text" "$work/out" || { echo "no $text"; return 1; }
    done
}

mediator_start
VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" -- "$build/client/nvml-answers" --hold 60 &
holder=$!
ran=0
if wheel=$(pynvml); then
    ran=1
    check 'pynvml' env PYTHONPATH="$wheel" VGPU_SOCKET="$work/mediator.sock" \
        "$bin/vgpu-run" -- python3 "$top/tests/nvml/sweep.py"
fi
if command -v script >/dev/null && nvtop=$("$top/tools/nvidia-smi.sh" nvtop) &&
    ! ldd "$nvtop" | grep -q 'not found'; then
    ran=1
    check 'nvtop' nvtop_shows 'vGPU software device' 'nvml-answers' '256Mi'
fi
kill $holder
wait $holder 2>/dev/null
[ $failures = 0 ] || exit 1
[ $ran = 1 ] || { echo 'neither pynvml nor nvtop is to be had here'; exit 77; }
