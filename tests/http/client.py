"""Raw sockets against the test server of this folder."""
import contextlib
import json
import socket
import subprocess
import sys
import time

HOST = b"Host: test\r\n"


class Server:
    """The test server, running; `with Server(head_ms=500) as s`."""

    def __init__(self, **options):
        self.arguments = [f"{k}={v}" for k, v in options.items()]
        self.wrap = None

    def __enter__(self):
        self.process = subprocess.Popen([sys.argv[1], *self.arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        line = self.process.stdout.readline().split()
        assert line and line[0] == "port", self.process.stderr.read()
        self.port = int(line[1])
        return self

    def __exit__(self, *failure):
        self.process.stdin.close()
        self.final = self.process.stdout.read()
        code = self.process.wait(30)
        self.warnings = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        if failure[0] is None:
            assert code == 0, (code, self.final, self.warnings)

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return self.wrap(s) if self.wrap else s

    def send(self, data):
        """All that comes back until the server closes or says nothing for a second."""
        with contextlib.closing(self.connect()) as s:
            s.sendall(data)
            return everything(s)

    def ask(self, path, method="GET", headers=b"", body=None):
        """One exchange with a close: (status, headers, body)."""
        head = f"{method} {path} HTTP/1.1\r\nConnection: close\r\n".encode() + HOST + headers
        if body is not None:
            head += b"Content-Length: %d\r\n" % len(body)
        return parse(self.send(head + b"\r\n" + (body or b"")))

    def stats(self):
        return json.loads(self.ask("/stats")[2])

    def wait_for(self, what, seconds=10):
        """Stats once `what(stats)` is true."""
        until = time.monotonic() + seconds
        while True:
            s = self.stats()
            if what(s):
                return s
            assert time.monotonic() < until, s
            time.sleep(0.01)


def everything(s, quiet=10):
    s.settimeout(quiet)
    data = []
    with contextlib.suppress(OSError):
        while piece := s.recv(65536):
            data.append(piece)
    return b"".join(data)


def parse(data):
    """(status, {header: value}, body) of the first answer in `data`, chunks put together."""
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    if not lines[0].startswith("HTTP/1."):
        return 0, {}, data
    headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
    if headers.get("transfer-encoding") == "chunked":
        body = chunks(body)
    return int(lines[0].split()[1]), headers, body


def chunks(body):
    """The bytes of a chunked body; ValueError when it is not whole."""
    out, at = [], 0
    while True:
        end = body.find(b"\r\n", at)
        n = int(body[at:max(end, at)], 16)
        if n == 0:
            return b"".join(out)
        at = end + 2 + n
        if body[at:at + 2] != b"\r\n":
            raise ValueError("broken chunk")
        out.append(body[end + 2:at])
        at += 2
