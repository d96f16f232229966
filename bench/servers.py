"""Servers of either kind, started for a measurement: autoglm serve and llama-server. Python 3.9 and nothing else."""
import contextlib
import http.client
import json
import socket
import subprocess
import sys
import time


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Server:
    """A server on a port of its own, ready for requests; listening_s and ready_s are since its process was started."""

    def __init__(self, command, model, look_every=0.02):
        self.port = free_port()
        self.began = time.monotonic()
        self.process = subprocess.Popen(command + ["-m", model, "--host", "127.0.0.1", "--port", str(self.port)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.listening_s = self.until(self.listens, command, look_every)
        self.ready_s = self.until(self.ready, command, look_every)

    def until(self, what, command, look_every):
        while not what():
            if self.process.poll() is not None or time.monotonic() > self.began + 300:
                sys.exit(f"no server from: {' '.join(command)}")
            time.sleep(look_every)
        return self.since_start()

    def since_start(self):
        return time.monotonic() - self.began

    def ask(self, method, path, body=None, seconds=600):
        """Status and body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        with contextlib.closing(connection):
            connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()

    def listens(self):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def ready(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            status = self.ask("GET", "/readyz", seconds=5)[0]
            if status == 404:       # llama-server has /health only, which waits for the model
                status = self.ask("GET", "/health", seconds=5)[0]
            return status == 200
        return False

    def url(self):
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
