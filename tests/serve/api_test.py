#!/usr/bin/env python3
"""The API over raw HTTP: what OpenAI's clients send and expect."""
import base64
import json
import re
import struct
import threading

from server import CHAT, EMBED, Case, Server, main, model_path, run

HELLO = [{"role": "user", "content": "Hello, who are you?"}]
ADD = {"type": "function", "function": {"name": "add", "parameters": {
    "type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["a"],
    "additionalProperties": False}}}


class Api(Case):
    @classmethod
    def setUpClass(cls):
        cls.server = Server(CHAT, "--model-name", "tiny", "--model-name", "autoglm-phone-9b")

    @classmethod
    def tearDownClass(cls):
        with cls.server:
            assert cls.server.stop() == 0, cls.server.said

    def chat(self, **k):
        body = {"model": "tiny", "messages": HELLO, "temperature": 0, "max_tokens": 24, **k}
        return self.server.post("/v1/chat/completions", body)

    def complete(self, **k):
        body = {"model": "tiny", "prompt": "Once upon a time", "temperature": 0, "max_tokens": 24, **k}
        return self.server.post("/v1/completions", body)

    def fine(self, answer):
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()

    def refused(self, answer, status, param=None, code=None, says=""):
        self.assertEqual(answer.status, status, answer.body)
        error = answer.json()["error"]
        self.assertEqual(sorted(error), ["code", "message", "param", "type"])
        self.assertTrue(error["message"] and error["type"])
        self.assertEqual(error["param"], param, error)
        if code:
            self.assertEqual(error["code"], code)
        self.assertIn(says, error["message"])
        self.assertTrue(answer.headers["x-request-id"])

    # ---- answers

    def test_a_conversation_of_which_the_template_makes_nothing_is_refused(self):
        template = self.write("template", "{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}")
        body = {"messages": [{"role": "system", "content": "Be brief."}], "max_tokens": 1}
        with Server("micro-chat", "--chat-template", template) as server:
            for more in ({}, {"prompt_logprobs": 1}, {"tools": [ADD], "tool_choice": "required"}):
                answer = server.post("/v1/chat/completions", {**body, **more})
                self.refused(answer, 400, "messages", says="template")
            self.assertEqual(server.stop(), 0)

    def test_a_chat_is_what_the_command_answers(self):
        expected = run("run", "-m", model_path(CHAT), "-t", "1", "-c", "2048", "--temp", "0", "-n", "24", "--json",
                       HELLO[0]["content"]).json()
        got = self.fine(self.chat())
        choice = got["choices"][0]
        self.assertEqual(choice["message"]["content"], expected["text"])
        self.assertEqual(choice["message"]["role"], "assistant")
        self.assertEqual(choice["finish_reason"], expected["finish"])
        self.assertEqual(got["object"], "chat.completion")
        self.assertEqual(got["model"], "tiny")
        self.assertEqual(got["usage"]["prompt_tokens"], expected["usage"]["prompt_tokens"])
        self.assertEqual(got["usage"]["completion_tokens"], expected["usage"]["completion_tokens"])
        self.assertEqual(got["usage"]["total_tokens"], expected["usage"]["total_tokens"])

    def test_a_completion_is_what_the_command_answers(self):
        expected = run("run", "-m", model_path(CHAT), "-t", "1", "-c", "2048", "--temp", "0", "-n", "24", "--json",
                       "--raw", "Once upon a time").json()
        got = self.fine(self.complete())
        self.assertEqual(got["object"], "text_completion")
        self.assertEqual(got["choices"][0]["text"], expected["text"])

    def test_a_stream_put_together_is_the_whole_answer(self):
        for more in ({}, {"stop": ["e"]}, {"logprobs": True, "top_logprobs": 3}, {"n": 3, "temperature": 1, "seed": 7},
                     {"max_tokens": 1}, {"ignore_eos": True, "max_tokens": 64}):
            with self.subTest(**more):
                whole = self.fine(self.chat(**more))
                answer = self.chat(stream=True, stream_options={"include_usage": True}, **more)
                self.assertEqual(answer.headers["content-type"], "text/event-stream; charset=utf-8")
                events = answer.events()
                self.assertEqual(events[-1]["choices"], [])
                self.assertEqual({k: v for k, v in events[-1]["usage"].items() if k.endswith("_tokens")},
                                 {k: v for k, v in whole["usage"].items() if k.endswith("_tokens")})
                for choice in whole["choices"]:
                    mine = [e["choices"][0] for e in events[:-1] if e["choices"][0]["index"] == choice["index"]]
                    self.assertEqual(mine[0]["delta"], {"role": "assistant", "content": ""})
                    self.assertEqual("".join(c["delta"].get("content", "") for c in mine), choice["message"]["content"])
                    self.assertEqual([c["finish_reason"] for c in mine if c["finish_reason"]], [choice["finish_reason"]])
                    self.assertEqual(mine[-1]["finish_reason"], choice["finish_reason"])
                    told = [x for c in mine if c["logprobs"] for x in c["logprobs"]["content"]]
                    self.assertEqual(told, choice["logprobs"]["content"] if choice["logprobs"] else [])
                for e in events[:-1]:
                    self.assertEqual(e["object"], "chat.completion.chunk")
                    self.assertIsNone(e["usage"])
                    self.assertEqual(e["id"], events[0]["id"])

    def test_usage_in_a_stream_only_when_asked_for(self):
        self.assertNotIn("usage", self.chat(stream=True).events()[-1])
        events = self.chat(stream=True, ignore_eos=True, stream_options={"include_usage": True,
                                                                         "continuous_usage_stats": True}).events()
        made = [e["usage"]["completion_tokens"] for e in events]
        self.assertEqual(made, sorted(made))
        self.assertEqual(made[-1], 24)

    def test_logprobs_have_bytes_and_candidates(self):
        got = self.fine(self.chat(logprobs=True, top_logprobs=5, max_tokens=8))
        choice = got["choices"][0]
        entries = choice["logprobs"]["content"]
        self.assertEqual(b"".join(bytes(e["bytes"]) for e in entries).decode("utf-8", "replace"),
                         choice["message"]["content"])
        for e in entries:
            self.assertEqual(len(e["top_logprobs"]), 5)
            self.assertEqual(e["logprob"], e["top_logprobs"][0]["logprob"])  # greedy
            self.assertLessEqual(e["logprob"], 0)

    def test_completions_take_every_form_of_prompt(self):
        ids = self.fine(self.server.post("/tokenize", {"prompt": "Once upon a time"}))["tokens"]
        text = self.fine(self.complete())["choices"][0]["text"]
        self.assertEqual(self.fine(self.complete(prompt=ids))["choices"][0]["text"], text)
        many = self.fine(self.complete(prompt=["Once upon a time", "Hello"], n=2))
        self.assertEqual([c["index"] for c in many["choices"]], [0, 1, 2, 3])
        self.assertEqual(many["choices"][0]["text"], text)
        both = self.fine(self.complete(prompt=[ids, ids]))
        self.assertEqual([c["text"] for c in both["choices"]], [text, text])
        self.assertEqual(both["usage"]["prompt_tokens"], 2 * len(ids))
        self.assertEqual(self.fine(self.complete(echo=True))["choices"][0]["text"], "Once upon a time" + text)
        events = self.complete(echo=True, stream=True).events()
        self.assertEqual("".join(e["choices"][0]["text"] for e in events), "Once upon a time" + text)

    def test_completions_have_the_legacy_logprobs(self):
        got = self.fine(self.complete(logprobs=2, max_tokens=6))["choices"][0]
        told = got["logprobs"]
        self.assertEqual(sorted(told), ["text_offset", "token_logprobs", "tokens", "top_logprobs"])
        self.assertEqual([len(v) for v in told.values()], [6] * 4)
        for logprob, top in zip(told["token_logprobs"], told["top_logprobs"]):
            self.assertEqual(logprob, max(top.values()))

    def test_tokens_that_are_no_whole_text_are_told_by_their_bytes(self):
        def unique(pairs):
            self.assertEqual(len({k for k, _ in pairs}), len(pairs), "a name twice")
            return dict(pairs)
        answer = self.complete(logprobs=20, max_tokens=24, temperature=1, seed=1)
        told = json.loads(answer.body, object_pairs_hook=unique)["choices"][0]["logprobs"]
        names = {name for top in told["top_logprobs"] for name in top}
        self.assertTrue(any(re.fullmatch(r"bytes:(\\x[0-9a-f]{2})+", name) for name in names), names)
        self.assertFalse([name for name in names if "\ufffd" in name])
        self.assertTrue(all(token in top for token, top in zip(told["tokens"], told["top_logprobs"])))

    def test_echo_tells_the_prompts_logprobs_as_well(self):
        ids = self.fine(self.server.post("/tokenize", {"prompt": "Once upon a time there was"}))["tokens"]
        # As evaluation harnesses ask: token prompts, one token more, the likeliest candidate.
        told = self.fine(self.complete(prompt=[ids], echo=True, logprobs=1, max_tokens=1))["choices"][0]["logprobs"]
        self.assertEqual([len(v) for v in told.values()], [len(ids) + 1] * 4)
        self.assertEqual((told["token_logprobs"][0], told["top_logprobs"][0]), (None, None))
        for k in range(3, len(ids)):
            # What the engine says of a token as the continuation of those before it.
            alone = self.fine(self.complete(prompt=[ids[:k]], logprobs=1, max_tokens=1, logit_bias={str(ids[k]): 100}))
            alone = alone["choices"][0]["logprobs"]
            self.assertAlmostEqual(told["token_logprobs"][k], alone["token_logprobs"][0], places=4)
            best = max(told["top_logprobs"][k].values())
            self.assertAlmostEqual(best, max(alone["top_logprobs"][0].values()), places=4)
        # The token more is told as well where it ends the answer.
        end = self.fine(self.server.get("/tokenizer_info"))["eos_token"]
        eos, = self.fine(self.server.post("/tokenize", {"prompt": end, "add_special_tokens": False}))["tokens"]
        ended = self.fine(self.complete(prompt=[ids], echo=True, logprobs=1, max_tokens=1, logit_bias={str(eos): 100}))["choices"][0]
        self.assertEqual(ended["finish_reason"], "stop")
        self.assertEqual([len(v) for v in ended["logprobs"].values()], [len(ids) + 1] * 4)
        self.assertEqual(ended["logprobs"]["token_logprobs"][:-1], told["token_logprobs"][:-1])
        only = self.fine(self.complete(prompt=[ids], echo=True, logprobs=1, max_tokens=0))
        self.assertEqual(only["choices"][0]["logprobs"]["token_logprobs"], told["token_logprobs"][:-1])
        self.assertEqual(only["usage"]["completion_tokens"], 0)
        text = self.fine(self.server.post("/detokenize", {"tokens": ids}))["prompt"]
        self.assertEqual(only["choices"][0]["text"], text)

    def test_prompt_logprobs_as_vllm_has_them(self):
        got = self.fine(self.complete(prompt="Once upon", prompt_logprobs=2, max_tokens=1))["choices"][0]["prompt_logprobs"]
        ids = self.fine(self.server.post("/tokenize", {"prompt": "Once upon"}))["tokens"]
        self.assertIsNone(got[0])
        self.assertEqual(len(got), len(ids))
        for entry, i in zip(got[1:], ids[1:]):
            self.assertIn(str(i), entry)
            self.assertGreaterEqual(len(entry), 2)
            self.assertEqual(min(e["rank"] for e in entry.values()), 1)
        self.assertEqual(len(self.fine(self.chat(prompt_logprobs=0))["prompt_logprobs"]), self.fine(self.chat())["usage"]["prompt_tokens"])
        self.refused(self.chat(prompt_logprobs=1, stream=True), 400, "prompt_logprobs")

    def test_seeds_repeat_and_choices_differ(self):
        hot = dict(temperature=1.5, seed=42, n=3, max_tokens=32)
        first, second = self.fine(self.chat(**hot)), self.fine(self.chat(**hot))
        texts = [c["message"]["content"] for c in first["choices"]]
        self.assertEqual(texts, [c["message"]["content"] for c in second["choices"]])
        self.assertGreater(len(set(texts)), 1)

    def test_biases_and_masks_choose_tokens(self):
        ids = self.fine(self.server.post("/tokenize", {"prompt": "a", "add_special_tokens": False}))["tokens"]
        forced = self.fine(self.complete(logit_bias={str(ids[0]): 100}, max_tokens=5))["choices"][0]["text"]
        self.assertEqual(forced, "aaaaa")
        forced = self.fine(self.complete(allowed_token_ids=ids, max_tokens=5))["choices"][0]["text"]
        self.assertEqual(forced, "aaaaa")
        stopped = self.fine(self.complete(logit_bias={str(ids[0]): 100}, stop_token_ids=ids))["choices"][0]
        self.assertEqual((stopped["text"], stopped["finish_reason"]), ("", "stop"))

    def test_numbers_are_taken_as_clients_write_them(self):
        hot = dict(temperature=1.5, seed=3)
        whole = self.fine(self.chat(**hot, n=2, max_tokens=5, top_k=20))
        self.assertEqual(self.fine(self.chat(temperature=1.5, seed=3.0, n=2.0, max_tokens=5.0, top_k=20.0))["choices"],
                         whole["choices"])
        ids = self.fine(self.server.post("/tokenize", {"prompt": "Once upon a time"}))["tokens"]
        text = self.fine(self.complete())["choices"][0]["text"]
        for prompt in ([float(i) for i in ids], [[float(i) for i in ids]]):
            self.assertEqual(self.fine(self.complete(prompt=prompt))["choices"][0]["text"], text)
        self.refused(self.complete(prompt=[1.5]), 400, "prompt", says="prompt[0] must be a token id")
        # Where nothing else is possible, as llama.cpp and LM Studio have them.
        best = self.fine(self.chat())["choices"]
        self.assertEqual(self.fine(self.chat(temperature=1.5, top_p=0))["choices"], best)
        self.refused(self.chat(top_p=-0.1), 400, "top_p", says="from 0 to 1")
        for field in ("max_tokens", "max_completion_tokens"):
            ends = self.fine(self.chat(**{"ignore_eos": True, "max_tokens": -1, field: -1}))
            self.assertEqual(ends["usage"]["total_tokens"], 2048)
            self.refused(self.chat(**{field: -2}), 400, field, says="from 1")
        self.refused(self.server.post("/v1/completions", b'{"prompt": "a", "seed": 18446744073709551616}'), 400, None,
                     "invalid_json", "line 1, column 44: the number has more than 64 bits")

    def test_bad_words_do_not_come(self):
        plain = self.fine(self.complete())["choices"][0]["text"]
        words = [w for w in plain.split(" ") if len(w) > 3][:2]
        for stream in (False, True):
            answer = self.complete(bad_words=words, stream=stream)
            self.assertNotIn("x-ignored-params", answer.headers)
            text = self.fine(answer)["choices"][0]["text"] if not stream else "".join(
                e["choices"][0]["text"] for e in answer.events())
            self.assertNotEqual(text, plain)
            for word in words:
                self.assertNotIn(word, text)
        for bad, left in (("abcd", "xabce"), ("abce", "xabcd")):
            held = self.complete(structured_outputs={"regex": "x(abcd|abce)"}, bad_words=[bad])
            self.assertEqual(self.fine(held)["choices"][0]["text"], left)
        self.refused(self.complete(structured_outputs={"choice": ["yes"]}, bad_words=["yes"]), 400, None, "invalid_argument", "forbidden words")
        self.refused(self.complete(bad_words=["a", ""]), 400, "bad_words[1]", says="empty")
        self.refused(self.complete(bad_words=["a b " * 40000]), 400, "bad_words", says="tokens")

    def test_cached_tokens_are_counted(self):
        long = [{"role": "user", "content": "a word " * 150}]
        self.fine(self.chat(messages=long, max_tokens=1))
        again = self.fine(self.chat(messages=long, max_tokens=1))
        self.assertGreater(again["usage"]["prompt_tokens_details"]["cached_tokens"], 64)

    def test_parts_of_text_and_newer_roles_are_taken(self):
        plain = self.fine(self.chat(messages=[{"role": "system", "content": "Be brief."}, *HELLO]))
        parts = self.fine(self.chat(messages=[{"role": "developer", "content": "Be brief."},
                                              {"role": "user", "content": [{"type": "text", "text": HELLO[0]["content"]}]}]))
        self.assertEqual(plain["choices"], parts["choices"])

    def test_the_client_of_the_phone_agent_is_served(self):
        got = self.server.post("/v1/chat/completions", {
            "model": "autoglm-phone-9b", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5,
            "temperature": 0.0, "stream": False}, Authorization="Bearer EMPTY")
        self.assertTrue(self.fine(got)["choices"])

    def test_a_whole_answer_ends_where_the_context_ends(self):
        got = self.fine(self.chat(max_tokens=100000, ignore_eos=True, messages=[{"role": "user", "content": "w " * 1900}]))
        self.assertEqual(got["choices"][0]["finish_reason"], "length")
        self.assertEqual(got["usage"]["total_tokens"], 2048)

    def test_long_prompts_are_refused_or_cut_as_asked(self):
        long = [{"role": "user", "content": "word " * 4000}]
        answer = self.chat(messages=long)
        self.refused(answer, 400, "messages", "context_length_exceeded", "this model's maximum context length is 2048 tokens")
        for how in ("left", "right", "middle"):
            cut = self.chat(messages=long, truncate_prompt=how, max_tokens=4)
            self.assertEqual(self.fine(cut)["usage"]["prompt_tokens"], 2044)
            self.assertRegex(cut.headers["x-prompt-truncated"], rf"^{how}; \d+ tokens left out$")

    def test_the_last_message_is_continued(self):
        begun = [*HELLO, {"role": "assistant", "content": "I am"}]
        rendered = self.fine(self.server.post("/apply-template", {"messages": begun, "continue_final_message": True}))
        self.assertTrue(rendered["prompt"].endswith("I am"), rendered)
        text = self.fine(self.complete(prompt=rendered["prompt"], add_special_tokens=False))["choices"][0]["text"]
        got = self.fine(self.chat(messages=begun, continue_final_message=True))
        self.assertEqual(got["choices"][0]["message"]["content"], text)

    def test_tools_reach_the_template_and_calls_are_looked_for(self):
        tools = [{"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}]
        plain = self.fine(self.chat())
        none = self.fine(self.chat(tools=tools, tool_choice="none"))
        self.assertEqual(none["choices"], plain["choices"])
        for stream in (False, True):
            self.assertEqual(self.chat(tools=tools, stream=stream).status, 200)
        for choice in ("maybe", {"type": "function", "function": {"name": "sub"}}, 5):
            self.refused(self.chat(tools=tools, tool_choice=choice), 400, "tool_choice")
        self.refused(self.chat(tool_choice="required"), 400, "tool_choice", says="needs tools")
        self.refused(self.chat(tools=[{"type": "function"}]), 400, "tools[0]")

    def test_answers_are_held_to_the_form_that_was_asked_for(self):
        schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 3, "maximum": 7},
                                                   "b": {"enum": ["x", "y"]}},
                  "required": ["a", "b"], "additionalProperties": False}
        hot = dict(temperature=1.5, seed=5, max_tokens=200)
        for stream in (False, True):
            def text(**k):
                answer = self.chat(stream=stream, **hot, **k)
                self.assertEqual(answer.status, 200, answer.body)
                if not stream:
                    return answer.json()["choices"][0]["message"]["content"]
                return "".join(e["choices"][0]["delta"].get("content", "") for e in answer.events())
            value = json.loads(text(response_format={"type": "json_schema",
                                                     "json_schema": {"name": "v", "strict": True, "schema": schema}}))
            self.assertTrue(3 <= value["a"] <= 7 and value["b"] in "xy" and len(value) == 2)
            self.assertEqual(json.loads(text(guided_json=schema)).keys(), {"a", "b"})
            self.assertRegex(text(structured_outputs={"regex": "[a-c]{3}-[0-9]{2}"}), r"^[a-c]{3}-[0-9]{2}$")
            self.assertIn(text(structured_outputs={"choice": ["yes", "no"]}), ("yes", "no"))
            self.assertEqual(text(guided_grammar='root ::= "ab" "c"'), "abc")
            self.assertEqual(text(grammar='root ::= "ab" "c"'), "abc")
            self.assertEqual(json.loads(text(json_schema=schema)).keys(), {"a", "b"})
        for part, says in (({"type": "nothing"}, "#/properties/a/type: expected"), ({"not": {}}, "#/properties/a/not: "),
                           ({"minLength": 2, "maxLength": 1}, "#/properties/a/minLength: it is above maxLength"),
                           ({"allOf": [{"type": "string"}, {"type": "null"}]}, "#/properties/a: no value fulfils it")):
            part = {"type": "object", "properties": {"a": part}, "required": ["a"]}
            self.refused(self.chat(response_format={"type": "json_schema", "json_schema": {"name": "v", "schema": part}}), 400,
                         "response_format.json_schema.schema", "invalid_grammar", says)
            tool = {"type": "function", "function": {"name": "f", "parameters": part}}
            self.refused(self.chat(tools=[ADD, tool], tool_choice="required"), 400, "tools[1].function.parameters",
                         "invalid_grammar", says)
        self.refused(self.chat(guided_regex="("), 400, "guided_regex", "invalid_grammar")
        self.refused(self.chat(json_schema={"type": "nothing"}), 400, "json_schema", "invalid_grammar", "#/type")

    def test_calls_can_be_forced(self):
        tools = [{"type": "function", "function": {"name": name, "parameters": {
            "type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"],
            "additionalProperties": False}}} for name in ("add", "sub")]
        hot = dict(tools=tools, temperature=1.2, seed=3, max_tokens=300, parallel_tool_calls=False)
        for choice in ("required", {"type": "function", "function": {"name": "sub"}}):
            whole = self.fine(self.chat(tool_choice=choice, **hot))["choices"][0]
            call, = whole["message"]["tool_calls"]
            self.assertEqual(whole["finish_reason"], "tool_calls")
            self.assertIn(call["function"]["name"], ("sub",) if choice != "required" else ("add", "sub"))
            self.assertIn(json.loads(call["function"]["arguments"])["n"], range(10))
            deltas = [e["choices"][0]["delta"] for e in self.chat(tool_choice=choice, stream=True, **hot).events()]
            parts = [c for d in deltas for c in d.get("tool_calls", [])]
            self.assertEqual(parts[0]["function"]["name"], call["function"]["name"])
            self.assertEqual("".join(p["function"]["arguments"] for p in parts), call["function"]["arguments"])

    def test_of_allowed_tools_the_others_are_left_out(self):
        other = {"type": "function", "function": {"name": "sub"}}
        got = self.fine(self.chat(tools=[other, ADD], max_tokens=60, tool_choice={
            "type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
                {"type": "function", "function": {"name": "add"}}]}}))
        alone = self.fine(self.chat(tools=[ADD], max_tokens=60, tool_choice="required"))
        calls, expected = (x["choices"][0]["message"]["tool_calls"] for x in (got, alone))
        self.assertEqual([c["function"] for c in calls], [c["function"] for c in expected])
        self.assertEqual(calls[0]["function"]["name"], "add")
        self.assertEqual(got["usage"]["prompt_tokens"], alone["usage"]["prompt_tokens"])

    def test_lists_of_tools_may_be_long(self):
        tools = [{"type": "function", "function": {"name": f"f{i}"}} for i in range(60000)]
        for allowed in (tools[1:], tools[-1:]):     # read within seconds; then there is no such model
            body = {"model": "none", "messages": HELLO, "tools": tools, "tool_choice": {
                "type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": allowed}}}
            self.refused(self.server.ask("POST", "/v1/chat/completions", body, seconds=20), 404, "model")

    def test_a_tool_at_fault_is_the_one_in_the_clients_own_list(self):
        def one(name, schema=None):
            return {"type": "function", "function": {"name": name, "parameters": schema or {"type": "object"}}}
        def allow(*tools):
            return {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": list(tools)}}
        bad = one("bad", {"type": "object", "properties": {"a": {"type": "nothing"}}, "required": ["a"]})
        tools = [one("sub"), ADD, one("mul"), bad, one("odd name")]
        self.refused(self.chat(tools=tools, tool_choice=allow(bad, ADD)), 400, "tools[3].function.parameters",
                     "invalid_grammar", "tools[3].function.parameters: #/properties/a/type: expected")
        self.refused(self.chat(tools=tools, tool_choice=allow(ADD, tools[4])), 400, "tools",
                     says="tools[4].function.name: expected")

    def test_what_was_refused_before_is_text_of_the_history(self):
        history = [HELLO[0], {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}, HELLO[0]]
        plain = [HELLO[0], {"role": "assistant", "content": "No."}, HELLO[0]]
        self.assertEqual(self.fine(self.server.post("/apply-template", {"messages": history})),
                         self.fine(self.server.post("/apply-template", {"messages": plain})))

    def test_forms_that_contradict_each_other_are_refused(self):
        self.refused(self.chat(response_format={"type": "json_object"}, guided_regex="a"), 400, "guided_regex", says="both")
        self.refused(self.chat(response_format={"type": "xml"}), 400, "response_format.type")
        self.refused(self.chat(structured_outputs={"xml": 1}), 400, "structured_outputs.xml")

    def test_long_bodies_are_read_beside_the_others(self):
        long = "word " * 100000
        count = self.fine(self.server.post("/tokenize", {"prompt": long}))["count"]
        self.assertGreater(count, 100000)
        self.refused(self.chat(messages=[{"role": "user", "content": long}]), 400, "messages", "context_length_exceeded")
        got = self.fine(self.chat(messages=[{"role": "user", "content": long}], truncate_prompt="left"))
        self.assertEqual(got["usage"]["prompt_tokens"], 2024)
        self.assertEqual(self.server.post("/v1/chat/completions", b"[" + b"1," * 200000 + b"1]").status, 400)
        # A client that leaves while its body is being read.
        for _ in range(5):
            connection = self.server.connect()
            connection.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"role": "user", "content": long}],
                                                                           "truncate_prompt": "right"}))
            connection.close()
        self.fine(self.chat())

    # ---- refusals

    def test_mistakes_are_400_and_name_the_field(self):
        for body, param, says in [
            ({"messages": "Hi"}, "messages", "must be a list"),
            ({"messages": []}, "messages", "empty"),
            ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", "robot"),
            ({"messages": [{"content": "x"}]}, "messages[0].role", "absent"),
            ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "must be a string"),
            ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}]},
             "messages[0].content[0]", "text only"),
            ({"messages": [{"role": "user", "contents": "Hi"}]}, "messages[0].content", "absent"),
            ({"messages": [{"role": "system", "content": None}] + HELLO}, "messages[0].content", "null"),
            ({"messages": HELLO, "tools": [{"type": "function", "function": {"name": "f", "parameters": "x"}}]},
             "tools[0].function.parameters", "JSON Schema"),
            ({"messages": HELLO, "tools": [ADD], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"tools": []}}},
             "tool_choice.allowed_tools", "mode"),
            ({"messages": HELLO, "tools": [ADD], "tool_choice": {"type": "allowed_tools", "allowed_tools": {
                "mode": "auto", "tools": [{"type": "function", "function": {"name": "g"}}]}}},
             "tool_choice.allowed_tools.tools", "names no tool"),
            ({"messages": HELLO, "temperature": "hot"}, "temperature", "number"),
            ({"messages": HELLO, "n": 0}, "n", "from 1"),
            ({"messages": HELLO, "logit_bias": {"x": 1}}, "logit_bias", "token id"),
            ({"messages": HELLO, "logit_bias": {"1": 101}}, "logit_bias", "-100 to 100"),
            ({"messages": HELLO, "stop": [""]}, "stop[0]", "0 bytes"),
            ({"messages": HELLO, "continue_final_message": True}, "continue_final_message", "assistant"),
            ({}, "messages", "missing"),
        ]:
            with self.subTest(body=str(body)[:80]):
                self.refused(self.server.post("/v1/chat/completions", body), 400, param, "invalid_argument", says)
        for body in (b"", b"{", b"[]", b"{\"a\": NaN}", b"{\"n\": 1, \"n\": 2}", b"\xff\xfe", b"[" * 100000):
            self.assertEqual(self.server.post("/v1/chat/completions", body).status, 400)
        self.refused(self.complete(suffix="x"), 400, "suffix", says="fill-in-the-middle")
        self.refused(self.complete(prompt=[[]]), 400, "prompt[0]")
        self.refused(self.complete(prompt=[[1, 99999999]]), 400, "prompt", says="99999999")
        self.refused(self.server.post("/v1/completions", b'{"prompt": "a\\u0000b"}'), 400, None, "invalid_json",
                     "NUL (\\u0000) is not accepted")
        self.refused(self.server.post("/v1/completions", b"x", **{"Content-Encoding": "gzip"}), 415, None,
                     "unsupported_encoding", "gzip")
        for soon in ("", "-5", "+5", "1.5", "soon", "0"):
            answer = self.server.post("/v1/chat/completions", {"messages": HELLO}, **{"X-Request-Timeout-Ms": soon})
            self.refused(answer, 400, None, says="whole number")
        answer = self.server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1},
                                  **{"X-Request-Timeout-Ms": "99999999999999999999"})
        self.fine(answer)

    def test_unknown_models_paths_and_verbs(self):
        self.refused(self.chat(model="gpt-4"), 404, "model", "model_not_found", "tiny")
        self.refused(self.server.get("/v1/nothing"), 404, None, "not_found")
        answer = self.server.get("/v1/chat/completions")
        self.refused(answer, 405, None, "method_not_allowed")
        self.assertEqual(answer.headers["allow"], "POST")

    def test_what_has_no_meaning_here_is_named(self):
        answer = self.chat(store=True, service_tier="auto", user="me", metadata={}, prediction=None)
        self.fine(answer)
        self.assertEqual(answer.headers["x-ignored-params"], "store, service_tier")

    def test_request_ids_are_kept(self):
        answer = self.server.post("/v1/chat/completions", {"messages": HELLO, "max_tokens": 1}, **{"X-Request-Id": "my-id"})
        self.assertEqual(answer.headers["x-request-id"], "my-id")
        self.assertEqual(answer.json()["id"], "chatcmpl-my-id")

    # ---- the rest

    def test_models_are_listed_and_described(self):
        listed = self.fine(self.server.get("/v1/models"))
        self.assertEqual([m["id"] for m in listed["data"]], ["tiny", "autoglm-phone-9b"])
        one = self.fine(self.server.get("/v1/models/autoglm-phone-9b"))
        self.assertEqual(one["root"], "tiny")
        self.assertEqual(one["max_model_len"], 2048)
        self.assertGreater(one["meta"]["n_params"], 0)
        ready = self.fine(self.server.get("/v1/models/tiny/ready"))
        self.assertEqual((ready["ready"], ready["phase"], ready["percent"]), (True, "ready", 100))
        self.refused(self.server.get("/v1/models/none"), 404, "model", "model_not_found")

    def test_probes_answer(self):
        for path in ("/health", "/livez", "/readyz", "/startupz", "/v2/health/live", "/v2/health/ready",
                     "/v2/models/tiny/ready", "/version"):
            self.fine(self.server.get(path))
            head = self.server.ask("HEAD", path)
            self.assertEqual((head.status, head.body), (200, b""))

    def test_starting_is_told_with_how_far_it_is(self):
        got = self.fine(self.server.get("/startupz"))
        self.assertEqual((got["status"], got["phase"], got["percent"], got["eta_s"]), ("started", "ready", 100, None))

    def test_tokens_there_and_back(self):
        text = "Grüße, 世界!"
        there = self.fine(self.server.post("/tokenize", {"prompt": text, "add_special_tokens": False,
                                                         "return_token_strs": True}))
        self.assertEqual(there["count"], len(there["tokens"]))
        self.assertEqual(len(there["token_strs"]), there["count"])
        self.assertEqual(self.fine(self.server.post("/detokenize", {"tokens": there["tokens"]}))["prompt"], text)
        rendered = self.fine(self.server.post("/apply-template", {"messages": HELLO}))["prompt"]
        self.assertIn(HELLO[0]["content"], rendered)
        count = self.fine(self.server.post("/tokenize", {"messages": HELLO}))["count"]
        self.assertEqual(count, self.fine(self.chat())["usage"]["prompt_tokens"])
        info = self.fine(self.server.get("/tokenizer_info"))
        self.assertTrue(info["eos_token"] and info["chat_template"])
        self.refused(self.server.post("/tokenize", {}), 400, "prompt")
        self.refused(self.server.post("/detokenize", {}), 400, "tokens")
        self.refused(self.server.post("/detokenize", {"tokens": [1, 99999999]}), 400, "tokens", says="tokens[1]")

    def test_embeddings_of_a_chat_model_are_refused(self):
        self.refused(self.server.post("/v1/embeddings", {"input": "x"}), 400, "model", says="embeddings")


