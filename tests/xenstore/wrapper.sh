#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 180
#
# vgpu-qemu-wrapper as xenopsd runs it, against the stock xenstored and oxenstored. What it
# runs in the end is a stand-in that says with which arguments and descriptors it was run.
# And vgpu-qemu-setup, which puts it there, on files as XCP-ng 8.2 and 8.3 have them.
set -u
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/xenstore/xen.sh
. "$top/tests/xenstore/xen.sh"
trap 'xen_kill; e2e_end' EXIT
kind=setup

[ "$(id -u)" = 0 ] || { echo "needs root: oxenstored's directory, other users' sockets"; exit 77; }
lacking=$(xen_lacks)
[ -z "$lacking" ] || { echo "missing: $lacking"; exit 77; }

A=aaaaaaaa-0000-4000-8000-00000000000a
export VGPU_QEMU_WRAPPER_CONFIG=$work/wrapper.conf

cat >"$work/qemu-wrapper" <<'END'
#!/bin/sh
for a; do printf '<%s>' "$a"; done
printf ' fds:'
for f in /proc/$$/fd/*; do printf ' %s' "${f##*/}"; done
sed -n 's/^Sig\(Blk\|Ign\):[[:space:]]*/ /p' /proc/$$/status | tr -d '\n'
echo
exit 7
END
chmod +x "$work/qemu-wrapper"
# What it has when it is run directly, descriptor 7 among it.
direct=$("$work/qemu-wrapper" 7</dev/null)
printf 'an emulator with vgpu-stub\0in it' >"$work/qemu"
printf 'an emulator with vgpu-stubs\0in it' >"$work/old-qemu"
# Where only that of XCP-ng 8.2 can be loaded, and none.
mkdir "$work/old" "$work/none"
echo none | tee "$work"/{old,none}/libxenstore.so.4 >"$work/none/libxenstore.so.3.0"
cp -L "$(ldconfig -p | sed -n 's/.*libxenstore.so.4 .*=> //p' | head -n 1)" "$work/old/libxenstore.so.3.0"
settings() { printf '%s\n' "wrapper = $work/qemu-wrapper" "$@" >"$work/wrapper.conf"; }

# runs TEXT EXPECTED ARGUMENT...: a regular expression for what the stand-in says.
runs() {
    local text=$1 expected=$2 said rc
    shift 2
    said=$("$build/bin/vgpu-qemu-wrapper" "$@" 7<"$work/qemu" 2>&1)
    rc=$?
    if [ $rc = 7 ] && printf '%s' "$said" | grep -Eq "^$expected\$"; then
        echo "ok      $kind: $text"
    else
        echo "NOT OK  $kind: $text: status $rc: $said"
        failures=$((failures + 1))
    fi
}
holds() { check "$kind: $1" "${@:2}"; }

# What ends a program does not end the start of a VM: while it waits for xenstored, it is hit.
survives() { # SIGNAL BIT
    "$build/bin/vgpu-qemu-wrapper" 5 --syslog -m size=1024 7<"$work/qemu" >"$work/said" 2>&1 &
    local pid=$!
    # Not the shell that becomes it.
    waits() { grep -q vgpu-qemu-wrapp "/proc/$pid/comm" && grep -q 'SigCgt:.*1$' <(catches "$1"); }
    catches() { echo "SigCgt: $(((0x$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/$pid/status") >> $1) & 1))"; }
    within 10 waits "$2" && kill "-$1" $pid
    wait $pid
    [ $? = 7 ] && grep -q "^$given fds:" "$work/said"
}

given='<5><--syslog><-m><size=1024>'
same=$given$direct
stub() { printf '<-device><vgpu-stub,%s>' "$1"; }

