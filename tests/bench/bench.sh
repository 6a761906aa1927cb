#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make bench`: what calls and copies cost. Columns: the host through vgpu-run, a VM,
# and, where a GPU is, NVIDIA's driver natively with the ratio. The VM runs under
# emulation where KVM is not usable; then its column says little about real VMs.
#
#   VM=no make bench        without the VM
#   BACKEND=soft|cuda       default: what is there
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../e2e/lib.sh"

backend=${BACKEND:-auto}
costs=$build/client/costs
out=$work/bench
mkdir "$out"

# A QEMU of an older device does not count either.
have_qemu() {
    "$top/qemu-device/build-qemu.sh" --path >/dev/null 2>&1 ||
        { echo 'bench: no VM column: QEMU is not built; run: make qemu' >&2; return 1; }
}

have_gpu() { [ "$backend" != soft ] && nvidia-smi -L >/dev/null 2>&1; }

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

echo 'measuring through vgpu-run ...' >&2
{ bench_start; "$bin/vgpu-run" --backend "$backend" -- "$costs" "$@"; } >"$out/host" || exit 1
if have_gpu; then
    echo 'measuring natively ...' >&2
    "$costs" "$@" >"$out/native" || exit 1
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
        into[f[1]] = f[2]
        if (!(f[1] in unit)) { order[++n] = f[1]; unit[f[1]] = f[3] }
    }
}
function show(v) { return v == "" ? "-" : v >= 100 ? sprintf("%.0f", v) : sprintf("%.2f", v) }
BEGIN {
    load(host, h); load(vm, v); load(native, g)
    printf "%-26s %-8s %12s %12s %12s %8s\n", "", "unit", "vgpu-run", "in a VM", "native", "ratio"
    for (i = 1; i <= n; i++) {
        k = order[i]
        printf "%-26s %-8s %12s %12s %12s %8s\n", k, unit[k], show(h[k]), show(v[k]), show(g[k]),
               (g[k] > 0 ? sprintf("%.2f", h[k] / g[k]) : "-")
    }
}' || exit 1

cat <<'END'

vgpu_run_adds      vgpu-run -- true, compared with true alone
first_call         the same with a program that asks for the free memory
first_context      from the start of a program to its CUDA context
enqueue            one launch, nobody waiting for it: what the caller spends
launches           empty kernels completed, the queue kept full
round_trip         one empty kernel and the wait for it
local_query        a call that the guest's library answers itself
calls              calls that need an answer of the executor
htod, dtoh         copies to the GPU and back, of 64 KiB, 1 MiB and 16 MiB
END
if have_gpu; then
    echo 'ratio              vgpu-run to native; above 1 is worse for times, better for rates'
fi
