#!/usr/bin/env python3
"""The server under load and under chaos: nothing is lost, garbled, refused without a word or left behind.

usage: load_test.py BINARY MODELS_DIR [--full MODEL.gguf] [--figures FILE] [--seed N] [TEST...]
  Small numbers with a tiny model, unless --full: then those of PROOF below, with that model.
  --figures writes the figures, which are also printed at the end, as JSON into FILE.
"""
import asyncio
import collections
import functools
import json
import os
import random
import resource
import signal
import sys
import time
import types


def option(name):
    if name not in sys.argv:
        return None
    at = sys.argv.index(name)
    value = sys.argv[at + 1]
    del sys.argv[at:at + 2]
    return value


FULL, FIGURES_FILE, SEED = option("--full"), option("--figures"), int(option("--seed") or 1)

from load import (PATIENCE, Chaos, Connection, Crowd, Question, Tally, ask, leave, learn, mib, ms, scrape, settle,  # noqa: E402
                  unexplained)
from server import BINARY, CHAT, Case, Server, children_of, main  # noqa: E402
from threads import hang, thread_of  # noqa: E402

SMALL = types.SimpleNamespace(
    model=CHAT, words=(1, 60), tokens=(8, 48), long=1500, streams=64, questions=16, idle=200,
    overload_s=3, overload_tokens=256, departures=80, kills=2, stall_s=1.5, upgrades=2, chaos_s=4)
PROOF = types.SimpleNamespace(
    model=FULL, words=(1, 120), tokens=(4, 20), long=200, streams=256, questions=24, idle=1000,
    overload_s=60, overload_tokens=16, departures=500, kills=4, stall_s=5, upgrades=5, chaos_s=120)
SIZE = PROOF if FULL else SMALL

with open(BINARY, "rb") as program:
    code = program.read()
ASAN, TSAN = b"__asan_" in code, b"__tsan_" in code
FIGURES = {}


def proof(test):
    """A test as a coroutine, with a limit of its own and figures under its name."""
    @functools.wraps(test)
    def run(self):
        self.figures = FIGURES.setdefault(test.__name__.removeprefix("test_"), {})
        asyncio.run(asyncio.wait_for(test(self), 600))
    return run


