#!/usr/bin/env python3
"""Compare the template interpreter with Jinja as transformers configures it.

    compare.py RENDER_TEMPLATE goldens FILE.json          cases with expected outputs
    compare.py RENDER_TEMPLATE dir DIRECTORY [N] [SEED]   every *.jinja there, N random conversations
    compare.py RENDER_TEMPLATE snippets [SEED] [N]        random expressions

RENDER_TEMPLATE is the program tests/tools/render_template. Needs jinja2. Both sides must print the
same bytes or both must fail; for raise_exception the message must be the same too.
"""
from __future__ import annotations

import json
import os
import random
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import conversations  # noqa: E402
import reference  # noqa: E402


def run(program, cases):
    lines = "".join(json.dumps(c) + "\n" for c in cases)
    done = subprocess.run([program], input=lines, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{program} ended with {done.returncode}: {done.stderr[-3000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def differs(case, ours, theirs):
    if "out" in theirs:
        return ours.get("out") != theirs["out"]
    if "out" in ours:
        return True
    raised = theirs["error"].removeprefix("TemplateError: ")
    is_raise = raised != theirs["error"]
    return is_raise and ours["error"] != " ".join(raised.split("\n"))[:400]


def report(name, case, ours, theirs):
    print(f"--- {name}\n    template: {case['template'][:300]!r}")
    if name != "snippet" and len(json.dumps(case["context"])) < 3000:
        print(f"    context:  {json.dumps(case['context'])}")
    a, b = ours.get("out"), theirs.get("out")
    if a is not None and b is not None:
        at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
        print(f"    differ at {at}:\n    ours   {a[max(0, at - 60):at + 60]!r}\n    theirs {b[max(0, at - 60):at + 60]!r}")
    else:
        print(f"    ours   {ours.get('error', a)!r}\n    theirs {theirs.get('error', b)!r}")


def compare(program, named):
    env = reference.environment()
    cases = [c for _, c in named]
    bad = failed = 0
    for (name, case), ours in zip(named, run(program, cases), strict=True):
        theirs = reference.render(env, case["template"], case["context"])
        failed += "error" in theirs
        if differs(case, ours, theirs):
            bad += 1
            if bad <= 15:
                report(name, case, ours, theirs)
    print(f"{len(named)} cases, {failed} of them failing in the reference, {bad} differ")
    return bad


def goldens(program, path):
    with open(path, encoding="utf-8") as f:
        cases = json.load(f)
    cases = cases["snippets"] if isinstance(cases, dict) else cases
    bad = 0
    for case, ours in zip(cases, run(program, cases), strict=True):
        if differs(case, ours, case):
            bad += 1
            report("golden", case, ours, case)
    print(f"{len(cases)} goldens, {bad} differ")
    return bad


def directory(program, path, count, seed):
    bad = 0
    for file in sorted(os.listdir(path)):
        if not file.endswith(".jinja"):
            continue
        with open(os.path.join(path, file), encoding="utf-8") as f:
            template = f.read()
        rng = random.Random(f"{seed} {file}")
        named = [(f"{file} {i}", {"template": template, "context": conversations.context(rng)})
                 for i in range(count)]
        print(file, end=": ")
        bad += compare(program, named)
    return bad


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, mode, rest = sys.argv[1], sys.argv[2], sys.argv[3:]
    if mode == "goldens":
        sys.exit(goldens(program, rest[0]) != 0)
    if mode == "dir":
        bad = directory(program, rest[0], int(rest[1]) if len(rest) > 1 else 200,
                        rest[2] if len(rest) > 2 else "1")
        sys.exit(bad != 0)
    import snippets
    rng = random.Random(rest[0] if rest else "1")
    cases = [("snippet", snippets.case(rng)) for _ in range(int(rest[1]) if len(rest) > 1 else 2000)]
    sys.exit(compare(program, cases) != 0)


if __name__ == "__main__":
    main()