for kind in xenstored oxenstored; do
    rm -rf "$work"/{run,xen}
    settings "qemu = $work/qemu"
    runs 'no xenstore: unchanged' "$same" 5 --syslog -m size=1024
    xen_start $kind || exit 1
    domain_start 5 $A plain
    runs 'a VM without policy: unchanged' "$same" 5 --syslog -m size=1024
    xenstore-write /local/domain/5/platform/gpu_weight 80
    runs 'policy alone: unchanged' "$same" 5 --syslog -m size=1024
    xenstore-write /local/domain/5/platform/gpu_enabled maybe
    runs 'nonsense: unchanged' "$same" 5 --syslog -m size=1024
    xenstore-write /local/domain/5/platform/gpu_enabled true
    with="$given$(stub "addr=1e,socket=/vgpu.sock,root=/var/xen/qemu/root-5,vm=$A,size=256M,slots=16")$direct"
    runs 'gpu_enabled: the device' "$with" 5 --syslog -m size=1024
    LD_LIBRARY_PATH=$work/old runs "the older release's library" "$with" 5 --syslog -m size=1024
    LD_LIBRARY_PATH=$work/none runs 'none of the two: unchanged' "$same" 5 --syslog -m size=1024
    runs 'a slot that is taken is left alone' \
        "<5><-device><e1000,addr=0x1E>$(stub "socket=/vgpu.sock,root=/var/xen/qemu/root-5,vm=$A,size=256M,slots=16")$direct" \
        5 -device e1000,addr=0x1E
    runs 'another domain: unchanged' "<6>$direct" 6
    runs 'no domain: unchanged' "<5x><a b><>$direct" 5x 'a b' ''
    runs 'Dom0: unchanged' "<0>$direct" 0
    runs 'no argument: unchanged' "$direct"
    xenstore-chmod /local/domain/5/platform/gpu_enabled n5
    runs "the guest's own wish: unchanged" "$same" 5 --syslog -m size=1024
    xenstore-write /vgpu/vm/$A/gpu_enabled 1 /vgpu/vm/$A/identity i-2-34-VM
    settings "qemu = $work/qemu" 'size_mib = 64' 'slots = 8' 'slot =' 'root =' 'socket = /var/vgpu/m.sock'
    runs "the hook's wish, and other settings" \
        "$given$(stub 'socket=/var/vgpu/m.sock,vm=i-2-34-VM,size=64M,slots=8')$direct" 5 --syslog -m size=1024
    settings "qemu = $work/qemu" 'size_mib = many' 'colour = red' 'nonsense'
    runs 'settings with mistakes: what can be understood' \
        "$given$(stub 'addr=1e,socket=/vgpu.sock,root=/var/xen/qemu/root-5,vm=i-2-34-VM,size=256M,slots=16')$direct" \
        5 --syslog -m size=1024
    for wrong in 'size_mib = 100' 'slots = 64|size_mib = 16' 'slot = 99' 'slot = 2' 'slot = x' 'slot = 1e.9'; do
        IFS='|' read -r one other <<<"$wrong"
        settings "qemu = $work/qemu" "$one" "${other:-}"
        runs "$wrong, which QEMU would die of: as usual" \
            "$given$(stub 'addr=1e,socket=/vgpu.sock,root=/var/xen/qemu/root-5,vm=i-2-34-VM,size=256M,slots=16')$direct" \
            5 --syslog -m size=1024
    done
    settings "qemu = $work/qemu" 'slot = 0x1F' 'slots = 1' 'size_mib = 16'
    runs 'the smallest, in the last slot' \
        "$given$(stub 'addr=1f,socket=/vgpu.sock,root=/var/xen/qemu/root-5,vm=i-2-34-VM,size=16M,slots=1')$direct" \
        5 --syslog -m size=1024
    settings "qemu = $work/qemu" 'socket = /a,b'
    runs 'a comma: unchanged' "$same" 5 --syslog -m size=1024
    settings "qemu = $work/old-qemu"
    runs 'a QEMU without the device: unchanged' "$same" 5 --syslog -m size=1024
    settings "qemu = $work/none"
    runs 'no QEMU there: unchanged' "$same" 5 --syslog -m size=1024
    settings "qemu = $work/qemu"
    kill -STOP "$xenstored_pid"
    runs 'a xenstored that hangs: unchanged, in time' "$same" 5 --syslog -m size=1024
    trap '' ALRM # which a program inherits
    runs 'and where SIGALRM is ignored: unchanged, in time' "$given$("$work/qemu-wrapper" 7</dev/null)" \
        5 --syslog -m size=1024
    trap - ALRM
    # Linux' numbers less one. libxenstore ignores SIGPIPE while it waits.
    for signal in SEGV:10 BUS:6 ABRT:5 FPE:7 ILL:3 SYS:30; do
        holds "SIG${signal%:*} meanwhile: unchanged" survives "${signal%:*}" "${signal#*:}"
    done
    kill -CONT "$xenstored_pid"
    xen_kill
done

# ---- the setting ----

kind=setup
setup() { "$top/qemu-device/wrapper/vgpu-qemu-setup" "$@" --root "$work/host" >"$work/out" 2>&1; }
unset_again() { ! setup status; }
in_file() { grep -q '^upstream-compat-qemu-dm-wrapper = /usr/libexec/vgpu/vgpu-qemu-wrapper$' "$1"; }
once() { [ "$(grep -c vgpu-qemu-wrapper "$1")" = 1 ]; }
refuses() { ! setup "$@"; }
says() { grep -q "$1" "$work/out"; }

mkdir -p "$work/host/etc"
holds 'no xenopsd: refused' refuses enable
holds 'with a reason' says 'no xenopsd here'
conf=$work/host/etc/xenopsd.conf
printf '# xenopsd\nlog = syslog\n' >"$conf"
cp "$conf" "$work/before"
holds '8.2: enabled' setup enable
holds 'in its file' in_file "$conf"
holds 'and again' setup enable
holds 'is once' once "$conf"
holds 'and told' setup status
holds '8.2: disabled' setup disable
holds 'leaves nothing' cmp -s "$conf" "$work/before"
holds 'and told, too' unset_again
setup enable
mkdir "$work/host/etc/xenopsd.conf.d"
holds '8.3: enabled after an update' setup enable
holds 'in a file of its own' in_file "$work/host/etc/xenopsd.conf.d/50-vgpu.conf"
holds 'and no longer in the other' cmp -s "$conf" "$work/before"
holds '8.3: disabled' setup disable
holds 'leaves no file' [ ! -e "$work/host/etc/xenopsd.conf.d/50-vgpu.conf" ]
echo 'upstream-compat-qemu-dm-wrapper=/usr/lib64/xen/bin/qemu-wrapper' >>"$conf"
holds "the toolstack's own is no obstacle" setup enable
echo 'upstream-compat-qemu-dm-wrapper=/opt/other/wrapper' >>"$conf"
holds "somebody else's is" refuses enable
holds 'and named' says /opt/other/wrapper

[ "$failures" = 0 ]
