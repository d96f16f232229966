"""A real model, when tools/fetch_model has put it into models/."""
from __future__ import annotations

import asyncio
import json
import pathlib
from typing import Any

import jsonschema
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


CARD = {
    "type": "object", "additionalProperties": False, "required": ["title", "year", "genre", "cast", "rating"],
    "properties": {"title": {"type": "string", "maxLength": 30}, "year": {"type": "integer", "minimum": 1900,
                                                                         "maximum": 2030},
                   "genre": {"enum": ["drama", "comedy", "action"]},
                   "cast": {"type": "array", "items": {"type": "string", "maxLength": 20}, "minItems": 1,
                            "maxItems": 3},
                   "rating": {"type": "number", "minimum": 0, "maximum": 10}}}


def test_hot_answers_are_valid_json_a_hundred_times_of_a_hundred() -> None:
    async def ask() -> list[Any]:
        return list(await asyncio.gather(*(
            engine.achat("Describe a film as JSON.", temperature=1.5, seed=seed, max_tokens=300, json_schema=CARD)
            for seed in range(100))))

    with AutoGLMEngine(MODEL, max_context_length=512, max_sequences=16) as engine:
        answers = asyncio.run(ask())
    assert {a.finish_reason for a in answers} == {"stop"}
    for answer in answers:
        jsonschema.validate(json.loads(answer), CARD)
    assert len({a for a in answers}) > 90
