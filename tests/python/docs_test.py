"""Every program in docs/python.md and in the READMEs runs as it stands."""
from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def programs() -> list[tuple[str, str]]:
    found = []
    for name in ("docs/python.md", "python/README.md", "README.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        for i, block in enumerate(re.findall(r"^```python\n(.*?)^```$", text, re.S | re.M)):
            if "import OpenAI" not in block:  # needs a server: tests/serve/clients_test.py runs it
                found.append((f"{name}-{i + 1}", block))
    return found


@pytest.mark.parametrize("name,text", programs(), ids=[n for n, _ in programs()])
def test_a_program_runs(name: str, text: str, models: pathlib.Path, model: str, tmp_path: pathlib.Path) -> None:
    os.symlink(model, tmp_path / "model.gguf")
    os.symlink(models / "tiny-bert-f32.gguf", tmp_path / "embedder.gguf")
    done = subprocess.run([sys.executable, "-W", "error", "-c", text], cwd=tmp_path, capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout and not done.stderr


def test_the_page_shows_every_public_name() -> None:
    import openautoglm
    text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    errors = [n for n in openautoglm.__all__ if n.endswith("Error")]
    for name in errors + [m for m in vars(openautoglm.AutoGLMEngine) if not m.startswith("_")]:
        assert re.search(rf"\b{name}\b", text), name


def test_the_page_shows_every_option() -> None:
    from openautoglm import RequestOptions
    text = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for name in RequestOptions.__annotations__:
        assert f"`{name}`" in text, name
