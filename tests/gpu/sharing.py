# SPDX-License-Identifier: MIT
"""VMs that load one GPU, for tests/gpu/sched: mediators, client processes, what they measured."""
import json
import os
import selectors
import shutil
import subprocess
import tarfile
import time

STEP_S = 0.01   # of tests/client/spin's progress


class Failure(Exception):
    """Something did not do what it should; the text says what."""


def end_process(process):
    """It may end as it likes, but it ends."""
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


class Client:
    """One tests/client/spin: takes an order, answers with lines."""

    def __init__(self, name, command, env, log):
        self.name = name
        self.log = log
        self.rest = b""
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=errors, env=env, start_new_session=True)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.ready = selectors.DefaultSelector()
        self.ready.register(self.process.stdout, selectors.EVENT_READ)

    def complain(self, what):
        with open(self.log, errors="replace") as log:
            said = log.read()[-400:].strip().replace("\n", " | ")
        raise Failure(f"{self.name}: {what}, status {self.process.poll()}: {said}")

    def line(self, deadline):
        while b"\n" not in self.rest:
            if not self.ready.select(max(0, deadline - now())):
                self.complain("no answer")
            piece = self.process.stdout.read()
            if piece == b"":
                self.complain("has ended")
            self.rest += piece or b""
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()

    def await_ready(self, deadline):
        if self.line(deadline) != "ready":
            self.complain("said something else than ready")

    def order(self, *words):
        try:
            self.process.stdin.write((" ".join(str(w) for w in words) + "\n").encode())
            self.process.stdin.flush()
        except OSError as problem:
            self.complain(str(problem))

    def answer(self, seconds):
        """Lines, split, until "end"."""
        deadline, lines = now() + seconds, []
        while True:
            words = self.line(deadline).split()
            if words[0] == "end":
                return lines
            lines.append(words)

    def end(self):
        try:
            self.process.stdin.close()
            self.process.wait(2)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


