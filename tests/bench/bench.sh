#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make bench`: what calls and copies cost. Columns: a process on the host through the
# product, a VM, and, where a GPU is, NVIDIA's driver natively with the ratio. Native runs
# and ours take turns, and each number is the median of its runs. The VM runs under
# emulation where KVM is not usable; then its column says little about real VMs.
#
#   VM=no make bench        without the VM
#   BACKEND=soft|cuda       default: what is there
#   ROUNDS=N                default 3
#   COPIES=all              every size of copies from 4 KiB to 1 GiB
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/lib.sh"

backend=${BACKEND:-auto}
rounds=${ROUNDS:-3}
costs=$build/client/costs
out=$work/bench
mkdir "$out"

# A QEMU of an older device does not count either.
have_qemu() {
    "$top/qemu-device/build-qemu.sh" --path >/dev/null 2>&1 ||
        { echo 'bench: no VM column: QEMU is not built; run: make qemu' >&2; return 1; }
}

have_gpu() { [ "$backend" != soft ] && nvidia-smi -L >/dev/null 2>&1; }

# The driver of this machine, whatever LD_LIBRARY_PATH names.
native() { env -u LD_LIBRARY_PATH "$@"; }

start_cost() { # microseconds of one run, median of 9
    local i t
    for i in 1 2 3 4 5 6 7 8 9; do
        t=$(date +%s%N)
        "$@" >/dev/null
        echo $((($(date +%s%N) - t) / 1000))
    done | sort -n | sed -n 5p
}

bench_start() {
    local bare through
    bare=$(start_cost true)
    through=$(start_cost "$bin/vgpu-run" --backend "$backend" -- true)
    echo "vgpu_run_adds $(awk -v a="$through" -v b="$bare" 'BEGIN { printf "%.1f", (a - b) / 1000 }') ms"
    through=$(start_cost "$bin/vgpu-run" --backend "$backend" -- "$build/client/victim" --meminfo)
    echo "first_call $(awk -v a="$through" -v b="$bare" 'BEGIN { printf "%.1f", (a - b) / 1000 }') ms"
}

idle_one() { admin show-health | grep -q '^ready *[1-9]'; }

# turns ARGUMENT...: costs with these arguments, natively and through the mediator, in turns.
turns() {
    local i
    for i in $(seq "$rounds"); do
        ! have_gpu || native "$costs" "$@" >>"$out/native" || return 1
        within 30 idle_one || { echo 'bench: no executor gets ready' >&2; return 1; }
        host "$costs" "$@" >>"$out/host" || return 1
    done
}

echo "measuring, $rounds rounds ..." >&2
bench_start >"$out/host" || exit 1
# What gate and meter add to a launch in the executor, ns of processor time: the least of five.
least_ns() { # PROGRAM [turns]
    local i program=$build/tests/$1 TIMEFORMAT=%U
    shift
    for i in 1 2 3 4 5; do
        { time "$program" 5000000 "$@" >/dev/null; } 2>&1
    done | sort -n | awk 'NR == 1 { print $1 * 200 }'
}

bench_scheduler() {
    local free
    free=$(least_ns launches-free)
    awk -v f="$free" -v o="$(least_ns launches)" -v t="$(least_ns launches turns)" 'BEGIN {
        printf "executor_launch %.1f ns\nscheduled_alone %.1f ns\nscheduled_turns %.1f ns\n", f, o - f, t - f }'
}

bench_scheduler >>"$out/host"
VGPU_BACKEND=$backend mediator_start --set region_mib=1024 || exit 1
turns --start && turns "$@" || exit 1
"$bin/vgpu-run" --backend "$backend" -- "$costs" --start | sed 's/^first/under_vgpu_run_first/' >>"$out/host"
mediator_stop
if [ "${COPIES:-}" = all ]; then
    VGPU_BACKEND=$backend mediator_start --set region_mib=2304 || exit 1
    turns --copies || exit 1
    mediator_stop
fi
if [ "${VM:-yes}" = yes ] && have_qemu; then
    echo 'measuring in a VM ...' >&2
    VGPU_BACKEND=$backend mediator_start && vm_start bench-$$ >/dev/null &&
        in_vm bench-$$ /client/costs --quick >"$out/vm" || exit 1
fi
touch "$out/native" "$out/vm"
awk -v host="$out/host" -v native="$out/native" -v vm="$out/vm" '
function load(file, into,    f) {
    while ((getline line < file) > 0) {
        split(line, f, " ")
        into[f[1]] = (f[1] in into) ? into[f[1]] " " f[2] : f[2]
        if (!(f[1] in unit)) { order[++n] = f[1]; unit[f[1]] = f[3] }
    }
}
function median(list,    v, k, i, j, t) {
    k = split(list, v, " ")
    for (i = 2; i <= k; i++)
        for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
    return k ? v[int((k + 1) / 2)] : ""
}
function show(v) { return v == "" ? "-" : v >= 100 ? sprintf("%.0f", v) : sprintf("%.2f", v) }
BEGIN {
    load(host, h); load(vm, v); load(native, g)
    printf "%-28s %-8s %12s %12s %12s %8s\n", "", "unit", "ours", "in a VM", "native", "ratio"
    for (i = 1; i <= n; i++) {
        k = order[i]; a = median(h[k]); b = median(g[k])
        printf "%-28s %-8s %12s %12s %12s %8s\n", k, unit[k], show(a), show(median(v[k])), show(b),
               (b > 0 && a != "" ? sprintf("%.2f", a / b) : "-")
    }
}' || exit 1

cat <<'END'

vgpu_run_adds      vgpu-run -- true, compared with true alone
executor_launch    processor time that the executor takes for a launch, without driver and scheduler
scheduled_alone    what measuring and the gate add to it for a VM that has the GPU to itself
scheduled_turns    the same where another VM had work less than a second ago
first_call         the same with a program that asks for the free memory
first_context      from the start of a program to its CUDA context, a mediator running
first_kernel       the same to the end of its first kernel, which comes as PTX
under_vgpu_run_*   the same with a mediator that starts beside the program
enqueue            one launch, nobody waiting for it: what the caller spends
launches           empty kernels completed, the queue kept full
round_trip         one empty kernel and the wait for it
local_query        a call that the guest's library answers itself
calls              calls that need an answer of the executor
graph_64_replay    launch of a graph of 64 empty kernels, and the wait for it
eager_10_ops       8 kernels, a memset, an event, 4 bytes back and the wait for them
module_cold, warm  load and unload of PTX that no cache knows, and again
htod, dtoh         copies to the GPU and back
END
if have_gpu; then
    echo 'ratio              ours to native; above 1 is worse for times, better for rates'
fi
