#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `make demo`: boots a Linux VM with a vGPU and runs CUDA programs in it, on
# the software GPU of this host.  Each program checks its results against the
# guest's CPU.  Ends with a table and with what the mediator saw.
#
#   VG_BUILD=build/release tests/demo/demo.sh
#   VM=no ...          the same programs on the host, through vgpu-run, no VM
#   VGPU_BACKEND=cuda  a real GPU of this host instead (auto, cuda or soft)
#
# Needs what make builds and, for the VM, the packages of tools/bootstrap.sh.
# Writes $VG_BUILD/mandelbrot.png; everything else lies in a temporary
# directory and is gone afterwards.

set -u
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=$(cd "${VG_BUILD:-$top/build/release}" && pwd) || exit 1
bin=$build/bin
vm=${VM:-yes}
backend=${VGPU_BACKEND:-soft}
programs='devicequery vectoradd matmul reduce histogram mandelbrot'
name=demo-$$
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-demo.XXXXXX") || exit 1
mediator=

say() { printf '%s\n' "$*"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Bold on a terminal, plain elsewhere.
title() {
    if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi
}

die() {
    printf 'demo: %s\n' "$*" >&2
    [ ! -s "$work/mediator.log" ] || { say '--- last lines of the mediator:'; tail -n 15 "$work/mediator.log"; } >&2
    exit 1
}

# shellcheck disable=SC2317,SC2329 # called by the trap
cleanup() {
    trap '' INT TERM
    [ "$vm" = no ] || "$top/tests/vm/vm-stop" "$name" >/dev/null 2>&1
    if [ -n "$mediator" ]; then
        kill "$mediator" 2>/dev/null
        wait "$mediator" 2>/dev/null
    fi
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# step TEXT COMMAND...: says what is done and how long it took.
step() {
    printf '%-58s' "$1"
    shift
    step_start=$(now_ms)
    "$@" || { echo failed; return 1; }
    awk -v ms=$(($(now_ms) - step_start)) 'BEGIN { printf "%6.1f s\n", ms / 1000 }'
}

start_mediator() {
    "$bin/vgpu-mediator" --foreground --socket "$work/mediator.sock" \
        --control-socket "$work/control.sock" --backend "$backend" \
        --set "state_dir=" --set auto_register=yes >"$work/mediator.log" 2>&1 &
    mediator=$!
    tries=0
    while [ ! -S "$work/control.sock" ]; do
        kill -0 "$mediator" 2>/dev/null || return 1
        tries=$((tries + 1))
        [ $tries -lt 200 ] || return 1
        sleep 0.05
    done
}

boot_vm() {
    set --
    for p in $programs; do
        set -- "$@" --file "$build/demo/$p:/demo/$p"
    done
    mkdir "$work/out"
    "$top/tests/vm/vm-start" "$name" --socket "$work/mediator.sock" --out "$work/out" \
        --file "$build/lib/libvgpu-cuda.so:/usr/lib/vgpu/libcuda.so.1" \
        --file "$bin/vgpu-warden:/usr/libexec/vgpu-warden" "$@" >"$work/vm.log" 2>&1 ||
        { cat "$work/vm.log" >&2; return 1; }
}

# run_program PROGRAM [ARGUMENT...] in the VM, or on the host.
run_program() {
    program=$1
    shift
    if [ "$vm" = no ]; then
        VGPU_SOCKET=$work/mediator.sock timeout 120 "$bin/vgpu-run" --vm "$name" -- \
            "$build/demo/$program" "$@"
    else
        "$top/tests/vm/vm-exec" "$name" --timeout 240 -- "/demo/$program" "$@"
    fi
}

admin() { "$bin/vgpu-admin" --socket "$work/control.sock" "$@"; }

# One number of the VM's metrics; 0 before the mediator knows the VM.
metric() {
    sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p" "$work/metrics" | head -n 1 | grep . || echo 0
}

# "CALLS IN OUT" so far.
counters() {
    admin show-metrics "$name" --json 2>/dev/null | sed 's/[,{]/\n/g' >"$work/metrics"
    echo "$(metric calls) $(metric bytes_in) $(metric bytes_out)"
}

ink() {
    if [ ! -t 1 ] || [ -n "${NO_COLOR:-}" ] || [ "${TERM:-dumb}" = dumb ]; then echo ascii; return; fi
    case "${COLORTERM:-} ${TERM:-}" in
    *truecolor* | *24bit*) echo true ;;
    *256color*) echo 256 ;;
    *) echo ascii ;;
    esac
}

