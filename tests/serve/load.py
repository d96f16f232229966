"""Clients in numbers, for load_test.py: questions whose answers are known, a client that takes no byte on trust, what the
metrics say, and the figures of a proof. Standard library only."""
import asyncio
import collections
import contextlib
import itertools
import json
import re
import socket
import statistics
import time

PATIENCE = 240      # seconds for one exchange: a line may be long, and a sanitizer slow
WORDS = ("river stone seven lamp under quiet number garden letter winter sudden orange machine paper mountain "
         "story hand blue answer window").split()
RESET = b"\1\0\0\0\0\0\0\0"     # SO_LINGER of 0 seconds: closing resets


class Broken(Exception):
    """The connection ended before the answer did. `began`: bytes of the answer had come."""

    def __init__(self, why, began):
        super().__init__(why)
        self.began = began


# ---- HTTP, by the byte

class Answer:
    def __init__(self, status, headers):
        self.status, self.headers, self.body = status, headers, b""
        self.first = self.whole = 0.0   # seconds from the request to the body's first and last byte

    def json(self):
        return json.loads(self.body)

    def events(self):
        """The data of a stream's events. Each but the last, [DONE], is JSON."""
        lines = self.body.decode("utf-8").split("\n\n")
        assert lines.pop() == "" and all(line.startswith("data: ") for line in lines), self.body
        assert lines.pop() == "data: [DONE]", self.body
        return [json.loads(line[6:]) for line in lines]


class Connection:
    """One TCP connection, on which requests may follow each other."""

    def __init__(self, port):
        self.port, self.n, self.began = port, 0, False

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 24)
        return self

    def send(self, method, path, body=None, headers=None, keep=False):
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(data)}\r\n"
        head += "" if keep else "Connection: close\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items())
        self.n, self.began, self.at = self.n + 1, False, time.monotonic()
        return (head + "\r\n").encode(), data

    def write(self, *parts):
        self.writer.write(b"".join(parts))

    async def _read(self, method, *args):
        try:
            data = await method(*args)
        except (asyncio.IncompleteReadError, OSError) as e:
            raise Broken(repr(e), self.began or bool(getattr(e, "partial", b""))) from None
        self.began = True
        return data

    async def head(self):
        lines = (await self._read(self.reader.readuntil, b"\r\n\r\n")).decode("latin-1").split("\r\n")
        return Answer(int(re.fullmatch(r"HTTP/1\.1 (\d{3}) .*", lines[0])[1]),
                      {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:-2])})

    async def pieces(self, answer):
        """The body as it comes, its framing checked."""
        if answer.headers.get("transfer-encoding") != "chunked":
            yield await self._read(self.reader.readexactly, int(answer.headers["content-length"]))
            return
        while True:
            n = int(await self._read(self.reader.readuntil, b"\r\n"), 16)
            piece = await self._read(self.reader.readexactly, n + 2)
            assert piece[-2:] == b"\r\n", piece
            if n == 0:
                return
            yield piece[:-2]

    async def answer(self, on_piece=None):
        """The whole answer. `on_piece(answer)` is awaited after each piece."""
        answer = await self.head()
        async for piece in self.pieces(answer):
            answer.first = answer.first or time.monotonic() - self.at
            answer.body += piece
            if on_piece:
                await on_piece(answer)
        answer.whole = time.monotonic() - self.at
        return answer

    def close(self, reset=False):
        with contextlib.suppress(OSError):      # the other side was faster
            if reset:
                self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.writer.transport.abort() if reset else self.writer.close()


async def ask(port, method, path, body=None, headers=None, on_piece=None):
    """One request on a connection of its own. Broken, or ConnectionRefusedError: nobody listens."""
    async def exchange():
        c = await Connection(port).open()
        try:
            c.write(*c.send(method, path, body, headers))
            return await c.answer(on_piece)
        finally:
            c.close()
    return await asyncio.wait_for(exchange(), PATIENCE)


# ---- questions

class Question:
    """A greedy request and, once learned, its one right answer: text, why it ended, tokens of both."""

    def __init__(self, rng, words, tokens):
        self.chat = rng.random() < 0.7
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(*words)))
        self.path = "/v1/chat/completions" if self.chat else "/v1/completions"
        self.fields = {"messages": [{"role": "user", "content": text}]} if self.chat else {"prompt": text}
        self.fields.update(temperature=0, max_tokens=rng.randint(*tokens), ignore_eos=True)
        self.right = None

    def body(self, stream):
        return {**self.fields, **({"stream": True, "stream_options": {"include_usage": True}} if stream else {})}

    def read(self, answer, stream):
        """(text, finish reason, tokens of the prompt, of the answer) that a 200 says."""
        events = answer.events() if stream else [answer.json()]
        assert len({e["id"] for e in events}) == 1, "events of several answers in one stream"
        text, finish = "", None
        for e in events:
            for c in e["choices"]:
                assert c["index"] == 0 and finish is None, answer.body
                said = c["delta" if stream else "message"].get("content", "") if self.chat else c["text"]
                text, finish = text + said, c["finish_reason"]
        usage = events[-1]["usage"]
        return text, finish, usage["prompt_tokens"], usage["completion_tokens"]


