"""A real model, when tools/fetch_model has put it into models/."""
from __future__ import annotations

import asyncio
import pathlib

import pytest

from openautoglm import AutoGLMEngine

MODEL = pathlib.Path(__file__).resolve().parents[2] / "models/smollm2-135m-instruct-q4_1.gguf"
pytestmark = pytest.mark.skipif(not MODEL.exists(), reason="models/ is not fetched")


def test_a_batch_of_conversations_is_answered_as_each_alone() -> None:
    questions = ["What is the capital of France?", "Name three colours.", "What is 2 + 2?"]

    async def ask() -> list[str]:
        return list(await asyncio.gather(*(engine.achat(q, temperature=0, max_tokens=16) for q in questions)))

    with AutoGLMEngine(MODEL, max_context_length=512) as engine:
        together = asyncio.run(ask())
        assert together == [engine.chat(q, temperature=0, max_tokens=16) for q in questions]
        assert all(len(a.split()) > 3 for a in together)
        stream = engine.generate("The opposite of hot is", temperature=0, max_tokens=4, stream=True)
        assert "cold" in "".join(stream)
