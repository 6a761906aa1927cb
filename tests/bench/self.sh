#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# tests/bench/bench is used where time is dear: it must work there at the first try. Its
# arithmetic, and a short run on the software GPU, of which the form counts and no number.
set -u
here=$(cd "$(dirname "$0")" && pwd)
VG_BUILD=$(cd "$VG_BUILD" && pwd)
export VG_BUILD
work=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
export PYTHONPYCACHEPREFIX=$work/pyc OUT=$work/out
failures=0

check() {
    local text=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "ok      $text"
    else
        echo "NOT OK  $text"
        tail -n 30 "$work/log"
        failures=$((failures + 1))
    fi
}

arithmetic() {
    PYTHONPATH=$here python3 - <<'END_OF_PYTHON'
from table import GOALS, TOLD, Values, goal_of, quartiles, scaled
assert quartiles([3, 1, 2]) == (1, 2, 3) and quartiles([5, 1, 2, 4, 3]) == (2, 3, 4)
assert [scaled(*x) for x in ((1500, "us"), (0.25, "s"), (233000, "per_s"), (70, "ns"))] == \
    ["1.50 ms", "250 ms", "233 k/s", "70.00 ns"]
def verdict(name, native, ours, unit):
    return goal_of(name).verdict(native, ours, unit)
# A ratio that may not be exceeded; the same between the quartiles; a rate; a difference; a bound of ours.
assert verdict("step_86m", [100.0] * 5, [100.2] * 5, "ms") == "yes"
assert verdict("step_86m", [100.0] * 5, [101.0] * 5, "ms") == "NO"
assert verdict("step_86m", [100.0] * 5, [99.0, 99.0, 100.0, 101.0, 102.0], "ms") == "unclear"
assert verdict("launches", [100e3] * 3, [90e3] * 3, "per_s") == "NO"
assert verdict("round_trip_median", [7.7] * 3, [10.6] * 3, "us") == "yes"
assert verdict("round_trip_median", [0.0077] * 3, [0.0108] * 3, "ms") == "NO"
assert verdict("enqueue_median", [2800.0] * 3, [70.0] * 3, "ns") == "yes"
# The ratio is that of turns beside each other: a machine that slows down changes nothing.
v = Values()
for native in (1.0, 2.0, 4.0):
    v.add("native", "x", native, "ms")
    v.add("ours", "x", native * 1.5, "ms")
assert v.ratio("x") == (1.5, 1.5, 1.5) and goal_of("x") is None
assert all(goal_of(name) for name in ("first_context", "htod_pinned_16m", "dtoh_pageable_1m", "eager.add_out",
                                      "llama.decode_token", "start.cublas"))
assert not goal_of("htod_pinned_64k") and len(dict(TOLD)) == len(TOLD) and GOALS
END_OF_PYTHON
}

# Rows with both sides, of each kind of section; values and table are kept.
rows() {
    "$here/bench" --quick --rounds 2 --backend soft --no-vm start calls memory launcher >"$work/told" || return 1
    local name
    for name in first_kernel whole_process launches round_trip_median memory_info_beside module_cold \
        alloc_free_64k dtoh_pinned_16m; do
        grep -Eq "^$name +[0-9.]+ .* [0-9.]+ " "$work/told" && grep -q "^$name " "$OUT/table.txt" ||
            { cat "$work/told"; return 1; }
    done
    [ "$(grep -c '"launches"' "$OUT/values.jsonl")" = 4 ]
}
# Turns: the sides alternate, and each has as many.
alternating() {
    grep '"launches"' "$OUT/values.jsonl" | cut -d '"' -f 2 | tr '\n' ' ' | grep -qx 'native ours native ours '
}
shown_again() {
    "$here/bench" --show "$OUT/values.jsonl" | diff - "$OUT/table.txt" &&
        "$here/bench" --markdown "$OUT/values.jsonl" | grep -q '^| launch and wait for it | [0-9.]'
}
what_is_not_there() {
    "$here/bench" --quick --backend soft --no-vm pytorch vm | grep -c 'left out' | grep -qx 2
}
unknown() { ! "$here/bench" --backend soft nothing; }
# A side that fails is told, by the status too.
failing() {
    mkdir -p "$work/product/client" && ln -s "$VG_BUILD/bin" "$VG_BUILD/lib" "$work/product/" &&
        printf '#!/bin/sh\necho no device >&2\nexit 3\n' >"$work/product/client/costs" &&
        chmod +x "$work/product/client/costs"
    OUT=$work/bad "$here/bench" --quick --product "$work/product" --backend soft --no-vm start calls >"$work/told"
    [ $? = 1 ] && [ "$(grep -c '^!! .*no device' "$work/told")" = 2 ]
}

check 'arithmetic' arithmetic
check 'rows of both sides' rows
check 'the sides take turns' alternating
check 'the tables of an earlier run' shown_again
check 'what a machine lacks is left out' what_is_not_there
check 'a section that there is not' unknown
check 'a failure is told' failing
[ $failures = 0 ]
