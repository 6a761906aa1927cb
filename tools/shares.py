#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who gets how much of the GPU, over time: records it, draws it, and adds it up.

  shares.py record --socket CONTROL_SOCKET --out FILE [--every S] [--until FILE] [--for S]
  shares.py draw FILE --out PICTURE.svg [--window S] [--title TEXT] [--due VM=PERCENT ...]
  shares.py sum FILE [--from S|MARK] [--to S|MARK]

`record` asks a running vgpu-mediator every S seconds (0.2) how much GPU time each VM was charged, and
for events, until the --until file is there: one JSON object a line, times in seconds since the
first. Lines of other programs may be appended: {"mark": "text", "time": seconds since 1970}.
`draw` makes a picture of such a file. `sum` prints, for the time between two marks or numbers of
seconds, each VM's part of the GPU time charged, its time, launches and BUSY answers, and how long
at most its launches did not grow.

Only Python's standard library.
"""
import argparse
import datetime
import json
import os
import socket
import time
from xml.sax.saxutils import escape

# ---- recording ----

COUNTERS = ('gpu_charged_ns', 'gpu_ns', 'launches', 'calls', 'busy', 'executors', 'faults',
            'entitled_ppm', 'state', 'pool', 'priority', 'weight')


class Mediator:
    """The control socket: one JSON object a line, both ways (vgpu-control(7))."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.lines = self.socket.makefile('rw', encoding='utf-8')
        self.next = 1

    def ask(self, **request):
        self.lines.write(json.dumps(request) + '\n')
        self.lines.flush()
        answer = json.loads(self.lines.readline())
        if not answer.get('ok'):
            raise SystemExit(f"shares.py: {answer.get('error')}")
        return answer

    def events(self):
        answer = self.ask(op='events', since=self.next, limit=1024)
        self.next = answer['next']
        return answer['events']


def seconds_of(utc):
    """1970's seconds of an event's time."""
    when = datetime.datetime.strptime(utc, '%Y-%m-%dT%H:%M:%S.%fZ')
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


def record(args):
    mediator = Mediator(args.socket)
    began, first = time.time(), None
    with open(args.out, 'a', encoding='utf-8') as out:
        while True:
            answer = mediator.ask(op='top')
            now = answer['time_ns'] / 1e9
            first = now if first is None else first
            vms = {vm['name']: {k: vm[k] for k in COUNTERS if k in vm} for vm in answer['vms']}
            lines = [{'t': round(now - first, 4), 'began': began, 'vms': vms}]
            lines += [{'time': seconds_of(e['time']), 'event': e['type'], 'vm': e['vm'],
                       'text': e['text']} for e in mediator.events()]
            out.write(''.join(json.dumps(line) + '\n' for line in lines))
            out.flush()
            if args.until and os.path.exists(args.until) or args.seconds and now - first > args.seconds:
                return
            time.sleep(args.every)


# ---- reading ----

class Record:
    """samples: [(t, {vm: counters})]; events: [(t, type, vm, text)], marks: [(t, text)]."""

    def __init__(self, path):
        self.samples, self.events, self.marks = [], [], []
        with open(path, encoding='utf-8') as file:
            lines = [json.loads(line) for line in file]
        began = next(line['began'] for line in lines if 'vms' in line)
        for line in lines:
            if 'vms' in line:
                self.samples.append((line['t'], line['vms']))
            elif 'event' in line:
                self.events.append((line['time'] - began, line['event'], line['vm'], line['text']))
            elif 'mark' in line:
                self.marks.append((line['time'] - began, line['mark']))
        pool = {vm: c['pool'] for _, vms in self.samples for vm, c in vms.items()}
        self.vms = sorted(pool)
        self.stack = sorted(sorted(pool), key=pool.get, reverse=True)   # the last pool at the bottom
        self.end = self.samples[-1][0]

    def at(self, t, vm, counter):
        """A counter that grows, between two samples by the straight line."""
        before = 0.0, 0
        for when, vms in self.samples:
            value = vms.get(vm, {}).get(counter, 0)
            if when >= t:
                part = (t - before[0]) / (when - before[0]) if when > before[0] else 1
                return before[1] + (value - before[1]) * min(part, 1)
            before = when, value
        return before[1]

    def time_of(self, text, default):
        """A number of seconds, or what a mark says."""
        if text is None:
            return default
        marked = [t for t, words in self.marks if words == text]
        return marked[0] if marked else float(text)

    def longest_still(self, start, end, vm, counter):
        since, last, longest = start, None, 0.0
        for t, vms in self.samples:
            value = vms.get(vm, {}).get(counter, 0)
            if start <= t <= end and (value != last or last is None):
                longest, since, last = max(longest, t - since), t, value
        return max(longest, end - since)

    def grown(self, start, end, counter):
        return {vm: self.at(end, vm, counter) - self.at(start, vm, counter) for vm in self.vms}


