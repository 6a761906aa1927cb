#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Compares the table and the types of protocol/ with the headers of a CUDA 13.0 toolkit, if there
# is one: every declared function has a row and none too many, prototypes are the same, every
# struct has the same layout, every constant the same value, cuGetProcAddress the same versions;
# and the exports of the stub libcuda.so, where the toolkit has it, are the table's symbols.
#
# usage: VG_BUILD=build/release tests/abi/toolkit.sh     (status 77: no toolkit)
set -eu

CC=${CC:-cc}
list="${VG_BUILD:?}/tests/check-api-table --list"

skip() { echo "$*"; exit 77; }
fail() { echo "FAILED: $*"; failed=1; }

# The folder of cuda.h: CUDA_HOME, the usual places, the wheels of pip.
find_include() {
    for dir in "${CUDA_HOME:+$CUDA_HOME/include}" \
               "$(tools/cuda-toolkit.sh --find 2>/dev/null || :)/include" \
               /usr/local/cuda/include /opt/vgpu-cuda/include \
               $(python3 -c 'import site; print(*[d + "/nvidia/cu13/include"
                   for d in site.getsitepackages()])' 2>/dev/null); do
        if [ -f "$dir/cuda.h" ] && [ -f "$dir/cudaTypedefs.h" ]; then
            echo "$dir"
            return
        fi
    done
}

include=$(find_include)
[ -n "$include" ] || skip "no CUDA toolkit found: set CUDA_HOME"
version=$(sed -n 's/^#define CUDA_VERSION  *\([0-9]*\).*/\1/p' "$include/cuda.h")
[ "$version" = 13000 ] || skip "$include/cuda.h is of version $version, the table of 13000"
echo "comparing with $include"

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
failed=0
real="-I$include -D__CUDA_API_VERSION_INTERNAL -DCUDA_ENABLE_DEPRECATED"
$list >"$tmp/all-rows"
# NVIDIA ships cudaProfiler.h apart: without it, its three functions and one enum are not compared.
if [ -f "$include/cudaProfiler.h" ]; then
    profiler=yes absent='^$'
else
    profiler='' absent='^cuProfiler\|^CU_OUT_'
fi
grep -v "$absent" "$tmp/all-rows" >"$tmp/rows"

# Every function of the headers, as the compiler sees them, against every row.
functions() {
    echo '#include <cuda.h>' >"$tmp/functions.c"
    [ -z "$profiler" ] || echo '#include <cudaProfiler.h>' >>"$tmp/functions.c"
    # shellcheck disable=SC2086
    $CC -E -P $real "$tmp/functions.c" | tr '\n' ' ' |
        grep -o 'CUresult  *cu[A-Z][A-Za-z0-9_]* *(' | sed 's/^CUresult *//; s/ *($//' | sort -u
}

check_functions() {
    functions >"$tmp/declared"
    cut -d' ' -f1 "$tmp/rows" | sort >"$tmp/symbols"
    diff "$tmp/declared" "$tmp/symbols" >"$tmp/diff" || {
        cat "$tmp/diff"; fail "functions declared (<) are not the rows of the table (>)"; }
    echo "functions: $(wc -l <"$tmp/declared") declared, $(wc -l <"$tmp/symbols") rows"
}

# "cuFoo_v2_ptsz cuFoo 12000" -> P(cuFoo_v2_ptsz, PFN_cuFoo_v12000_ptsz)
check_prototypes() {
    sed -n -e 's/^\([^ ]*\)\(_pt[sd][zs]\) \([^ ]*\) \([0-9]*\) .*/P(\1\2, PFN_\3_v\4\2)/p' -e t \
           -e 's/^\([^ ]*\) \([^ ]*\) \([0-9]*\) .*/P(\1, PFN_\2_v\3)/p' "$tmp/rows" >"$tmp/pfn.inc"
    # shellcheck disable=SC2086
    $CC -std=gnu11 -Wall -Wextra -Werror ${profiler:+-DCUDA_PROFILER_HEADER} -I"$include" \
        -Iprotocol -I"$tmp" -fsyntax-only tests/abi/prototypes.c || fail "prototypes differ"
    echo "prototypes: $(wc -l <"$tmp/pfn.inc") compared"
}

