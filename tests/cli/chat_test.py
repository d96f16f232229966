#!/usr/bin/env python3
"""chat and run on a terminal of their own, and chat over pipes."""
import json
import os
import signal
import subprocess
import termios
import time

from cli import BINARY, Case, Terminal, environment, main

SMALL = "tiny-llama3-q4_k"


class OnATerminal(Case):
    def chat(self, *args, **k):
        return Terminal("chat", "-m", self.model(SMALL), "-c", "4096", "--seed", "1", *args, **k)

    def short(self, *args, **k):
        return self.chat("-n", "4", "--ignore-eos", *args, **k)

    def ask(self, t, text):
        """Say one line and wait for the end of the answer; returns the speed line."""
        t.prompt()
        t.say(text)
        t.until("[prompt ")
        return t.until("]")

    def test_it_answers_shows_speed_and_keeps_the_conversation(self):
        with self.short() as t:
            self.assertIn("/help lists commands", t.until("leaves."))
            first = self.ask(t, "Hello")
            self.assertRegex(first, r"^\d+ tokens, .* tok/s; answer 4 tokens, .* tok/s; first token after")
            second = self.ask(t, "And then?")
            self.assertGreater(int(second.split()[0]), int(first.split()[0]))
            t.prompt()
            t.keys("\x04")
            self.assertEqual(t.end()[0], 0)

    def test_commands_work(self):
        with self.short() as t:
            for command, answer in [("/help", "/regen"), ("/system Be brief.", "is set"), ("/system", "is removed"),
                                    ("/regen", "nothing to answer again"), ("/stats", "weights"), ("/clear", "is empty"),
                                    ("/read", "needs a file"), ("/read /nonexistent", "No such file"),
                                    ("/raed x", "did you mean /read?")]:
                t.prompt()
                t.say(command)
                t.until(answer)
            t.prompt()
            t.say("/exit")
            self.assertEqual(t.end()[0], 0)

    def test_regen_answers_the_same_question_again(self):
        with self.short() as t:
            first = self.ask(t, "Hello")
            again = self.ask(t, "/regen")
            self.assertEqual(first.split()[0], again.split()[0])

    def test_a_file_goes_with_the_next_message(self):
        path = self.write("notes.txt", "alpha beta gamma " * 10)
        with self.short() as t:
            t.prompt()
            t.say("/read " + path)
            t.until("170 bytes go with the next message")
            with_file = self.ask(t, "What?")
            self.assertGreater(int(with_file.split()[0]), 60)

    def tokens_of(self, *lines):
        """Prompt tokens of the message that these lines make; each but the first follows a '... '."""
        with self.short() as t:
            t.prompt()
            for i, line in enumerate(lines):
                t.say(line)
                if i + 1 < len(lines):
                    t.until("... ")
            t.until("[prompt ")
            return int(t.until(" ").split()[0])

    def test_messages_go_over_several_lines(self):
        joined = self.tokens_of('"""one', 'two"""')
        self.assertEqual(self.tokens_of("one\\", "two"), joined)
        self.assertEqual(self.tokens_of('"""', "one", "two", '"""'), joined)
        self.assertEqual(self.tokens_of("\x1b[200~one\rtwo\x1b[201~"), joined, "pasted")
        self.assertEqual(self.tokens_of("one\x1b\rtwo"), joined, "Alt-Enter")

    def test_a_line_can_be_edited(self):
        edits = {
            "abc": "abc",
            "axbc\x1b[D\x1b[D\x7f": "abc",
            "bc\x01a": "abc",
            "bc\x1b[Ha\x1b[F": "abc",
            "abc xyz\x17\x7f": "abc",
            "abcxyz\x1b[D\x1b[D\x1b[D\x0b": "abc",
            "xyz\x15abc": "abc",
            "xabc\x01\x04": "abc",
            "xabc\x01\x1b[3~": "abc",
            "你好\x7f\x7fabc": "abc",
            "ne\u0301\x7f\x7fabc": "abc",
            "\x1b[200~a\x1bb\x02c\x1b[201~": "abc",
            "a\x1b[1;5Zb\x1bqc": "abc",
        }
        with self.short("--quiet") as t:
            for keys, text in edits.items():
                t.prompt()
                t.keys("/" + keys + "\r" if not keys.startswith(("xyz", "bc", "xabc")) else keys + "\x01/\x05\r")
                self.assertIn(f"unknown command /{text}\r\n", t.until("slash"), repr(keys))

    def test_older_messages_come_back(self):
        with self.short("--quiet") as t:
            for name in ("/first", "/second"):
                t.prompt()
                t.say(name)
                t.until("unknown command " + name)
            # Equal neighbours are kept once, so the list grows to first, second, first.
            for keys, name in [("\x1b[A", "/second"), ("\x1b[A\x1b[A", "/first"), ("\x1b[A\x1b[A", "/second"),
                               ("\x1b[A\x1b[A\x1b[B\x0e\x10", "/second"), ("/dr\x10\x0eaft", "/draft")]:
                t.prompt()
                t.keys(keys + "\r")
                t.until("unknown command " + name + "\r\n")

    def test_long_lines_wrap_and_can_be_edited(self):
        with self.short("--quiet", columns=20) as t:
            t.prompt()
            t.keys("b" * 90)
            t.until("\r\n")
            t.keys("\x01/\r")
            t.until("unknown command /" + "b" * 90 + "\r\n")

    def test_ctrl_c_stops_the_answer_and_a_second_one_leaves(self):
        with self.chat("--ignore-eos", "--temp", "2") as t:
            t.prompt()
            t.say("Hello")
            t.until("\n")
            t.until(" ")        # something of the answer
            t.keys("\x03")
            t.until("tok/s")
            t.prompt()
            t.keys("\x03")
            self.assertEqual(t.end()[0], 130)

    def test_ctrl_c_at_the_prompt_drops_the_line_and_twice_leaves(self):
        with self.short() as t:
            t.prompt()
            t.keys("half a line\x03")
            t.prompt()
            t.keys("\x03")
            t.until("Ctrl-C again or Ctrl-D leaves")
            t.prompt()
            self.assertRegex(self.ask_here(t, "Hello"), "answer 4 tokens")
            t.prompt()
            t.keys("\x03")
            t.prompt()
            t.keys("\x03")
            self.assertEqual(t.end()[0], 130)

    def ask_here(self, t, text):
        t.say(text)
        t.until("[prompt ")
        return t.until("]")

    def test_a_long_conversation_forgets_its_beginning(self):
        with Terminal("chat", "-m", self.model(SMALL), "-c", "160", "-n", "4", "--ignore-eos") as t:
            for _ in range(12):
                self.ask(t, "word " * 8)
                if "forgot the oldest" in t.seen.decode("utf-8", "replace"):
                    break
            else:
                self.fail("the context never filled")
            t.prompt()
            t.say("word " * 500)
            t.until("the context holds 160")
            t.prompt()

    def test_the_terminal_is_as_before_when_it_ends(self):
        for how in (lambda t: t.keys("\x04"), lambda t: os.kill(t.pid, signal.SIGTERM)):
            with Terminal("chat", "-m", self.model(SMALL), "-c", "512") as t:
                before = termios.tcgetattr(t.fd)
                t.prompt()
                raw = termios.tcgetattr(t.fd)
                self.assertNotEqual(before[3] & termios.ICANON, raw[3] & termios.ICANON)
                how(t)
                end = time.monotonic() + 30
                while termios.tcgetattr(t.fd)[3] != before[3] and time.monotonic() < end:
                    pass
                self.assertEqual(termios.tcgetattr(t.fd)[3], before[3])
                t.until("\x1b[?2004l")

    def test_no_color_means_no_colour(self):
        with self.short() as t:
            self.ask(t, "Hello")
            self.assertIn(b"\x1b[2m[prompt", t.seen)
        with self.short(env={"NO_COLOR": "1"}) as t:
            self.ask(t, "Hello")
            self.assertNotIn(b"\x1b[2m", t.seen)

    def test_answers_cannot_control_the_terminal(self):
        template = self.write("t.jinja", "{{ messages[0].content }}")
        with Terminal("run", "-m", self.model(SMALL), "-c", "512", "--chat-template", template, "--ignore-eos", "-n", "300",
                      "--temp", "5", "--top-k", "0", "--top-p", "1", "--min-p", "0", "--seed", "3", "-q", "x") as t:
            status, shown = t.end()
            self.assertEqual(status, 0)
            self.assertRegex(shown, r"\\x[01]|\\u\{", "the tiny model emits control characters, so the test means something")
            self.assertNotRegex(shown.replace("\r\n", "\n"), "[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Interrupting(Case):
    def test_ctrl_c_keeps_what_run_has_written(self):
        with Terminal("run", "-m", self.model(SMALL), "--ignore-eos", "--temp", "2", "Hello") as t:
            t.until(" ")
            t.keys("\x03")
            t.until("tok/s")
            self.assertEqual(t.end()[0], 0)

    def test_a_second_ctrl_c_ends_run_at_once(self):
        p = subprocess.Popen([BINARY, "run", "-m", self.model(SMALL), "--ignore-eos", "--temp", "2", "Hello"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        p.stdout.read(10)
        p.send_signal(signal.SIGINT)
        p.send_signal(signal.SIGINT)
        status = p.wait(60)
        p.stdout.close()
        p.stderr.close()
        self.assertIn(status, (0, 130), "130, or 0 where both arrived as one")

    def test_json_is_whole_when_interrupted(self):
        p = subprocess.Popen([BINARY, "run", "-m", self.model(SMALL), "--ignore-eos", "-v", "--json", "Hello"],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment())
        for line in p.stderr:
            if b"ready" in line:
                break
        time.sleep(0.5)
        p.send_signal(signal.SIGINT)
        out, _ = p.communicate(timeout=60)
        if p.returncode == 0:       # else the signal came before the answer had begun, and ended the program
            self.assertIn(json.loads(out)["finish"], ("cancelled", "length"))
        else:
            self.assertEqual(out, b"")


class OverPipes(Case):
    def talk(self, text, *args, status=0):
        done = subprocess.run([BINARY, "chat", "-m", self.model(SMALL), "-c", "4096", "-n", "3", "--ignore-eos", "--temp", "0",
                               *args], input=text.encode(), capture_output=True, timeout=120, env=environment())
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout.decode("utf-8", "replace"), done.stderr.decode()

    def test_each_line_is_a_message(self):
        out, err = self.talk("Hello\nAnd then?\n\nlast line without an end")
        self.assertEqual(err.count("[prompt "), 3)
        self.assertNotIn("\x1b", out)
        self.assertNotIn("> ", err)

    def test_blocks_commands_and_slashes_work(self):
        _, err = self.talk('"""a\nb\n"""\nx\\\ny\n//literal slash\n/system Be brief.\n/exit\nnever\n')
        self.assertEqual(err.count("[prompt "), 3)
        self.assertIn("the system message is set", err)

    def test_a_failure_on_the_way_is_the_exit_status(self):
        _, err = self.talk("/read /nonexistent\nHello\n", status=1)
        self.assertEqual(err.count("[prompt "), 1)
        self.assertIn("/nonexistent: cannot open", err)

    def test_bad_text_is_refused_and_the_conversation_goes_on(self):
        done = subprocess.run([BINARY, "chat", "-m", self.model(SMALL), "-c", "512", "-n", "3"], input=b"\xff\nHello\n",
                              capture_output=True, timeout=120, env=environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"message: invalid UTF-8 at byte 0", done.stderr)
        self.assertEqual(done.stderr.count(b"[prompt "), 1)

    def test_quiet_leaves_only_the_answers(self):
        _, err = self.talk("Hello\n", "--quiet")
        self.assertEqual(err, "")

    def test_no_input_is_no_failure(self):
        self.assertEqual(self.talk(""), ("", ""))


if __name__ == "__main__":
    main()
