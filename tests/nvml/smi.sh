#!/bin/bash
# SPDX-License-Identifier: MIT
#
# NVIDIA's own nvidia-smi on libvgpu-nvml.so with the software GPU: what it prints, and
# that no way of asking crashes it.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

smi=$("$top/tools/nvidia-smi.sh") || { echo 'no nvidia-smi to be had here'; exit 77; }

# prints PATTERN COMMAND...: a line of its output matches.
prints() {
    local pattern=$1
    shift
    host "$@" >"$work/out" 2>&1 || { cat "$work/out"; return 1; }
    grep -qE "$pattern" "$work/out" || { echo "no $pattern in:"; cat "$work/out"; return 1; }
}
# It may refuse, but not die of a signal or wait for ever.
survives() {
    local rc
    host timeout 20 "$@" >"$work/out" 2>&1
    rc=$?
    [ $rc -lt 124 ] || [ $rc = 255 ] || { cat "$work/out"; echo "status $rc"; return 1; }
}

mediator_start
VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" -- "$build/client/nvml-answers" --hold 60 &
holder=$!
within 10 eval 'host "$smi" --query-compute-apps=pid --format=csv,noheader | grep -q [0-9]'

check 'table: device'    prints '^\|   0  vGPU software device .* 00000000:FE:00.0' "$smi"
check 'table: versions'  prints 'Driver Version: 580.0 +CUDA Version: 13.0' "$smi"
check 'table: memory'    prints ' 256MiB / +[0-9]+MiB ' "$smi"
check 'table: process'   prints ' [0-9]+ +C +.*nvml-answers +256MiB' "$smi"
check '-L'               prints '^GPU 0: vGPU software device \(UUID: GPU-[0-9a-f-]{36}\)' "$smi" -L
check '-q'               prints 'Product Name +: vGPU software device' "$smi" -q
check '-q: temperature'  prints 'GPU Current Temp +: N/A' "$smi" -q
check '-q: process'      prints 'Used GPU Memory +: 256 MiB' "$smi" -q
check '-q -x'            prints '<product_name>vGPU software device<' "$smi" -q -x
check '--query-gpu'      prints '^vGPU software device, 256 MiB, \[N/A\]' \
    "$smi" --query-gpu=name,memory.used,temperature.gpu --format=csv,noheader
check 'dmon'             prints '^ +0 +- +- +- +[0-9]+ ' "$smi" dmon -c 1
check 'dmon, all groups' prints '^ +0 .* 256 ' "$smi" dmon -s pucvmet -c 1
check 'pmon'             prints '^ +0 +[0-9]+ +C .* 256 .* nvml-answers' "$smi" pmon -s um -c 1
check 'topo -m'          prints 'GPU0.* X ' "$smi" topo -m
for words in 'nvlink -s' 'topo -p2p r' 'topo -c 0' 'vgpu' 'mig -lgi' 'clocks' 'compute-policy -l' \
    'boost-slider -l' 'power-hint -l' 'conf-compute -f' 'c2c -s' 'drain -q -p 0000:fe:00.0' '-pm 1' \
    '-c 1' '-e 0' '-pl 100' '-ac 1,1' '-rac' '-lgc 100' '-r' '-i 7' '-i GPU-0' '-q -d MEMORY,UTILIZATION'; do
    # shellcheck disable=SC2086 # words
    check "survives $words" survives "$smi" $words
done
kill $holder
wait $holder 2>/dev/null
check 'the process is gone' within 5 eval '! host "$smi" | grep -q nvml-answers'

# A VM's own limit, and only its own processes.
admin register-vm --vm-name=small --memory-mib=512 >/dev/null
VGPU_VM_NAME=small VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" -- \
    "$build/client/nvml-answers" --hold 30 &
holder=$!
other() { VGPU_VM_NAME=other host "$@"; }
small() { VGPU_VM_NAME=small host "$@"; }
small_shows() { small "$smi" --query-gpu=memory.total,memory.used,memory.free --format=csv,noheader |
    grep -qx "$1"; }
check 'memory against the limit' within 10 small_shows '512 MiB, 256 MiB, 256 MiB'
check 'not of other VMs' eval 'other "$smi" | grep -q "No running processes"'
kill $holder
wait $holder 2>/dev/null

mediator_stop
export VGPU_SOFT_DEVICES=2
mediator_start
check 'topo -m of two'   prints '^GPU1.SYS. X ' "$smi" topo -m
unset VGPU_SOFT_DEVICES
mediator_stop
check 'without a mediator' eval '! VGPU_SOCKET=$work/mediator.sock LD_LIBRARY_PATH=$build/lib/guest \
    "$smi" >"$work/out" 2>&1 && grep -q "communicate with the NVIDIA driver" "$work/out"'
[ $failures = 0 ]
