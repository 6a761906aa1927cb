# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# Sets the stage for the demo: a mediator of its own and,
# if wanted, a VM with a vGPU on it.  Sourced; needs $top (root of the tree)
# and $build (what make built).  Defines $stage (a temporary directory, gone
# at exit) and the functions below.  One mediator and one VM per script.

: "${top:?}" "${build:?}"
stage=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-stage.XXXXXX") || exit 1
stage_name=$(basename "$0" .sh)-$$      # of the VM, and of the host's processes
stage_pid=
stage_booted=

# shellcheck disable=SC2317,SC2329 # called by the trap
stage_end() {
    trap '' INT TERM
    [ -z "$stage_booted" ] || "$top/tests/vm/vm-stop" "$stage_name" >/dev/null 2>&1
    if [ -n "$stage_pid" ]; then
        kill "$stage_pid" 2>/dev/null
        wait "$stage_pid" 2>/dev/null
    fi
    rm -rf "$stage"
}
trap stage_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# stage_mediator BACKEND: returns when it serves.
stage_mediator() {
    "$build/bin/vgpu-mediator" --foreground --config /dev/null --socket "$stage/mediator.sock" \
        --control-socket "$stage/control.sock" --backend "$1" --set state_dir= \
        --set auto_register=yes >"$stage/mediator.log" 2>&1 &
    stage_pid=$!
    stage_tries=200
    while [ ! -S "$stage/control.sock" ]; do
        stage_tries=$((stage_tries - 1))
        { stage_mediator_lives && [ $stage_tries -gt 0 ]; } || return 1
        sleep 0.05
    done
}

stage_mediator_lives() { kill -0 "$stage_pid" 2>/dev/null; }

# stage_vm PROGRAM...: boots the VM with our library and these files of $build.
# The guest may write $stage/out, which it sees as /out.
stage_vm() {
    stage_programs=$*
    set --
    for stage_p in $stage_programs; do
        set -- "$@" --file "$build/$stage_p:/$stage_p"
    done
    stage_booted=yes
    "$top/tests/vm/vm-start" "$stage_name" --socket "$stage/mediator.sock" \
        --out "$stage/out" --file "$build/lib/libvgpu-cuda.so:/usr/lib/vgpu/libcuda.so.1" \
        --file "$build/bin/vgpu-warden:/usr/libexec/vgpu-warden" "$@" >"$stage/vm.log" 2>&1 ||
        { cat "$stage/vm.log" >&2; return 1; }
}

# In the VM: a command of the VM.  On the host: through vgpu-run.
stage_in_vm() { "$top/tests/vm/vm-exec" "$stage_name" --timeout 240 -- "$@"; }
stage_on_host() {
    VGPU_SOCKET=$stage/mediator.sock timeout 240 "$build/bin/vgpu-run" --vm "$stage_name" -- "$@"
}

stage_admin() { "$build/bin/vgpu-admin" --socket "$stage/control.sock" "$@"; }

stage_fail() {
    printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2
    if [ -s "$stage/mediator.log" ]; then
        echo 'last lines of the mediator:' >&2
        tail -n 15 "$stage/mediator.log" >&2
    fi
    exit 1
}
