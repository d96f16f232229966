#!/usr/bin/env python3
"""Who comes in, and who does not: TLS, web pages, refusals."""
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request

from server import CHAT, Case, Server, main


class Tls(Case):
    def certificate(self, name):
        cert, key = self.path(name + ".pem"), self.path(name + ".key")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", key, "-out", cert], check=True, capture_output=True)
        return cert, key

    def test_a_broken_renewal_is_told_and_the_old_certificate_stays(self):
        cert, key = self.certificate("one")
        context = ssl.create_default_context(cafile=shutil.copy(cert, self.path("kept.pem")))
        with Server(CHAT, "--set", f"server.tls_cert={cert}", "--set", f"server.tls_key={key}",
                    "--cors-origin", "https://example.org") as server:
            def ask():
                return urllib.request.urlopen(f"https://127.0.0.1:{server.port}/health", context=context, timeout=20)
            self.assertEqual(ask().status, 200)
            time.sleep(1.1)     # the files are looked at once a second
            os.replace(self.write("junk", "junk"), cert)
            self.assertEqual(ask().status, 200)
            server.until("the TLS certificate stays the old one")
            self.assertEqual(ask().status, 200)
            self.assertEqual(server.stop(), 0)


class Refusals(Case):
    def test_what_never_reaches_a_route_has_an_id_a_line_and_a_count(self):
        with Server(CHAT, "--cors-origin", "https://example.org", "--set", "server.head_timeout=1s",
                    "--set", "server.body_timeout=1s", "--set", "server.max_per_address=6") as server:
            def answer(data):
                with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
                    s.sendall(data[:-2])
                    time.sleep(0.1)     # what comes with the connection may not have been seen as a beginning
                    s.sendall(data[-2:])
                    got = b""
                    while piece := s.recv(65536):
                        got += piece
                self.assertIn(b"\r\n\r\n", got, data[:90])
                head, body = got.split(b"\r\n\r\n", 1)
                headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
                self.assertEqual(int(headers["content-length"]), len(body))
                self.assertEqual(headers["access-control-allow-origin"], "https://example.org")
                self.assertEqual(sorted(json.loads(body)["error"]), ["code", "message", "param", "type"])
                return int(head.split()[1]), headers["x-request-id"]
            post = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
            ids = {}
            for data, status in ((b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"y" * 40000 + b"\r\n\r\n", 431),
                                 (b"GET /livez HTTP/1.1\r\n\r\n", 400), (b"GET /liv", 408),
                                 (post + b"Content-Length: 99999999\r\nX-Request-Id: mine\r\n\r\n", 413),
                                 (post + b"Content-Length: 9\r\n\r\n{", 408)):
                got, ids[data] = answer(data)
                self.assertEqual(got, status, data)
            self.assertEqual(len(set(ids.values())), len(ids))
            self.assertIn("mine", ids.values())
            held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(8)]
            for s in held[6:]:
                self.assertEqual(s.recv(1), b"")
            for s in held:
                s.close()
            end = time.monotonic() + 20
            while True:
                try:
                    metrics = server.get("/metrics").body.decode()
                    break
                except OSError:     # those before are not gone yet
                    self.assertLess(time.monotonic(), end)
            for status in (400, 408, 431):
                self.assertIn(f'autoglm_http_requests_total{{route="none",code="{status}"}} 1\n', metrics)
            for status, reason in ((413, "body_too_large"), (408, "request_timeout")):
                self.assertIn(f'route="/v1/chat/completions",code="{status}"}} 1\n', metrics)
                self.assertRegex(metrics, rf'autoglm_requests_rejected_total{{model="unknown",reason="{reason}"}} 1\n')
            turned_away = int(re.search(r"^autoglm_http_connections_refused_total (\d+)$", metrics, re.M)[1])
            self.assertGreaterEqual(turned_away, 2)
            self.assertEqual(server.stop(), 0)
            lines = [json.loads(line) for line in server.said.splitlines() if line.startswith("{")]
            told = {x["http.request.id"]: x["http.response.status_code"] for x in lines if "http.request.id" in x}
            self.assertEqual(sorted(told[i] for i in ids.values()), [400, 408, 408, 413, 431])

    def test_one_address_does_not_use_up_the_connections_of_another(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as e:
            self.skipTest(f"no IPv6: {e}")
        with Server(CHAT, "--set", "server.listen=127.0.0.1:0,[::1]:0", "--set", "server.max_per_address=2") as server:
            held = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(3)]
            self.assertEqual(held[2].recv(1), b"")
            port = int(re.search(r"//\[::1\]:(\d+)", server.said)[1])
            with socket.create_connection(("::1", port), timeout=20) as s:
                s.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self.assertIn(b" 200 ", s.recv(100))
            for s in held:
                s.close()
            self.assertEqual(server.stop(), 0)


