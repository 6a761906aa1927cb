#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Two GPUs and a pool on each: a VM sees the GPU of its pool and its own processes there, by CUDA
# and by NVML alike, and of each process the GPU time that it was given; a VM of a pool of both
# sees both. Software GPUs, or with VGPU_BACKEND=cuda the machine's first two (tests/gpu/two.sh).
set -u
. "$(dirname "$0")/../e2e/lib.sh"

export VGPU_SOFT_DEVICES=2
as() { local vm=$1; shift; VGPU_VM_NAME=$vm host "$@"; }
view() { as "$1" "$build/client/nvml-devices" >"$work/view-$1"; }
# shows VM PATTERN
shows() { view "$1" && grep -qE "$2" "$work/view-$1" || { cat "$work/view-$1"; return 1; }; }
# sees VM ADDRESS: and no other GPU, by either.
sees() {
    view "$1" || return 1
    [ "$(sed -nE 's/^(cuda|nvml) 0 ([^ ]*).*/\1 \2/p' "$work/view-$1" | tr '\n' ' ')" = "cuda $2 nvml $2 " ] &&
        ! grep -qE '^(cuda|nvml) 1' "$work/view-$1" || { cat "$work/view-$1"; return 1; }
}

pools=(--set 'pool.left=gpu 0' --set 'pool.right=gpu 1' --set prestart=0)
mediator_start --set 'pool.both=gpu 0,1' --set prestart=0 || exit 1
admin register-vm --vm-name=three --pool=both >/dev/null
view three
mapfile -t gpu < <(sed -nE 's/^cuda [01] //p' "$work/view-three")
check 'a pool of two GPUs' test ${#gpu[@]} = 2
check 'by NVML, too' test "$(grep -cE "^nvml (0 ${gpu[0]}|1 ${gpu[1]}) " "$work/view-three")" = 2
check 'a VM of that pool works on both' as three "$build/client/peers"

# chosen VM CHOICE ADDRESS...: what CUDA counts in a process that has chosen its devices.
chosen() {
    local vm=$1 choice=$2
    shift 2
    CUDA_VISIBLE_DEVICES=$choice as "$vm" "$build/client/nvml-devices" >"$work/chosen" 2>&1
    [ "$(sed -n 's/^cuda [0-9]* //p' "$work/chosen" | tr '\n' ' ')" = "$*${1:+ }" ] || { cat "$work/chosen"; return 1; }
}
uuid=$(as three "$build/client/nvml-answers" --uuid 1)
check 'a process may choose the second' chosen three 1 "${gpu[1]}"
check 'another order' chosen three 1,0 "${gpu[1]}" "${gpu[0]}"
check 'the first only' chosen three 0 "${gpu[0]}"
check 'by UUID' chosen three "$uuid" "${gpu[1]}"
check 'what is behind a wrong one is not seen' chosen three 1,7,0 "${gpu[1]}"
check 'one that is named twice is none' chosen three 1,1
check 'none' chosen three ''
mediator_stop

mediator_start "${pools[@]}" || exit 1
admin register-vm --vm-name=one --pool=left >/dev/null
admin register-vm --vm-name=two --pool=right >/dev/null
check 'the first GPU' sees one "${gpu[0]}"
check 'the second, as the first one there' sees two "${gpu[1]}"
check 'choosing does not lead out of the pool' chosen two 1
check 'nor back into it' chosen two 0 "${gpu[1]}"

touch "$work/hold"
# begin PIDFILE COMMAND...: in VM two, by the process whose number is in the file.
begin() { as two sh -c 'echo $$ >"$0"; exec "$@"' "$@"; }
begin "$work/pid1" "$build/client/nvml-devices" "$work/hold" 0 64 >"$work/held" &
within 20 grep -q nvml "$work/held"
holder=$(cat "$work/pid1")
# A GPU's own driver counts the context as well.
held="^process 0 $holder (6[4-9]|[2-9][0-9][0-9])"
check 'a process of the VM with its memory' within 20 shows two "$held"
check 'is in no other VM' eval 'view one; ! grep -q "^process 0 $holder " "$work/view-one"'
touch "$work/go"
begin "$work/pid2" "$build/client/storm" launch "$work/go" >"$work/storm" 2>&1 &
within 20 grep -q storm "$work/storm"
storm=$(cat "$work/pid2")
check 'one that works shows how much' within 30 shows two "^busy 0 $storm [1-9]"
check 'as the mediator has charged it' eval 'admin show-metrics --vm-name=two --json | tr -d " " | grep -qE "\"gpu_charged_ns\":[1-9]"'
check 'no other VM hears of it' eval 'view one; ! grep -q "^busy 0 $storm " "$work/view-one"'
check 'nor of one that is idle' eval '! grep -qE "^busy 0 $holder [1-9]" "$work/view-two"'
mediator_stop -KILL
mediator_start "${pools[@]}"
check 'the next daemon shows the same' within 30 shows two "$held"
rm -f "$work/hold" "$work/go"
check 'nothing is left' within 20 no_executors
[ $failures = 0 ]
