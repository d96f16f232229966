"""What happens to the process: signals, threads, fork, leaving."""
from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from openautoglm import AutoGLMEngine, EngineClosedError
from openautoglm.streams import AsyncStream, Stream


def program(text: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", text, *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


INTERRUPTED = """
import sys
from openautoglm import AutoGLMEngine
engine = AutoGLMEngine(sys.argv[1], n_threads=1)
ids = engine.tokenize("Open the settings " * 10)
def begin():
    print("begin", flush=True)
try:
    if sys.argv[2] == "generate":
        begin()
        while True:
            engine.generate("Open", ignore_eos=True)
    if sys.argv[2] == "stream":
        begin()
        while True:
            for token in engine.generate("Open", stream=True, ignore_eos=True):
                pass
    if sys.argv[2] == "logits":
        begin()
        while True:
            engine.logits(ids)
    if sys.argv[2] == "load":
        def progress(done, total):
            begin()
            while True:
                pass
        AutoGLMEngine(sys.argv[1], on_progress=progress)
except KeyboardInterrupt:
    print("interrupted", len(engine.generate("Open", max_tokens=3, ignore_eos=True).token_ids), flush=True)
"""


@pytest.mark.parametrize("what", ["generate", "stream", "logits", "load"])
def test_ctrl_c_cancels_and_the_engine_goes_on(model: str, what: str) -> None:
    child = program(INTERRUPTED, model, what)
    assert child.stdout is not None and child.stdout.readline() == "begin\n"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (out, child.returncode) == ("interrupted 3\n", 0), err
    assert err == ""


@pytest.mark.parametrize("kind", [Stream, AsyncStream])
def test_ctrl_c_may_come_before_a_stream_is_made(kind: type[Stream | AsyncStream],
                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lost.append)
    del [kind.__new__(kind)][0]
    assert lost == []


def test_waiting_lets_other_threads_run(engine: AutoGLMEngine) -> None:
    answers: list[str] = []

    ready = threading.Barrier(8)

    def ask() -> None:
        ready.wait()
        answers.append(engine.generate("Open", temperature=0, max_tokens=300, ignore_eos=True))

    before = engine.stats
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    after = engine.stats
    assert len(set(answers)) == 1 and len(answers) == 8
    # They shared steps, so no thread kept the others from asking while it waited.
    assert after.n_steps - before.n_steps < after.n_generated - before.n_generated


def test_closing_wakes_a_thread_that_waits(model: str) -> None:
    engine = AutoGLMEngine(model, n_threads=1)
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            while True:
                engine.generate("Open", ignore_eos=True)
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while engine.stats.n_generated == 0:
        time.sleep(0)
    engine.close()
    thread.join(60)
    assert [type(e) for e in caught] == [EngineClosedError]


def test_many_threads_may_close_while_others_use(model: str) -> None:
    engine = AutoGLMEngine(model, n_threads=1)

    def use() -> None:
        try:
            while True:
                engine.tokenize("some text")
        except EngineClosedError:
            pass

    threads = [threading.Thread(target=use) for _ in range(4)]
    threads += [threading.Thread(target=engine.close) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
        assert not t.is_alive()


FORKED = """
import os, sys
from openautoglm import AutoGLMEngine, EngineClosedError
engine = AutoGLMEngine(sys.argv[1], n_threads=1)
stream = engine.generate("Open", stream=True, ignore_eos=True)
next(stream)
pid = os.fork()
if pid == 0:
    try:
        engine.generate("Open")
    except EngineClosedError as error:
        print(error, flush=True)
    assert engine.closed
    engine.close()
    other = AutoGLMEngine(sys.argv[1], n_threads=1)
    print(len(other.generate("Open", max_tokens=3, ignore_eos=True).token_ids), flush=True)
    other.close()
    del stream, engine
    os._exit(0)
_, status = os.waitpid(pid, 0)
stream.close()
print(status, len(engine.generate("Open", max_tokens=2, ignore_eos=True).token_ids))
"""


def test_after_fork_the_child_is_told_and_may_open_its_own(model: str) -> None:
    child = program(FORKED, model)
    out, err = child.communicate(timeout=60)
    lines = out.splitlines()
    assert len(lines) == 3 and "fork" in lines[0] and "spawn" in lines[0], (out, err)
    assert lines[1:] == ["3", "0 2"] and child.returncode == 0


LEFT = """
import sys, threading
from openautoglm import AutoGLMEngine
engine = AutoGLMEngine(sys.argv[1], n_threads=1)
stream = engine.generate("Open", stream=True, ignore_eos=True)
next(stream)
threading.Thread(target=lambda: engine.generate("Open", ignore_eos=True), daemon=True).start()
keep = [engine, stream]
keep.append(keep)
"""


def test_leaving_without_closing_is_quiet(model: str) -> None:
    child = program(LEFT, model)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0 and out == ""
    assert "Fatal" not in err and "Segmentation" not in err


COLLECTED = """
import gc, sys, time
from openautoglm import AutoGLMEngine
from openautoglm.request import Request, _running
on_token = Request.on_token
def collect(self, event):
    if not hold:
        gc.collect()
    return on_token(self, event)
Request.on_token = collect
hold = [1]
gc.disable()
engine = AutoGLMEngine(sys.argv[1], n_threads=1)
stream = engine.generate("Open", stream=True, ignore_eos=True)
cycle = [engine, stream]
cycle.append(cycle)
request = stream._request
del engine, stream, cycle
hold.clear()
while _running:
    time.sleep(0.001)
print(request.answer.finish_reason)
"""


def test_the_collector_may_drop_an_engine_on_its_own_thread(model: str) -> None:
    out, err = program(COLLECTED, model).communicate(timeout=60)
    assert (out, err) == ("cancelled\n", "")


def test_engines_that_are_dropped_free_their_memory(model: str) -> None:
    def resident() -> int:
        with open("/proc/self/statm", encoding="ascii") as f:
            return int(f.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def open_and_drop() -> int:
        engine = AutoGLMEngine(model, n_threads=1)
        engine.generate("Open", max_tokens=2)
        return engine.info.weight_bytes + engine.info.kv_bytes

    for _ in range(3):
        size = open_and_drop()
    before = resident()
    for _ in range(10):
        open_and_drop()
    assert resident() - before < 3 * size


def test_a_library_of_another_version_is_refused(model: str) -> None:
    text = ("import sys, openautoglm\n"
            "openautoglm.library.VERSION = '9.9.9'\n"
            "try: openautoglm.AutoGLMEngine(sys.argv[1])\n"
            "except openautoglm.LibraryNotFoundError as e: print(e)\n")
    out, err = program(text, model).communicate(timeout=60)
    assert "made for 9.9.9" in out, err
