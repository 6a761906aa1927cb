#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds Debian 12's QEMU with the device vgpu-stub: one qemu-system-x86_64 for
# KVM, TCG and Xen, everything else left out.
#
#   build-qemu.sh          builds if needed, prints the binary's path
#   build-qemu.sh --path   prints the path, fails if it is not built yet
#   build-qemu.sh --update takes Debian's newest QEMU 7.2 and builds
#
# All of it lives in the cache, outside the tree ($VGPU_CACHE):
#   qemu-HASH/bin/...      what is used; HASH covers source, device and options
#   qemu-src/VERSION/      unpacked source and build directory, so that a
#                          change of the device is a rebuild of its files
#   ccache/                so that a lost build directory costs little
#
# The source changes only by --update, so a build that worked yesterday works
# today. $VGPU_JOBS limits the parallel compilers.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
cache=${VGPU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vgpu}
src=$cache/qemu-src
tree_dir=hw/misc/vgpu
device="$here/vgpu_stub*.[ch] $here/trace-events $top/protocol/vg_atomic.h
    $top/protocol/vg_limits.h $top/protocol/vg_region.[ch] $top/protocol/vg_regs.h
    $top/protocol/vg_sock.h $top/protocol/vg_wire.h"
# The firmware comes from Debian's packages; a path outside the prefix is
# taken as it is.
options='--target-list=x86_64-softmmu --without-default-features
    --without-default-devices --with-devices-x86_64=vgpu
    --enable-tcg --enable-kvm --enable-xen
    --enable-virtfs --enable-attr --enable-cap-ng --enable-fdt=system
    --disable-tools --disable-docs --disable-guest-agent --disable-werror
    --enable-trace-backends=log --with-git-submodules=ignore --cxx=false
    --prefix=/opt/vgpu-qemu
    --firmwarepath=/usr/share/qemu:/usr/share/seabios:/usr/lib/ipxe/qemu'

say() { printf '%s\n' "build-qemu: $*" >&2; }
die() { say "$*"; exit 1; }

# shellcheck disable=SC2086 # $device is a list of patterns
inputs_hash() {
    {
        printf '%s\n' "$version" "$options"
        cat $device "$here/vgpu.mak" "$here"/patches/*.patch
    } | sha256sum | cut -c 1-16
}

fetch() {
    say "getting the source of Debian's qemu (24 MB, once): the device is built into it"
    rm -rf "$src/download"
    "$top/tools/debian-fetch.sh" source qemu "$src/download"
    full=$(sed -n 's/^Version: //p' "$src"/download/qemu_*.dsc)
    case ${full#*:} in
    7.2*) ;;
    *) die "Debian's qemu is $full, the patches are for 7.2" ;;
    esac
    printf '%s\n' "${full#*:}" | tr -c 'A-Za-z0-9.\n' - >"$src/version"
}

# Debian's own patches are applied by dpkg-source. The .dsc was checked by apt.
unpack() {
    stamp=$(cat "$here"/patches/*.patch | sha256sum)
    [ "$(cat "$work/patched" 2>/dev/null)" = "$stamp" ] && return
    say "unpacking and patching QEMU $version"
    rm -rf "$work/tree" "$work/patched"
    mkdir -p "$work"
    dpkg-source --no-check --no-copy -x "$src"/download/qemu_*.dsc "$work/tree" >"$work/unpack.log" 2>&1 ||
        { cat "$work/unpack.log" >&2; die "dpkg-source failed"; }
    for p in "$here"/patches/*.patch; do
        patch -s -d "$work/tree" -p1 <"$p" || die "$(basename "$p") does not apply"
    done
    printf '%s\n' "$stamp" >"$work/patched"
}

copy_if_changed() {
    cmp -s "$1" "$2" || cp "$1" "$2"
}

copy_device() {
    mkdir -p "$work/tree/$tree_dir"
    for f in $device; do
        copy_if_changed "$f" "$work/tree/$tree_dir/$(basename "$f")"
    done
    copy_if_changed "$here/vgpu.mak" "$work/tree/configs/devices/x86_64-softmmu/vgpu.mak"
}

# shellcheck disable=SC2086 # $options are words
configure() {
    [ "$(cat "$work/configured" 2>/dev/null)" = "$options" ] && return
    say "configuring QEMU"
    rm -rf "$work/build" "$work/configured"
    mkdir -p "$work/build"
    (cd "$work/build" && ../tree/configure --cc="ccache gcc" $options >"$work/configure.log" 2>&1) ||
        { tail -n 30 "$work/configure.log" >&2; die "configure failed ($work/configure.log)"; }
    printf '%s\n' "$options" >"$work/configured"
}

# Of ninja's "[N/M] ..." lines one for every tenth of the work; all others as
# they are.
tenths() {
    last=0
    while IFS= read -r line; do
        case $line in
        '['[0-9]*/[0-9]*'] '*) ;;
        *) printf '%s\n' "$line"; continue ;;
        esac
        count=${line#?}
        count=${count%%]*}
        tenth=$((${count%/*} * 10 / ${count#*/}))
        [ $tenth -eq $last ] || say "${tenth}0 % ($count)"
        last=$tenth
    done
}

compile() {
    CCACHE_DIR=${CCACHE_DIR:-$cache/ccache} \
        ninja -C "$work/build" ${VGPU_JOBS:+-j "$VGPU_JOBS"} qemu-system-x86_64
}

# A terminal sees ninja's own single line; a log need not have 1300 of them.
build() {
    say "building QEMU (4 to 8 CPU minutes the first time, then only what changed)"
    if [ -t 2 ]; then
        compile >&2 || die "the build failed"
        return
    fi
    rm -f "$work/compiled"
    { compile && touch "$work/compiled"; } 2>&1 | tenths >&2
    [ -e "$work/compiled" ] || die "the build failed"
}

install_binary() {
    new=$(mktemp -d "$cache/qemu-new.XXXXXX")
    mkdir "$new/bin"
    strip -o "$new/bin/qemu-system-x86_64" "$work/build/qemu-system-x86_64"
    "$new/bin/qemu-system-x86_64" -device vgpu-stub,help >/dev/null ||
        { rm -rf "$new"; die "the built QEMU does not know vgpu-stub"; }
    chmod 755 "$new"
    mv -T "$new" "$out"
}

# Every change of the device leaves a binary of 10 MB behind. One that runs is
# not hurt.
prune() {
    # shellcheck disable=SC2012 # our own names
    ls -dt "$cache"/qemu-[0-9a-f]*/ | tail -n +6 | xargs -r rm -rf
}

update=
case ${1:-} in
--update) update=1 ;;
--path | '') ;;
*) sed -n '4,18s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

# Sets what follows from the version of the source.
locate() {
    version=$(cat "$src/version" 2>/dev/null) || version=
    out=$cache/qemu-$(inputs_hash)
    work=$src/$version
}

built() { [ -n "$version" ] && [ -x "$out/bin/qemu-system-x86_64" ]; }

make_it() {
    if [ -n "$update" ] || [ ! -d "$src/download" ]; then
        fetch
        locate
    fi
    built && return
    unpack
    copy_device
    configure
    build
    install_binary
    prune
    say "installed $out"
}

if [ "${1:-}" = --path ]; then
    locate
    built || die "QEMU is not built yet; run: make qemu"
else
    mkdir -p "$src"
    exec 9>"$src/lock"
    flock 9
    locate
    if [ -n "$update" ] || ! built; then make_it; fi
fi
printf '%s\n' "$out/bin/qemu-system-x86_64"
