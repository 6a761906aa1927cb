#!/bin/bash
# SPDX-License-Identifier: MIT
#
# What being scheduled costs a VM that has the GPU to itself: instructions that the executor's gate
# and meter spend on a launch, counted by valgrind, with and without them (launches.c). A count is
# the same on a slow, busy machine. On an H200's host one launch takes the driver 3300 ns; half a
# per cent of that are 16 ns, in which the processors of such machines do 200 to 250 of these
# instructions (`make bench` measures the time, too).
set -u
tests=$(cd "${VG_BUILD:-$(dirname "$0")/../../build/release}" && pwd)/tests
most_open=220   # of the gate and meter of one launch; 173 with gcc 12
most_turns=330  # the same within turns; 263
most_look=220   # of a look at what a thread waits for, in vain; 165. Who waits is late by half of one

case ${VG_BUILD:-release} in
    *release) ;;
    *) echo 'counts are of optimised builds'; exit 77 ;;
esac
command -v valgrind >/dev/null || { echo 'no valgrind'; exit 77; }

# Without their debugging information, which valgrind does not read from every compiler.
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-cost.XXXXXX") || exit 1
trap 'rm -rf "$work"' EXIT
for program in launches launches-free; do
    strip -o "$work/$program" "$tests/$program" || exit 1
done

refs() {
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$@" 2>&1 >/dev/null |
        sed -n 's/.*I *refs: *//p' | tr -d ,
}
# each PROGRAM [turns]: instructions of one launch; what a run takes anyway drops out.
each() {
    local program=$work/$1 few many
    shift
    few=$(refs "$program" 10000 "$@") && many=$(refs "$program" 30000 "$@") || return 1
    echo $(((many - few) / 20000))
}

free=$(each launches-free) && open=$(each launches) && turns=$(each launches turns) || exit 1
echo "a launch takes the executor $free instructions; gate and meter take $((open - free)) more," \
    "$((turns - free)) while others may come"
[ "$free" -gt 100 ] && [ "$open" -gt "$free" ] && [ "$turns" -gt "$open" ] ||
    { echo 'these counts cannot be'; exit 1; }
# Of 5000 waits each; the second has ten looks more to each.
few=$(refs "$work/launches" 5000 waits 12) && many=$(refs "$work/launches" 5000 waits 22) || exit 1
look=$(((many - few) / 50000))
echo "a look at what is waited for takes $look instructions"
[ "$look" -gt 20 ] && [ "$look" -le $most_look ] || { echo "not within 20 and $most_look"; exit 1; }
[ $((open - free)) -le $most_open ] && [ $((turns - free)) -le $most_turns ] ||
    { echo "more than $most_open and $most_turns"; exit 1; }
