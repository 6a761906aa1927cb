#!/bin/bash
# SPDX-License-Identifier: MIT
#
# In Dom0 of real Xen: the whole product with real guests. check-xen.sh boots it.
# Usage: check.sh BUILD-DIRECTORY; expects xen-boot's variables.
set -u
. "$(dirname "$0")/lib.sh"
build=$1
run=/run/vgpu
one=11111111-1111-4111-8111-111111111111
two=22222222-2222-4222-8222-222222222222
three=33333333-3333-4333-8333-333333333333
failures=0

check() { # text, then a command that must succeed
    local text=$1 start=$SECONDS
    shift
    if "$@" >"$TMPDIR/out" 2>&1; then
        echo "ok      $text ($((SECONDS - start)) s)"
    else
        echo "NOT OK  $text ($((SECONDS - start)) s)"
        sed 's/^/        | /' "$TMPDIR/out" | tail -n 40
        failures=$((failures + 1))
    fi
}

# ---- the host ----

settings() {
    mkdir -p $run/state
    cat >$run/conf <<END
socket = $run/mediator.sock
control_socket = $run/control.sock
state_dir = $run/state
domain_socket = /run/xen/qemu/root-{domid}/vgpu.sock
domain_uid_base = 65535
backend = soft
prestart = 0
END
    cat >$run/wrapper.conf <<END
wrapper = $xen_here/qemu-wrapper
qemu = $XEN_QEMU
root = /run/xen/qemu/root-{domid}
size_mib = 16
slots = 8
END
    export VGPU_QEMU_WRAPPER_CONFIG=$run/wrapper.conf XEN_WRAPPER=$build/bin/vgpu-qemu-wrapper
}

mediator_start() {
    "$build/bin/vgpu-mediator" --foreground --config "$run/conf" >>/mnt/out/mediator.log 2>&1 &
    mediator=$!
    within 60 admin list
}
mediator_restart() { # what else to kill
    kill -KILL "$mediator" "$@" || return 1
    wait "$mediator"
    mediator_start
}
admin() { "$build/bin/vgpu-admin" --socket "$run/control.sock" "$@"; }
policy() { # uuid key value
    xenstore-write "/vgpu/vm/$1/gpu_$2" "$3"
}
# Root in Dom0 they are not, though they map a domain's memory.
executors_are_confined() {
    ps -o uid,cmd -C vgpu-executor
    [ "$(ps -o uid= -C vgpu-executor | sort -n | head -n 1)" -gt 2100000000 ]
}
executors() { pgrep -x vgpu-executor | sort | tr '\n' ' '; }
executors_are() { [ "$(pgrep -cx vgpu-executor)" = "$1" ]; }
free_mib() { xl info | sed -n 's/^free_memory *: //p'; }

# ---- guests ----

is_registered() { admin show-vm "$1" | grep -q 'registered *yes'; }
is_unregistered() { admin show-vm "$1" | grep -q 'registered *no'; }
weight_is() { admin show-vm "$1" | grep -w "$2"; }
is_gone() { ! xl domid "$1" 2>/dev/null; }
no_guests() { xl list; [ "$(xl list | wc -l)" = 2 ]; } # a zombie counts
qemu_is_confined() {
    local pid
    pid=$(guest_qemu "$1")
    ls -l "/proc/$pid/root"
    grep -E '^(Uid|CapEff)' "/proc/$pid/status"
    [ "$(stat -c %u "/proc/$pid")" = $((65535 + $(guest_id "$1"))) ] &&
        [ "$(readlink "/proc/$pid/root")" = "/run/xen/qemu/root-$(guest_id "$1")" ]
}
has_memory_above_4g() { guest_run "$1" 60 "grep -E '^1[0-9a-f]{8}-.*System RAM' /proc/iomem"; }

# Programs that check their results; BAR1 is the guest's memory all the while.
works() { # guest, how often the device may have served BAR1 so far: 0
    guest_run "$1" 900 "patient vectoradd && patient reduce" || return 1
    traps_are "$1" "${2:-0}"
}
traps() { guest_run "$1" 60 vm-probe traps; }
traps_are() {
    local traps
    traps=$(traps "$1")
    echo "$1: BAR1 was served by the device $traps times, not $2"
    [ "$traps" = "$2" ]
}
both() { # command: with each of the two, at the same time
    local first rc=0
    "$@" one &
    first=$!
    "$@" two || rc=1
    wait $first && return $rc
}
link_is() { [ "$(guest_run "$1" 60 vm-probe status)" = "$2" ]; }

