#!/usr/bin/env python3
"""GET /metrics, read as strictly as the format's descriptions are written, in both of its forms.

promtool (`promtool check metrics`) and prometheus_client's parser of OpenMetrics accept what this accepts; neither is
needed here, and promtool cannot look at several scrapes together.
"""
import json
import math
import re
import threading
import time

from server import CHAT, EMBED, Configured, main, model_path

HELLO = [{"role": "user", "content": "Hello"}]
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=[a-zA-Z_])|$)')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.+)\}})? (\S+)")
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?|[+-]Inf|NaN")
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def number(text):
    assert NUMBER.fullmatch(text), text
    return float(text.replace("Inf", "inf"))


def labels_of(text):
    found, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m, text
        assert m[1] not in found and m[1] != "__name__", text
        found[m[1]] = m[2].replace("\\\\", "\0").replace('\\"', '"').replace("\\n", "\n").replace("\0", "\\")
        at = m.end()
    return found


class Family:
    def __init__(self, name, kind):
        self.name, self.kind = name, kind
        self.samples = []  # (suffix, labels, value)

    def series(self, openmetrics):
        """Its histograms by their labels, each checked."""
        series = {}
        for suffix, labels, value in self.samples:
            own = dict(labels)
            bound = own.pop("le", None)
            one = series.setdefault(tuple(sorted(own.items())), {"_bucket": []})
            assert (bound is not None) == (suffix == "_bucket"), (self.name, suffix, labels)
            if suffix == "_bucket":
                assert not openmetrics or re.fullmatch(r"\+Inf|.*[.e].*", bound), bound
                one["_bucket"].append((number(bound), value))
            else:
                assert suffix not in one, (self.name, suffix)
                one[suffix] = value
        for labels, one in series.items():
            assert set(one) == set(SUFFIXES["histogram"]), (self.name, labels)
            bounds, counts = zip(*one["_bucket"])
            assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, (self.name, labels, bounds)
            assert list(counts) == sorted(counts) and counts[-1] == one["_count"], (self.name, labels, counts)
        return series

    def check_sums(self):
        """What is summed up lies between the bounds of the buckets that hold it, once nothing is being added."""
        for labels, one in self.series(False).items():
            bounds, counts = zip(*one["_bucket"])
            held = [high - low for low, high in zip((0,) + counts, counts)]
            least = sum(n * low for n, low in zip(held, (0,) + bounds))
            most = sum(n * high for n, high in zip(held, bounds) if n)
            assert least - 1e-5 <= one["_sum"] <= most + 1e-5, (self.name, labels, one)


def parse(text, openmetrics):
    """The families of an exposition by name; anything that is not as it should be is an error."""
    families, family, series, helped = {}, None, set(), None
    assert text.endswith("\n") and "\r" not in text and "\n\n" not in text
    lines = text[:-1].split("\n")
    assert (lines[-1] == "# EOF") == openmetrics and "# EOF" not in lines[:-1]
    for line in lines[:-1] if openmetrics else lines:
        if line.startswith("#"):
            m = re.fullmatch(rf"# (HELP|TYPE) ({NAME}) (.+)", line)
            assert m, line
            if m[1] == "HELP":
                assert m[2] not in families, f"{m[2]} comes twice"
                helped = m[2]
                continue
            assert m[2] == helped and m[3] in SUFFIXES, line
            family = families[m[2]] = Family(m[2], m[3])
            continue
        m = SAMPLE.fullmatch(line)
        assert m, line
        assert line not in series
        labels = labels_of(m[2] or "")
        key = (m[1], tuple(sorted(labels.items())))
        assert key not in series, f"{key} comes twice"
        series.add(key)
        suffixes = ["_total"] if openmetrics and family.kind == "counter" else SUFFIXES[family.kind]
        suffix, = [s for s in suffixes if m[1] == family.name + s]
        value = number(m[3])
        assert family.kind == "gauge" or value >= 0, line
        family.samples.append((suffix, labels, value))
    for f in families.values():
        assert f.samples, f.name
        odd = f.name == "vllm:iteration_tokens_total"   # a histogram, named by vLLM
        assert odd or f.name.endswith("_total") == (f.kind == "counter" and not openmetrics), f.name
        assert not f.name.endswith(("_bucket", "_sum", "_count", "_created")), f.name
        if f.kind == "histogram":
            f.series(openmetrics)
    return families


