#!/usr/bin/env python3
"""What the documents show is true: links lead to files, the README's C program builds without a
warning and answers, its `autoglm` commands work, and the translation shows the same code.

usage: docs_test.py CC AUTOGLM LIBAUTOGLM.so MODEL
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CC, AUTOGLM, LIBRARY, MODEL = sys.argv[1:5]


def blocks(name, language):
    text = (ROOT / name).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.S | re.M)


def tracked_documents():
    names = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "python/README.md"]
    return names + list((ROOT / "src").rglob("README.md")) + list((ROOT / "tests").rglob("*.md"))


class Documents(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for document in tracked_documents():
            text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.S)
            for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
                if "://" not in target:
                    path = document.parent / target
                    self.assertTrue(path.exists(), f"{document.relative_to(ROOT)}: {target}")

    def test_the_translation_shows_the_same_code(self):
        for language in ("c", "python", "sh"):
            self.assertEqual(blocks("README.md", language), blocks("README.zh-CN.md", language))

    def test_the_program_answers(self):
        source, = blocks("README.md", "c")
        folder = os.path.dirname(LIBRARY)
        with tempfile.TemporaryDirectory() as tmp:
            pathlib.Path(tmp, "hello.c").write_text(source)
            subprocess.run([CC, "-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include",
                            "-o", f"{tmp}/hello", f"{tmp}/hello.c", f"-L{folder}", "-lautoglm",
                            f"-Wl,-rpath,{folder}"], check=True)
            done = subprocess.run([f"{tmp}/hello", MODEL], stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue(done.stdout)

    def test_the_commands_work(self):
        commands = [line for block in blocks("README.md", "sh") for line in block.splitlines()
                    if line.startswith("autoglm ")]
        self.assertGreaterEqual(len(commands), 3)
        for command in commands:
            words = [AUTOGLM if w == "autoglm" else MODEL if w == "model.gguf" else w
                     for w in shlex.split(command)]
            if words[1] in ("run", "chat"):
                words += ["-n", "8"]
            if words[1] == "bench":
                words += ["--tg", "4"]
            done = subprocess.run(words, input=b"Hello\n", capture_output=True, timeout=200)
            self.assertEqual(done.returncode, 0, f"{command}: {done.stderr!r}")
            self.assertTrue(done.stdout, command)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
