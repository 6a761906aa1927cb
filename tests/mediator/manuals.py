#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Holds the manuals against the table of verbs, as `vgpu-admin help --json` tells it.

    manuals.py VERBS.json MAN-DIRECTORY EVENT.h [--write]

The parts between '.\\" table: NAME' and '.\\" end' are what the table says; --write puts it there
anew after a change of the table.
"""
import json
import re
import sys

verbs = json.load(open(sys.argv[1]))["verbs"]
directory, events_h = sys.argv[2:4]
write = "--write" in sys.argv


def dashes(text):
    return text.replace("-", "\\-")


def sentence(text):
    return text[0].upper() + text[1:] + "."


def request_table():
    """Every verb's schema, for those who speak to the socket."""
    lines = []
    for verb in verbs:
        lines.append(".SS " + verb["name"])
        lines.append(sentence(verb["what"]))
        lines.append("For administrators." if verb["rights"] == "admin" else
                     "For administrators and monitors.")
        if verb["some"]:
            lines.append("At least one of those that need not be given.")
        for arg in verb["args"]:
            if arg["local"]:
                continue
            lines.append(".TP")
            kind = {"flag": "boolean", "number": "number"}.get(arg["kind"], "string")
            if arg["allowed"].startswith("number"):
                kind = "number"
            lines.append(f'.BR {arg["name"]} " ({kind}{", needed" if arg["needed"] else ""})"')
            unit = f', {arg["unit"]}' if arg["unit"] else ""
            lines.append(dashes(f'{arg["what"]}; {arg["allowed"]}{unit}'))
        lines.append(".PP")
        lines.append(f'Answer: {verb["answer"]}.' if verb["answer"] else "Answer: nothing more.")
    return lines


def command_table():
    """Every command with its options, for those who type."""
    lines = []
    for verb in verbs:
        synopsis = "\\fB" + dashes(verb["name"]) + "\\fR"
        for arg in verb["args"]:
            if arg["positional"]:
                word = "\\fI" + arg["name"].upper() + "\\fR"
                synopsis += " " + (word if arg["needed"] else f"[{word}]")
        lines += [".TP", synopsis, sentence(verb["what"])]
        for arg in verb["args"]:
            equals = "" if arg["kind"] == "flag" else "="
            option = "\\fB" + dashes(arg["option"]) + equals + "\\fR"
            text = arg["what"] if arg["kind"] == "flag" else f'{arg["what"]}; {arg["allowed"]}'
            if arg["unit"] and arg["kind"] != "flag":
                text += ", " + arg["unit"]
            lines += [".br", f"{option} {dashes(text)}"]
    return lines


def event_table():
    rows = re.findall(r'X\(\w+, "([\w-]+)", VG_LOG_(\w+), (\d)\)', open(events_h).read())
    lines = []
    for level in "ERROR", "WARNING", "INFO":
        names = ", ".join(name for name, at, _ in rows if at == level)
        lines += [".TP", f".B {level.lower()}", dashes(names)]
    return lines


tables = {
    "vgpu-control.7": {"verbs": request_table, "events": event_table},
    "vgpu-admin.8": {"commands": command_table},
}
failures = 0
for page, parts in tables.items():
    path = f"{directory}/{page}"
    text = open(path).read()
    for name, make in parts.items():
        want = "\n".join(make()) + "\n"
        pattern = re.compile(r'(\.\\" table: ' + name + r'\n)(.*?)(\.\\" end\n)', re.S)
        found = pattern.search(text)
        if not found:
            print(f"{page}: there is no part '{name}'")
            failures += 1
        elif write:
            text = pattern.sub(lambda m, w=want: m.group(1) + w + m.group(3), text)
        elif found.group(2) != want:
            have = found.group(2).splitlines()
            for i, line in enumerate(want.splitlines()):
                if i >= len(have) or have[i] != line:
                    print(f"{page}, {name}: the table says '{line}', the manual "
                          f"'{have[i] if i < len(have) else ''}'")
                    break
            print("    tests/mediator/manuals.py --write puts it right")
            failures += 1
    if write:
        open(path, "w").write(text)
if failures:
    sys.exit(1)
print(f"agreed: {len(verbs)} verbs")
