#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 200
#
# tests/gpu/run is used where time is dear: it must work there at the first try.
# Its judgement, the Python of all workloads, and a run on the software GPU of the
# cases that need nothing but our own programs.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/e2e/lib.sh
. "$here/../e2e/lib.sh"
export PYTHONPYCACHEPREFIX=$work/pyc OUT=$work/out

on_soft() {
    "$here/run" --backend soft --product "$build" --jobs 2 "$@"
}

# A case that cannot succeed must be told, by the table, the log and the status.
failure_told() {
    on_soft smi/list >"$work/told"
    [ $? = 1 ] && grep -q '^smi/list .*FAILED' "$work/told" && grep -q 'smi/list' "$work/out/failures.log"
}

# All that a program of the pack starts must be in it.
pack_runs() {
    "$here/pack" "$work/pack" && "$work/pack/tests/gpu/run" --backend soft --jobs 2 \
        --product "$work/pack" driver/quiet driver/nvml nvml/statuses
}

check 'every workload compiles' python3 -m compileall -q "$here/work" "$here/cases.py"
check 'judgement' python3 "$here/check_run.py"
check 'driver programs on the software GPU' on_soft driver
if [ -d "$build/../cuda/static" ]; then
    ln -s "$build"/{bin,lib,client} "$(cd "$build/../cuda" && pwd)" "$work/"
    check 'CUDA programs on the software GPU' "$here/run" --backend soft --product "$work" \
        cuda-static/vectoradd cuda-static/reduce cuda-shared/vectoradd
fi
# Both sides at once, which needs a GPU otherwise: natively is the software GPU itself.
check 'both sides' on_soft --native driver/fault-wild driver/copies driver/quiet
check 'both sides: the same' grep -qE '^driver +3 +-' "$work/out/summary.txt"
check 'what a process sees of two devices' env VGPU_SOFT_DEVICES=2 "$here/run" --backend soft \
    --product "$VG_BUILD" --jobs 2 devices peers/driver
check 'what is packed runs' pack_runs
PATH=/usr/bin:/bin check 'a failure is told' failure_told
[ "$failures" = 0 ]
