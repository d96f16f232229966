#!/usr/bin/env python3
"""The serving process in its sandbox: what it needs still works. What it cannot do any more is tested in
tests/unit/process/sandbox_test.c."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
import unittest

from server import CHAT, MODELS, Configured, main, model_path, run

ASK = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return dict(line.split(":\t") for line in f.read().splitlines() if ":\t" in line)


def names_of_threads(pid):
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as f:
            names.append(f.read().strip())
    return names


class Sandbox(Configured):
    def one(self, server="", more="", log=""):
        return (f"server: {{listen: ['127.0.0.1:0', 'unix:{self.path('s.sock')}']{server}}}\n{log}"
                f"models: [{{name: chat, path: {model_path(CHAT)}, context: 512}}{more}]\n")

    def built_in(self):
        """Is this build meant to be confined, and can this system do it?"""
        server = self.serve(self.one())
        server.until("try: ")
        server.until("sandbox")
        self.assertEqual(server.stop(), 0)
        while server.said.count("[closed]") < 2:
            time.sleep(0.01)
        whole = '"message":"in a sandbox"' in server.said and "not all of the sandbox" not in server.said
        self.assertTrue(whole or "not all of the sandbox is in force" in server.said, server.said)
        return whole

    def use(self, server, model):
        end = time.monotonic() + 60
        while (answer := server.post("/v1/chat/completions", dict(ASK, model=model))).status == 503 and \
                time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(answer.status, 200, answer.body)

    def test_the_server_is_confined_and_its_supervisor_is_not(self):
        if not self.built_in():
            raise unittest.SkipTest("this build or this system has no sandbox")
        server = self.serve(self.one(", sandbox: required"))
        server.until("try: ")
        child, = children(server.process.pid)
        inside, outside = status_of(child), status_of(server.process.pid)
        self.assertEqual((inside["Seccomp"], inside["NoNewPrivs"]), ("2", "1"))
        self.assertEqual(outside["Seccomp"], "0")
        end = time.monotonic() + 60
        while [n for n in names_of_threads(child) if not n.startswith("ag-")] != ["autoglm"]:   # the main thread
            self.assertLess(time.monotonic(), end, names_of_threads(child))
            time.sleep(0.02)
        os.kill(child, signal.SIGSYS)       # as the kernel does to whoever tries what is never needed
        server.until('"event.reason":"killed by signal 31 (Bad system call)"')
        server.until("ready after")
        self.assertEqual(server.stop(), 0)

    def test_it_can_be_off_and_required(self):
        server = self.serve(self.one(", sandbox: off"))
        server.until("without a sandbox, as server.sandbox says")
        child, = children(server.process.pid)
        self.assertEqual(status_of(child)["Seccomp"], "0")
        self.assertEqual(server.stop(), 0)
        if not self.built_in():
            r = run("serve", "--config", self.write("config.yml", self.one(", sandbox: required")))
            self.assertNotEqual(r.status, 0)
            self.assertIn("the sandbox is required, but", r.err)

    def test_a_log_is_rotated_and_what_is_read_again_is_replaced(self):
        self.write("keys", "sk-1\n")
        os.mkdir(self.path("logs"))
        log = f"log: {{file: {self.path('logs/log')}}}\n"
        server = self.serve(self.one(f", api_key_file: {self.path('keys')}", log=log))
        server.until("try: ")
        os.rename(self.path("logs/log"), self.path("logs/old"))
        for name, text in (("keys", "sk-2\n"), ("config.yml", "engine: {itl_target: 50ms}\n" + self.one(
                f", api_key_file: {self.path('keys')}", log=log))):
            os.replace(self.write("new", text), self.path(name))
        server.process.send_signal(signal.SIGHUP)
        end = time.monotonic() + 60
        while server.get("/v1/models", Authorization="Bearer sk-2").status != 200:
            self.assertLess(time.monotonic(), end, server.said)
            time.sleep(0.05)
        self.assertEqual(server.stop(), 0)
        with open(self.path("logs/log"), encoding="utf-8") as f:
            said = f.read()
        self.assertIn('"message":"reloaded"', said)
        self.assertIn("engine.itl_target", said)

    def certificate(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
                        "-keyout", self.path("new.key"), "-out", self.path("new.pem")], check=True, capture_output=True)
        shutil.copy(self.path("new.pem"), self.path(name + ".ca"))
        os.replace(self.path("new.key"), self.path("tls.key"))
        os.replace(self.path("new.pem"), self.path("tls.pem"))
        return ssl.create_default_context(cafile=self.path(name + ".ca"))

    def test_a_renewed_certificate_is_taken_up(self):
        context = self.certificate("one")
        tls = f", tls_cert: {self.path('tls.pem')}, tls_key: {self.path('tls.key')}"
        server = self.serve(self.one(tls))
        server.until("try: ")

        def status(with_context):
            connection = http.client.HTTPSConnection("127.0.0.1", server.port, context=with_context, timeout=20)
            with contextlib.closing(connection):
                connection.request("GET", "/health")
                return connection.getresponse().status
        self.assertEqual(status(context), 200)
        renewed = self.certificate("two")
        end = time.monotonic() + 60
        while True:
            try:
                self.assertEqual(status(renewed), 200)
                break
            except ssl.SSLError:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.2)
        self.assertEqual(server.stop(), 0)

    def test_models_are_loaded_late_also_by_links_and_after_they_were_replaced(self):
        """As a hub's cache has it: the folder's files are links to those of another."""
        os.makedirs(self.path("cache/snapshot"))
        os.makedirs(self.path("cache/blobs"))
        os.mkdir(self.path("models"))
        source = os.path.join(MODELS, "tiny-llama3-hf")
        for file in os.listdir(source):
            shutil.copy(os.path.join(source, file), self.path("cache/blobs/" + file))
            os.symlink("../blobs/" + file, self.path("cache/snapshot/" + file))
        shutil.copy(model_path(CHAT), self.path("models/a.gguf"))
        server = self.serve(self.one(more=f", {{name: links, path: {self.path('cache/snapshot')}, context: 512, load: lazy}}"
                                          f", {{name: file, path: {self.path('models/a.gguf')}, context: 512, load: lazy}}"))
        server.until("try: ")
        self.use(server, "links")
        shutil.copy(model_path(CHAT), self.path("models/new"))
        os.replace(self.path("models/new"), self.path("models/a.gguf"))
        self.use(server, "file")
        self.assertEqual(server.stop(), 0)

    def test_a_registered_model_is_loaded_late(self):
        os.mkdir(self.path("registry"))
        self.succeeds("models", "add", "named", model_path(CHAT), "--registry", self.path("registry/models.db"))
        text = self.one(more=", {name: late, path: named, context: 512, load: lazy}")
        server = self.serve(f"engine: {{registry: {self.path('registry/models.db')}}}\n" + text)
        server.until("try: ")
        self.use(server, "late")
        self.assertEqual(server.stop(), 0)

    def test_without_a_supervisor_it_removes_its_socket(self):
        server = self.serve(self.one(", supervise: false"))
        server.until("try: ")
        self.assertIn(status_of(server.process.pid)["Seccomp"], ("0", "2"))
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path("s.sock"))
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(self.path("s.sock")))

    def test_a_path_that_is_not_there_is_told(self):
        server = self.serve(self.one(more=f", {{name: later, path: {self.path('later/a.gguf')}, load: lazy}}"))
        server.until("try: ")
        self.assertEqual(server.stop(), 0)
        if self.built_in():
            server.until("after a restart only")
            lines = [json.loads(x) for x in server.said.splitlines() if x.startswith("{")]
            line, = [x for x in lines if "after a restart only" in x["message"]]
            self.assertEqual(line["file.path"], self.path("later/a.gguf"))


if __name__ == "__main__":
    main()
