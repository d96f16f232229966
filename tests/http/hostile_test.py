"""What nobody well-meaning sends: each is refused with the right status, and the server lives on."""
import contextlib
import os
import random
import resource
import socket
import sys
import time
import unittest

from client import HOST, Server, everything, parse

POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"

# Two readers of these bytes could disagree on where a request ends: (name, bytes, statuses).
SMUGGLING = [
    ("two lengths", POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    ("one length twice", POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    ("length and coding", POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("coding and length", CHUNKED + b"Content-Length: 3\r\n\r\n0\r\n\r\n", 400),
    ("coding twice", CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("coding list", POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    ("almost a coding", POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501),
    ("coding identity", POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    ("coding in 1.0", b"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    ("length with sign", POST + b"Content-Length: +3\r\n\r\nabc", 400),
    ("negative length", POST + b"Content-Length: -1\r\n\r\n", 400),
    ("length in hex", POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    ("length list", POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    ("length over 64 bits", POST + b"Content-Length: 99999999999999999999\r\n\r\n", (400, 413)),
    ("space before colon", POST + b"Content-Length : 3\r\n\r\nabc", 400),
    ("tab before colon", POST + b"Content-Length\t: 3\r\n\r\nabc", 400),
    ("fold", POST + b"X: a\r\n Content-Length: 3\r\n\r\nabc", 400),
    ("fold at once", POST + b" X: a\r\n\r\n", 400),
    ("bare CR", POST + b"X: a\rContent-Length: 3\r\n\r\nabc", 400),
    ("no colon", POST + b"Content-Length\r\n\r\n", 400),
    ("NUL in name", POST + b"Content-\0Length: 3\r\n\r\n", 400),
    ("bad chunk size", CHUNKED + b"\r\nzz\r\nabc\r\n0\r\n\r\n", 400),
    ("signed chunk size", CHUNKED + b"\r\n-3\r\nabc\r\n0\r\n\r\n", 400),
    ("huge chunk size", CHUNKED + b"\r\nffffffffffffffffffffff\r\nabc\r\n0\r\n\r\n", (400, 413)),
    ("chunk longer than said", CHUNKED + b"\r\n3\r\nabcde\r\n0\r\n\r\n", 400),
]
BAD_HEADS = [
    ("no host", b"GET /ping HTTP/1.1\r\n\r\n", 400),
    ("two hosts", b"GET /ping HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    ("no version", b"GET /ping\r\n\r\n", 400),
    ("HTTP/2", b"GET /ping HTTP/2.0\r\n" + HOST + b"\r\n", 505),
    ("version with a tail", b"GET /ping HTTP/1.1x\r\n" + HOST + b"\r\n", 400),
    ("lower-case version", b"GET /ping http/1.1\r\n" + HOST + b"\r\n", 400),
    ("bad method", b"G\x01T /ping HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("broken percent", b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("encoded NUL", b"GET /ping%00 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("not UTF-8", b"GET /%ff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("no path", b"GET ping HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("asterisk", b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("authority", b"CONNECT a:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    ("control in a value", b"GET /ping HTTP/1.1\r\n" + HOST + b"X: \x02\r\n\r\n", 400),
    ("expectation", POST + b"Expect: wonders\r\nContent-Length: 3\r\n\r\n", 417),
    ("too many fields", b"GET /ping HTTP/1.1\r\n" + HOST + b"X: y\r\n" * 100 + b"\r\n", 431),
    ("large field", b"GET /ping HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 20000 + b"\r\n\r\n", 431),
    ("huge field", b"GET /ping HTTP/1.1\r\n" + HOST + b"X: " + b"y" * 200000 + b"\r\n\r\n", 431),
    ("long target", b"GET /" + b"y" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    ("huge target", b"GET /" + b"y" * 200000, (414, 431)),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
]
# libmicrohttpd's own words, which README.md of the room tells of.
ITS_OWN = {"no colon", "NUL in name", "bad chunk size", "signed chunk size", "huge chunk size",
           "chunk longer than said", "no version", "HTTP/2", "version with a tail",
           "lower-case version", "huge field", "huge target", "TLS hello", "HTTP/2 preface", "length with sign",
           "negative length", "length in hex", "length list", "length over 64 bits"}


def burst(server, data):
    """Send as far as the server lets us; everything that comes back."""
    with contextlib.closing(server.connect()) as s:
        with contextlib.suppress(OSError):
            s.sendall(data)
        return everything(s, 5)


class Hostile(unittest.TestCase):
    def check(self, server, cases):
        for name, data, expected in cases:
            with self.subTest(name):
                answer = burst(server, data)
                status, headers, body = parse(answer)
                self.assertIn(status, expected if isinstance(expected, tuple) else (expected,), answer[:300])
                self.assertEqual(headers.get("connection"), "close")
                if name not in ITS_OWN:
                    self.assertEqual(answer.count(b"HTTP/1.1 "), 1, "a second request was found in it")
                    self.assertIn(b'"error"', body)

    def test_smuggling_and_bad_heads(self):
        with Server() as server:
            self.check(server, SMUGGLING)
            self.check(server, BAD_HEADS)
            self.assertEqual(server.ask("/ping")[2], b"pong")
            now = server.wait_for(lambda now: now["connections"] == 1)
            self.assertEqual(now["heads"], 1 + now["ends"])

    def test_random_bytes_and_broken_requests_leave_nothing_behind(self):
        random.seed(7)
        good = (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
                b"GET /query?a=%20b HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
        with Server() as server:
            for i in range(300):
                data = bytearray(good if i % 3 else random.randbytes(random.randrange(1, 400)))
                for _ in range(random.randrange(4)):
                    data[random.randrange(len(data))] = random.randrange(256)
                with contextlib.closing(server.connect()) as s:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    answer = everything(s, 5)
                self.assertTrue(not answer or answer.startswith(b"HTTP/1.1 "), answer[:100])
            now = server.wait_for(lambda now: now["connections"] == 1)
            self.assertEqual(now["heads"], now["ends"] + 1)

    def test_body_over_its_limit(self):
        with Server(body=1000, bodies=1500) as server:
            self.assertEqual(server.ask("/echo", "POST", body=b"x" * 1000)[0], 200)
            for data in (POST + b"Content-Length: 1001\r\n\r\n",
                         POST + b"Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
                         CHUNKED + b"\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"):
                status, headers, body = parse(burst(server, data))
                self.assertEqual((status, headers["connection"]), (413, "close"))
                self.assertIn(b'"error"', body)
            endless = CHUNKED + b"\r\n" + (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 2000
            self.assertEqual(burst(server, endless)[:12], b"")
            with contextlib.closing(server.connect()) as s:  # 900 of 1500 bytes are in use
                s.sendall(b"POST /hang HTTP/1.1\r\n" + HOST + b"Content-Length: 900\r\n\r\n" + b"x" * 900)
                server.wait_for(lambda now: now["active"] == 2)
                self.assertEqual(server.ask("/echo", "POST", body=b"x" * 900)[0], 503)
            server.wait_for(lambda now: now["active"] == 1)
            self.assertEqual(server.ask("/echo", "POST", body=b"x" * 900)[0], 200)

    def test_slow_clients_are_ended_by_the_limit_that_they_break(self):
        with Server(head_ms=600, body_ms=400, idle_ms=900, send_ms=500) as server:
            def lasted(data, more=b"", every=0.1):
                """Seconds until the server ends it, and what it said."""
                with contextlib.closing(server.connect()) as s:
                    began = time.monotonic()
                    s.sendall(data)
                    s.settimeout(every)
                    answer = b""
                    while time.monotonic() < began + 8:
                        try:
                            piece = s.recv(1000)
                            answer += piece
                            if not piece:
                                break
                        except TimeoutError:
                            with contextlib.suppress(OSError):
                                s.sendall(more)
                        except OSError:
                            break
                    return time.monotonic() - began, answer

            with self.subTest("head byte by byte"):
                seconds, answer = lasted(b"GET /ping HT", b"x")
                self.assertTrue(0.55 < seconds < 3, seconds)
                self.assertEqual(parse(answer)[0], 408)
            with self.subTest("fields for ever"):
                seconds, answer = lasted(b"GET /ping HTTP/1.1\r\n", b"X: y\r\n")
                self.assertTrue(0.55 < seconds < 3, seconds)
                self.assertEqual(parse(answer)[0], 408)
            with self.subTest("body that stops"):
                seconds, answer = lasted(POST + b"Content-Length: 10\r\n\r\nabc")
                self.assertTrue(0.35 < seconds < 3, seconds)
                self.assertEqual(parse(answer)[0], 408)
            with self.subTest("nothing at all"):
                seconds, answer = lasted(b"")
                self.assertTrue(0.55 < seconds < 3, seconds)
                self.assertEqual(answer, b"")
            with self.subTest("nothing after an answer"):
                seconds, answer = lasted(b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertTrue(0.85 < seconds < 3, seconds)
            with self.subTest("a reader that takes nothing"):
                before = server.stats()
                for path in ("/stream?n=2000&bytes=65536", "/big?bytes=60000000"):
                    s = server.connect()
                    s.sendall(f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
                    now = server.wait_for(lambda now: now["ends"] > before["ends"] + 1 and now["active"] == 1)
                    self.assertEqual(now["gone"], before["gone"] + 1)
                    before = now
                    s.close()
            with self.subTest("a slow body that comes is taken"):
                with contextlib.closing(server.connect()) as s:
                    s.sendall(POST + b"Content-Length: 8\r\nConnection: close\r\n\r\n")
                    for _ in range(8):
                        time.sleep(0.15)
                        s.sendall(b"x")
                    self.assertEqual(parse(everything(s))[2], b"xxxxxxxx")

    def test_limits_on_connections(self):
        with Server(conns=20) as server:
            idle = [server.connect() for _ in range(20)]
            time.sleep(0.3)
            self.assertEqual(server.ask("/ping")[2], b"pong")  # the longest idle one made room
            self.assertEqual(everything(idle[0], 5), b"")
            for s in idle:
                s.close()
            server.wait_for(lambda now: now["connections"] == 1)
            busy = []
            for _ in range(20):
                busy.append(server.connect())
                busy[-1].sendall(b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n")
            with contextlib.closing(server.connect()) as s:  # all busy: it waits in the backlog
                s.sendall(b"GET /stats HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
                s.settimeout(0.5)
                with self.assertRaises(TimeoutError):
                    s.recv(1)
                busy.pop().close()
                self.assertEqual(parse(everything(s))[0], 200)
            for s in busy:
                s.close()
        with Server() as server:    # fewer descriptors than connections
            pid = server.process.pid
            resource.prlimit(pid, resource.RLIMIT_NOFILE,
                             (len(os.listdir(f"/proc/{pid}/fd")) + 8, resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]))
            idle = [server.connect() for _ in range(20)]
            began = time.monotonic()
            self.assertEqual(server.ask("/ping")[2], b"pong")
            self.assertLess(time.monotonic() - began, 5)    # a silent one's time is over after 10 s
            for s in idle:
                s.close()
        with Server(address=3) as server:
            held = [server.connect() for _ in range(3)]
            for s in held:
                s.sendall(b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertIn(b"pong", s.recv(1000))
            self.assertEqual(burst(server, b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n"), b"")
            held.pop().close()
            time.sleep(0.2)
            self.assertIn(b"pong", burst(server, b"GET /ping HTTP/1.0\r\n\r\n"))
            for s in held:
                s.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
