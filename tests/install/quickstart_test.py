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
import tempfile
import threading
import unittest
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = sys.argv[1]
LIMIT = 200     # seconds
QUESTION = 'What is "\\n" in C,\tand 什么是换行?'


def ended(process):
    out, err = process.communicate()
    return process.returncode, out, err


def shown(out):
    """The answer in what it printed: between the question and the next step, or the end."""
    return re.search(r"Asking: [^\n]*\n(.*?)\n+\[ *\d+ s\] (?:Done|It serves)", out, re.S)[1]


def showable(text):
    """What of an answer is for a terminal."""
    return re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f]", "", text).rstrip("\n")


class Quickstart(unittest.TestCase):
    def quickstart(self, *args, cwd=ROOT, path=()):
        """Started in a session of its own, so that Ctrl-C reaches what a terminal would send it to; killed with all
        that it started when it takes too long or the test is over. Programs are first looked for in `path`."""
        process = subprocess.Popen([ROOT / "quickstart", *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, cwd=cwd, start_new_session=True,
                                   env={**os.environ, "AUTOGLM_NO_INSTALL": "1",
                                        "PATH": ":".join([*path, os.environ["PATH"]])})

        def kill():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        limit = threading.Timer(LIMIT, kill)
        limit.start()
        self.addCleanup(kill)
        self.addCleanup(limit.cancel)
        return process

    def programs(self, **scripts):
        """A folder with these."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        for name, script in scripts.items():
            file = pathlib.Path(folder.name, name.replace("_", "-"))
            file.write_text(script, "utf-8")
            file.chmod(0o755)
        return folder.name

    def test_once_shows_an_answer_and_ends(self):
        code, out, err = ended(self.quickstart("--once", "--port", "0", "--model", os.path.basename(MODEL), QUESTION,
                                               cwd=os.path.dirname(MODEL)))
        self.assertEqual(code, 0, out + err)
        self.assertTrue(shown(out).strip(), out)
        self.assertIn("Done.", out)

    def test_it_serves_until_ctrl_c(self):
        process = self.quickstart("--port", "0", "--model", MODEL, QUESTION)
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
        self.assertEqual(shown(out), showable(self.answer(url, name)), "what it shows is not what the server says")

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
            return json.load(response)["choices"][0]["message"]["content"]

    def test_a_terminal_is_not_told_what_to_do_by_a_model(self):
        said = 'one\n\n\ttwo "\\n" \x1b[31mred\x1b]0;title\x07 \r\b\x7f\x9b2J é 什 \\u001b'
        event = json.dumps({"choices": [{"index": 0, "delta": {"content": said}, "logprobs": None}]},
                           separators=(",", ":"), ensure_ascii=False)
        path = self.programs(curl=f"#!/bin/sh\ncat <<'END'\ndata: {event}\nEND\n")
        code, out, err = ended(self.quickstart("--once", "--port", "0", "--model", MODEL, path=[path]))
        self.assertEqual((code, shown(out)), (0, showable(said)), out + err)

    def test_what_is_missing_is_named_where_nothing_may_be_installed(self):
        never = "#!/bin/sh\necho installing >&2\nexit 1\n"
        path = self.programs(dpkg_query="#!/bin/sh\nexit 1\n", apt_get=never, sudo=never)
        code, out, err = ended(self.quickstart("--once", "--model", MODEL, path=[path]))
        self.assertEqual(code, 1, out + err)
        self.assertRegex(err, "^Missing packages .*AUTOGLM_NO_INSTALL.*: .*cmake.*libmicrohttpd-dev")
        self.assertNotIn("installing", err)

    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            code, _, err = ended(self.quickstart("--once", "--port", port, "--model", MODEL))
        self.assertEqual(code, 1)
        self.assertIn(port, err)

    def test_wrong_arguments(self):
        for args, word in ((["--model", "no/such.gguf"], "no/such.gguf"), (["--nonsense"], "--nonsense"), (["--port"], "--port")):
            code, _, err = ended(self.quickstart("--once", *args))
            self.assertNotEqual(code, 0)
            self.assertIn(word, err)

    def test_help(self):
        code, out, _ = ended(self.quickstart("--help"))
        self.assertEqual(code, 0)
        for option in ("--once", "--model", "--port", "AUTOGLM_NO_INSTALL"):
            self.assertIn(option, out)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
