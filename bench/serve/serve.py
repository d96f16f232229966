#!/usr/bin/env python3
"""Our server beside llama-server: the same model, machine, threads and load, in turns; medians and ratios.

    serve.py --model MODEL.gguf --llama DIRECTORY [--long LONG.gguf] [--tiny TINY.gguf] [--autoglm PROGRAM]
             [--suites load,prefix,arrival,tokens] [--clients 1,8,32,64] [--rounds 3] [--threads N] [--json FILE]

DIRECTORY holds llama-server. The suites:
  load     closed loop, 128 words in and 64 tokens out, streamed, by so many clients
  prefix   32 clients whose prompts share 1,500 words
  tokens   completions of one token each by 1, 8 and 32 clients, and 64 streamed tokens by 8 (--tiny); then those with
           one compute thread, lest its waiting counts: `server cpu` is the processor time that serving adds to a
           streamed token, that of the server's processes less what `autoglm bench` (llama-batched-bench) takes for
           the same tokens, model's and scheduler's
  arrival  gaps between the tokens of four streams, alone and while a prompt of 16,000 words is read (--long)

The load comes from `autoglm loadtest` for both. Every measurement has a server of its own, started for it and
warmed up. `others` is the most of one processor that anything else took meanwhile: repeat what was disturbed.
Without --llama ours is measured alone. Needs Python 3.9 and nothing else.
"""
import argparse
import contextlib
import http.client
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from figures import OURS, Figures, Others, process_seconds, table  # noqa: E402
from servers import Server  # noqa: E402

WORDS = "time year people way day man thing woman life child world school state family student group country".split()
ARRIVAL_WORDS = 16000
STREAMS = 4
BARE = {OURS: ("--npp", "10", "--ntg", "64"), "llama.cpp": ("-npp", "10", "-ntg", "64")}


