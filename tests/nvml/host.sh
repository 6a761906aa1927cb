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
check 'private mediator' "$bin/vgpu-run" --backend soft -- "$build/client/nvml" --ours
mediator_start
check 'running mediator' host "$build/client/nvml" --queries
check 'queries use no executor' no_executor
check 'with CUDA' host "$build/client/nvml"
nonsense() {
    host "$build/client/nvml" --nonsense >"$work/nonsense" || return 1
    [ "$(wc -l <"$work/nonsense")" -gt 600 ] && ! grep signal "$work/nonsense"
}
check 'nonsense crashes nothing' nonsense
check 'as Ollama asks' host "$build/client/ollama"
admin register-vm small --memory=1024 >/dev/null
as_small() { VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm small -- "$build/client/ollama" | tee "$work/small"; }
check 'as Ollama asks, in a VM with a limit' as_small
check 'it is told of that much' grep -q 'engine: .* 1024 MiB' "$work/small"
[ $failures = 0 ]
