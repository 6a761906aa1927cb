# SPDX-License-Identifier: MIT
"""How tests/gpu/run judges: pairs of outcomes and the verdict each must get."""
import importlib.machinery
import importlib.util
import itertools
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
    """again: what other native runs would print."""
    runs = iter(again) if isinstance(again, list) else itertools.repeat(again)
    run.perform = lambda *_: next(runs)
    return run.judge(CASE, native, ours, None, 100)


def judgements():
    same = outcome("a 1\ninfo x\ntime t 2.0\n")
    expect("equal", verdict(same, outcome("info y\na 1\n")), ("same", False))
    expect("differs", verdict(same, outcome("a 2\n"), same)[1], True)
    expect("missing line", verdict(same, outcome(""), same)[1], True)
    expect("varies", verdict(same, outcome("a 2\n"), outcome("a 3\n")), ("ok, varies natively", False))
    expect("varies at last", verdict(same, outcome("a 2\n"), [same, same, outcome("a 3\n")]), ("ok, varies natively", False))
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


def summaries():
    """Every case stands in it, whatever became of it."""
    cases = [Case(f"a/{n}", []) for n in range(5)] + [Case("b/0", []), Case("b/1", [])]
    rows = [run.Row("a/0", "", "", "", "same"), run.Row("a/1", "", "", "", "DIFFERS: x", True),
            run.Row("a/2", "", "", "", "cut off"), run.Row("a/3", "", "", "", "ok, FAILS NATIVELY"),
            run.Row("b/0", "", "", "", "ok, varies natively"), run.Row("mediator/lives", "", "", "", "FAILED", True)]
    got = [line.split() for line in run.summary(cases, rows)]
    expect("summary", got[1:], [["a", "1", "1", "1", "1", "-", "1"], ["b", "1", "-", "-", "-", "-", "1"],
                                ["mediator", "-", "1", "-", "-", "-", "-"]])


class Options:
    """What run_halves asks for."""
    native, limit, started = True, 90, 0
    deadline = run.time.monotonic() + 1000


def sides_of(case, statuses):
    """The sides that run, in order, and the verdict."""
    asked, rows = [], []

    def fake(_case, side, _options, _limit):
        asked.append(side)
        return run.Outcome(status=statuses[side])

    class Pool:
        def submit(self, work, *words):
            made = work(*words)
            return type("Done", (), {"result": lambda _: made})()

    class Report:
        def add(self, _case, added, _outcomes, _elapsed):
            rows.extend(added)

    run.perform = fake
    run.run_halves(case, Options, Report(), Pool())()
    return asked, rows[0].verdict


def references():
    case = Case("group/ops", ["true"], compare="status", reference=True)
    expect("compares with itself", sides_of(case, {"ours": 0}), (["ours"], "ok"))
    expect("asks natively", sides_of(case, {"ours": 1, "native": 1}), (["ours", "native"], "fails natively too"))
    expect("fails alone", sides_of(case, {"ours": 1, "native": 0}), (["ours", "native"], "FAILED status 1"))
    long = Case("group/long", ["true"], compare="status", reference=True, limit=200)
    expect("cut off", sides_of(long, {"ours": 124}), (["ours"], "cut off"))


class FakeHost:
    """A mediator that lives, until `lives` is said to be no more."""
    def __init__(self, held):
        self.mediator, self.alive, self.held, self.started = None, False, held, 0

    def lives(self):
        return self.alive

    def start_mediator(self, *_):
        self.started, self.alive = self.started + 1, True
        self.mediator = type("Process", (), {"returncode": -9})

    def stop_mediator(self):
        self.mediator, self.alive = None, False

    def still_held(self, _):
        return self.held


def mediators():
    rows = []
    options = type("O", (), {"host": FakeHost(["a:0"]), "jobs": 2, "started": 0})
    report = type("R", (), {"add": lambda _, case, added, *__: rows.extend((r.name, r.bad) for r in added)})()
    hosting = run.Hosting(options, report)
    hosting(Case("a/own", [], own=True))
    expect("none for those with their own", options.host.started, 0)
    hosting(CASE)
    hosting(CASE)
    expect("one for all", (options.host.started, rows), (1, []))
    options.host.alive = False
    hosting(CASE)
    expect("its end is told, and another starts", (options.host.started, rows), (2, [("mediator/lives", True)]))
    hosting.end()
    expect("what it holds is told", rows[1:], [("mediator/afterwards", True)])
    options.host.held = []
    hosting(CASE)
    hosting.end()
    expect("all is free", rows[2:], [("mediator/afterwards", False)])
    hosting.end()
    expect("ended once", len(rows), 3)


def logs():
    right, wrong = "MUL_MAT(a): OK\n", "[MUL_MAT] ERR = 0.9 > 0.1 MUL_MAT(b): FAIL"
    said = run.log_of(right * 10 + wrong + "\n" + right * 20000 + "the end")
    expect("the end is kept", said[-7:], "the end")
    expect("and what failed long before", said.splitlines()[0], wrong)
    expect("and nothing else of that", said.splitlines()[1][:5], "[... ")
    expect("little is kept whole", run.log_of(right * 10), right * 10)


judgements()
logs()
ratios()
summaries()
references()
mediators()
print("wrong judgements:", failures)
sys.exit(1 if failures else 0)
