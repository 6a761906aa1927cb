#!/bin/sh
# SPDX-License-Identifier: MIT
# timeout: 900
# A minute of fuzzing for what decodes guest bytes, and a little for the daemon's doors, with
# the address and undefined-behaviour sanitizers.
set -eu
make -s fuzz O="$VG_BUILD/variants" FUZZ_SECONDS="${FUZZ_SECONDS:-60}"
make -s fuzz-mediator O="$VG_BUILD/variants" FUZZ_SECONDS=10
