"""Models by their names."""
from __future__ import annotations

import logging
import os
import pathlib
import shutil
import sqlite3

import pytest

import openautoglm
from openautoglm import AutoGLMEngine

TABLE = ("CREATE TABLE models (name TEXT NOT NULL PRIMARY KEY, path TEXT NOT NULL, digest TEXT NOT NULL, "
         "architecture TEXT NOT NULL, added INTEGER NOT NULL, bytes INTEGER NOT NULL, "
         "modified INTEGER NOT NULL) STRICT, WITHOUT ROWID")


def register(registry: pathlib.Path, name: str, path: pathlib.Path) -> None:
    """What `autoglm models add` writes."""
    registry.parent.mkdir(parents=True, exist_ok=True)
    facts = path.stat()
    db = sqlite3.connect(registry)
    with db:
        if not db.execute("SELECT * FROM sqlite_schema").fetchall():
            db.execute(TABLE)
            db.execute("PRAGMA user_version=1")
        db.execute("INSERT INTO models VALUES (?, ?, '', 'llama', 1, ?, ?)",
                   (name, str(path), facts.st_size, facts.st_mtime_ns))
    db.close()


@pytest.fixture
def micro(models: pathlib.Path, tmp_path: pathlib.Path) -> pathlib.Path:
    return pathlib.Path(shutil.copy(models / "micro.gguf", tmp_path / "micro.gguf"))


def works(name: str, **options: str) -> None:
    with AutoGLMEngine(model_name=name, n_threads=1, **options) as engine:  # type: ignore[arg-type]
        assert engine.info.architecture == "llama"


def test_a_name_is_looked_up_where_the_command_keeps_it(micro: pathlib.Path, tmp_path: pathlib.Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AUTOGLM_REGISTRY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert openautoglm.default_registry() == str(tmp_path / "home/.local/share/autoglm/models.db")
    register(tmp_path / "home/.local/share/autoglm/models.db", "by-home", micro)
    works("by-home")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    register(tmp_path / "data/autoglm/models.db", "by-data", micro)
    works("by-data")
    register(tmp_path / "named.db", "by-variable", micro)
    monkeypatch.setenv("AUTOGLM_REGISTRY", str(tmp_path / "named.db"))
    works("by-variable")
    register(tmp_path / "given.db", "glm-4-plus", micro)
    works("glm-4-plus", registry=str(tmp_path / "given.db"))
    for variable in ("AUTOGLM_REGISTRY", "XDG_DATA_HOME", "HOME"):
        monkeypatch.delenv(variable)
    assert openautoglm.default_registry() is None
    with pytest.raises(openautoglm.ModelNotFoundError):
        AutoGLMEngine("by-variable")


def test_an_unknown_name_says_what_was_tried(micro: pathlib.Path, tmp_path: pathlib.Path) -> None:
    registry = tmp_path / "r.db"
    with pytest.raises(FileNotFoundError, match="there is no registry"):
        AutoGLMEngine("glm-4-plus", registry=registry)
    register(registry, "glm-4-plus", micro)
    with pytest.raises(FileNotFoundError, match="no such file or folder, and the registry .*near: glm-4-plus"):
        AutoGLMEngine("glm-4-plsu", registry=registry)


def test_changed_files_are_told_to_the_log_and_missing_ones_are_errors(
        micro: pathlib.Path, tmp_path: pathlib.Path, caplog: pytest.LogCaptureFixture) -> None:
    registry = tmp_path / "r.db"
    register(registry, "x", micro)
    with caplog.at_level(logging.WARNING, logger="openautoglm"):
        works("x", registry=str(registry))
        assert not caplog.records
        os.utime(micro, (1, 1))
        works("x", registry=str(registry))
    assert any("x: its files have changed" in r.getMessage() for r in caplog.records)
    micro.unlink()
    with pytest.raises(FileNotFoundError, match='model "x": '):
        AutoGLMEngine("x", registry=registry)


def test_a_file_that_is_no_registry_is_told(tmp_path: pathlib.Path) -> None:
    bad = tmp_path / "bad.db"
    bad.write_bytes(b"hello" * 200)
    with pytest.raises(openautoglm.ModelFormatError, match="not a registry"):
        AutoGLMEngine("x", registry=bad)
