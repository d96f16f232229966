#!/usr/bin/env python3
"""`autoglm serve --config`: several models, reloading, and a supervisor that starts it again."""
import json
import os
import re
import signal
import socket
import time

from server import BINARY, CHAT, EMBED, Case, Server, StoppedThread, main, model_path, run

ASK = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


class Config(Case):
    def serve(self, text, *args):
        path = self.write("config.yml", text)
        server = Server.__new__(Server)
        server.begin([BINARY, "serve", "--config", path, *args])
        self.addCleanup(server.__exit__)
        return server

    def two_models(self, more=""):
        return (f"server: {{listen: '127.0.0.1:0', api_key_file: {self.path('keys')}{more}}}\n"
                "engine: {threads: 2}\n"
                "models:\n"
                f"  - {{name: chat, path: {model_path(CHAT)}, aliases: [default], context: 2048}}\n"
                f"  - {{name: embed, path: {model_path(EMBED)}, load: lazy}}\n")

    def test_models_load_at_start_or_at_their_first_use(self):
        self.write("keys", "alice sk-1 2\n")
        server = self.serve(self.two_models())
        key = {"Authorization": "Bearer sk-1"}
        states = {m["id"]: m["state"] for m in server.get("/v1/models", **key).json()["data"]}
        self.assertEqual(states, {"chat": "ready", "default": "ready", "embed": "absent"})
        for name in ("chat", "default"):
            self.assertEqual(server.post("/v1/chat/completions", dict(ASK, model=name), **key).status, 200)
        end = time.monotonic() + 60
        answer = server.post("/v1/embeddings", {"model": "embed", "input": "a"}, **key)
        while answer.status == 503 and time.monotonic() < end:
            self.assertGreater(float(answer.headers["retry-after"]), 0)
            time.sleep(0.1)
            answer = server.post("/v1/embeddings", {"model": "embed", "input": "a"}, **key)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(server.stop(), 0)

    def test_lazy_models_alone_are_ready_at_once(self):
        server = self.serve("server: {listen: '127.0.0.1:0'}\n"
                            f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048, load: lazy}}]\n")
        self.assertEqual(server.get("/readyz").status, 200)
        self.assertEqual(server.stop(), 0)

    def test_a_reload_does_not_pretend_to_lock_the_door(self):
        text = ("server: {listen: '127.0.0.1:0'KEYS}\n"
                f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")
        server = self.serve(text.replace("KEYS", ""))
        self.write("keys", "sk-1\n")
        self.write("config.yml", text.replace("KEYS", f", api_key_file: {self.path('keys')}"))
        server.process.send_signal(signal.SIGHUP)
        server.until("whether keys are needed changes by a restart only")
        self.assertEqual(server.get("/v1/models").status, 200)
        self.assertEqual(server.stop(), 0)

    def test_a_killed_server_is_started_again_and_nobody_is_refused(self):
        self.write("keys", "sk-1\n")
        server = self.serve(self.two_models())
        child, = children(server.process.pid)
        os.kill(child, signal.SIGKILL)
        answer = server.get("/health")      # waits in the backlog until there is a server again
        self.assertIn(answer.status, (200, 503))
        end = time.monotonic() + 60
        while answer.status != 200 and time.monotonic() < end:
            time.sleep(0.1)
            answer = server.get("/health")
        self.assertEqual(answer.status, 200)
        self.assertNotEqual(children(server.process.pid), [child])
        counts = dict(re.findall(r'^autoglm_restarts_total\{reason="(\w+)"\} (\d+)$',
                                 server.get("/metrics", Authorization="Bearer sk-1").body.decode(), re.M))
        self.assertEqual(counts, {"killed": "1", "crash": "0", "exit": "0", "stall": "0", "upgrade": "0"})
        server.until('"message":"started again"')
        self.assertIn('"event.reason":"killed by signal 9 (Killed)"', server.said)
        self.assertEqual(server.stop(), 0)

    def one_model(self, more):
        return (f"server: {{listen: '127.0.0.1:0', stall_timeout: 1s{more}}}\n"
                f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")

    def test_a_server_whose_connections_hang_is_started_again(self):
        server = self.serve(self.one_model(""))
        child, = children(server.process.pid)
        with StoppedThread(child, "ag-http") as thread:
            end = time.monotonic() + 60
            while not thread.is_dead():
                self.assertLess(time.monotonic(), end, server.said)
                time.sleep(0.05)
        self.assertIn("the thread that serves connections hangs", server.said)
        self.assertIn(server.get("/livez").status, (200, 503))
        self.assertNotEqual(children(server.process.pid), [child])
        self.assertEqual(server.stop(), 0)

    def test_a_step_that_does_not_end_is_told_by_the_probes(self):
        server = self.serve(self.one_model(", supervise: false"))
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(
            dict(ASK, max_tokens=1900, ignore_eos=True, stream=True)))
        end = time.monotonic() + 60
        status = {}
        while status.get("/livez") != 503 and time.monotonic() < end:   # it may have stopped between two steps
            with StoppedThread(server.process.pid, "ag-engine"):
                time.sleep(2)
                status = {path: server.get(path).status for path in ("/livez", "/readyz", "/health")}
        self.assertEqual(status, {"/livez": 503, "/readyz": 503, "/health": 503}, server.said)
        while server.get("/livez").status != 200:
            self.assertLess(time.monotonic(), end, server.said)
            time.sleep(0.1)
        connection.close()
        self.assertEqual(server.stop(), 0)

    def test_a_reload_reads_keys_and_levels_and_refuses_mistakes(self):
        self.write("keys", "sk-1\n")
        server = self.serve(self.two_models())

        def status(key):
            return server.get("/v1/models", Authorization=f"Bearer {key}").status
        self.assertEqual((status("sk-1"), status("sk-2")), (200, 401))
        self.write("keys", "sk-2\n")
        self.write("config.yml", "log: {level: warn}\n" + self.two_models(", drain_timeout: 7s, max_headers: 50"))
        server.process.send_signal(signal.SIGHUP)
        server.until("reloaded")
        self.assertEqual((status("sk-1"), status("sk-2")), (401, 200))
        self.assertIn("server.max_headers", server.said)
        self.assertIn("in force after a restart", server.said)
        self.write("config.yml", "server: {lisen: 1}\n")
        server.process.send_signal(signal.SIGHUP)
        server.until("config.yml:1:10: server.lisen: unknown key; did you mean server.listen?")
        self.assertEqual(status("sk-2"), 200)
        self.assertEqual(server.stop(), 0)

    def test_a_socket_file_serves_too(self):
        path = self.path("s.sock")
        server = self.serve(f"server: {{listen: ['127.0.0.1:0', 'unix:{path}']}}\n"
                            f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertIn(b" 200 ", s.recv(1000))
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_without_a_supervisor_it_serves_in_its_own_process(self):
        server = self.serve("server: {listen: '127.0.0.1:0', supervise: false}\n"
                            f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")
        self.assertEqual(children(server.process.pid), [])
        self.assertEqual(server.post("/v1/chat/completions", ASK).status, 200)
        self.assertEqual(server.stop(), 0)

    def test_mistakes(self):
        self.fails(2, "names no model", "serve", "--config", self.write("empty.yml", "log: {level: info}\n"))
        self.fails(2, "exclude each other", "serve", "--config", "x", "-m", "y")
        r = run("serve", "--config", self.write("bad.yml", "server: {listen: 1.2.3.4:80}\nmodels: [{name: a}]\n"))
        self.assertEqual(r.status, 1)
        self.assertIn("can be reached from outside", r.err)
        self.assertIn("models[0]: path is missing", r.err)
        self.fails(2, "only the supervisor", "serve-child", "-m", model_path(CHAT))


if __name__ == "__main__":
    main()
