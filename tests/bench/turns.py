# SPDX-License-Identifier: MIT
"""Processes that measure in turns, natively and through a mediator, for tests/bench/bench.

A worker says "turn" where it is about to measure, and measures when it gets a line; what
it prints up to its next "turn" belongs to that. So nothing runs beside a measurement, and
what disturbs the machine disturbs both sides alike.
"""
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "gpu"))
from host import Host, soft_folder  # noqa: E402 (that path first)
from sharing import Client, Failure, now  # noqa: E402


class Worker(Client):
    """One process that takes turns."""

    over = False

    def complain(self, what):
        if what == "has ended" and self.process.wait(30) == 0:
            self.over = True
            raise EOFError
        super().complain(what)

    def until_turn(self, seconds):
        """The lines that it says before it wants its next turn, or ends."""
        deadline, lines = now() + seconds, []
        try:
            while (line := self.line(deadline)) != "turn":
                lines.append(line)
        except EOFError:
            pass
        return lines

    def take_turn(self, seconds):
        self.order("go")
        return self.until_turn(seconds)


def row_of(line):
    """(name, value, unit) of `NAME VALUE UNIT` or `time NAME SECONDS`, else None."""
    words = line.split()
    if len(words) != 3:
        return None
    if words[0] == "time":
        words = [words[1], words[2], "s"]
    try:
        return words[0], float(words[1]), words[2]
    except ValueError:
        return None


class Sides(Host):
    """How to start a program on each side; the mediator of ours, while there is one."""

    def __init__(self, product, backend, out):
        super().__init__(product, backend, out)
        self.started = 0

    def on(self, side, command, extra):
        """(command, environment) of a program on a side."""
        env = dict(os.environ, PYTHONUNBUFFERED="1", VGPU_LOG="1", **extra)
        if side == "ours":
            env["VGPU_SOCKET"] = self.socket("mediator")
            return [self.program("vgpu-run"), "--", *command], env
        # The driver of this machine, whatever LD_LIBRARY_PATH says of another.
        if "LD_LIBRARY_PATH" not in extra:
            env.pop("LD_LIBRARY_PATH", None)
        if self.backend == "soft":
            env["LD_LIBRARY_PATH"] = soft_folder(self.product, self.out)
        return list(command), env

    def start(self, side, command, extra):
        self.started += 1
        command, env = self.on(side, command, extra)
        return Worker(side, command, env, os.path.join(self.out, f"{self.started}-{side}.log"))

    def run_once(self, side, command, extra, seconds):
        """Rows of a program that measures itself as it comes, and its own duration in ms."""
        if side == "ours":
            self.await_executor()
        command, env = self.on(side, command, extra)
        begin = now()
        try:
            done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, errors="replace", timeout=max(1, seconds), check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"{side}: {command[-2:]} did not end") from None
        took = (now() - begin) * 1e3
        if done.returncode != 0:
            raise Failure(f"{side}: {command[-2:]} ended with {done.returncode}: {done.stderr[-300:]}")
        return [row for row in map(row_of, done.stdout.splitlines()) if row], took
