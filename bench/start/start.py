#!/usr/bin/env python3
"""From the start of a server to its first answer, beside llama-server: the same model, machine and threads, in turns.

    start.py --model MODEL.gguf [--model ...] [--llama DIRECTORY] [--autoglm PROGRAM] [--tests first,second,...]
             [--rounds 5] [--threads N] [--images DIRECTORY] [--json FILE]

DIRECTORY holds llama-server. The tests:
  first         the model's file is in the system's cache; weights are packed
  second        the same, but an earlier start has left a prepared image (docs/models.md)
  first cold    nothing is in the system's cache: it comes from the disk
  second cold   neither the model nor its image is

llama-server keeps nothing between starts, so it does the same in "first" and "second". A server is ready when
/readyz (or /health) says so, which for both is after a pass through the model. `ready s/GB` is a GB (10^9 bytes) of the
model's file; "first token s" is the answer to a prompt of one word, asked as soon as it is ready. Needs Python 3.9 and
nothing else.
"""
import argparse
import glob
import os
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from figures import OURS, Figures, Others, table  # noqa: E402
from servers import Server  # noqa: E402

TESTS = ("first", "second", "first cold", "second cold")
CONTEXT = "4096"
IMAGE_WAIT_S = 120


def read_through(path):
    with open(path, "rb", buffering=0) as f:
        while f.read(1 << 22):
            pass


def drop(path):
    """Out of the system's cache, as far as nobody holds it."""
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


class Bench:
    def __init__(self, options, images):
        self.o, self.images = options, images
        self.figures = Figures("start", options.json)

    def command(self, engine):
        if engine == OURS:
            return [self.o.autoglm, "serve", "-t", self.o.threads, "-c", CONTEXT, "--image-cache", self.images]
        return [os.path.join(self.o.llama, "llama-server"), "-t", self.o.threads, "-c", CONTEXT, "-np", "1"]

    def prepare(self, model, has_image, is_cold):
        """The folder of images, and what the system has in its cache."""
        found = glob.glob(os.path.join(self.images, "*.image"))
        if not has_image:
            shutil.rmtree(self.images, ignore_errors=True)
            found = []
        elif not found:
            with Server(self.command(OURS), model):
                end = time.monotonic() + IMAGE_WAIT_S
                while not found and time.monotonic() < end:
                    time.sleep(0.1)
                    found = glob.glob(os.path.join(self.images, "*.image"))
            if not found:
                sys.exit(f"start.py: no image of {model} after {IMAGE_WAIT_S} s")
        for path in [model] + found:
            (drop if is_cold else read_through)(path)

    def run(self, test, engine, model):
        self.prepare(model, test.startswith("second") and engine == OURS, test.endswith("cold"))
        with Others() as others, Server(self.command(engine), model, 0.003) as server:
            status, body = server.ask("POST", "/v1/completions", {"prompt": "Hello", "max_tokens": 1, "temperature": 0})
            if status != 200:
                sys.exit(f"start.py: {engine} answers {status}: {body[:300]}")
            figures = {"listening s": server.listening_s, "ready s": server.ready_s,
                       "ready s/GB": server.ready_s / os.path.getsize(model) * 1e9, "first token s": server.since_start()}
        self.figures.add(test, engine, model, figures, others.share)


def main():
    parse = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parse.add_argument("--model", action="append", required=True, help="a GGUF file; may be repeated")
    parse.add_argument("--llama")
    parse.add_argument("--autoglm", default=os.path.join(HERE, "..", "..", "build", "release", "bin", "autoglm"))
    parse.add_argument("--tests", default=",".join(TESTS))
    parse.add_argument("--rounds", type=int, default=5)
    parse.add_argument("--threads", default=str(os.cpu_count()))
    parse.add_argument("--images", help="where a folder for images is made meanwhile [where the first model is]")
    parse.add_argument("--json", help="append every measurement to this file, one object a line")
    options = parse.parse_args()
    tests = options.tests.split(",")
    for test in tests:
        if test not in TESTS:
            parse.error(f"there is no test {test}; there are: {', '.join(TESTS)}")
    place = options.images or os.path.dirname(os.path.abspath(options.model[0]))
    with tempfile.TemporaryDirectory(dir=place) as folder:
        bench = Bench(options, os.path.join(folder, "images"))
        for model in options.model:
            shutil.rmtree(bench.images, ignore_errors=True)
            for _ in range(options.rounds):
                for test in tests:
                    for engine in [OURS] + (["llama.cpp"] if options.llama else []):
                        bench.run(test, engine, model)
    table(bench.figures.rows)


if __name__ == "__main__":
    main()
