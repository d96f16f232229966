"""Talking to the oracle program: one question a line, one JSON object a line back."""
import json
import subprocess


class Oracle:
    def __init__(self, program, model, *options):
        self.process = subprocess.Popen([program, model, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True)

    def ask(self, question):
        self.process.stdin.write(question + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"the oracle program ended with code {self.process.wait()}")
        return json.loads(line)

    def greedy(self, n, ids):
        return self.ask(f"greedy {n} " + " ".join(map(str, ids)))

    def nll(self, ids):
        return self.ask("nll " + " ".join(map(str, ids)))

    def perplexity(self, window, path):
        return self.ask(f"perplexity {window} {path}")["perplexity"]

    def close(self):
        self.process.stdin.close()
        self.process.wait()
