#!/usr/bin/env python3
"""./quickstart as a user runs it, with a model that is here already: it needs no network and shows the
answer that the server gives; what it prints for the user works; Ctrl-C leaves nothing running.

usage: quickstart_test.py MODEL
"""
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = sys.argv[1]
QUESTION = 'What is "\\n" in C,\tand 什么是换行?'


def quickstart(*args, cwd=ROOT):
    """Started in a session of its own, so that Ctrl-C reaches what a terminal would send it to."""
    return subprocess.Popen([ROOT / "quickstart", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, cwd=cwd, start_new_session=True)


def ended(process):
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def shown(out):
    """The answer in what it printed: between the question and the next step, or the end."""
    return re.search(r"Asking: .*\n(.*?)\n\n\[ *\d+ s\] (?:Done|It serves)", out, re.S)[1]


class Quickstart(unittest.TestCase):
    def test_once_shows_an_answer_and_ends(self):
        code, out, err = ended(quickstart("--once", "--port", "0", "--model", os.path.basename(MODEL), QUESTION,
                                          cwd=os.path.dirname(MODEL)))
        self.assertEqual(code, 0, out + err)
        self.assertTrue(shown(out).strip(), out)
        self.assertIn("Done.", out)

    def test_it_serves_until_ctrl_c(self):
        process = quickstart("--port", "0", "--model", MODEL, QUESTION)
        self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, signal.SIGKILL))
        out = ""
        for line in process.stdout:
            out += line
            if "A terminal chat" in line:
                break
        self.assertIn("A terminal chat", out, process.stderr.read() if process.poll() is not None else "")

        curl = re.search(r"^(curl .*?)\n\n", out, re.S | re.M)[1]
        said = subprocess.run(["bash", "-c", curl.replace("curl ", "curl -sS --noproxy '*' ", 1)], capture_output=True,
                              text=True, timeout=60, check=True)
        self.assertEqual(json.loads(said.stdout)["object"], "chat.completion")

        python = re.search(r"^(from openai.*?)\n\n", out, re.S | re.M)[1]
        compile(python, "quickstart", "exec")
        url = re.search(r'base_url="([^"]+)"', python)[1]
        name = re.search(r'model="([^"]+)"', python)[1]
        self.assertEqual(shown(out), self.answer(url, name), "what it shows is not what the server says")

        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        with self.assertRaises(urllib.error.URLError):
            self.answer(url, name)

    def answer(self, url, model):
        body = {"model": model, "temperature": 0, "max_tokens": 300,
                "messages": [{"role": "user", "content": QUESTION.replace("\t", " ")}]}
        request = urllib.request.Request(url + "/chat/completions", json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=60) as response:
            return json.load(response)["choices"][0]["message"]["content"].rstrip("\n")

    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            code, _, err = ended(quickstart("--once", "--port", port, "--model", MODEL))
        self.assertEqual(code, 1)
        self.assertIn(port, err)

    def test_wrong_arguments(self):
        for args, word in ((["--model", "no/such.gguf"], "no/such.gguf"), (["--nonsense"], "--nonsense"), (["--port"], "--port")):
            code, _, err = ended(quickstart("--once", *args))
            self.assertNotEqual(code, 0)
            self.assertIn(word, err)

    def test_help(self):
        code, out, _ = ended(quickstart("--help"))
        self.assertEqual(code, 0)
        for option in ("--once", "--model", "--port"):
            self.assertIn(option, out)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
