#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A machine with two GPUs, natively and through the product: who reaches whom, peer copies and
# kernels, NCCL within a process and between two, memory of one GPU in a process on the other,
# CUDA_VISIBLE_DEVICES, NVML's view; then pools on one GPU each, and one on both.
#
#   two.sh PRODUCT     as misuse.sh; about 100 s; BUDGET=SECONDS for the first part (75)
set -u
here=$(cd "$(dirname "$0")" && pwd)
product=$(cd "${1:?which product?}" && pwd)
out=${OUT:-$(mktemp -d /tmp/vgpu-two.XXXXXX)}
mkdir -p "$out"
bad=0

OUT=$out/run "$here/run" --product "$product" --budget "${BUDGET:-75}" peers devices nvml/statuses \
    smi/topology || bad=1
for side in native ours; do
    launcher=
    [ $side = native ] || launcher="$product/bin/vgpu-run --"
    # shellcheck disable=SC2086 # words
    { timeout 20 $launcher nvidia-smi topo -m; timeout 20 $launcher nvidia-smi -L; } >"$out/topo.$side" 2>&1
done
echo '---- nvidia-smi topo -m and -L: lines of one side only'
diff "$out/topo.native" "$out/topo.ours" && echo none
VG_BUILD=$product VGPU_BACKEND=cuda timeout 60 "$here/../nvml/pools.sh" | tee "$out/pools.txt"
[ "${PIPESTATUS[0]}" = 0 ] || bad=1
exit $bad
