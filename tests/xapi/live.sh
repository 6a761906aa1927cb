#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# Plugin, hook, stock oxenstored, vgpu-xenstore and vgpu-mediator together: what the plugin sets
# on a running VM is what the mediator has; what CloudStack set reaches it through the hook, under
# CloudStack's identity, also when the VM is another in XAPI.
set -u
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/xenstore/xen.sh
. "$top/tests/xenstore/xen.sh"

xapi=''
finish() {
    [ -z "$xapi" ] || kill "$xapi"
    mediator_stop
    xen_kill
    e2e_end
}
trap finish EXIT

lacking=$(xen_lacks)
[ -z "$lacking" ] || { echo "missing: $lacking"; exit 77; }

A=aaaaaaaa-0000-4000-8000-00000000000a
B=bbbbbbbb-0000-4000-8000-00000000000b
B2=bbbbbbbb-0000-4000-8000-0000000000b2
CLOUD=cccccccc-0000-4000-8000-00000000000c
export VGPU_XAPI_SOCKET=$work/xapi VGPU_CONTROL_SOCKET=$work/control.sock \
    VGPU_PLUGIN_LOCK=$work/lock VGPU_PLUGIN_DEADLINE_MS=60000 \
    VGPU_VM_HOOK=$build/bin/vgpu-vm-hook

plugin() { "$build/bin/vgpu" "$(python3 "$top/tests/xapi/serve.py" - call "$@")"; }
plugin_says() {
    local text=$1
    shift
    plugin "$@" | grep -Fq "$text"
}
has() { admin show-vm --vm-name="$1" --json | tr -d '\n' | grep -Eq "\"$2\": *\"?$3\"?[,} ]"; }
ended() { ! has "$1" domid '[0-9]+'; }
# starts DOMID UUID ...: with the node by which Dom0's programs find a VM's domain.
starts() {
    domain_start "$@"
    xenstore-write "/vm/$2/domains/$1" ''
}
# hook NAME UUID REASON
hook() {
    mkdir -p "$work/xapi.d/$1"
    cp "$top/xapi-plugin/hook/50-vgpu" "$work/xapi.d/$1/"
    "$work/xapi.d/$1/50-vgpu" -vmuuid "$2" -reason "$3"
}
guest_denied() { ! "$domain" guest "$1" read "$2"; }

xen_start oxenstored || exit 1
python3 "$top/tests/xapi/serve.py" "$work/xapi" $A web platform:gpu_enabled=true \
    $B i-2-9-VM gpu_enabled=true gpu_weight=33 vm_uuid=$CLOUD \
    $B2 i-2-9-VM-again gpu_enabled=true gpu_weight=34 vm_uuid=$CLOUD &
xapi=$!
mediator_start --config /dev/null --set "state_dir=$work/state" --set prestart=0 --set keep=never \
    --set "domain_socket=$work/qemu/root-{domid}/vgpu.sock" --set cap_rate=1000 --set xenstore=yes ||
    { echo 'the mediator does not start'; exit 1; }
within 20 test -S "$work/xapi" || { echo 'no XAPI'; exit 1; }

starts 5 $A web gpu_enabled true
comes 'a VM that starts is known' has $A domid 5
comes 'set: the mediator has taken it' plugin_says '"mediator":"taken"' set vm_uuid=$A weight=80 pool=B
comes 'it has that weight' has $A weight 80
comes 'xenstore too' test "$(xenstore-read /local/domain/5/platform/gpu_weight)" = 80
comes 'the guest reads it' test "$("$domain" guest 5 read platform/gpu_weight)" = 80
comes 'get: what the watcher wrote' plugin_says '"state":"enabled"' get vm_uuid=$A
comes 'unset: back to what is usual' plugin_says '"mediator":"taken"' unset vm_uuid=$A keys=weight
comes 'it has the usual weight' has $A weight 50
plugin set vm_uuid=$A rate=5000 >"$work/said"
comes 'over a cap: the reason is shown' plugin_says 'allows 1000 at most' get vm_uuid=$A

comes "hook: carries CloudStack's policy" hook vm-pre-start $B none
starts 6 $B i-2-9-VM
comes "known by CloudStack's identity" has $CLOUD domid 6
comes 'with its weight' has $CLOUD weight 33
comes 'the guest cannot read the tree' guest_denied 6 /vgpu/vm/$B/gpu_weight
comes 'set by its name label' plugin_says '"mediator":"taken"' set_weight vm_name=i-2-9-VM weight=44
comes 'platform counts more' has $CLOUD weight 44
domain_destroy 6
xenstore-rm "/vm/$B"
hook vm-post-destroy $B clean-shutdown
comes 'hook: forgets it' test -z "$(xenstore-ls /vgpu/vm/$B 2>/dev/null)"
hook vm-pre-start $B2 none
starts 7 $B2 i-2-9-VM-again
comes 'the same identity in another VM of XAPI' has $CLOUD domid 7
comes 'with what CloudStack says' has $CLOUD weight 34
domain_destroy 5 7
comes 'VMs end' ended $A
[ "$failures" = 0 ]