async def learn(port, questions):
    """Ask each alone."""
    for q in questions:
        answer = await ask(port, "POST", q.path, q.body(False))
        assert answer.status == 200, answer.body
        q.right = q.read(answer, False)
    return questions


class Tally:
    """What became of requests: right, refused, late, cancelled, broken, or how it was wrong."""

    def __init__(self):
        self.n, self.wrong = collections.Counter(), []
        self.first, self.whole, self.prompt, self.generated = [], [], 0, 0

    def note(self, verdict):
        self.n[verdict] += 1
        return verdict

    def judge(self, q, stream, answer):
        try:
            return self.note(self._verdict(q, stream, answer))
        except (AssertionError, LookupError, TypeError, ValueError) as e:
            self.wrong.append(f"{e!r:.500}: {answer.status} {answer.headers} {answer.body[:500]}")
            return self.note("wrong")

    def _verdict(self, q, stream, answer):
        if answer.status in (429, 503):
            assert int(answer.headers["retry-after"]) >= 1 and int(answer.headers["retry-after-ms"]) >= 1
            assert answer.headers["x-should-retry"] == "true" and answer.json()["error"]["message"]
            return "refused"
        if answer.status != 200 or (stream and b'data: {"error":' in answer.body[-1000:]):
            error = json.loads(answer.body.strip().split(b"\n\n")[-1].removeprefix(b"data: "))["error"]
            assert answer.status in (200, {"deadline_exceeded": 504, "cancelled": 499}[error["code"]])
            return {"deadline_exceeded": "late", "cancelled": "cancelled"}[error["code"]]
        got = q.read(answer, stream)
        assert got == q.right, f"{got[0][:99]!r}, {got[1:]} is not {q.right[0][:99]!r}, {q.right[1:]}"
        self.first.append(answer.first)
        self.whole.append(answer.whole)
        self.prompt += got[2]
        self.generated += got[3]
        return "right"

    async def ask(self, port, q, stream, headers=None, on_piece=None):
        try:
            answer = await ask(port, "POST", q.path, q.body(stream), headers, on_piece)
        except Broken:
            return self.note("broken")
        except ConnectionRefusedError:
            return self.note("no connection")
        return self.judge(q, stream, answer)


class Crowd:
    """Clients that ask one question after the other until the block ends, and insist on an answer where the server was killed
    or said that it is to be asked again. One more connects, hesitates, and asks for the version."""

    def __init__(self, port, questions, n):
        self.port, self.questions, self.n = port, questions, n
        self.tally, self.insisted = Tally(), collections.Counter()
        self.answered, self.broken, self.connects = [], [], []     # spans, spans, seconds
        self.on = True

    async def __aenter__(self):
        self.tasks = [asyncio.create_task(t) for t in (self._connector(), *(self._client(k) for k in range(self.n)))]
        return self

    async def __aexit__(self, *failed):
        self.on = False
        for task in self.tasks if failed[0] else ():
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=bool(failed[0]))

    async def _client(self, k):
        at = k
        while self.on:
            began = time.monotonic()
            verdict = await self.tally.ask(self.port, self.questions[at % len(self.questions)], at % 2 == 0)
            if verdict in ("broken", "refused"):
                self.insisted[verdict] += 1
                self.broken += [(began, time.monotonic())] if verdict == "broken" else []
                await asyncio.sleep(0.05)
                continue
            self.answered.append((began, time.monotonic()))
            at += self.n

    async def _connector(self):
        for k in itertools.count():
            began = time.monotonic()
            c = await Connection(self.port).open()
            self.connects.append(time.monotonic() - began)
            await asyncio.sleep(k % 7 * 0.005)
            c.write(*c.send("GET", "/version"))
            try:
                assert (await asyncio.wait_for(c.answer(), PATIENCE)).status == 200
            except Broken:
                self.tally.note("broken")
                self.broken.append((began, time.monotonic()))
            c.close()
            if not self.on:
                return

    async def answers(self, n, seconds=PATIENCE):
        """Wait until so many more have been answered."""
        end, goal = time.monotonic() + seconds, len(self.answered) + n
        while len(self.answered) < goal:
            for task in self.tasks:
                if task.done():
                    task.result()
            assert time.monotonic() < end, f"{len(self.answered)} answers, not {goal}"
            await asyncio.sleep(0.005)

    def back_after(self, moment):
        """Seconds from then to the next answer that was asked for later."""
        return min(ended for began, ended in self.answered if began > moment) - moment



