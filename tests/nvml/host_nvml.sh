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
values() { "$@" "$build/client/nvml-answers" --values | grep -v 'Processes\|Sessions'; }
same() {
    values env LD_LIBRARY_PATH="$fake" >"$work/direct"
    values host >"$work/ours"
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
# Several devices are counted by PCI address, as the driver will, which need not be started.
export VG_FAKE_DEVICES=2 VGPU_SOFT_DEVICES=2
drivers() { grep -c softcuda "/proc/$(pgrep -P "$mediator" -x vgpu-telemetry)/maps"; }
VG_FAKE_REVERSED=1 VGPU_BACKEND=cuda mediator_start --set cuda_library="$fake/libcuda.so.1" --set prestart=0
check 'several devices in their order' same
check 'and what connects them' grep -q '^pair 1,0 nvmlDeviceGetP2PStatus' "$work/ours"
check 'without the driver' test "$(drivers)" = 0
mediator_stop
# In another order NVML cannot say which is the first.
CUDA_DEVICE_ORDER=FASTEST_FIRST VGPU_BACKEND=cuda mediator_start --set cuda_library="$fake/libcuda.so.1" --set prestart=0
check 'the driver says which devices' same
check 'which was asked' test "$(drivers)" != 0
mediator_stop
unset VG_FAKE_DEVICES VGPU_SOFT_DEVICES

# A private mediator, which is one of many: NVML is started once, and only for who asks.
mkdir -p "$work/one/bin"
cp "$bin/vgpu-run" "$work/one/bin"
ln -s "$build/lib" "$work/one/lib"
cat >"$work/one/bin/vgpu-mediator" <<EOF
#!/bin/sh
exec "$bin/vgpu-mediator" "\$@" --set cuda_library="$fake/libcuda.so.1"
EOF
chmod +x "$work/one/bin/vgpu-mediator"
# starts N COMMAND: so often is NVML started while it runs
starts() {
    local n=$1
    shift
    : >"$work/starts"
    VG_FAKE_STARTS=$work/starts "$work/one/bin/vgpu-run" --backend cuda -- "$@" >"$work/out" 2>&1 || { cat "$work/out"; return 1; }
    [ "$(wc -l <"$work/starts")" = "$n" ]
}
check 'a program without NVML starts none' starts 0 "$build/client/copies"
check 'one that asks starts it once' starts 1 "$build/client/nvml-answers"

# What a context costs is asked of NVML, by who waits for a guest or, without that, by whose VM has
# a limit; until then the setting counts.
shown() { admin show-vm --vm-name=m | grep -E "a context costs +$1"; }
claims() { admin show-metrics --vm-name=m --json | tr -d ' \n' | grep -q "\"memory_claimed_bytes\":$(($1 << 20))[,}]"; }
holds() {
    touch "$work/hold"
    : >"$work/held" # not what the last one said
    VGPU_SOCKET=$work/mediator.sock VGPU_VM_NAME=m "$bin/vgpu-run" -- "$build/client/limits" hold 8 "$work/hold" >"$work/held" &
    local process=$!
    within 30 grep -q hold "$work/held" && claims "$1"
    local rc=$?
    rm -f "$work/hold"
    wait $process
    return $rc
}
# measured PRESTART: a daemon that takes a context for 400 MiB, on a driver that takes 300
measured() {
    VGPU_BACKEND=cuda VG_FAKE_CONTEXT_MIB=300 mediator_start --set prestart="$1" \
        --set cuda_library="$fake/libcuda.so.1" --set context_mib=400
    admin register-vm --vm-name=m --memory-mib=1000 >/dev/null
}
measured 1
check 'a context is measured' within 30 shown '300 MiB \(measured\)'
check 'and counts so much' holds 308
check 'that is an event' eval 'admin events | grep -q "context-measured.*bytes=$((300 << 20))"'
check 'the next one is ready' within 20 eval 'admin show-health --json | tr -d " " | grep -q "\"executors_ready\":1,"'
mediator_stop -KILL
measured 1
check 'the next daemon knows it still' shown '300 MiB \(measured\)'
check 'and has not measured again' eval '! admin events | grep -q context-measured'
mediator_stop
measured 0
check 'until then it is the setting' shown '400 MiB \(setting\)'
check 'the process that measures counts what it found' holds 308
check 'but is not believed for others' shown '400 MiB \(setting\)'
mediator_stop
[ $failures = 0 ]