class Way:
    """One way to share the GPU: with a mediator of ours, or the driver's own."""

    def __init__(self, name, rig, scheduling=None, vms=8, many=8):
        self.name = name
        self.rig = rig
        self.scheduling = scheduling    # None: no mediator
        self.folder = os.path.join(rig.out, name)
        self.vms, self.many = vms, many
        self.clients = []       # of VMs v0, v1, ..., then those of the VM "many"
        self.cost = {}          # shape -> ns that a round takes alone
        self.policies = {}
        self.mediator = None
        self.broken = None

    # ---- mediator ----

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        if self.scheduling:
            self.start_mediator()
        names = [f"v{i}" for i in range(self.vms)] + ["many"] * self.many
        for number, vm in enumerate(names):
            self.clients.append(self.start_client(vm, number))

    def start_mediator(self):
        prestart = min(self.vms + self.many, self.rig.prestart)
        command = [self.rig.program("vgpu-mediator"), "--foreground", "--config", "/dev/null",
                   "--backend", self.rig.backend, "--socket", self.path("mediator.sock"),
                   "--control-socket", self.path("control.sock")]
        for setting in ("state_dir=", f"scheduling={self.scheduling}", f"prestart={prestart}",
                        "prestart_refill=no", "log_level=debug", "fault_limit=0"):
            command += ["--set", setting]
        with open(self.path("mediator.log"), "wb") as log:
            self.mediator = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True)
        deadline = now() + 20
        while self.ask("list") is None:
            if now() > deadline or self.mediator.poll() is not None:
                raise Failure(f"the mediator does not answer: {self.log_tail()}")
            time.sleep(0.05)

    def log_tail(self, lines=5):
        with open(self.path("mediator.log"), errors="replace") as log:
            return " | ".join(log.read().splitlines()[-lines:])

    def log_lines(self, *words):
        if not self.mediator:
            return []
        with open(self.path("mediator.log"), errors="replace") as log:
            return [line.strip() for line in log if any(w in line for w in words)]

    def start_client(self, vm, number):
        env = dict(os.environ, VGPU_LOG="1")
        command = self.rig.spin_command()
        if self.scheduling:
            env["VGPU_SOCKET"] = self.path("mediator.sock")
            command = [self.rig.program("vgpu-run"), "--vm", vm, "--"] + command
        elif self.rig.backend == "soft":
            env["LD_LIBRARY_PATH"] = self.rig.soft_folder()
        return Client(f"{self.name}/{vm}", command, env, self.path(f"client{number}.log"))

    def await_ready(self, deadline):
        for client in self.clients:
            client.await_ready(deadline)

    def end(self):
        for client in self.clients:
            client.end()
        if self.mediator:
            end_process(self.mediator)

    # ---- administration ----

    def ask(self, *words):
        """What vgpu-admin says as JSON, None: it failed."""
        done = subprocess.run([self.rig.program("vgpu-admin"), "--socket", self.path("control.sock"), "--json",
                               *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, check=False)
        try:
            return json.loads(done.stdout) if done.returncode == 0 else None
        except ValueError:
            return None

    def policy(self, vm, priority, weight):
        if not self.scheduling or self.policies.get(vm) == (priority, weight):
            return
        if self.ask("register-vm", f"--vm-name={vm}", "--pool=A", f"--priority={priority}",
                    f"--weight={weight}") is None:
            raise Failure(f"{self.name}: register-vm {vm} {priority} {weight} was refused")
        self.policies[vm] = (priority, weight)

    def counters(self, vms):
        """By VM, counters of the mediator that grow."""
        return {vm: numbers_of(self.ask("show-metrics", vm)) for vm in vms} if self.scheduling else {}


def numbers_of(answer, found=None):
    """Every number by its name, the first one of each name: whatever the answer's form."""
    found = {} if found is None else found
    if isinstance(answer, dict):
        for key, value in answer.items():
            if isinstance(value, (dict, list)):
                continue
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found.setdefault(key, value)
    for value in (answer.values() if isinstance(answer, dict) else answer if isinstance(answer, list) else ()):
        if isinstance(value, (dict, list)):
            numbers_of(value, found)
    return found


class Rig:
    """Where programs are, where logs go, how long kernels take."""

    def __init__(self, product, backend, out, quick):
        self.product, self.backend, self.out, self.quick = product, backend, out, quick
        self.rounds_per_us = 1.0
        self.prestart = 16 if backend == "cuda" else 4

    def program(self, name):
        return os.path.join(self.product, "bin", name)

    def spin_command(self):
        command = [os.path.join(self.product, "client", "spin")]
        return command + (["--blocks", "1", "--threads", "32"] if self.backend == "soft" else [])

    def soft_folder(self):
        """The software GPU under NVIDIA's name."""
        folder = os.path.join(self.out, "soft")
        os.makedirs(folder, exist_ok=True)
        link = os.path.join(folder, "libcuda.so.1")
        if not os.path.lexists(link):
            os.symlink(os.path.join(self.product, "lib", "libvgpu-softcuda.so"), link)
        return folder

    def rounds(self, us):
        return max(1, round(us * self.rounds_per_us))

    def calibrate(self, client):
        """Rounds of a microsecond, under a load that lasts: a GPU that was idle has half its clock for
        seconds, and short kernels with pauses do not raise it."""
        before = 0.0
        for tries in range(10):
            client.order("load", 0, 0.6, 16, 0, 20000, 20000)
            lines = [l for l in client.answer(60) if l[0] == "at"]
            first, last = lines[len(lines) // 2], lines[-1]
            self.rounds_per_us = 1000 * (int(last[2]) - int(first[2])) / (int(last[1]) - int(first[1])) or 1.0
            if tries > 2 and abs(self.rounds_per_us - before) < 0.01 * before:
                break
            before = self.rounds_per_us
        return self.rounds_per_us


def pack_logs(out, folders):
    """All but what people look at becomes one file: where a GPU is lent, few files can be taken along."""
    three = os.path.join(out, "three")
    keep = ("shares.jsonl", "shares.svg")
    paths = [os.path.join(three, n) for n in (os.listdir(three) if os.path.isdir(three) else ()) if n not in keep]
    paths += [f for f in folders if os.path.isdir(f)]
    with tarfile.open(os.path.join(out, "logs.tar.xz"), "w:xz") as tar:
        for path in paths:
            tar.add(path, os.path.relpath(path, out), filter=lambda m: m if m.isreg() or m.isdir() else None)
    for path in paths:
        shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)
