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
vm=${VM:-yes}
backend=${VGPU_BACKEND:-soft}
case $vm in
yes | no) ;;
*) echo "demo: VM=$vm: neither yes nor no" >&2; exit 2 ;;
esac
programs='devicequery vectoradd matmul reduce histogram'     # and mandelbrot
vm_files='demo/devicequery demo/vectoradd demo/matmul demo/reduce demo/histogram demo/mandelbrot'
# shellcheck source=tests/demo/stage.sh
. "$top/tests/demo/stage.sh"

terminal=no
[ -t 1 ] && terminal=yes

say() { printf '%s\n' "$*"; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }

# Bold on a terminal, plain elsewhere.
title() {
    if [ $terminal = yes ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi
}

# step TEXT COMMAND...: says what is done and how long it took.
step() {
    printf '%-58s' "$1"
    shift
    step_start=$(now_ms)
    "$@" || { echo failed; return 1; }
    awk -v ms=$(($(now_ms) - step_start)) 'BEGIN { printf "%6.1f s\n", ms / 1000 }'
}

# run_program PROGRAM [ARGUMENT...] in the VM, or on the host.
run_program() {
    program=$1
    shift
    if [ "$vm" = no ]; then
        stage_on_host "$build/demo/$program" "$@"
    else
        stage_in_vm "/demo/$program" "$@"
    fi
}

# One number of the VM's metrics; 0 before the mediator knows the VM.
metric() {
    sed -n "s/.*\"$1\": *\([0-9][0-9]*\).*/\1/p" "$stage/metrics" | head -n 1 | grep . || echo 0
}

# "CALLS IN OUT" so far.
counters() {
    stage_admin show-metrics --vm-name "$stage_name" --json 2>/dev/null | sed 's/[,{]/\n/g' >"$stage/metrics"
    echo "$(metric calls) $(metric bytes_in) $(metric bytes_out)"
}

# How to draw: in colour if the terminal has any.
ink() {
    if [ $terminal = no ] || [ -n "${NO_COLOR:-}" ]; then echo ascii; return; fi
    case "${COLORTERM:-} ${TERM:-}" in
    *truecolor* | *24bit*) echo true ;;
    *256color*) echo 256 ;;
    *) echo ascii ;;
    esac
}

columns() {
    width=80
    [ $terminal = no ] || width=$(stty size </dev/tty 2>/dev/null | cut -d ' ' -f 2)
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
    run_program "$p" "$@" >"$stage/output" 2>"$stage/errors"
    rc=$?
    ms=$(($(now_ms) - start))
    after=$(counters)
    grep -v '^RESULT ' "$stage/output"
    cat "$stage/errors" >&2
    stage_mediator_lives || stage_fail "the mediator ended while $p ran"
    verdict=$(sed -n 's/^RESULT \([a-zA-Z]*\) .*/\1/p' "$stage/output")
    gpu=$(sed -n 's/^RESULT [a-zA-Z]* \([0-9.]*\) .*/\1/p' "$stage/output")
    [ $rc -eq 0 ] || verdict=${verdict:-"exit $rc"} failed=1
    [ "$verdict" = ok ] || failed=1
    say "$p|$verdict|$before|$after|${gpu:-0}|$ms" >>"$stage/table"
}

show_picture() {
    [ -s "$stage/out/mandelbrot.png" ] || { say 'no picture came out'; failed=1; return; }
    cp "$stage/out/mandelbrot.png" "$build/mandelbrot.png"
    cat "$stage/out/mandelbrot.ansi"
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
    }' "$stage/table"
}

main() {
    failed=0
    began=$(now_ms)
    out=$stage/out
    [ "$vm" = no ] || out=/out
    step "Starting a mediator (backend: $backend)" stage_mediator "$backend" ||
        stage_fail 'the mediator did not start'
    if [ "$vm" = no ]; then
        mkdir "$stage/out"
        say "Running CUDA programs on this host through vgpu-run"
    else
        # shellcheck disable=SC2086 # words
        step 'Booting a Linux VM with a vGPU (QEMU)' stage_vm $vm_files ||
            stage_fail 'the VM did not boot'
        say "Running CUDA programs in the VM: $(stage_in_vm uname -srm)"
    fi
    for p in $programs; do
        demonstrate "$p"
    done
    demonstrate mandelbrot "$out/mandelbrot.png" "$out/mandelbrot.ansi" "$(ink)" "$(columns)"
    show_picture
    table
    if [ "$vm" = no ]; then
        title 'What the mediator saw of these programs'
    else
        title 'What the mediator saw of this VM'
    fi
    stage_admin list
    stage_admin show-metrics --vm-name "$stage_name"
    awk -v ms=$(($(now_ms) - began)) 'BEGIN { printf "\ndone in %.1f s\n", ms / 1000 }'
    [ $failed -eq 0 ] || stage_fail 'a program did not give the right result'
}

main
