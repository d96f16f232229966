#!/usr/bin/env python3
"""docs/adding-a-model.md, done: the program built from the patched sources runs the page's family.

    adding_a_model_test.py ORACLE PATCHED_ORACLE GOLDEN_SCRIPTS WORK_DIRECTORY

A tiny Qwen2 whose tensors and keys bear Seed-OSS's names is the same function, so both must answer alike.
"""
import os
import subprocess
import sys
import unittest

ORACLE, PATCHED, SCRIPTS, WORK = sys.argv[1:5]
sys.path.insert(0, SCRIPTS)
import gguf_file  # noqa: E402
import make_models  # noqa: E402
import safetensors_file  # noqa: E402
import tiny_models  # noqa: E402

QUESTIONS = "nll 5 9 200 31 77 4 18 260\ngreedy 12 5 9 200 31\n"


def write(path, keys, tensors):
    with open(path, "wb") as f:
        f.write(gguf_file.encode(keys, tensors))
    return path


def ask(program, model):
    return subprocess.run([program, model, "--dtype", "f32", "--threads", "1"], input=QUESTIONS, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)


class AddingAModel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.makedirs(WORK, exist_ok=True)
        keys, tensors = make_models.build("tiny-qwen2", tiny_models.table()["tiny-qwen2"], "f32")
        cls.qwen = write(os.path.join(WORK, "qwen2.gguf"), keys, tensors)
        keys = [(k.replace("qwen2.", "seed_oss.", 1) if k.startswith("qwen2.") else k, kind,
                 "seed_oss" if k == "general.architecture" else v) for k, kind, v in keys]
        tensors = [(name.replace(".ffn_norm.", ".post_attention_norm."), *rest) for name, *rest in tensors]
        cls.seed = write(os.path.join(WORK, "seed_oss.gguf"), keys, tensors)

    def test_the_family_is_unknown_without_the_row(self):
        done = ask(ORACLE, self.seed)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('architecture "seed_oss" is not supported', done.stderr)

    def test_with_the_row_it_runs(self):
        want, got = ask(ORACLE, self.qwen), ask(PATCHED, self.seed)
        self.assertEqual((want.returncode, got.returncode), (0, 0), got.stderr)
        self.assertEqual(got.stdout, want.stdout)
        self.assertEqual(len(got.stdout.splitlines()), 2)

    def test_the_class_of_a_folder_is_known_with_its_row(self):
        """Every tensor finds its place; what the folder lacks is a tokenizer."""
        model = tiny_models.table()["tiny-qwen2"]
        folder = os.path.join(WORK, "seed_oss-hf")
        os.makedirs(folder, exist_ok=True)
        config = dict(model.config, architectures=["SeedOssForCausalLM"], model_type="seed_oss")
        for name, data in safetensors_file.folder(config, tiny_models.weights("tiny-qwen2", model)).items():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)
        self.assertIn("SeedOss", ask(ORACLE, folder).stderr)
        self.assertIn("tokenizer", ask(PATCHED, folder).stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
