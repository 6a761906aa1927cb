# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced by the scripts here: a world of domains without a hypervisor, made of a stock
# xenstored or oxenstored (fake_xen.c stands in for Xen), and VMs as xenopsd makes them.
# Wants tests/e2e/lib.sh; everything lies in $work, which it opens to other users.
# shellcheck disable=SC2154

xen_dir=/usr/lib/xen-4.17/bin
chmod 755 "$work"
fake=$build/tests/libfake-xen.so
domain=$build/tests/xen-domain
export XENSTORED_RUNDIR=$work/run XENSTORED_PATH=$work/run/socket VG_FAKE_XEN=$work/xen
xenstored_pid=
lives=10000000

# What is missing for this, or nothing.
xen_lacks() {
    local f
    for f in "$fake" "$domain" "$xen_dir/xenstored" "$xen_dir/oxenstored" "$(command -v xenstore-write)"; do
        [ -e "$f" ] || { echo "the packages of tools/packages/tests.txt (no ${f:-xenstore-write})"; return; }
    done
}

# comes TEXT COMMAND...: within some seconds it succeeds.
comes() {
    local text=$1
    shift
    check "$text" within "${VG_TEST_PATIENCE:-30}" "$@"
}

# xen_start xenstored|oxenstored: with an empty store; domains that exist are unknown to it.
xen_start() {
    mkdir -p "$work/run" "$work/xen"
    head -c 4096 /dev/zero >"$work/xen/ring-0"
    printf 1 >"$work/xen/xsd_port"
    rm -f "$work/run/socket"
    if [ "$1" = xenstored ]; then
        LD_PRELOAD=$fake "$xen_dir/xenstored" -N >>"$work/xenstored.out" 2>&1 &
    else
        printf '%s\n' "pid-file = $work/run/pid" "xenstored-kva = $work/xen/ring-0" \
            "xenstored-port = $work/xen/xsd_port" "xenstored-log-file = $work/oxenstored.log" \
            "persistent = false" >"$work/oxenstored.conf"
        LD_PRELOAD=$fake "$xen_dir/oxenstored" --no-fork --config-file "$work/oxenstored.conf" \
            >>"$work/xenstored.out" 2>&1 &
    fi
    xenstored_pid=$!
    within 20 xenstore-ls / >/dev/null 2>&1 || { echo "$1 does not start:"; cat "$work/xenstored.out"; return 1; }
}

xen_kill() {
    [ -n "$xenstored_pid" ] && kill -KILL "$xenstored_pid" 2>/dev/null
    wait "$xenstored_pid" 2>/dev/null
    xenstored_pid=
}

# domain_build DOMID UUID LABEL [KEY VALUE]...: all that xenopsd writes before it introduces a domain.
domain_build() {
    local n=$1 uuid=$2 label=$3 home=/local/domain/$1
    local pairs=()
    shift 3
    while [ $# -ge 2 ]; do pairs+=("$home/platform/$1" "$2"); shift 2; done
    "$domain" create "$n"
    xenstore-write "$home" ''
    xenstore-chmod "$home" n0 "r$n"
    xenstore-write "$home/vm" "/vm/$uuid" "$home/name" "$label" "$home/domid" "$n" \
        "$home/vm-data" '' "/vm/$uuid/uuid" "$uuid" "/vm/$uuid/name" "$label" \
        "$home/unique-domain-id" "${uuid:0:28}$((++lives))" "${pairs[@]}"
    xenstore-chmod "$home/vm-data" "n$n"
}

domain_start() { domain_build "$@" && "$domain" introduce "$1"; }

# As the toolstack: first the domain dies, then its tree goes.
domain_destroy() {
    local n
    "$domain" destroy "$@"
    for n; do xenstore-rm "/local/domain/$n"; done
}
