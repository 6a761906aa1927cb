#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# Synchronous copies from ordinary memory are there when they return, and what was before them is done:
# on the software GPU, and on one that does everything late and is taken for a real one.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

arrive() { VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm one -- "$build/client/arrive" "$@"; }

mediator_start || { echo 'no mediator'; exit 1; }
check 'on the software GPU' arrive 20
mediator_stop
mediator_start --backend cuda --set cuda_library="$build/tests/liblate-cuda.so" || { echo 'no mediator'; exit 1; }
check 'on one that is late' arrive 20
[ $failures = 0 ]
