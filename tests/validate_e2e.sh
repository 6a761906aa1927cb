#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The checklist of a deployed host, filled in: what works, what does not, and the remedy.
#
#   validate_e2e.sh [--vm NAME --guest 'COMMAND...'] [options]
#
#   --vm NAME         a VM that may be disturbed: its programs are slowed down, ended and refused for
#                     some seconds. In the end it has what it had. As vgpu-admin list names it.
#   --guest 'WORDS'   runs a command line in it: 'ssh root@10.0.0.7'; the line follows as one word
#   --program 'LINE'  a CUDA program of yours in the guest, status 0 if its result is right
#   --control-socket PATH, --socket PATH     of the mediator, if they are elsewhere
#   --bin DIR         where vgpu-admin is, if not in PATH
#   --qemu PATH       the QEMU that VMs run on
#   --helpers DIR     where the guest has vgpu-guest-probe, if nothing is installed there
#   --patience S      for what takes a while (60)
#   --root DIR        look at the host's files below DIR
#
# Run it as root in Dom0. Without --vm only the host is looked at, and nothing changed. Exit
# status: 0 nothing has failed, 1 something has, 2 wrong usage.
set -u

vm='' guest='' program='' bin='' helpers=/usr/libexec root='' patience=60
control=/var/vgpu/control.sock socket=/var/vgpu/mediator.sock
qemu=/usr/lib64/xen/bin/qemu-system-i386
failed=0 passed=0 absent=0
said=$(mktemp) || exit 1
undo=()

usage() { sed -n '4,20s/^# \{0,1\}//p' "$0" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case $1 in
        --vm | --guest | --program | --bin | --qemu | --patience | --socket | --helpers | --root)
            [ $# -ge 2 ] || usage
            printf -v "${1#--}" %s "$2"; shift ;;
        --control-socket) [ $# -ge 2 ] || usage; control=$2; shift ;;
        *) usage ;;
    esac
    shift
done
[ -z "$bin" ] || PATH=$bin:$PATH
PATH=$PATH:/opt/xensource/bin:/usr/sbin:/sbin
[ -z "$guest" ] || [ -n "$vm" ] || usage

# What was changed is changed back, the last first, whatever happens. Values are others' words.
later() { undo+=("$(printf '%q ' "$@")"); }
put_back() {
    local i
    for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
        eval "${undo[i]}" >/dev/null 2>&1 || printf 'could not be changed back: %s\n' "${undo[i]}"
    done
    undo=()
}
trap 'put_back; rm -f "$said"' EXIT
trap 'exit 1' INT TERM

# ---- lines ------------------------------------------------------------------

pass() { passed=$((passed + 1)); printf 'PASS      %s\n' "$1"; }
fail() { failed=$((failed + 1)); printf 'FAIL      %s\n          remedy: %s\n' "$1" "$2"; }
not_here() { absent=$((absent + 1)); printf 'not here  %s (%s)\n' "$1" "$2"; }

# line TEXT REMEDY COMMAND...: what the command said follows a failure.
line() {
    local text=$1 remedy=$2
    shift 2
    if "$@" >"$said" 2>&1; then
        pass "$text"
    else
        fail "$text" "$remedy"
        tail -n 3 "$said" | cut -c 1-160 | sed 's/^/          | /'
        return 1
    fi
}

within() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.5
    done
}

# ---- the mediator's answers -------------------------------------------------

admin() { vgpu-admin "--socket=$control" "$@"; }
has() { command -v "$1" >/dev/null 2>&1; }
# member KEY: of JSON on standard input, the first of that name; strings and numbers.
member() { tr -d '\n' | grep -o "\"$1\": *\(\"[^\"]*\"\|[a-z0-9.-]*\)" | head -n 1 | sed 's/^[^:]*: *//; s/"//g'; }
health() { admin show-health --json | member "$1"; }
of_vm() { admin show-vm "--vm-name=$vm" --json | member "$1"; }
is() { [ "$1" = "$2" ] || { echo "$1, not $2"; return 1; }; }
vm_is() { is "$(of_vm "$1")" "$2"; }
vm_has_less_than() { [ "$(of_vm "$1")" -lt "$2" ]; }