async def until(what, seconds=PATIENCE):
    """Wait until what() is true; the seconds that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() < began + seconds, "waited in vain"
        await asyncio.sleep(0.005)
    return time.monotonic() - began


class Load(Case):
    def setUp(self):
        super().setUp()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
        self.rng = random.Random(SEED)

    def serve(self, *args):
        server = Server(SIZE.model, *args)
        self.addCleanup(server.__exit__)
        return server

    def questions(self, n, **changes):
        k = {"words": SIZE.words, "tokens": SIZE.tokens, **changes}
        return [Question(self.rng, **k) for _ in range(n)]

    def all_right(self, tally, **allowed):
        """No verdict but right ones and those allowed."""
        self.assertEqual(tally.wrong, [])
        self.assertEqual(set(tally.n) - {"right"} - set(allowed), set(), tally.n)

    def check_memory(self, before, after, allowed=8 << 20):
        if not (ASAN or TSAN):
            self.assertLess(after.rss - before.rss, allowed, f"{mib(before.rss)} became {mib(after.rss)}")

    def end(self, server):
        self.assertEqual(server.stop(), 0, server.said[-3000:])

    # ---- 1 to 4: one server, many clients

    @proof
    async def test_every_stream_is_its_own(self):
        server = self.serve()
        questions = await learn(server.port, self.questions(SIZE.streams))
        before, tally, began = await settle(self, server.port), Tally(), time.monotonic()
        await asyncio.gather(*(tally.ask(server.port, q, i % 2 == 0) for i, q in enumerate(questions)))
        took = time.monotonic() - began
        self.assertEqual(tally.n, {"right": SIZE.streams}, tally.wrong[:3])
        after = await settle(self, server.port)

        def counted(name, **labels):
            return after.total(name, **labels) - before.total(name, **labels)
        self.assertEqual(counted("autoglm_requests_finished_total", outcome="succeeded"), SIZE.streams)
        self.assertEqual(counted("autoglm_generation_tokens_total"), tally.generated)
        self.assertEqual(counted("autoglm_prompt_tokens_total"), tally.prompt)
        self.figures.update({"streams at once": SIZE.streams, "right": tally.n["right"],
                             "lost or garbled": SIZE.streams - tally.n["right"],
                             "tokens/s": round(tally.generated / took), "whole answer, median / p99 / worst": ms(tally.whole)})
        self.end(server)

    @proof
    async def test_idle_connections_cost_little_and_disturb_nobody(self):
        server = self.serve()
        questions = await learn(server.port, self.questions(SIZE.questions))
        alone, among = Tally(), Tally()
        for q in questions:
            await alone.ask(server.port, q, True)
        before, idle = await settle(self, server.port), []
        for _ in range(SIZE.idle):
            c = await Connection(server.port).open()
            c.write(*c.send("GET", "/livez", keep=True))
            self.assertEqual((await c.answer()).status, 200)
            idle.append(c)
        with_them = await scrape(server.port)
        self.assertEqual(with_them.total("autoglm_http_connections"), SIZE.idle + 1)
        for q in questions:
            await among.ask(server.port, q, True)
        each = (with_them.rss - before.rss) / SIZE.idle
        for c in idle:                          # none was closed, and each is still served
            c.write(*c.send("GET", "/livez", keep=True))
            self.assertEqual((await c.answer()).status, 200)
            c.close()
        after = await settle(self, server.port)
        for tally in (alone, among):
            self.assertEqual(tally.n, {"right": len(questions)}, tally.wrong[:3])
        if not (ASAN or TSAN):
            self.assertLess(each, 64 << 10)
        self.check_memory(before, after)
        self.figures.update({"idle connections": SIZE.idle, "memory of each": f"{each / 1024:.1f} KiB",
                             "memory before / with them / after": " / ".join(mib(m.rss) for m in (before, with_them, after)),
                             "whole answer alone, median / p99 / worst": ms(alone.whole),
                             "whole answer among them, median / p99 / worst": ms(among.whole)})
        self.end(server)

    @proof
    async def test_overload_is_refused_in_words_and_costs_no_memory(self):
        server = self.serve("--max-sequences", "4", "--set", "engine.max_queued_requests=8")
        port, tokens = server.port, (SIZE.overload_tokens, SIZE.overload_tokens)
        questions = await learn(port, self.questions(SIZE.questions, tokens=tokens))
        capacity = await self.capacity(port, questions, max(1.0, SIZE.overload_s / 4))
        before, tally, rss, running = await settle(self, port), Tally(), [], set()
        began, n = time.monotonic(), 0
        while (now := time.monotonic() - began) < SIZE.overload_s:
            while n < 10 * capacity * now:
                running.add(task := asyncio.create_task(
                    tally.ask(port, questions[n % len(questions)], n % 2 == 0)))
                task.add_done_callback(running.discard)
                n += 1
            await asyncio.sleep(0.002)
            if len(rss) < 4 * now / SIZE.overload_s:
                rss.append(await scrape(port))
        await asyncio.gather(*running)
        took = time.monotonic() - began
        self.all_right(tally, refused=True)
        after = await settle(self, port)
        refused = {reason: after.total("autoglm_requests_rejected_total", reason=reason) -
                   before.total("autoglm_requests_rejected_total", reason=reason) for reason in ("try_again", "overloaded")}
        self.assertEqual(sum(refused.values()), tally.n["refused"], refused)
        self.assertGreater(tally.n["refused"], tally.n["right"])
        self.assertEqual(after.total("autoglm_requests_started_total") - before.total("autoglm_requests_started_total"), n)
        goodput = tally.n["right"] / took
        self.assertGreater(goodput, 0.25 * capacity)    # on a busy machine; the proof's figure is what counts
        self.check_memory(rss[0], rss[-1], 4 << 20)
        self.check_memory(before, after)
        times = n / SIZE.overload_s / capacity
        self.figures.update({"capacity": f"{capacity:.1f} requests/s",
                             "offered": f"{times:.1f} times that for {SIZE.overload_s} s",
                             "requests": n, "right": tally.n["right"],
                             "refused, as clients / metrics count": f"{tally.n['refused']} / {sum(refused.values()):.0f}",
                             "goodput": f"{goodput:.1f} requests/s, {100 * goodput / capacity:.0f} % of the capacity",
                             "whole answer, median / p99 / worst": ms(tally.whole),
                             "memory before / while / after": " / ".join(mib(m.rss) for m in (before, *rss, after))})
        self.end(server)

    async def capacity(self, port, questions, seconds):
        """Requests a second with as many clients as have a place or wait for one."""
        tally, end = Tally(), time.monotonic() + seconds

        async def client(k):
            while time.monotonic() < end:
                await tally.ask(port, questions[k % len(questions)], k % 2 == 0)
                k += 1
        began = time.monotonic()
        await asyncio.gather(*(client(k) for k in range(8)))
        self.all_right(tally)
        return tally.n["right"] / (time.monotonic() - began)

    @proof
    async def test_departures_leave_nothing_behind(self):
        server = self.serve("--set", "models[0].kv_tokens=4096")    # few, so that all were used before memory is looked at
        port, tally, moments, leaving = server.port, Tally(), collections.Counter(), True
        questions = await learn(port, self.questions(SIZE.questions))
        fresh = await settle(self, port)
        longer = self.questions(SIZE.questions, tokens=(SIZE.long // 8, SIZE.long))
        filling = self.questions(20, words=(SIZE.words[1], SIZE.words[1]), tokens=(200, 200))
        await asyncio.gather(*(ask(port, "POST", q.path, q.body(False)) for q in filling))

        async def leaver(n):
            for _ in range(n):
                moments[await leave(port, self.rng.choice(longer), self.rng)] += 1

        async def stayer(k):
            while leaving or k < 4:
                await tally.ask(port, questions[k % len(questions)], k % 2 == 0)
                k += 1
        stayers = [asyncio.create_task(stayer(k)) for k in range(4)]
        await asyncio.gather(*(leaver(SIZE.departures // 40) for _ in range(8)))    # a fifth, to be warm
        before = await scrape(port)
        began = time.monotonic()
        await asyncio.gather(*(leaver(SIZE.departures // 8) for _ in range(8)))
        took, leaving = time.monotonic() - began, False
        await asyncio.gather(*stayers)
        began = time.monotonic()
        after = await settle(self, port)
        self.all_right(tally)
        self.assertGreater(tally.n["right"], 0)
        self.check_memory(before, after)
        for what in ("process_open_fds", "process_threads"):
            self.assertEqual(after.total(what), fresh.total(what), what)
        cut = after.total("autoglm_requests_finished_total", outcome="aborted")
        self.assertGreater(cut, 0)
        self.figures.update({"departures": sum(moments.values()), **{f"left {k}": n for k, n in moments.most_common()},
                             "requests cut, as the metrics count": int(cut), "seconds": round(took, 1),
                             "others' answers, all right": tally.n["right"],
                             "nothing was left after": f"{1e3 * (time.monotonic() - began):.0f} ms",
                             "memory after a fifth / at the end": f"{mib(before.rss)} / {mib(after.rss)}"})
        self.end(server)

    # ---- 5 to 7: one server after another

    def check_crowd(self, crowd, failures):
        """All right, and broken only between a failure and its end."""
        self.all_right(crowd.tally, refused=True, broken=True)
        self.assertEqual(unexplained(crowd.broken, failures), [], failures)
        self.assertGreater(len(crowd.connects), 0)

    def flights(self):
        return sorted(name for name in os.listdir(self.folder) if name.startswith("flight-"))

    @proof
    async def test_a_killed_server_is_back_and_no_connection_is_refused(self):
        server = self.serve("--set", f"server.flight_dir={self.folder}")
        port, failures, back = server.port, [], []
        started = (await scrape(port)).total("process_start_time_seconds")
        held = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        async with Crowd(port, await learn(port, self.questions(SIZE.questions)), 8) as crowd:
            for k in range(SIZE.kills):
                await crowd.answers(8)
                pid, = children_of(server)
                began = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                await until(lambda: server.said.count("try: ") > k + 1)
                failures.append((began, time.monotonic()))
                await crowd.answers(8)
                back.append(crowd.back_after(began))
        self.check_crowd(crowd, failures)
        after = await settle(self, port)
        self.assertGreater(after.total("process_start_time_seconds"), started)
        self.assertEqual(after.total("autoglm_restarts_total", reason="killed"), SIZE.kills)
        self.assertEqual(len(self.flights()), SIZE.kills)
        self.assertEqual(len(os.listdir(f"/proc/{server.process.pid}/fd")), held, "descriptors of the supervisor")
        self.figures.update({"kills": SIZE.kills, "answers again after": ms(back),
                             "connections refused": crowd.tally.n["no connection"],
                             "connections made": len(crowd.connects), "a connection took": ms(crowd.connects),
                             "answers broken, then given": crowd.insisted["broken"],
                             "asked to wait while it loaded": crowd.insisted["refused"], "right": crowd.tally.n["right"]})
        self.end(server)

    @proof
    async def test_a_stalled_server_is_noticed_recorded_and_replaced(self):
        server = self.serve("--set", f"server.flight_dir={self.folder}",
                            "--set", f"server.stall_timeout={1000 * SIZE.stall_s:.0f}ms")
        port, failures, noticed, back = server.port, [], [], []
        engine, connections = "a step of the engine does not end", "the thread that serves connections hangs"
        ways = [("ag-engine", engine, lambda pid: hang(pid, "ag-engine")),
                ("ag-http", connections, lambda pid: hang(pid, "ag-http"))]
        if FULL:
            ways.append(("ag-engine", "no heartbeat for", lambda pid: os.kill(pid, signal.SIGSTOP) or True))
        async with Crowd(port, await learn(port, self.questions(SIZE.questions)), 8) as crowd:
            for k, (name, why, stall) in enumerate(ways):
                await crowd.answers(8)
                pid, = children_of(server)
                thread = thread_of(pid, name)
                while not stall(pid):
                    await asyncio.sleep(0.001)
                began = time.monotonic()
                await until(lambda: server.said.count("restarting in") > k)
                noticed.append(time.monotonic() - began)
                await until(lambda: server.said.count("try: ") > k + 1)
                failures.append((began, time.monotonic()))
                await crowd.answers(8)
                back.append(crowd.back_after(began))
                with open(self.path(self.flights()[-1]), encoding="utf-8") as f:
                    record = f.read()
                self.assertIn(f"why: {why}", record)
                self.assertIn(f"thread {thread}\n  comm: {name}", record)
                if "heartbeat" not in why and not TSAN:     # it takes signals, so it tells where it is; TSan holds them back
                    stack = record.split(f"thread {thread}, signal 3\n")[1].split("\n\n")[0]
                    self.assertGreater(stack.count("\n"), 3, stack)
        self.check_crowd(crowd, failures)
        for way, seconds in zip(ways, noticed):
            self.assertLess(seconds, 2 * SIZE.stall_s, way[:2])
        after = await settle(self, port)
        self.assertEqual(after.total("autoglm_restarts_total", reason="stall"), len(ways))
        self.figures.update({"stall_timeout": f"{SIZE.stall_s} s", "right": crowd.tally.n["right"],
                             "answers broken, then given": crowd.insisted["broken"], "a connection took": ms(crowd.connects)})
        for way, a, b in zip(ways, noticed, back):
            self.figures[f"{way[1]}: noticed / answers again"] = f"{a:.2f} / {b:.2f} s"
        self.end(server)

    @proof
    async def test_upgrades_break_no_answer_and_refuse_no_connection(self):
        server = self.serve("--drain-seconds", "120")
        port, took, drained = server.port, [], []
        short, long = (self.questions(SIZE.questions, **k) for k in ({}, {"tokens": (SIZE.long // 2, SIZE.long)}))
        await learn(port, short + long[:4])
        async with Crowd(port, short, 6) as crowd, Crowd(port, long[:4], 2) as listeners:
            for k in range(SIZE.upgrades):
                await crowd.answers(8)
                old, = children_of(server)
                began = time.monotonic()
                server.process.send_signal(signal.SIGUSR2)
                await until(lambda: server.said.count("try: ") > k + 1)
                took.append(time.monotonic() - began)
                await until(lambda: len(children_of(server)) == 1)
                drained.append(time.monotonic() - began)
                self.assertNotEqual(children_of(server), [old])
                await crowd.answers(8)
        for c in (crowd, listeners):
            self.all_right(c.tally)
            self.assertGreater(c.tally.n["right"], 0)
        after = await settle(self, port)
        self.assertEqual(after.total("autoglm_restarts_total", reason="upgrade"), SIZE.upgrades)
        self.figures.update({"upgrades": SIZE.upgrades, "new server ready after": ms(took), "old one gone after": ms(drained),
                             "right, short / long": f"{crowd.tally.n['right']} / {listeners.tally.n['right']}",
                             "broken or refused": sum(c.tally.n[k] for c in (crowd, listeners)
                                                      for k in ("broken", "refused", "no connection")),
                             "connections made": len(crowd.connects) + len(listeners.connects),
                             "a connection took": ms(crowd.connects + listeners.connects)})
        self.end(server)

    # ---- 8: all of it

    @proof
    async def test_chaos_ends_in_order(self):
        server = self.serve("--set", f"server.flight_dir={self.folder}", "--set", "server.stall_timeout=2s",
                            "--max-sequences", "8", "--set", "engine.max_queued_requests=16", "--drain-seconds", "60")
        port = server.port
        questions = await learn(port, self.questions(SIZE.questions))
        long = await learn(port, self.questions(4, tokens=(SIZE.long // 4, SIZE.long // 2)))
        chaos = Chaos(port, questions, long, self.rng, lambda: server.process.send_signal(signal.SIGHUP))
        async with chaos:
            await self.failures(server, chaos)
            await asyncio.sleep(0.6 * SIZE.chaos_s)         # the rest without failures of the process: its books are whole
            chaos.on = False
        after = await settle(self, port)
        self.check_chaos(chaos, after)
        restarts = {why: after.total("autoglm_restarts_total", reason=why) for why in ("killed", "stall", "upgrade")}
        reloads = after.total("autoglm_config_reloads_total", outcome="applied")
        self.assertGreater(reloads, 0)
        self.figures.update({"seconds": round(chaos.seconds), **chaos.figures(),
                             "restarts": ", ".join(f"{why} {n:.0f}" for why, n in restarts.items()),
                             "reloads of the last server": int(reloads), "memory at the end": mib(after.rss)})
        self.end(server)

    async def failures(self, server, chaos):
        """The server's own: killed, hanging, replaced, one after the other."""
        kinds = ["kill", "upgrade", "hang", "kill", "upgrade"] if FULL else ["upgrade", "kill"]
        for k, kind in enumerate(kinds):
            await asyncio.sleep(0.4 * SIZE.chaos_s / len(kinds))
            pid, = children_of(server)
            began = time.monotonic()
            if kind == "upgrade":
                server.process.send_signal(signal.SIGUSR2)
            elif kind == "kill":
                os.kill(pid, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGSTOP)
            await until(lambda: server.said.count("try: ") > k + 1)
            await until(lambda: len(children_of(server)) == 1)
            if kind != "upgrade":
                chaos.failures.append((began, time.monotonic()))
        self.last_failed, chaos.last = began, time.monotonic()

    def check_chaos(self, chaos, m):
        self.assertEqual(chaos.wrong, [])
        self.assertEqual(unexplained(chaos.broken, chaos.failures), [])
        model, books = os.path.basename(SIZE.model).removesuffix(".gguf"), chaos.books

        def ended(outcome, model=model):
            return m.total("autoglm_requests_finished_total", outcome=outcome, model=model)
        # What clients saw to its end since the last failure is in the books; those who left may be under any outcome.
        self.assertGreaterEqual(ended("succeeded"), books["right"])
        self.assertLessEqual(ended("succeeded"), chaos.right_since(self.last_failed) + chaos.n["left"])
        self.assertGreaterEqual(ended("aborted"), books["cancelled"])
        self.assertGreaterEqual(ended("failed"), books["late"])
        self.assertLessEqual(ended("failed"), chaos.n["late"] + chaos.n["left"])
        self.assertGreaterEqual(m.total("autoglm_requests_rejected_total"), books["refused"] + books["mistaken"])
        self.assertGreaterEqual(m.total("autoglm_prompt_tokens_total"), books["prompt"])
        self.assertGreaterEqual(m.total("autoglm_generation_tokens_total"), books["generated"])
        self.assertEqual(ended("succeeded"), m.total("autoglm_request_success_total"))
        self.assertEqual(ended("succeeded"), m.total("autoglm_request_generation_tokens_count"))
        for kind in ("right", "refused", "late", "cancelled", "mistaken", "left"):
            self.assertGreater(chaos.n[kind], 0, chaos.n)


def tell():
    print(f"\nseed {SEED}")
    for name, figures in FIGURES.items():
        print(f"\n{name.replace('_', ' ')}")
        for what, value in figures.items():
            print(f"  {what:<50} {value}")
    if FIGURES_FILE:
        with open(FIGURES_FILE, "w", encoding="utf-8") as f:
            json.dump(FIGURES, f, indent=2)


if __name__ == "__main__":
    try:
        main()
    finally:
        tell()
