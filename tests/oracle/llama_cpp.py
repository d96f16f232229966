#!/usr/bin/env python3
"""Compare with llama.cpp on the same GGUF files: perplexity of a fixed text, greedy answers.

    llama_cpp.py --oracle PROGRAM --llama BIN_DIRECTORY MODEL.gguf... [--skip perplexity,greedy] [--port N]
                 [--threads N] [--text FILE]

PROGRAM is tests/oracle/oracle of a build; BIN_DIRECTORY holds llama-perplexity and llama-server. Fails when a
perplexity differs by more than 0.5 %, or when two greedy answers part at a step where both engines see a clear winner.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.request

import ask

HERE = os.path.dirname(os.path.abspath(__file__))
TEXT = os.path.join(HERE, "..", "golden", "text", "alice.txt")
WINDOW = 512
PERPLEXITY_LIMIT = 0.005
NEAR_TIE = 0.5          # natural-log probability between the two best; quantised activations move it that much
PROMPTS = [
    "The capital of France is", "Once upon a time there was a little robot who", "def fibonacci(n):\n    ",
    "1, 2, 3, 4,", "The three primary colours are", "Water boils at", "In 1969, Neil Armstrong",
    "To make a cup of tea, first", "The opposite of hot is", "Dear Sir or Madam,\n\n",
    "Q: What is the largest planet in the solar system?\nA:", "import numpy as np\n\n", "Roses are red,",
    "The quick brown fox", "Monday, Tuesday, Wednesday,", "She opened the door and", "<html>\n<head>\n",
    "The main advantage of exercise is", "A recipe for pancakes:\n", "Translate to French: good morning ->",
]


def llama_perplexity(binary, model, threads, text):
    out = subprocess.run([binary, "-m", model, "-f", text, "-c", str(WINDOW), "-t", threads], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, check=True).stdout
    return float(re.search(r"PPL = ([0-9.]+)", out)[1])


class Server:
    """llama-server on one model, one slot."""

    def __init__(self, binary, model, port, threads):
        self.url = f"http://127.0.0.1:{port}"
        args = ["-m", model, "--port", str(port), "-np", "1", "-c", "2048", "--no-webui", "-t", threads]
        self.process = subprocess.Popen([binary, *args], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(self.url + "/health", timeout=5).read()
                return
            except OSError:
                time.sleep(0.2)
        raise SystemExit("llama-server does not come up")

    def post(self, path, body):
        kind = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(body).encode(), kind)
        with urllib.request.urlopen(request, timeout=600) as f:
            return json.load(f)

    def ids(self, text):
        return self.post("/tokenize", {"content": text, "add_special": True, "parse_special": False})["tokens"]

    def greedy(self, n, ids):
        body = {"prompt": ids, "n_predict": n, "temperature": 0, "n_probs": 2, "cache_prompt": False}
        steps = self.post("/completion", body)["completion_probabilities"]
        best = [p["top_logprobs"] for p in steps]
        return {"ids": [p["id"] for p in steps], "margins": [t[0]["logprob"] - t[1]["logprob"] for t in best]}

    def close(self):
        self.process.terminate()
        self.process.wait()


def compare_greedy(oracle, server, n=64):
    """(number of equal answers, parted ones that no near-tie explains)."""
    equal, clear = 0, 0
    for text in PROMPTS:
        ids = server.ids(text)
        ours, theirs = oracle.greedy(n, ids), server.greedy(n, ids)
        both = min(len(ours["ids"]), len(theirs["ids"]))
        at = next((k for k in range(both) if ours["ids"][k] != theirs["ids"][k]), both)
        if at == both:      # one of them may have ended at a stop token that the other counts
            equal += 1
            continue
        a, b = ours["margins"][at], theirs["margins"][at]
        tie = min(a, b) < NEAR_TIE
        clear += not tie
        print(f"  {text!r}: part at token {at}: {ours['ids'][at]} (margin {a:.3f}) and {theirs['ids'][at]} "
              f"(margin {b:.3f}){'' if tie else '  NOT A NEAR TIE'}")
    return equal, clear


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("models", nargs="+")
    ap.add_argument("--oracle", required=True)
    ap.add_argument("--llama", required=True)
    ap.add_argument("--skip", default="")
    ap.add_argument("--port", type=int, default=18080)
    ap.add_argument("--threads", default="2", help="of either engine")
    ap.add_argument("--text", default=TEXT, help="for the perplexity; five windows by default, more say more")
    a = ap.parse_args()
    bad = 0
    for model in a.models:
        oracle = ask.Oracle(a.oracle, model, "--threads", a.threads)
        print(os.path.basename(model))
        if "perplexity" not in a.skip:
            theirs = llama_perplexity(os.path.join(a.llama, "llama-perplexity"), model, a.threads, a.text)
            ours = oracle.perplexity(WINDOW, a.text)
            change = ours / theirs - 1
            bad += abs(change) > PERPLEXITY_LIMIT
            print(f"  perplexity {ours:.4f}, llama.cpp {theirs:.4f}: {100 * change:+.3f} %")
        if "greedy" not in a.skip:
            server = Server(os.path.join(a.llama, "llama-server"), model, a.port, a.threads)
            try:
                equal, clear = compare_greedy(oracle, server)
            finally:
                server.close()
            bad += clear
            print(f"  greedy: {equal} of {len(PROMPTS)} answers of 64 tokens equal, {clear} part without a near tie")
        oracle.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