# ---- departures

async def leave(port, q, rng):
    """Ask and leave at a random moment, in a random way. Returns the moment's name."""
    moment = rng.choice(("connected", "in the head", "in the body", "waiting", "after the first token", "in the stream"))
    reads = moment in ("after the first token", "in the stream")
    stream = reads or rng.random() < 0.5
    c = await Connection(port).open()
    head, body = c.send("POST", q.path, q.body(stream))
    if moment == "in the head":
        c.write(head[:rng.randrange(1, len(head))])
    elif moment == "in the body":
        c.write(head, body[:rng.randrange(len(body))])
    elif moment != "connected":
        c.write(head, body)
    if moment == "waiting":
        await asyncio.sleep(rng.random() ** 2 * 0.2)
    elif reads:
        n = 1 if moment == "after the first token" else rng.randrange(2, 4000)
        with contextlib.suppress(OSError):
            while n > 0 and (got := await asyncio.wait_for(c.reader.read(n), PATIENCE)):
                n -= len(got)
    if rng.random() < 0.3 and moment != "in the stream":    # shut down first: the server sees that it left, and closes
        with contextlib.suppress(OSError):
            c.writer.write_eof()
        await asyncio.sleep(0.05 * rng.random())
    c.close(reset=rng.random() < 0.5)
    return moment


# ---- chaos

class Chaos:
    """Everybody at once: who asks and reads, who leaves, cancels, hurries, is wrong, reads slowly, keeps a connection, watches,
    or has the configuration read again."""

    MISTAKES = [    # body, status
        (b"{", 400), (b"[]", 400), (b'{"messages": []}', 400), (b"\xff\0", 400),
        ({"messages": [{"role": "user", "content": "a"}], "temperature": -1}, 400),
        ({"messages": [{"role": "user", "content": "a"}], "model": "none"}, 404),
        ({"messages": [{"role": "user", "content": "word " * 6000}]}, 400)]

    def __init__(self, port, questions, long, rng, reload):
        self.port, self.questions, self.long, self.rng, self.reload = port, questions, long, rng, reload
        self.on, self.n, self.books = True, collections.Counter(), collections.Counter()
        self.wrong, self.broken, self.failures, self.right = [], [], [], []     # messages; spans; spans; (when, how many)
        self.last = float("inf")    # when the last failure of the process was over

    async def __aenter__(self):
        self.began = time.monotonic()
        actors = [*[self.reader] * 6, *[self.leaver] * 2, *[self.canceller] * 2, self.hurried, self.mistaken, self.slow,
                  self.keeper, self.watcher, self.reloader]
        self.tasks = [asyncio.create_task(self.act(actor)) for actor in actors]
        return self

    async def __aexit__(self, *failed):
        self.on = False
        await asyncio.gather(*self.tasks)
        self.seconds = time.monotonic() - self.began

    async def act(self, actor):
        while self.on:
            began = time.monotonic()
            try:
                verdict, n, prompt, generated = (*await actor(), 1, 0, 0)[:4]
            except Broken:
                verdict, n, prompt, generated = "broken", 1, 0, 0
                self.broken.append((began, time.monotonic()))
            except (AssertionError, LookupError, OSError, TypeError, ValueError) as e:
                self.wrong.append(f"{actor.__name__}: {e!r}")
                verdict, n, prompt, generated = "wrong", 1, 0, 0
            self.n[verdict] += n
            if began > self.last:
                self.books.update({verdict: n, "prompt": prompt, "generated": generated})
            if verdict == "right":
                self.right.append((time.monotonic(), n))
            if verdict in ("broken", "refused"):
                await asyncio.sleep(0.05)

    def right_since(self, moment):
        return sum(n for at, n in self.right if at > moment)

    def figures(self):
        return {f"{kind}": n for kind, n in self.n.most_common()}

    # The actors: what became of a request, of how many, and the tokens of their prompts and answers.

    async def asked(self, q, stream, headers=None, on_piece=None):
        answer = await ask(self.port, "POST", q.path, q.body(stream), headers, on_piece)
        tally = Tally()
        verdict = tally.judge(q, stream, answer)
        assert not tally.wrong, tally.wrong
        return verdict, 1, tally.prompt, tally.generated

    async def reader(self):
        return await self.asked(self.rng.choice(self.questions), self.rng.random() < 0.5)

    async def leaver(self):
        await leave(self.port, self.rng.choice(self.long), self.rng)
        return ("left",)

    async def canceller(self):
        me = f"c{self.rng.getrandbits(60)}"

        async def cancel():
            await asyncio.sleep(self.rng.random() ** 2 * 0.3)
            with contextlib.suppress(Broken):
                answer = await ask(self.port, "DELETE", f"/v1/requests/{me}")
                assert answer.status in (200, 404), answer.body
        asked, _ = await asyncio.gather(
            self.asked(self.rng.choice(self.long), self.rng.random() < 0.5, {"X-Request-Id": me}), cancel())
        return asked

    async def hurried(self):
        return await self.asked(self.rng.choice(self.long), self.rng.random() < 0.5,
                                {"X-Request-Timeout-Ms": self.rng.choice((1, 5, 20, 100, 400))})

    async def mistaken(self):
        body, status = self.rng.choice(self.MISTAKES)
        answer = await ask(self.port, "POST", "/v1/chat/completions", body)
        if answer.status == 503 and int(answer.headers["retry-after"]) > 0:
            return ("refused",)
        assert answer.status == status and answer.json()["error"]["message"], (body, answer.status, answer.body)
        await asyncio.sleep(0.01)
        return ("mistaken",)

    async def slow(self):
        async def rest(answer):
            await asyncio.sleep(0.002)
        return await self.asked(self.rng.choice(self.long), True, None, rest)

    async def keeper(self):
        """Several requests on one connection, which the server may close between two of them."""
        c, tally = await Connection(self.port).open(), Tally()
        try:
            for k in range(self.rng.randrange(2, 8)):
                q = self.rng.choice(self.questions)
                c.write(*c.send("POST", q.path, q.body(k % 2 == 0), keep=True))
                try:
                    answer = await asyncio.wait_for(c.answer(), PATIENCE)
                except Broken as e:
                    if k == 0 or e.began:
                        raise
                    break
                tally.judge(q, k % 2 == 0, answer)
                assert not tally.wrong, tally.wrong
            return "right", tally.n["right"], tally.prompt, tally.generated
        finally:
            c.close()

    async def watcher(self):
        path = self.rng.choice(("/livez", "/readyz", "/health", "/startupz", "/metrics", "/v1/models"))
        answer = await ask(self.port, "GET", path)
        assert answer.status in (200, 503), answer.body
        await asyncio.sleep(0.02)
        return ("watched",)

    async def reloader(self):
        self.reload()
        await asyncio.sleep(self.rng.random() * 0.4)
        return ("reloaded",)


