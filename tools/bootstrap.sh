#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the Debian packages that a build or a test needs and that are not
# there yet.  Says which and why, asks nothing, and is done in a few
# milliseconds when nothing is missing, so make can call it every time.
#
#   tools/bootstrap.sh [--check] [GROUP...]     no GROUP means: build
#
# --check (or VGPU_NO_INSTALL=1 in the environment) only reports: it exits 1
# and names what is missing.
#
# A group is a list of lines `package  # why`, kept beside what needs it:
# tools/packages/GROUP.txt, GROUP/packages.txt, GROUP-device/packages.txt or
# tests/GROUP/packages.txt; all that exist count.

set -eu
top=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "bootstrap: $*" >&2; }
die() { say "$*"; exit 1; }

lists_of() {
    found=
    for list in "$top/tools/packages/$1.txt" "$top/$1/packages.txt" \
        "$top/$1-device/packages.txt" "$top/tests/$1/packages.txt"; do
        [ -f "$list" ] && found="$found $list"
    done
    [ -n "$found" ] || die "no such group: $1"
    printf '%s\n' "$found"
}

# One query for all names: prints those that are not installed.
missing_of() {
    # shellcheck disable=SC2086 # words
    installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $1 2>/dev/null |
        sed -n 's/^installed //p' || true)
    for name in $1; do
        case "
$installed
" in
        *"
$name
"*) ;;
        *) printf '%s\n' "$name" ;;
        esac
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    else
        sudo $SUDO_ARGS env DEBIAN_FRONTEND=noninteractive "$@"
    fi
}

# Sets SUDO_ARGS.  Without a terminal sudo must not stop to ask a password.
need_rights() {
    SUDO_ARGS=
    [ "$(id -u)" = 0 ] && return
    command -v sudo >/dev/null 2>&1 ||
        die "not root and no sudo; as root run: apt-get install -y $1"
    sudo -n true 2>/dev/null && { SUDO_ARGS=-n; return; }
    [ -t 0 ] || die "sudo needs a password and there is no terminal; run: sudo apt-get install -y $1"
}

# What apt says is of interest only if it fails.
apt() {
    as_root apt-get -q -y -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \
        -o Dpkg::Use-Pty=0 "$@" >"$log" 2>&1 </dev/null || { tail -n 25 "$log" >&2; return 1; }
}

known() {
    for name in $1; do
        apt-cache show --no-all-versions "$name" >/dev/null 2>&1 || return 1
    done
}

install() {
    updated=no
    if ! known "$1"; then
        say "updating the package index"
        apt update || die "apt-get update failed (network?); needed: $1"
        updated=yes
    fi
    # shellcheck disable=SC2086 # words
    apt install --no-install-recommends $1 && return
    # An old index names files that the mirror no longer has.
    [ "$updated" = no ] || die "apt-get could not install: $1"
    say "retrying with a fresh package index"
    apt update || die "apt-get update failed (network?); needed: $1"
    # shellcheck disable=SC2086
    apt install --no-install-recommends $1 || die "apt-get could not install (network?): $1"
}

check_only=${VGPU_NO_INSTALL:-}
[ "${1:-}" = --check ] && { check_only=1; shift; }
[ $# -gt 0 ] || set -- build

lists=
for group; do
    lists="$lists $(lists_of "$group")"
done
command -v dpkg-query >/dev/null 2>&1 || {
    say "not a Debian system: make sure that the packages of$lists are there"
    exit 0
}
# shellcheck disable=SC2086 # words
wanted=$(sed -e 's/#.*//' $lists | tr -s ' \t\n' '\n' | sort -u)
missing=$(missing_of "$wanted")
[ -n "$missing" ] || exit 0

say "missing Debian packages ($*):"
for name in $missing; do
    # shellcheck disable=SC2086
    sed -n "s/^${name}[ \t]*#[ \t]*/${name} /p" $lists | head -n 1 |
        while read -r pkg why; do printf '  %-24s %s\n' "$pkg" "$why" >&2; done
done
missing=$(printf '%s' "$missing" | tr '\n' ' ')
[ -z "$check_only" ] || die "not installing (asked not to); run: apt-get install -y $missing"
need_rights "$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
say "installing them"
install "$missing"
left=$(missing_of "$wanted")
[ -z "$left" ] || die "still missing after the installation: $left"
say "all there now"