# A program in the middle of something.
storm_starts() {
    guest_run "$1" 60 'touch /tmp/go /tmp/running; { patient storm launch /tmp/go >/tmp/storm 2>&1; rm /tmp/running; } &' || return 1
    within 300 guest_run "$1" 60 'grep "storm of" /tmp/storm || ! [ -e /tmp/running ]'
    guest_run "$1" 60 'cat /tmp/storm; [ -e /tmp/running ]'
}
storm_rounds() { guest_run "$1" 60 'grep -c "^round" /tmp/storm'; }
storm_has_done() { [ "$(storm_rounds "$1")" -gt "$2" ]; }
storm_ends() {
    guest_run "$1" 60 rm /tmp/go
    within 300 guest_run "$1" 60 '! [ -e /tmp/running ]'
    guest_run "$1" 60 'cat /tmp/storm; grep -q "^ok: " /tmp/storm'
}

# ---- what is tested ----

two_boot() {
    # Parked where who saves it has least to look through.
    guest_start one $one 256 2 -global vgpu-stub.x-parking=4G || return 1
    # With more than it would have to have for its parking place to be free.
    XEN_GUEST=$XEN_GUEST_MORE guest_start two $two 4000 3 -global vgpu-stub.x-parking=256M || return 1
    guest_boots one && guest_boots two
}
not_parked_in_memory() {
    grep moved /var/log/xen/qemu-dm-two.log
    ! grep -q 'at frame 0x10000$' /var/log/xen/qemu-dm-two.log
}
bar1_moves() {
    guest_run one 120 move-bar || return 1
    within 30 link_is one 'up 1' && works one
}
computing_goes_on() {
    local before
    both storm_starts || return 1
    before=$(executors)
    executors_are 2 && executors_are_confined && mediator_restart || return 1
    both storm_ends || return 1
    echo "executors were $before"
}
confined_qemu_comes_back() {
    mediator_restart "$(pgrep -x vgpu-keeper)" || return 1
    within 60 link_is one 'up 2' && works one
}
# What XCP-ng has besides Xen: a XAPI (the tests'), its plugin, what is published to it, plots,
# xenopsd's setting.
toolstack() {
    local host=aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee tests=$xen_here/../..
    export VGPU_XAPI_SOCKET=$run/xapi VGPU_CONTROL_SOCKET=$run/control.sock VG_PLUGIN=$build/bin/vgpu \
        VGPU_PLUGIN_LOCK=$run/lock VGPU_PLUGIN_DEADLINE_MS=120000 VGPU_INVENTORY=$run/host/etc/xensource-inventory
    mkdir -p $run/host/etc/xenopsd.conf.d $run/host/dev/shm/metrics $run/tools
    echo "INSTALLATION_UUID='$host'" >$VGPU_INVENTORY
    ln -s "$tests/xapi/xe.py" $run/tools/xe
    ln -s "$tests/../qemu-device/wrapper/vgpu-qemu-setup" $run/tools/
    xenstore-write /vm/$two/domains/"$(guest_id two)" '' # as xenopsd, by which the plugin finds it
    PYTHONDONTWRITEBYTECODE=1 "$tests/xapi/serve.py" $run/xapi $two two platform:gpu_enabled=true >/mnt/out/xapi.log 2>&1 &
    stack=$!
    "$build/bin/vgpu-rrdd" --file $run/host/dev/shm/metrics/vgpu --socket $run/control.sock >/mnt/out/rrdd.log 2>&1 &
    stack="$stack $!"
    $run/tools/vgpu-qemu-setup enable --root $run/host && within 120 test -S $run/xapi &&
        "$build/bin/vgpu-publish" && within 60 test -e $run/host/dev/shm/metrics/vgpu
}
# The mission's list, as on a deployed host, filled in.
checklist() {
    local made='mkdir -p /etc/ld.so.conf.d /etc/udev/rules.d; echo "include /etc/ld.so.conf.d/*.conf" >/etc/ld.so.conf'
    guest_run two 600 "$made; sh /product/install.sh" || return 1
    "$xen_here/../../validate_e2e.sh" --vm $two --guest "$xen_here/guest-run two" --program vectoradd \
        --control-socket $run/control.sock --socket $run/mediator.sock --bin "$build/bin" \
        --qemu "$XEN_QEMU" --patience 150 --root $run/host >/mnt/out/checklist 2>&1
}
# Here is no systemd, and no GPU.
checklist_is_whole() { [ "$(grep -c '^not here' /mnt/out/checklist)" = 2 ]; }
# It stays here, and its program loses nothing.
checkpoint_loses_nothing() {
    local before
    storm_starts one && guest_checkpoints one || return 1
    before=$(storm_rounds one)
    within 100 storm_has_done one "$before"
}
# To another QEMU: the program is told what it has lost; those that come later have a GPU.
migrates() {
    guest_migrates one || return 1
    within 300 guest_run one 60 '! [ -e /tmp/running ]' || return 1
    guest_run one 60 'cat /tmp/storm; ! grep "^ok: " /tmp/storm && grep -qi suspended /tmp/storm' &&
        within 60 is_registered $one && works one "$(traps one)"
}
reboots() {
    guest_reboots one && guest_boots one || return 1
    within 60 is_registered $one && weight_is $one 33 && works one
}
hung_executor_is_no_obstacle() {
    local hung
    storm_starts two || return 1
    hung=$(executors)
    # shellcheck disable=SC2086 # one or more
    kill -STOP $hung || return 1
    xl destroy two
    within 120 is_gone two && within 120 executors_are 0
}
lost_region_costs_only_the_gpu() {
    guest_start three $three 320 3 -global vgpu-stub.x-fail-move=4 || return 1
    guest_boots three || return 1
    grep 'cannot move the shared region' /var/log/xen/qemu-dm-three.log || return 1
    guest_run three 60 vm-probe status
    guest_run three 60 'echo the guest lives; ! vectoradd' || return 1
    executors_are 0
}
destroyed() {
    xl destroy "$1"
    within 60 is_gone "$1"
}
memory_is_back() { # MiB that were free; Xen itself may need some
    echo "free: $(free_mib) MiB, before: $1"
    [ "$(free_mib)" -ge $(($1 - 8)) ]
}

