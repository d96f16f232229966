"""The supervisor with a small server, by signals and raw sockets."""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest


class Supervisor:
    def __init__(self, *addresses, **options):
        self.arguments = [*(addresses or ("127.0.0.1:0",)), *(f"{k}={v}" for k, v in options.items())]
        self.n = len(addresses) or 1

    def __enter__(self):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen([sys.argv[1], "supervise", *self.arguments], stdout=subprocess.PIPE,
                                        stderr=self.log, text=True)
        lines = [self.process.stdout.readline().split() for _ in range(self.n)]
        self.names = [line[1] for line in lines if line]
        return self

    def __exit__(self, *failure):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if failure[0]:
            print(self.said())
        self.process.stdout.close()
        self.log.close()

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def ask(self, line, name=None):
        name = name or self.names[0]
        if name.startswith("unix:"):
            s = socket.socket(socket.AF_UNIX)
            address = name[5:]
        else:
            s = socket.socket(socket.AF_INET6 if name.startswith("[") else socket.AF_INET)
            host, _, port = name.rpartition(":")
            address = (host.strip("[]"), int(port))
        with contextlib.closing(s):
            s.settimeout(20)
            s.connect(address)
            s.sendall(line.encode() + b"\n")
            return s.makefile().read()

    def pid(self):
        return int(self.ask("pid").split()[1])

    def wait_for(self, text, seconds=20):
        until = time.monotonic() + seconds
        while text not in self.said():
            assert time.monotonic() < until, f"not said: {text}\n{self.said()}"
            time.sleep(0.02)

    def end(self, seconds=20):
        return self.process.wait(seconds)