def load(autoglm, server, *args):
    out = subprocess.run([autoglm, "loadtest", server.url(), "--json", *map(str, args)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if not out.stdout.strip():
        sys.exit(f"{os.path.basename(sys.argv[0])}: {out.stderr}")
    return json.loads(out.stdout.strip().splitlines()[-1])


class Bench:
    def __init__(self, options):
        self.o = options
        self.figures = Figures("serve", options.json)
        self.engines = [OURS] + (["llama.cpp"] if options.llama else [])

    def command(self, engine, clients, context, threads):
        if engine == OURS:
            return [self.o.autoglm, "serve", "-t", threads, "-c", str(context), "--max-sequences", str(max(clients, 8))]
        return [os.path.join(self.o.llama, "llama-server"), "-t", threads, "-np", str(clients),
                "-c", str(clients * context), "-cram", "0"]

    def loadtest(self, server, *args):
        return load(self.o.autoglm, server, *args)

    def run(self, test, model, clients, context, measure, threads=None):
        """One round of a test for every engine; measure(server) gives its figures."""
        for engine in self.engines:
            with Server(self.command(engine, clients, context, threads or self.o.threads), model) as server:
                server.kind = engine
                self.loadtest(server, "-c", 1, "-n", 2, "--prompt-words", 16, "--max-tokens", 4, "--seed", 99)
                with Others() as others:
                    figures = measure(server)
            self.figures.add(test, engine, model, figures, others.share)

    def clients(self, server, clients, requests, *args):
        d = self.loadtest(server, "-c", clients, "-n", requests, *args)
        if d["failed"] or d["refused"]:
            print(f"serve.py: {d['failed']} failed, {d['refused']} refused: {d['first_error']}", file=sys.stderr)
        figures = {"tokens/s": d["tok_s"], "requests/s": d["requests_s"], "failed": d["failed"] + d["refused"]}
        for name in ("ttft", "itl"):
            times = d[name + "_ms"]
            if times and times["n"]:
                figures.update({f"{name} p50 ms": times["p50"], f"{name} p99 ms": times["p99"]})
        return figures

    def load(self):
        for c in map(int, self.o.clients.split(",")):
            self.run(f"load {c}", self.o.model, c, 512, lambda s, c=c: self.clients(s, c, max(16, 2 * c)))

    def prefix(self):
        self.run("prefix 32", self.o.model, 32, 2560,
                 lambda s: self.clients(s, 32, 32, "--shared-words", 1500, "--prompt-words", 1560))

    def tokens(self):
        args = ("--api", "completions", "--prompt-words", 1)
        for c in (1, 8, 32):
            self.run(f"one token {c}", self.o.tiny, c, 256,
                     lambda s, c=c: self.clients(s, c, 4000, *args, "--max-tokens", 1, "--no-stream"))
        args += ("--max-tokens", 64)
        self.run("stream 64 tokens 8", self.o.tiny, 8, 256, lambda s: self.clients(s, 8, 400, *args))
        self.run("stream 64 tokens 8, one thread", self.o.tiny, 8, 256, lambda s: self.costs(s, *args), "1")

    def bare_us(self, kind):
        """Time of a token on one thread, without a server: of 8 sequences with 10 tokens in and 64 out."""
        if kind == OURS:
            command, rates = [self.o.autoglm, "bench", "--batch", "8", "-r", "40", "--json"], ("prefill_tok_s", "tok_s")
        else:
            program = os.path.join(self.o.llama, "llama-batched-bench")
            command = [program, "-c", "1024", "-npl", ",".join(["8"] * 20), "--output-format", "jsonl"]
            rates = ("speed_pp", "speed_tg")
        out = subprocess.run(command + ["-m", self.o.tiny, "-t", "1", *BARE[kind]], check=True, text=True,
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
        rows = [json.loads(line) for line in out.splitlines() if line.startswith("{") and rates[1] in line]
        prompt, token = (statistics.median(1e6 / row[rate] for row in rows if rate in row) for rate in rates)
        return token + prompt * 10 / 64

    def costs(self, server, *args):
        before = process_seconds(server.process.pid)
        figures = self.clients(server, 8, 400, *args)
        us = 1e6 * (process_seconds(server.process.pid) - before) / (400 * 64)
        return {"tokens/s": figures["tokens/s"], "cpu us/token": us, "server cpu us/token": us - self.bare_us(server.kind)}

    def arrival(self):
        self.run("arrival", self.o.long, STREAMS + 1, ARRIVAL_WORDS * 3 // 2, Arrival)


def completion(port, prompt, tokens, each):
    """One streamed completion; each() is called for every event."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    connection.request("POST", "/v1/completions", json.dumps({
        "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True}),
        {"Content-Type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read(1000)}")
    for line in answer:
        if line.startswith(b"data: {"):
            each()
    connection.close()


def words(n, seed):
    pick = random.Random(seed)
    return " ".join(pick.choice(WORDS) for _ in range(n))


def Arrival(server):
    """Four streams; after a while alone a long prompt comes."""
    times = [[] for _ in range(STREAMS)]
    stop = threading.Event()

    class Enough(Exception):
        pass

    def stream(i):
        def each():
            times[i].append(time.monotonic())
            if stop.is_set():
                raise Enough
        with contextlib.suppress(Enough):
            completion(server.port, words(100, i), 4000, each)

    threads = [threading.Thread(target=stream, args=(i,)) for i in range(STREAMS)]
    for t in threads:
        t.start()
    while not all(len(t) > 10 for t in times):
        time.sleep(0.01)
    quiet_from = time.monotonic()
    time.sleep(6)
    arrived = time.monotonic()
    first = []
    completion(server.port, words(ARRIVAL_WORDS, 77), 1, lambda: first.append(time.monotonic()))
    stop.set()
    for t in threads:
        t.join()

    def gaps(begin, end):
        all_gaps = [b - a for t in times for a, b in zip(t, t[1:]) if a >= begin and b <= end]
        return sorted(1000 * g for g in all_gaps)

    def percentile(sorted_values, p):
        return sorted_values[min(len(sorted_values) - 1, int(p * len(sorted_values)))]
    quiet, loaded = gaps(quiet_from, arrived), gaps(arrived, first[0])
    if not loaded:      # streams got nothing before the prompt was through
        loaded = [1000 * (first[0] - arrived)]
    return {"quiet p50 ms": percentile(quiet, 0.5), "quiet p99 ms": percentile(quiet, 0.99),
            "itl p50 ms": percentile(loaded, 0.5), "itl p99 ms": percentile(loaded, 0.99), "itl max ms": loaded[-1],
            "ttft p50 ms": 1000 * (first[0] - arrived),
            "p99 / quiet p99": percentile(loaded, 0.99) / percentile(quiet, 0.99)}


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", required=True)
    parse.add_argument("--long", help="model of the suite arrival, whose context is 24,000 or more")
    parse.add_argument("--tiny", help="model of the suite tokens")
    parse.add_argument("--llama")
    parse.add_argument("--autoglm", default=os.path.join(HERE, "..", "..", "build", "release", "bin", "autoglm"))
    parse.add_argument("--suites", default="load,prefix,arrival,tokens")
    parse.add_argument("--clients", default="1,8,32,64")
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--threads", default=str(os.cpu_count()))
    parse.add_argument("--json", help="append every measurement to this file, one object a line")
    options = parse.parse_args()
    needed = {"arrival": "long", "tokens": "tiny"}
    suites = options.suites.split(",")
    for suite in suites:
        if suite not in ("load", "prefix", "arrival", "tokens"):
            parse.error(f"there is no suite {suite}")
        if suite in needed and not getattr(options, needed[suite]):
            parse.error(f"the suite {suite} needs --{needed[suite]}")
    bench = Bench(options)
    for _ in range(options.rounds):
        for suite in suites:
            getattr(bench, suite)()
    table(bench.figures.rows)


if __name__ == "__main__":
    main()