columns() {
    width=$( (stty size <&1) 2>/dev/null | cut -d ' ' -f 2)
    [ "${width:-0}" -ge 40 ] || width=80
    [ "$width" -le 110 ] || width=110
    echo $((width - 2))
}

# Runs one program and adds its row to the table.
demonstrate() {
    p=$1
    shift
    title "$p"
    before=$(counters)
    start=$(now_ms)
    run_program "$p" "$@" >"$work/output" 2>"$work/errors"
    rc=$?
    ms=$(($(now_ms) - start))
    after=$(counters)
    grep -v '^RESULT ' "$work/output"
    cat "$work/errors" >&2
    verdict=$(sed -n 's/^RESULT \([a-zA-Z]*\) .*/\1/p' "$work/output")
    gpu=$(sed -n 's/^RESULT [a-zA-Z]* \([0-9.]*\) .*/\1/p' "$work/output")
    [ $rc -eq 0 ] || verdict=${verdict:-"exit $rc"} failed=1
    [ "$verdict" = ok ] || failed=1
    say "$p|$verdict|$before|$after|${gpu:-0}|$ms" >>"$work/table"
}

show_picture() {
    [ -s "$work/out/mandelbrot.png" ] || { say 'no picture came out'; failed=1; return; }
    cp "$work/out/mandelbrot.png" "$build/mandelbrot.png"
    cat "$work/out/mandelbrot.ansi"
    say "saved as $build/mandelbrot.png"
}

table() {
    title 'What ran'
    awk -F'|' '
    function size(n) {
        if (n < 10240) return sprintf("%d B", n)
        if (n < 10240 * 1024) return sprintf("%.0f KiB", n / 1024)
        return sprintf("%.1f MiB", n / 1048576)
    }
    BEGIN {
        printf "%-14s %-8s %8s %12s %12s %12s %9s\n", "program", "result", "calls", "bytes to GPU",
               "bytes back", "GPU time", "time"
    }
    {
        split($3, b, " "); split($4, a, " ")
        printf "%-14s %-8s %8d %12s %12s %9.1f ms %7.2f s\n", $1, $2, a[1] - b[1],
               size(a[2] - b[2]), size(a[3] - b[3]), $5, $6 / 1000
    }' "$work/table"
}

main() {
    failed=0
    began=$(now_ms)
    out=$work/out
    [ "$vm" = no ] || out=/out
    step "Starting a mediator (backend: $backend)" start_mediator || die 'the mediator did not start'
    if [ "$vm" = no ]; then
        mkdir "$work/out"
        say "Running CUDA programs on this host through vgpu-run"
    else
        step 'Booting a Linux VM with a vGPU (QEMU)' boot_vm || die 'the VM did not boot'
        say "Running CUDA programs in the VM: $(run_uname)"
    fi
    for p in devicequery vectoradd matmul reduce histogram; do
        demonstrate "$p"
    done
    demonstrate mandelbrot "$out/mandelbrot.png" "$out/mandelbrot.ansi" "$(ink)" "$(columns)"
    show_picture
    table
    title 'What the mediator saw of this VM'
    admin list
    admin show-metrics "$name"
    awk -v ms=$(($(now_ms) - began)) 'BEGIN { printf "\ndone in %.1f s\n", ms / 1000 }'
    [ $failed -eq 0 ] || die 'a program did not give the right result'
}

run_uname() { "$top/tests/vm/vm-exec" "$name" -- uname -srm 2>/dev/null; }

main
