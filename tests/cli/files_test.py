#!/usr/bin/env python3
"""inspect, tokenize, logits, run and bench on tiny models, and what they say about bad files and bad input."""
import math
import os
import struct
import subprocess
import tempfile

from cli import BINARY, Case, environment, gguf, main, run

SMALL = "tiny-llama3-q4_k"


class Inspect(Case):
    def test_it_shows_the_shape_types_and_memory(self):
        out = self.succeeds("inspect", self.model(SMALL)).out
        for line in ("architecture   llama", "runs here      yes", "layers         2", "Q4_K_M", "4 query, 2 key/value"):
            self.assertIn(line, out)

    def test_json_holds_the_same_facts(self):
        o = self.succeeds("inspect", "--json", self.model(SMALL)).json()
        self.assertTrue(o["supported"])
        self.assertEqual((o["architecture"], o["layers"], o["heads"], o["kv_heads"]), ("llama", 2, 4, 2))
        self.assertEqual(o["file_bytes"], os.path.getsize(self.model(SMALL)))
        self.assertEqual(sum(t["parameters"] for t in o["tensors_by_type"]), o["parameters"])
        self.assertEqual(sum(t["bytes"] for t in o["tensors_by_type"]), o["tensor_bytes"])
        self.assertEqual(o["memory"][-1]["context"], o["context_length"])
        self.assertNotIn("tensors", o)

    def test_keys_tensors_and_template_are_listed_when_asked_for(self):
        o = self.succeeds("inspect", "--json", "--keys", "--tensors", "--template", self.model(SMALL)).json()
        self.assertEqual(len(o["tensors"]), sum(t["tensors"] for t in o["tensors_by_type"]))
        self.assertIn({"key": "general.architecture", "value": "llama"}, o["keys"])
        text = self.succeeds("inspect", "--keys", "--tensors", self.model(SMALL)).out
        self.assertIn("general.architecture = llama", text)
        self.assertIn("blk.0.attn_q.weight [", text)
        self.assertEqual(self.succeeds("inspect", "--template", self.model(SMALL)).out, o["template"] + "\n")

    def test_a_split_set_is_one_model(self):
        whole = self.succeeds("inspect", "--json", self.model(SMALL)).json()
        parts = self.succeeds("inspect", "--json", self.model(SMALL + "-split-00001-of-00003")).json()
        self.assertEqual(parts["files"], 3)
        self.assertEqual(parts["tensors_by_type"], whole["tensors_by_type"])

    def test_it_works_for_models_that_cannot_run_here(self):
        path = self.write("new.gguf", gguf([("general.architecture", "zebra"), ("zebra.block_count", 3)],
                                           [("blk.0.w", [32], 0, bytes(128))]))
        out = self.succeeds("inspect", path).out
        self.assertIn("architecture   zebra\n", out)
        self.assertIn("runs here      no: ", out)
        self.assertIn("layers         3\n", out)
        o = self.succeeds("inspect", "--json", path).json()
        self.assertFalse(o["supported"])
        self.assertIn("zebra", o["reason"])
        self.fails(1, "no chat template", "inspect", "--template", path)

    def test_hostile_names_cannot_reach_the_terminal(self):
        evil = "\x1b]0;owned\x07\x1b[2J\r\n\u202eevil\x9b31m"
        path = self.write("evil.gguf", gguf([("general.architecture", evil), ("general.name", evil.encode() + b"\xff\xfe"),
                                             (evil, evil), ("list", [evil]), ("tokenizer.chat_template", evil)],
                                            [(evil, [32], 0, bytes(128))]))
        for options in (["--keys", "--tensors"], ["--json", "--keys", "--tensors", "--template"]):
            r = self.succeeds("inspect", *options, path)
            for bad in ("\x1b", "\x07", "\r"):
                self.assertNotIn(bad, r.out)
        r = self.succeeds("inspect", "--keys", "--tensors", path)
        self.assertNotIn("\u202e", r.out)
        self.assertIn("\\x1b]0;owned\\x07", r.out)
        r = run("run", "-m", path, "hi")
        self.assertEqual(r.status, 1)
        self.assertNotIn("\x1b", r.err)

    def test_odd_files_end_in_an_answer_or_a_reason(self):
        odd = [f for f in sorted(os.listdir(os.path.dirname(self.model("micro")))) if f.startswith("odd-")]
        self.assertTrue(odd)
        for name in odd:
            r = run("inspect", "--keys", "--tensors", os.path.join(os.path.dirname(self.model("micro")), name))
            self.assertIn(r.status, (0, 1), name)
            self.assertEqual(r.status == 1, r.err.startswith("autoglm: "), name)

    def test_bad_files_are_told_from_each_other(self):
        with open(self.model("micro"), "rb") as f:
            whole = f.read()
        self.fails(1, "/nonexistent: cannot open: No such file", "inspect", "/nonexistent")
        self.fails(1, "is a directory", "inspect", self.folder)
        self.fails(1, "is empty", "inspect", self.write("empty", b""))
        self.fails(1, "not a GGUF file", "inspect", self.write("text", b"hello, this is no model at all"))
        self.fails(1, "truncated", "inspect", self.write("cut", whole[:-100]))
        self.fails(1, "truncated", "inspect", self.write("cut", whole[:1000]))
        self.fails(1, "version", "inspect", self.write("v9", whole[:4] + struct.pack("<I", 9) + whole[8:]))