class Pages(Case):
    ASK = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 1}

    def test_foreign_pages_do_not_use_a_server_without_keys(self):
        with Server() as server:
            def status(origin, **headers):
                headers["Content-Type"] = "text/plain"      # for which browsers do not ask beforehand
                return server.post("/v1/chat/completions", self.ASK, Origin=origin, **headers).status
            for foreign in ("https://example.org", "null", "http://localhost.example.org", "http://example.org:8000",
                            "file://localhost", "http://127.example.org"):
                self.assertEqual(status(foreign), 403, foreign)
            port = server.port      # a name of theirs that points to this machine
            self.assertEqual(status(f"http://example.org:{port}", Host=f"example.org:{port}"), 403)
            for own in ("http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443", "http://[::1]"):
                self.assertEqual(status(own), 200, own)
            answer = server.get("/v1/models", Origin="https://example.org")
            self.assertEqual(answer.json()["error"]["code"], "origin_not_allowed")
            self.assertEqual(server.get("/livez", Origin="https://example.org").status, 200)
            self.assertEqual(server.stop(), 0)

    def test_a_page_cannot_call_a_server_without_keys_by_a_name_of_its_own(self):
        own = socket.gethostname()
        with Server(CHAT, "--set", "server.hosts=ai.example.org,ai2.example.org") as server:
            def get(host, path="/v1/models"):
                return server.get(path, Host=host)
            for path in ("/v1/models", "/metrics", "/health", "/nowhere"):
                answer = get(f"evil.example:{server.port}", path)
                self.assertEqual(answer.status, 403, path)
                error = answer.json()["error"]
                self.assertEqual(sorted(error), ["code", "message", "param", "type"])
                self.assertEqual(error["code"], "host_not_allowed")
                self.assertIn("evil.example", error["message"])
                self.assertIn("server.hosts", error["message"])
            self.assertEqual(server.post("/v1/chat/completions", self.ASK, Host="evil.example").status, 403)
            for host in ("localhost", f"127.0.0.1:{server.port}", "[::1]:80", "App.localhost", own, "192.0.2.1",
                         "AI.example.org.:443", "ai2.example.org"):
                self.assertEqual(get(host).status, 200, host)
                self.assertEqual(get(host, "/health").status, 200, host)
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
                s.sendall(b"GET /version HTTP/1.0\r\n\r\n")
                self.assertIn(b" 200 ", s.recv(100))
            self.assertIn('autoglm_http_requests_total{route="/v1/models",code="403"} 1\n',
                          server.get("/metrics").body.decode())
            self.assertEqual(server.stop(), 0)
        with Server(CHAT, "--cors-origin", "*") as server:      # every page may call it anyway
            self.assertEqual(server.get("/v1/models", Host="example.org").status, 200)
            self.assertEqual(server.stop(), 0)

    def test_pages_that_are_allowed_get_all_that_their_programs_need(self):
        page = "https://example.org"
        with Server(CHAT, "--cors-origin", page) as server:
            wish = "authorization,content-type,x-stainless-lang,x-stainless-retry-count"
            answer = server.ask("OPTIONS", "/v1/chat/completions", None, {
                "Origin": page, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": wish})
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["access-control-allow-headers"], wish)
            answer = server.ask("OPTIONS", "/v1/models", None, {
                "Origin": page, "Access-Control-Request-Headers": "x: y"})
            self.assertIn("authorization", answer.headers["access-control-allow-headers"])
            answer = server.post("/v1/chat/completions", self.ASK, Origin=page)
            self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (200, page))
            self.assertIn("retry-after-ms", answer.headers["access-control-expose-headers"])
            self.assertEqual(server.get("/v1/models", Origin="https://example.com").status, 403)
            self.assertEqual(server.stop(), 0)
        with Server(CHAT, "--cors-origin", "*") as server:
            self.assertEqual(server.post("/v1/chat/completions", self.ASK, Origin=page).status, 200)
            self.assertEqual(server.stop(), 0)

    def test_keys_are_enough(self):
        keys = self.write("keys", "sk-1\n")
        with Server(CHAT, "--api-key-file", keys) as server:
            headers = {"Authorization": "Bearer sk-1", "Origin": "https://example.org", "Host": "example.org"}
            self.assertEqual(server.post("/v1/chat/completions", self.ASK, **headers).status, 200)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
