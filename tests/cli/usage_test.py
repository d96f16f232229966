#!/usr/bin/env python3
"""The command line itself: help, mistakes, man pages, completions, version. Needs no model."""
import glob
import os
import platform
import shutil
import subprocess

from cli import BINARY, COMMANDS, SOURCE, Case, environment, main


class Help(Case):
    def test_every_command_has_help_with_usage_options_and_an_example(self):
        for name in COMMANDS:
            for args in ([name, "--help"], [name, "-h"], ["help", name]):
                r = self.succeeds(*args)
                self.assertTrue(r.out.startswith(f"Usage: autoglm {name} "), args)
                self.assertIn("Examples:", r.out)
                self.assertTrue(all(len(line) <= 100 for line in r.out.splitlines()), r.out)

    def test_the_overview_lists_every_command_and_no_hidden_one(self):
        for args in (["help"], ["--help"], ["-h"]):
            r = self.succeeds(*args)
            for name in COMMANDS:
                self.assertIn(f"\n  {name} ", r.out)
            self.assertNotIn("\n  gen ", r.out)

    def test_help_wins_over_other_mistakes_that_follow_it(self):
        self.succeeds("run", "--help", "-m", "/nonexistent")

    def test_docs_are_what_the_tables_say(self):
        for what, page in (("markdown", "docs/cli.md"), ("config", "docs/config.md"),
                           ("metrics", "docs/metrics.md"), ("schema", "deploy/config.schema.json")):
            with open(os.path.join(SOURCE, page), encoding="utf-8") as f:
                self.assertEqual(self.succeeds("gen", what).out, f.read(),
                                 f"renew it with: autoglm gen {what} > {page}")


class Mistakes(Case):
    def test_no_command_is_wrong_usage(self):
        self.fails(2, "a command is missing", hint="autoglm help")

    def test_unknown_commands_get_a_suggestion(self):
        self.fails(2, 'unknown command "inspekt"', "inspekt", hint="did you mean 'inspect'?")
        self.fails(2, 'unknown command "zzzzzz"', "zzzzzz", hint="autoglm help")
        self.fails(2, "unknown option --threads", "--threads", "4", hint="options follow a command")
        self.fails(2, 'unknown command "nope"', "help", "nope")

    def test_unknown_options_get_a_suggestion(self):
        self.fails(2, "unknown option --thread", "run", "--thread", "4", hint="did you mean --threads?")
        self.fails(2, "unknown option --tpo-k", "run", "--tpo-k=4", hint="did you mean --top-k?")
        self.fails(2, "unknown option --zzzzzzzz", "run", "--zzzzzzzz", hint="autoglm run --help")
        self.fails(2, "unknown option -Z", "run", "-Z", hint="autoglm run --help")

    def test_values_are_checked(self):
        for args, reason in [
                (["--threads", "abc"], '--threads: expected a whole number from 1 to 1024, found "abc"'),
                (["--threads="], "--threads"),
                (["-t0"], "from 1 to 1024"),
                (["-t", "1025"], "from 1 to 1024"),
                (["--threads", "99999999999999999999"], "--threads"),
                (["--temp", "nan"], "--temp: expected a number from 0 to 100"),
                (["--temp", "inf"], "--temp"),
                (["--top-p", "0"], "--top-p"),
                (["--memory-fraction", "1.5"], "--memory-fraction"),
                (["--seed", "-1"], "--seed"),
                (["--kv-type", "f61"], "--kv-type: expected one of"),
                (["--json=yes"], "--json takes no value"),
                (["--logit-bias", "x=1"], "--logit-bias: expected ID=X"),
                (["--logit-bias", "5=inf"], "--logit-bias: expected ID=X"),
                (["--model"], "--model needs a value"),
                (["-n"], "-n needs a value"),
                (["one", "two"], 'unexpected argument "two"')]:
            with self.subTest(args):
                self.fails(2, reason, "run", "-m", "/nonexistent", *args)

    def test_choices_get_a_suggestion(self):
        self.fails(2, "--kv-type", "run", "--kv-type", "q8-0", hint="did you mean q8_0?")

    def test_an_option_given_too_often_is_refused(self):
        self.fails(2, "--stop: given more than 64 times", "run", *["--stop=x"] * 65)

    def test_options_may_stand_anywhere_and_end_with_two_dashes(self):
        self.fails(1, "/nonexistent", "inspect", "/nonexistent", "--json")
        self.fails(1, "--json", "inspect", "--", "--json")
        self.fails(1, "/nonexistent", "run", "-t2", "-m/nonexistent", "-qn", "5", "text")

    def test_which_model_is_asked_for(self):
        for name in ("run", "chat", "bench", "tokenize"):
            self.fails(2, f"{name}: which model? -m MODEL is missing", name, hint="AUTOGLM_MODEL")
        self.fails(1, "/nonexistent", "run", "hi", env={"AUTOGLM_MODEL": "/nonexistent"})

    def test_commands_check_what_belongs_together(self):
        self.fails(2, "--ids or --text", "logits", "-m", "x", "--out", "y")
        self.fails(2, "--ids or --text", "logits", "-m", "x", "--out", "y", "--ids", "1", "--text", "a")
        self.fails(2, "--out FILE is missing", "logits", "-m", "x", "--ids", "1")
        self.fails(2, '--ids: expected token ids, found "x"', "logits", "-m", "x", "--out", "y", "--ids", "1 x")
        self.fails(2, "--depth belongs to --tg", "bench", "-m", "x", "--depth", "5")
        self.fails(2, "belong to --batch", "bench", "-m", "x", "--npp", "5")
        self.fails(2, "--decode takes ids", "tokenize", "-m", "x", "--decode", "1", "text")
        self.fails(2, "not both", "run", "-m", "x", "-f", "y", "text")
        self.fails(2, "an argument is missing", "inspect")

    def test_control_characters_of_arguments_are_shown_escaped(self):
        r = self.fails(1, "\\x1b[31m", "inspect", "/\x1b[31m\u202e")
        self.assertNotIn("\x1b", r.err)
        self.assertNotIn("\u202e", r.err)


