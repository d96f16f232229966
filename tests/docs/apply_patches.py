#!/usr/bin/env python3
"""Apply the diff blocks of a Markdown page to copies of the files they name.

    apply_patches.py PAGE.md SOURCE_TREE OUT_TREE

A hunk has no line numbers: its context lines are found in the file, where they must stand exactly once.
"""
import os
import re
import sys


def apply(text, hunk, where):
    old = [line[1:] for line in hunk if not line.startswith("+")]
    new = [line[1:] for line in hunk if not line.startswith("-")]
    lines = text.split("\n")
    at = [i for i in range(len(lines)) if lines[i:i + len(old)] == old]
    if len(at) != 1:
        raise SystemExit(f"{where}: the context of a hunk is found {len(at)} times:\n" + "\n".join(old))
    lines[at[0]:at[0] + len(old)] = new
    return "\n".join(lines)


def main():
    page, source, out = sys.argv[1:]
    with open(page, encoding="utf-8") as f:
        blocks = re.findall(r"^```diff\n(.*?)^```", f.read(), re.M | re.S)
    if not blocks:
        raise SystemExit(f"{page}: no diff blocks")
    for block in blocks:
        head, *hunks = re.split(r"^@@\n", block, flags=re.M)
        name = re.search(r"^\+\+\+ b/(\S+)", head, re.M)[1]
        with open(os.path.join(source, name), encoding="utf-8") as f:
            text = f.read()
        for hunk in hunks:
            text = apply(text, hunk.rstrip("\n").split("\n"), f"{page}, {name}")
        target = os.path.join(out, name)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w", encoding="utf-8") as f:
            f.write(text)


main()