# ---- the host ---------------------------------------------------------------

unit_runs() { systemctl -q is-enabled "$1" && systemctl -q is-active "$1"; }
closed_to_others() { case $(stat -c %a "$1") in *0) ;; *) stat -c '%a %n' "$1"; return 1 ;; esac; }
no_alerts() { admin show-health --json | tr -d ' \n' | grep -q '"alerts":\[\]' || admin show-health; }
gpu_usable() { is "$(health status)" ok || { health problem; return 1; }; }

host_mediator() {
    line "vgpu-mediator answers at $control" 'systemctl status vgpu-mediator; journalctl -u vgpu-mediator' \
        admin list || return 1
    if [ -d "$root/run/systemd/system" ] && systemctl cat vgpu-mediator >/dev/null 2>&1; then
        line 'its unit runs, and at boot' 'systemctl enable --now vgpu-mediator' unit_runs vgpu-mediator
    else
        not_here 'its unit' 'no systemd, or not installed as a package'
    fi
    line "its socket for devices, $socket" 'socket = in /etc/vgpu/mediator.conf' test -S "$socket"
    line 'only its user and group may administer' "chmod 660 $control; see admin_group in mediator.conf" \
        closed_to_others "$control"
    line "the GPU: $(health device), through $(health backend)" 'vgpu-admin show-health names the problem' \
        gpu_usable
    if [ "$(health backend)" = soft ]; then
        not_here "NVIDIA's driver" 'the software GPU serves; backend = cuda in mediator.conf wants the driver'
    else
        line "NVIDIA's driver is loaded" 'install it in Dom0; nvidia-smi there must show the GPU' \
            test -e /proc/driver/nvidia/version
    fi
    line "GPU memory is known: $(health gpu_memory_mib) MiB, free $(health gpu_memory_free_mib)" \
        'vgpu-telemetry cannot ask: its lines in the log say why' within 30 memory_known
    line 'no alerts' 'vgpu-admin show-health; README.md, Troubleshooting' no_alerts
}
memory_known() { [ "$(health gpu_memory_mib)" -gt 0 ]; }

host_qemu() {
    if [ -x "$qemu" ]; then
        line 'QEMU has the device vgpu-stub' 'install the QEMU with the device (qemu-device/README.md)' \
            "$qemu" -device vgpu-stub,help
    else
        not_here 'QEMU with the device' "no $qemu; --qemu names another"
    fi
    if [ -d "$root/etc/xenopsd.conf.d" ] || [ -e "$root/etc/xenopsd.conf" ]; then
        line 'xenopsd starts it with the wrapper' 'vgpu-qemu-setup enable; xe-toolstack-restart' \
            vgpu-qemu-setup status --root "$root"
    else
        not_here 'the wrapper of QEMU' 'no xenopsd on this host'
    fi
}

host_uuid() { sed -n "s/^INSTALLATION_UUID='\(.*\)'/\1/p" "$root/etc/xensource-inventory" 2>/dev/null; }
plugin() {
    local function=$1
    shift
    xe host-call-plugin "host-uuid=$(host_uuid)" plugin=vgpu "fn=$function" "${@/#/args:}"
}
published() { xe host-param-get "uuid=$(host_uuid)" param-name=tags | grep -qw vgpu; }
plots_written() { [ -n "$(find "$root/dev/shm/metrics/vgpu" -mmin -2)" ]; }

xenstore_heard() { is "$(health xenstore)" ok; }

