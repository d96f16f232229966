"""Answers that arrive piece by piece: for loops, and for `async for`."""
from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable, Generator
from types import TracebackType
from typing import Any

from .answer import Answer, Token
from .request import Request


class _Ending:
    """What both kinds share: the request, and the answer at the end."""

    # The class's, because Ctrl-C may arrive before __init__ has run, and __del__ reads them.
    _request: Request | None = None
    _ended = False

    @property
    def answer(self) -> Answer:
        """The whole answer; known once the stream has ended or was closed."""
        if not self._ended or self._request is None or self._request.answer is None:
            raise RuntimeError("the answer is not complete yet: read the stream to its end first")
        return self._request.answer

    def _cancel(self) -> None:
        self._ended = True
        if self._request is not None:
            self._request.cancel()

    def __del__(self) -> None:
        if not self._ended:
            self._cancel()


class Stream(_Ending):
    """Iterator over the tokens of an answer. Leaving it early (close(), `with`, or dropping it)
    cancels the generation; Ctrl-C while waiting does too."""

    def __init__(self, start: Callable[[Callable[[Token | None], None]], Request]) -> None:
        self._queue: queue.SimpleQueue[Token | None] = queue.SimpleQueue()
        self._request = start(self._queue.put)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> Token:
        if self._ended:
            raise StopIteration
        assert self._request is not None
        try:
            token = self._queue.get()
        except BaseException:
            self._cancel()
            raise
        if token is None:
            self._ended = True
            self._request.result()
            raise StopIteration
        return token

    def close(self) -> None:
        """Stop generating and wait for the end of the step that runs. `answer` is known then."""
        if self._ended:
            return
        self._cancel()
        while self._queue.get() is not None:
            pass

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()


class AsyncStream(_Ending):
    """Asynchronous iterator over the tokens of an answer, for the event loop it was made in.

    `async for token in engine.achat(..., stream=True)`; awaiting it first is allowed and gives the
    same object. Leaving it early (aclose(), `async with`, a cancelled task, or dropping it) cancels
    the generation.
    """

    def __init__(self, start: Callable[[Callable[[Token | None], None]], Request]) -> None:
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Token | None] = asyncio.Queue()
        self._request = start(to_loop(loop, self._queue.put_nowait))

    def __aiter__(self) -> AsyncStream:
        return self

    def __await__(self) -> Generator[Any, None, AsyncStream]:
        yield from ()
        return self

    async def __anext__(self) -> Token:
        if self._ended:
            raise StopAsyncIteration
        assert self._request is not None
        try:
            token = await self._queue.get()
        except BaseException:
            self._cancel()
            raise
        if token is None:
            self._ended = True
            self._request.result()
            raise StopAsyncIteration
        return token

    async def aclose(self) -> None:
        """Stop generating and wait for the end of the step that runs. `answer` is known then."""
        if self._ended:
            return
        self._cancel()
        while await self._queue.get() is not None:
            pass

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.aclose()


def to_loop(loop: asyncio.AbstractEventLoop,
            put: Callable[[Token | None], object]) -> Callable[[Token | None], None]:
    """`put`, to be called from the engine's thread and run in the loop's."""

    def notify(token: Token | None) -> None:
        try:
            loop.call_soon_threadsafe(put, token)
        except RuntimeError:
            pass  # the loop was closed: nobody waits any more
    return notify


def wait(start: Callable[[Callable[[Token | None], None]], Request]) -> Answer:
    """Run a request to its end. A signal handler that raises (Ctrl-C) cancels it and is raised at
    once: waiting for a queue is interruptible, waiting inside the library would not be."""
    ended: queue.SimpleQueue[Token | None] = queue.SimpleQueue()
    request = start(ended.put)
    try:
        ended.get()
    except BaseException:
        request.cancel()
        raise
    return request.result()


async def wait_async(start: Callable[[Callable[[Token | None], None]], Request]) -> Answer:
    """The same in an event loop; cancelling the task cancels the request."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def end(_: Token | None) -> None:
        if not ended.done():
            ended.set_result(None)

    request = start(to_loop(loop, end))
    try:
        await ended
    except BaseException:
        request.cancel()
        raise
    return request.result()
