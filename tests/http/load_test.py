"""Many clients at once: idle ones, leaving ones, slow ones; memory and processor stay quiet; draining."""
import contextlib
import random
import resource
import socket
import sys
import threading
import time
import unittest

from client import HOST, Server, everything, parse


def get(server, path, version="1.1"):
    s = server.connect()
    s.sendall(f"GET {path} HTTP/{version}\r\n".encode() + HOST + b"\r\n")
    return s


class Load(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))

    def test_a_thousand_idle_connections_cost_little_and_disturb_nobody(self):
        with Server() as server:
            before = server.stats()
            idle = [get(server, "/ping") for _ in range(1000)]
            now = server.wait_for(lambda now: now["ends"] >= before["ends"] + 1001)
            if not now["sanitized"]:
                self.assertLess(now["rss_kib"] - before["rss_kib"], 1000 * 40)  # libmicrohttpd's own memory: 32 KiB each
            self.assertEqual(server.ask("/ping")[2], b"pong")
            for s in idle:
                s.close()
            server.wait_for(lambda now: now["connections"] == 1)

    def test_waiting_costs_no_processor_time(self):
        with Server() as server:
            waiting = [get(server, "/stream?n=2&ms=3600000" if i % 2 else "/hang") for i in range(100)]
            server.wait_for(lambda now: now["active"] == 101)
            before = server.stats()["cpu_ms"]
            time.sleep(2)
            self.assertLess(server.stats()["cpu_ms"] - before, 100)
            for s in waiting:
                s.close()
            server.wait_for(lambda now: now["active"] == 1 and now["gone"] == 100)

    def test_five_hundred_random_departures_are_all_seen(self):
        random.seed(3)
        with Server() as server:
            def round_of(n):
                open_streams = []
                before = server.stats()
                for _ in range(n):
                    s = get(server, random.choice(("/stream?n=100000&ms=5", "/hang", "/stream?n=9999999&bytes=9000")))
                    open_streams.append(s)
                    if len(open_streams) > 30:
                        s = open_streams.pop(random.randrange(len(open_streams)))
                        with contextlib.suppress(OSError):
                            s.settimeout(0.01)
                            s.recv(random.randrange(1, 20000))
                        if random.random() < 0.5:  # a reset instead of an end
                            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        s.close()
                for s in open_streams:
                    s.close()
                now = server.wait_for(lambda now: now["active"] == 1 and now["connections"] == 1, 30)
                # Whose reset overtook its request never was one; all others left.
                self.assertEqual(now["gone"], now["ends"] - now["complete"])
                self.assertGreater(now["gone"] - before["gone"], n / 2)
                return now
            idle = server.stats()["http_bytes"]
            first = round_of(100)
            last = round_of(400)
            if not last["sanitized"]:
                self.assertLess(last["rss_kib"], first["rss_kib"] + 8192)
            # Threads that still write into a stream hold its queue until they see that its reader left.
            server.wait_for(lambda now: now["http_bytes"] == idle)

    def test_departure_is_seen_within_milliseconds(self):
        with Server() as server:
            worst = 0
            for _ in range(20):
                s = get(server, "/stream?n=2&ms=3600000")
                before = server.wait_for(lambda now: now["active"] == 2)
                began = time.monotonic()
                s.close()
                while server.stats()["gone"] == before["gone"]:
                    self.assertLess(time.monotonic() - began, 5)
                worst = max(worst, time.monotonic() - began)
            self.assertLess(worst, 2)  # milliseconds on a quiet machine

    def test_a_slow_reader_costs_bounded_memory_and_gets_every_byte(self):
        with Server(high=65536) as server:
            slow = [get(server, "/stream?n=1000&bytes=8192") for _ in range(10)]
            server.wait_for(lambda now: now["active"] == 11)
            time.sleep(0.5)
            now = server.stats()
            self.assertLess(now["http_bytes"], 10 * 3 * 65536)
            self.assertEqual(parse(server.send(b"GET /stream?n=10 HTTP/1.0\r\n\r\n"))[0], 200)  # others go on
            for s in slow:
                pieces, tail = [], b""
                while tail != b"\r\n0\r\n\r\n":
                    pieces.append(s.recv(1 << 20))
                    self.assertTrue(pieces[-1])
                    tail = (tail + pieces[-1])[-7:]
                self.assertEqual(len(parse(b"".join(pieces))[2]), 1000 * 8192)
                s.close()
            self.assertGreater(server.stats()["drained"], 10)

    def test_answers_from_many_threads_of_clients_are_each_their_own(self):
        wrong = []

        def client(k):
            with contextlib.closing(server.connect()) as s:
                for i in range(40):
                    body = b"%d:%d;" % (k, i) * (1 + (k * i) % 300)
                    s.sendall(b"POST /later HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                    got = b""
                    while b"\r\n\r\n" not in got or len(got.partition(b"\r\n\r\n")[2]) < len(body):
                        got += s.recv(65536)
                    if parse(got)[2] != body:
                        wrong.append((k, i))

        with Server() as server:
            threads = [threading.Thread(target=client, args=(k,)) for k in range(16)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(wrong, [])

    def test_draining_finishes_what_runs_and_takes_nothing_new(self):
        with Server() as server:
            idle, stream = get(server, "/ping"), get(server, "/stream?n=20&ms=50")
            idle.recv(1000)
            first = stream.recv(10)
            self.assertEqual(parse(server.send(b"POST /drain HTTP/1.0\r\n\r\n"))[2], b"draining")
            self.assertEqual(idle.recv(10), b"")  # nothing was asked on it
            body = first + everything(stream)
            self.assertEqual(len(parse(body)[2]), 20 * 6)
            with contextlib.closing(server.connect()) as s:
                s.sendall(b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n")
                s.settimeout(0.3)
                with self.assertRaises(TimeoutError):
                    s.recv(1)

    def test_who_connected_before_the_drain_may_still_ask(self):
        with Server() as server:
            late, half, silent = server.connect(), server.connect(), server.connect()
            half.sendall(b"GET /ping HTTP/1.1\r\n")
            server.wait_for(lambda now: now["connections"] == 4)
            self.assertEqual(parse(server.send(b"POST /drain HTTP/1.0\r\n\r\n"))[2], b"draining")
            began = time.monotonic()
            late.sendall(b"GET /drained HTTP/1.1\r\n" + HOST + b"\r\n")
            self.assertEqual(parse(everything(late))[2], b"no")
            half.sendall(HOST + b"\r\n")
            self.assertEqual(parse(everything(half))[2], b"pong")
            self.assertEqual(silent.recv(10), b"")
            self.assertLess(time.monotonic() - began, 5)

    def test_closing_the_server_ends_every_request(self):
        with Server() as server:
            held = [get(server, p) for p in ("/hang", "/stream?n=2&ms=3600000", "/big?bytes=30000000") * 5]
            server.wait_for(lambda now: now["active"] == 16)
        self.assertIn("gone 15", server.final)
        for s in held:
            s.close()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
