"""What the measuring programs share: what else the machine did, figures as JSON lines, tables of medians, drawings.

A row is one measurement: {"suite", "test", "engine", "model", "at"} and figures, whose names end in their unit. Of
what is a rate (".../s", "share ...") more is better, of everything else less. Python 3.9 and nothing else.
"""
import collections
import html
import json
import os
import statistics
import sys
import time

OURS = "autoglm"
FACTS = ("suite", "test", "engine", "model", "at", "others")


def busy_seconds():
    """Of all processors together since the machine started."""
    with open("/proc/stat") as f:
        fields = [int(x) for x in f.readline().split()[1:]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def processes(pid):
    """A process, its children and theirs."""
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [pid] + [p for child in f.read().split() for p in processes(int(child))]


def process_seconds(pid):
    """Of a process and its children that live, or have been waited for."""
    seconds = 0
    for p in processes(pid):
        with open(f"/proc/{p}/stat") as f:
            seconds += sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:15])
    return seconds / os.sysconf("SC_CLK_TCK")


class Others:
    """How much of one processor anything else took while a block ran: repeat what was disturbed."""

    def __enter__(self):
        self.began, self.busy, self.own = time.monotonic(), busy_seconds(), process_seconds(os.getpid())
        return self

    def __exit__(self, *_):
        spent = process_seconds(os.getpid()) - self.own
        self.share = max(0, (busy_seconds() - self.busy - spent) / (time.monotonic() - self.began))


class Figures:
    """The rows of one program, shown as they come and kept in a file where one is given."""

    def __init__(self, suite, path=None):
        self.suite, self.path, self.rows = suite, path, []

    def add(self, test, engine, model, figures, others):
        row = {"suite": self.suite, "test": test, "engine": engine, "model": os.path.basename(model.rstrip("/")),
               "at": int(time.time()), **figures, "others": round(others, 3)}
        self.rows.append(row)
        shown = "  ".join(f"{k} {v:.4g}" for k, v in row.items() if isinstance(v, float) and k != "others")
        print(f"{test:20} {engine:10} {shown}  others {others:.2f}", file=sys.stderr)
        if self.path:
            with open(self.path, "a") as f:
                print(json.dumps(row), file=f)


def read(paths):
    rows = []
    for path in paths:
        with open(path) as f:
            rows += [json.loads(line) for line in f if line.strip()]
    return rows


def grouped(rows):
    """(suite, model, test) -> engine -> figure -> values, all in the order of their first row."""
    groups = {}
    for row in rows:
        of_test = groups.setdefault((row["suite"], row["model"], row["test"]), {})
        of_engine = of_test.setdefault(row["engine"], collections.defaultdict(list))
        for name, value in row.items():
            if name not in FACTS and value is not None:
                of_engine[name].append(value)
    return groups


def is_rate(figure):
    return figure.endswith("/s") or figure.startswith("share")


def better(figure, ours, theirs):
    """How many times better ours is; None where that has no meaning."""
    over, under = (ours, theirs) if is_rate(figure) else (theirs, ours)
    return over / under if under > 0 and over > 0 else None


def best(figure, engines):
    """The peer with the best median of a figure, or None."""
    peers = {e: statistics.median(f[figure]) for e, f in engines.items() if e != OURS and f.get(figure)}
    return (max if is_rate(figure) else min)(peers, key=peers.get) if peers else None


def number(value, digits):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def cell(values):
    if not values:
        return "-"
    spread = f" ({number(min(values), 3)} to {number(max(values), 3)})" if len(values) > 1 else ""
    return number(statistics.median(values), 4) + spread


def table(rows, out=sys.stdout):
    """Markdown: medians, least and most of the rounds, and how many times better ours is than the best peer."""
    names = list(dict.fromkeys([OURS] + [r["engine"] for r in rows]))
    models = {r["model"] for r in rows}
    head = ["test", "figure"] + names + (["better by"] if len(names) > 1 else [])
    print("| " + " | ".join(head) + " |\n" + "|---" * len(head) + "|", file=out)
    for (_, model, test), engines in grouped(rows).items():
        what = f"{test}, {model}" if len(models) > 1 else test
        for figure in dict.fromkeys(name for f in engines.values() for name in f):
            cells = [cell(engines.get(e, {}).get(figure)) for e in names]
            peer = best(figure, engines)
            if len(names) > 1:
                times = peer and engines.get(OURS, {}).get(figure) and better(
                    figure, statistics.median(engines[OURS][figure]), statistics.median(engines[peer][figure]))
                cells.append(f"{times:.2f}" if times else "")
            print("| " + " | ".join([what, figure] + cells) + " |", file=out)


def chart(rows, figure, title):
    """An SVG of how many times better ours is than the best peer, test by test; the line is 1."""
    bars = []
    for (_, model, test), engines in grouped(rows).items():
        peer = best(figure, engines)
        if peer and engines.get(OURS, {}).get(figure):
            ours, theirs = engines[OURS][figure], engines[peer][figure]
            times = better(figure, statistics.median(ours), statistics.median(theirs))
            ends = [better(figure, a, b) for a, b in zip(sorted(ours), sorted(theirs, reverse=True))]
            bars.append((f"{test}, {model}", peer, times, min(ends), max(ends)))
    if not bars:
        return None
    left, width, step = 330, 420, 22
    most = max(2, max(b[4] for b in bars))
    height = 46 + step * len(bars)

    def x(times):
        return left + width * times / most
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width + 120} {height}" '
           'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>',
           f'<text x="8" y="20" font-size="14" font-weight="bold">{html.escape(title)}</text>']
    for i, (name, peer, times, low, high) in enumerate(bars):
        y = 34 + step * i
        colour = "#2a7f62" if times >= 1 else "#b5472f"
        out += [f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{html.escape(name)}</text>',
                f'<rect x="{left}" y="{y}" width="{x(times) - left:.1f}" height="15" fill="{colour}"/>',
                f'<path d="M{x(low):.1f} {y + 7.5}H{x(high):.1f}" stroke="#222"/>',
                f'<text x="{x(max(times, high)) + 6:.1f}" y="{y + 12}">{times:.2f} × {html.escape(peer)}</text>']
    out += [f'<path d="M{x(1):.1f} 30V{height - 10}" stroke="#222" stroke-dasharray="3 3"/>', "</svg>"]
    return "\n".join(out) + "\n"
