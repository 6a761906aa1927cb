#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 1800
#
# The product on real Xen, under emulation: dom0/check.sh says what is tested.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build=$(cd "${VG_BUILD:-build/release}" && pwd)
out=${XEN_OUT:-$(mktemp -d "${TMPDIR:-/tmp}/vgpu-check-xen.XXXXXX")}
files=(--file "$build/lib/libvgpu-cuda.so:/usr/lib/vgpu/libcuda.so.1"
       --file "$build/bin/vgpu-warden:/usr/lib/vgpu/vgpu-warden"
       --file "$build/tests/vm-probe:/bin/vm-probe" --file "$build/client/storm:/bin/storm")
for program in vectoradd reduce; do files+=(--file "$build/demo/$program:/bin/$program"); done
# What the list asks for that a guest must have installed: install.sh, which one of them runs.
shim=$(cd "$here/../../guest-shim" && pwd)
more=(--more "$shim/install.sh:/product/install.sh" --more "$(command -v ldconfig):/sbin/ldconfig")
for file in "$shim"/setup/*; do more+=(--more "$file:/product/setup/${file##*/}"); done
for file in lib/libvgpu-cuda.so lib/libvgpu-nvml.so bin/vgpu-warden bin/vgpu-guest-probe; do
    more+=(--more "$build/$file:/product/$file")
done

"$here/xen-boot" --out "$out" --mem 8192 "${files[@]}" "${more[@]}" "$here/dom0/check.sh" "$build"
rc=$?
cat "$out/log"
[ -n "${XEN_OUT:-}" ] || rm -rf "$out"
exit $rc
