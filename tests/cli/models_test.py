#!/usr/bin/env python3
"""Names of models: adding, listing, using, verifying and removing them, and what goes wrong."""
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess

from cli import SOURCE, Case, gguf, main, run

SMALL = "tiny-llama3-q4_k"


def sha256(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


class Models(Case):
    def setUp(self):
        super().setUp()
        self.db = self.path("data/autoglm/models.db")
        self.env = {"XDG_DATA_HOME": self.path("data")}

    def models(self, *args):
        return self.succeeds("models", *args, env=self.env)

    def entries(self):
        return {e["name"]: e for e in self.models("list", "--json").json_lines()}

    def copy(self, name, to):
        shutil.copyfile(self.model(name), self.path(to))
        return self.path(to)

    def folder_model(self):
        """A folder that opens as a model: its files, and what their digest should be."""
        config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 8, "intermediate_size": 8,
                  "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "vocab_size": 4,
                  "rms_norm_eps": 1e-5, "max_position_embeddings": 16, "tie_word_embeddings": True}
        shapes = {"model.embed_tokens.weight": [4, 8], "model.norm.weight": [8]}
        for name, shape in (("input_layernorm", [8]), ("post_attention_layernorm", [8]), ("mlp.gate_proj", [8, 8]),
                            ("mlp.up_proj", [8, 8]), ("mlp.down_proj", [8, 8]), ("self_attn.q_proj", [8, 8]),
                            ("self_attn.k_proj", [8, 8]), ("self_attn.v_proj", [8, 8]), ("self_attn.o_proj", [8, 8])):
            shapes[f"model.layers.0.{name}.weight"] = shape
        head, at = {}, 0
        for name, shape in shapes.items():
            n = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
            head[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, at + n]}
            at += n
        text = json.dumps(head).encode()
        os.makedirs(self.path("hf/extra"))
        files = {"config.json": json.dumps(config).encode(), "extra/notes.txt": b"notes",
                 "model.safetensors": len(text).to_bytes(8, "little") + text + bytes(at)}
        for name, data in files.items():
            self.write(os.path.join("hf", name), data)
        self.write("hf/.hidden", b"not a part")
        lines = "".join(f"{len(d)}  {hashlib.sha256(d).hexdigest()}  {n}\n" for n, d in sorted(files.items()))
        return self.path("hf"), hashlib.sha256(lines.encode()).hexdigest()

    def test_a_name_is_added_used_shown_and_removed(self):
        path = self.copy(SMALL, "m.gguf")
        out = self.models("add", "glm-4-plus", path).out
        self.assertIn(f"glm-4-plus: {path} (llama, ", out)
        self.assertIn(sha256(path), out)
        entry = self.entries()["glm-4-plus"]
        self.assertEqual((entry["path"], entry["architecture"], entry["digest"], entry["bytes"], entry["state"]),
                         (path, "llama", sha256(path), os.path.getsize(path), "present"))
        self.assertRegex(entry["added"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        listed = self.models("list").out
        self.assertIn("glm-4-plus", listed)
        self.assertIn(path + "\n", listed)
        shown = self.models("show", "glm-4-plus").out
        for text in (path, "llama", sha256(path), "as registered"):
            self.assertIn(text, shown)
        self.assertEqual(self.models("show", "glm-4-plus", "--json").json(), entry)
        self.assertIn("no longer means", self.models("rm", "glm-4-plus").out)
        self.assertEqual(self.entries(), {})
        self.assertTrue(os.path.exists(path))

    def test_every_command_takes_a_name(self):
        path = self.copy(SMALL, "m.gguf")
        self.models("add", "org/llama:q4", path)
        m = ["-m", "org/llama:q4"]
        out = self.path("out")
        for args in (["run", *m, "-n", "2", "--raw", "Hello"], ["inspect", "org/llama:q4"], ["tokenize", *m, "Hello"],
                     ["bench", *m, "--tg", "2", "-r", "1"], ["quantize", *m, "--type", "q8_0", "-o", out],
                     ["eval", *m, "--against", "org/llama:q4", "-c", "16", "abc " * 40],
                     ["imatrix", *m, "-o", out, "-c", "16", "abc " * 40], ["embed", *m, "--pooling", "mean", "text"],
                     ["logits", *m, "--ids", "1 2", "-o", out], ["chat", *m, "-n", "1"]):
            with self.subTest(args[0]):
                r = self.succeeds(*args, env=self.env)
                self.assertNotIn("changed", r.err)
        self.succeeds("inspect", "org/llama:q4", "--registry", self.db)
        self.succeeds("inspect", "org/llama:q4", env={"AUTOGLM_REGISTRY": self.db})
        self.succeeds("tokenize", "x", env={**self.env, "AUTOGLM_MODEL": "org/llama:q4"})
        self.fails(1, "no such file or folder", "inspect", "org/llama:q4")

    def test_the_home_folder_is_the_last_resort(self):
        path = self.copy(SMALL, "m.gguf")
        env = {"XDG_DATA_HOME": "relative", "HOME": self.path("home")}
        self.succeeds("models", "add", "x", path, env=env)
        self.assertTrue(os.path.exists(self.path("home/.local/share/autoglm/models.db")))
        self.fails(2, "no place for the registry", "models", "list", env={"XDG_DATA_HOME": "", "HOME": ""})

    def test_a_path_that_exists_goes_before_a_name(self):
        self.models("add", "m.gguf", self.copy(SMALL, "m.gguf"))
        with open(self.path("text"), "w", encoding="utf-8") as f:
            f.write("no model")
        os.mkdir(self.path("sub"))
        os.rename(self.path("text"), self.path("sub/m.gguf"))
        old = os.getcwd()
        self.addCleanup(os.chdir, old)
        os.chdir(self.path("sub"))
        self.fails(1, "not a GGUF file", "inspect", "m.gguf", env=self.env)
        os.remove("m.gguf")
        self.succeeds("inspect", "m.gguf", env=self.env)

    def test_a_taken_name_is_replaced_only_with_force(self):
        first, second = self.copy(SMALL, "a.gguf"), self.copy("micro", "b.gguf")
        self.models("add", "x", first)
        self.fails(1, f"the name x is taken: it means {first}; --force replaces it", "models", "add", "x", second,
                   env=self.env)
        self.assertEqual(self.entries()["x"]["path"], first)
        self.models("add", "--force", "x", second)
        self.assertEqual(self.entries()["x"]["path"], second)

    def test_unknown_names_say_what_was_tried_and_what_is_near(self):
        self.models("add", "glm-4-plus", self.copy(SMALL, "m.gguf"))
        r = self.fails(1, "glm-4-plsu: no such file or folder, and the registry", "inspect", "glm-4-plsu", env=self.env)
        self.assertIn("near: glm-4-plus", r.err)
        self.assertIn(self.db, r.err)
        for action in ("show", "rm", "verify"):
            self.fails(1, 'has no name "glm-4-plsu"; near: glm-4-plus', "models", action, "glm-4-plsu", env=self.env,
                       hint="models list")
        self.fails(1, "no such file or folder, and there is no registry", "inspect", "glm-4-plus")

    def test_without_a_registry_there_are_no_names(self):
        self.assertEqual(self.models("list").out, "")
        self.assertEqual(self.models("verify").out, "")
        self.fails(1, "no name is registered yet", "models", "rm", "x", env=self.env)
        self.fails(1, "there is no registry", "models", "list", "--registry", self.path("absent.db"))
        self.assertFalse(os.path.exists(self.db))

    def test_what_is_no_model_or_no_name_is_not_added(self):
        path = self.copy("micro", "m.gguf")
        for name in ("/abs", "../x", "a b", "", "-", "x/", "é", "a" * 129):
            self.fails(1, "cannot name a model", "models", "add", name, path, env=self.env)
        self.fails(1, "/nonexistent", "models", "add", "x", "/nonexistent", env=self.env)
        self.fails(1, "not a GGUF file", "models", "add", "x", self.write("text", "hello hello hello"), env=self.env)
        self.fails(1, "config.json", "models", "add", "x", self.folder, env=self.env)
        self.assertFalse(os.path.exists(self.db))

    def test_wrong_usage(self):
        self.fails(2, "an argument is missing", "models")
        self.fails(2, "models add: an argument is missing", "models", "add", "x", hint="add NAME PATH")
        self.fails(2, "models list: too many arguments", "models", "list", "x")
        self.fails(2, 'models: expected one of add list show verify rm, found "remove"', "models", "remove")
        self.fails(2, "expected one of", "models", "lst", hint="did you mean list?")

    def test_changed_and_missing_files_are_told(self):
        path = self.copy(SMALL, "m.gguf")
        self.models("add", "x", path)
        os.utime(path, (1700000000, 1700000000))
        self.assertEqual(self.entries()["x"]["state"], "changed")
        for args in (["inspect", "x"], ["run", "-m", "x", "-n", "1", "--raw", "a"]):
            r = self.succeeds(*args, env=self.env)
            self.assertIn("its files have changed since they were registered", r.err)
        # The bytes are the same: verifying makes the warning go away.
        self.assertEqual(self.models("verify", "x").out, "x: ok\n")
        self.assertEqual(self.entries()["x"]["state"], "present")
        self.assertEqual(self.succeeds("inspect", "x", env=self.env).err, "")
        os.remove(path)
        self.assertEqual(self.entries()["x"]["state"], "missing")
        self.assertIn("(missing)", self.models("list").out)
        r = self.fails(1, 'model "x": ' + path, "inspect", "x", env=self.env)
        self.assertIn(self.db, r.err)

    def test_verify_compares_every_byte(self):
        path = self.copy(SMALL, "m.gguf")
        folder, digest = self.folder_model()
        self.models("add", "a", path)
        self.models("add", "b", folder)
        self.assertEqual(self.entries()["b"]["digest"], digest)
        self.assertEqual(self.models("verify").out, "a: ok\nb: ok\n")
        times = os.stat(path)
        with open(path, "r+b") as f:
            f.seek(-1, os.SEEK_END)
            last = f.read(1)
            f.seek(-1, os.SEEK_END)
            f.write(bytes([last[0] ^ 1]))
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        r = run("models", "verify", env=self.env)
        self.assertEqual(r.status, 1)
        self.assertIn(f"a: differs: registered is {self.entries()['a']['digest']}, found {sha256(path)}\n", r.out)
        self.assertIn("b: ok\n", r.out)
        r = run("models", "verify", "a", "--json", env=self.env)
        self.assertEqual((r.status, r.json()["ok"], r.json()["found"]), (1, False, sha256(path)))
        self.assertEqual(self.succeeds("models", "verify", "b", "--json", env=self.env).json()["reason"], None)
        os.remove(path)
        r = run("models", "verify", env=self.env)
        self.assertEqual(r.status, 1)
        self.assertIn(f"a: {path}: cannot open", r.out)

    def test_the_recipe_of_the_documents_gives_the_digest(self):
        folder, digest = self.folder_model()
        with open(os.path.join(SOURCE, "docs/models.md"), encoding="utf-8") as f:
            recipe = re.findall(r"```sh\n(.*?)```", f.read(), re.S)[-1]
        done = subprocess.run(["bash", "-c", recipe], cwd=folder, capture_output=True, text=True, check=True)
        self.assertEqual(done.stdout.split()[0], digest)

    def test_a_split_set_and_a_relative_path(self):
        for i in (1, 2, 3):
            self.copy(f"{SMALL}-split-0000{i}-of-00003", f"s-0000{i}-of-00003.gguf")
        old = os.getcwd()
        self.addCleanup(os.chdir, old)
        os.chdir(self.folder)
        self.models("add", "s", "s-00002-of-00003.gguf")
        os.chdir(old)
        parts = [self.path(f"s-0000{i}-of-00003.gguf") for i in (1, 2, 3)]
        lines = "".join(f"{os.path.getsize(p)}  {sha256(p)}  {os.path.basename(p)}\n" for p in parts)
        self.assertEqual(self.entries()["s"]["digest"], hashlib.sha256(lines.encode()).hexdigest())
        self.assertEqual(self.succeeds("inspect", "--json", "s", env=self.env).json()["files"], 3)

    def test_damaged_registries_are_told_from_others(self):
        path = self.copy("micro", "m.gguf")
        bad = self.write("bad.db", "this is not a database at all, but long enough to be looked at" * 20)
        for args in (["list"], ["add", "x", path], ["rm", "x"], ["show", "x"], ["verify"]):
            self.fails(1, "damaged or not a registry", "models", *args, "--registry", bad)
        other = self.path("other.db")
        with sqlite3.connect(other) as db:
            db.execute("CREATE TABLE t (a)")
        self.fails(1, "a database, but not a registry", "models", "list", "--registry", other)
        with sqlite3.connect(other) as db:
            db.execute("PRAGMA user_version=2")
        self.fails(1, "newer version", "models", "list", "--registry", other)
        self.fails(1, "not a regular file", "models", "list", "--registry", self.folder)
        self.fails(1, "as a name: registry", "inspect", "x", "--registry", bad)

    def test_hostile_entries_cannot_reach_the_terminal(self):
        self.models("add", "x", self.copy("micro", "m.gguf"))
        with sqlite3.connect(self.db) as db:
            db.execute("UPDATE models SET path = '/a' || char(27) || '[2J' || char(10)")
        out = self.models("list").out
        self.assertNotIn("\x1b", out)
        self.assertIn("/a\\x1b[2J\\n", out)
        self.assertNotIn("\x1b", self.models("list", "--json").out)
        with sqlite3.connect(self.db) as db:
            db.execute("UPDATE models SET name = char(27) || 'x'")
        self.fails(1, "damaged: an entry has no valid name", "models", "list", env=self.env)

    def test_a_model_with_an_odd_architecture_is_added(self):
        path = self.write("odd.gguf", gguf([("general.architecture", "\x1b[31m")], [("w", [32], 0, bytes(128))]))
        self.models("add", "odd", path)
        self.assertEqual(self.entries()["odd"]["architecture"], "")


if __name__ == "__main__":
    main()
