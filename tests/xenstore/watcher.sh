#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 400
#
# vgpu-mediator with vgpu-xenstore against the stock xenstored and oxenstored: VMs that
# start, change, reboot, migrate and end, guests that forge, daemons that die. Without a
# hypervisor (xen.sh), with real domains' rights: a guest speaks through a ring of its own.
set -u
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/xenstore/xen.sh
. "$top/tests/xenstore/xen.sh"

peer_pid=''
finish() {
    [ -z "$peer_pid" ] || kill "$peer_pid"
    mediator_stop
    xen_kill
    e2e_end
}
trap finish EXIT

[ "$(id -u)" = 0 ] || { echo "needs root: oxenstored's directory, other users' sockets"; exit 77; }
lacking=$(xen_lacks)
[ -z "$lacking" ] || { echo "missing: $lacking"; exit 77; }

A=aaaaaaaa-0000-4000-8000-00000000000a
B=bbbbbbbb-0000-4000-8000-00000000000b
C=cccccccc-0000-4000-8000-00000000000c

fails() { ! "$@"; }
# wants TEXT COMMAND...: it comes to succeed. never TEXT COMMAND...: now it fails.
wants() { comes "$kind: $1" "${@:2}"; }
never() { check "$kind: $1" fails "${@:2}"; }
bad() { check "$kind: $1" false; }
# has NAME KEY PATTERN: a member of show-vm.
has() {
    admin show-vm --vm-name="$1" --json 2>/dev/null | tr -d '\n' |
        grep -Eq "\"$2\": *(\[[^]]*$3[^]]*\]|\"?$3\"?[,} ])"
}
listed() { admin list | grep -Eq "$1"; }
shown() { admin show-vm --vm-name=$A | grep -Eq "$1"; }
no_domain() { ! admin show-vm --vm-name="$1" --json 2>/dev/null | grep -q '"domid"'; }
health() { admin show-health --json | tr -d '\n' | grep -Eq "\"xenstore\": *\"$1"; }
count() { [ "$(admin list --json | grep -o '"domid"' | wc -l)" = "$1" ]; }
node() { [ "$(xenstore-read "$1" 2>/dev/null)" = "$2" ]; }
node_like() { xenstore-read "$1" 2>/dev/null | grep -q "$2"; }
no_node() { ! xenstore-read "$1" >/dev/null 2>&1; }
guest() { "$domain" guest "$@"; }
forbidden() { case $1 in EACCES | ENOENT | EPERM) ;; *) return 1 ;; esac; }
guest_reads() { [ "$(guest "$1" read "$2")" = "$3" ]; }

sock() { echo "$work/qemu/root-$1/vgpu.sock"; }
owned() { [ "$(stat -c '%a %u' "$1")" = "$2" ]; }
has_sock() { [ -S "$(sock "$1")" ]; }
sockets() { [ "$(find "$work/qemu" -name vgpu.sock | wc -l)" = "$1" ]; }
no_sock() { [ ! -e "$(sock "$1")" ]; }
said() { grep -q "$1" "$work/peer.out"; }
peer_start() {
    "$build/tests/xen-peer" "$@" >"$work/peer.out" 2>&1 &
    peer_pid=$!
}
peer_stop() {
    kill "$peer_pid" 2>/dev/null
    wait "$peer_pid" 2>/dev/null
    peer_pid=
}

# host_starts MODE: the mediator, with xenstore= that.
host_starts() {
    mediator_start --config /dev/null --set "state_dir=$work/state" --set prestart=0 \
        --set cap_rate=1000 --set auto_register=no --set domain_uid_base=65535 \
        --set "domain_socket=$work/qemu/root-{domid}/vgpu.sock" --set "xenstore=$1" ||
        bad 'the mediator starts'
}