class Templates(Case):
    def test_thoughts_are_counted_where_they_are_split_off_or_hidden(self):
        with Server("tiny-glm4-moe-q4_k") as server:
            def ask(how, **k):
                answer = server.post("/v1/chat/completions", {
                    "messages": HELLO, "temperature": 0, "max_tokens": 40, "reasoning_format": how,
                    "structured_outputs": {"regex": "<think>[a-c]{3}</think>[d-f]{3}"}, **k})
                self.assertEqual(answer.status, 200, answer.body)
                return answer

            def told(how):
                got = ask(how).json()
                message, usage = got["choices"][0]["message"], got["usage"]
                events = ask(how, stream=True, stream_options={"include_usage": True}).events()
                self.assertEqual(events[-1]["usage"]["completion_tokens_details"], usage["completion_tokens_details"])
                deltas = [e["choices"][0]["delta"] for e in events[:-1]]
                for field in ("content", "reasoning_content"):
                    self.assertEqual("".join(d.get(field) or "" for d in deltas), message.get(field, ""), how)
                return message, usage["completion_tokens_details"]["reasoning_tokens"]
            split, inline, hidden = told("split"), told("inline"), told("hidden")
            self.assertGreater(split[1], 0)
            self.assertEqual((split[1], 0), (hidden[1], inline[1]))
            self.assertEqual(split[0]["content"], hidden[0]["content"])
            self.assertNotIn("reasoning_content", hidden[0])
            self.assertEqual(f"<think>{split[0]['reasoning_content']}</think>{split[0]['content']}", inline[0]["content"])
            self.assertEqual(server.stop(), 0)

    def test_what_a_template_refuses_is_about_the_messages(self):
        template = self.write("strict.jinja", "{{ raise_exception('roles must alternate') }}")
        with Server(CHAT, "--chat-template", template) as server:
            answer = server.post("/v1/chat/completions", {"messages": HELLO})
            error = answer.json()["error"]
            self.assertEqual((answer.status, error["code"], error["param"]), (400, "template_error", "messages"))
            self.assertIn("roles must alternate", error["message"])
            self.assertEqual(server.stop(), 0)


