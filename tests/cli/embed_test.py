#!/usr/bin/env python3
"""autoglm embed on the tiny encoder and, where it is there, on all-MiniLM-L6-v2.

usage: embed_test.py BINARY MODELS_DIR REAL_MODELS_DIR
"""
import math
import os
import struct
import sys
import unittest

from cli import SOURCE, Case, main, run

REAL = os.path.join(sys.argv.pop(3) if len(sys.argv) > 3 else "", "all-minilm-l6-v2")


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


class Embed(Case):
    def embed(self, *options, model="tiny-bert-f32", stdin=b""):
        r = run("embed", "-q", "--json", "-m", self.model(model), *options, stdin=stdin)
        self.assertEqual((r.status, r.err), (0, ""))
        return r.json_lines()

    def test_arguments_lines_and_raw_values_are_the_same_vectors(self):
        a = self.embed("hello world", "the quick fox")
        b = self.embed(stdin=b"hello world\r\n\n\nthe quick fox")
        c = self.embed("-f", self.write("lines", b"hello world\nthe quick fox\n"), "-t", "2")
        self.assertEqual(a, b)
        self.assertEqual(a, c)
        self.assertEqual([o["index"] for o in a], [0, 1])
        r = self.succeeds("embed", "-q", "--raw", "-m", self.model("tiny-bert-f32"), "hello world", "the quick fox")
        self.assertEqual(list(struct.unpack("<256f", r.raw)),
                         [struct.unpack("<f", struct.pack("<f", x))[0] for o in a for x in o["embedding"]])
        text = self.succeeds("embed", "-q", "-m", self.model("tiny-bert-f32"), "hello world").out
        self.assertEqual([float(x) for x in text.split()], a[0]["embedding"])

    def test_vectors_have_length_one_unless_told_otherwise(self):
        unit, = self.embed("hello")
        plain, = self.embed("hello", "--no-normalize")
        self.assertAlmostEqual(math.hypot(*unit["embedding"]), 1, places=5)
        self.assertGreater(abs(math.hypot(*plain["embedding"]) - 1), 1e-3)
        self.assertAlmostEqual(cosine(unit["embedding"], plain["embedding"]), 1, places=6)
        part, = self.embed("hello", "--dimensions", "16")
        self.assertEqual(len(part["embedding"]), 16)
        self.assertAlmostEqual(math.hypot(*part["embedding"]), 1, places=5)

    def test_many_lines_come_out_in_order(self):
        lines = [f"line number {i}" for i in range(600)]
        many = self.embed(stdin="\n".join(lines).encode())
        self.assertEqual([o["index"] for o in many], list(range(600)))
        one, = self.embed(lines[567])
        self.assertEqual(many[567]["embedding"], one["embedding"])

    def test_any_model_embeds_when_the_pooling_is_named(self):
        self.fails(1, "not made for embeddings", "embed", "-m", self.model("tiny-qwen3-f32"), "hello")
        last, = self.embed("hello", "--pooling", "last", model="tiny-qwen3-f32")
        mean, = self.embed("hello", "--pooling", "mean", model="tiny-qwen3-f32")
        self.assertNotEqual(last["embedding"], mean["embedding"])

    def test_one_text_is_one_input(self):
        r = self.succeeds("embed", "-m", self.model("tiny-bert-f32"), "hello")
        self.assertRegex(r.err, r"autoglm: 1 input, \d+ tokens in ")
        r = self.succeeds("embed", "-m", self.model("tiny-bert-f32"), "hello", "world")
        self.assertRegex(r.err, r"autoglm: 2 inputs, \d+ tokens in ")

    def test_an_encoder_keeps_keys_of_one_layer(self):
        o = self.succeeds("inspect", "--json", self.model("tiny-bert-f32")).json()
        last = o["memory"][-1]
        self.assertEqual(sorted(last), ["context", "kv_f32", "weights"])
        self.assertEqual(last["kv_f32"], last["context"] * o["kv_heads"] * o["head_size"] * 2 * 4)
        self.assertIn("Memory for one text", self.succeeds("inspect", self.model("tiny-bert-f32")).out)

    def test_long_texts_are_refused_or_cut(self):
        text = "a " * 300
        self.fails(1, "302 tokens, but the context holds 128", "embed", "-m", self.model("tiny-bert-f32"), text)
        o, = self.embed("--truncate", text)
        self.assertEqual(o["tokens"], 128)

    def test_what_does_not_go_together_is_refused(self):
        bert = ("-m", self.model("tiny-bert-f32"))
        self.fails(2, "--raw or --json", "embed", *bert, "--raw", "--json", "a")
        self.fails(2, "one of the two", "embed", *bert, "-f", "/dev/null", "a")
        self.fails(1, "--dimensions", "embed", *bert, "--dimensions", "129", "a")
        self.fails(1, "UTF-8", "embed", *bert, "-f", self.write("bad", b"caf\xe9 au lait\n"))
        for command in (["run", "--raw", "hello"], ["eval", "-f", self.write("text", b"a b c " * 100)],
                        ["logits", "--text", "a", "-o", self.path("x")], ["bench", "--pp", "4"]):
            r = run(command[0], *bert, *command[1:])
            self.assertEqual((r.status, "embeddings" in r.err), (1, True), r.err)

    @unittest.skipUnless(os.path.isdir(REAL), "all-MiniLM-L6-v2 is not there")
    def test_sentences_of_many_languages_agree_with_the_reference(self):
        golden = os.path.join(SOURCE, "tests/golden/real")
        with open(os.path.join(golden, "minilm.f16"), "rb") as f:
            want = f.read()
        r = self.succeeds("embed", "-q", "--raw", "-m", REAL, "-f", os.path.join(golden, "sentences.txt"))
        n = len(want) // 2
        want, got = struct.unpack(f"<{n}e", want), struct.unpack(f"<{n}f", r.raw)
        least = min(cosine(want[i:i + 384], got[i:i + 384]) for i in range(0, n, 384))
        print(f"{n // 384} sentences, least cosine {least:.7f}", file=sys.stderr)
        self.assertGreaterEqual(least, 0.9999)


if __name__ == "__main__":
    main()