a_domain_starts() {
    domain_start 5 $A 'web server' gpu_enabled true gpu_weight 80 gpu_pool B gpu_priority high
    wants 'a VM that starts is registered' has $A domid 5
    wants 'with its policy' has $A weight 80
    wants 'and its name for people' has $A label 'web server'
    wants 'and a socket of its own' has_sock 5
    wants "its QEMU's" owned "$(sock 5)" '600 65540'
    wants 'the guest reads that' guest_reads 5 vgpu-mediator/state enabled
    wants 'and the toolstack' node /local/domain/0/vgpu-mediator/vm/$A/state enabled
    domain_start 6 $B plain
    wants 'another VM starts' xenstore-exists /local/domain/6/name
    never 'and has nothing to do with it' has $B domid 6
}

guests_cannot_forge() {
    local answer path
    for path in platform/gpu_weight platform/gpu_new vgpu-mediator/state /vgpu/vm/$A/gpu_weight \
        /local/domain/0/vgpu-mediator/vm/$A/state; do
        answer=$(guest 5 write "$path" 100)
        check "$kind: a guest may not write $path ($answer)" forbidden "$answer"
    done
    never 'nor give itself rights' guest 5 set-perms platform n5
    never "nor read the toolstack's" guest 5 read /local/domain/0/vgpu-mediator/vm/$A/state
    never "nor another's state" guest 6 read /local/domain/5/vgpu-mediator/state
    guest 5 write vm-data/gpu_weight 100 >/dev/null
    xenstore-write /local/domain/5/platform/gpu_rate 100
    xenstore-chmod /local/domain/5/platform/gpu_rate n5
    wants "a key that is the guest's does not count" has $A notes 'gpu_rate: ignored, as others'
    guest 5 write platform/gpu_rate 9999 >/dev/null
    xenstore-write /local/domain/5/platform/gpu_weight 81
    wants 'others do' has $A weight 81
    wants 'and it still does not' has $A rate 0
    xenstore-rm /local/domain/5/platform/gpu_rate
    wants 'a mended key leaves no note' has $A notes ' *'
}

policy_is_edited() {
    xenstore-write /local/domain/5/platform/gpu_weight 90
    wants 'an edit takes effect' has $A weight 90
    xenstore-write /local/domain/5/platform/gpu_weight lots /local/domain/5/platform/gpu_wieght 7
    wants 'what is wrong does not' has $A weight 50
    wants 'and is told' has $A notes 'gpu_weight: .{1,2}lots'
    wants 'by vgpu-admin list, too' listed ' gpu_weight: "lots" is not a number'
    wants 'and show-vm' shown 'web server, domain 5'
    wants 'so is what nobody knows' has $A notes 'gpu_wieght: there is no such key'
    wants 'to the guest, too' node_like /local/domain/5/vgpu-mediator/reason lots
    wants 'and logged' grep -q 'gpu_wieght' "$work/mediator.log"
    wants 'the VM may use the GPU all the same' has $A enabled true
    xenstore-rm /local/domain/5/platform/gpu_wieght
    xenstore-rm /local/domain/5/platform/gpu_weight
    xenstore-write /local/domain/5/platform/gpu_rate 5000
    wants "the host's cap is told" has $A notes 'gpu_rate: this host allows 1000'
    xenstore-rm /local/domain/5/platform/gpu_rate
    xenstore-write /vgpu/vm/$A/gpu_weight 33
    wants "the hook's tree" has $A weight 33
    xenstore-write /local/domain/5/platform/gpu_weight 44
    wants 'the platform map wins' has $A weight 44
    xenstore-rm /vgpu/vm/$A
    xenstore-write /local/domain/5/name renamed
    wants 'a rename' has $A label renamed
}