class Version(Case):
    def test_it_names_version_compiler_cpu_and_kernels(self):
        r = self.succeeds("version", "--json").json()
        self.assertRegex(r["version"], r"^\d+\.\d+\.\d+$")
        self.assertLessEqual({"compiler", "cpu", "features", "isa"}, set(r))
        self.assertIn(r["isa"], ("ref", "avx2", "avx512", "vnni", "amx", "neon", "dotprod", "i8mm"))
        text = self.succeeds("--version").out
        self.assertIn(f"autoglm {r['version']}\n", text)
        self.assertIn(r["isa"], text)

    def test_kernels_can_be_capped(self):
        self.assertEqual(self.succeeds("version", "--json", env={"AUTOGLM_ISA": "ref"}).json()["isa"], "ref")
        self.assertEqual(self.succeeds("version", "--json", "--isa=ref").json()["isa"], "ref")
        best = self.succeeds("version", "--json").json()["isa"]
        x86 = platform.machine() == "x86_64"
        tiers = ("amx", "i8mm") if x86 else ("i8mm", "amx")
        self.assertEqual(self.succeeds("version", "--json", f"--isa={tiers[0]}").json()["isa"], best)
        self.fails(2, "of another architecture", "version", f"--isa={tiers[1]}")
        self.assertEqual(self.succeeds("version", "--json", "--isa=auto", env={"AUTOGLM_ISA": "ref"}).json()["isa"], best)
        self.fails(2, "AUTOGLM_ISA: expected one of", "version", env={"AUTOGLM_ISA": "sse9"})


class Generated(Case):
    def test_man_pages_format_without_warnings(self):
        self.succeeds("gen", "man", self.folder)
        pages = sorted(os.path.basename(p) for p in glob.glob(self.path("*")))
        self.assertEqual(pages, sorted(["autoglm.1"] + [f"autoglm-{name}.1" for name in COMMANDS]))
        if not shutil.which("groff"):
            self.skipTest("groff is not installed")
        for page in pages:
            done = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-z", self.path(page)], capture_output=True)
            self.assertEqual(done.stderr, b"", page)

    def test_man_needs_a_directory_that_exists(self):
        self.fails(2, "needs a directory", "gen", "man")
        self.fails(1, "/nonexistent/autoglm.1", "gen", "man", "/nonexistent")
        self.fails(2, "expected one of man bash zsh fish markdown", "gen", "tcsh")

    def complete(self, *words):
        script = self.write("autoglm.bash", self.succeeds("gen", "bash").out)
        line = " ".join(f"'{w}'" for w in words)
        done = subprocess.run(["bash", "-c", f"complete() {{ :; }}; . '{script}'; COMP_WORDS=({line}); "
                               f"COMP_CWORD={len(words) - 1}; _autoglm; printf '%s\\n' \"${{COMPREPLY[@]}}\""],
                              capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash_completes_commands_options_choices_and_files(self):
        self.assertEqual(self.complete("autoglm", "in"), ["inspect"])
        self.assertEqual(self.complete("autoglm", "run", "--temp"), ["--temp"])
        self.assertEqual(self.complete("autoglm", "run", "--kv-type", "q"), ["q8_0"])
        self.assertEqual(self.complete("autoglm", "help", "b"), ["bench"])
        path = self.write("model.gguf", "x")
        self.assertEqual(self.complete("autoglm", "run", "-m", path[:-4]), [path])
        self.assertEqual(self.complete("autoglm", "inspect", path[:-4]), [path])

    def test_the_other_shells_get_every_command_and_option(self):
        for shell in ("zsh", "fish"):
            text = self.succeeds("gen", shell).out
            for word in COMMANDS + ["kv-type", "memory-fraction", "depth"]:
                self.assertIn(word, text, shell)
            if shutil.which(shell):
                script = self.write("script", text)
                done = subprocess.run([shell, "-n", script], capture_output=True)
                self.assertEqual((done.returncode, done.stderr), (0, b""), shell)


class Output(Case):
    def test_a_closed_pipe_ends_quietly(self):
        for args in (["gen", "markdown"], ["run", "--help"], ["version", "--json"]):
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run([BINARY, *args], stdout=writer, stderr=subprocess.PIPE, env=environment())
            os.close(writer)
            self.assertEqual((done.returncode, done.stderr), (0, b""), args)

    def test_a_full_disk_is_a_failure(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([BINARY, "gen", "markdown"], stdout=full, stderr=subprocess.PIPE, env=environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"autoglm: cannot write to standard output: No space left", done.stderr)

    def test_a_closed_standard_output_is_a_failure_and_no_file_is_written_instead(self):
        done = subprocess.run(["sh", "-c", '"$0" version >&-', BINARY], stderr=subprocess.PIPE, env=environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"autoglm: cannot write to standard output", done.stderr)

    def test_everything_works_with_all_descriptors_closed(self):
        done = subprocess.run(["sh", "-c", '"$0" gen man "$1" <&- >&- 2>&-', BINARY, self.folder], env=environment())
        self.assertEqual(done.returncode, 0)
        self.assertTrue(os.path.getsize(self.path("autoglm.1")) > 100)


if __name__ == "__main__":
    main()
