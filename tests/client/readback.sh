#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# A few bytes there and back, from four threads each of two VMs beside each other: on the software GPU,
# and on one that does everything late and is taken for a real one.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

vm() { VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm "$1" -- "$build/client/readback" "$2"; }

# beside ROUNDS
beside() {
    vm one "$1" >"$work/one" 2>&1 &
    vm two "$1" || { wait $!; return 1; }
    wait $! || { cat "$work/one"; return 1; }
    grep '0 wrong' "$work/one"
}

mediator_start || { echo 'no mediator'; exit 1; }
check 'on the software GPU' beside 400
mediator_stop
mediator_start --backend cuda --set cuda_library="$build/tests/liblate-cuda.so" || { echo 'no mediator'; exit 1; }
check 'on one that is late' beside 150
[ $failures = 0 ]
