#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The device in XCP-ng's QEMU 4.2.1, whose source package is xcp-ng-rpms/qemu:
#
#   xcpng-package.sh patch            prints the device as one patch (-p1)
#   xcpng-package.sh spec CHECKOUT    adds it to a checkout of that package,
#                                     which rpmbuild builds then as usual
#   xcpng-package.sh try SOURCE BUILD builds an unpacked source (after the
#                                     spec's %prep) as far as needed to run
#                                     the device's tests in it; Debian will do
#
# The changed package is newer than XCP-ng's of the same release and older than
# its next, which then takes its place: VMs start without a GPU (the wrapper
# looks for the device) until that one is changed, too. Epoch, name and what it
# provides stay.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
top=$(dirname "$here")
die() { printf '%s\n' "xcpng-package: $*" >&2; exit 1; }
usage() { sed -n '6,10s/^# \{0,1\}//p' "$0" >&2; exit 2; }

sources() {
    for f in "$here"/vgpu_stub*.[ch] "$here/trace-events" "$top/protocol/vg_atomic.h" \
        "$top/protocol/vg_limits.h" "$top"/protocol/vg_region.[ch] "$top/protocol/vg_regs.h" \
        "$top/protocol/vg_sock.h" "$top/protocol/vg_wire.h"; do
        printf '%s\n' "$f"
    done
}

print_patch() {
    cat "$here"/patches-4.2/*.patch
    for f in $(sources); do
        printf -- '--- /dev/null\n+++ b/hw/misc/vgpu/%s\n' "${f##*/}"
        diff -u /dev/null "$f" | tail -n +3
    done
}

change_spec() {
    spec=$1/SPECS/qemu.spec
    [ -f "$spec" ] || die "$1 is no checkout of xcp-ng-rpms/qemu"
    ! grep -q vgpu-stub.patch "$spec" || die "$spec has the device already"
    [ "$(grep -c '^Release:.*%{?dist}$' "$spec")$(grep -c '^%autosetup' "$spec")" = 11 ] ||
        die "$spec is not as expected: change it by hand"
    print_patch >"$1/SOURCES/vgpu-stub.patch"
    last=$(grep -n '^Patch[0-9]*:' "$spec" | tail -n 1 | cut -d : -f 1)
    sed -i -e "${last}a Patch1900: vgpu-stub.patch" \
        -e 's/^\(Release:.*\)%{?dist}$/\1.1%{?dist}/' \
        -e '/^%autosetup/a echo CONFIG_VGPU_STUB=y >>default-configs/i386-softmmu.mak' "$spec"
}

# What XCP-ng leaves out, and of the rest what its own libraries are needed for.
configure() {
    "$source/configure" --cc="${CC:-gcc}" --target-list=i386-softmmu --enable-xen \
        --without-default-devices --disable-tcg --disable-kvm --disable-werror \
        --enable-trace-backend=log --disable-docs --disable-guest-agent --disable-tools \
        --disable-user --disable-sdl --disable-gtk --disable-curses --disable-curl \
        --disable-gnutls --disable-nettle --disable-gcrypt --disable-vhost-net \
        --disable-vhost-user --disable-virtfs --disable-slirp --disable-capstone --disable-fdt \
        --disable-vgt
}

try() {
    source=$(cd "$1" && pwd)
    mkdir -p "$2"
    if [ ! -d "$source/hw/misc/vgpu" ]; then
        print_patch | patch -s -p1 -d "$source"
        echo CONFIG_VGPU_STUB=y >>"$source/default-configs/i386-softmmu.mak"
    fi
    (cd "$2" && configure && make -j"${VGPU_JOBS:-2}") >"$2/log" 2>&1 ||
        { tail -n 20 "$2/log" >&2; die "the build failed ($2/log)"; }
    make -s -C "$top" build/release/tests/check-qtest
    VGPU_QEMU=$2/i386-softmmu/qemu-system-i386 "$top/build/release/tests/check-qtest"
}

case ${1:-}:$# in
patch:1) print_patch ;;
spec:2) change_spec "$2" ;;
try:3) try "$2" "$3" ;;
*) usage ;;
esac
