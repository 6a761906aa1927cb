#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 600
#
# `make demo` without its terminal: every program right, and a picture.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
rm -f "$VG_BUILD/mandelbrot.png"
"$top/tests/demo/demo.sh" || exit 1
head -c 8 "$VG_BUILD/mandelbrot.png" | od -An -tx1 | grep -q '89 50 4e 47 0d 0a 1a 0a' ||
    { echo 'no PNG'; exit 1; }
