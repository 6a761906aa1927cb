#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Gets Debian's kernel for the test VMs without installing it, and prints the
# directory that holds it (in the cache, outside the tree):
#
#   vmlinux        uncompressed: QEMU starts it directly (PVH), which saves
#                  the guest 3 s of decompression under emulation
#   modules/*.ko   what the guest loads, NN-name.ko in loading order
#   dom0/*.ko      what it loads beside that as Xen's Dom0
#   release        what uname -r will say
#
# The kernel found first stays; tests/vm/vm-kernel.sh --update gets the newest.

set -eu

here=$(cd "$(dirname "$0")" && pwd)
cache=${VGPU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vgpu}/vm-kernel
wanted='virtio_pci 9pnet_virtio 9p'
wanted_dom0='xen-evtchn xen-gntdev xen-gntalloc xen-privcmd xenfs'

say() { printf '%s\n' "vm-kernel: $*" >&2; }
die() { say "$*"; exit 1; }

u32_at() { od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '; }
u8_at() { od -An -tu1 -j "$2" -N 1 "$1" | tr -d ' '; }

# A bzImage is a boot sector, setup sectors, then code that carries the real
# kernel as a compressed payload (Documentation/x86/boot.rst, 0x1f1 and 0x248).
unpack_vmlinux() {
    start=$((($(u8_at "$1" 497) + 1) * 512 + $(u32_at "$1" 584)))
    tail -c +$((start + 1)) "$1" | head -c "$(u32_at "$1" 588)" >"$2.payload"
    case $(od -An -tx1 -N 4 "$2.payload" | tr -d ' ') in
    fd377a58) xz -dc --single-stream <"$2.payload" >"$2" ;;
    1f8b*) gzip -dc <"$2.payload" >"$2" 2>/dev/null || [ -s "$2" ] ;;
    28b52ffd) zstd -qdc <"$2.payload" >"$2" 2>/dev/null || [ -s "$2" ] ;;
    *) die "unknown compression of $1" ;;
    esac
    rm -f "$2.payload"
}

pick_modules() { # root, release, destination, names
    depmod -b "$1" "$2"
    mkdir -p "$3"
    n=10
    for name in $4; do
        modprobe -d "$1" -S "$2" --show-depends "$name"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' |
        while read -r file; do
            cp "$file" "$3/$n-$(basename "$file")"
            n=$((n + 1))
        done
}

fetch() {
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    say "downloading Debian's kernel (70 MB, once; nothing is installed)"
    "$here/../../tools/debian-fetch.sh" binary linux-image-amd64 "$work"
    dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work" --wildcards \
        './boot/vmlinuz-*' './lib/modules/*/modules.*' './lib/modules/*/kernel/fs/*' \
        './lib/modules/*/kernel/net/9p/*' './lib/modules/*/kernel/drivers/virtio/*' \
        './lib/modules/*/kernel/drivers/xen/*'
    release=$(ls "$work/lib/modules")
    say "unpacking $release"
    mkdir "$work/out"
    unpack_vmlinux "$work/boot/vmlinuz-$release" "$work/out/vmlinux"
    pick_modules "$work" "$release" "$work/out/modules" "$wanted"
    pick_modules "$work" "$release" "$work/out/dom0" "$wanted_dom0"
    printf '%s\n' "$release" >"$work/out/release"
    rm -rf "${cache:?}/$release"
    mv "$work/out" "$cache/$release"
    printf '%s\n' "$release" >"$cache/current"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
[ "${1:-}" = --update ] && rm -f "$cache/current"
have() { [ -f "$cache/current" ] && [ -d "$cache/$(cat "$cache/current")/dom0" ]; }
have || fetch
printf '%s\n' "$cache/$(cat "$cache/current")"