def add_up(args):
    r = Record(args.file)
    start, end = r.time_of(args.since, 0.0), r.time_of(args.to, r.end)
    used = r.grown(start, end, 'gpu_charged_ns')
    launches, busy = r.grown(start, end, 'launches'), r.grown(start, end, 'busy')
    total = sum(used.values()) or 1
    for vm in r.vms:
        still = r.longest_still(start, end, vm, 'launches')
        print(f'{vm} share {100 * used[vm] / total:.1f} gpu_ms {used[vm] / 1e6:.0f} '
              f'launches {launches[vm]:.0f} busy {busy[vm]:.0f} still_ms {1000 * still:.0f}')


# ---- drawing ----

WIDTH, LEFT, RIGHT, TOP, PLOT, LANE = 960, 64, 150, 64, 260, 26
COLOURS = ('#3366a8', '#e08a2c', '#4f9a55', '#9c5aa8', '#b0443c', '#5b8f9c', '#8a7a3c', '#6b6b6b')
RED, GREEN, INK, FAINT = '#c0282d', '#2c8a3e', '#222222', '#d8d8d8'
# What an event looks like: a sign in its VM's lane, with a word beside it.
SIGNS = {'watchdog': ('hang', RED), 'quarantined': ('quarantined', RED),
         'quarantine-cleared': ('cleared', GREEN), 'attach-refused': ('refused', RED)}


