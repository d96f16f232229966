"""What well-behaved clients do: keep-alive, bodies of both kinds, HEAD, Expect, streams, HTTP/1.0, unix
sockets, leaving."""
import contextlib
import socket
import struct
import tempfile
import time
import unittest

from client import HOST, Server, chunks, everything, parse


class Exchange(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.server = Server(unix=f"{cls.dir.name}/s", body=1 << 20)
        cls.server.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)
        cls.dir.cleanup()

    def one(self, s):
        """One answer with a length from a connection that stays open."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += s.recv(1)
        status, headers, _ = parse(data)
        body = b""
        while len(body) < int(headers["content-length"]):
            body += s.recv(int(headers["content-length"]) - len(body))
        return status, headers, body

    def test_answer_has_date_server_length_and_type(self):
        status, headers, body = self.server.ask("/ping")
        self.assertEqual((status, body), (200, b"pong"))
        self.assertEqual(headers["content-length"], "4")
        self.assertEqual(headers["server"], "autoglm")
        self.assertRegex(headers["date"], r"^\w{3}, \d\d \w{3} \d{4} .* GMT$")

    def test_keep_alive_and_pipelined_requests_are_answered_in_order(self):
        with contextlib.closing(self.server.connect()) as s:
            for i in range(3):
                s.sendall(b"POST /later HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n#%d" % i)
                self.assertEqual(self.one(s)[2], b"#%d" % i)
            s.sendall(b"".join(b"POST /later HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n#%d" % i
                               for i in range(8)))
            for i in range(8):
                self.assertEqual(self.one(s)[2], b"#%d" % i)

    def test_body_split_at_every_byte_arrives_whole(self):
        request = (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
                   b"\r\n4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nTrailer: t\r\n\r\n")
        for cut in range(1, len(request)):
            with contextlib.closing(self.server.connect()) as s:
                s.sendall(request[:cut])
                if cut % 8 == 0:
                    time.sleep(0.002)
                s.sendall(request[cut:])
                self.assertEqual(parse(everything(s))[2], b"abcdefg", cut)

    def test_large_bodies_both_ways(self):
        body = bytes(range(256)) * 4000
        for path in ("/echo", "/later"):
            self.assertEqual(self.server.ask(path, "POST", body=body)[2], body)
        self.assertEqual(len(self.server.ask("/big?bytes=20000000")[2]), 20000000)

    def test_head_has_headers_and_no_body(self):
        for path in ("/ping", "/big", "/stream?n=5"):
            data = self.server.send(f"HEAD {path} HTTP/1.1\r\nConnection: close\r\n".encode() + HOST + b"\r\n")
            self.assertTrue(data.startswith(b"HTTP/1.1 200 ") and data.endswith(b"\r\n\r\n"), data)

    def test_expectation_is_met_or_refused_before_the_body(self):
        head = b"HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n" + HOST + b"\r\n"
        with contextlib.closing(self.server.connect()) as s:
            s.sendall(b"POST /echo " + head)
            self.assertEqual(s.recv(100), b"HTTP/1.1 100 Continue\r\n\r\n")
            s.sendall(b"abc")
            self.assertEqual(parse(everything(s))[::2], (200, b"abc"))
        self.assertEqual(parse(self.server.send(b"POST /refuse " + head))[::2], (401, b"no key"))

    def test_stream_is_chunked_and_ends(self):
        status, headers, body = self.server.ask("/stream?n=50&bytes=1000")
        self.assertEqual((status, headers["transfer-encoding"]), (200, "chunked"))
        self.assertEqual(len(body), 50000)

    def test_stream_to_http_1_0_ends_with_the_connection(self):
        data = self.server.send(b"GET /stream?n=5&bytes=10 HTTP/1.0\r\n\r\n")
        self.assertNotIn(b"chunked", data)
        self.assertEqual(len(data.partition(b"\r\n\r\n")[2]), 50)

    def test_aborted_stream_is_seen_as_broken(self):
        data = self.server.send(b"GET /break?n=3 HTTP/1.1\r\n" + HOST + b"\r\n")
        with self.assertRaises(ValueError):
            chunks(data.partition(b"\r\n\r\n")[2])

    def test_what_is_over_is_closed_at_once_though_an_older_connection_waits(self):
        with contextlib.closing(self.server.connect()) as older:
            older.sendall(b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n")
            self.one(older)
            for target, version in ((b"stream", b"0"), (b"break", b"1"), (b"break", b"0")):
                with contextlib.closing(self.server.connect()) as s:
                    began = time.monotonic()
                    s.sendall(b"GET /%s?n=3&ms=5 HTTP/1.%s\r\n" % (target, version) + HOST + b"\r\n")
                    self.assertIn(b"dddddd", everything(s, 20))
                    self.assertLess(time.monotonic() - began, 5, (target, version))
            for linger in (0, 1):  # 1: it leaves with a reset
                with contextlib.closing(self.server.connect()) as s:
                    s.sendall(b"GET /stream?n=1000000&ms=20 HTTP/1.1\r\n" + HOST + b"\r\n")
                    s.recv(1000)
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
            self.server.wait_for(lambda now: now["connections"] == 2)

    def test_first_piece_arrives_before_the_last_is_made(self):
        with contextlib.closing(self.server.connect()) as s:
            began = time.monotonic()
            s.sendall(b"GET /stream?n=10&ms=200 HTTP/1.1\r\n" + HOST + b"\r\n")
            got = b""
            while b"\r\n6\r\n" not in got:
                got += s.recv(1000)
            self.assertLess(time.monotonic() - began, 1.5)

    def test_target_is_decoded(self):
        self.assertEqual(self.server.ask("/qu%65ry?b&a=x%20y+z%C3%A9&a=2")[2], "x y z\u00e9".encode())
        self.assertEqual(self.server.ask("http://elsewhere/query?a=1")[2], b"1")
        self.assertEqual(self.server.ask("/query?a")[2], b"")
        self.assertEqual(self.server.ask("/query")[2], b"(none)")

    def test_unix_socket(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
            s.connect(f"{self.dir.name}/s")
            s.sendall(b"GET /ping HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
            self.assertEqual(parse(everything(s))[2], b"pong")

    def test_client_that_leaves_while_it_waits_is_noticed_at_once(self):
        for path in ("/hang", "/stream?n=1000&ms=100000"):
            before = self.server.stats()
            s = self.server.connect()
            s.sendall(f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
            self.server.wait_for(lambda now: now["active"] == 2)
            s.close()
            now = self.server.wait_for(lambda now: now["active"] == 1, 2)
            self.assertEqual(now["gone"], before["gone"] + 1)

    def test_answer_given_at_once_reaches_a_client_that_has_shut_down_its_side(self):
        with contextlib.closing(self.server.connect()) as s:
            s.sendall(b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n")
            s.shutdown(socket.SHUT_WR)
            began = time.monotonic()
            self.assertEqual(parse(everything(s))[2], b"pong")
            self.assertLess(time.monotonic() - began, 5)

    def test_pipelined_requests_before_it_are_answered_too(self):
        with contextlib.closing(self.server.connect()) as s:
            s.sendall((b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n") * 20)
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(everything(s).count(b"\r\n\r\npong"), 20)


if __name__ == "__main__":
    import sys
    unittest.main(argv=sys.argv[:1])