host_toolstack() {
    if [ "$(health xenstore)" != off ] || [ -e /proc/xen/capabilities ]; then
        line 'the watcher hears xenstore' 'xenstore = yes in mediator.conf; the log says what vgpu-xenstore lacks' \
            within "$patience" xenstore_heard
    else
        not_here 'the watcher of xenstore' 'this host does not run Xen'
    fi
    if has xe; then
        line 'the plugin answers through XAPI' 'is /etc/xapi.d/plugins/vgpu there and executable?' plugin version
        line 'the pool sees the GPU (tag vgpu of this host)' 'systemctl start vgpu-publish; journalctl -u vgpu-publish' \
            published
    else
        not_here 'the plugin of XAPI' 'no xe on this host'
        not_here 'what is published to the pool' 'no xe on this host'
    fi
    if [ -d "$root/dev/shm/metrics" ]; then
        line 'plots for XenCenter and Xen Orchestra are written' 'systemctl restart vgpu-rrdd' plots_written
    else
        not_here 'plots' 'no xcp-rrdd on this host'
    fi
}

# ---- the guest --------------------------------------------------------------

# shellcheck disable=SC2086 # words
in_guest() { timeout "$((patience * 4))" $guest "$*" </dev/null; }
# Words that set p to the file NAME of install.sh, or else of the package.
find_installed() { echo "p=\$(grep -s '/$2\$' /etc/vgpu-guest.files) || p=$1/$2;"; }
probe() { in_guest "$(find_installed "$helpers" vgpu-guest-probe) \"\$p\" $*"; }
works() { probe | grep -q '^cuda-kernel right'; }
refused() { probe | tee /dev/stderr | grep -q '^cuda.*-error.*(46)'; }

# Its own list, with its own remedies.
guest_list() {
    local state text found=
    in_guest "$(find_installed /usr/sbin vgpu-guest-check) \"\$p\"" >"$said" 2>&1
    while read -r state text; do
        case $state in
            pass) pass "guest: $text"; found=yes ;;
            FAIL) read -r _ remedy; fail "guest: $text" "${remedy:-see the guest}"; found=yes ;;
        esac
    done < <(cat "$said")
    [ -n "$found" ] || fail "guest: install.sh --check runs" \
        "is it installed there, and does \"$guest 'true'\" work? It said: $(tail -n 1 "$said")"
}

counts_more() { [ "$(of_vm "$1")" -gt "${2:-0}" ]; }
guest_works() {
    local calls
    calls=$(of_vm calls)
    line 'a CUDA program in the VM: the result is right' 'the lines above say what is missing' works || return 1
    line 'the mediator has counted its calls' "is --vm=$vm the VM of --guest?" \
        within "$patience" counts_more calls "$calls" || return 1
    if [ -n "$program" ]; then
        line "$program" 'VGPU_LOG=2 in its environment says what it lacks' in_guest "$program"
    else
        not_here 'a program of yours' '--program'
    fi
}

# ---- policy -----------------------------------------------------------------

from_toolstack() { [ -n "$(of_vm domid)" ]; }
node() { echo "/local/domain/$(of_vm domid)/platform/gpu_$1"; }

# set_key NAME VALUE: where this VM's policy comes from. An empty value takes it away.
set_key() {
    if ! from_toolstack; then
        admin "set-${1%_*}" "--vm-name=$vm" "--$1=$2"
    elif has xe && [ -n "$2" ]; then
        plugin set "vm_uuid=$(of_vm uuid)" "$1=$2"
    elif has xe; then
        plugin unset "vm_uuid=$(of_vm uuid)" "keys=$1"
    elif [ -n "$2" ]; then
        xenstore-write "$(node "$1")" "$2"
    else
        xenstore-rm "$(node "$1")"
    fi
}
key_now() {
    if ! from_toolstack; then
        of_vm "$1"
    elif has xe; then
        xe vm-param-get "uuid=$(of_vm uuid)" param-name=platform "param-key=gpu_$1" 2>/dev/null
    else
        xenstore-read "$(node "$1")" 2>/dev/null
    fi
}
edited() { set_key weight "$1" && within "$patience" vm_is weight "$1"; }

policy_edit() {
    local weight=77
    [ "$(of_vm weight)" != 77 ] || weight=78
    later set_key weight "$(key_now weight)"
    line "a change of policy takes effect: weight $weight" \
        'vgpu-admin show-vm tells which keys were not taken, and why' edited $weight
    put_back
}

