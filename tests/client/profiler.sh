#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 60
#
# A program under NVIDIA's profiling library, which cannot see into the host's driver:
# it is told so, and the program runs on. Needs libcupti, from a toolkit, the wheels of
# tools/client-libraries.sh, or $CUPTI.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

find_cupti() {
    local dir python
    python=$("$top/tools/client-libraries.sh" --find 2>/dev/null) || python=python3
    for dir in "${CUDA_HOME:-/usr/local/cuda}/extras/CUPTI/lib64" \
        "$("$python" -c 'import nvidia; print(list(nvidia.__path__)[0])' 2>/dev/null)/cu13/lib"; do
        [ -e "$dir/libcupti.so.13" ] && echo "$dir/libcupti.so.13" && return
    done
}

cupti=${CUPTI:-$(find_cupti)}
[ -n "$cupti" ] || { echo 'no libcupti.so.13 here'; exit 77; }
mediator_start || { echo 'no mediator'; exit 1; }
check 'a profiler gives up, the program does not' host "$build/client/profiler" "$cupti"
[ $failures = 0 ]
