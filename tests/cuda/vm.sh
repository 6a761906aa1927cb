#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 900
#
# The unmodified CUDA programs inside a VM, through a window of 16 MiB (see
# module.mk; static.sh runs the same ones on the host).
set -u
. "$(dirname "$0")/../e2e/lib.sh"

cuda=$(cd "$build/../cuda" 2>/dev/null && pwd) || { echo 'no CUDA toolkit: programs not built'; exit 77; }
name=cuda-$$

mediator_start || { echo 'no mediator'; exit 1; }
vm_start "$name" --mem 1024 --size 16 --share "$cuda:$cuda" --needs "$cuda/static/vectoradd" ||
    { echo 'the VM did not boot'; exit 1; }
VG_PROG_TIMEOUT=120 "$top/tests/cuda/run.sh" "$cuda/static" -- "$top/tests/vm/vm-exec" "$name" --
