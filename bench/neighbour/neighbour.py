#!/usr/bin/env python3
"""What is kept of the speed while another process spins: quiet and busy in turns, ours and llama.cpp's.

    neighbour.py --model MODEL.gguf [--llama DIRECTORY] [--autoglm PROGRAM] [--tests pp512,tg128] [--spinners 1]
                 [--rounds 5] [--threads N] [--json FILE]

DIRECTORY holds llama-bench. A test is ppN (a prompt of N tokens) or tgN (N tokens generated one by one). A neighbour
is a shell in an endless loop; beside N threads on N cores one of them leaves a fair share of N / (N + 1).
"""
import argparse
import contextlib
import json
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from figures import OURS, Figures, Others, table  # noqa: E402


def ours(o, kind, n):
    return [o.autoglm, "bench", "-m", o.model, "-t", o.threads, "-r", "1", "--json", f"--{kind}", n], "tok_s"


def llama(o, kind, n):
    sizes = ["-p", n, "-n", "0"] if kind == "pp" else ["-p", "0", "-n", n]
    return [os.path.join(o.llama, "llama-bench"), "-m", o.model, "-t", o.threads, "-r", "1", "-o", "jsonl", *sizes], "avg_ts"


def speed(command, figure):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    if done.returncode:
        sys.exit(f"neighbour.py: {' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])[figure]


@contextlib.contextmanager
def neighbours(n):
    spinning = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"], stdin=subprocess.DEVNULL) for _ in range(n)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", required=True)
    parse.add_argument("--llama")
    parse.add_argument("--autoglm", default=os.path.join(HERE, "..", "..", "build", "release", "bin", "autoglm"))
    parse.add_argument("--tests", default="pp512,tg128")
    parse.add_argument("--spinners", type=int, default=1)
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--threads", default=str(os.cpu_count()))
    parse.add_argument("--json", help="append every measurement to this file, one object a line")
    options = parse.parse_args()
    tests = [(test, re.fullmatch(r"(pp|tg)([1-9]\d*)", test)) for test in options.tests.split(",")]
    for test, parts in tests:
        if not parts:
            parse.error(f"there is no test {test}")
    engines = {OURS: ours, **({"llama.cpp": llama} if options.llama else {})}
    figures = Figures("neighbour", options.json)
    for _ in range(options.rounds):
        for test, parts in tests:
            for engine, command_of in engines.items():
                command = command_of(options, *parts.groups())
                with Others() as others:
                    quiet = speed(*command)
                    with neighbours(options.spinners):
                        busy = speed(*command)
                figures.add(test, engine, options.model,
                            {"quiet tokens/s": quiet, "busy tokens/s": busy, "share kept": busy / quiet}, others.share)
    table(figures.rows)


if __name__ == "__main__":
    main()