# ---- the metrics

class Metrics:
    def __init__(self, text):
        self.values = {}
        for line in text.splitlines():
            if line[:1] != "#":
                name, value = line.rsplit(" ", 1)
                self.values[name] = float(value)

    def total(self, name, **labels):
        return sum(v for k, v in self.values.items() if k.split("{")[0] == name
                   and all(f'{label}="{value}"' in k for label, value in labels.items()))

    @property
    def rss(self):
        return self.total("process_resident_memory_bytes")

    def check_ledger(self, case):
        """The law that holds at every moment."""
        started, ended = self.total("autoglm_requests_started_total"), self.total("autoglm_requests_finished_total")
        case.assertEqual(started, ended + self.total("autoglm_requests_in_flight"))


async def scrape(port):
    answer = await ask(port, "GET", "/metrics")
    assert answer.status == 200, answer.body
    return Metrics(answer.body.decode())


async def settle(case, port, seconds=60):
    """Wait until nothing is left of any request; the metrics then."""
    end = time.monotonic() + seconds
    while True:
        m = await scrape(port)
        left = {name: m.total(name) for name in (
            "autoglm_requests_in_flight", "autoglm_sequences_running", "autoglm_sequences_waiting",
            "autoglm_sequences_paused", "autoglm_kv_cache_usage_ratio")}
        left["used blocks"] = m.total("autoglm_kv_blocks", state="used")
        left["connections"] = m.total("autoglm_http_connections") - 1     # that which asks
        if not any(left.values()):
            m.check_ledger(case)
            return m
        case.assertLess(time.monotonic(), end, f"left of requests that are over: {left}")
        await asyncio.sleep(0.05)


# ---- figures

def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))] if values else 0.0


def ms(values):
    """Median, 99th percentile and worst of times."""
    if not values:
        return "none"
    return f"{1e3 * statistics.median(values):.0f} / {1e3 * quantile(values, 0.99):.0f} / {1e3 * max(values):.0f} ms"


def mib(n):
    return f"{n / 2**20:.1f} MiB"


def unexplained(broken, failures):
    """Spans of requests that broke though no server failed meanwhile."""
    return [(a, b) for a, b in broken if not any(began < b and a < ended for began, ended in failures)]