# More calls than allowed: they are slowed down, not lost.
held_back() {
    local before
    before=$(of_vm busy)
    probe --load 60 | grep -q '^cuda-launches 60$' && within "$patience" counts_more busy "$before"
}
limits() {
    later admin set-rate-limit "--vm-name=$vm" "--rate=$(of_vm rate)" "--queue-depth=$(of_vm queue_depth)"
    admin set-rate-limit "--vm-name=$vm" --rate=30 --queue-depth=8 >/dev/null 2>&1
    line 'beyond its rate a VM is told BUSY, and its program ends well' 'vgpu-admin show-metrics: BUSY' held_back
    put_back
}

# ---- quarantine, the end ----------------------------------------------------

quarantine() {
    later admin clear-quarantine "--vm-name=$vm"
    line 'quarantine' 'vgpu-admin show-health names what cannot be written' \
        admin quarantine "--vm-name=$vm" --reason=validation
    line 'in quarantine its programs are refused, with error 46' 'vgpu-admin events' refused
    line 'clear-quarantine' 'vgpu-admin show-vm' admin clear-quarantine "--vm-name=$vm" && undo=()
    line 'and they work again' 'vgpu-admin events' works
}

nothing_held() { vm_is executors 0 && vm_is memory_bytes 0; }
busy_now() { [ "$(of_vm executors)" -ge 1 ]; }
# A program that would never end, in the background; killed without goodbye after a while.
endless() {
    in_guest "$(find_installed "$helpers" vgpu-guest-probe) timeout -s KILL $1 \"\$p\" --load 100000000"
}

taken_away() { set_key enabled false && within "$patience" nothing_held; }
given_back() { set_key enabled true && within "$patience" works; }
frees_toolstack() {
    later set_key enabled true
    endless $((patience * 2)) >/dev/null 2>&1 &
    line 'a program runs' 'vgpu-admin events' within "$patience" busy_now
    line 'gpu_enabled=false takes the GPU away: executors end, memory is free' 'vgpu-admin events' taken_away
    line 'gpu_enabled=true gives it back' 'vgpu-admin events; the log of QEMU of this VM' given_back
    wait $!
    put_back
}

policy_words() {
    local key
    for key in pool priority weight rate burst queue_depth memory_mib; do
        [ "$key" = memory_mib ] && echo "--memory=$(of_vm $key)M" || echo "--${key//_/-}=$(of_vm $key)"
    done
}
unregistered() {
    admin unregister-vm "--vm-name=$vm" && ! admin list --json | tr -d ' \n' |
        grep -q "\"name\":\"$vm\",\"registered\":true"
}
frees_plain() {
    local words
    words=$(policy_words | tr '\n' ' ')
    endless 8 >/dev/null 2>&1 &
    line 'a program runs' 'vgpu-admin events' within "$patience" busy_now
    wait $!
    line 'it was killed: its executor ends, its memory is free' 'vgpu-admin events' within "$patience" nothing_held
    # shellcheck disable=SC2086 # words
    later admin register-vm "--vm-name=$vm" $words
    line 'unregister-vm: nothing of it is left' 'vgpu-admin list' unregistered
    put_back
    line 'register-vm: it has what it had' 'vgpu-admin list' is "$(policy_words | tr '\n' ' ')" "$words"
}

# ---- all --------------------------------------------------------------------

the_vm() {
    line "VM $vm is registered" \
        'vgpu-admin register-vm; on XCP-ng: xe vm-param-set uuid=U platform:gpu_enabled=true, and start it' \
        vm_is registered true || return
    if [ -z "$guest" ]; then
        not_here 'all that a guest must do' '--guest'
        return
    fi
    guest_list
    guest_works || return
    policy_edit
    limits
    quarantine
    if from_toolstack; then frees_toolstack; else frees_plain; fi
}

echo "vgpu, checklist of $(hostname), $(date '+%Y-%m-%d %H:%M')"
if host_mediator; then
    host_qemu
    host_toolstack
    if [ -n "$vm" ]; then the_vm; else not_here 'a VM' '--vm, --guest'; fi
fi
echo "$passed passed, $failed failed, $absent not here"
[ $failed = 0 ]
