#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Wrong and right calls, answered by NVIDIA's driver and through the product, side by side.
#
#   misuse.sh [PRODUCT]     VG_QUICK=1: one native run only. PRODUCT holds bin/ lib/ client/ (default: $VG_PRODUCT, then .gpu and
#                           build/release of this tree)
#
# $OUT (default: a folder in /tmp) gets NAME.native, NAME.again, NAME.ours, NAME.diff and NAME.unknown for
# each of the programs. NAME.again is a second native run: what differs there, no driver promises.
# Exit status 0: no other line differs but those that tests/answers/misuse-known.txt explains, and all
# of those do.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
backend=${VGPU_BACKEND:-cuda}
OUT=${OUT:-$(mktemp -d /tmp/vgpu-misuse.XXXXXX)}
mkdir -p "$OUT"
for product in "${1:-}" "${VG_PRODUCT:-}" "$top/.gpu" "$top/build/release"; do
    [ -n "$product" ] && [ -x "$product/client/misuse" ] && break
done
[ -x "$product/client/misuse" ] || { echo 'no product: see the head of this script'; exit 2; }

# With the software GPU, `natively` is the library that the executor loads.
natively() {
    if [ "$backend" = soft ]; then
        mkdir -p "$OUT/driver"
        ln -sf "$(readlink -f "$product/lib/libvgpu-softcuda.so")" "$OUT/driver/libcuda.so.1"
        LD_LIBRARY_PATH=$OUT/driver timeout 120 "$@"
    else
        timeout 120 "$@"
    fi
}
ours() { timeout 120 "$product/bin/vgpu-run" --backend "$backend" -- "$@"; }

# by_group FILE: each line with its group before it, so that lines of two groups never match.
by_group() { awk '/^-- / { group = $2 } { print group ": " $0 }' "$1"; }

known=
for dir in "$top/tests/answers" "$product/tests/answers"; do
    [ ! -f "$dir/misuse-known.txt" ] || known=$dir/misuse-known.txt
done
[ -n "$known" ] || { echo 'no misuse-known.txt'; exit 2; }

# Lines that differ from the first native run, and that neither a second one nor the table explains; and
# lines of the table that are not said any more.
compare() {
    by_group "$OUT/$1.native" >"$OUT/$1.a"
    by_group "$OUT/$1.ours" >"$OUT/$1.b"
    by_group "$OUT/$1.again" | diff "$OUT/$1.a" - | sed -n 's/^[<>] //p' | sort -u >"$OUT/$1.unsteady"
    diff "$OUT/$1.a" "$OUT/$1.b" >"$OUT/$1.diff"
    awk 'kind == "known" { known[$0]; next } kind == "unsteady" { unsteady[$0]; next }
        kind == "native" { native[FNR] = $0; next }
        $0 != native[FNR] && !($0 in known) && !(native[FNR] in unsteady) {
            print native[FNR] "\n    through us: " $0 }
        END { if (FNR < length(native)) print "lines are missing through us" }' \
        kind=known "$known" kind=unsteady "$OUT/$1.unsteady" kind=native "$OUT/$1.a" \
        kind=ours "$OUT/$1.b"
    awk '{ group = $0; sub(/: .*/, "", group) } kind == "ours" { said[$0]; groups[group]; next }
        /^#/ { next } group in groups && !($0 in said) { print "not said any more: " $0 }' \
        kind=ours "$OUT/$1.b" kind=known "$known"
    rm "$OUT/$1.a" "$OUT/$1.b"
}

bad=0
for program in answers states misuse waits; do
    start=$SECONDS
    natively "$product/client/$program" >"$OUT/$program.native" 2>"$OUT/$program.native.log"
    middle=$SECONDS
    if [ -n "${VG_QUICK:-}" ]; then
        cp "$OUT/$program.native" "$OUT/$program.again"
    else
        natively "$product/client/$program" >"$OUT/$program.again" 2>/dev/null
    fi
    ours "$product/client/$program" >"$OUT/$program.ours" 2>"$OUT/$program.ours.log"
    compare "$program" >"$OUT/$program.unknown"
    count=$(grep -cv '^    ' "$OUT/$program.unknown")
    lines=$(wc -l <"$OUT/$program.native")
    echo "$program: $lines lines, natively in $((middle - start)) s; $count differ unexplained through us," \
        "$(wc -l <"$OUT/$program.unsteady") are unsteady natively," \
        "$(grep -c 'signal' "$OUT/$program.native") killed a process natively"
    [ "$count" = 0 ] || { bad=1; head -n 40 "$OUT/$program.unknown"; }
done
echo "all of it: $OUT"
exit $bad