settings
check 'the mediator starts' mediator_start
for uuid in $one $two $three; do policy $uuid enabled true; done
policy $one weight 80
free=$(free_mib)
check 'two guests boot' two_boot
check 'QEMU has given up its rights' qemu_is_confined one
check 'their VMs are registered by themselves' eval 'within 60 is_registered $one && within 60 is_registered $two'
check 'one has memory above 4 GiB' has_memory_above_4g two
check 'its region was parked where it has none' not_parked_in_memory
check 'CUDA programs in both' both works
admin list
check 'a toolstack beside it' toolstack
check 'the checklist of a deployed host' eval 'PATH=$run/tools:$PATH checklist'
sed 's/^/        /' /mnt/out/checklist
check 'of which all is there but a unit and a driver' checklist_is_whole
# shellcheck disable=SC2086 # two
kill $stack
check 'a change of policy' eval 'policy $one weight 33; within 60 weight_is $one 33'
check 'the guest gives BAR1 another place' bar1_moves
check 'the mediator is killed and replaced while both compute' computing_goes_on
check 'QEMU finds the next mediator from where it is confined' confined_qemu_comes_back
check 'a guest is destroyed while its executor hangs' hung_executor_is_no_obstacle
check 'a guest reboots' reboots
check 'a guest that computes is saved, and goes on' checkpoint_loses_nothing
check 'and is migrated: it is told, and has a GPU' migrates
check 'a region that is lost half-way costs a guest its GPU only' lost_region_costs_only_the_gpu
check 'the guests are destroyed' eval 'destroyed one && destroyed three'
check 'no domain and no executor is left' within 60 eval 'executors_are 0 && no_guests'
check 'all their memory is back' within 120 memory_is_back "$free"
check 'their VMs are unregistered' within 60 eval 'is_unregistered $one && is_unregistered $two'
xl list
cp /var/log/xen/* /mnt/out/ 2>/dev/null
kill -INT $mediator
wait $mediator
echo "$failures failures after $(cut -d ' ' -f 1 /proc/uptime) s"
[ $failures = 0 ]
