#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 200
#
# Runs every ```sh block of docs/, in order, on a host of its own: the programs at their usual places
# and names, /etc, /var and /root that are thrown away, a systemd that starts and ends one daemon, a
# XAPI of the tests, and a VM web1 whose program launches kernels. And all links lead somewhere.
set -u
[ "$(id -u)" = 0 ] || { echo "needs root, as administrators are"; exit 77; }
if [ -z "${DOCS_INSIDE:-}" ]; then
    unshare -mn true 2>/dev/null || { echo "no namespaces here"; exit 77; }
    DOCS_INSIDE=yes exec unshare -mn "$0"
fi
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck disable=SC2154 # top, build, bin, work, failures: lib.sh's

A=aaaaaaaa-0000-4000-8000-00000000000a
export VGPU_XAPI_SOCKET=$work/xapi VG_PLUGIN=$bin/vgpu VGPU_PLUGIN_LOCK=$work/lock \
    VGPU_PLUGIN_DEADLINE_MS=60000 DOCS_WORK=$work DOCS_BIN=$bin
xapi=''

finish() {
    rm -f "$work/go"
    systemctl kill -s INT vgpu-mediator
    [ -z "$xapi" ] || kill "$xapi"
    wait
    [ "$failures" = 0 ] || tail -n 30 "$work/mediator.log"
    umount -l "$work/over"
    rm -rf "$work"
}

# ---- the host ---------------------------------------------------------------

# A directory as it is, whose changes are gone afterwards.
throw_away() {
    mkdir -p "$work/over/$1/up" "$work/over/$1/work"
    mount -t overlay -o "lowerdir=/$1,upperdir=$work/over/$1/up,workdir=$work/over/$1/work" overlay "/$1"
}

# systemctl and journalctl, as far as the pages use them.
services() {
    mkdir "$work/tools"
    cat >"$work/tools/systemctl" <<'END'
#!/bin/bash
start() {
    "$DOCS_BIN/vgpu-mediator" --foreground --backend soft --set keep=always >>"$DOCS_WORK/mediator.log" 2>&1 &
    echo $! >"$DOCS_WORK/pid"
    for _ in $(seq 300); do "$DOCS_BIN/vgpu-admin" list >/dev/null 2>&1 && return; sleep 0.1; done
    return 1
}
end() {
    kill "-$1" "$(cat "$DOCS_WORK/pid")" 2>/dev/null
    for _ in $(seq 300); do kill -0 "$(cat "$DOCS_WORK/pid")" 2>/dev/null || return 0; sleep 0.1; done
}
case $* in
    'start vgpu-mediator') start ;;
    'stop vgpu-mediator') end TERM ;;
    'restart vgpu-mediator') end TERM && start ;;
    'status vgpu-mediator') kill -0 "$(cat "$DOCS_WORK/pid")" ;;
    'kill -s INT vgpu-mediator') end INT ;;
    *) echo "systemctl $*?" >&2; exit 1 ;;
esac
END
    printf '#!/bin/sh\ncat "$DOCS_WORK/mediator.log"\n' >"$work/tools/journalctl"
    chmod +x "$work"/tools/*
    ln -s "$top/tests/xapi/xe.py" "$work/tools/xe"
    ln -s "$top/qemu-device/wrapper/vgpu-qemu-setup" "$work/tools/"
    PATH=$work/tools:$bin:$PATH
}

host() {
    ip link set lo up
    mkdir "$work/over"
    mount -t tmpfs none "$work/over"
    throw_away etc && throw_away var && throw_away root || return 1
    mkdir -p /etc/vgpu /var/lib/vgpu /var/log/vgpu /var/vgpu /etc/xenopsd.conf.d
    grep -v '^domain_\|^auto_register' "$top/rpm/files/mediator.conf" >/etc/vgpu/mediator.conf
    echo 'metrics_listen = 127.0.0.1:9400' >>/etc/vgpu/mediator.conf
    echo 'vgpu-qemu-wrapper: domain 5: with the device' >/var/log/vgpu/vgpu.log
    services
    vgpu-qemu-setup enable
    python3 "$top/tests/xapi/serve.py" "$work/xapi" $A web1 platform:gpu_enabled=true >"$work/xapi.log" 2>&1 &
    xapi=$!
    systemctl start vgpu-mediator && within 20 test -S "$work/xapi" &&
        vgpu-admin register-vm web1 --pool=A >/dev/null
}

# ---- the pages --------------------------------------------------------------

# A program of web1 runs before each block.
cat >"$work/hooks" <<'END'
program() {
    if [ -e "$DOCS_WORK/program" ] && kill -0 "$(cat "$DOCS_WORK/program")" 2>/dev/null; then return; fi
    touch "$DOCS_WORK/go"
    vgpu-run --vm web1 -- "$DOCS_BIN/../client/storm" launch "$DOCS_WORK/go" >"$DOCS_WORK/storm" 2>&1 &
    echo $! >"$DOCS_WORK/program"
    for _ in $(seq 300); do grep -q storm "$DOCS_WORK/storm" && return; sleep 0.1; done
    echo 'no program runs'
    return 1
}
# It was told to end; the next block has one of its own.
has_ended() {
    for _ in $(seq 300); do kill -0 "$(cat "$DOCS_WORK/program")" 2>/dev/null || return 0; sleep 0.1; done
    echo 'the program goes on'
    return 1
}
still_runs() { kill -0 "$(cat "$DOCS_WORK/program")" || { echo 'the program has ended'; return 1; }; }
END

# The blocks of a page as one script; behind what must disturb nobody it looks whether the program runs.
script_of() {
    echo 'set -e -o pipefail'
    echo ". $work/hooks"
    awk '/^```sh$/ { inside = 1; quiet = 1; print "program; set -x"; next }
         /^```$/ && inside { inside = 0; print "{ set +x; } 2>/dev/null"; print quiet ? "still_runs" : "has_ended"; next }
         inside { print; if (/ quarantine | INT /) quiet = 0 }' "$1"
}
runs() {
    script_of "$1" >"$work/script"
    [ "$(grep -c '^program' "$work/script")" -ge 1 ] || { echo "no block in $1"; return 1; }
    bash "$work/script"
}

links() {
    local page target bad=0
    cd "$top" || return 1
    for page in README.md docs/*.md xapi-plugin/*.md xenstore-watcher/*.md rpm/*.md qemu-device/*.md; do
        for target in $(grep -o '](\([^)#]*\)' "$page" | sed 's/^](//' | grep -v '^http'); do
            [ -e "$(dirname "$page")/$target" ] || { echo "$page: $target"; bad=1; }
        done
    done
    return $bad
}

# Metrics that the pages name are some that the daemon tells.
metrics_exist() {
    local name bad=0
    for name in $(grep -oh '`vgpu_[a-z_]*' "$top/docs/operations.md" | sed 's/`//' | sort -u); do
        # What xcp-rrdd and XAPI have under such names.
        case $name in vgpu_usage | vgpu_memory | vgpu_launches | vgpu_memory_*) continue ;; esac
        grep -q "\"$name\"" "$top/mediator/daemon/scrape.c" || { echo "no metric $name"; bad=1; }
    done
    return $bad
}

check 'links lead somewhere' links
check 'a host' host
[ "$failures" = 0 ] || exit 1
trap finish EXIT
for page in "$top"/docs/*.md; do
    check "docs/$(basename "$page")" runs "$page"
done
check 'metrics that are named' metrics_exist
[ "$failures" = 0 ]
