#!/usr/bin/env python3
"""Embedding beside sentence-transformers, ONNX Runtime and llama.cpp: the same folder, sentences and threads, in turns.

    embed.py --model FOLDER [--python PYTHON] [--onnx FILE.onnx] [--llama PROGRAM --gguf FILE.gguf] [--bench PROGRAM]
             [--file SENTENCES] [--rounds 3] [--threads N] [--json FILE]

PYTHON is an interpreter with what it should be compared with: sentence_transformers; onnxruntime with tokenizers and,
unless a model is given by --onnx, torch and transformers to export it. PROGRAM of --llama is llama-embedding, which
wants the model as GGUF. What is not there is left out, with a word.

`all` is 1000 sentences in one call, `one` is one after the other. All compute in float32. The Python engines sort by
length and pad each batch to its longest; of several batch sizes the best counts. llama-embedding is taken at its own
clock, which leaves out its tokenizer, and has no `one`.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.dirname(HERE))
from figures import OURS, Figures, Others, table  # noqa: E402

LEAST, SINGLES = 1000, 200          # as bench_embed
BATCHES = (16, 32, 64)


def sentences(path):
    with open(path, encoding="utf-8") as f:
        own = [line for line in f.read().split("\n") if line]
    return (own * (LEAST // len(own) + 1))[:max(LEAST, len(own))]


# ---- the other engines: this program again, in their interpreter -----------------------------------------------------

def sentence_transformers(o):
    import torch
    from sentence_transformers import SentenceTransformer
    torch.set_num_threads(int(o.threads))
    model = SentenceTransformer(o.model, device="cpu")
    return lambda texts, batch: model.encode(texts, batch_size=batch, show_progress_bar=False)


def export(o):
    """The encoder as ONNX, in a file that the caller of this process keeps."""
    import torch
    from transformers import AutoModel

    class Encoder(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = AutoModel.from_pretrained(o.model, attn_implementation="eager").eval()

        def forward(self, ids, mask):
            return self.model(input_ids=ids, attention_mask=mask).last_hidden_state

    some, names = torch.ones(2, 8, dtype=torch.long), ["input_ids", "attention_mask", "last_hidden_state"]
    torch.onnx.export(Encoder(), (some, some), o.onnx, input_names=names[:2], output_names=names[2:], dynamo=False,
                      dynamic_axes={name: {0: "text", 1: "token"} for name in names}, opset_version=17)


def onnx_runtime(o):
    import numpy as np
    import onnxruntime
    import tokenizers
    if not os.path.getsize(o.onnx):
        export(o)
    tokenizer = tokenizers.Tokenizer.from_file(os.path.join(o.model, "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(o.threads)
    session = onnxruntime.InferenceSession(o.onnx, options, providers=["CPUExecutionProvider"])

    def encode(texts, batch):
        ids = [e.ids for e in tokenizer.encode_batch_fast(texts)]
        order = sorted(range(len(ids)), key=lambda i: len(ids[i]))
        out = None
        for at in range(0, len(ids), batch):
            some = order[at:at + batch]
            padded = np.zeros((len(some), len(ids[some[-1]])), np.int64)
            mask = np.zeros_like(padded)
            for row, i in enumerate(some):
                padded[row, :len(ids[i])], mask[row, :len(ids[i])] = ids[i], 1
            hidden = session.run(None, {"input_ids": padded, "attention_mask": mask})[0]
            mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1)[:, None]
            out = np.empty((len(ids), hidden.shape[2]), np.float32) if out is None else out
            out[some] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
        return out
    return encode


PEERS = {"sentence-transformers": sentence_transformers, "ONNX Runtime": onnx_runtime}


def run_peer(o):
    try:
        encode = PEERS[o.peer](o)
    except ImportError as e:
        print(json.dumps({"missing": str(e)}))
        return
    texts = sentences(o.file)
    encode(texts[:64], 32)

    def speed(texts, batch):
        began = time.perf_counter()
        if batch:
            encode(texts, batch)
        else:
            for text in texts:
                encode([text], 1)
        return len(texts) / (time.perf_counter() - began)
    print(json.dumps({"all": max(speed(texts, batch) for batch in BATCHES for _ in range(2)),
                      "one": max(speed(texts[:SINGLES], 0) for _ in range(2))}))


# ---- one round of each -------------------------------------------------------------------------------------------------

def output_of(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          errors="replace", check=False)
    if done.returncode:
        sys.exit(f"embed.py: {' '.join(command)}: status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout, done.stderr


def ours(o):
    out, _ = output_of([o.bench, o.model, o.threads, o.file])
    each = {int(n): float(x) for n, x in re.findall(r"(\d+) a call +([\d.]+) sentences/s", out)}
    return {"all": each[max(each)], "one": each[1]}


def python_peer(name):
    def run(o):
        out, _ = output_of([o.python, os.path.abspath(__file__), "--peer", name, "--model", o.model, "--file", o.file,
                            "--threads", o.threads, "--onnx", o.onnx])
        return json.loads(out.splitlines()[-1])
    return run


def llama(o):
    texts = sentences(o.file)
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as f:
        f.write("\n".join(texts))
        f.flush()
        both = "".join(output_of([o.llama, "-m", o.gguf, "-t", o.threads, "-c", "512", "-f", f.name, "--verbose"]))
    ms = re.search(r"prompt eval time = +([\d.]+) ms", both)
    return {"all": len(texts) / float(ms[1]) * 1000} if ms else {"missing": "llama-embedding told no time"}


def engines(o):
    found = {OURS: ours}
    for name in PEERS:
        if o.python:
            found[name] = python_peer(name)
        else:
            print(f"{name} is left out: no --python", file=sys.stderr)
    if o.llama and o.gguf:
        found["llama.cpp"] = llama
    else:
        print("llama.cpp is left out: no --llama and --gguf", file=sys.stderr)
    return found


def rounds(o):
    found, figures = engines(o), Figures("embed", o.json)
    for _ in range(o.rounds):
        for name, run in list(found.items()):
            with Others() as others:
                result = run(o)
            if "missing" in result:
                print(f"{name} is left out: {result['missing']}", file=sys.stderr)
                del found[name]
                continue
            for test, speed in result.items():
                figures.add(test, name, o.model, {"sentences/s": speed}, others.share)
    table(figures.rows)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", required=True)
    parse.add_argument("--python")
    parse.add_argument("--onnx")
    parse.add_argument("--llama")
    parse.add_argument("--gguf")
    parse.add_argument("--bench", default=os.path.join(ROOT, "build", "release", "bench", "bench_embed"))
    parse.add_argument("--file", default=os.path.join(ROOT, "tests", "golden", "real", "sentences.txt"))
    parse.add_argument("--rounds", type=int, default=3)
    parse.add_argument("--threads", default=str(os.cpu_count()))
    parse.add_argument("--json", help="append every measurement to this file, one object a line")
    parse.add_argument("--peer", choices=list(PEERS), help=argparse.SUPPRESS)
    options = parse.parse_args()
    if options.peer:
        run_peer(options)
        return
    with tempfile.NamedTemporaryFile(suffix=".onnx") as exported:
        options.onnx = options.onnx or exported.name
        rounds(options)


if __name__ == "__main__":
    main()
