#!/usr/bin/env python3
"""Prompts, generation and batches beside llama.cpp and others: the same files, threads and rounds; medians, ratios.

    speed.py --model MODEL.gguf [--model ...] [--peers DIRECTORY] [--other NAME=COMMAND ...] [--autoglm PROGRAM]
             [--tests pp512,pp2048,tg128,tg64@2048,batch8] [--rounds 3] [--threads N] [--json FILE]

DIRECTORY holds llama-bench and llama-batched-bench. COMMAND measures another engine, of pp and tg: {model} {kind} {n}
{depth} {threads} in it are replaced, the last line that it prints is {"tok_s": ...}; for OpenVINO GenAI
    --other "openvino=PYTHON bench/speed/peer_openvino.py {model} {kind} {n} {depth} {threads}"
It is left out where it fails, as with a file that it does not read. A test is ppN (a prompt of N tokens), tgN or tgN@DEPTH (N tokens
generated one by one, with DEPTH in the context) or batchN (N sequences of 128 prompt tokens, 32 generated in each).
`share of limit` is the part of what the machine allows, measured in the same process: memory bandwidth or
multiply-adds, whichever binds.
"""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from figures import OURS, Figures, Others, table  # noqa: E402

TESTS = "pp512,pp2048,tg128,tg64@2048,batch2,batch4,batch8,batch16,batch32,batch64"


def parts(test):
    """(kind, n, depth) of a test, or None."""
    m = re.fullmatch(r"(pp|tg|batch)([1-9]\d*)(?:@(\d+))?", test)
    return None if not m or (m[3] and m[1] != "tg") else (m[1], m[2], m[3] or "0")


class Speed:
    def __init__(self, options):
        self.o, self.figures = options, Figures("speed", options.json)
        self.others = [other.split("=", 1) for other in options.other]

    @staticmethod
    def result(command, must_work):
        """What a program says in its last line, and what others did meanwhile."""
        with Others() as others:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=None if must_work else subprocess.PIPE, text=True, check=False)
        if done.returncode and must_work:
            sys.exit(f"speed.py: {' '.join(command)}: status {done.returncode}")
        return json.loads(done.stdout.splitlines()[-1]) if not done.returncode else None, others

    def run(self, model, test):
        kind, n, depth = parts(test)
        command = [self.o.autoglm, "bench", "-m", model, "-t", self.o.threads, "-r", "1", "--json", f"--{kind}", n]
        if kind == "tg":
            command += ["--depth", depth]
        if self.o.peers:
            command += ["--peers", self.o.peers]
        r, others = self.result(command, True)
        self.figures.add(test, OURS, model, {"tokens/s": r["tok_s"], "share of limit": r["share"]}, others.share)
        if r.get("peer_tok_s"):
            self.figures.add(test, "llama.cpp", model, {"tokens/s": r["peer_tok_s"]}, others.share)
        for name, command in self.others if kind != "batch" else ():
            words = {"model": model, "kind": kind, "n": n, "depth": depth, "threads": self.o.threads}
            r, others = self.result([w.format(**words) for w in shlex.split(command)], False)
            if r:
                self.figures.add(test, name, model, {"tokens/s": r["tok_s"]}, others.share)
            else:
                print(f"speed.py: {name} does not do {test} of {model}", file=sys.stderr)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", action="append", required=True)
    parse.add_argument("--peers")
    parse.add_argument("--other", action="append", default=[], metavar="NAME=COMMAND")
    parse.add_argument("--autoglm", default=os.path.join(HERE, "..", "..", "build", "release", "bin", "autoglm"))
    parse.add_argument("--tests", default=TESTS)
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--threads", default=str(os.cpu_count()))
    parse.add_argument("--json", help="append every measurement to this file, one object a line")
    options = parse.parse_args()
    tests = options.tests.split(",")
    for test in tests:
        if not parts(test):
            parse.error(f"there is no test {test}")
    if any("=" not in other for other in options.other):
        parse.error("--other is NAME=COMMAND")
    speed = Speed(options)
    for _ in range(options.rounds):
        for model in options.model:
            for test in tests:
                speed.run(model, test)
    table(speed.figures.rows)


if __name__ == "__main__":
    main()
