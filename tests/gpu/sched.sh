#!/bin/bash
# SPDX-License-Identifier: MIT
# timeout: 120
#
# tests/gpu/sched is used where time is dear: it must work there at the first try. Its
# arithmetic, and a short run on the software GPU, of which the form counts and no number.
set -u
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/e2e/lib.sh
. "$here/../e2e/lib.sh"
export PYTHONPYCACHEPREFIX=$work/pyc OUT=$work/out

arithmetic() {
    PYTHONPATH=$here python3 - <<'END'
from fairness import grouped, interval, percentile, percents, series_of
assert interval(range(100)) == (40, 59) and interval([3]) == (3, 3)
assert percentile(range(1, 101), 99) == 99 and percentile([7], 50) == 7 and percentile([], 50) == 0
# Ten ms steps; one does two rounds a step, the other one that is as long as both, then nothing.
one = [["at", str(i * 10000000), str(2 * i), "0"] for i in range(5)] + [["all", "50000000", "10", "0"]]
two = [["at", str(i * 10000000), str(min(i, 2)), "0"] for i in range(5)] + [["all", "50000000", "2", "0"]]
s = series_of([one, two], [2e6, 4e6])
assert s.shares(0, 2) == [0.5, 0.5] and s.shares(2, 4) == [1.0, 0.0], s.done
assert abs(s.total(0, 2) - 0.8) < 1e-9 and abs(sum(s.whole) - 0.028) < 1e-9
assert [round(e, 3) for e in s.errors(0, 4, 2, [0.5, 0.5])] == [0.0, 0.167, 0.5]
assert abs(s.settled(0.005, 2, [1.0, 0.0], 0.01) - 0.015) < 1e-9
assert s.settled(0, 2, [0.0, 1.0], 0.01) is None
assert grouped(s, [[0, 1]]).shares(0, 4) == [1.0]
assert percents(s.whole) == "71.4 28.6" and percents([0]) == "0.0"
END
}

on_soft() { "$here/sched" --backend soft --quick --ways slices,off,bare --product "$build" "$@" >"$work/told"; }
# A row each way.
has_rows() {
    local way
    for way in slices off bare; do grep -q "^$1 *$way " "$work/told" || return 1; done
}
one_archive() {
    [ "$(ls "$OUT")" = $'logs.tar.xz\nseries.json' ] &&
        python3 -m tarfile -l "$OUT/logs.tar.xz" | grep -q '^slices/mediator.log'
}
tables() {
    on_soft 1:1 change cost && has_rows '1:1' && grep -q '^slices .*the two commands' "$work/told" &&
        grep -q '^launches of 2 us' "$work/told" && one_archive && return
    cat "$work/told"
    return 1
}
unknown() { ! on_soft nothing; }

check 'arithmetic' arithmetic
check 'tables of shares, of a change, of what it costs alone' tables
check 'a scenario that there is not' unknown
[ "$failures" = 0 ]
