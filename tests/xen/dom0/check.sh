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

mediator_start() {
    "$build/bin/vgpu-mediator" --foreground --config "$run/conf" >>/mnt/out/mediator.log 2>&1 &
    mediator=$!
    within 20 admin list
}
admin() { "$build/bin/vgpu-admin" --socket "$run/control.sock" "$@"; }
field() { admin list --json | tr -d ' \n' | grep -o "\"name\":\"$1\"[^}]*" | grep -q "$2"; }

policy() { # uuid key value
    xenstore-write "/vgpu/vm/$1/gpu_$2" "$3"
}
boot() { # name uuid memory processor
    guest_start "$1" "$2" "$3" "$4" && within 240 guest_is_ready "$1"
}
traps_are_none() { [ "$(guest_run "$1" 60 vm-probe traps)" = 0 ]; }
work() { # guest: programs whose results the guest checks
    guest_run "$1" 240 "vectoradd && reduce" || return 1
    traps_are_none "$1"
}
no_executors() { ! pgrep -x vgpu-executor; }
ready_in() { # guest: how long its kernel took
    sed -n 's/^ready/user space of the guest/p' "$(guest_log "$1")"
}
domain_gone() { ! xl domid "$1"; }
no_domains() { [ "$(xl list | wc -l)" = 2 ]; }
moved() { # the guest gives BAR1 another place
    guest_run "$1" 60 "move-bar"
}

mkdir -p $run/state
cat >$run/conf <<EOF
socket = $run/mediator.sock
control_socket = $run/control.sock
state_dir = $run/state
domain_socket = $run/{domid}.sock
backend = soft
prestart = 0
EOF
check 'the mediator starts' mediator_start
policy $one enabled true
policy $one weight 80
policy $two enabled true
check 'a guest boots' boot one $one 320 2
check 'its VM is registered by itself' within 20 admin show-vm $one
check 'CUDA programs in it' work one
admin list
check 'a change of policy' eval 'policy $one weight 33; within 20 eval "admin show-vm $one | grep -w 33"'
check 'the guest is destroyed' eval 'xl destroy one; within 30 domain_gone one'
check 'nothing of it is left' within 30 eval 'no_executors && no_domains'
check 'its VM is unregistered' within 60 eval 'admin show-vm $one | grep -q "registered *no"'
xl list
cp /var/log/xen/* /mnt/out/ 2>/dev/null
kill -INT $mediator
wait $mediator
echo "$failures failures after $(cut -d ' ' -f 1 /proc/uptime) s"
[ $failures = 0 ]
