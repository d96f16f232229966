"""What the tests of the server share: one that runs, and requests to it. Standard library only."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "cli"))
from cli import BINARY, MODELS, SOURCE, Case, environment, main, run  # noqa: E402,F401

CHAT = "tiny-llama3-q4_k"
EMBED = "tiny-bert-f32"
LIMIT = 120


def model_path(name):
    return os.path.join(MODELS, name + ".gguf")


def children_of(server):
    """The processes that serve: one, but for hand-overs and restarts."""
    pid = server.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


class Answer:
    def __init__(self, response):
        self.status, self.headers = response.status, response.headers
        self.body = response.read()

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The data of a stream's events; each is JSON but the last one, which must be [DONE]."""
        lines = self.body.decode("utf-8").split("\n\n")
        assert lines.pop() == "", self.body
        data = []
        for line in lines:
            assert line.startswith("data: "), line
            data.append(line[6:])
        assert data[-1] == "[DONE]", data[-1]
        return [json.loads(x) for x in data[:-1]]


class Configured(Case):
    def serve(self, text, *args, env=None, wait=True):
        """A server with this configuration, which `self.write("config.yml", ...)` replaces."""
        path = self.write("config.yml", text)
        server = Server.__new__(Server)
        server.begin([BINARY, "serve", "--config", path, *args], wait, env)
        self.addCleanup(server.__exit__)
        return server


class Server:
    """`autoglm serve` on a free port."""

    def __init__(self, model=CHAT, *args, wait=True):
        path = model if os.sep in model else model_path(model)
        self.begin([BINARY, "serve", "-m", path, "--port", "0", "-t", "2", "-c", "2048", *args], wait)

    def begin(self, command, wait=True, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=environment(**(env or {})))
        self.said = ""
        self.port = None
        self.changed = threading.Condition()
        for stream in (self.process.stdout, self.process.stderr):
            threading.Thread(target=self._read, args=(stream,), daemon=True).start()
        self.until("listening on http")
        self.port = int(re.search(r'listening on https?://[^\s"]+:(\d+)', self.said)[1])
        if wait:
            self.until("try: ")

    def _read(self, stream):
        for line in stream:
            with self.changed:
                self.said += line.decode("utf-8", "replace")
                self.changed.notify_all()
        with self.changed:
            self.said += "\n[closed]\n"
            self.changed.notify_all()
        stream.close()

    def until(self, text):
        end = time.monotonic() + LIMIT
        with self.changed:
            while text not in self.said:
                assert "[closed]" not in self.said and time.monotonic() < end, f"waiting for {text!r}: {self.said}"
                self.changed.wait(1)

    def connect(self, seconds=LIMIT):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def ask(self, method, path, body=None, headers=None, seconds=LIMIT):
        connection = self.connect(seconds)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        connection.request(method, path, data, {"Content-Type": "application/json", **(headers or {})})
        answer = Answer(connection.getresponse())
        connection.close()
        return answer

    def post(self, path, body, **headers):
        return self.ask("POST", path, body, headers)

    def get(self, path, seconds=LIMIT, **headers):
        return self.ask("GET", path, None, headers, seconds)

    def stop(self, how=signal.SIGTERM):
        """End it; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(LIMIT)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