class Long(Case):
    def test_long_prompts_are_cut_where_the_server_says_so(self):
        with Server(CHAT, "--set", "server.truncate_prompt=middle") as server:
            def ask(**k):
                return server.post("/v1/completions", {"prompt": "word " * 3000, "max_tokens": 8, **k})
            answer = ask()
            self.assertEqual((answer.status, answer.json()["usage"]["prompt_tokens"]), (200, 2040))
            self.assertRegex(answer.headers["x-prompt-truncated"], r"^middle; \d+ tokens left out$")
            self.assertTrue(ask(truncate_prompt="left").headers["x-prompt-truncated"].startswith("left"))
            self.assertEqual(ask(truncate_prompt="none").json()["error"]["code"], "context_length_exceeded")
            self.assertEqual(server.stop(), 0)


class Embeddings(Case):
    def test_they_end_in_time_and_by_their_id(self):
        with Server(EMBED, "--isa", "ref") as server:
            body = {"input": ["word " * 100] * 2048, "truncate": True}
            answer = server.post("/v1/embeddings", body, **{"X-Request-Timeout-Ms": "30"})
            self.assertEqual((answer.status, answer.json()["error"]["code"]), (504, "deadline_exceeded"))
            got = []
            thread = threading.Thread(target=lambda: got.append(
                server.post("/v1/embeddings", body, **{"X-Request-Id": "many"})))
            thread.start()
            while server.ask("DELETE", "/v1/requests/many").status != 200:
                self.assertTrue(thread.is_alive(), "it was over first")
            thread.join()
            self.assertEqual((got[0].status, got[0].json()["error"]["code"]), (499, "cancelled"))
            self.assertEqual(server.stop(), 0)

    def test_vectors_in_every_form(self):
        with Server(EMBED, "--model-name", "e") as server:
            def embed(**k):
                answer = server.post("/v1/embeddings", {"model": "e", **k})
                self.assertEqual(answer.status, 200, answer.body)
                return answer.json()
            one = embed(input="hello")["data"][0]["embedding"]
            self.assertAlmostEqual(sum(x * x for x in one), 1, places=5)
            two = embed(input=["hello", "world"], encoding_format="base64")
            raw = base64.b64decode(two["data"][0]["embedding"])
            self.assertEqual(list(struct.unpack(f"<{len(one)}f", raw)), [struct.unpack("f", struct.pack("f", x))[0] for x in one])
            self.assertEqual([d["index"] for d in two["data"]], [0, 1])
            self.assertGreater(two["usage"]["prompt_tokens"], 1)
            self.assertEqual(len(embed(input="hello", dimensions=8)["data"][0]["embedding"]), 8)
            ids = server.post("/tokenize", {"prompt": "hello"}).json()["tokens"]
            self.assertEqual(embed(input=ids)["data"][0]["embedding"], one)
            self.assertEqual(embed(input=[ids])["data"][0]["embedding"], one)
            for body in ({}, {"input": []}, {"input": ""}, {"input": 5}, {"input": "x", "dimensions": 99999},
                         {"input": "x", "encoding_format": "int8"}, {"input": "x " * 5000}):
                answer = server.post("/v1/embeddings", body)
                self.assertEqual(answer.status, 400, (body, answer.body))
            self.assertEqual(server.post("/v1/chat/completions", {"messages": HELLO}).status, 400)
            self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
