#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Images travel once: what a process of a VM has sent, the next one only names.
set -u
. "$(dirname "$0")/lib.sh"

client=$build/client/resend
as() { local vm=$1; shift; VGPU_SOCKET=$work/mediator.sock VGPU_VM_NAME=$vm "$bin/vgpu-run" -- "$@"; }
metric() {
    admin show-metrics --vm-name="$1" --json | tr -d ' \n' | grep -o "\"$2\":[0-9]*" | head -1 |
        cut -d: -f2
}
is() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'"; return 1; }; }
at_most() { [ "$1" -le "$2" ] || { echo "$1 is more than $2"; return 1; }; }

# counted VM: "images loaded / known", of executors that have ended.
counted() { within 20 no_executors && echo "$(metric "$1" images)/$(metric "$1" images_known)"; }

# Whether an executor was started with this in its environment.
environment() {
    local pid
    for pid in $(pgrep -P "$mediator" -f vgpu-executor); do
        tr '\0' '\n' <"/proc/$pid/environ" | grep -qx "$1" && return
    done
    return 1
}

mediator_start --set region_mib=16 --set image_cache_mib=16 --set prestart=1
check 'executors take large pages' within 20 environment GLIBC_TUNABLES=glibc.malloc.hugetlb=1

check 'a module of 300 KiB' as one "$client" 300 7
check 'was sent' is "$(counted one)" 1/0
before=$(metric one bytes_in)
check 'the same in another process' as one "$client" 300 7
check 'was named' is "$(counted one)" 2/1
check 'and hardly a byte came' at_most $(($(metric one bytes_in) - before)) 10000
check 'as a library' as one "$client" 300 7 library
check 'was named too' is "$(counted one)" 3/2
check 'another one of that length' as one "$client" 300 8
check 'was sent' is "$(counted one)" 4/2
check 'a small one' as one "$client" 8 7
check 'and again' as one "$client" 8 7
check 'always comes with its call' is "$(counted one)" 6/2
check 'another VM' as two "$client" 300 7
check 'sends for itself' is "$(counted two)" 1/0

# The cache holds 16 MiB, and one image at most half of that.
check 'a module of 15 MiB, in parts' as three "$client" 15000 1
check 'and again' as three "$client" 15000 1
check 'was too large to keep' is "$(counted three)" 2/0
check 'five of 6 MiB' eval 'for i in 1 2 3 4 5; do as three "$client" 6000 $i || exit 1; done'
check 'the last' as three "$client" 6000 5
check 'was known' is "$(counted three)" 8/1
check 'the first' as three "$client" 6000 1
check 'had made room' is "$(counted three)" 9/1

twice() {
    as four "$client" "$1" 1 & local other=$!
    as four "$client" "$1" 1 && wait $other
}
check 'two processes at once' twice 2000
check 'a third' as four "$client" 2000 1
check 'names what one of them sent' eval 'case $(counted four) in 3/[12]) ;; *) counted four; false;; esac'

# Which image comes next is known from the process before, and fetched while this one has work of its own.
ahead() {
    as five "$client" 1000 1,2,3,4 && within 20 no_executors && [ "$(metric five images_fetched)" -gt 0 ]
}
check 'four modules, one after the other' as five "$client" 1000 1,2,3,4
check 'were fetched by nobody' is "$(counted five) $(metric five images_fetched)" '4/0 0'
check 'in other processes the next one is there before it is asked for' within 30 ahead
check 'in another order they are right, too' as five "$client" 1000 3,1,4,2
check 'all of them were named' eval 'set -- $(counted five | tr / " "); [ $(($1 - $2)) = 4 ]'

# A daemon that takes over begins with empty shelves; what runs keeps the ones it has.
mediator_stop
GLIBC_TUNABLES=glibc.malloc.hugetlb=0 mediator_start --set image_cache_mib=0 --set prestart=1
check 'or what they are told' within 20 environment GLIBC_TUNABLES=glibc.malloc.hugetlb=0
check 'no cache' as one "$client" 300 7
check 'no cache, again' as one "$client" 300 7
check 'sends each time' is "$(counted one)" 2/0

echo "$failures failed"
[ $failures = 0 ]
