#!/usr/bin/env python3
"""The server's life: starting, keys, ending, clients that leave."""
import contextlib
import json
import re
import signal
import socket
import threading
import time

from server import CHAT, Case, Server, children_of, main, model_path, run
from threads import hang

LONG = {"messages": [{"role": "user", "content": "Hello"}], "ignore_eos": True, "max_tokens": 1900, "stream": True}


class Life(Case):
    def stream(self, server, body=LONG):
        """Begin a stream; returns its connection and response after the first event."""
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"X-Request-Id": "long"})
        response = connection.getresponse()
        self.assertEqual(response.status, 200)
        self.assertTrue(response.readline().startswith(b"data: "))
        return connection, response

    def test_keys_are_needed_where_there_are_keys(self):
        keys = self.write("keys", "alice sk-1\nsk-2\n")
        with Server(CHAT, "--api-key-file", keys) as server:
            self.assertEqual(server.get("/health").status, 200)
            for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Bearer sk-3"}):
                answer = server.get("/v1/models", **headers)
                self.assertEqual((answer.status, answer.json()["error"]["type"]), (401, "authentication_error"))
                for path in ("/v1/chat/completions", "/v1/nothing"):    # which of them exists is not told
                    self.assertNotIn("allow", server.get(path, **headers).headers)
            self.assertEqual(server.get("/v1/models", Authorization="Bearer sk-2").status, 200)
            # Before the body is read: a large one is not waited for.
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
                s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
                self.assertIn(b" 401 ", s.recv(100))

    def test_without_keys_it_stays_on_loopback(self):
        self.fails(2, "without --api-key-file", "serve", "-m", model_path(CHAT), "--host", "0.0.0.0", "--port", "0")

    def test_an_address_with_a_comma_is_one_address(self):
        r = run("serve", "-m", model_path(CHAT), "--host", "unix:a,b")
        self.assertEqual(r.status, 1)
        self.assertIn("unix:a,b: the path of a unix socket", r.err)

    def test_a_port_in_use_is_an_error(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            refused = run("serve", "-m", model_path(CHAT), "--port", str(s.getsockname()[1]))
            line, = [json.loads(line) for line in refused.err.splitlines()]
            self.assertEqual((refused.status, line["log.level"]), (1, "error"))
            self.assertIn("is in use", line["message"])

    def test_a_model_that_cannot_be_loaded_ends_it(self):
        r = run("serve", "-m", self.path("none.gguf"), "--port", "0")
        self.assertEqual(r.status, 1)
        self.assertIn("none.gguf", r.err)

    def test_it_ends_when_what_runs_has_ended(self):
        with Server() as server:
            short = dict(LONG, max_tokens=200)
            connection, response = self.stream(server, short)
            server.process.send_signal(signal.SIGTERM)
            rest = response.read()
            self.assertTrue(rest.endswith(b"data: [DONE]\n\n"), rest[-200:])
            self.assertIn(b'"finish_reason":"length"', rest)
            self.assertEqual(server.process.wait(60), 0, server.said)
            connection.close()

    def test_while_it_ends_probes_are_answered_and_work_is_told_to_come_back(self):
        with Server() as server:
            connection, response = self.stream(server)
            server.process.send_signal(signal.SIGTERM)
            end = time.monotonic() + 20
            while server.get("/readyz").status != 503:
                self.assertLess(time.monotonic(), end)
            self.assertEqual(server.get("/readyz").json()["status"], "draining")
            self.assertEqual(server.get("/livez").status, 200)
            answer = server.post("/v1/chat/completions", dict(LONG, max_tokens=1))
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "engine_closed"))
            self.assertEqual((answer.headers["retry-after"], answer.headers["x-should-retry"]), ("1", "true"))
            self.assertEqual(answer.headers["connection"].lower(), "close")
            self.assertEqual(server.ask("DELETE", "/v1/requests/long").status, 503)
            rest = response.read()
            self.assertTrue(rest.endswith(b"data: [DONE]\n\n"), rest[-200:])
            self.assertEqual(server.process.wait(60), 0, server.said)
            connection.close()

    def test_a_second_signal_ends_streams_with_an_error(self):
        with Server() as server:
            connection, response = self.stream(server)
            server.process.send_signal(signal.SIGTERM)
            server.until("ending: 1 requests")
            server.process.send_signal(signal.SIGTERM)
            last = response.read().strip().split(b"\n\n")[-1]
            self.assertIn("shutting down", json.loads(last[6:])["error"]["message"])
            self.assertEqual(server.process.wait(10), 0, server.said)
            connection.close()

    def test_another_program_in_its_place_refuses_nobody(self):
        with Server() as server:
            connection, response = self.stream(server)
            stop, got = threading.Event(), []

            def ask():
                while not stop.is_set():
                    got.append(server.post("/v1/chat/completions", dict(LONG, max_tokens=2, stream=False)).status)
            threads = [threading.Thread(target=ask) for _ in range(3)]
            for t in threads:
                t.start()
            server.process.send_signal(signal.SIGUSR2)
            rest = response.read()
            end = time.monotonic() + 60
            while server.said.count("listening on http") < 2:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            n = len(got)
            while len(got) < n + 30:
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            stop.set()
            for t in threads:
                t.join()
            self.assertTrue(rest.endswith(b"data: [DONE]\n\n"), rest[-200:])
            self.assertEqual(set(got), {200})
            self.assertEqual(server.stop(), 0)
            connection.close()

    def test_at_the_end_of_the_drain_streams_are_told(self):
        with Server(CHAT, "--drain-seconds", "0") as server:
            connection, response = self.stream(server)
            server.process.send_signal(signal.SIGTERM)
            last = response.read().strip().split(b"\n\n")[-1]
            error = json.loads(last[6:])["error"]
            self.assertEqual(error["code"], "cancelled")
            self.assertIn("shutting down", error["message"])
            self.assertEqual(server.process.wait(60), 0, server.said)
            connection.close()

    def test_a_hung_engine_without_a_supervisor_does_not_stay(self):
        with Server(CHAT, "--drain-seconds", "0") as server:
            connection, _ = self.stream(server)
            pid, = children_of(server)
            while not hang(pid, "ag-engine"):
                time.sleep(0.001)
            server.process.kill()   # its child is told to end, and nobody is left to kill it
            server.until("autoglm: a thread does not end; leaving without it")
            server.until("[closed]")
            connection.close()

    def test_a_request_is_ended_by_its_id(self):
        with Server() as server:
            connection, response = self.stream(server)
            answer = server.ask("DELETE", "/v1/requests/chatcmpl-long")
            self.assertEqual((answer.status, answer.json()["cancelled"]), (200, True))
            last = response.read().strip().split(b"\n\n")[-1]
            self.assertEqual(json.loads(last[6:])["error"]["code"], "cancelled")
            self.assertEqual(server.ask("DELETE", "/v1/requests/long").status, 404)
            connection.close()

    def test_who_waits_for_a_whole_answer_is_told_499(self):
        with Server() as server:
            answers = []
            body = dict(LONG, stream=False)
            waiter = threading.Thread(target=lambda: answers.append(
                server.ask("POST", "/v1/chat/completions", body, {"X-Request-Id": "whole"})))
            waiter.start()
            end = time.monotonic() + 60
            while server.ask("DELETE", "/v1/requests/whole").status == 404:  # it has not come yet
                self.assertLess(time.monotonic(), end)
            waiter.join()
            error = answers[0].json()["error"]
            self.assertEqual((answers[0].status, error["code"], error["type"]), (499, "cancelled", "request_cancelled"))

    def test_the_memory_of_long_bodies_is_given_back(self):
        with Server() as server:
            pid = server.process.pid
            with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
                pid = int(f.read().split()[0])  # who serves; its parent watches
            with open(f"/proc/{pid}/maps", encoding="ascii") as f:
                if re.search("lib[at]san", f.read()):
                    self.skipTest("sanitizers keep what is freed, or its shadow")

            def held():
                with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                    return next(int(line.split()[1]) for line in f if line.startswith("Anonymous:")) >> 10
            body = dict(LONG, max_tokens=1, stream=False, truncate_prompt="left")
            self.assertEqual(server.post("/v1/chat/completions", body).status, 200)
            before = held()
            body["messages"] = [{"role": "user", "content": "Once upon a time. " * 233000}]
            threads = [threading.Thread(target=server.post, args=("/v1/chat/completions", body)) for _ in range(4)]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            end = time.monotonic() + 30     # the last byte of an answer goes out before its request is taken down
            while held() - before >= 16:
                self.assertLess(time.monotonic(), end, f"{held() - before} MiB more")
                time.sleep(0.05)

    def test_a_long_body_is_held_no_longer_than_it_is_read(self):
        with Server() as server:
            body = dict(LONG, truncate_prompt="left",
                        messages=[{"role": "user", "content": "Once upon a time. " * 233000}])
            connection, response = self.stream(server, body)
            held = 1 << 20
            while held >= 1 << 20:
                metrics = server.get("/metrics").body.decode()
                self.assertIn('autoglm_sequences_running{model="tiny-llama3-q4_k"} 1\n', metrics, "it has ended")
                held = sum(float(x) for x in re.findall(r'autoglm_memory_bytes\{part="(?:http|routes)"\} (\S+)', metrics))
            response.close()
            connection.close()
            self.assertEqual(server.stop(), 0)

    def test_who_is_cut_at_the_end_may_ask_again(self):
        with Server(CHAT, "--drain-seconds", "0") as server:
            answers = []
            waiter = threading.Thread(target=lambda: answers.append(
                server.post("/v1/chat/completions", dict(LONG, stream=False))))
            waiter.start()
            while b'autoglm_sequences_running{model="tiny-llama3-q4_k"} 1' not in server.get("/metrics").body:
                self.assertTrue(waiter.is_alive(), "it was over first")
            server.process.send_signal(signal.SIGTERM)
            waiter.join()
            headers = answers[0].headers
            self.assertEqual((answers[0].status, answers[0].json()["error"]["code"]), (503, "cancelled"))
            self.assertEqual((headers["retry-after"], headers["retry-after-ms"], headers["x-should-retry"]),
                             ("1", "1000", "true"))
            self.assertEqual(server.process.wait(60), 0, server.said)

    def test_clients_that_leave_free_their_place(self):
        with Server(CHAT, "--max-sequences", "1") as server:
            for _ in range(5):
                connection, response = self.stream(server)
                response.close()
                connection.close()
            began = time.monotonic()
            answer = server.post("/v1/chat/completions", dict(LONG, max_tokens=1, stream=False))
            self.assertEqual(answer.status, 200)
            self.assertLess(time.monotonic() - began, 20)
            self.assertEqual(server.stop(), 0)

    def test_a_slow_reader_loses_nothing_and_holds_up_nobody(self):
        with Server() as server:
            body = dict(LONG, n=8, max_tokens=1900, seed=3)
            with socket.socket() as s:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.settimeout(60)
                s.connect(("127.0.0.1", server.port))
                data = json.dumps(body).encode()
                s.sendall(b"POST /v1/chat/completions HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
                self.assertIn(b"200 OK", s.recv(4096))
                began = time.monotonic()
                for _ in range(3):
                    self.assertEqual(server.post("/v1/chat/completions", dict(LONG, max_tokens=8, stream=False)).status, 200)
                self.assertLess(time.monotonic() - began, 30)
                got = b""
                while piece := s.recv(65536):
                    got += piece
            self.assertTrue(got.rstrip().endswith(b"data: [DONE]"), got[-300:])
            self.assertEqual(got.count(b'"finish_reason":"length"'), 8)
            self.assertEqual(server.stop(), 0)

    def test_deadlines_are_kept(self):
        with Server() as server:
            answer = server.post("/v1/chat/completions", dict(LONG, stream=False), **{"X-Request-Timeout-Ms": "50"})
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (504, "deadline_exceeded"))
            self.assertEqual(answer.headers["x-should-retry"], "false")
            bad = server.post("/v1/chat/completions", LONG, **{"X-Request-Timeout-Ms": "soon"})
            self.assertEqual(bad.status, 400)
            self.assertEqual(server.stop(), 0)

    def test_one_tenant_does_not_fill_the_line_for_others(self):
        keys = self.write("keys", "alice sk-a\nbob sk-b\n")
        with Server(CHAT, "--api-key-file", keys, "--max-sequences", "1",
                    "--set", "engine.max_queued_requests=8") as server:
            a, b = {"Authorization": "Bearer sk-a"}, {"Authorization": "Bearer sk-b"}
            got = []
            threads = [threading.Thread(target=lambda: got.append(
                server.post("/v1/chat/completions", dict(LONG, max_tokens=1000, stream=False), **a)))
                for _ in range(16)]
            for t in threads:
                t.start()
            end = time.monotonic() + 60
            while not any(x.status == 429 for x in got):
                self.assertLess(time.monotonic(), end)
                time.sleep(0.01)
            self.assertEqual(server.get("/readyz").status, 200)
            answer = server.post("/v1/chat/completions", dict(LONG, max_tokens=1, stream=False), **b)
            self.assertEqual(answer.status, 200)
            for t in threads:
                t.join()
            refused = [x for x in got if x.status != 200]
            for x in refused:
                self.assertEqual((x.status, x.json()["error"]["code"], x.json()["error"]["type"]),
                                 (429, "rate_limit_exceeded", "rate_limit_error"))
                self.assertEqual(x.headers["x-should-retry"], "true")
                self.assertGreaterEqual(int(x.headers["retry-after"]), 1)
            metrics = server.get("/metrics", **a).body.decode()
            self.assertRegex(metrics, r'autoglm_requests_rejected_total\{model="\S+",reason="rate_limit_exceeded"\} '
                             + str(len(refused)))
            self.assertEqual(server.stop(), 0)

    @contextlib.contextmanager
    def one_waits(self, *settings):
        """A server where one request is answered and another one waits, until both are ended here."""
        with Server(CHAT, "--max-sequences", "1", "--isa", "ref", *settings) as server:
            connection, response = self.stream(server)
            waiting = threading.Thread(target=server.post, args=("/v1/chat/completions", dict(LONG, stream=False)),
                                       kwargs={"X-Request-Id": "waits"})
            waiting.start()
            end = time.monotonic() + 20
            while b'autoglm_sequences_waiting{model="tiny-llama3-q4_k"} 1' not in server.get("/metrics").body:
                self.assertLess(time.monotonic(), end)
            yield server
            for name in ("waits", "long"):
                server.ask("DELETE", f"/v1/requests/{name}")
            self.assertIn(b'"cancelled"', response.read(), "it was over first")
            connection.close()
            waiting.join()
            self.assertEqual(server.stop(), 0)

    def test_a_full_line_refuses_before_it_reads(self):
        with self.one_waits("--set", "engine.max_queued_requests=1") as server:
            # Tokenised, it would be known not to fit.
            answer = server.post("/v1/completions", {"prompt": "word " * 100000})
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "try_again"))
            self.assertIn("1 requests are waiting already", answer.json()["error"]["message"])
            self.assertGreaterEqual(int(answer.headers["retry-after"]), 1)
            # What is never served is not asked to come back.
            for path, body, param, says in (("/v1/completions", {"prompt": []}, "prompt", "prompt has 0 entries"),
                                            ("/v1/completions", {"prompt": ["a"] * 9, "n": 128}, "prompt", "has 9 entries"),
                                            ("/v1/chat/completions", {"messages": []}, "messages", "empty")):
                answer = server.post(path, body)
                self.assertEqual((answer.status, answer.json()["error"]["param"]), (400, param))
                self.assertIn(says, answer.json()["error"]["message"])
            self.assertEqual(server.get("/readyz").json()["status"], "full")

    def test_a_prompt_too_long_for_the_line_is_not_read(self):
        with self.one_waits("--set", "engine.max_queued_tokens=200") as server:
            # An estimate: one for 8 bytes, and at most as the context of 2048 holds, for each answer; where it is cut,
            # what is left of it.
            text = "word " * 1000
            for about, body in ((625, {"prompt": text}), (1250, {"prompt": [text, text]}), (2048, {"prompt": 9 * text}),
                                (1536, {"prompt": 9 * text, "truncate_prompt": "left"}),
                                (1875, {"prompt": text, "n": 3}), (300, {"prompt": [5] * 300})):
                answer = server.post("/v1/completions", body)
                self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "try_again"))
                self.assertRegex(answer.json()["error"]["message"], f"waiting already, and this one has about {about};")
            parts = [{"type": "text", "text": text}, {"type": "text", "text": text}]
            answer = server.post("/v1/chat/completions", {"messages": [{"role": "user", "content": parts}]})
            self.assertRegex(answer.json()["error"]["message"], "this one has about 1250;")
            refused = re.search(rb"autoglm_requests_rejected_total\{.*\} (\d+)", server.get("/metrics").body)
            self.assertEqual(int(refused[1]), 7)

    def test_many_at_once_get_their_own_answers(self):
        with Server() as server:
            bodies = [{"messages": [{"role": "user", "content": f"Number {i}"}], "temperature": 0, "max_tokens": 16,
                       "stream": i % 2 == 0} for i in range(24)]

            def text(answer):
                if b"data: " not in answer.body:
                    return answer.json()["choices"][0]["message"]["content"]
                return "".join(e["choices"][0]["delta"].get("content", "") for e in answer.events())
            alone = [text(server.post("/v1/chat/completions", b)) for b in bodies]
            together = [None] * len(bodies)

            def ask(i):
                together[i] = text(server.post("/v1/chat/completions", bodies[i]))
            threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(bodies))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            self.assertEqual(alone, together)
            self.assertEqual(server.stop(), 0)

    def test_the_ledger_adds_up_and_each_request_has_a_line(self):
        with Server(CHAT, "--model-name", "m") as server:
            fine = server.post("/v1/chat/completions", dict(LONG, stream=False, max_tokens=5), **{
                "X-Request-Id": "traced", "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"})
            self.assertEqual(fine.status, 200)
            self.assertEqual(fine.headers["traceparent"], "00-" + "a" * 32 + "-" + "b" * 16 + "-01")
            server.get("/no/such?path=1")
            server.post("/v1/chat/completions", dict(LONG, max_tokens=7))
            server.post("/v1/chat/completions", {"messages": []})
            server.post("/v1/chat/completions", dict(LONG, model="none"))
            with socket.create_connection(("127.0.0.1", server.port), timeout=20) as s:
                s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000000\r\n\r\n")
                self.assertIn(b" 413 ", s.recv(100))
            connection, response = self.stream(server)
            response.close()
            connection.close()
            end = time.monotonic() + 30
            while True:
                answer = server.get("/metrics")
                values = dict(line.rsplit(" ", 1) for line in answer.body.decode().splitlines() if line[:1] != "#")
                flying = [v for k, v in values.items() if k.startswith("autoglm_requests_in_flight")]
                if flying == ["0"] or time.monotonic() > end:
                    break
                time.sleep(0.05)
            self.assertEqual(flying, ["0"], values)

            def total(name, label=""):
                return sum(float(v) for k, v in values.items() if k.startswith(name) and label in k)
            self.assertTrue(answer.headers["content-type"].startswith("text/plain"))
            self.assertEqual(total("autoglm_requests_started_total"), 6)
            self.assertEqual(total("autoglm_requests_finished_total"), 6)
            self.assertEqual(total("autoglm_requests_finished_total", 'outcome="succeeded"'), 2)
            self.assertEqual(total("autoglm_requests_finished_total", 'outcome="rejected"'), 3)
            self.assertEqual(total("autoglm_requests_finished_total", 'outcome="aborted"'), 1)
            tokens = total("autoglm_generation_tokens_total")
            self.assertGreaterEqual(tokens, 12)     # what was computed for the one that left counts too
            self.assertEqual(total("autoglm_time_to_first_token_seconds_count"), 2)
            self.assertGreaterEqual(total("autoglm_inter_token_latency_seconds_count"), 10)
            self.assertEqual(total("vllm:generation_tokens_total"), tokens)
            self.assertEqual(total("vllm:request_params_max_tokens_sum"), 12)
            self.assertEqual(total("vllm:cache_config_info", 'block_size="32",num_gpu_blocks="'), 1)
            # What the page of metrics lists is there, but for what did not happen here.
            listed = re.findall(r"^\| `(\w+)` \| ", run("gen", "metrics").out, re.M)
            missing = {n for n in listed if not any(k.startswith(n) for k in values)}
            self.assertEqual(missing, {"autoglm_config_reloads_total"})
            self.assertGreater(len(listed), 50)
            self.assertEqual(server.ask("HEAD", "/metrics").body, b"")
            self.assertEqual(server.stop(), 0)
            lines = [json.loads(line) for line in server.said.splitlines() if line.startswith("{")]
            self.assertEqual(sum(x.get("gen_ai.usage.output_tokens", 0) for x in lines), tokens)
            self.assertLess(max(x.get("event.duration", 0) for x in lines), 60e9, "nanoseconds")
            line, = [x for x in lines if x.get("http.request.id") == "traced"]
            self.assertEqual((line["trace.id"], line["span.id"]), ("a" * 32, "b" * 16))
            self.assertEqual((line["gen_ai.usage.output_tokens"], line["http.response.status_code"]), (5, 200))
            line, = [x for x in lines if x.get("http.response.status_code") == 404 and "http.route" not in x]
            self.assertEqual((line["url.path"], line["error.code"]), ("/no/such", "not_found"))
            self.assertNotIn("Hello", server.said.split("try: ")[1].split("\n", 1)[1])

    def test_browsers_may_call_where_it_is_allowed(self):
        with Server(CHAT, "--cors-origin", "https://example.org") as server:
            answer = server.ask("OPTIONS", "/v1/chat/completions", None, {"Origin": "https://example.org"})
            self.assertEqual(answer.status, 204)
            self.assertEqual(answer.headers["access-control-allow-origin"], "https://example.org")
            self.assertEqual(server.get("/v1/models").headers["access-control-allow-origin"], "https://example.org")
            self.assertEqual(server.stop(signal.SIGINT), 0)


if __name__ == "__main__":
    main()
