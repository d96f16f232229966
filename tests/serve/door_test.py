#!/usr/bin/env python3
"""Who comes in: TLS, web pages."""
import os
import shutil
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
            headers = {"Authorization": "Bearer sk-1", "Origin": "https://example.org"}
            self.assertEqual(server.post("/v1/chat/completions", self.ASK, **headers).status, 200)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