# The toolkit's list of function pointer types is the map of cuGetProcAddress.
check_versions() {
    cat "$include/cudaTypedefs.h" "$include/cudaProfilerTypedefs.h" |
        sed -n 's/^ *typedef.*\*PFN_\(cu[A-Za-z0-9]*\)_v\([0-9]*\)\(_pt[sd][zs]\)\{0,1\}) *(.*/\1 \2 \3/p' |
        sed 's/ *$//' | sort -u >"$tmp/pfn"
    sed -n -e 's/^[^ ]*\(_pt[sd][zs]\) \([^ ]*\) \([0-9]*\) .*/\2 \3 \1/p' -e t \
           -e 's/^[^ ]* \([^ ]*\) \([0-9]*\) .*/\1 \2/p' "$tmp/all-rows" | sort >"$tmp/versions"
    diff "$tmp/pfn" "$tmp/versions" || fail "versions of the toolkit (<) and of the table (>) differ"
    echo "cuGetProcAddress: $(wc -l <"$tmp/pfn") names and versions compared"
}

# The names of the enumerators in a preprocessed header.
enumerators() {
    awk '/typedef enum/ { inside = 1 }
         inside { text = text " " $0 }
         /}/ { if (inside) { sub(/^[^{]*{/, "", text); sub(/}.*/, "", text)
                             n = split(text, part, ",")
                             for (i = 1; i <= n; i++) { sub(/=.*/, "", part[i]); gsub(/ /, "", part[i])
                                                        if (part[i] ~ /^CU/) print part[i] } }
               inside = 0; text = "" }'
}

dump() {    # name, then compiler arguments
    name=$1; shift
    $CC -std=gnu11 -I"$tmp" -Itests/abi "$@" tests/abi/dump.c -o "$tmp/$name" && "$tmp/$name" >"$tmp/$name.out"
}

check_types() {
    echo '#include "vg_cuda.h"' >"$tmp/ours.c"
    # shellcheck disable=SC2086
    { $CC -E -P $real "$tmp/functions.c" | enumerators
      $CC -E -P -Iprotocol "$tmp/ours.c" | enumerators
      # our constants that are macros; some need a value to be printed, so no function-like ones
      $CC -E -dM -Iprotocol "$tmp/ours.c" | sed -n 's/^#define \(CU[A-Z0-9_]*\) [^ ].*/\1/p'
    } | sort -u | grep -v "$absent" | sed 's/.*/V(&)/' >"$tmp/values.inc"
    # shellcheck disable=SC2086
    dump toolkit $real -DCUDA_HEADER='<cuda.h>' ${profiler:+-DCUDA_PROFILER_HEADER='<cudaProfiler.h>'} ||
        fail "the toolkit lacks what we declare"
    dump ours -Iprotocol -DCUDA_HEADER='"vg_cuda.h"' || fail "we lack what the toolkit declares"
    diff "$tmp/toolkit.out" "$tmp/ours.out" || fail "toolkit (<) and vg_cuda.h (>) differ"
    echo "types: $(wc -l <"$tmp/ours.out") sizes, offsets and values compared"
}

check_stub() {
    for stub in "$include/../lib64/stubs/libcuda.so" "$include/../lib/stubs/libcuda.so"; do
        [ -f "$stub" ] || continue
        nm -D --defined-only "$stub" | sed -n 's/.* T \(cu[A-Z][A-Za-z0-9_]*\).*/\1/p' | sort >"$tmp/stub"
        cut -d' ' -f1 "$tmp/all-rows" | sort | diff "$tmp/stub" - || fail "exports of $stub differ"
        echo "stub: $(wc -l <"$tmp/stub") exports compared"
        return
    done
    echo "stub: this toolkit has none"
}

check_functions
check_prototypes
check_versions
check_types
check_stub
[ $failed -eq 0 ] && echo "the table agrees with the toolkit"
