#!/usr/bin/env python3
"""Several models in one budget of memory: who fits, who makes room, who is unloaded when idle."""
import re
import threading
import time

from server import CHAT, EMBED, Configured, main, model_path

ASK = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 4, "temperature": 0}
LONG = {"messages": [{"role": "user", "content": "Hello"}], "ignore_eos": True, "max_tokens": 900, "stream": True}


class Memory(Configured):
    def models(self, *rows, memory=0):
        """Each row: name, file, more keys."""
        lines = "".join(f"  - {{name: {name}, path: {model_path(file)}{more}}}\n" for name, file, more in rows)
        return self.serve(f"server: {{listen: '127.0.0.1:0'}}\nengine: {{threads: 2, memory_bytes: {memory}}}\nmodels:\n" + lines)

    def metrics(self, server, name):
        text = server.get("/metrics").body.decode()
        return {tuple(re.findall(r'"([^"]*)"', labels or "")): float(value) for labels, value in
                re.findall(rf"^{name}({{[^}}]*}})? (\S+)$", text, re.M)}

    def state(self, server):
        return {m["id"]: m["state"] for m in server.get("/v1/models").json()["data"]}

    def ask(self, server, model):
        return server.post("/v1/chat/completions", dict(ASK, model=model))

    def use(self, server, model):
        """Ask as clients do: again while it is being loaded."""
        end = time.monotonic() + 60
        while (answer := self.ask(server, model)).status == 503 and time.monotonic() < end:
            self.assertEqual(answer.json()["error"]["code"], "model_not_ready", answer.body)
            time.sleep(0.05)
        self.assertEqual(answer.status, 200, answer.body)

    def until(self, server, model, state):
        end = time.monotonic() + 60
        while (now := self.state(server)[model]) != state:
            self.assertLess(time.monotonic(), end, f"{model} is {now}, not {state}")
            time.sleep(0.05)

    def size(self, *, context):
        """What CHAT takes with one sequence of this context."""
        server = self.models(("a", CHAT, f", context: {context}, sequences: 1"))
        server.until("try: ")
        size = sum(self.metrics(server, "autoglm_model_memory_bytes").values())
        self.assertEqual(server.stop(), 0)
        return int(size)

    def test_lazy_models_take_turns_in_a_budget_for_two(self):
        size = self.size(context=1024)
        terms = ", context: 1024, sequences: 1, load: lazy"
        server = self.models(("a", CHAT, terms), ("b", CHAT, terms), ("c", CHAT, terms), memory=2 * size + 1000)
        self.assertEqual(self.metrics(server, "autoglm_memory_budget_bytes"), {(): 2 * size + 1000})
        for model, there in (("a", "a"), ("b", "ab"), ("a", "ab"), ("c", "ac"), ("b", "bc"), ("a", "ab")):
            self.use(server, model)
            states = self.state(server)
            self.assertEqual({m for m in "abc" if states[m] == "ready"}, set(there), (model, states))
            held = sum(self.metrics(server, "autoglm_model_memory_bytes").values())
            self.assertEqual(held, len(there) * size)
            self.assertEqual({labels[0] for labels in self.metrics(server, "autoglm_kv_cache_info")}, set(there))
        self.assertEqual(self.metrics(server, "autoglm_model_unloads_total")["b", "memory"], 1)
        self.assertEqual(server.get("/readyz").status, 200)
        self.assertEqual(server.stop(), 0)

    def test_a_busy_model_is_not_unloaded(self):
        size = self.size(context=1024)
        terms = ", context: 1024, sequences: 1, load: lazy"
        server = self.models(("a", CHAT, terms), ("b", CHAT, terms), memory=size + 1000)
        self.use(server, "a")
        answers = []
        busy = threading.Thread(target=lambda: answers.append(server.post("/v1/chat/completions", dict(LONG, model="a"))))
        busy.start()
        end = time.monotonic() + 60
        while not self.metrics(server, "autoglm_sequences_running").get(("a",)) and time.monotonic() < end:
            time.sleep(0.01)
        answer = self.ask(server, "b")
        while "MiB are needed" not in (answer := self.ask(server, "b")).json()["error"]["message"]:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)
        self.assertEqual((answer.status, answer.json()["error"]["code"]), (503, "model_not_ready"))
        self.assertRegex(answer.json()["error"]["message"], r"of \d+\.\d are free: a has \d+\.\d, in use")
        self.assertGreater(float(answer.headers["retry-after"]), 0)
        busy.join()
        self.assertEqual(answers[0].events()[-1]["choices"][0]["finish_reason"], "length")
        self.use(server, "b")
        self.assertEqual(self.state(server), {"a": "unloaded", "b": "ready"})
        self.assertEqual(server.stop(), 0)

    def test_what_cannot_fit_says_the_numbers(self):
        size = self.size(context=1024)
        server = self.models(("a", CHAT, ", context: 1024, sequences: 1"),
                             ("b", CHAT, ", context: 2048, load: lazy"), memory=size + size // 2)
        server.until("try: ")
        answer = self.ask(server, "b")
        end = time.monotonic() + 60
        while answer.json()["error"]["code"] == "model_not_ready" and time.monotonic() < end:
            time.sleep(0.05)
            answer = self.ask(server, "b")
        error = answer.json()["error"]
        self.assertEqual((answer.status, error["code"]), (503, "memory_budget_exceeded"))
        self.assertRegex(error["message"], r"\d MiB are needed \(weights [\d.]+, work [\d.]+, KV [\d.]+\), [\d.]+ of [\d.]+ are free: a has")
        self.assertEqual(self.state(server), {"a": "ready", "b": "failed"})
        self.assertEqual(self.ask(server, "a").status, 200)
        self.assertEqual(server.stop(), 0)

    def test_models_at_start_share_and_stay_within_the_budget(self):
        least = self.size(context=2048)
        budget = 5 * least
        server = self.models(("a", CHAT, ""), ("b", CHAT, ""), ("e", EMBED, ", load: lazy"), memory=budget)
        server.until("try: ")
        kv = self.metrics(server, "autoglm_model_memory_bytes")
        self.assertAlmostEqual(kv["a", "kv"] / kv["b", "kv"], 1, delta=0.1)
        end = time.monotonic() + 60
        while (answer := server.post("/v1/embeddings", {"model": "e", "input": "a"})).status != 200:
            self.assertLess(time.monotonic(), end, answer.body)
            time.sleep(0.05)
        held = sum(self.metrics(server, "autoglm_model_memory_bytes").values())
        self.assertLessEqual(held, budget)
        self.assertGreater(held, 0.9 * budget)
        self.assertEqual(server.stop(), 0)

    def test_an_idle_model_is_unloaded_and_comes_back(self):
        registry = self.path("models.db")
        self.succeeds("models", "add", "named", model_path(CHAT), "--registry", registry)
        server = self.serve(f"server: {{listen: '127.0.0.1:0'}}\nengine: {{threads: 2, registry: {registry}}}\n"
                            "models: [{name: a, path: named, context: 1024, idle_unload: 300ms}]\n")
        self.until(server, "a", "unloaded")     # looking at metrics and models is no use of it
        self.assertEqual(server.get("/readyz").status, 200)
        self.assertEqual(server.get("/startupz").status, 200)
        self.assertEqual(self.metrics(server, "autoglm_model_unloads_total")["a", "idle"], 1)
        self.assertEqual(self.metrics(server, "autoglm_memory_bytes")["weights",], 0)
        self.use(server, "a")
        answer = server.post("/v1/chat/completions", dict(LONG, model="a"))     # longer than it may be idle
        self.assertEqual(answer.events()[-1]["choices"][0]["finish_reason"], "length")
        self.until(server, "a", "unloaded")
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
