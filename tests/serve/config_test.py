#!/usr/bin/env python3
"""`autoglm serve --config`: several models, reloading, and a supervisor that starts it again."""
import hashlib
import contextlib
import json
import os
import re
import resource
import signal
import socket
import time

from server import CHAT, EMBED, MODELS, Configured, main, model_path, run
from threads import StoppedThread

ASK = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0}


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(x) for x in f.read().split()]


class Config(Configured):
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

    def test_a_model_that_cannot_be_loaded_is_not_one_that_does_not_exist(self):
        paths = {"none": self.path("none.gguf"), "text": self.write("text.gguf", "text"), "wrong": self.path("")}
        server = self.serve("server: {listen: '127.0.0.1:0'}\nmodels:\n" + "".join(
            f"  - {{name: {name}, path: '{path}', load: lazy}}\n" for name, path in paths.items()))
        end = time.monotonic() + 60
        for name in paths:
            answer = server.post("/v1/chat/completions", dict(ASK, model=name))
            while "could not be loaded" not in answer.json()["error"]["message"]:
                self.assertEqual(answer.json()["error"]["code"], "model_not_ready")
                self.assertLess(time.monotonic(), end)
                answer = server.post("/v1/chat/completions", dict(ASK, model=name))
            error = answer.json()["error"]
            self.assertEqual((answer.status, error["code"], error["param"]), (503, "model_failed", "model"), error)
            self.assertEqual(answer.headers["x-should-retry"], "false")
        self.assertEqual(server.post("/v1/chat/completions", dict(ASK, model="other")).status, 404)
        self.assertEqual(server.stop(), 0)

    def test_probes_tell_a_model_that_failed_from_one_that_loads(self):
        server = self.serve("server: {listen: '127.0.0.1:0'}\nmodels:\n"
                            f"  - {{name: chat, path: {model_path(CHAT)}, context: 2048}}\n"
                            f"  - {{name: none, path: '{self.path('none.gguf')}'}}\n", wait=False)
        server.until("none is failed")
        for path in ("/health", "/readyz", "/startupz"):
            answer = server.get(path)
            self.assertEqual((answer.status, answer.json()["status"]), (503, "failed"), path)
        self.assertEqual(server.post("/v1/chat/completions", dict(ASK, model="chat")).status, 200)
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

    STALL_S = 3     # a loaded machine keeps a server waiting for longer than one

    def one_model(self, more):
        return (f"server: {{listen: '127.0.0.1:0', stall_timeout: {self.STALL_S}s{more}}}\n"
                f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")

    def test_systemd_hears_how_much_it_does(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.bind(self.path("notify"))
            s.settimeout(60)
            server = self.serve(self.one_model(""), env={"NOTIFY_SOCKET": self.path("notify")})

            def hear(text):
                while s.recv(4096).decode() != text:
                    pass
            hear("READY=1\nSTATUS=ready")
            connection = server.connect()
            connection.request("POST", "/v1/chat/completions", json.dumps(
                dict(ASK, max_tokens=1900, n=8, ignore_eos=True, stream=True)))
            hear("STATUS=ready; requests: 1")
            connection.close()
            hear("STATUS=ready; requests: 0")
            self.assertEqual(server.stop(), 0)
            hear("STOPPING=1\nSTATUS=draining")

    def test_a_server_whose_connections_hang_is_started_again(self):
        server = self.serve(self.one_model(""))
        child, = children(server.process.pid)
        with StoppedThread(child, "ag-http") as thread:
            end = time.monotonic() + 60
            while not thread.is_dead():
                self.assertLess(time.monotonic(), end, server.said)
                time.sleep(0.05)
        server.until("the thread that serves connections hangs")
        self.assertIn(server.get("/livez").status, (200, 503))
        self.assertNotEqual(children(server.process.pid), [child])
        self.assertEqual(server.stop(), 0)

    def test_a_step_that_does_not_end_is_told_by_the_probes(self):
        server = self.serve(self.one_model(", supervise: false"))
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(
            dict(ASK, max_tokens=1900, ignore_eos=True, stream=True)))
        end = time.monotonic() + 120
        status = {}
        # It may have stopped between two steps, or with a lock that an answer needs: it then goes on for a while.
        while status.get("/livez") != 503 and time.monotonic() < end:
            time.sleep(0.05)
            with StoppedThread(server.process.pid, "ag-engine"), contextlib.suppress(TimeoutError):
                time.sleep(self.STALL_S + 1)
                status = {path: server.get(path, seconds=5).status for path in ("/livez", "/readyz", "/health")}
        self.assertEqual(status, {"/livez": 503, "/readyz": 503, "/health": 503}, server.said)
        end = time.monotonic() + 60
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
        changed = self.two_models(", drain_timeout: 7s, max_headers: 50").replace("{threads: 2", "{threads: 2, memory_bytes: 64GiB")
        self.write("config.yml", "log: {level: warn}\n" + changed)
        server.process.send_signal(signal.SIGHUP)
        server.until("reloaded")
        self.assertEqual((status("sk-1"), status("sk-2")), (401, 200))
        self.assertIn("server.max_headers", server.said)
        self.assertIn("in force after a restart", server.said)
        self.write("config.yml", "server: {lisen: 1}\n")
        server.process.send_signal(signal.SIGHUP)
        server.until("config.yml:1:10: server.lisen: unknown key; did you mean server.listen?")
        server.until('"message":"not reloaded"')
        self.assertRegex(server.said, r'"error.message":"\S+config.yml:1:10: server.lisen: unknown key')
        metrics = server.get("/metrics", Authorization="Bearer sk-2").body.decode()
        counts = re.findall(r'^autoglm_config_reloads_total\{outcome="(\w+)"\} (\d+)$', metrics, re.M)
        self.assertEqual(sorted(counts), [("applied", "1"), ("refused", "1")])
        self.assertNotIn(f"autoglm_memory_budget_bytes {64 << 30}\n", metrics)     # nor is it before a restart
        self.assertEqual(status("sk-2"), 200)
        self.assertEqual(server.stop(), 0)

    def test_where_the_log_is_json_every_line_is(self):
        text = ("server: {listen: '127.0.0.1:0', drain_timeout: 1s}\n"
                f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")
        server = self.serve(text)
        self.write("config.yml", "server: {lisen: x}\n")
        server.process.send_signal(signal.SIGHUP)
        server.until("not reloaded")
        self.write("config.yml", text)
        os.kill(children(server.process.pid)[0], signal.SIGKILL)
        server.until("started again")
        end = time.monotonic() + 60
        while server.said.count("try: ") < 2:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(dict(ASK, stream=True, max_tokens=1900, ignore_eos=True)))
        response = connection.getresponse()
        self.assertEqual(server.stop(), 0)
        response.read()
        connection.close()
        server.until("[closed]\n\n[closed]")
        lines = [json.loads(line) for line in server.said.splitlines() if line and line != "[closed]"]
        said = [" ".join((x["event.dataset"], x["log.level"], x["message"])) for x in lines]
        for what in ("server info listening on http://127.0.0.1:", "server info ready after ", "server info try: curl ",
                     "server info ending: 1 requests", "supervisor warn ", f"server info {self.path('config.yml')}:1:10: "):
            self.assertTrue([line for line in said if line.startswith(what)], (what, said))

    def test_a_socket_file_serves_too(self):
        path = self.path("s,t.sock")
        server = self.serve(f"server: {{listen: ['127.0.0.1:0', 'unix:{path}']}}\n"
                            f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(path)
            s.sendall(b"GET /health HTTP/1.1\r\nHost: any.example\r\nConnection: close\r\n\r\n")
            self.assertIn(b" 200 ", s.recv(1000))
        self.assertEqual(server.stop(), 0)
        self.assertFalse(os.path.exists(path))

    def test_it_takes_the_descriptors_that_it_may_have(self):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
        try:
            server = self.serve(self.one_model(""))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        child, = children(server.process.pid)
        self.assertEqual(resource.prlimit(child, resource.RLIMIT_NOFILE), (hard, hard))
        self.assertEqual(server.stop(), 0)

    def test_without_a_supervisor_it_serves_in_its_own_process(self):
        server = self.serve("server: {listen: '127.0.0.1:0', supervise: false}\n"
                            f"models: [{{name: chat, path: {model_path(CHAT)}, context: 2048}}]\n")
        self.assertEqual(children(server.process.pid), [])
        self.assertEqual(server.post("/v1/chat/completions", ASK).status, 200)
        self.assertEqual(server.stop(), 0)

    def test_names_are_those_of_the_configurations_registry(self):
        registry, other = self.path("models.db"), self.path("other.db")
        self.succeeds("models", "add", "tiny", model_path(CHAT), "--registry", registry)
        text = "server: {listen: '127.0.0.1:0'}\nREGISTRYmodels: [{name: chat, path: tiny, context: 512}]\n"
        for more, args, env in ((f"engine: {{registry: {registry}}}\n", (), {"AUTOGLM_REGISTRY": other}),
                                ("", (), {"AUTOGLM_REGISTRY": registry}),
                                (f"engine: {{registry: {other}}}\n", ("--registry", registry), {})):
            server = self.serve(text.replace("REGISTRY", more), *args, env=env)
            self.assertEqual(server.post("/v1/chat/completions", ASK).status, 200)
            self.assertEqual(server.stop(), 0)

    def test_a_model_tells_what_it_is(self):
        registry, path = self.path("models.db"), model_path(CHAT)
        with open(path, "rb") as f:
            data = f.read()
        copy = self.write("copy.gguf", data)
        self.succeeds("models", "add", "tiny:q4", path, "--registry", registry)
        self.succeeds("models", "add", "moved", copy, "--registry", registry)
        self.write("copy.gguf", data + b"more")
        server = self.serve("server: {listen: '127.0.0.1:0'}\n"
                            f"engine: {{threads: 2, registry: {registry}}}\nmodels:\n"
                            "  - {name: named, path: 'tiny:q4', context: 512}\n"
                            f"  - {{name: path, path: {path}, context: 512, quantize: int8}}\n"
                            "  - {name: moved, path: moved, context: 512}\n"
                            f"  - {{name: embed, path: {model_path(EMBED)}}}\n")
        named, path_, moved, embed = (server.get(f"/v1/models/{n}").json()["meta"] for n in ("named", "path", "moved", "embed"))
        said = self.succeeds("inspect", path, "--json").json()
        self.assertEqual((named["n_params"], named["size_bytes"], named["architecture"], named["n_ctx_train"], named["n_ctx"]),
                         (said["parameters"], len(data), said["architecture"], said["context_length"], 512))
        # Of the weights but norms: Q8_0 98304, Q4_K 589824, Q6_K 196608.
        self.assertEqual(named["quantization"], "Q4_K")
        self.assertAlmostEqual(named["bits_per_weight"], (98304 * 8.5 + 589824 * 4.5 + 196608 * 6.5625) / 884736, places=5)
        self.assertEqual((path_["quantization"], path_["bits_per_weight"]), ("Q8_0", 8.5))
        self.assertGreater(path_["memory_bytes"], named["memory_bytes"])
        self.assertEqual(named["digest"], hashlib.sha256(data).hexdigest())
        self.assertEqual([m["digest"] for m in (path_, moved, embed)], [None] * 3)
        self.assertEqual((embed["quantization"], embed["n_embd"], embed["generates"]), ("F32", 128, False))
        self.assertNotIn("sampling", embed)
        self.assertEqual(server.stop(), 0)

    def changed_folder(self, name, model, file, data):
        """The Hugging Face folder of a tiny model with one file more, or another one."""
        folder = self.path(name)
        os.mkdir(folder)
        for other in os.listdir(os.path.join(MODELS, model)):
            if other != file:
                os.symlink(os.path.join(os.path.abspath(MODELS), model, other), os.path.join(folder, other))
        self.write(os.path.join(name, file), data)
        return folder

    def advised(self, name, **advice):
        return self.changed_folder(name, "tiny-llama3-hf", "generation_config.json", json.dumps(advice))

    def test_sampling_is_as_the_models_file_advises(self):
        # With top_k 1 every answer is the greedy one, unless the request says otherwise.
        folder = self.advised("advised", do_sample=True, temperature=0.9, top_k=1, top_p=7, repetition_penalty=1.5)
        self.succeeds("quantize", "-m", folder, "-o", self.path("advised.gguf"), "--type", "bf16")
        server = self.serve("server: {listen: '127.0.0.1:0'}\nengine: {threads: 2}\nmodels:\n"
                            f"  - {{name: folder, path: {folder}, context: 512}}\n"
                            f"  - {{name: file, path: {self.path('advised.gguf')}, context: 512}}\n"
                            f"  - {{name: plain, path: {folder}, context: 512, generation_config: none}}\n"
                            f"  - {{name: greedy, path: {self.advised('greedy', do_sample=False, top_k=5)}, context: 512}}\n")
        self.assertIn("general.sampling.top_p is left out: top_p is 7; allowed are above 0 to 1", server.said)

        def told(model):
            return server.get(f"/v1/models/{model}").json()["meta"]["sampling"]

        def said(model, **k):
            answer = server.post("/v1/completions", {"model": model, "prompt": "Once", "max_tokens": 24, "seed": 5,
                                                     "ignore_eos": True, **k})
            self.assertEqual(answer.status, 200, answer.body)
            return answer.json()["choices"][0]["text"]
        neutral = {"temperature": 1, "top_k": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1}
        advice = dict(neutral, temperature=0.9, top_k=1, repetition_penalty=1.5)
        self.assertEqual([told(m) for m in ("folder", "file", "plain", "greedy")],
                         [advice, advice, neutral, dict(neutral, temperature=0)])
        greedy = said("plain", temperature=0, repetition_penalty=1.5)
        self.assertEqual([said("folder"), said("file"), said("folder", top_k=None)], [greedy] * 3)
        hot = said("plain")
        self.assertNotEqual(hot, greedy)
        self.assertEqual(said("folder", top_k=0, temperature=1, repetition_penalty=1), hot)
        self.assertEqual(said("greedy"), said("plain", temperature=0))
        self.assertEqual(server.stop(), 0)
        # The command and its options.
        def ran(*args):
            return self.succeeds("run", "-m", folder, "-c", "512", "-n", "24", "-s", "5", "--raw", "--ignore-eos", "-q", *args,
                                 "Once").out.rstrip("\n")
        self.assertEqual(ran("--repeat-last-n", "-1"), greedy)
        mild = ("--top-k", "0", "--top-p", "1", "--min-p", "0")
        self.assertEqual(ran("--temp", "1", "--repeat-penalty", "1", *mild), hot)
        self.assertEqual(ran("--generation-config", "none", "--temp", "1", *mild), hot)

    def test_text_goes_between_prompt_and_suffix(self):
        with open(os.path.join(MODELS, "tiny-qwen2-hf", "tokenizer.json"), encoding="utf-8") as f:
            tokenizer = f.read()
        marks = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
        for old, new in zip(("<tool_call>", "</tool_call>", "<think>"), marks):
            tokenizer = tokenizer.replace(f'"{old}"', f'"{new}"')
        folder = self.changed_folder("fim", "tiny-qwen2-hf", "tokenizer.json", tokenizer)
        server = self.serve("server: {listen: '127.0.0.1:0'}\nengine: {threads: 2}\nmodels:\n"
                            f"  - {{name: fim, path: {folder}, context: 512}}\n")

        def complete(**k):
            return server.post("/v1/completions", {"max_tokens": 16, "temperature": 0, "logprobs": 1, **k})
        got = complete(prompt=["def f(a):\n", "x"], suffix="\n    return a\n").json()
        for choice, prompt in zip(got["choices"], ("def f(a):\n", "x")):
            text = f"{marks[0]}{prompt}{marks[1]}\n    return a\n{marks[2]}"
            self.assertEqual(choice["text"], complete(prompt=text).json()["choices"][0]["text"])
        count = sum(server.post("/tokenize", {"prompt": text}).json()["count"] for text in ("def f(a):\n", "x"))
        behind = server.post("/tokenize", {"prompt": "\n    return a\n"}).json()["count"]
        self.assertEqual(got["usage"]["prompt_tokens"], count + 2 * (behind + 3))
        # The answer ends where the model would begin another part, unless it is to go on.
        mark = str(server.post("/tokenize", {"prompt": marks[0]}).json()["tokens"][0])
        forced = dict(prompt="x", suffix="y", logit_bias={mark: 100})
        self.assertEqual(complete(**forced).json()["choices"][0]["finish_reason"], "stop")
        self.assertEqual(complete(**forced, ignore_eos=True).json()["choices"][0]["finish_reason"], "length")
        self.assertEqual(complete(prompt="x", logit_bias={mark: 100}).json()["choices"][0]["finish_reason"], "length")
        self.assertEqual(complete(prompt="x", suffix="").json()["choices"], complete(prompt="x").json()["choices"])
        for wrong, param in (({"prompt": [1, 2]}, "prompt"), ({"prompt": "x", "echo": True}, "suffix"),
                             ({"prompt": "x", "truncate_prompt": "left"}, "suffix"), ({"prompt": "x", "suffix": 5}, "suffix")):
            answer = complete(**{"suffix": "y", **wrong})
            self.assertEqual((answer.status, answer.json()["error"]["param"]), (400, param), answer.body)
        self.assertEqual(server.stop(), 0)

    def test_mistakes(self):
        self.fails(2, "names no model", "serve", "--config", self.write("empty.yml", "log: {level: info}\n"))
        self.fails(2, "exclude each other", "serve", "--config", "x", "-m", "y")
        self.fails(2, "must be a file", "serve", "--config", "-")
        r = run("serve", "--config", self.write("bad.yml", "server: {listen: 1.2.3.4:80}\nmodels: [{name: a}]\n"))
        self.assertEqual(r.status, 1)
        self.assertIn("can be reached from outside", r.err)
        self.assertIn("models[0]: path is missing", r.err)
        self.fails(2, "only the supervisor", "serve-child", "-m", model_path(CHAT))


if __name__ == "__main__":
    main()
