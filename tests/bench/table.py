# SPDX-License-Identifier: MIT
"""What tests/bench/bench measured: values by row and side, goals, and the tables of them."""
import json
import re
import statistics
from dataclasses import dataclass

# Of design, "numbers to beat". Ours to native, unless a unit follows: then ours alone, and
# with + what ours may take more than native.
GOALS = (
    (r"first_context", "<=100 ms"),
    (r"enqueue_median", "<=500 ns"),
    (r"launches", ">=1.00"),
    (r"round_trip_median|context_sync", "<=+3 us"),
    (r"(htod|dtoh)_pinned_\d+[mg]", ">=0.95"),
    (r"(htod|dtoh)_pageable_\d+[mg]", ">=0.90"),
    (r"copy\.pinned_.*_\d+MiB", "<=1.05"),
    (r"copy\.pageable_.*_\d+MiB", "<=1.11"),
    (r"eager\..*|eager_10_ops", "<=1.10"),
    (r"step_86m", "<=1.005"),
    (r"llama\.decode_token|llama_cpp\.decode", "<=1.02"),
    (r"start\.(cublas|cudnn)", "<=1.10"),
)

# The rows of the README, and what they are called there.
TOLD = (
    ("first_context", "a program's first CUDA context"),
    ("first_kernel", "its first kernel, from PTX, has ended after"),
    ("whole_process", "such a program from its start to its end"),
    ("start.cublas", "PyTorch: first product of matrices (starts cuBLAS), not the first program of the VM"),
    ("start.cudnn", "PyTorch: first convolution after it (starts cuDNN), the same"),
    ("module_cold", "load a module of PTX that no cache knows"),
    ("module_warm", "load it again"),
    ("enqueue_median", "enqueue a launch, in the caller"),
    ("launches", "launches completed a second"),
    ("round_trip_median", "launch and wait for it"),
    ("context_sync", "launch, and wait for all of the context"),
    ("stream_sync_idle", "wait for a stream that has nothing to do"),
    ("graph_64_replay", "launch a graph of 64 kernels and wait for it"),
    ("eager_10_ops", "8 launches, a memset, an event, 4 bytes back, and wait"),
    ("event_new", "create and destroy an event"),
    ("event_record", "record an event"),
    ("event_sync", "record an event and wait for it"),
    ("stream_new", "create and destroy a stream"),
    ("alloc_free_64k", "allocate and free 64 KiB"),
    ("alloc_free_async", "the same in the order of a stream, 1 MiB"),
    ("memory_info", "ask for the free memory (cuMemGetInfo)"),
    ("memory_info_beside", "the same natively: without a mediator, beside one"),
    *((f"{way}_{kind}_{size}", f"copy {text}, {kind}, {to} the GPU")
      for size, text in (("4k", "4 KiB"), ("64k", "64 KiB"), ("1m", "1 MiB"), ("16m", "16 MiB"))
      for kind in ("pageable", "pinned") for way, to in (("htod", "to"), ("dtoh", "from"))),
    ("eager.add_out", "PyTorch, one small operation, eager"),
    ("eager.chain", "PyTorch, five small operations, eager"),
    ("eager.item", "PyTorch, a number read back"),
    ("alloc.64MiB_and_free", "PyTorch, allocate 64 MiB from the driver and free it"),
    ("graph.replay_100_sync", "PyTorch, a graph of 100 kernels, and wait for it"),
    ("step_86m", "PyTorch, training step of a net of 86 M parameters, eager"),
    ("llama.prefill", "PyTorch, 1.1 B Llama: prefill of 512 tokens"),
    ("llama.decode_token", "PyTorch, 1.1 B Llama: a token decoded, eager"),
    ("llama.training_step", "PyTorch, 1.1 B Llama: AdamW training step"),
    ("llama_cpp.prefill", "llama.cpp, 1.1 B Llama: prefill of 512 tokens"),
    ("llama_cpp.decode", "llama.cpp, 1.1 B Llama: 128 tokens decoded"),
)

LEGEND = """\
vgpu_run_adds        vgpu-run -- true with a mediator that it starts, compared with true alone
executor_launch      processor time that the executor takes for a launch, without driver and scheduler
scheduled_alone      what measuring and the gate add to it for a VM that has the GPU to itself
scheduled_turns      the same where another VM had work less than a second ago
first_context        from the start of a program to its CUDA context, a mediator running
first_kernel         the same to the end of its first kernel, which comes as PTX
whole_process        the same to the end of the process
memory_info          cuMemGetInfo; ..._beside: natively without a mediator, and beside one
enqueue              one launch, nobody waiting for it: what the caller spends
launches             empty kernels completed, the queue kept full
round_trip           one empty kernel and the wait for it
local_query          a call that the guest's library answers itself
graph_64_replay      launch of a graph of 64 empty kernels, and the wait for it
eager_10_ops         8 kernels, a memset, an event, 4 bytes back and the wait for them
module_cold, warm    load and unload of PTX that no cache knows, and again
htod, dtoh           copies to the GPU and back
eager.* to step_86m  PyTorch (tests/gpu/work/torch_speed.py); llama.*: 1.1 B parameters in PyTorch
start.*              from the first use of the GPU in a process of PyTorch; ..._first: the VM's first process
ratio                ours to native, the median of the turns; above 1 is worse for times, better for rates
+-                   half of what lies between the quartiles (of three turns: of all)
goal                 ours to native, or ours alone, or (+) what ours may take more than native
reached              unclear: the goal lies between the quartiles"""

SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}


# ---- numbers ----

def quartiles(values):
    """(first, median, third); of few values the ends."""
    if len(values) < 4:
        return min(values), statistics.median(values), max(values)
    return tuple(statistics.quantiles(values, n=4, method="inclusive"))


@dataclass
class Goal:
    upper: bool     # <=
    added: bool     # of the difference
    limit: float
    unit: str       # empty: of the ratio
    text: str

    def quantities(self, native, ours, unit):
        """What the goal speaks of, turn by turn; empty: it cannot be said."""
        if not self.unit:
            return [o / n for n, o in zip(native, ours) if n > 0]
        scale = SECONDS[unit] / SECONDS[self.unit]
        if self.added:
            return [(o - n) * scale for n, o in zip(native, ours)]
        return [o * scale for o in ours]

    def verdict(self, native, ours, unit):
        values = self.quantities(native, ours, unit)
        if not values:
            return ""
        low, _, high = quartiles(values)
        inside, outside = (high <= self.limit, low > self.limit) if self.upper else \
            (low >= self.limit, high < self.limit)
        return "yes" if inside else "NO" if outside else "unclear"


def goal_of(name):
    for pattern, text in GOALS:
        if re.fullmatch(pattern, name):
            sign, plus, limit, unit = re.fullmatch(r"([<>]=)(\+?)([\d.]+) ?(\w*)", text).groups()
            return Goal(sign == "<=", bool(plus), float(limit), unit, text)
    return None


# ---- values ----

class Values:
    """name -> side -> values in the order of turns; each is in the file as soon as it is known."""

    def __init__(self, path=None):
        self.rows, self.unit = {}, {}
        self.file = open(path, "w") if path else None

    def add(self, side, name, value, unit):
        self.rows.setdefault(name, {}).setdefault(side, []).append(value)
        self.unit[name] = unit
        if self.file:
            print(json.dumps([side, name, value, unit]), file=self.file, flush=True)

    @classmethod
    def load(cls, path):
        values = cls()
        with open(path) as file:
            for line in file:
                values.add(*json.loads(line))
        return values

    def sides(self, name):
        row = self.rows[name]
        return row.get("native", []), row.get("ours", [])

    def ratio(self, name):
        """Quartiles of ours to native, or None."""
        pairs = [o / n for n, o in zip(*self.sides(name)) if n > 0]
        return quartiles(pairs) if pairs else None


# ---- tables ----

def number(v):
    return f"{v:.0f}" if v >= 100 else f"{v:.2f}" if v >= 1 else f"{v:.3g}"


def scaled(value, unit):
    """12.3 ms rather than 0.0123 s."""
    if unit in SECONDS:
        for name in ("s", "ms", "us", "ns"):
            if value * SECONDS[unit] >= SECONDS[name] or name == "ns":
                return f"{number(value * SECONDS[unit] / SECONDS[name])} {name}"
    if unit == "per_s":
        return f"{value / 1e3:.0f} k/s" if value >= 1e4 else f"{number(value)} /s"
    return f"{number(value)} {unit}"


def cell(values, unit):
    """Median and spread."""
    if not values:
        return "-", ""
    low, middle, high = quartiles(values)
    return scaled(middle, unit), f"{50 * (high - low) / middle:.0f}%" if middle and len(values) > 1 else ""


FORM = "{:<28} {:>12} {:>5} {:>12} {:>5} {:>7} {:>5} {:>9} {:<8}{}"


def head(vm):
    return FORM.format("", "native", "+-", "ours", "+-", "ratio", "+-", "goal", "reached",
                       "      in a VM" if vm else "").rstrip()


def row_text(values, name, vm):
    (native, ours), unit = values.sides(name), values.unit[name]
    ratio, goal = values.ratio(name), goal_of(name)
    inside = values.rows[name].get("vm")
    return FORM.format(name, *cell(native, unit), *cell(ours, unit), number(ratio[1]) if ratio else "-",
                       f"{50 * (ratio[2] - ratio[0]) / ratio[1]:.0f}%" if ratio and len(native) > 1 else "",
                       goal.text if goal else "", goal.verdict(native, ours, unit) if goal else "",
                       f"{scaled(statistics.median(inside), unit):>13}" if vm and inside else "").rstrip()


def table(values):
    vm = any("vm" in row for row in values.rows.values())
    return "\n".join([head(vm)] + [row_text(values, name, vm) for name in values.rows])


def markdown(values):
    """The README's table."""
    lines = ["| | native | through vgpu | ratio | goal | |", "|---|---|---|---|---|---|"]
    for name, text in TOLD:
        if name not in values.rows or not all(values.sides(name)):
            continue
        (native, ours), unit = values.sides(name), values.unit[name]
        low, middle, high = values.ratio(name)
        goal = goal_of(name)
        said = {"yes": "reached", "NO": "missed"}.get(goal.verdict(native, ours, unit), "unclear") if goal else ""
        lines.append(f"| {text} | {cell(native, unit)[0]} | {cell(ours, unit)[0]} | {middle:.2f} "
                     f"({low:.2f} to {high:.2f}) | {goal.text if goal else ''} | {said} |".replace("us |", "µs |"))
    return "\n".join(lines)
