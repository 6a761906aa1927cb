#!/bin/sh
# SPDX-License-Identifier: MIT
# Other kinds of device code: a cubin beside the PTX, LZ4, no compression, parts to link.
# timeout: 600
exec "$(dirname "$0")/soft.sh" sm80 lz4 raw rdc
