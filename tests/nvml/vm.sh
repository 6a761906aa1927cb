#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 300
#
# libvgpu-nvml.so in a virtual machine: through BAR1 alone, with its own processes and
# its own limit, and after the mediator has gone and come back.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

vm=vm-nvml-$$
smi=$("$top/tools/nvidia-smi.sh") || smi=

no_executor() { ! grep ' attached vm=' "$work/mediator.log"; }
answers() { in_vm $vm /client/nvml --queries; }
no_answers() { ! answers; }
# Through a pipe: the VM's console takes its time for each line.
vm_says() {
    in_vm $vm sh -c "/smi/nvidia-smi $* 2>&1 | cat" >"$work/out" 2>&1
    grep -qE "$pattern" "$work/out" || { cat "$work/out"; return 1; }
}
restart() {
    mediator_stop
    no_answers || { echo 'answers without a mediator'; return 1; }
    mediator_start
    within 20 answers
}

mediator_start
# The name must be known before the VM comes, for its limit to be.
admin register-vm --vm-name=$vm --memory-mib=1024 >/dev/null
mkdir "$work/smi"
[ -z "$smi" ] || cp "$smi" "$work/smi/nvidia-smi"
check 'boot' vm_start $vm --share "$work/smi:/smi" || exit 1
check 'queries' answers
check 'queries use no executor' no_executor
check 'with CUDA' in_vm $vm /client/nvml
if [ -n "$smi" ]; then
    pattern='0MiB / +1024MiB' check 'nvidia-smi: memory of this VM' vm_says
    pattern='Virtualization Mode +: Pass-Through' check 'nvidia-smi -q' vm_says -q
    pattern='^ +0 +[-0-9]' check 'nvidia-smi dmon' vm_says dmon -c 2
fi
check 'mediator gone and back' restart
[ $failures = 0 ]