class Tests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def load(self, s, seconds):
        """Clients without pause for some seconds in the background: a function that ends it and returns
        how many were answered and what went wrong."""
        answered, wrong, until = [], [], time.monotonic() + seconds

        def client():
            while time.monotonic() < until:
                try:
                    answer = s.ask("pid")
                    (answered if answer.startswith("pid ") else wrong).append(answer)
                except OSError as e:
                    wrong.append(repr(e))
        threads = [threading.Thread(target=client) for _ in range(4)]
        for t in threads:
            t.start()

        def done():
            for t in threads:
                t.join()
            return answered, wrong
        return done

    def test_addresses_of_every_kind(self):
        path = f"unix:{self.dir}/s"
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(f"{self.dir}/s")
        stale.close()
        before = os.umask(0o077)
        with Supervisor("127.0.0.1:0", "localhost:0", path) as s:
            os.umask(before)
            self.assertEqual(stat.S_IMODE(os.stat(f"{self.dir}/s").st_mode), 0o660)
            for name in s.names:
                self.assertTrue(s.ask("pid", name).startswith("pid "), name)
            self.assertNotIn(":0", [name[-2:] for name in s.names])
            with Supervisor(s.names[0]) as other:
                self.assertEqual(other.end(), 1)
                self.assertIn("the address is in use", other.said())
            with Supervisor(path) as other:
                self.assertEqual(other.end(), 1)
                self.assertIn("the address is in use", other.said())
            s.process.terminate()
            self.assertEqual(s.end(), 0)
        self.assertFalse((self.dir / "s").exists())
        for bad in ("nonsense", "1.2.3.4", "127.0.0.1:99999", "127.0.0.1:x", "::1:80", ":80", "unix:relative",
                    "unix:/" + "x" * 110, "127.0.0.1:"):
            with Supervisor(bad) as s:
                self.assertEqual(s.end(), 1, bad)
                self.assertIn(bad[:40], s.said())

    def test_killed_server_is_replaced_and_waiting_clients_are_served(self):
        with Supervisor(delay_ms=200, restarts=20) as s:
            pids = {s.pid()}
            for _ in range(3):
                old = s.pid()
                os.kill(old, signal.SIGKILL)
                time.sleep(0.05)
                new = s.pid()  # connected while nobody served
                self.assertNotEqual(new, old)
                pids.add(new)
            self.assertEqual(len(pids), 4)

    def test_kill_under_load_loses_only_what_the_server_held(self):
        with Supervisor(delay_ms=50, restarts=50) as s:
            done = self.load(s, 3)
            for _ in range(5):
                time.sleep(0.4)
                os.kill(s.pid(), signal.SIGKILL)
            answered, wrong = done()
            self.assertGreater(len(answered), 20)
            self.assertLessEqual(len(wrong), 5 * 4)  # at most one a client and kill
            self.assertNotIn("ConnectionRefused", "".join(wrong))

    def test_crash_leaves_a_flight_record_with_the_stack(self):
        with Supervisor(flight=self.dir, delay_ms=10) as s:
            s.ask("crash")
            s.wait_for("flight record: ")
            text = next(self.dir.glob("flight-*")).read_text()
            self.assertIn("why: killed by signal 6", text)
            self.assertIn("status: serving well", text)
            self.assertIn("abort", text)
            self.assertTrue(s.ask("pid").startswith("pid "))

    def test_killed_server_leaves_a_record_and_one_that_was_told_to_leave_does_not(self):
        with Supervisor(flight=self.dir, delay_ms=10, drain_ms=200) as s:
            os.kill(s.pid(), signal.SIGKILL)
            s.wait_for("flight record: ")
            record, = self.dir.glob("flight-*")
            self.assertIn("why: killed by signal 9", record.read_text())
            t = threading.Thread(target=lambda: s.ask("sleep 20000"))
            s.pid()
            t.start()
            time.sleep(0.3)
            s.process.terminate()
            s.end()
            t.join()
            self.assertIn("did not leave in time: killed", s.said())
            self.assertEqual(list(self.dir.glob("flight-*")), [record])

    def test_stalled_server_is_recorded_killed_and_replaced(self):
        with Supervisor(flight=self.dir, stall_ms=700, delay_ms=10) as s:
            old = s.pid()
            s.ask("stall")
            s.wait_for("restarting in")
            self.assertNotEqual(s.pid(), old)
            text = next(self.dir.glob("flight-*")).read_text()
            self.assertIn("why: no heartbeat for", text)
            self.assertIn("  wchan: ", text)
            self.assertIn("signal 3", text)  # its main thread wrote its stack

    def test_only_the_newest_records_are_kept(self):
        old = [f"flight-200101{day:02}T000000Z-7.txt" for day in range(1, 21)]
        other = ["flight-plan.txt", "zzz"]
        for name in [*reversed(old), *other]:
            (self.dir / name).touch()
        with Supervisor(flight=self.dir, delay_ms=10) as s:
            s.ask("crash")
            s.wait_for("flight record: ")
            self.assertTrue(s.ask("pid").startswith("pid "))
        there = sorted(path.name for path in self.dir.iterdir())
        self.assertEqual([name for name in there if name in old], old[-15:])
        self.assertEqual([name for name in there if name in other], other)
        self.assertEqual(len(there), 16 + len(other))

    def test_servers_are_told_of_those_before(self):
        program = self.dir / "program"
        shutil.copy(sys.argv[1], program)
        with Supervisor(program=program, stall_ms=700, delay_ms=10) as s:
            self.assertEqual(s.ask("restarts"), "crash 0, killed 0, exit 0, stall 0, upgrade 0, \n")
            s.ask("crash")
            self.assertEqual(s.ask("restarts"), "crash 1, killed 0, exit 0, stall 0, upgrade 0, "
                                                "killed by signal 6 (Aborted)\n")
            os.kill(s.pid(), signal.SIGKILL)
            s.ask("stall")
            s.wait_for("no heartbeat")
            self.assertRegex(s.ask("restarts"), "^crash 1, killed 1, exit 0, stall 1, upgrade 0, no heartbeat for [0-9]+ ms\n$")
            s.process.send_signal(signal.SIGUSR2)
            s.wait_for("takes over")
            s.wait_for("left: exit code 0")
            self.assertEqual(s.ask("restarts"), "crash 1, killed 1, exit 0, stall 1, upgrade 1, \n")

    def test_a_server_that_is_coming_hears_of_the_end_of_the_one_before(self):
        program = self.dir / "program"
        program.write_text(f'#!/bin/sh\nexec {sys.argv[1]} child 1 $([ -e {self.dir}/n ] && echo slow=1000)\n')
        program.chmod(0o755)
        with Supervisor(program=program) as s:
            old = s.pid()
            (self.dir / "n").touch()
            s.process.send_signal(signal.SIGUSR2)
            s.wait_for("starting a new server")
            os.kill(old, signal.SIGKILL)
            self.assertNotEqual(s.pid(), old)
            self.assertEqual(s.ask("restarts"), "crash 0, killed 1, exit 0, stall 0, upgrade 0, \n")

    def test_server_that_says_it_is_stuck_is_replaced_at_once(self):
        with Supervisor(flight=self.dir, delay_ms=10) as s:     # 30 s without a beat would be a stall
            old = s.pid()
            s.ask("stuck")
            s.wait_for("restarting in", 10)
            self.assertNotEqual(s.pid(), old)
            text = next(self.dir.glob("flight-*")).read_text()
            self.assertIn("why: a wheel does not turn\n", text)
            self.assertIn(f"thread {old}, signal 3", text)

    def test_stacks_of_a_stalled_server_do_not_mix(self):
        with Supervisor(flight=self.dir, stall_ms=700, delay_ms=10) as s:
            threads = f"/proc/{s.pid()}/task"
            sleepers = [threading.Thread(target=lambda: s.ask("sleep 20000")) for _ in range(12)]
            for t in sleepers:
                t.start()
            end = time.monotonic() + 10
            while len(os.listdir(threads)) < 13 and time.monotonic() < end:
                time.sleep(0.02)
            time.sleep(0.3)     # and asleep
            s.ask("stall")
            s.wait_for("restarting in")
            for t in sleepers:
                t.join()
            text = next(self.dir.glob("flight-*")).read_text()
            facts, stacks = text.split("---- stacks\n")
            alike = [stack.split("\n", 1)[1] for stack in stacks.split("\n\n") if "sleep" in stack]
            self.assertEqual(len(alike), 12, text)
            self.assertEqual(len(set(alike)), 1, text)
            self.assertEqual(stacks.count("signal 3"), facts.count("  comm: "), text)

    def test_server_that_keeps_dying_is_given_up_with_growing_delays(self):
        with Supervisor(delay_ms=40, restarts=4) as s:
            for _ in range(5):
                s.ask("crash")
            self.assertEqual(s.end(), 1)
            said = s.said()
            self.assertIn("gave up: the server died 5 times within 60 s", said)
            delays = [int(line.split()[2]) for line in said.splitlines() if line.startswith("restarting in")]
            for i, ms in enumerate(delays):
                self.assertTrue(20 << i <= ms <= 40 << i, delays)

    def test_server_that_cannot_start_is_not_repeated(self):
        with Supervisor(child="exit=2") as s:
            self.assertEqual(s.end(), 2)
            self.assertIn("gave up: the server did not start: exit code 2", s.said())
        with Supervisor(program="/nowhere/server") as s:
            self.assertEqual(s.end(), 127)
            self.assertIn("cannot run the server program", s.said())

    def test_sigterm_drains_and_a_second_one_aborts(self):
        for signals, text, code in ((1, "pid ", 0), (2, "", 3)):
            with Supervisor() as s:
                answers = []
                t = threading.Thread(target=lambda: answers.append(s.ask("sleep 1500")))
                s.pid()
                t.start()
                time.sleep(0.5)
                for _ in range(signals):
                    s.process.terminate()
                    time.sleep(0.2)
                t.join()
                self.assertEqual(s.end(), code)
                self.assertEqual(answers[0][:4], text)

    def test_drain_that_takes_too_long_is_ended(self):
        with Supervisor(drain_ms=300) as s:
            t = threading.Thread(target=lambda: self.assertEqual(s.ask("sleep 20000"), ""))
            s.pid()
            t.start()
            time.sleep(0.3)
            s.process.terminate()
            self.assertEqual(s.end(), 1)
            t.join()
            self.assertIn("did not leave in time", s.said())

    def test_server_that_ends_by_itself_ends_the_supervisor(self):
        with Supervisor() as s:
            s.ask("leave")
            self.assertEqual(s.end(), 0)

    def test_hangup_is_forwarded(self):
        with Supervisor() as s:
            s.pid()
            s.process.send_signal(signal.SIGHUP)
            until = time.monotonic() + 10
            while s.ask("reloads") != "1\n":
                self.assertLess(time.monotonic(), until)

    def test_upgrade_refuses_nobody_and_lets_the_old_one_finish(self):
        program = self.dir / "program"
        shutil.copy(sys.argv[1], program)
        with Supervisor(program=program, child="slow=100") as s:
            old = s.pid()
            answers = []
            t = threading.Thread(target=lambda: answers.append(s.ask("sleep 2500")))
            t.start()
            done = self.load(s, 3)
            time.sleep(0.5)
            s.process.send_signal(signal.SIGUSR2)
            s.wait_for("takes over")
            answered, wrong = done()
            t.join()
            self.assertEqual(wrong, [])
            self.assertEqual(answers, [f"pid {old}\n"])
            self.assertNotEqual(s.pid(), old)
            self.assertEqual(len(set(answered)), 2)
            s.wait_for("left: exit code 0")
            (self.dir / "broken").write_text("#!/bin/sh\nexit 9\n")  # an upgrade that does not start
            (self.dir / "broken").chmod(0o755)
            (self.dir / "broken").replace(program)
            new = s.pid()
            s.process.send_signal(signal.SIGUSR2)
            s.wait_for("the old one goes on")
            self.assertEqual(s.pid(), new)

    def test_upgrade_that_is_never_ready_is_given_up(self):
        program = self.dir / "program"
        program.write_text(f'#!/bin/sh\nexec {sys.argv[1]} child 1 $([ -e {self.dir}/n ] && echo never-ready)\n')
        program.chmod(0o755)
        with Supervisor(program=program, handover_ms=500) as s:
            old = s.pid()
            (self.dir / "n").touch()
            s.process.send_signal(signal.SIGUSR2)
            s.wait_for("not ready after 500 ms")
            s.wait_for("the old one goes on")
            self.assertEqual(s.pid(), old)

    def test_server_leaves_when_its_supervisor_is_killed(self):
        with Supervisor() as s:
            pid = s.pid()
            s.process.kill()
            s.process.wait()
            until = time.monotonic() + 10
            with contextlib.suppress(ProcessLookupError):
                while pathlib.Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
                    self.assertLess(time.monotonic(), until)
                    time.sleep(0.02)

    def test_systemd_is_told(self):
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
            systemd.bind(f"{self.dir}/notify")
            systemd.settimeout(10)
            with Supervisor(notify=f"{self.dir}/notify", watchdog_us=200000) as s:
                got = []

                def hear(what):
                    while what not in got:
                        got.extend(systemd.recv(1000).decode().split("\n"))
                hear("READY=1")
                hear("STATUS=serving well")
                hear("WATCHDOG=1")
                s.process.terminate()
                hear("STOPPING=1")
                self.assertEqual(s.end(), 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
