# SPDX-License-Identifier: MIT
"""How tests/gpu/run judges: pairs of outcomes and the verdict each must get."""
import importlib.machinery
import importlib.util
import os
import sys

here = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, here)
loader = importlib.machinery.SourceFileLoader("gpu_run", os.path.join(here, "run"))
run = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_run", loader))
sys.modules["gpu_run"] = run
loader.exec_module(run)

from cases import Case

CASE = Case("group/case", ["true"])
COSTS = Case("group/costs", ["true"], compare="costs", alone=True)
failures = 0


def outcome(text, status=0, case=CASE):
    made = run.Outcome(status=status)
    run.parse(case, text, made)
    return made


def expect(what, got, want):
    global failures
    if got != want:
        failures += 1
        print(f"{what}: {got!r}, not {want!r}")


def verdict(native, ours, again=None):
    """again: what a second native run would print."""
    run.perform = lambda *_: again
    return run.judge(CASE, native, ours, None, 100)


def judgements():
    same = outcome("a 1\ninfo x\ntime t 2.0\n")
    expect("equal", verdict(same, outcome("info y\na 1\n")), ("same", False))
    expect("differs", verdict(same, outcome("a 2\n"), same)[1], True)
    expect("missing line", verdict(same, outcome(""), same)[1], True)
    expect("varies", verdict(same, outcome("a 2\n"), outcome("a 3\n")), ("ok, varies natively", False))
    expect("another line differs", verdict(outcome("a 1\nb 1\n"), outcome("a 2\nb 2\n"),
                                           outcome("a 3\nb 1\n"))[1], True)
    expect("ours fails", verdict(same, outcome("a 1\n", 1))[1], True)
    expect("no end", verdict(same, outcome("", 124))[0][:6], "NO END")
    expect("native fails", verdict(outcome("a 1\n", 1), outcome("a 1\n"))[1], False)
    expect("both fail", verdict(outcome("a 1\n", 1), outcome("a 1\n", 1)), ("fails natively too", False))
    expect("skipped", verdict(outcome("", 77), outcome("", 77)), ("skipped", False))
    expect("without native", run.judge(CASE, None, outcome("", 1), None, 100)[1], True)


def ratios():
    native, ours = outcome("time t 2.0\n"), outcome("time t 3.0\n")
    expect("time", [r.ratio for r in run.time_rows(CASE, [native], [ours])], ["1.500"])
    native, ours = (outcome(f"launches {n} /s\nwait {t} us\n", case=COSTS) for n, t in ((100, 4), (50, 2)))
    expect("rate", [r.ratio for r in run.time_rows(COSTS, [native], [ours])], ["2.000", "0.500"])


judgements()
ratios()
print("wrong judgements:", failures)
sys.exit(1 if failures else 0)
