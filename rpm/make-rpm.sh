#!/bin/sh
# SPDX-License-Identifier: MIT
# rpm/make-rpm.sh BUILD OUT [DEFINE...]: packages what BUILD has into OUT/*.rpm, without building
# it again. DEFINE: "dist .xcpng8.3". Run in the root of the tree.
set -eu
build=$(cd "$1" && pwd) out=$2
shift 2
mkdir -p "$out"
out=$(cd "$out" && pwd)
top=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-rpm.XXXXXX")
trap 'rm -rf "$top"' EXIT

version=$(sed -n 's/^#define VG_VERSION "\(.*\)"/\1/p' xapi-plugin/version.h)
set -- "$@" "_topdir $top" "vg_version $version" \
    "vg_build $build" "vg_in_place 1" "debug_package %{nil}" "_buildhost localhost" "_build_id_links none"
n=$#
while [ "$n" -gt 0 ]; do
    set -- "$@" --define "$1"
    shift
    n=$((n - 1))
done
rpmbuild --quiet --nodeps --build-in-place -bb "$@" rpm/vgpu.spec >"$top/log" 2>&1 ||
    { cat "$top/log" >&2; exit 1; }
for file in "$top"/RPMS/*/*.rpm; do
    mv "$file" "$out/"
    echo "$out/${file##*/}"
done
