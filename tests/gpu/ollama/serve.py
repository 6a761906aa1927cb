# SPDX-License-Identifier: MIT
"""Ollama's server with a random model: what it says of the GPU, the tokens, the times.

    serve.py FOLDER [LAYERS]    FOLDER: what tests/gpu/ollama/build made

Starts `ollama serve`, creates the model as a user does, and asks for tokens over HTTP,
greedily. Prints lines as the workloads do (work/vg.py); the server's log ends up in the log of
the run. Exit status 1: it did not come to tokens, or not on the GPU.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT = "".join(chr(ord("a") + n * 7 % 26) for n in range(500))
TOKENS = 128


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def model_file(folder, layers):
    """Made once; both sides use it."""
    path = os.path.join(folder, f"model-{layers}.gguf")
    if not os.path.exists(path):
        subprocess.run([sys.executable, os.path.join(HERE, "model.py"), path + ".new", layers], check=True)
        os.replace(path + ".new", path)
    return path


class Server:
    """`ollama serve` with a home of its own."""

    def __init__(self, folder):
        self.program = os.path.join(folder, "bin", "ollama")
        self.home = tempfile.mkdtemp(prefix="ollama.")
        self.log = os.path.join(self.home, "log")
        self.at = f"127.0.0.1:{free_port()}"
        self.env = dict(os.environ, HOME=self.home, OLLAMA_HOST=self.at, OLLAMA_DEBUG="1",
                        OLLAMA_MODELS=os.path.join(self.home, "models"), OLLAMA_NUM_PARALLEL="1")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([self.program, "serve"], env=self.env, stdout=log, stderr=log)

    def command(self, *words):
        subprocess.run([self.program, *words], env=self.env, check=True, stdout=sys.stderr,
                       timeout=120)

    def ask(self, path, **what):
        data = json.dumps(what).encode() if what else None
        with urllib.request.urlopen(f"http://{self.at}{path}", data, timeout=120) as answer:
            return json.load(answer)

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.ask("/api/version")["version"]
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("the server does not answer")
                time.sleep(0.05)

    def said(self, pattern):
        """The first match in its log."""
        with open(self.log, errors="replace") as log:
            return re.search(pattern, log.read())

    def wait_said(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while not self.said(pattern) and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.said(pattern)

    def end(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        with open(self.log, errors="replace") as log:
            print(log.read(), file=sys.stderr)
        shutil.rmtree(self.home)


def discovery(server):
    """Its one line about the GPU, but for the memory that is free at the moment."""
    line = server.wait_said(r'msg="inference compute".*', 60)
    words = re.findall(r'(\w+)=("[^"]*"|\S*)', line.group(0)) if line else []
    kept = [f"{key}={value}" for key, value in words
            if key in ("library", "compute", "description", "driver", "pci_id", "type", "total")]
    print("discovery", " ".join(kept), flush=True)
    return "library=CUDA" in kept


def create(server, path):
    recipe = os.path.join(server.home, "Modelfile")
    with open(recipe, "w") as out:
        out.write(f"FROM {path}\nPARAMETER num_ctx 1024\n")
    server.command("create", "random", "-f", recipe)


def generate(server):
    return server.ask("/api/generate", model="random", prompt=PROMPT, raw=True, stream=False,
                      options={"temperature": 0, "seed": 1, "num_predict": TOKENS,
                               "repeat_penalty": 1.3})


def report(server, answers):
    first, again = answers
    print("tokens", first["eval_count"], flush=True)
    print("text", json.dumps(first["response"]), flush=True)
    # It finds the prompt in its cache, computes in other batches, and may round otherwise.
    print("again", json.dumps(again["response"]), flush=True)
    layers = server.said(r"offloaded (\d+/\d+) layers to GPU")
    print("offloaded", layers.group(1) if layers else "nothing", flush=True)
    rate = again["eval_count"] / again["eval_duration"] * 1e9
    print(f"info {rate:.1f} tokens/s, loaded in {first['load_duration'] / 1e9:.2f} s", flush=True)
    print(f"time decode {again['eval_duration'] / again['eval_count'] / 1e9:.6f}")
    print(f"time load {first['load_duration'] / 1e9:.6f}", flush=True)
    return layers and layers.group(1).split("/")[0] == layers.group(1).split("/")[1]


def main(folder, layers="22"):
    path = model_file(folder, layers)
    server = Server(folder)
    try:
        print("info Ollama", server.wait(60), flush=True)
        found = discovery(server)
        create(server, path)
        on_gpu = report(server, [generate(server), generate(server)])
    finally:
        server.end()
    return 0 if found and on_gpu else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
