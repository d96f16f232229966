"""TLS 1.3 with certificates made by openssl: exchange, refusal of what is older, change of certificate under
a running stream, departures, slow handshakes."""
import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import unittest

from client import HOST, Server, everything, parse


def make_certificate(folder, name):
    key, cert = f"{folder}/{name}.key", f"{folder}/{name}.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                    "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost",
                    "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.one = make_certificate(cls.dir.name, "one")
        cls.two = make_certificate(cls.dir.name, "two")

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def server(self, **options):
        for path, name in zip(self.one, ("cert", "key")):
            shutil.copy(path, f"{self.dir.name}/{name}")
        server = Server(cert=f"{self.dir.name}/cert", key=f"{self.dir.name}/key", **options)
        context = ssl.create_default_context(cafile=self.one[0])
        context.load_verify_locations(self.two[0])
        server.wrap = lambda s: context.wrap_socket(s, server_hostname="localhost")
        return server

    def replace(self, pair):
        """As tools do it: a new file over the old name, certificate first."""
        for path, name in zip(pair, ("cert", "key")):
            shutil.copy(path, f"{self.dir.name}/new")
            os.replace(f"{self.dir.name}/new", f"{self.dir.name}/{name}")

    def common_name(self, server):
        with contextlib.closing(server.connect()) as s:
            return dict(x[0] for x in s.getpeercert()["subject"])["commonName"]

    def test_exchange_and_stream(self):
        with self.server() as server:
            with contextlib.closing(server.connect()) as s:
                self.assertEqual(s.version(), "TLSv1.3")
            body = bytes(range(256)) * 2000
            self.assertEqual(server.ask("/echo", "POST", body=body)[2], body)
            self.assertEqual(server.ask("/later", "POST", body=body)[2], body)
            self.assertEqual(len(server.ask("/stream?n=300&bytes=20000")[2]), 300 * 20000)

    def test_older_versions_and_plain_text_are_refused(self):
        with self.server() as server:
            old = ssl.create_default_context(cafile=self.one[0])
            old.maximum_version = ssl.TLSVersion.TLSv1_2
            with socket.create_connection(("127.0.0.1", server.port)) as s, self.assertRaises(ssl.SSLError):
                old.wrap_socket(s, server_hostname="localhost")
            with socket.create_connection(("127.0.0.1", server.port)) as s:
                s.sendall(b"GET /ping HTTP/1.1\r\n" + HOST + b"\r\n")
                self.assertNotIn(b"HTTP/1.1", everything(s, 5))
            self.assertEqual(server.ask("/ping")[2], b"pong")

    def test_changed_certificate_is_taken_without_dropping_a_stream(self):
        with self.server() as server:
            stream = server.connect()
            stream.sendall(b"GET /stream?n=60&ms=100 HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
            self.assertEqual(self.common_name(server), "one")
            time.sleep(1.1)
            self.replace(self.two)
            self.assertEqual(self.common_name(server), "two")
            time.sleep(1.1)
            self.replace((self.one[0], self.two[1]))  # a pair that does not belong together
            self.assertEqual(self.common_name(server), "two")
            time.sleep(1.1)
            self.replace((self.one[0], "/dev/null"))
            self.assertEqual(self.common_name(server), "two")
            time.sleep(1.1)
            self.replace(self.one)
            self.assertEqual(self.common_name(server), "one")
            self.assertEqual(len(parse(everything(stream))[2]), 60 * 6)
            stream.close()
        self.assertIn("does not belong to the certificate", server.warnings)
        self.assertIn("not a private key in PEM", server.warnings)

    def test_files_that_could_not_be_read_are_tried_again_and_told_once(self):
        with self.server() as server:
            time.sleep(1.1)
            with open(self.two[1], "rb") as f:
                right = f.read()
            with open(f"{self.dir.name}/bad", "wb") as f:
                f.write(b"-" * len(right))
            self.replace((self.two[0], f"{self.dir.name}/bad"))
            for _ in range(3):
                self.assertEqual(self.common_name(server), "one")
                time.sleep(1.1)
            path = f"{self.dir.name}/key"   # as when a right was missing: nothing that stat tells is another afterwards
            was = os.stat(path)
            with open(path, "r+b") as f:
                f.write(right)
            os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
            self.assertEqual(self.common_name(server), "two")
        self.assertEqual(server.warnings.count("not a private key in PEM"), 1, server.warnings)

    def test_departure_and_slow_clients(self):
        with self.server(head_ms=500) as server:
            s = server.connect()
            s.sendall(b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n")
            server.wait_for(lambda now: now["active"] == 2)
            s.close()
            self.assertEqual(server.wait_for(lambda now: now["active"] == 1)["gone"], 1)
            with socket.create_connection(("127.0.0.1", server.port)) as s:  # half a handshake
                s.sendall(b"\x16\x03\x01\x02\x00")
                began = time.monotonic()
                self.assertEqual(everything(s, 15), b"")
                self.assertLess(time.monotonic() - began, 10)
            with contextlib.closing(server.connect()) as s:
                s.sendall(b"GET /pi")
                self.assertEqual(parse(everything(s, 5))[0], 408)

    def test_half_a_handshake_costs_no_processor_time(self):
        with self.server() as server:
            with socket.create_connection(("127.0.0.1", server.port)) as s:
                s.sendall(b"\x16\x03\x01\x02\x00")
                before = server.stats()["cpu_ms"]
                time.sleep(2)
                self.assertLess(server.stats()["cpu_ms"] - before, 150)  # with two handshakes of ours

    def test_unusable_files_are_named(self):
        for cert, key, why in ((self.one[0], self.two[1], "does not belong to the certificate"),
                               (self.one[1], self.one[1], "not a certificate chain in PEM"),
                               (self.one[0], self.one[0], "not a private key in PEM"),
                               (self.one[0], "/nowhere/key", "/nowhere/key")):
            done = subprocess.run([sys.argv[1], f"cert={cert}", f"key={key}"], capture_output=True, text=True,
                                  stdin=subprocess.DEVNULL, timeout=20)
            self.assertEqual(done.returncode, 1)
            self.assertIn(why, done.stderr)

    def test_curl(self):
        if not shutil.which("curl"):
            self.skipTest("no curl")
        with self.server() as server:
            done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--cacert", self.one[0], "-d", "hello", "--resolve",
                                   f"localhost:{server.port}:127.0.0.1", f"https://localhost:{server.port}/echo"],
                                  capture_output=True, timeout=20)
            self.assertEqual(done.stdout, b"hello", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
