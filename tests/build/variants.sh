#!/bin/sh
# SPDX-License-Identifier: MIT
# timeout: 900
# The tree builds without a warning with both compilers, and the unit tests that finish in
# seconds pass under the sanitizers.
set -eu
o=$VG_BUILD/variants
unit=$(make -s print-tests)

build() {
    echo "== $*"
    make -s -j2 "$@"
}

build O="$o/clang" CC=clang build-tests
build O="$o/gcc" VARIANT=debug build-tests
for v in asan tsan; do
    progs=''
    for t in ${VG_SANITIZED_TESTS:-check-ring check-codec check-region check-api-table}; do
        case " $unit " in *" $t "*) progs="$progs $t" ;; esac
    done
    build O="$o" VARIANT=$v $(for t in $progs; do echo "$o/$v/tests/$t"; done)
    TSAN_OPTIONS=halt_on_error=1 tools/run-tests.sh "$o/$v" $progs
done
