#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What the host's NVML says reaches the guest as it is: a made-up NVML is asked directly
# and through mediator, page and library by one program, whose output must be the same.
set -u
export VG_FAKE_PROCESSES
. "$(dirname "$0")/../e2e/lib.sh"
VG_FAKE_PROCESSES=$work/processes
fake=$build/tests/fake-gpu
gib=$((1 << 30))

# But for lists of processes and sessions: those are the VM's own.
answers() { "$@" "$build/client/nvml-answers" --values | grep -v 'Processes\|Sessions'; }
same() {
    answers env LD_LIBRARY_PATH="$fake" >"$work/direct"
    answers host >"$work/ours"
    [ "$(wc -l <"$work/direct")" -gt 100 ] && diff "$work/direct" "$work/ours"
}
executor() { pgrep -P "$mediator" -x vgpu-executor | head -n 1; }
smi_says() { host "$smi" "$@" >"$work/out" 2>&1; grep -qE "$pattern" "$work/out" || { cat "$work/out"; return 1; }; }

VGPU_BACKEND=cuda mediator_start --set cuda_library="$fake/libcuda.so.1" --set prestart=0
check 'the same answers' same
VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" -- "$build/client/nvml-answers" --hold 60 &
holder=$!
within 10 executor >/dev/null
# As the driver reports it: the executor, with its context's memory, and a stranger.
printf '%s %s 37\n4242 %s 50\n' "$(executor)" $((5 * gib)) $((7 * gib)) >"$VG_FAKE_PROCESSES"
if smi=$("$top/tools/nvidia-smi.sh"); then
    mib=$((5 * 1024)) total=$((80 * 1024))
    pattern="nvml-answers, $mib MiB" check 'process of the VM' \
        within 5 smi_says --query-compute-apps=name,used_memory --format=csv
    pattern="^$total MiB, $mib MiB, $((50 * 1024)) MiB, $((25 * 1024)) MiB" check 'memory of the VM' \
        smi_says --query-gpu=memory.total,memory.used,memory.free,memory.reserved --format=csv
    check 'no stranger' eval '! host "$smi" | grep -q 4242'
fi
kill $holder
wait $holder 2>/dev/null
helper=$(pgrep -P "$mediator" -x vgpu-telemetry)
check 'one helper' test "$(echo "$helper" | wc -w)" = 1
kill -9 "$helper"
replaced() {
    same || return 1
    local now
    now=$(pgrep -P "$mediator" -x vgpu-telemetry)
    [ -n "$now" ] && [ "$now" != "$helper" ]
}
check 'a new helper after its death' within 12 replaced
mediator_stop
# With several devices NVML's order is not the driver's, so the driver is asked.
export VG_FAKE_DEVICES=2
VGPU_BACKEND=cuda mediator_start --set cuda_library="$fake/libcuda.so.1" --set prestart=0
check 'the driver says which devices' same
[ $failures = 0 ]
