# SPDX-License-Identifier: MIT
"""What the workloads share: results as lines that two runs can be compared by.

    NAME VALUE          must be equal natively and through the product
    time NAME SECONDS   becomes a ratio
    info ...            kept in the log, not compared

With VG_ROUNDS=N in the environment (tests/bench/bench) each time is measured N times, in turns
with another process: "turn" says that we wait for a line to begin.

A workload is a Python file with functions; main() runs those that the command
line names, and all of them if it names none. A piece that fails prints
`NAME FAILED ...` and the next one runs: one defect must not hide another.
"""
import faulthandler
import hashlib
import os
import signal
import statistics
import sys
import time
import traceback

quick = os.environ.get("VG_QUICK") == "1"
turns = int(os.environ.get("VG_ROUNDS", "0"))
# tests/gpu/run asks a workload that is out of time where it is.
faulthandler.register(signal.SIGUSR1, all_threads=True)


def _raw(value):
    """The bytes of a tensor or array of any library, or of a plain value."""
    if type(value).__module__.startswith("torch"):
        import torch
        value = value.detach().to("cpu").contiguous().resolve_conj()
        if value.dtype in (torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2):
            value = value.view(torch.uint8 if value.element_size() == 1 else torch.int16)
        return value.numpy().tobytes()
    if hasattr(value, "get") and type(value).__module__.startswith("cupy"):
        value = value.get()
    if hasattr(value, "copy_to_host"):
        value = value.copy_to_host()
    if hasattr(value, "__array__"):
        import numpy
        return numpy.ascontiguousarray(numpy.asarray(value)).tobytes()
    return repr(value).encode()


def put(name, *values):
    """One line for all the values together; a single plain value is shown as it is."""
    if len(values) == 1 and isinstance(values[0], (str, int, float, bool, tuple, type(None))):
        print(name, values[0], flush=True)
        return
    total = hashlib.sha256()
    for value in values:
        total.update(_raw(value))
    print(name, total.hexdigest()[:16], flush=True)


def info(*words):
    print("info", *words, flush=True)


def clock(name, seconds):
    print(f"time {name} {seconds:.9f}", flush=True)


def in_turns():
    """Once; or N times, each when it is our turn."""
    for _ in range(turns or 1):
        if turns:
            print("turn", flush=True)
            if not sys.stdin.readline():
                os._exit(1)
        yield


def measure(name, work, sync, rounds=5, inner=1):
    """The median over rounds of one work(); inner of them between two synchronisations."""
    for _ in in_turns():
        took = []
        for _ in range(rounds):
            sync()
            start = time.perf_counter()
            for _ in range(inner):
                work()
            sync()
            took.append((time.perf_counter() - start) / inner)
        clock(name, statistics.median(took))


disappointed = []


def expect(name, condition, what=""):
    """For what a program can know to be right without a second run."""
    if not condition:
        disappointed.append(name)
    put(name, "ok" if condition else f"NOT-AS-EXPECTED {what}")


def main(pieces):
    """pieces: functions; the command line picks some by name."""
    names = sys.argv[1:] or [piece.__name__ for piece in pieces]
    known = {piece.__name__: piece for piece in pieces}
    failed = 0
    for name in names:
        try:
            known[name]()
        except Exception as problem:    # a piece must not hide the others
            failed += 1
            traceback.print_exc()
            put(name, f"FAILED {type(problem).__name__}")
    sys.stdout.flush()
    sys.stderr.flush()
    # A library's exit code may hang on a broken context; what counts has been said.
    os._exit(1 if failed or disappointed else 0)
