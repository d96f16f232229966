#!/usr/bin/env python3
"""The server under the clients that people use: the `openai` package, httpx. Skipped where they are not installed."""
import json
import os
import re
import subprocess
import sys

try:
    import httpx
    import openai
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

from server import CHAT, EMBED, SOURCE, Case, Server, main

HELLO = [{"role": "user", "content": "Hello, who are you?"}]
TOOLS = [{"type": "function", "function": {
    "name": "add", "description": "Add two numbers.",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}}}]


class Readme(Case):
    def test_its_program_answers(self):
        with open(os.path.join(SOURCE, "README.md"), encoding="utf-8") as f:
            program, = [b for b in re.findall(r"^```python\n(.*?)^```$", f.read(), re.S | re.M) if "import OpenAI" in b]
        with Server(CHAT, "--model-name", "model") as server:
            program = program.replace(":8000/", f":{server.port}/")
            done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout)
            self.assertEqual(server.stop(), 0)


class OpenAI(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CHAT, "--model-name", "tiny")
        cls.client = openai.OpenAI(base_url=f"http://127.0.0.1:{cls.server.port}/v1", api_key="EMPTY", max_retries=0)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        with cls.server:
            assert cls.server.stop() == 0, cls.server.said

    def chat(self, **k):
        return self.client.chat.completions.create(**{"model": "tiny", "messages": HELLO, "temperature": 0,
                                                      "max_tokens": 16, **k})

    def test_a_stream_equals_the_answer(self):
        whole = self.chat()
        text, last = "", None
        for chunk in self.chat(stream=True, stream_options={"include_usage": True}):
            last = chunk
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual(last.usage.total_tokens, whole.usage.total_tokens)
        self.assertTrue(whole._request_id)

    def test_several_answers_and_logprobs(self):
        got = self.chat(n=2, logprobs=True, top_logprobs=3, temperature=1, seed=1, extra_body={"top_k": 20})
        self.assertEqual([c.index for c in got.choices], [0, 1])
        entry = got.choices[0].logprobs.content[0]
        self.assertEqual(len(entry.top_logprobs), 3)
        self.assertLessEqual(entry.logprob, 0)

    def test_completions(self):
        got = self.client.completions.create(model="tiny", prompt=["Once", "Twice"], max_tokens=4, temperature=0, logprobs=1)
        self.assertEqual(len(got.choices), 2)
        self.assertEqual(len(got.choices[0].logprobs.tokens), got.usage.completion_tokens - len(got.choices[1].logprobs.tokens))

    def test_tools_are_taken(self):
        got = self.chat(tools=TOOLS, tool_choice="auto", max_tokens=8)
        self.assertIn(got.choices[0].finish_reason, ("stop", "length", "tool_calls"))
        self.assertEqual(self.chat(tools=TOOLS, tool_choice="none").choices[0].message.content,
                         self.chat().choices[0].message.content)

    def test_errors_become_exceptions(self):
        with self.assertRaises(openai.NotFoundError) as e:
            self.chat(model="gpt-4")
        self.assertEqual(e.exception.code, "model_not_found")
        with self.assertRaises(openai.BadRequestError) as e:
            self.chat(temperature=-1)
        self.assertEqual(e.exception.param, "temperature")
        with self.assertRaises(openai.BadRequestError) as e:
            self.chat(messages=[{"role": "user", "content": "word " * 5000}])
        self.assertEqual(e.exception.code, "context_length_exceeded")

    def test_models(self):
        self.assertEqual([m.id for m in self.client.models.list()], ["tiny"])
        self.assertEqual(self.client.models.retrieve("tiny").id, "tiny")

    def test_closing_a_stream_ends_it(self):
        with self.chat(stream=True, max_tokens=1900, extra_body={"ignore_eos": True}) as stream:
            next(iter(stream))
        self.assertTrue(self.chat(max_tokens=1).choices)

    def test_httpx_reads_the_stream(self):
        with httpx.stream("POST", f"http://127.0.0.1:{self.server.port}/v1/chat/completions",
                          json={"messages": HELLO, "max_tokens": 3, "stream": True}) as r:
            lines = [line for line in r.iter_lines() if line]
        self.assertEqual(lines[-1], "data: [DONE]")
        self.assertEqual(json.loads(lines[0][6:])["choices"][0]["delta"]["role"], "assistant")


class Embeddings(Case):
    def test_base64_by_default(self):
        with Server(EMBED, "--model-name", "e") as server:
            with openai.OpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key="x", max_retries=0) as client:
                default = client.embeddings.create(model="e", input=["hello", "world"])
                floats = client.embeddings.create(model="e", input="hello", encoding_format="float")
            self.assertEqual(len(default.data), 2)
            for a, b in zip(default.data[0].embedding, floats.data[0].embedding):
                self.assertAlmostEqual(a, b, places=6)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
