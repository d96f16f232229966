"""mypy --strict finds nothing in the package, and finds a user's mistakes."""
from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

pytest.importorskip("mypy")
USER = '''
import asyncio
from openautoglm import Answer, AsyncStream, AutoGLMEngine, Stream

def good(engine: AutoGLMEngine) -> None:
    reveal_type(engine.generate("x"))
    reveal_type(engine.generate([1, 2], stream=True, temperature=0.5, stop="y"))
    reveal_type(engine.chat([{"role": "user", "content": "x"}], stream=False, max_tokens=3))
    reveal_type(engine.agenerate("x", stream=True))
    for token in engine.chat("x", stream=True):
        reveal_type(token)

async def also_good(engine: AutoGLMEngine) -> Answer:
    answers: list[Answer] = list(await asyncio.gather(*[engine.agenerate("x", seed=i) for i in range(3)]))
    async for token in engine.achat("x", stream=True):
        print(token.id)
    return answers[0]
'''
BAD = '''
from openautoglm import AutoGLMEngine

def bad(engine: AutoGLMEngine) -> None:
    engine.generate("x", temperature="hot")
    engine.generate("x", heat=1)
    engine.tokenize(3)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An empty place, with mypy's cache: the installed package is looked at, not the repository."""
    return tmp_path_factory.mktemp("types")


def mypy(folder: pathlib.Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *arguments],
                          capture_output=True, text=True, cwd=folder)
    return done.returncode, done.stdout + done.stderr


def test_the_package_is_clean(folder: pathlib.Path) -> None:
    assert mypy(folder, "-p", "openautoglm") == (0, "")


def test_a_users_program_sees_the_types(folder: pathlib.Path) -> None:
    path = folder / "user.py"
    path.write_text(USER)
    code, out = mypy(folder, str(path))
    revealed = [line.split('"')[1].replace("openautoglm.answer.", "").replace("openautoglm.streams.", "")
                for line in out.splitlines() if "Revealed type" in line]
    assert revealed == ["Answer", "Stream", "Answer", "AsyncStream", "Token"], out
    assert code == 0, out
    path.write_text(BAD)
    code, out = mypy(folder, str(path))
    assert code == 1 and {int(line.split(":")[1]) for line in out.splitlines()
                          if ": error:" in line} == {5, 6, 7}, out
