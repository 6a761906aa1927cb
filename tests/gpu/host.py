# SPDX-License-Identifier: MIT
"""The mediator that programs meet on a host, for tests/gpu/run and tests/bench."""
import json
import os
import re
import subprocess
import time

from sharing import Failure, end_process, now


class Host:
    """One mediator at a time, with its sockets and log in a folder; none before it is started."""

    def __init__(self, product, backend, out):
        self.product, self.backend, self.out = product, backend, out
        self.mediator = None

    def program(self, name):
        return os.path.join(self.product, "bin", name)

    def socket(self, name):
        return os.path.join(self.out, name + ".sock")

    def start_mediator(self, *settings):
        command = [self.program("vgpu-mediator"), "--foreground", "--config", "/dev/null", "--backend", self.backend,
                   "--socket", self.socket("mediator"), "--control-socket", self.socket("control")]
        for setting in ("state_dir=", *settings):
            command += ["--set", setting]
        with open(os.path.join(self.out, "mediator.log"), "ab") as log:
            self.mediator = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                             start_new_session=True)
        self.await_executor(40)

    def await_executor(self, seconds=30):
        """Until one waits for a guest: what a program finds on a host that has been up for a while."""
        deadline = now() + seconds
        while not re.search(r"^ready *[1-9]", self.ask("show-health"), re.MULTILINE):
            if now() > deadline or not self.lives():
                raise Failure("no executor gets ready: see mediator.log")
            time.sleep(0.05)

    def lives(self):
        return self.mediator is not None and self.mediator.poll() is None

    def ask(self, *words):
        """What vgpu-admin prints; nothing if nobody answers."""
        try:
            done = subprocess.run([self.program("vgpu-admin"), "--socket", self.socket("control"), *words],
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  timeout=20)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout

    def still_held(self, seconds):
        """VMs that have an executor or memory still, after `seconds` at most: [] when all is freed."""
        deadline = now() + seconds
        while True:
            try:
                vms = json.loads(self.ask("list", "--json"))["vms"]
                held = [vm["name"] for vm in vms if vm["executors"] or vm["memory_bytes"]]
            except (ValueError, KeyError):
                held = ["(no answer)"]
            if not held or now() > deadline:
                return held
            time.sleep(0.2)

    def stop_mediator(self):
        if self.mediator:
            end_process(self.mediator)
        self.mediator = None


def soft_folder(product, out):
    """The software GPU under NVIDIA's name, for programs that shall load it themselves."""
    folder = os.path.join(out, "soft")
    os.makedirs(folder, exist_ok=True)
    link = os.path.join(folder, "libcuda.so.1")
    if not os.path.lexists(link):
        os.symlink(os.path.join(product, "lib", "libvgpu-softcuda.so"), link)
    return folder
