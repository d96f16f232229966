"""One generation between Python and the engine thread.

The engine calls back from its own thread, which takes the interpreter lock for a few microseconds a
token: it makes the Token and hands it on through `notify`, and never runs code of the caller. A
Request is kept alive by `_running` until its last callback, so nobody has to wait for a cancelled
one.
"""
from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from ._native import ffi
from .answer import Answer, Token, TokenLogprob, Usage
from .errors import EngineClosedError, RequestCancelledError, error_of

FINISH = {"AG_FINISH_STOP": "stop", "AG_FINISH_LENGTH": "length", "AG_FINISH_CANCELLED": "cancelled",
          "AG_FINISH_ERROR": "error"}

Notify = Callable[["Token | None"], None]
"""Called on the engine thread with each token, and with None at the end."""

_running: set[Request] = set()
engine_threads: set[int] = set()
"""Threads that have called back. The garbage collector may run on them, in the middle of anything."""


def decode(pointer: Any, n: int) -> str:
    return bytes(ffi.buffer(pointer, n)).decode("utf-8", "replace") if n else ""


def raise_error(lib: Any, code: int, err: Any) -> None:
    """Raise what an ag_code other than AG_OK and its ag_err mean."""
    if code:
        name = ffi.string(lib.ag_code_name(code)).decode()
        raise error_of(name, ffi.string(err.msg).decode("utf-8", "replace"))


class Request:
    """A generation that was asked for."""

    def __init__(self, lib: Any, notify: Notify, streaming: bool) -> None:
        self.lib = lib
        self.notify = notify
        self.streaming = streaming  # whether each token is announced, or only the end
        self.tokens: list[Token] = []
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        # Guards the three below. Reentrant: the collector may drop our own stream while it is held.
        self.lock = threading.RLock()
        self.pointer: Any = None  # ag_request *, ours from submit until the end
        self.ended = False
        self.cancelled = False
        self.handle = ffi.new_handle(self)

    def submit(self, engine: Any, opts: Any) -> None:
        """Queue it; on an error nothing is called back."""
        opts.on_token, opts.on_done, opts.ctx = _on_token, _on_done, self.handle
        out, err = ffi.new("ag_request **"), ffi.new("ag_err *")
        _running.add(self)
        code = self.lib.ag_engine_submit(engine, opts, out, err)
        if code:
            _running.discard(self)
            raise_error(self.lib, code, err)
        with self.lock:
            self.pointer = out[0]
            if self.cancelled:
                self.lib.ag_request_cancel(self.pointer)
            if self.ended:
                self.release()

    def cancel(self) -> None:
        """Ask it to end; returns at once, and does nothing when it ended before."""
        with self.lock:
            self.cancelled = True
            if self.pointer is not None:
                self.lib.ag_request_cancel(self.pointer)

    def release(self) -> None:
        """Give the handle back. The lock is held."""
        pointer, self.pointer = self.pointer, None
        if pointer is not None:
            self.lib.ag_request_release(ffi.new("ag_request **", pointer))

    def on_token(self, event: Any) -> bool:
        top = tuple(TokenLogprob(event.top[i].id, event.top[i].logprob) for i in range(event.n_top))
        logprob = None if math.isnan(event.logprob) else event.logprob
        token = Token(decode(event.text, event.text_len), event.id, event.index, logprob, top)
        self.tokens.append(token)
        if self.streaming:
            self.notify(token)
        return not self.cancelled

    def on_done(self, result: Any) -> None:
        tail = decode(result.tail, result.tail_len)
        if tail:
            self.tokens.append(Token(tail, None, len(self.tokens)))
            if self.streaming:
                self.notify(self.tokens[-1])
        finish = FINISH[ffi.string(ffi.cast("ag_finish", result.finish))]
        usage = Usage(result.n_prompt, result.n_cached, result.n_generated, result.queue_us / 1e6,
                      result.prefill_us / 1e6, result.decode_us / 1e6)
        if self.error is not None:
            pass  # a fault of our own, met in on_token
        elif finish == "error":
            name = ffi.string(self.lib.ag_code_name(result.err.code)).decode()
            self.error = error_of(name, ffi.string(result.err.msg).decode("utf-8", "replace"))
        elif finish == "cancelled" and not self.cancelled:
            self.error = EngineClosedError("the engine was closed before the answer was complete")
        self.answer = Answer("".join(self.tokens), finish, tuple(self.tokens), usage)
        with self.lock:
            self.ended = True
            self.release()
        _running.discard(self)
        self.notify(None)

    def result(self) -> Answer:
        """The whole answer, after the end; raises what went wrong."""
        if self.error is not None:
            raise self.error
        assert self.answer is not None
        if self.cancelled and self.answer.finish_reason == "cancelled":
            raise RequestCancelledError("the request was cancelled")
        return self.answer


@ffi.callback("bool (void *, const ag_token_event *)", error=False)  # type: ignore[untyped-decorator]
def _on_token(ctx: Any, event: Any) -> bool:
    engine_threads.add(threading.get_ident())
    request: Request = ffi.from_handle(ctx)
    try:
        return request.on_token(event)
    except BaseException as error:  # there is no Python frame above that could see it
        request.error = error
        return False


@ffi.callback("void (void *, const ag_result *)")  # type: ignore[untyped-decorator]
def _on_done(ctx: Any, result: Any) -> None:
    engine_threads.add(threading.get_ident())
    request: Request = ffi.from_handle(ctx)
    request.on_done(result)