class Metrics(Configured):
    def scrape(self, server, openmetrics=False):
        answer = server.get("/metrics", **({"Accept": "application/openmetrics-text; version=1.0.0"} if openmetrics else {}))
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8"
                         if openmetrics else "text/plain; version=0.0.4; charset=utf-8")
        return parse(answer.body.decode("utf-8"), openmetrics)

    def counted(self, families):
        return {(f.name, s, tuple(sorted(labels.items()))): value for f in families.values() for s, labels, value in f.samples
                if f.kind == "counter" or (f.kind == "histogram" and s != "_sum")}

    def work(self, server, until):
        """Requests of every kind, while somebody looks."""
        body = {"messages": HELLO, "max_tokens": 6, "ignore_eos": True}
        while not until.is_set():
            server.post("/v1/chat/completions", body)
            server.post("/v1/chat/completions", dict(body, stream=True, n=2))
            server.post("/v1/completions", {"prompt": "a", "max_tokens": 3, "temperature": -1})
            server.post("/v1/embeddings", {"model": "embed", "input": ["a", "b c"]})
            server.get("/v1/nothing")

    def test_the_reader_finds_mistakes(self):
        fine = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c\"} 1\n"
        histogram = ("# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 3\nh_sum 4\nh_count 3\n")
        parse(fine + histogram, False)
        for text, wrong in ((fine, "a_total{b=\"c\"} 2\n"), (fine, "b 1\n"), (fine, fine), (fine, "a_total{b=c} 1\n"),
                            (fine, "a_total{b=\"\\x\"} 1\n"), (fine, "a_total -1\n"), (fine, "a_total 01\n"), (fine, "\n"),
                            (fine.replace("a_total", "a"), ""), (fine.replace("counter", "gauge"), ""),
                            (fine.replace("# HELP a_total x\n", ""), ""), (histogram.replace("count 3", "count 2"), ""),
                            (histogram.replace("} 2", "} 4"), ""), (histogram.replace("+Inf", "2"), ""),
                            (histogram.replace("h_sum 4\n", ""), ""), (fine, "# EOF\n")):
            with self.subTest(text=text + wrong):
                self.assertRaises((AssertionError, ValueError, KeyError), parse, text + wrong, False)

    def test_both_forms_are_strictly_what_their_descriptions_say(self):
        name = json.dumps('odd "name" \\ \u00fc')
        server = self.serve("server: {listen: '127.0.0.1:0'}\nengine: {threads: 2}\nmodels:\n"
                            f"  - {{name: {name}, path: {model_path(CHAT)}, context: 512}}\n"
                            f"  - {{name: embed, path: {model_path(EMBED)}}}\n")
        done = threading.Event()
        workers = [threading.Thread(target=self.work, args=(server, done)) for _ in range(3)]
        for w in workers:
            w.start()
        try:
            before, end, n = {}, time.monotonic() + 1.5, 0
            while time.monotonic() < end or n < 4:
                n += 1
                now = self.counted(self.scrape(server))
                self.assertLessEqual(before.items() and before.keys(), now.keys())
                self.assertEqual({k: (v, now[k]) for k, v in before.items() if now[k] < v}, {}, "a counter fell")
                before = now
                self.scrape(server, openmetrics=True)
        finally:
            done.set()
            for w in workers:
                w.join()
        text, openmetrics = self.scrape(server), self.scrape(server, openmetrics=True)
        self.assertEqual({f.name.removesuffix("_total") if f.kind == "counter" else f.name for f in text.values()},
                         set(openmetrics))
        told = {labels["model"] for _, labels, _ in text["autoglm_requests_finished_total"].samples}
        self.assertEqual(told, {json.loads(name), "embed", "unknown"})
        for f in text.values():
            if f.name.startswith("autoglm_"):  # base units, and nothing in the name that is a label
                self.assertNotRegex(f.name, "_(ms|us|millis|milliseconds|minutes|kb|mb|kib|mib|percent|perc)(_|$)")
                self.assertRegex(f.name, "^[a-z0-9_]+$")
            if f.kind == "histogram":
                f.check_sums()
            else:
                self.assertFalse([labels for _, labels, _ in f.samples if "le" in labels], f.name)
        # What is shown under vLLM's name too says the same there.
        for own, theirs in (("autoglm_generation_tokens_total", "vllm:generation_tokens_total"),
                            ("autoglm_step_rows", "vllm:iteration_tokens_total"),
                            ("autoglm_time_to_first_token_seconds", "vllm:time_to_first_token_seconds")):
            self.assertEqual([v for _, _, v in text[own].samples], [v for _, _, v in text[theirs].samples])
            self.assertEqual({labels["engine"] for _, labels, _ in text[theirs].samples}, {"0"})
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    main()
