"""Many requests at once, from one event loop."""
from __future__ import annotations

import asyncio
import time

import pytest

from openautoglm import AutoGLMEngine, EngineClosedError
from openautoglm.request import Request
from openautoglm.request import _running as running

PROMPTS = [f"Question {i}: why {'so ' * (i % 5)}much?" for i in range(32)]


def test_gathered_prompts_share_steps_and_answer_as_if_alone(engine: AutoGLMEngine) -> None:
    async def together() -> list[str]:
        answers = await asyncio.gather(*(
            engine.agenerate(p, temperature=0, max_tokens=24, ignore_eos=True) for p in PROMPTS))
        assert all(a.usage.completion_tokens == 24 for a in answers)
        return list(answers)

    before = engine.stats
    answers = asyncio.run(together())
    after = engine.stats
    generated = after.n_generated - before.n_generated
    steps = after.n_steps - before.n_steps
    assert generated == 32 * 24 and after.n_requests - before.n_requests == 32
    # One after another they would take 768 steps; in one batch 24, and some while they arrive.
    assert steps < generated / 4
    assert answers == [engine.generate(p, temperature=0, max_tokens=24, ignore_eos=True) for p in PROMPTS]


def test_streams_run_side_by_side(engine: AutoGLMEngine) -> None:
    async def read(prompt: str) -> str:
        pieces = []
        async for token in engine.agenerate(prompt, stream=True, temperature=0, max_tokens=8, ignore_eos=True):
            pieces.append(token)
        return "".join(pieces)

    async def main() -> list[str]:
        return await asyncio.gather(*(read(p) for p in PROMPTS[:8]))

    expected = [engine.generate(p, temperature=0, max_tokens=8, ignore_eos=True) for p in PROMPTS[:8]]
    assert asyncio.run(main()) == expected


def test_achat_answers_as_chat_does(engine: AutoGLMEngine) -> None:
    async def main() -> tuple[str, str]:
        whole = await engine.achat("Hello", temperature=0, max_tokens=8)
        stream = await engine.achat("Hello", stream=True, temperature=0, max_tokens=8)
        pieces = [t async for t in stream]
        assert stream.answer == "".join(pieces)
        return whole, "".join(pieces)

    whole, streamed = asyncio.run(main())
    assert whole == streamed == engine.chat("Hello", temperature=0, max_tokens=8)


def test_cancelling_a_task_cancels_its_request(engine: AutoGLMEngine) -> None:
    async def main() -> Request:
        before = engine.stats.n_generated
        task = asyncio.create_task(engine.agenerate("Open", ignore_eos=True))
        while engine.stats.n_generated == before:
            await asyncio.sleep(0)
        request, = running
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return request

    request = asyncio.run(main())
    while running:
        time.sleep(0.001)
    assert request.answer is not None and request.answer.finish_reason == "cancelled"


def test_a_timeout_is_a_cancel(engine: AutoGLMEngine) -> None:
    async def main() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(engine.agenerate("Open", ignore_eos=True), 0.002)
    asyncio.run(main())


def test_leaving_a_stream_cancels(engine: AutoGLMEngine) -> None:
    async def main() -> str:
        async with engine.agenerate("Open", stream=True, ignore_eos=True) as stream:
            async for _ in stream:
                break
        return stream.answer.finish_reason

    assert asyncio.run(main()) == "cancelled"


def test_closing_wakes_whoever_waits(model: str) -> None:
    async def main() -> None:
        async with AutoGLMEngine(model, n_threads=1) as engine:
            tasks = [asyncio.create_task(engine.agenerate("Open", ignore_eos=True)) for _ in range(4)]
            while engine.stats.n_generated == 0:
                await asyncio.sleep(0)
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(result, EngineClosedError)

    asyncio.run(main())


def test_a_loop_that_is_gone_harms_nobody(engine: AutoGLMEngine) -> None:
    async def main() -> None:
        engine.agenerate("Open", stream=True, max_tokens=50, ignore_eos=True)

    asyncio.run(main())
    assert engine.generate("Open", max_tokens=3, ignore_eos=True).usage.completion_tokens == 3
