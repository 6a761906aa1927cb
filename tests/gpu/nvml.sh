#!/bin/bash
# SPDX-License-Identifier: MIT
#
# NVML on a machine with a GPU, natively and through the product: nvidia-smi's output of
# both, and the status of every function that passes on what the host says, which must be
# equal. A program holds GPU memory meanwhile, so that there is a process to see.
#
#   tests/gpu/nvml.sh PRODUCT     PRODUCT has bin/ lib/ client/; files are left in $OUT
#
# Exit status 1: statuses differ, or something ended worse than natively.
set -u
product=$(cd "${1:?which product?}" && pwd)
out=${OUT:-$(mktemp -d)}/nvml
mkdir -p "$out"
bad=0

native() { VGPU_LOG=0 "$@"; }
# One mediator for all, as on a host: its processes see each other.
ours() { VGPU_SOCKET=$out/mediator.sock "$product/bin/vgpu-run" -- "$@"; }

"$product/bin/vgpu-mediator" --foreground --config /dev/null --socket "$out/mediator.sock" \
    --control-socket "$out/control.sock" --set state_dir= >"$out/mediator.log" 2>&1 &
mediator=$!
holders=
trap 'kill $holders $mediator 2>/dev/null; wait' EXIT

# both NAME COMMAND...: NAME.native and NAME.ours, at once; worse than natively is bad.
both() {
    local name=$1 rc_native rc_ours pid
    shift
    native timeout 30 "$@" >"$out/$name.native" 2>&1 &
    pid=$!
    ours timeout 30 "$@" >"$out/$name.ours" 2>&1
    rc_ours=$?
    wait $pid
    rc_native=$?
    printf '%-12s status %s natively, %s ours; %s and %s lines\n' "$name" $rc_native $rc_ours \
        "$(wc -l <"$out/$name.native")" "$(wc -l <"$out/$name.ours")"
    [ $rc_ours -le $rc_native ] || bad=1
}

# A program that draws: three seconds of it in a terminal of its own, less the control sequences.
drawn() {
    python3 - "$@" <<'END'
import os, pty, re, select, signal, sys, time
pid, terminal = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execvp(sys.argv[1], sys.argv[1:])
import fcntl, struct, termios
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 150, 0, 0))
text, end = b"", time.time() + 4
try:
    while time.time() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            text += os.read(terminal, 65536)
except OSError:
    pass
os.kill(pid, signal.SIGTERM)
print(re.sub(rb"\x1b[\[(][0-9;?]*[a-zA-Z]", b" ", text).decode(errors="replace"))
END
}

# nvtop_shows NAME: the device's name stands in what it draws.
nvtop_shows() {
    local nvtop side rc=0
    nvtop=$(command -v nvtop || echo "$product/nvtop/nvtop")
    [ -x "$nvtop" ] || { echo 'nvtop: none here'; return 0; }
    drawn "$nvtop" >"$out/nvtop.native" 2>&1
    drawn env VGPU_SOCKET="$out/mediator.sock" "$product/bin/vgpu-run" -- "$nvtop" >"$out/nvtop.ours" 2>&1
    for side in native ours; do
        grep -q "$1" "$out/nvtop.$side" && echo "nvtop $side: shows $1" && continue
        echo "nvtop $side: does not show $1"
        [ $side = native ] || rc=1
    done
    return $rc
}

show() { printf '\n---- %s, natively and ours\n' "$1"; cat "$out/$1.native" "$out/$1.ours"; }

for _ in $(seq 100); do [ -S "$out/mediator.sock" ] && break; sleep 0.1; done
native "$product/client/nvml-answers" --hold 60 & holders=$!
ours "$product/client/nvml-answers" --hold 60 & holders="$holders $!"
sleep 4
both smi nvidia-smi
both list nvidia-smi -L
both all nvidia-smi -q
both query nvidia-smi --format=csv --query-gpu=index,name,uuid,driver_version,pci.bus_id,memory.total,memory.used,memory.free,utilization.gpu,temperature.gpu,power.draw,clocks.sm,pstate
both apps nvidia-smi --format=csv --query-compute-apps=pid,process_name,used_memory
both dmon nvidia-smi dmon -c 2
both pmon nvidia-smi pmon -c 2
both topo nvidia-smi topo -m
both statuses "$product/client/nvml-answers"
both values "$product/client/nvml-answers" --values
both refused "$product/client/nvml-answers" --refused
both nonsense "$product/client/nvml" --nonsense
grep signal "$out/nonsense.ours" && bad=1
both client "$product/client/nvml"
ours "$product/client/nvml" --ours >"$out/client-ours.ours" 2>&1 || bad=1
nvtop_shows "$(sed -n 's/^[^,]*, *\([^,]*\),.*/\1/p' "$out/query.native" | sed -n 2p)" || bad=1
for name in smi list query apps dmon pmon topo; do show $name; done
printf '\n---- client: '; cat "$out/client.ours" "$out/client-ours.ours"
printf -- '---- nonsense that crashes NVIDIA'"'"'s NVML\n'
grep signal "$out/nonsense.native" || echo none
printf -- '---- statuses that differ (< natively, > ours); lists may\n'
diff "$out/statuses.native" "$out/statuses.ours" && echo none
diff <(grep '^nvmlDevice' "$out/statuses.native") <(grep '^nvmlDevice' "$out/statuses.ours") \
    >/dev/null || bad=1
printf -- '---- refused by us, answered natively\n'
diff <(grep '^refused' "$out/refused.native") <(grep '^refused' "$out/refused.ours") |
    sed -n 's/^< refused \(.* 0\)$/\1/p'
printf -- '---- nvidia-smi -q: lines of only one side, numbers apart\n'
diff <(sed 's/[0-9.]\+/#/g' "$out/all.native") <(sed 's/[0-9.]\+/#/g' "$out/all.ours")
exit $bad
