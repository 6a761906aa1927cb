#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 600
#
# Copies of up to 1 GiB through the smallest region, alone and beside each other, and memory
# over the seams of a larger one's parts.
set -u
. "$(dirname "$0")/lib.sh"

side_by_side() {
    host "$build/client/copies" 64 >"$work/one" 2>&1 &
    local pid=$! rc=0
    host "$build/client/copies" 64 || rc=1
    wait $pid || rc=1
    cat "$work/one"
    return $rc
}

mediator_start --set region_mib=16 || { echo "no mediator"; exit 1; }
export VGPU_SOFT_MEMORY_MIB=3072
check 'two processes, 64 MiB' side_by_side
check 'one process, 1 GiB' host "$build/client/copies" 1024
mediator_stop
mediator_start --set region_mib=64 || { echo "no mediator"; exit 1; }
check 'parts of the region' host "$build/client/pins" 40
mediator_stop
mediator_start --set region_mib=64 --set pin_region=no || { echo "no mediator"; exit 1; }
check 'a region that the GPU does not see' host "$build/client/pins" 24 hidden
check 'copies there' host "$build/client/copies" 4
check 'copies there that wait for nothing but their stream' host "$build/client/knots" streams
[ $failures = 0 ]
