"""What the tests of the command share: running it, a terminal to run it on, small GGUF files.

The programs here are called as `NAME_test.py BINARY MODELS_DIR`, where MODELS_DIR holds the tiny models made by
tests/golden/models/make_models.py. Standard library only.
"""
import atexit
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

BINARY = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else ""
MODELS = sys.argv[2] if len(sys.argv) > 2 else ""
SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COMMANDS = ["chat", "run", "inspect", "bench", "quantize", "imatrix", "eval", "embed", "tokenize", "logits", "check",
            "loadtest", "version", "help", "models", "pull", "serve"]
LIMIT = 120     # seconds for one command: sanitizers on a busy machine are slow
CACHE = tempfile.mkdtemp()      # of all programs that a test starts
atexit.register(shutil.rmtree, CACHE, ignore_errors=True)


def environment(**changes):
    env = {k: v for k, v in os.environ.items() if not k.startswith("AUTOGLM_") and k != "NO_COLOR"}
    env.update({"TERM": "xterm", "XDG_DATA_HOME": "/nonexistent", "XDG_CACHE_HOME": CACHE, **changes})
    return env


class Result:
    def __init__(self, status, out, err):
        self.status, self.raw, self.err = status, out, err
        self.out = out.decode("utf-8", "replace")

    def json(self):
        """The only line of output."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        return json.loads(lines[0])

    def json_lines(self):
        return [json.loads(line) for line in self.out.splitlines()]


def run(*args, stdin=b"", env=None):
    done = subprocess.run([BINARY, *args], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT,
                          env=environment(**(env or {})))
    return Result(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *args, columns=80, env=None):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execve(BINARY, [BINARY, *args], environment(**(env or {})))
        self.pid, self.seen, self.at = pid, b"", 0
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.pid:
            os.kill(self.pid, 9)
            os.waitpid(self.pid, 0)
        os.close(self.fd)

    def _more(self, end):
        """Read what comes until `end`; False when the command has gone."""
        ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
        if not ready:
            raise AssertionError(f"timed out; the terminal shows {self.seen[self.at:]!r}")
        try:
            data = os.read(self.fd, 65536)
        except OSError:
            return False
        self.seen += data
        return bool(data)

    def until(self, text):
        """Wait for `text`; returns what came before and with it."""
        text = text.encode() if isinstance(text, str) else text
        end = time.monotonic() + LIMIT
        while True:
            found = self.seen.find(text, self.at)
            if found >= 0:
                begin, self.at = self.at, found + len(text)
                return self.seen[begin:self.at].decode("utf-8", "replace")
            if not self._more(end):
                raise AssertionError(f"ended while {text!r} was awaited; it said {self.seen[self.at:]!r}")

    def prompt(self):
        """Wait until a line is asked for. Bracketed paste goes on just before."""
        self.until("\x1b[?2004h")
        return self.until("> ")

    def say(self, text):
        self.keys(text + "\r")

    def keys(self, text):
        os.write(self.fd, text.encode() if isinstance(text, str) else text)

    def end(self):
        """Wait for the end; returns (exit status, what came since)."""
        end = time.monotonic() + LIMIT
        while self._more(end):
            pass
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status), self.seen[self.at:].decode("utf-8", "replace")


def plain(text):
    """Without escape sequences and carriage returns."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", text)


# ---- GGUF files of a few bytes

def gguf(keys, tensors=()):
    """Bytes of a GGUF file. keys: (name, value); tensors: (name, dims, type, bytes)."""
    def string(s):
        s = s.encode() if isinstance(s, str) else s
        return struct.pack("<Q", len(s)) + s

    def value(v):
        if isinstance(v, bool):
            return struct.pack("<IB", 7, v)
        if isinstance(v, int):
            return struct.pack("<II", 4, v)
        if isinstance(v, float):
            return struct.pack("<If", 6, v)
        if isinstance(v, list):
            return struct.pack("<IIQ", 9, 8, len(v)) + b"".join(string(x) for x in v)
        return struct.pack("<I", 8) + string(v)

    head = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))
    for name, v in keys:
        head += string(name) + value(v)
    data = b""
    for name, dims, kind, blob in tensors:
        head += string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        head += struct.pack("<IQ", kind, len(data))
        data += blob + bytes(-len(blob) % 32)
    return head + bytes(-len(head) % 32) + data


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def write(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return path

    def path(self, name):
        return os.path.join(self.folder, name)

    def model(self, name):
        return os.path.join(MODELS, name + ".gguf")

    def succeeds(self, *args, **k):
        r = run(*args, **k)
        self.assertEqual(r.status, 0, r.err + r.out)
        return r

    def fails(self, status, reason, *args, hint=None, **k):
        """It ends with this status and one line that begins with autoglm:, maybe a hint, and no output."""
        r = run(*args, **k)
        lines = r.err.splitlines()
        self.assertEqual(r.status, status, r.err)
        self.assertTrue(lines and lines[0].startswith("autoglm: "), r.err)
        self.assertIn(reason, lines[0])
        self.assertLessEqual(len(lines), 2, r.err)
        if len(lines) == 2:
            self.assertTrue(lines[1].startswith("hint: "), r.err)
        if hint is not None:
            self.assertEqual(len(lines), 2, r.err)
            self.assertIn(hint, lines[1])
        self.assertEqual(r.out, "")
        return r


def main():
    unittest.main(argv=sys.argv[:1] + sys.argv[3:], module="__main__")
