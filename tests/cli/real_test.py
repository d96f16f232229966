#!/usr/bin/env python3
"""The command on SmolLM2-135M-Instruct (tools/fetch_model). Exits with 77, skipped, where the file is not there."""
import os
import sys

from cli import MODELS, Case, Terminal, main

MODEL = os.path.join(MODELS, "smollm2-135m-instruct-q4_1.gguf")


class SmolLM2(Case):
    def test_it_knows_the_capital_of_france(self):
        r = self.succeeds("run", "-m", MODEL, "--temp", "0", "-n", "32",
                          "What is the capital of France, and what is it known for?")
        self.assertIn("Paris", r.out)
        self.assertIn("tok/s", r.err)

    def test_inspect_describes_it(self):
        o = self.succeeds("inspect", "--json", MODEL).json()
        self.assertTrue(o["supported"], o["reason"])
        self.assertEqual((o["architecture"], o["parameters"], o["quantisation"]), ("llama", 134515008, "Q4_1"))
        self.assertEqual((o["context_length"], o["vocabulary"], o["chat_template"]), (8192, 49152, True))

    def test_its_template_is_used(self):
        o = self.succeeds("tokenize", "-m", MODEL, "--json", "--special", "<|im_start|>user\nHi<|im_end|>\n").json()
        self.assertEqual((o["ids"][0], o["n"]), (1, 6))

    def test_it_remembers_the_conversation(self):
        with Terminal("chat", "-m", MODEL, "--temp", "0", "-n", "40") as t:
            for line in ("My name is Ludwig. Please remember it.", "What is my name?"):
                t.prompt()
                t.say(line)
                t.until("\x1b[?2004l")
                answer = t.until("[prompt ")
                t.until("]")
            self.assertIn("Ludwig", answer)
            t.prompt()
            t.keys("\x04")
            self.assertEqual(t.end()[0], 0)

    def test_bench_ends_in_its_speed(self):
        for args in (["--pp", "32"], ["--tg", "4", "--depth", "40"], ["--batch", "2", "--npp", "16", "--ntg", "4"]):
            last = self.succeeds("bench", "-m", MODEL, "-r1", "--json", *args).json_lines()[-1]
            self.assertGreater(last["tok_s"], 0)


if __name__ == "__main__":
    if not os.path.exists(MODEL):
        print(f"skipped: {MODEL} is not there; tools/fetch_model fetches it")
        sys.exit(77)
    main()
