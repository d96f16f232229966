#!/usr/bin/env python3
"""Fields that OpenAI's API does not have: each changes what comes in the way that it says, and a wrong value of it is
refused by its name."""
import json
import re
import threading
import time

from server import CHAT, Case, Server, main

HELLO = [{"role": "user", "content": "Hello, who are you?"}]


class Fields(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CHAT)

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            assert cls.server.stop() == 0, cls.server.said

    def fine(self, answer):
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def complete(self, **k):
        answer = self.server.post("/v1/completions", {"prompt": "Once upon a time", "max_tokens": 24, **k})
        self.assertNotIn("x-ignored-params", answer.headers)
        return self.fine(answer)

    def text(self, **k):
        return self.complete(**k)["choices"][0]["text"]

    def hot(self, **k):
        """What three seeds make of it."""
        return [self.text(temperature=1.5, seed=seed, **k) for seed in range(3)]

    def ids(self, text):
        return self.fine(self.server.post("/tokenize", {"prompt": text, "add_special_tokens": False}))["tokens"]

    # ---- which token

    def test_filters_that_leave_one_token_leave_nothing_to_chance(self):
        best, plain = self.text(temperature=0), self.hot()
        self.assertEqual(len({best, *plain}), 4)
        for one in ({"top_k": 1}, {"min_p": 1}, {"mirostat": 2, "mirostat_tau": 0}):
            self.assertEqual(self.hot(**one), [best] * 3, one)
        for one in ({"typical_p": 1e-6}, {"xtc_probability": 1, "xtc_threshold": 0}):   # another one than the best
            left = set(self.hot(**one))
            self.assertEqual((len(left), best in left), (1, False), one)

    def test_filters_that_leave_some_change_what_is_drawn(self):
        plain = self.hot()
        some = [self.hot(**k) for k in (
            {"top_k": 20}, {"top_p": 0.5}, {"min_p": 0.1}, {"typical_p": 0.5}, {"mirostat": 2},
            {"mirostat": 2, "mirostat_tau": 1}, {"mirostat": 2, "mirostat_eta": 1},
            {"xtc_probability": 1, "xtc_threshold": 0.01}, {"xtc_probability": 0.5, "xtc_threshold": 0.01})]
        self.assertEqual(len({tuple(x) for x in [plain, *some]}), 1 + len(some))
        for none in ({"top_k": 0}, {"top_k": -1}, {"top_p": 1}, {"min_p": 0}, {"typical_p": 1}, {"mirostat_tau": 1},
                     {"xtc_threshold": 0.01}):
            self.assertEqual(self.hot(**none), plain, none)

    def test_penalties_are_about_what_was_there(self):
        (a,), (b,) = self.ids(" a"), self.ids(" b")

        def text(**k):
            return self.text(prompt="a b a b a b a", max_tokens=6, temperature=0, logit_bias={a: 50, b: bias}, **k)
        bias = 50
        plain = " a" * 6
        self.assertEqual(text(), plain)
        dry = {"dry_multiplier": 100, "dry_allowed_length": 1}
        for none in ({**dry, "dry_multiplier": 0}, {**dry, "dry_allowed_length": 10}, {**dry, "dry_penalty_last_n": 1},
                     {**dry, "dry_sequence_breakers": ["a", "b"]}, {**dry, "dry_multiplier": 1, "dry_base": 1},
                     {"repetition_penalty": 100, "repeat_last_n": 0}, {"repetition_penalty": 1}):
            self.assertEqual(text(**none), plain, none)
        for some in (dry, {**dry, "dry_multiplier": 1, "dry_base": 3}, {"repetition_penalty": 100}, {"frequency_penalty": 2}):
            self.assertNotEqual(text(**some), plain, some)
        self.assertEqual(text(repetition_penalty=100, repeat_last_n=1), " b a b a b a")
        bias = 56       # so that little decides
        self.assertEqual(text(), plain)
        self.assertEqual(text(presence_penalty=2)[:4], " a b")

    def test_an_empty_list_of_breakers_means_none(self):
        colon, = self.ids(":")

        def text(**k):
            return self.text(prompt=": : : : :", max_tokens=4, temperature=0, logit_bias={colon: 50}, dry_multiplier=100,
                             dry_allowed_length=1, **k)
        self.assertEqual(text(), "::::")        # one of the usual breakers
        self.assertNotEqual(text(dry_sequence_breakers=[]), "::::")

    # ---- where it ends

    def test_an_answer_has_as_many_tokens_as_it_must(self):
        end, = self.ids(self.fine(self.server.get("/tokenizer_info"))["eos_token"])
        for least in (0, 1, 7):
            got = self.complete(logit_bias={end: 100}, min_tokens=least)
            self.assertEqual(got["choices"][0]["finish_reason"], "stop")
            self.assertEqual(got["usage"]["completion_tokens"], least + 1)
        got = self.complete(logit_bias={end: 100}, ignore_eos=True)
        self.assertEqual(got["choices"][0]["finish_reason"], "length")

    # ---- what is wrong

    def test_a_wrong_value_is_refused_by_the_name_of_its_field(self):
        for field, bad in (
                ("top_k", -2), ("min_p", 1.01), ("typical_p", 0), ("repetition_penalty", 0), ("repeat_last_n", -2),
                ("mirostat", 1), ("mirostat", 3), ("mirostat_tau", -1), ("mirostat_eta", 1.01), ("dry_multiplier", -1),
                ("dry_base", 0.9), ("dry_allowed_length", 0), ("dry_penalty_last_n", -2), ("dry_sequence_breakers", 5),
                ("dry_sequence_breakers[1]", ["a", ""]), ("dry_sequence_breakers[0]", ["a" * 64]), ("xtc_probability", 2),
                ("xtc_threshold", -1), ("min_tokens", -1), ("stop_token_ids", [-1]), ("ignore_eos", 1),
                ("bad_words", [1]), ("allowed_token_ids", []), ("allowed_token_ids", [1 << 30]),
                ("prompt_logprobs", 21), ("priority", "high"), ("max_queue_ms", -1), ("cache_salt", 1),
                ("truncate_prompt", "up"), ("chat_template_kwargs", []), ("reasoning_format", "xml"),
                ("structured_outputs.choice", {"choice": []}), ("structured_outputs.regex", {"regex": "("}),
                ("structured_outputs.grammar", {"grammar": "root = 1"}), ("structured_outputs.json", {"json": "{"})):
            with self.subTest(field=field, bad=bad):
                name = field.split("[")[0].split(".")[0]
                answer = self.server.post("/v1/chat/completions", {"messages": HELLO, name: bad})
                self.assertEqual((answer.status, answer.json()["error"]["param"]), (400, field), answer.body)

    # ---- the template

    def test_the_template_hears_what_was_said_to_it(self):
        template = self.write("template", "{{ messages[0].content }}|{{ mood }}|{{ reasoning_effort }}|{{ enable_thinking }}|"
                              "{{ documents[0].text if documents }}")
        with Server(CHAT, "--chat-template", template) as server:
            def prompt(**k):
                body = {"messages": [{"role": "user", "content": "Hi"}], **k}
                text = self.fine(server.post("/apply-template", body))["prompt"]
                self.assertEqual(self.fine(server.post("/v1/chat/completions", dict(body, max_tokens=1)))["usage"]["prompt_tokens"],
                                 self.fine(server.post("/tokenize", body))["count"])
                return text
            self.assertEqual(prompt(), "Hi||||")
            self.assertEqual(prompt(chat_template_kwargs={"mood": "gay", "enable_thinking": True}), "Hi|gay||True|")
            self.assertEqual(prompt(reasoning_effort="low"), "Hi||low||")
            self.assertEqual(prompt(reasoning_effort="none"), "Hi||none|False|")
            self.assertEqual(prompt(documents=[{"text": "Read me."}]), "Hi||||Read me.")
            self.assertEqual(server.stop(), 0)


