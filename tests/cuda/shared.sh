#!/bin/sh
# SPDX-License-Identifier: MIT
# The CUDA programs of build kind shared, on the software GPU (see module.mk).
# timeout: 600
exec "$(dirname "$0")/soft.sh" shared
