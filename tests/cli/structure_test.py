#!/usr/bin/env python3
"""The form of an answer: run with --regex, --choice and --grammar on a model that knows nothing."""
import json
import os
import re
import tempfile

from cli import Case, main

SMALL = "tiny-llama3-q4_k"


class Structure(Case):
    def answer(self, *args):
        o = self.succeeds("run", "-m", self.model(SMALL), "--raw", "--json", "--temp", "1.5", *args, "Hi").json()
        self.assertEqual(o["finish"], "stop")
        return o["text"]

    def test_regex(self):
        for seed in range(5):
            text = self.answer("--regex", r"[A-Z][a-z]{2,9}, \d{4}-\d\d", "--seed", str(seed))
            self.assertRegex(text, r"\A[A-Z][a-z]{2,9}, \d{4}-\d\d\Z")

    def test_choice(self):
        texts = {self.answer("--choice", "yes", "--choice", "nein, danke", "--choice", "はい", "--seed", str(seed))
                 for seed in range(12)}
        self.assertTrue(texts <= {"yes", "nein, danke", "はい"} and len(texts) > 1, texts)

    def test_grammar(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "pairs.gbnf")
            with open(path, "w", encoding="utf-8") as f:
                f.write('root ::= "(" root? ")" | [0-9]{1,3} # deep\n')
            for seed in range(5):
                text = self.answer("--grammar", path, "--seed", str(seed), "-n", "200")
                self.assertEqual(text.count("("), text.count(")"))
                self.assertRegex(text, re.compile(r"\A\(*\d{0,3}\)*\Z"))

    def test_json_schema(self):
        schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": -5, "maximum": 300},
                                                   "b": {"type": "string", "maxLength": 5},
                                                   "c": {"type": "array", "items": {"type": "boolean"}, "maxItems": 3}},
                  "required": ["a", "b"], "additionalProperties": False}
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "schema.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump(schema, f)
            for seed in range(8):
                o = json.loads(self.answer("--json-schema", path if seed % 2 else json.dumps(schema), "--seed", str(seed)))
                self.assertTrue({"a", "b"} <= set(o) <= {"a", "b", "c"}, o)
                self.assertTrue(type(o["a"]) is int and -5 <= o["a"] <= 300 and len(o["b"]) <= 5, o)

    def test_json_object(self):
        o = self.succeeds("run", "-m", self.model(SMALL), "--raw", "--json", "--json-object", "-n", "20", "Hi").json()
        self.assertTrue(o["text"].startswith("{"))

    def test_it_ends_where_nothing_can_follow(self):
        self.assertEqual(self.answer("--regex", "x{5}", "--ignore-eos"), "xxxxx")
        self.assertEqual(self.answer("--regex", "", "--ignore-eos"), "")

    def test_mistakes_are_told(self):
        self.fails(2, "only one of", "run", "-m", "x", "--regex", "a", "--choice", "b", "hi")
        self.fails(1, "/nonexistent", "run", "-m", "x", "--grammar", "/nonexistent", "hi")
        self.fails(1, "regex: position 1: the group is not closed", "run", "-m", self.model(SMALL), "--raw",
                   "--regex", "a(", "hi")


if __name__ == "__main__":
    main()
