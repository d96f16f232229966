"""autoglm loadtest against a small server whose every delay, refusal and failure is known."""
import http.server
import json
import threading
import time
import xml.etree.ElementTree

from cli import Case, main, run

FIRST, GAP, TOKENS = 0.05, 0.02, 5      # seconds, seconds, pieces


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def plain(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/v1/models":
            self.plain(200, {"data": [{"id": "small"}]})
        else:
            self.plain(404, {"error": {"message": "no such thing"}})

    def chunk(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def event(self, value):
        """In two parts, so that lines are cut in the middle."""
        data = b"data: " + json.dumps(value).encode() + b"\n\n"
        self.chunk(data[:11])
        self.wfile.flush()
        self.chunk(data[11:])

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            self.server.requests.append((self.path, self.headers.get("Authorization"), request))
            number = len(self.server.requests)
        mode = self.server.mode
        if mode == "refuse" and number % 2 == 0:
            return self.plain(503, {"error": {"message": "full", "type": "server_error"}})
        usage = {"prompt_tokens": 10, "completion_tokens": TOKENS, "prompt_tokens_details": {"cached_tokens": 4}}
        if not request.get("stream"):
            return self.plain(200, {"choices": [{"message": {"content": "x"}}], "usage": usage})
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.event({"choices": [{"delta": {"role": "assistant", "content": ""}}]})
        self.chunk(b": a comment\n\n")
        for i in range(TOKENS):
            time.sleep(FIRST if i == 0 else GAP)
            piece = "\0" if i == 1 else "x"     # models say that, too
            self.event({"choices": [{"delta": {"content": piece}, "text": piece}]})
        if mode == "error" and number == 2:
            self.event({"error": {"message": "the engine fell over"}})
        self.event({"choices": [], "usage": usage})
        if not (mode == "cut" and number == 2):
            self.chunk(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")


class LoadTest(Case):
    def serve(self, mode=""):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.mode, server.requests, server.lock = mode, [], threading.Lock()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        self.server = server
        return f"http://127.0.0.1:{server.server_port}/v1"

    def test_every_time_and_token_is_counted(self):
        r = self.succeeds("loadtest", self.serve(), "-c", "4", "-n", "12", "--warmup", "2", "--json",
                          "--slo-ttft", "10000", "--plot", self.path("load.svg")).json()
        self.assertEqual((r["sent"], r["succeeded"], r["failed"], r["refused"]), (12, 12, 0, 0))
        self.assertEqual((r["prompt_tokens"], r["cached_tokens"], r["generated_tokens"]), (120, 48, 60))
        self.assertEqual((r["itl_ms"]["n"], r["ttft_ms"]["n"]), (12 * (TOKENS - 1), 12))
        self.assertGreaterEqual(r["ttft_ms"]["p50"], FIRST * 1e3)
        self.assertGreaterEqual(r["itl_ms"]["p50"], GAP * 1e3 * 0.5)
        self.assertGreaterEqual(r["e2e_ms"]["p50"], (FIRST + GAP * (TOKENS - 1)) * 1e3)
        self.assertAlmostEqual(r["goodput_s"], r["requests_s"])
        self.assertEqual(len(self.server.requests), 14)
        path, key, body = self.server.requests[0]
        self.assertEqual((path, key, body["model"], body["stream"]), ("/v1/chat/completions", None, "small", True))
        self.assertEqual((body["temperature"], body["max_tokens"]), (0, 64))
        prompts = [b["messages"][0]["content"] for _, _, b in self.server.requests]
        self.assertEqual(len(set(prompts)), 14)
        self.assertEqual({len(p.split()) for p in prompts}, {128})
        xml.etree.ElementTree.parse(self.path("load.svg"))

    def test_the_table_shows_the_same(self):
        out = self.succeeds("loadtest", self.serve(), "-n", "2", "-c", "1", "--shared-words", "20",
                            "--prompt-words", "30", "--api", "completions", "--temp", "0.7").out
        self.assertIn("2 answered, 0 refused, 0 failed", out)
        self.assertIn("time to first token", out)
        self.assertEqual([b["temperature"] for _, _, b in self.server.requests], [0.7, 0.7])
        first, second = (b["prompt"].split() for _, _, b in self.server.requests)
        self.assertEqual(first[:20], second[:20])
        self.assertNotEqual(first[20], second[20])

    def test_refusals_are_no_failures(self):
        r = self.succeeds("loadtest", self.serve("refuse"), "-n", "6", "-c", "1", "--json").json()
        self.assertEqual((r["succeeded"], r["refused"], r["failed"]), (3, 3, 0))

    def test_an_error_event_and_a_cut_stream_are_failures(self):
        for mode, why in (("error", "the engine fell over"), ("cut", "before [DONE]")):
            r = run("loadtest", self.serve(mode), "-n", "3", "-c", "1", "--json")
            self.assertEqual((r.status, r.json()["succeeded"], r.json()["failed"]), (1, 2, 1), r.err)
            self.assertIn(why, r.err)

    def test_keys_prompts_and_whole_answers(self):
        key, prompts = self.write("key", "secret\n"), self.write("prompts", "one\n\ntwo\n")
        r = self.succeeds("loadtest", self.serve(), "--api-key-file", key, "-f", prompts, "--no-stream", "-n", "3",
                          "-c", "1", "--json", "--model", "mine").json()
        self.assertEqual((r["succeeded"], r["generated_tokens"], r["e2e_ms"]["n"]), (3, 15, 3))
        for name in ("ttft_ms", "itl_ms", "tpot_ms"):
            self.assertEqual((r[name]["n"], r[name]["p50"]), (0, None), name)
        self.assertEqual([(k, b["model"], b["messages"][0]["content"]) for _, k, b in self.server.requests],
                         [("Bearer secret", "mine", t) for t in ("one", "two", "one")])
        out = self.succeeds("loadtest", self.serve(), "--no-stream", "-n", "1").out
        self.assertRegex(out, r"time to first token +- +- ")

    def test_open_loop_sends_at_its_rate_and_counts_from_when_it_was_due(self):
        r = self.succeeds("loadtest", self.serve(), "--rate", "50", "-n", "20", "-c", "1", "--json").json()
        # One client answers 1 / 0.13 s of 50 requests a second: the later ones waited for it.
        self.assertEqual(r["succeeded"], 20)
        self.assertGreater(r["ttft_ms"]["max"], 1000)

    def test_mistakes(self):
        self.fails(1, "127.0.0.1:9", "loadtest", "http://127.0.0.1:9/v1", "-n", "1")
        self.fails(1, "http", "loadtest", "ftp://x/v1")
        self.fails(2, "expected", "loadtest", "http://127.0.0.1:9/v1", "--clients", "0")
        for slo in ("--slo-ttft", "--slo-itl"):     # of what comes whole nobody sees these times
            for whole in (["--no-stream"], ["--api", "embeddings"]):
                r = run("loadtest", "http://127.0.0.1:9/v1", slo, "1", *whole)
                self.assertEqual(r.status, 2, r.err)
                self.assertRegex(r.err, f"{slo} .*{' '.join(whole)}")
        r = run("loadtest", self.serve().removesuffix("/v1"))
        self.assertEqual(r.status, 1)
        self.assertRegex(r.err, "/models answered with status 404 .* ends in /v1.*\n$")
        r = run("loadtest", "http://127.0.0.1:9/v1", "--model", "m", "-n", "1", "--json")
        self.assertEqual((r.status, r.json()["failed"]), (1, 1))


if __name__ == "__main__":
    main()
