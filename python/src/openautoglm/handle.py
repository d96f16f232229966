"""The C engine behind an AutoGLMEngine: opened, used by many threads, closed once.

close() frees memory that other threads might be reading, so every call into the library goes through
`use()`, which counts who is inside; close() lets nobody in and waits until all are out. After fork()
the child has this memory but none of the engine's threads: it may neither use nor free it.
"""
from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from . import library
from ._native import ffi
from .errors import EngineClosedError
from .options import Keep
from .request import engine_threads, raise_error

LOG_LEVELS = (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)  # by the library's number
logger = logging.getLogger("openautoglm")

Progress = Callable[[int, int], object]
"""Called with bytes of weights ready and in all."""

_open: weakref.WeakSet[Handle] = weakref.WeakSet()


@ffi.callback("void (void *, int, const char *, const char *)")  # type: ignore[untyped-decorator]
def _on_log(ctx: Any, level: int, component: Any, line: Any) -> None:
    engine_threads.add(threading.get_ident())
    text = ffi.string(line).decode("utf-8", "replace")
    logger.getChild(ffi.string(component).decode()).log(LOG_LEVELS[level], "%s", text)


def log_level() -> int:
    """The library's number of the finest level that Python's logging wants; -1 when it wants none."""
    return max((i for i, level in enumerate(LOG_LEVELS) if logger.isEnabledFor(level)), default=-1)


def _free(lib: Any, pointer: Any, keep: Keep) -> None:
    """Close an engine; what its callbacks need is kept until then."""
    lib.ag_engine_close(ffi.new("ag_engine **", pointer))
    keep.items.clear()


class Handle:
    def __init__(self, opts: Any, keep: Keep, on_progress: Progress | None) -> None:
        """Open an engine with an ag_engine_opts whose progress and log fields are free. Loading runs
        on this thread, and a signal handler that raises (Ctrl-C) stops it."""
        self.lib = library.load()
        self.pid = os.getpid()
        self.pointer: Any = None
        self.n_inside = 0
        self.left = threading.Condition()  # guards pointer and n_inside
        self.keep = keep  # the library keeps the log callback's address
        failures: list[BaseException] = []

        def progress(ctx: Any, done: int, total: int) -> bool:
            if on_progress is not None:
                on_progress(done, total)
            return True

        def failed(kind: object, error: BaseException, trace: object) -> None:
            failures.append(error)

        opts.on_progress = keep.add(ffi.callback("ag_progress_fn", progress, error=False, onerror=failed))
        level = log_level()
        if level >= 0:
            opts.on_log, opts.log_level = _on_log, level
        out, err = ffi.new("ag_engine **"), ffi.new("ag_err *")
        code = self.lib.ag_engine_open(opts, out, err)
        if failures:
            self.lib.ag_engine_close(out)
            raise failures[0]
        raise_error(self.lib, code, err)
        self.pointer = out[0]
        _open.add(self)

    @contextlib.contextmanager
    def use(self) -> Iterator[Any]:
        """The ag_engine *, which is not freed before the block is left."""
        if os.getpid() != self.pid:
            raise EngineClosedError(
                f"this engine was opened in process {self.pid}, and its threads exist only there: after "
                "fork() open one in the child, or start processes with multiprocessing's \"spawn\"")
        with self.left:
            if self.pointer is None:
                raise EngineClosedError("the engine is closed")
            self.n_inside += 1
            pointer = self.pointer
        try:
            yield pointer
        finally:
            with self.left:
                self.n_inside -= 1
                self.left.notify_all()

    def close(self) -> None:
        """Cancel what runs, stop the threads, free everything. Again: does nothing."""
        if os.getpid() != self.pid:
            return
        with self.left:
            pointer, self.pointer = self.pointer, None
            self.left.wait_for(lambda: self.n_inside == 0)
        if pointer is not None:
            _free(self.lib, pointer, self.keep)

    @property
    def closed(self) -> bool:
        return self.pointer is None or os.getpid() != self.pid

    def __del__(self) -> None:
        if getattr(self, "pointer", None) is None or os.getpid() != self.pid:
            return
        if threading.get_ident() in engine_threads:
            # An engine's thread collects garbage; were it our own, it could not wait for its own end.
            threading.Thread(target=_free, args=(self.lib, self.pointer, self.keep), daemon=True).start()
        else:
            self.close()


@atexit.register
def _close_all() -> None:
    """Before the interpreter goes: afterwards the engine's threads could not call it any more."""
    for handle in list(_open):
        handle.close()
