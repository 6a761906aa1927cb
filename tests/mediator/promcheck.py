#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads Prometheus' text format 0.0.4 strictly: grammar, order, and what histograms promise.

    promcheck.py FILE [FORMER-FILE]

With a former answer of the same daemon, counters must not have gone down. Where the package
prometheus_client is there, it must read the same samples.
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? (\S+)")
TYPES = {"counter", "gauge", "histogram"}


def fail(number, line, what):
    sys.exit(f"line {number}: {what}: {line}")


def read(path):
    families, samples, family = {}, {}, None
    text = open(path, encoding="utf-8").read()
    if not text.endswith("\n"):
        sys.exit("the last line does not end")
    for number, line in enumerate(text.splitlines(), 1):
        help_line = re.fullmatch(rf"# HELP ({NAME}) (.+)", line)
        type_line = re.fullmatch(rf"# TYPE ({NAME}) (\w+)", line)
        sample = SAMPLE.fullmatch(line)
        if help_line:
            family = help_line[1]
            if family in families:
                fail(number, line, "a second HELP")
            families[family] = None
        elif type_line:
            if type_line[1] != family or families[family] is not None:
                fail(number, line, "TYPE without its HELP before")
            if type_line[2] not in TYPES:
                fail(number, line, "unknown type")
            families[family] = type_line[2]
        elif sample:
            name, labels = sample[1], tuple(re.findall(LABEL, sample[2] or ""))
            base = re.sub("_(bucket|sum|count)$", "", name) if families.get(family) == "histogram" \
                else name
            if base != family or families[family] is None:
                fail(number, line, "a sample outside its family")
            if families[family] == "counter" and not name.endswith("_total"):
                fail(number, line, "a counter is called _total")
            if len({x.split("=")[0] for x in labels}) != len(labels):
                fail(number, line, "a label twice")
            if (name, labels) in samples:
                fail(number, line, "a sample twice")
            samples[name, labels] = float(sample[3])
        else:
            fail(number, line, "neither HELP nor TYPE nor sample")
    return families, samples


def check_histograms(families, samples):
    series = {}
    for (name, labels), value in samples.items():
        if name.endswith("_bucket") and families.get(name[:-7]) == "histogram":
            le = [x for x in labels if x.startswith("le=")][0]
            rest = tuple(x for x in labels if x != le)
            series.setdefault((name[:-7], rest), []).append((float(le[4:-1]), value))
    for (name, labels), buckets in series.items():
        bounds = [b for b, _ in buckets]
        counts = [c for _, c in buckets]
        if bounds != sorted(set(bounds)) or bounds[-1] != float("inf"):
            sys.exit(f"{name}{labels}: bounds {bounds}")
        if counts != sorted(counts):
            sys.exit(f"{name}{labels}: counts go down")
        if samples[name + "_count", labels] != counts[-1] or (name + "_sum", labels) not in samples:
            sys.exit(f"{name}{labels}: count or sum")
    return len(series)


families, samples = read(sys.argv[1])
histograms = check_histograms(families, samples)
if len(sys.argv) > 2:
    _, former = read(sys.argv[2])
    for key, value in former.items():
        kind = families.get(key[0]) or families.get(re.sub("_(bucket|sum|count)$", "", key[0]))
        if kind != "gauge" and samples.get(key, -1) < value:
            sys.exit(f"{key} went down from {value} to {samples.get(key)}")
try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    also = ""
else:
    theirs = sum(len(f.samples) for f in
                 text_string_to_metric_families(open(sys.argv[1], encoding="utf-8").read()))
    if theirs != len(samples):
        sys.exit(f"prometheus_client reads {theirs} samples, not {len(samples)}")
    also = ", so says prometheus_client"
print(f"good: {len(families)} families, {len(samples)} samples, {histograms} histograms{also}")