class Picture:
    def __init__(self, r, window):
        self.r, self.window, self.parts = r, window, []
        self.lanes = TOP + PLOT + 30
        self.height = self.lanes + LANE * len(r.vms) + 46
        self.colour = {vm: COLOURS[i % len(COLOURS)] for i, vm in enumerate(r.vms)}

    def x(self, t):
        return LEFT + max(0.0, min(t / self.r.end, 1.0)) * (WIDTH - LEFT - RIGHT)

    @staticmethod
    def y(part):
        return TOP + (1 - part) * PLOT

    def rect(self, x, y, w, h, fill, more=''):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(w, 0):.1f}" '
                          f'height="{h:.1f}" fill="{fill}" {more}/>')

    def line(self, x0, y0, x1, y1, colour, more=''):
        self.parts.append(f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" '
                          f'stroke="{colour}" {more}/>')

    def text(self, x, y, words, colour=INK, size=12, more=''):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" font-size="{size}" '
                          f'{more}>{escape(words)}</text>')

    def times(self):
        step = min(self.window / 4, self.r.end / 100)
        return [i * step for i in range(int(self.r.end / step) + 1)]

    def parts_at(self, t):
        """Each VM's part of the GPU time used around t; of nothing, nothing."""
        low, high = max(t - self.window / 2, 0), min(t + self.window / 2, self.r.end)
        used = self.r.grown(low, high, 'gpu_charged_ns')
        total = sum(used.values())
        return {vm: used[vm] / total if total > 0.02e9 * (high - low) else 0 for vm in self.r.vms}

    def areas(self):
        times = self.times()
        parts = [self.parts_at(t) for t in times]
        base = [0.0] * len(times)
        for vm in self.r.stack:
            top = [b + p[vm] for b, p in zip(base, parts)]
            points = [f'{self.x(t):.1f},{self.y(v):.1f}' for t, v in zip(times, top)]
            points += [f'{self.x(t):.1f},{self.y(v):.1f}' for t, v in reversed(list(zip(times, base)))]
            self.parts.append(f'<polygon points="{" ".join(points)}" fill="{self.colour[vm]}" '
                              'fill-opacity="0.85"/>')
            base = top

    def axes(self):
        for percent in (0, 25, 50, 75, 100):
            y = self.y(percent / 100)
            self.line(LEFT, y, WIDTH - RIGHT, y, FAINT)
            self.text(LEFT - 8, y + 4, f'{percent} %', more='text-anchor="end"')
        step = next(s for s in (1, 2, 5, 10, 20, 60, 120, 600, 3600) if self.r.end / s <= 16)
        for s in range(0, int(self.r.end) + 1, step):
            x = self.x(s)
            self.line(x, TOP + PLOT, x, TOP + PLOT + 5, INK)
            self.text(x, TOP + PLOT + 18, f'{s} s', more='text-anchor="middle"')

    def due(self, lines):
        """What somebody is entitled to, as a dashed line from the bottom."""
        for words, part in lines:
            y = self.y(part)
            self.line(LEFT, y, WIDTH - RIGHT, y, INK, 'stroke-dasharray="5 4" stroke-width="1"')
            self.text(WIDTH - RIGHT + 6, y + 4, words, size=11)

    def spans(self, vm, is_so):
        """Times [t0, t1] between samples in which counters of a VM are so."""
        since = None
        for t, vms in self.r.samples:
            now = vm in vms and is_so(vms[vm])
            if now and since is None:
                since = t
            elif not now and since is not None:
                yield since, t
                since = None
        if since is not None:
            yield since, self.r.end

    def lane(self, i, vm):
        y, colour = self.lanes + i * LANE, self.colour[vm]
        counters = next(vms[vm] for _, vms in self.r.samples if vm in vms)
        self.rect(LEFT - 52, y + 4, 11, 11, colour)
        self.text(LEFT - 8, y + 14, vm, more='text-anchor="end"')
        last = self.r.samples[-1][1].get(vm, counters)
        self.text(WIDTH - RIGHT + 6, y + 14, f"pool {last['pool']}, {last['priority']}, {last['weight']}",
                  size=11)
        for t0, t1 in self.spans(vm, lambda c: c['executors'] > 0):
            self.rect(self.x(t0), y + 7, self.x(t1) - self.x(t0), 6, colour, 'fill-opacity="0.45"')
        for t0, t1 in self.spans(vm, lambda c: c['state'] == 'quarantined'):
            self.rect(self.x(t0), y + 3, self.x(t1) - self.x(t0), 14, RED, 'fill-opacity="0.25"')
        self.busy(vm, y)

    def busy(self, vm, y):
        """A tick for each sample in which the VM was told BUSY."""
        before = None
        for t, vms in self.r.samples:
            now = vms.get(vm, {}).get('busy', 0)
            if before is not None and now > before:
                self.line(self.x(t), y + 2, self.x(t), y + 18, INK, 'stroke-width="1.5"')
            before = now

    def signs(self):
        free = {}
        for t, kind, vm, _ in self.r.events:
            if kind not in SIGNS or vm not in self.colour:
                continue
            words, colour = SIGNS[kind]
            x, y = self.x(t), self.lanes + self.r.vms.index(vm) * LANE + 10
            self.line(x, TOP, x, y + 9, colour, 'stroke-width="1.2" stroke-dasharray="2 2"')
            self.parts.append(f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="{colour}"/>')
            row = next(r for r in range(9) if free.get(r, 0) <= x)
            free[row] = x + 7.0 * len(words) + 6
            self.text(x + 3, TOP - 4 - 12 * row, words, colour, 11)

    def legend(self, title):
        self.text(LEFT, 18, title, size=15, more='font-weight="bold"')
        y = self.height - 12
        self.text(LEFT, y, f'share of the GPU time used, over {self.window:g} s; below: bar: has a '
                  'process on the GPU; tick: told BUSY; red: quarantine', '#555555', 11)

    def svg(self, title, due):
        self.rect(0, 0, WIDTH, self.height, '#ffffff')
        self.axes()
        self.areas()
        self.due(due)
        for i, vm in enumerate(self.r.vms):
            self.lane(i, vm)
        for t, words in self.r.marks:
            self.line(self.x(t), TOP + PLOT - 16, self.x(t), TOP + PLOT + 8, INK, 'stroke-width="2"')
            self.text(self.x(t) + 4, TOP + PLOT - 6, words, '#ffffff', 11)
        self.signs()
        self.legend(title)
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height}" '
                f'width="{WIDTH}" height="{self.height}" font-family="sans-serif">\n'
                '<!-- SPDX-License-Identifier: MIT -->\n'
                + '\n'.join(self.parts) + '\n</svg>\n')


def draw(args):
    due = []
    for one in args.due:
        words, _, percent = one.rpartition('=')
        due.append((words, float(percent) / 100))
    picture = Picture(Record(args.file), args.window).svg(args.title, due)
    with open(args.out, 'w', encoding='utf-8') as out:
        out.write(picture)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    one = verbs.add_parser('record')
    one.add_argument('--socket', required=True)
    one.add_argument('--out', required=True)
    one.add_argument('--every', type=float, default=0.2)
    one.add_argument('--until')
    one.add_argument('--for', type=float, dest='seconds')
    one.set_defaults(run=record)
    one = verbs.add_parser('draw')
    one.add_argument('file')
    one.add_argument('--out', required=True)
    one.add_argument('--window', type=float, default=1.0)
    one.add_argument('--title', default='GPU time of VMs')
    one.add_argument('--due', action='append', default=[])
    one.set_defaults(run=draw)
    one = verbs.add_parser('sum')
    one.add_argument('file')
    one.add_argument('--from', dest='since')
    one.add_argument('--to')
    one.set_defaults(run=add_up)
    args = parser.parse_args()
    args.run(args)


if __name__ == '__main__':
    main()
