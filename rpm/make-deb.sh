#!/bin/sh
# SPDX-License-Identifier: MIT
# rpm/make-deb.sh BUILD OUT: packages the guest's part of what BUILD has into OUT/vgpu-guest_*.deb.
# Run in the root of the tree.
set -eu
build=$(cd "$1" && pwd) out=$2
mkdir -p "$out"
top=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-deb.XXXXXX")
trap 'rm -rf "$top"' EXIT
root=$top/root
umask 022
chmod 0755 "$top"

version=$(sed -n 's/^#define VG_VERSION "\(.*\)"/\1/p' xapi-plugin/version.h)
doc=$root/usr/share/doc/vgpu-guest
mkdir -p "$root/DEBIAN" "$doc" "$root/usr/share/lintian/overrides" "$top/debian"

VG_STRIP=1 sh rpm/stage.sh rpm/guest.files "$build" "$root"
# The licence as Debian's format wants it: indented, empty lines as a dot.
awk -v copyright="$(sed -n 's/^Copyright *(c) *//p' LICENSE | head -n 1)" '
    FNR == NR && /^Permission/ { licence = 1 }
    FNR == NR { if (licence) text = text (/^$/ ? " ." : " " $0) "\n"; next }
    { sub("@COPYRIGHT@", copyright) }
    /@LICENSE@/ { printf "%s", text; next }
    { print }' LICENSE rpm/deb/copyright >"$doc/copyright"
sed "s/@VERSION@/$version/" rpm/deb/changelog | gzip -9nc >"$doc/changelog.Debian.gz"
cp rpm/deb/lintian-overrides "$root/usr/share/lintian/overrides/vgpu-guest"

# dpkg-shlibdeps wants the control file of a source package.
printf 'Source: vgpu\n\nPackage: vgpu-guest\nArchitecture: amd64\n' >"$top/debian/control"
depends=$(cd "$top" && find root -type f \( -name '*.so' -o -path '*libexec/vgpu-[gw]*' \) -exec \
    dpkg-shlibdeps -O {} + 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
size=$(du -ks "$root" | cut -f 1)
sed "s/@VERSION@/$version/; s/@SIZE@/$size/; s/@DEPENDS@/$depends/" rpm/deb/control >"$root/DEBIAN/control"
install -m 0755 rpm/deb/preinst rpm/deb/postinst rpm/deb/prerm rpm/deb/postrm "$root/DEBIAN/"
install -m 0644 rpm/deb/conffiles "$root/DEBIAN/"
(cd "$root" && find usr -type f -exec md5sum {} +) >"$root/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zxz -b "$root" "$out/vgpu-guest_${version}-1_amd64.deb" >/dev/null
echo "$out/vgpu-guest_${version}-1_amd64.deb"
