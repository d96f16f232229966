#!/usr/bin/env python3
"""Resident memory of our server beside llama-server's: the same model, machine and load, in turns.

    memory.py --model MODEL.gguf [--model ...] [--llama DIRECTORY] [--autoglm PROGRAM] [--clients 4] [--context 2048]
              [--rounds 1] [--threads N] [--json FILE]

DIRECTORY holds llama-server. After a warm-up, two requests of 128 words in and 64 tokens out by each client, the memory
of all processes of a server is added up, pages that they share counted once (Pss of smaps_rollup). `file MiB` is the
part that maps files, which the system can take back. Of ours, `weights MiB` and `kv MiB` are what /metrics tells, and
`allowed MiB` is weights and KV with 5 in 100 and 30 MB on top. Needs Python 3.9 and nothing else.
"""
import argparse
import os
import re
import sys
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), os.path.join(os.path.dirname(HERE), "serve")]
from figures import OURS, Figures, Others, processes, table  # noqa: E402
from serve import load  # noqa: E402
from servers import Server  # noqa: E402

MIB = 1 << 20


def resident(pid):
    """Of a process and its children: all, and what maps files, in MiB."""
    sums = {"Pss": 0, "Pss_File": 0}
    for p in processes(pid):
        with open(f"/proc/{p}/smaps_rollup") as f:
            for line in f:
                name, _, value = line.partition(":")
                if name in sums:
                    sums[name] += int(value.split()[0]) * 1024
    return sums["Pss"] / MIB, sums["Pss_File"] / MIB


def planned(port):
    """What our server says that its weights and KV take, in MiB."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found = dict(re.findall(r'^autoglm_model_memory_bytes{.*kind="(\w+)".*} (\S+)', text, re.M))
    return float(found["weights"]) / MIB, float(found["kv"]) / MIB


def command(o, engine):
    if engine == OURS:
        return [o.autoglm, "serve", "-t", o.threads, "-c", str(o.context), "--max-sequences", str(o.clients)]
    return [os.path.join(o.llama, "llama-server"), "-t", o.threads, "-np", str(o.clients),
            "-c", str(o.clients * o.context), "-cram", "0"]


def measure(o, engine, model):
    with Server(command(o, engine), model) as server:
        d = load(o.autoglm, server, "-c", o.clients, "-n", 2 * o.clients, "--api", "completions")
        if d["failed"] or d["refused"]:
            sys.exit(f"memory.py: {engine}: {d['first_error']}")
        all_mib, file_mib = resident(server.process.pid)
        figures = {"resident MiB": all_mib, "file MiB": file_mib}
        if engine == OURS:
            weights, kv = planned(server.port)
            figures |= {"weights MiB": weights, "kv MiB": kv, "allowed MiB": 1.05 * (weights + kv) + 30e6 / MIB}
    return figures


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", required=True, action="append")
    parse.add_argument("--llama")
    parse.add_argument("--autoglm", default=os.path.join(HERE, "..", "..", "build", "release", "bin", "autoglm"))
    parse.add_argument("--clients", type=int, default=4)
    parse.add_argument("--context", type=int, default=2048, help="tokens of each client")
    parse.add_argument("--rounds", type=int, default=1)
    parse.add_argument("--threads", default=str(os.cpu_count()))
    parse.add_argument("--json", help="append every measurement to this file, one object a line")
    options = parse.parse_args()
    figures = Figures("memory", options.json)
    for _ in range(options.rounds):
        for model in options.model:
            for engine in [OURS] + (["llama.cpp"] if options.llama else []):
                with Others() as others:
                    of_one = measure(options, engine, model)
                figures.add("warmed up", engine, model, of_one, others.share)
    table(figures.rows)


if __name__ == "__main__":
    main()
