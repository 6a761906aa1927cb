#!/bin/bash
# SPDX-License-Identifier: MIT
#
# tests/e2e/faults.sh on a GPU: faults, kills and losses, beside two programs that work.
#
#   faults.sh [PRODUCT]     as misuse.sh
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
for product in "${1:-}" "${VG_PRODUCT:-}" "$top/.gpu" "$top/build/release"; do
    [ -n "$product" ] && [ -x "$product/client/storm" ] && break
done
[ -x "$product/client/storm" ] || { echo 'no product: see the head of misuse.sh'; exit 2; }
mkdir -p "${OUT:-/tmp}"
VG_BUILD=$product VGPU_BACKEND=${VGPU_BACKEND:-cuda} "$top/tests/e2e/faults.sh" |
    tee "${OUT:-/tmp}/faults.txt"
exit "${PIPESTATUS[0]}"