devices_connect() {
    peer_start "$(sock 5)" $B 65540
    wants "a device is the VM of its socket, whatever it says" said "welcome $A"
    wants 'and is counted there' has $A peers 1
    xenstore-write /local/domain/5/platform/gpu_enabled false
    wants 'no GPU any more: it is cut off' said end
    wants 'the socket is gone' no_sock 5
    wants 'the guest reads that' guest_reads 5 vgpu-mediator/state disabled
    peer_start "$work/mediator.sock" $A
    wants 'nor by the common socket' said 'refused .*gpu_enabled'
    peer_stop
    xenstore-write /local/domain/5/platform/gpu_enabled true
    wants 'enabled again' guest_reads 5 vgpu-mediator/state enabled
    admin quarantine --vm-name=$A --reason='too many faults' >/dev/null
    wants 'a quarantine is told to the guest' guest_reads 5 vgpu-mediator/state refused
    wants 'with its reason' node_like /local/domain/5/vgpu-mediator/reason 'too many faults'
    admin clear-quarantine --vm-name=$A >/dev/null
    wants 'and its end' guest_reads 5 vgpu-mediator/state enabled
    xenstore-write /local/domain/5/platform/gpu_enabled perhaps
    wants 'nonsense is no yes' has $A notes 'neither true nor false'
    wants 'the guest reads that' guest_reads 5 vgpu-mediator/state refused
    xenstore-write /local/domain/5/platform/gpu_enabled 1
    wants 'a GPU again' has_sock 5
    peer_start "$(sock 5)" x 65541
    wants "another domain's QEMU is kept out" said '^error connect: Permission denied'
    peer_stop
    never 'a toolstack VM is not unregistered here' admin unregister-vm --vm-name=$A
    admin register-vm --vm-name=$A --weight=60 >/dev/null
    wants 'an administrator may change it' has $A weight 60
    never 'for as long as it runs' grep -q $A "$work/state/vms.json"
    rm -rf "$work/qemu/root-5"
    wants 'a socket that was removed comes back' has_sock 5
}

lives() {
    "$domain" shutdown 5
    xenstore-write /local/domain/5/platform/gpu_weight 55
    wants 'a VM that shuts down is still there' has $A weight 55
    has $A domid 5 || bad 'with its domain'
    admin quarantine --vm-name=$A --reason='too many faults' >/dev/null
    domain_destroy 5
    wants 'until it is destroyed' no_domain $A
    wants 'the socket is gone' no_sock 5
    wants 'and the state' no_node /local/domain/0/vgpu-mediator/vm/$A/state
    never 'nothing brought its tree back' xenstore-exists /local/domain/5
    domain_start 7 $A 'web server' gpu_enabled true gpu_weight 12
    wants 'a reboot: another domain, the same VM' has $A domid 7
    wants 'with the keys of now' has $A weight 12
    wants 'still in quarantine' has $A state quarantined
    wants 'which its guest reads' guest_reads 7 vgpu-mediator/state refused
    admin clear-quarantine --vm-name=$A >/dev/null
    wants 'until it is let in' guest_reads 7 vgpu-mediator/state enabled
}

a_migration() {
    local arriving=${A:0:24}000000000001 leaving=${A:0:24}000000000000
    xenstore-write "/vm/$arriving"/final-uuid $A
    domain_start 8 "$arriving" 'web server' gpu_enabled true gpu_weight 13
    wants 'migration: the new domain has its socket' has_sock 8
    wants 'the old one rules' has $A weight 12
    has $A domid 7 || bad 'migration: not yet the new one'
    xenstore-write "/vm/$leaving/uuid" "$leaving" /local/domain/7/vm "/vm/$leaving"
    xenstore-rm "/vm/$arriving"/final-uuid
    xenstore-write /vm/$A/uuid $A /local/domain/8/vm /vm/$A
    wants 'after the renaming the new one' has $A weight 13
    wants 'is the VM' has $A domid 8
    never 'and no VM has a temporary name' has "$leaving" domid 7
    domain_destroy 7
    wants 'the old one goes' no_sock 7
    wants 'the VM stays' has $A domid 8
    wants 'and its state' node /local/domain/0/vgpu-mediator/vm/$A/domid 8
}

