"""The tiny models of the engine's own tests, and an engine over one of them."""
from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from openautoglm import AutoGLMEngine

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODELS = pathlib.Path(os.environ.get("AUTOGLM_TEST_MODELS", ROOT / "build/release/golden"))


@pytest.fixture(scope="session")
def models() -> pathlib.Path:
    subprocess.run([sys.executable, "-B", str(ROOT / "tests/golden/models/make_models.py"), str(MODELS)],
                   check=True, capture_output=True)
    return MODELS


@pytest.fixture(scope="session")
def model(models: pathlib.Path) -> str:
    return str(models / "tiny-smollm2-f32.gguf")


@pytest.fixture(scope="module")
def engine(model: str) -> Iterator[AutoGLMEngine]:
    with AutoGLMEngine(model, n_threads=1, max_sequences=32) as opened:
        yield opened
