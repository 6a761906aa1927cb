#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Launches that the GPU has not come to yet, on the software GPU: who waits for them.
set -u
. "$(dirname "$0")/../e2e/lib.sh"

client=$build/client/backlog
run() { timeout 60 "$bin/vgpu-run" --backend "${VGPU_BACKEND:-soft}" -- "$@"; }

check 'a flood holds up its own thread only' run "$client" others
check 'a thread that floods its own stream gets on' run "$client" alone
check 'a capture is not held up' run "$client" capture
[ $failures = 0 ]
