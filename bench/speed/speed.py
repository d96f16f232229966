#!/usr/bin/env python3
"""Prompts, generation and batches beside llama.cpp: the same files, threads and rounds; medians and ratios.

    speed.py --model MODEL.gguf [--model ...] [--peers DIRECTORY] [--autoglm PROGRAM]
             [--tests pp512,pp2048,tg128,tg64@2048,batch8] [--rounds 3] [--threads N] [--json FILE]

DIRECTORY holds llama-bench and llama-batched-bench. A test is ppN (a prompt of N tokens), tgN or tgN@DEPTH (N tokens
generated one by one, with DEPTH in the context) or batchN (N sequences of 128 prompt tokens, 32 generated in each).
`share of limit` is the part of what the machine allows, measured in the same process: memory bandwidth or
multiply-adds, whichever binds.
"""
import argparse
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from figures import OURS, Figures, Others, table  # noqa: E402

TESTS = "pp512,pp2048,tg128,tg64@2048,batch2,batch4,batch8,batch16,batch32,batch64"


def arguments(test):
    """What `autoglm bench` calls a test, or None."""
    m = re.fullmatch(r"(pp|tg|batch)([1-9]\d*)(?:@(\d+))?", test)
    if not m or (m[3] and m[1] != "tg"):
        return None
    return [f"--{m[1]}", m[2]] + (["--depth", m[3]] if m[3] else [])


class Speed:
    def __init__(self, options):
        self.o, self.figures = options, Figures("speed", options.json)

    def run(self, model, test):
        command = [self.o.autoglm, "bench", "-m", model, "-t", self.o.threads, "-r", "1", "--json", *arguments(test)]
        if self.o.peers:
            command += ["--peers", self.o.peers]
        with Others() as others:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"speed.py: {' '.join(command)}: status {done.returncode}")
        r = json.loads(done.stdout.splitlines()[-1])
        self.figures.add(test, OURS, model, {"tokens/s": r["tok_s"], "share of limit": r["share"]}, others.share)
        if r.get("peer_tok_s"):
            self.figures.add(test, "llama.cpp", model, {"tokens/s": r["peer_tok_s"]}, others.share)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", action="append", required=True)
    parse.add_argument("--peers")
    parse.add_argument("--autoglm", default=os.path.join(HERE, "..", "..", "build", "release", "bin", "autoglm"))
    parse.add_argument("--tests", default=TESTS)
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--threads", default=str(os.cpu_count()))
    parse.add_argument("--json", help="append every measurement to this file, one object a line")
    options = parse.parse_args()
    tests = options.tests.split(",")
    for test in tests:
        if not arguments(test):
            parse.error(f"there is no test {test}")
    speed = Speed(options)
    for _ in range(options.rounds):
        for model in options.model:
            for test in tests:
                speed.run(model, test)
    table(speed.figures.rows)


if __name__ == "__main__":
    main()
