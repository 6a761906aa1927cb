#!/bin/bash
# SPDX-License-Identifier: MIT
#
# VMs that share one GPU take turns: real processes on the software GPU. What counts is the GPU
# time that each was charged, and each always has work waiting: so its part is what was configured
# however busy this machine is, and however long that takes. What is owed at any moment is a turn
# or two, so a part comes the nearer to what it shall be the longer one looks.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/lib.sh"

flood=$build/client/flood
# Each launch is a graph that takes milliseconds, so that what the guest's own process does is
# little of it.
load=(--graph 20 --words 20000)
jobs_of=()

# flood_start VM OPTION...: in the background, until flood_end.
flood_start() {
    local vm=$1 name=${#jobs_of[@]}
    shift
    VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm "$vm" -- "$flood" "$@" \
        --file "$work/stop" >"$work/flood.$name" 2>&1 &
    jobs_of+=($!)
    within 30 grep -qs ready "$work/flood.$name"
}

# All end, each with the right result.
flood_end() {
    local pid ok=0
    touch "$work/stop"
    for pid in "${jobs_of[@]}"; do wait "$pid" || ok=1; done
    [ $ok = 0 ] || cat "$work"/flood.*
    jobs_of=()
    rm -f "$work"/flood.* "$work/stop"
    return $ok
}

# number VM MEMBER
number() {
    admin --json show-metrics "$1" | tr ',{' '\n\n' | sed -n "s/^ *\"$2\": *\([0-9]*\).*/\1/p" |
        head -n 1
}

charged() { number "$1" gpu_charged_ns; }

enough=2000  # ms of GPU time to look at, at least

# look VM VM: sets got1 and got2 to the ms of GPU time that they got since begin_look.
begin_look() { from1=$(charged "$1") from2=$(charged "$2"); }
look() {
    got1=$((($(charged "$1") - from1) / 1000000))
    got2=$((($(charged "$2") - from2) / 1000000))
}
# is_near PERMILLE LOW HIGH
is_near() { [ "$2" -le "$1" ] && [ "$1" -le "$3" ]; }

# gets VM VM LOW HIGH: of what both got together, the first got between so many thousandths, and
# half a second later it still is so; within half a minute.
gets() {
    local deadline=$((SECONDS + 30)) part= near=0
    sleep 0.5
    begin_look "$1" "$2"
    while [ $SECONDS -lt $deadline ]; do
        sleep 0.5
        look "$1" "$2"
        [ $((got1 + got2)) -ge $enough ] || continue
        part=$((1000 * got1 / (got1 + got2)))
        if is_near $part "$3" "$4"; then near=$((near + 1)); else near=0; fi
        [ $near -lt 2 ] || break
    done
    echo "$1 got $got1 ms, $2 got $got2 ms: ${part:-too little} in 1000" | tee -a "$work/shares"
    [ -n "$part" ] && is_near $part "$3" "$4"
}

policy() { # VM PRIORITY WEIGHT
    admin register-vm --vm-name="$1" --pool=A --priority="$2" --weight="$3" >/dev/null
}

alone() {
    policy solo medium 10 && flood_start solo "${load[@]}" --depth 8 || return 1
    sleep 1
    flood_end || return 1
    [ "$(number solo gpu_ns)" -gt 100000000 ] || { echo "no GPU time"; return 1; }
    [ "$(number solo turns)" = 0 ] && [ "$(number solo gate_wait_ns)" = 0 ]
}

weights() {
    policy a medium 80 && policy b medium 20 || return 1
    flood_start a "${load[@]}" --depth 8 && flood_start b "${load[@]}" --depth 8 || return 1
    gets a b 780 820
}

# The same two go on: the change acts without a pause.
weights_change() {
    policy a medium 20 && policy b medium 80 || return 1
    gets b a 780 820 && flood_end
}

depth() {
    policy deep medium 50 && policy shallow medium 50 || return 1
    flood_start deep "${load[@]}" --depth 32 && flood_start shallow "${load[@]}" --depth 2 ||
        return 1
    gets shallow deep 470 530 && flood_end
}

processes() {
    local i
    policy many medium 50 && policy one medium 50 || return 1
    for i in 1 2 3 4; do flood_start many "${load[@]}" --depth 4 || return 1; done
    flood_start one "${load[@]}" --depth 8 || return 1
    gets one many 470 530 && flood_end
}

classes() {
    policy high high 50 && policy low low 50 || return 1
    flood_start low "${load[@]}" --depth 8 && flood_start high "${load[@]}" --depth 8 || return 1
    gets high low 940 995 && flood_end
}

# Two pools on one GPU, 4 to 1, and the lesser one's VM has the greater weight.
pools() {
    admin register-vm --vm-name=rich --pool=big --priority=medium --weight=1 >/dev/null &&
        admin register-vm --vm-name=poor --pool=small --priority=medium --weight=99 >/dev/null ||
        return 1
    flood_start rich "${load[@]}" --depth 8 && flood_start poor "${load[@]}" --depth 8 || return 1
    gets rich poor 780 820 && flood_end
}

executor_of() {
    admin --json show-vm "$1" | tr ',{' '\n\n' | sed -n 's/^ *"pid": *\([0-9]*\).*/\1/p' | head -n 1
}

has_grown() { [ "$(number "$1" launches)" -gt "$2" ]; }

# Its turn, if it has one, goes on to the other at once.
killed() {
    local pid before i
    policy dies medium 99 && policy lives medium 1 || return 1
    flood_start lives "${load[@]}" --depth 8 || return 1
    for i in 1 2; do
        rm -f "$work/dies"
        VGPU_SOCKET=$work/mediator.sock "$bin/vgpu-run" --vm dies -- "$flood" "${load[@]}" 20 \
            >"$work/dies" 2>&1 &
        within 30 grep -qs ready "$work/dies" || return 1
        sleep 0.3
        pid=$(executor_of dies)
        kill -9 "$pid" || return 1
        wait $! 2>/dev/null
        before=$(number lives launches)
        within 20 has_grown lives $((before + 100)) || return 1
    done
    flood_end
}

mediator_start --set prestart=2 --set 'pool.big=gpu 0 share 80' \
    --set 'pool.small=gpu 0 share 20' || exit 1
check "a VM alone waits for no gate" alone
check "weights 80 and 20 show in the time got" weights
check "a change of weights acts at once" weights_change
check "a deep queue buys nothing" depth
check "many processes buy nothing" processes
check "a high class has all but the floor of a low one" classes
check "pools have their shares" pools
check "an executor's death passes its turn on" killed
cat "$work/shares"
exit $((failures > 0))