class Quantize(Case):
    def quantize(self, model, kind, *options):
        out = self.path(kind + ".gguf")
        o = self.succeeds("quantize", "--json", "-m", model, "--type", kind, "-o", out, *options).json()
        self.assertEqual(o["bytes"], os.path.getsize(out))
        self.assertEqual([f for f in os.listdir(self.folder) if "partial" in f], [])
        return out, o

    def types(self, path):
        return {t["name"]: t["type"] for t in self.succeeds("inspect", "--json", "--tensors", path).json()["tensors"]}

    def test_matrices_change_and_norms_do_not(self):
        out, o = self.quantize(self.model("tiny-llama3-f32"), "q8_0")
        types = self.types(out)
        self.assertEqual(types["blk.0.attn_q.weight"], "Q8_0")
        self.assertEqual(types["blk.0.attn_norm.weight"], "F32")
        self.assertLess(o["bytes"], o["bytes_before"])
        self.assertEqual(self.succeeds("inspect", "--json", out).json()["quantisation"], "Q8_0")
        self.assertEqual(run("run", "-m", out, "-n", "4", "--raw", "Hello").status, 0)

    def test_copying_joins_a_split_set(self):
        whole, _ = self.quantize(self.model(SMALL), "copy")
        self.assertEqual(self.succeeds("inspect", "--json", whole).json()["quantisation"], "Q4_K_M")
        joined = self.path("joined.gguf")
        self.succeeds("quantize", "-m", self.model(SMALL + "-split-00001-of-00003"), "--type", "COPY", "-o", joined)
        self.assertEqual(self.types(whole), self.types(self.model(SMALL)))
        self.assertEqual(self.types(joined), self.types(whole))
        o = self.succeeds("inspect", "--json", joined).json()
        self.assertEqual(o["files"], 1)

    def test_float_types_go_there_and_back(self):
        f16, _ = self.quantize(self.model("tiny-llama3-f32"), "f16")
        f32 = self.path("back.gguf")
        self.succeeds("quantize", "-m", f16, "--type", "f32", "-o", f32, "-q")
        again = self.path("again.gguf")
        self.succeeds("quantize", "-m", f32, "--type", "f16", "-o", again, "-t", "2")
        with open(f16, "rb") as a, open(again, "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_quantising_twice_is_told(self):
        r = self.succeeds("quantize", "-m", self.model(SMALL), "--type", "q8_0", "-o", self.path("o.gguf"))
        self.assertIn("quantised already", r.err)

    def test_mistakes_are_told(self):
        model, out = self.model(SMALL), self.path("out.gguf")
        self.fails(2, "--type TYPE is missing", "quantize", "-m", model, "-o", out)
        self.fails(2, "--out FILE is missing", "quantize", "-m", model, "--type", "q8_0")
        self.fails(2, 'q8_0, q4_0', "quantize", "-m", model, "--type", "q9", "-o", out)
        self.fails(1, "cannot create", "quantize", "-m", model, "--type", "q8_0", "-o", self.path("no/out.gguf"))
        self.fails(1, "choose another name", "quantize", "-m", model, "--type", "copy", "-o", model)
        self.assertFalse(os.path.exists(out))


class Eval(Case):
    TEXT = "The quick brown fox jumps over the lazy dog, and the dog does not mind. " * 3
    CTX = 16

    def evaluate(self, *options, model=SMALL):
        return self.succeeds("eval", "--json", "-q", "-m", self.model(model), "-c", str(self.CTX), *options, self.TEXT).json()

    def test_perplexity_is_that_of_the_second_halves_of_windows(self):
        ids = self.succeeds("tokenize", "-m", self.model(SMALL), "--json", self.TEXT).json()["ids"]
        bos, nlls = ids[0], []
        for at in range(0, len(ids) - self.CTX + 1, self.CTX):
            window = [bos] + ids[at + 1:at + self.CTX]
            out = self.path("logits.f32")
            self.succeeds("logits", "-m", self.model(SMALL), "--ids", " ".join(map(str, window)), "--out", out)
            with open(out, "rb") as f:
                data = f.read()
            n = len(data) // 4 // self.CTX
            for i in range(self.CTX // 2, self.CTX - 1):
                row = struct.unpack(f"<{n}f", data[4 * n * i:4 * n * (i + 1)])
                nlls.append(math.log(sum(math.exp(x - max(row)) for x in row)) + max(row) - row[window[i + 1]])
        o = self.evaluate()
        mean = sum(nlls) / len(nlls)
        error = math.sqrt(sum((x - mean) ** 2 for x in nlls) / len(nlls) / (len(nlls) - 1))
        self.assertEqual((o["tokens"], o["windows"]), (len(nlls), len(ids) // self.CTX))
        self.assertAlmostEqual(o["nll"], mean, places=4)
        self.assertAlmostEqual(o["perplexity_error"], math.exp(mean) * error, delta=1e-3 * o["perplexity"])

    def test_figures_do_not_depend_on_threads_and_chunks(self):
        a = self.evaluate("-t", "1", "--batch-tokens", "512")
        b = self.evaluate("-t", "3", "--batch-tokens", "64")
        self.assertEqual(a["nll"], b["nll"])

    def test_a_model_does_not_diverge_from_itself(self):
        o = self.evaluate("--against", self.model(SMALL), "--windows", "1")
        self.assertEqual(o["windows"], 1)
        self.assertEqual((o["against"]["kl_max"], o["against"]["same_top"]), (0.0, 1.0))
        self.assertEqual(o["against"]["perplexity"], o["perplexity"])

    def test_coarser_weights_diverge_more(self):
        kl = []
        for kind in ("q8_0", "q4_0"):
            o = self.evaluate("--against", self.model("tiny-llama3-f32"), model="tiny-llama3-" + kind)
            kl.append(o["against"]["kl_mean"])
        self.assertGreater(kl[0], 0)
        self.assertGreater(kl[1], kl[0])

    def test_mistakes_are_told(self):
        m = ("eval", "-m", self.model(SMALL))
        self.fails(1, "one window needs 512", *m, "too short")
        self.fails(2, "--ctx is at least 4", *m, "-c", "3", "text")
        self.fails(1, "vocabularies differ", *m, "-c", "16", "--against", self.model("tiny-gemma3-q4_k"), self.TEXT)


class Imatrix(Case):
    def test_importances_are_measured_and_named_by_tensor(self):
        out = self.path("tiny.imatrix")
        o = self.succeeds("imatrix", "--json", "-m", self.model("tiny-qwen3-moe-f32"), "-c", "16", "-o", out, Eval.TEXT).json()
        file = self.succeeds("inspect", "--json", "--keys", "--tensors", out).json()
        keys = {k["key"]: k["value"] for k in file["keys"]}
        self.assertEqual((keys["general.type"], keys["imatrix.chunk_size"], keys["imatrix.chunk_count"]),
                         ("imatrix", 16, o["windows"]))
        names = [t["name"] for t in file["tensors"]]
        self.assertEqual(len(names), 2 * o["matrices"])
        for name in ("blk.0.attn_q.weight.in_sum2", "blk.1.ffn_down_exps.weight.counts", "output.weight.in_sum2"):
            self.assertIn(name, names)
        tied = self.path("tied.imatrix")
        self.succeeds("imatrix", "-m", self.model("tiny-gemma3-f32"), "-c", "16", "-o", tied, Eval.TEXT)
        names = [t["name"] for t in self.succeeds("inspect", "--json", "--tensors", tied).json()["tensors"]]
        self.assertIn("token_embd.weight.in_sum2", names)
        self.assertNotIn("output.weight.in_sum2", names)

    def test_quantising_uses_them(self):
        file, model = self.path("i.gguf"), self.model("tiny-llama3-f32")
        self.succeeds("imatrix", "-m", model, "-c", "16", "-o", file, Eval.TEXT)
        kl, bytes_of = {}, {}
        for name, options in (("plain", []), ("weighted", ["--imatrix", file]), ("again", ["--imatrix", file, "-t", "3"])):
            out = self.path(name)
            o = self.succeeds("quantize", "--json", "-m", model, "--type", "q4_0", "-o", out, *options).json()
            self.assertEqual(o["weighted_tensors"] > 0, bool(options))
            e = self.succeeds("eval", "--json", "-q", "-m", out, "--against", model, "-c", "16", Eval.TEXT).json()
            kl[name] = e["against"]["kl_mean"]
            with open(out, "rb") as f:
                bytes_of[name] = f.read()
        self.assertLess(kl["weighted"], kl["plain"])
        self.assertEqual(bytes_of["weighted"], bytes_of["again"])
        self.fails(1, "another model", "quantize", "-m", self.model("tiny-gemma3-f32"), "--imatrix", file, "--type", "q4_0",
                   "-o", self.path("no"))
        self.fails(1, "holds no importances", "quantize", "-m", model, "--imatrix", model, "--type", "q4_0",
                   "-o", self.path("no"))

    def test_mistakes_are_told(self):
        m = ("imatrix", "-m", self.model(SMALL))
        self.fails(2, "--out FILE is missing", *m, "text")
        self.fails(1, "one window needs 512", *m, "-o", self.path("x"), "text")
        self.assertEqual(os.listdir(self.folder), [])


class Tokenize(Case):
    TEXT = "Hello, wörld 你好 <|eot_id|>"

    def test_ids_decode_to_the_text(self):
        for name in (SMALL, "tiny-gemma3-q8_0", "tiny-qwen2-q8_0"):
            ids = self.succeeds("tokenize", "-m", self.model(name), "--ids", "--no-bos", self.TEXT).out
            back = self.succeeds("tokenize", "-m", self.model(name), "--decode", ids.strip(), "--special").out
            self.assertEqual(back.strip(), self.TEXT)

    def test_argument_file_and_standard_input_are_the_same(self):
        args = ["tokenize", "-m", self.model(SMALL), "--json"]
        by_argument = self.succeeds(*args, self.TEXT).json()
        self.assertEqual(by_argument["n"], len(by_argument["ids"]))
        self.assertEqual(len(by_argument["tokens"]), by_argument["n"])
        self.assertEqual(self.succeeds(*args, stdin=self.TEXT.encode()).json(), by_argument)
        self.assertEqual(self.succeeds(*args, "-f", self.write("t", self.TEXT)).json(), by_argument)
        self.assertEqual(self.succeeds(*args, "-f", "-", stdin=self.TEXT.encode()).json(), by_argument)

    def test_control_tokens_count_only_when_asked_for(self):
        args = ["tokenize", "-m", self.model(SMALL), "--no-bos", "--json", "<|eot_id|>"]
        self.assertGreater(self.succeeds(*args).json()["n"], 1)
        self.assertEqual(self.succeeds(*args, "--special").json()["n"], 1)

    def test_the_table_has_a_line_a_token(self):
        n = self.succeeds("tokenize", "-m", self.model(SMALL), "--json", self.TEXT).json()["n"]
        self.assertEqual(len(self.succeeds("tokenize", "-m", self.model(SMALL), self.TEXT).out.splitlines()), n)

    def test_empty_text_gives_no_tokens(self):
        self.assertEqual(self.succeeds("tokenize", "-m", self.model(SMALL), "--no-bos", "--ids").out, "\n")

    def test_bad_input_is_refused(self):
        m = ["tokenize", "-m", self.model(SMALL)]
        self.fails(1, "text: invalid UTF-8 at byte 3 (0xff)", *m, stdin=b"abc\xff", hint="iconv")
        self.fails(1, "past the vocabulary", *m, "--decode", "99999999")
        self.fails(2, '--decode: expected token ids, found "-1"', *m, "--decode", "-1")
        self.fails(1, "No such file", *m, "-f", "/nonexistent")
        no_tokenizer = self.write("bare.gguf", gguf([("general.architecture", "llama")]))
        self.fails(1, "tokenizer", "tokenize", "-m", no_tokenizer, "hi")


class Logits(Case):
    def test_the_file_holds_a_row_for_each_token(self):
        for name in (SMALL, "micro"):
            out = self.path("l.f32")
            o = self.succeeds("logits", "-m", self.model(name), "--ids", "1, 5 7", "-o", out, "--json").json()
            self.assertEqual(o["tokens"], 3)
            self.assertEqual(os.path.getsize(out), 4 * 3 * o["vocabulary"])

    def test_text_and_its_ids_give_the_same(self):
        ids = self.succeeds("tokenize", "-m", self.model(SMALL), "--ids", "Hello there").out.strip()
        self.succeeds("logits", "-m", self.model(SMALL), "--ids", ids, "-o", self.path("a"))
        self.succeeds("logits", "-m", self.model(SMALL), "--text", "Hello there", "-o", self.path("b"), "-t1")
        with open(self.path("a"), "rb") as a, open(self.path("b"), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_nothing_is_written_when_it_fails(self):
        m = ["logits", "-m", self.model("micro"), "--out", self.path("l")]
        self.fails(1, "", *m, "--ids", "1 99999")
        self.fails(1, "no tokens", *m, "--ids", "")
        self.fails(1, "do not fit into a context", *m, "--ids", "1 " * 100)
        self.fails(1, "invalid UTF-8", *m, "--text", b"a\xff")
        self.fails(1, "/nonexistent/l", "logits", "-m", self.model("micro"), "--ids", "1", "--out", "/nonexistent/l")
        self.assertEqual(os.listdir(self.folder), [])


class Run(Case):
    ARGS = ["--temp", "0", "-n", "8", "--ignore-eos", "-c", "512"]

    def test_json_holds_text_finish_usage_and_timings(self):
        o = self.succeeds("run", "-m", self.model(SMALL), *self.ARGS, "--json", "Hello").json()
        self.assertEqual(o["finish"], "length")
        self.assertEqual(o["usage"]["completion_tokens"], 8)
        self.assertEqual(o["usage"]["total_tokens"], 8 + o["usage"]["prompt_tokens"])
        self.assertGreater(o["timings"]["prefill_tok_s"], 0)
        self.assertGreater(o["timings"]["load_ms"], 0)

    def test_every_way_of_giving_the_prompt_is_the_same(self):
        args = ["run", "-m", self.model(SMALL), *self.ARGS, "-q"]
        one = self.succeeds(*args, "Hello")
        self.assertEqual(one.err, "")
        self.assertEqual(self.succeeds(*args, stdin=b"Hello").raw, one.raw)
        self.assertEqual(self.succeeds(*args, stdin=b"Hello\n").raw, one.raw)
        self.assertEqual(self.succeeds(*args, "-f", self.write("p", "Hello")).raw, one.raw)
        r = self.succeeds("run", *self.ARGS, "-q", "Hello", env={"AUTOGLM_MODEL": self.model(SMALL)})
        self.assertEqual(r.raw, one.raw)

    def test_the_speed_line_goes_to_standard_error(self):
        r = self.succeeds("run", "-m", self.model(SMALL), *self.ARGS, "Hello")
        self.assertRegex(r.err, r"^\[prompt \d+ tokens.* tok/s; answer 8 tokens, .* tok/s; first token after .* s\]\n$")

    def test_the_template_is_used_unless_raw(self):
        count = {}
        for how in ([], ["--raw"], ["--system", "Be brief."]):
            o = self.succeeds("run", "-m", self.model(SMALL), *self.ARGS, *how, "--json", "Hello").json()
            count[tuple(how)] = o["usage"]["prompt_tokens"]
        self.assertLess(count[("--raw",)], count[()])
        self.assertLess(count[()], count[("--system", "Be brief.")])

    def test_a_template_file_replaces_the_models(self):
        template = self.write("t.jinja", "{% for m in messages %}{{ m.content }}{% endfor %}")
        o = self.succeeds("run", "-m", self.model(SMALL), *self.ARGS, "--chat-template", template, "--json", "Hello").json()
        raw = self.succeeds("run", "-m", self.model(SMALL), *self.ARGS, "--raw", "--json", "Hello").json()
        self.assertLessEqual(o["usage"]["prompt_tokens"], raw["usage"]["prompt_tokens"])
        bad = self.write("bad.jinja", "{% for m in %}")
        self.fails(1, "", "run", "-m", self.model(SMALL), "--chat-template", bad, "Hello")
        self.fails(1, "No such file", "run", "-m", self.model(SMALL), "--chat-template", "/nonexistent", "Hello")
        self.fails(1, "invalid UTF-8", "run", "-m", self.model(SMALL), "--chat-template", self.write("x", b"\xff"), "Hello")

    def test_the_same_seed_gives_the_same_answer(self):
        args = ["run", "-m", self.model(SMALL), "-n", "16", "--ignore-eos", "-c", "512", "--temp", "2", "-q", "Hello"]
        one = self.succeeds(*args, "--seed", "7").raw
        self.assertEqual(self.succeeds(*args, "--seed", "7", "-t1").raw, one)
        self.assertNotEqual(self.succeeds(*args, "--seed", "8").raw, one)

    def test_every_sampling_option_is_accepted(self):
        self.succeeds("run", "-m", self.model(SMALL), "-n", "8", "-c", "512", "-q", "--temp=0.8", "--top-k=20", "--top-p=0.9",
                      "--min-p=0.02", "--typical=0.9", "--repeat-penalty=1.1", "--repeat-last-n=-1", "--frequency-penalty=0.5",
                      "--presence-penalty=-0.5", "-s1", "--mirostat=2", "--mirostat-tau=4", "--mirostat-eta=0.2",
                      "--dry-multiplier=0.8", "--dry-base=1.5", "--dry-allowed-length=3", "--dry-last-n=100",
                      "--dry-breaker=x", "--xtc-probability=0.1", "--xtc-threshold=0.2", "--logit-bias=5=-inf",
                      "--logit-bias=6=1.5", "--stop=zzz", "--ignore-eos", "Hello")

    def test_a_forbidden_token_never_comes_and_a_stop_text_ends(self):
        args = ["run", "-m", self.model(SMALL), *self.ARGS, "--raw", "--json", "Hello"]
        text = self.succeeds(*args).json()["text"]
        self.assertTrue(text)
        o = self.succeeds(*args, "--stop", text[0]).json()
        self.assertEqual((o["finish"], o["text"]), ("stop", ""))

    def test_every_way_of_loading_works(self):
        for options in (["--kv-type", "q8_0"], ["--kv-type", "f32"], ["--dtype", "f32"], ["--quantize", "int8"], ["--isa", "ref"], ["-t", "1"],
                        ["--device-map", "*=cpu"], ["--numa", "off"], ["--batch-tokens", "4"], ["--memory-fraction", "0.5"]):
            self.succeeds("run", "-m", self.model(SMALL), *self.ARGS, "-q", *options, "Hello")

    def test_verbose_shows_the_memory_arithmetic(self):
        r = self.succeeds("run", "-m", self.model(SMALL), *self.ARGS, "-v", "-q", "Hello")
        self.assertRegex(r.err, r"autoglm: memory: weights .* KV .* budget ")
        self.assertRegex(r.err, r"autoglm: devices: token_embd=cpu,0-\d+=cpu,output_norm=cpu,output=cpu\n")
        self.assertRegex(r.err, r"autoglm: numa: pages .*\n")

    def test_bad_input_is_told_with_its_reason(self):
        m = ["run", "-m", self.model(SMALL)]
        self.fails(1, "prompt: invalid UTF-8 at byte 1 (0xff)", *m, stdin=b"a\xff", hint="iconv")
        self.fails(1, "--system: invalid UTF-8", *m, "--system", b"\xff", "hi")
        self.fails(1, "No such file", *m, "-f", "/nonexistent")
        self.fails(1, "100000000", *m, "--dtype", "f32", "--memory-fraction", "0.01", "-c", "100000000", "hi",
                   hint="--memory-fraction")
        self.fails(1, "tokens", *m, "-c", "16", "word " * 100, hint="--ctx")
        self.fails(1, "device_map: cuda:0 is not present; present: cpu", *m, "--device-map", "cuda:0", "hi")
        self.fails(1, "zero byte", *m, stdin=b"a\0b")
        self.fails(2, "the prompt is empty", *m)

    def test_a_closed_pipe_ends_the_answer_quietly(self):
        done = subprocess.run(["bash", "-c", '"$0" run -m "$1" --ignore-eos -q --temp 2 hi | head -c 20 >/dev/null; '
                               'echo "${PIPESTATUS[0]}"', BINARY, self.model(SMALL)],
                              capture_output=True, text=True, timeout=120, env=environment())
        self.assertEqual((done.stdout, done.stderr), ("0\n", ""))


class Bench(Case):
    ARGS = ["--reps", "1", "--json"]

    def bench(self, *args):
        lines = self.succeeds("bench", "-m", self.model(SMALL), *self.ARGS, *args).json_lines()
        head, rows = lines[0], lines[1:]
        self.assertGreater(head["limits"]["memory_gb_s"], 0)
        self.assertGreater(head["limits"]["int8_gop_s"], 0)
        self.assertGreater(head["limits"]["float_gop_s"], 0)
        for row in rows:
            self.assertGreater(row["tok_s"], 0)
            self.assertGreater(row["share"], 0)
        return head, rows

    def test_one_test_ends_in_an_object_with_its_speed(self):
        head, rows = self.bench("-t", "1", "--pp", "40", "--depth", "0")
        self.assertEqual((head["threads"], [r["test"] for r in rows]), (1, ["pp40"]))
        self.assertEqual([r["test"] for r in self.bench("--tg", "9", "--depth", "33")[1]], ["tg9@33"])
        self.assertEqual([r["test"] for r in self.bench("--pp", "9", "--tg", "3")[1]], ["pp9", "tg3"])

    def test_batches_give_both_speeds(self):
        for names in (["--npp", "20", "--ntg", "8"], ["--pp", "20", "--tg", "8"]):
            _, rows = self.bench("--batch", "3", *names)
            self.assertEqual([r["test"] for r in rows], ["batch3 20+8"])
            self.assertGreater(rows[0]["prefill_tok_s"], 0)

    def test_the_table_is_for_people(self):
        r = self.succeeds("bench", "-m", self.model(SMALL), "--reps", "1", "--tg", "4")
        self.assertRegex(r.out, r"(?m)^machine +memory [\d.]+ GB/s")
        self.assertRegex(r.out, r"(?m)^tg4 +[\d.]+ .*% of ")

    def test_the_use_of_experts_is_shown(self):
        moe = ("bench", "-m", self.model("tiny-qwen3-moe-f32"), "--reps", "1", "--pp", "32")
        experts = self.succeeds(*moe, "--json").json_lines()[-1]["experts"]
        self.assertEqual(experts["n"] % self.succeeds("inspect", "--json", moe[2]).json()["experts"], 0)
        self.assertTrue(0 <= experts["idle"] < experts["n"] and 1 <= experts["busiest"] <= experts["n"], experts)
        self.assertRegex(self.succeeds(*moe, "-v").err, r"experts: \d+ of \d+ had nothing to do; the busiest \(layer ")
        self.assertNotIn("experts", self.bench("--pp", "9")[1][0])

    def peers(self, script):
        """A folder as of a build of llama.cpp; its programs are this script."""
        folder = os.path.join(tempfile.mkdtemp(dir=self.folder), "build", "bin")
        os.makedirs(folder)
        for name in ("llama-bench", "llama-batched-bench"):
            with open(os.path.join(folder, name), "w") as f:
                f.write("#!/bin/sh\n" + script)
            os.chmod(f.name, 0o755)
        return os.path.dirname(os.path.dirname(folder))

    def test_a_peer_is_measured_in_turns(self):
        asked = self.path("asked")
        peers = self.peers(f'echo "$0 $*" >>{asked}; echo loading >&2; echo \'{{"avg_ts": 12.5, "speed_tg": 50, "speed_pp": 75}}\'')
        _, rows = self.bench("-t", "1", "--peers", peers, "--tg", "9", "--depth", "33", "-r", "2")
        self.assertEqual(rows[0]["peer_tok_s"], 12.5)
        self.assertAlmostEqual(rows[0]["times"], rows[0]["tok_s"] / 12.5, delta=0.01)
        self.assertEqual(self.bench("-t", "1", "--peers", peers, "--batch", "3", "--npp", "20", "--ntg", "8")[1][0]["peer_tok_s"], 50)
        with open(asked) as f:
            lines = [line.replace(peers + "/build/bin/", "") for line in f.read().splitlines()]
        one = f"llama-bench -m {self.model(SMALL)} -t 1 -p 0 -n 9 -d 33 -r 1 -o jsonl"
        self.assertEqual(lines, [one, one, f"llama-batched-bench -m {self.model(SMALL)} -t 1 -c 84 -npp 20 -ntg 8 -npl 3 "
                                           "--output-format jsonl"])
        table = self.succeeds("bench", "-m", self.model(SMALL), "-r", "1", "--tg", "4", "--peers", peers).out
        self.assertRegex(table, r"(?m)^test .* llama.cpp +times ")

    def test_what_is_wrong_with_a_peer_is_said(self):
        bench = ("bench", "-m", self.model(SMALL), "-r", "1", "--tg", "4", "--peers")
        self.fails(1, "no program llama-bench in /nowhere", *bench, "/nowhere")
        for script, said in (("echo it is too old; exit 3", "failed: it is too old"), ("echo '{}'", "told no speed; it said: {}")):
            r = run(*bench, self.peers(script))
            self.assertEqual(r.status, 1)
            self.assertIn(said, r.err)
        self.fails(2, "as it is", *bench, self.peers(""), "--quantize", "q8_0")

    def test_the_usual_table_keeps_to_the_context(self):
        lines = self.succeeds("bench", "-m", self.model("micro"), *self.ARGS).json_lines()
        self.assertEqual(len(lines), 1, "no usual test fits into a context of 64")


if __name__ == "__main__":
    main()
