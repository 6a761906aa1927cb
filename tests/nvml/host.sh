#!/bin/bash
# SPDX-License-Identifier: MIT
#
# libvgpu-nvml.so on the host: all of NVIDIA's symbols, what they answer, and that
# asking costs no executor.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

symbols() {
    nm -D --defined-only "$build/lib/libvgpu-nvml.so" | awk '{ print $3 }' | sed 's/@.*//' |
        grep '^nvml' | LC_ALL=C sort | diff - <(LC_ALL=C sort "$top/tests/nvml/symbols-580.expected")
}
no_other_symbols() {
    ! nm -D --defined-only "$build/lib/libvgpu-nvml.so" | awk '{ print $3 }' | grep -v '^nvml'
}
no_executor() { ! grep ' attached vm=' "$work/mediator.log"; }

check 'the symbols of driver 580' symbols
check 'and no others' no_other_symbols
check 'private mediator' "$bin/vgpu-run" --backend soft -- "$build/client/nvml"
mediator_start
check 'running mediator' host "$build/client/nvml" --queries
check 'queries use no executor' no_executor
check 'with CUDA' host "$build/client/nvml"
[ $failures = 0 ]