class Terms(Case):
    """How a request stands to others."""
    # Takes a server of SLOW many seconds: whoever wants to go on ends it.
    LONG = {"messages": HELLO, "ignore_eos": True, "max_tokens": 8000, "stream": True}
    SLOW = ("--isa", "ref", "-c", "8192")

    def stream(self, server):
        connection = server.connect()
        connection.request("POST", "/v1/chat/completions", json.dumps(self.LONG), {"X-Request-Id": "long"})
        response = connection.getresponse()
        self.assertTrue(response.readline().startswith(b"data: "))
        self.addCleanup(connection.close)
        return response

    def test_the_line_goes_by_priority(self):
        with Server(CHAT, "--max-sequences", "1", *self.SLOW) as server:
            response, answers = self.stream(server), []

            def ask(priority):
                answers.append(server.post("/v1/chat/completions", dict(self.LONG, stream=False, max_tokens=32, priority=priority),
                                           **{"X-Request-Id": f"p{priority}"}))
            threads, end = [], time.monotonic() + 60
            for n, priority in enumerate((1, 0, -1), 1):
                threads.append(threading.Thread(target=ask, args=(priority,)))
                threads[-1].start()
                while f'autoglm_sequences_waiting{{model="{CHAT}"}} {n}\n' not in server.get("/metrics").body.decode():
                    self.assertFalse(answers, "it was over first")
                    self.assertLess(time.monotonic(), end)
            server.ask("DELETE", "/v1/requests/long")
            response.read()
            for t in threads:
                t.join()
            for answer in answers:
                self.fine(answer)
                self.assertNotIn("x-ignored-params", answer.headers)
            self.assertEqual(server.stop(), 0)
            self.assertEqual(re.findall(r'"http.request.id":"(p\S+?)"', server.said), ["p-1", "p0", "p1"])

    def test_who_waits_too_long_is_sent_away(self):
        for more, body in (([], {"max_queue_ms": 300}), (["--set", "engine.max_queue_time=2s"], {})):
            with Server(CHAT, "--max-sequences", "1", *self.SLOW, *more) as server:
                self.fine(server.post("/v1/chat/completions", dict(self.LONG, stream=False, max_tokens=1)))
                response = self.stream(server)
                answer = server.post("/v1/chat/completions", dict(self.LONG, stream=False, max_tokens=1, **body))
                self.assertEqual((answer.status, answer.json()["error"]["code"]), (504, "deadline_exceeded"), answer.body)
                server.ask("DELETE", "/v1/requests/long")
                self.assertIn(b'"cancelled"', response.read(), "it was over first")
                self.assertEqual(server.stop(), 0)

    def test_beginnings_are_shared_by_equal_salt_of_one_key_only(self):
        with Server(CHAT, "--api-key-file", self.write("keys", "alice sk-a\nbob sk-b\n")) as server:
            def cached(key, **k):
                answer = server.post("/v1/completions", {"prompt": "a word " * 100, "max_tokens": 1, **k},
                                     Authorization=f"Bearer {key}")
                return self.fine(answer)["usage"]["prompt_tokens_details"]["cached_tokens"] > 0
            self.assertEqual([cached("sk-a"), cached("sk-a")], [False, True])
            self.assertEqual([cached("sk-b"), cached("sk-b")], [False, True])
            self.assertEqual([cached("sk-a", cache_salt="x"), cached("sk-a", cache_salt="x")], [False, True])
            self.assertEqual(cached("sk-a", cache_salt="y"), False)
            self.assertEqual(cached("sk-b", cache_salt="x"), False)
            self.assertEqual(server.stop(), 0)

    def test_what_is_anothers_is_not_for_the_asking(self):
        with Server(CHAT, *self.SLOW, "--api-key-file", self.write("keys", "alice sk-a\nbob sk-b\n")) as server:
            a, b = {"Authorization": "Bearer sk-a"}, {"Authorization": "Bearer sk-b"}
            connection = server.connect()
            connection.request("POST", "/v1/chat/completions", json.dumps(self.LONG), {"X-Request-Id": "hers", **a})
            response = connection.getresponse()
            self.assertEqual(server.ask("DELETE", "/v1/requests/hers", None, b).status, 404)
            answer = server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1, "priority": -1, "best_of": 2}, **b)
            self.assertEqual((answer.status, answer.headers["x-ignored-params"]), (200, "best_of, priority"))
            self.assertEqual(server.ask("DELETE", "/v1/requests/hers", None, a).status, 200)
            self.assertIn(b'"cancelled"', response.read())
            connection.close()
            self.assertEqual(server.stop(), 0)

    def fine(self, answer):
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def test_metrics_may_be_off(self):
        with Server(CHAT, "--set", "metrics.enabled=false") as server:
            self.assertEqual(server.get("/metrics").status, 404)
            self.assertEqual(server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1}).status, 200)
            self.assertEqual(server.stop(), 0)
        with Server(CHAT, "--set", "metrics.vllm_names=false") as server:
            self.assertNotIn(b"vllm:", server.get("/metrics").body)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
