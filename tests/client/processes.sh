#!/bin/sh
# SPDX-License-Identifier: MIT
# Processes on the host that share the software GPU: see inside.sh.
# timeout: 300
exec "$VG_BUILD/bin/vgpu-run" --backend soft -- "$(dirname "$0")/inside.sh" "$VG_BUILD/client"
