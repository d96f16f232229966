"""Embeddings, against the goldens of the engine's own test."""
from __future__ import annotations

import asyncio
import json
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import openautoglm
from openautoglm import AutoGLMEngine

GOLDENS = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/models/goldens"
GOLDEN: dict[str, Any] = json.loads((GOLDENS / "embeddings.json").read_text())["models"]["tiny-bert"]
TEXTS: list[str] = [p["text"] for p in GOLDEN["prompts"]]


@pytest.fixture(scope="module")
def bert(models: pathlib.Path) -> Iterator[AutoGLMEngine]:
    path = models / "tiny-bert-f32.gguf"
    with AutoGLMEngine(path, torch_dtype="float32", kv_type="float32", n_threads=1) as engine:
        yield engine


def test_vectors_are_the_references(bert: AutoGLMEngine) -> None:
    values = np.fromfile(GOLDENS / "embeddings.f32", np.float32)[GOLDEN["types"]["f32"]:]
    n = GOLDEN["n_embd"]
    for k, pooling in enumerate(("mean", "cls", "last")):
        expected = np.stack([values[(i * 3 + k) * n:][:n] for i in range(len(TEXTS))])
        got = bert.embed(TEXTS, pooling=pooling, normalize=False)  # type: ignore[call-overload]
        assert np.abs(np.asarray(got) - expected).max() < 2e-4


def test_a_text_alone_and_its_ids_give_the_same_vector(bert: AutoGLMEngine) -> None:
    together = bert.embed(TEXTS)
    assert [bert.embed(t) for t in TEXTS] == together
    assert bert.embed([p["ids"] for p in GOLDEN["prompts"]]) == together
    assert bert.embed([]) == []


def test_vectors_have_length_one_and_the_dimensions_asked_for(bert: AutoGLMEngine) -> None:
    for dimensions in (0, 16):
        for vector in bert.embed(TEXTS, dimensions=dimensions):
            assert len(vector) == (dimensions or GOLDEN["n_embd"])
            assert math.isclose(sum(x * x for x in vector), 1, rel_tol=1e-5)


def test_embeddings_for_asyncio(bert: AutoGLMEngine) -> None:
    async def main() -> list[list[float]]:
        return list(await asyncio.gather(*(bert.aembed(t) for t in TEXTS)))
    assert asyncio.run(main()) == bert.embed(TEXTS)


def test_an_encoder_says_what_it_is(bert: AutoGLMEngine, engine: AutoGLMEngine) -> None:
    assert not bert.info.generates and bert.info.pooling == "mean"
    assert engine.info.generates and engine.info.pooling is None
    with pytest.raises(openautoglm.UnsupportedError):
        bert.generate("x")
    with pytest.raises(openautoglm.UnsupportedError):
        engine.embed("x")
    assert len(engine.embed("x", pooling="last")) == engine.info.n_embd


def test_wrong_calls_name_what_is_wrong(bert: AutoGLMEngine) -> None:
    long = "word " * 1000
    with pytest.raises(openautoglm.ContextLengthError):
        bert.embed([long])
    assert len(bert.embed([long], truncate=True)) == 1
    with pytest.raises(ValueError, match="pooling"):
        bert.embed("x", pooling="max")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="dimensions"):
        bert.embed("x", dimensions=-1)
    with pytest.raises(ValueError, match="129"):
        bert.embed("x", dimensions=129)
    with pytest.raises(openautoglm.InvalidTextError):
        bert.embed(["fine", "\ud800"])