storm() {
    local n all
    all=$(seq 101 200)
    for n in $all; do
        domain_build "$n" "$(printf 'dddddddd-0000-4000-8000-%012d' "$n")" "vm $n" gpu_enabled 1
    done
    # shellcheck disable=SC2086 # words
    "$domain" introduce $all
    wants 'a hundred at once' count 101
    for n in $all; do echo "/local/domain/$n/platform/gpu_weight $((n - 100))"; done |
        xargs -n 40 xenstore-write
    wants 'all edited' has dddddddd-0000-4000-8000-000000000200 weight 100
    wants 'the first of them, too' has dddddddd-0000-4000-8000-000000000101 weight 1
    wants 'every guest knows' guest_reads 200 vgpu-mediator/state enabled
    wants 'the middle one, too' guest_reads 150 vgpu-mediator/state enabled
    # shellcheck disable=SC2086
    domain_destroy $all
    wants 'all gone at once' count 1
    wants 'with their sockets' sockets 1
}

xenstored_dies() {
    local life
    life=$(xenstore-read /local/domain/8/unique-domain-id)
    domain_start 9 $C idle gpu_enabled true
    wants 'another VM' has $C domid 9
    peer_start "$(sock 8)" x 65543
    wants 'a device is connected' said "welcome $A"
    kill -STOP "$xenstored_pid"
    wants 'a xenstored that hangs stops nobody' admin list
    xen_kill
    wants 'it dies: that is told' health 'the connection to xenstored is lost|xenstored does not'
    wants 'and nothing else happens' has $A domid 8
    wants 'to nobody' has $C domid 9
    xen_start "$kind" || bad 'xenstored starts again'
    wants 'it is back, with an empty store' health ok
    wants 'who is connected still lives' has $A domid 8
    wants 'who is not does not' no_domain $C
    said end && bad 'the device was cut off'
    domain_build 8 $A 'web server' gpu_enabled true gpu_weight 14
    xenstore-write /local/domain/8/unique-domain-id "$life"
    "$domain" introduce 8
    wants 'the toolstack writes again' has $A weight 14
    wants 'the guest reads its state again' guest_reads 8 vgpu-mediator/state enabled
    said end && bad 'the device was cut off later'
    peer_stop
}

mediator_restarts() {
    peer_start "$(sock 8)" x 65543
    wants 'a device again' said "welcome $A"
    wants 'is counted, so the keeper has it' has $A peers 1
    mediator_stop -KILL
    host_starts auto
    wants 'a mediator that was killed: the VM is registered again' has $A domid 8
    wants 'and its device is its own' has $A peers 1
    xenstore-write /local/domain/8/platform/gpu_weight 15
    wants 'an edit takes effect' has $A weight 15
    said end && bad 'the device was cut off'
    mediator_stop -KILL
    xenstore-write /local/domain/8/platform/gpu_enabled 0
    host_starts auto
    wants 'the GPU was taken away meanwhile: the device is cut off' said end
    xenstore-write /local/domain/8/platform/gpu_enabled 1
    wants 'and given again' has_sock 8
    mediator_stop
    host_starts auto
    wants 'a new mediator finds the VM' has $A domid 8
    wants 'and its socket' has_sock 8
    domain_destroy 8
    wants 'the last one goes' count 0
    mediator_stop
    host_starts no
    wants 'none of this where it is not wanted' health off
    mediator_stop
}

for kind in xenstored oxenstored; do
    rm -rf "$work"/{qemu,run,xen,state,*.log}
    host_starts auto
    wants 'no xenstore: no complaint' health off
    xen_start $kind || exit 1
    wants 'one that comes later is found' health ok
    a_domain_starts
    guests_cannot_forge
    policy_is_edited
    devices_connect
    lives
    a_migration
    storm
    xenstored_dies
    mediator_restarts
    xen_kill
done
[ "$failures" = 0 ]
