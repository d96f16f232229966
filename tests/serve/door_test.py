#!/usr/bin/env python3
"""Who comes in: TLS."""
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


if __name__ == "__main__":
    main()
