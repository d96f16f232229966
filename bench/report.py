#!/usr/bin/env python3
"""Tables and drawings of what the measuring programs have kept.

    report.py FIGURES.jsonl... [--svg DIRECTORY] [--into PAGE.md]

Prints a table for each suite: medians, least and most of the rounds, and how many times better ours is than the best
peer. --most-others leaves out what was measured while something else took more than that share of one processor
[0.25]. --svg writes a drawing of the ratios of each suite. --into writes the tables into a page, between the lines
`<!-- figures: SUITE -->` and `<!-- end -->`.
"""
import argparse
import io
import os
import re
import sys

from figures import chart, read, table

# What a suite's drawing shows.
MAIN = {"speed": "tokens/s", "serve": "tokens/s", "embed": "sentences/s", "start": "ready s", "memory": "resident MiB",
        "neighbour": "share kept"}


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("files", nargs="+", metavar="FIGURES.jsonl")
    parse.add_argument("--svg", metavar="DIRECTORY")
    parse.add_argument("--into", metavar="PAGE.md")
    parse.add_argument("--most-others", type=float, default=0.25)
    options = parse.parse_args()
    rows = read(options.files)
    quiet = [r for r in rows if r["others"] <= options.most_others]
    if len(quiet) < len(rows):
        print(f"{len(rows) - len(quiet)} of {len(rows)} measurements were disturbed and are left out", file=sys.stderr)
    page = None
    if options.into:
        with open(options.into, encoding="utf-8") as f:
            page = f.read()
    for suite in dict.fromkeys(r["suite"] for r in quiet):
        of_suite = [r for r in quiet if r["suite"] == suite]
        text = io.StringIO()
        table(of_suite, text)
        print(f"\n## {suite}\n{text.getvalue()}")
        if page is not None:
            begin, end = f"<!-- figures: {suite} -->\n", "<!-- end -->"
            if begin not in page:
                sys.exit(f"report.py: {options.into} has no place for the suite {suite}: {begin.strip()}")
            page = re.sub(f"{begin}.*?{end}", lambda _, b=begin, t=text.getvalue(): b + t + end, page, count=1, flags=re.S)
        drawing = options.svg and chart(of_suite, MAIN.get(suite, ""), f"{suite}: {MAIN.get(suite)}, times better than the best peer")
        if drawing:
            os.makedirs(options.svg, exist_ok=True)
            with open(os.path.join(options.svg, f"{suite}.svg"), "w", encoding="utf-8") as f:
                f.write(drawing)
    if page is not None:
        with open(options.into, "w", encoding="utf-8") as f:
            f.write(page)


if __name__ == "__main__":
    main()
