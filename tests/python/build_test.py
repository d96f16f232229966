"""Where the library comes from, when the package is built and when it is loaded."""
from __future__ import annotations

import pathlib
import re
import sys
import tarfile

import pytest

import openautoglm
from openautoglm import library

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "python"))
from build_support import sources  # noqa: E402


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTOGLM_LIBRARY", "AUTOGLM_SYSTEM"):
        monkeypatch.delenv(name, raising=False)


def test_the_repository_is_compiled_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources.source_dir() == ROOT
    assert sources.needs_cmake() and not sources.uses_system()
    assert sources.include_dir() == ROOT / "include"
    monkeypatch.setenv("AUTOGLM_SYSTEM", "1")
    assert not sources.needs_cmake()


def test_a_given_library_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "libautoglm.so"
    file.write_bytes(b"")
    monkeypatch.setenv("AUTOGLM_LIBRARY", str(file))
    assert sources.library(tmp_path / "build") == file and not sources.needs_cmake()
    monkeypatch.setenv("AUTOGLM_LIBRARY", str(tmp_path / "none.so"))
    with pytest.raises(sources.BuildError, match="none.so"):
        sources.library(tmp_path / "build")


def test_the_systems_library_is_found_by_pkg_config(monkeypatch: pytest.MonkeyPatch,
                                                   tmp_path: pathlib.Path) -> None:
    (tmp_path / "autoglm.pc").write_text(
        f"includedir={ROOT}/include\nlibdir={tmp_path}\nName: autoglm\nDescription: x\nVersion: 1\n")
    (tmp_path / library.SONAME).write_bytes(b"")
    monkeypatch.setenv("PKG_CONFIG_PATH", str(tmp_path))
    monkeypatch.setenv("AUTOGLM_SYSTEM", "1")
    assert sources.library(tmp_path) is None
    assert sources.include_dir() == ROOT / "include"
    assert library.system_library() == str(tmp_path / library.SONAME)


def test_nothing_anywhere_says_what_to_install(monkeypatch: pytest.MonkeyPatch,
                                               tmp_path: pathlib.Path) -> None:
    monkeypatch.setattr(sources, "PYTHON_DIR", tmp_path / "python")
    monkeypatch.setenv("PKG_CONFIG_LIBDIR", str(tmp_path))
    monkeypatch.delenv("PKG_CONFIG_PATH", raising=False)
    assert sources.source_dir() is None and sources.uses_system()
    with pytest.raises(sources.BuildError, match="pkg-config"):
        sources.include_dir()
    assert library.system_library() == library.SONAME


def test_the_environment_names_the_library_to_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOGLM_LIBRARY", "/there/is/none.so")
    assert library.find() == "/there/is/none.so"
    with pytest.raises(openautoglm.LibraryNotFoundError, match="/there/is/none.so"):
        library.load.__wrapped__()


def test_what_is_no_engine_is_refused() -> None:
    with pytest.raises(openautoglm.LibraryNotFoundError, match="libautoglm unknown"):
        library.check_version("libc.so.6", library.ffi.dlopen("libc.so.6"))


def test_a_source_distribution_has_all_that_cmake_reads(tmp_path: pathlib.Path) -> None:
    sources.copy_sources(tmp_path)
    text = (ROOT / "CMakeLists.txt").read_text()
    # Tests are off in a package; the folders of fuzzers and tests may be missing.
    read = {*re.findall(r"include\((cmake/[^)]+)\)", text),
            *re.findall(r"(?m)^add_subdirectory\(([^)]+)\)", text)}
    assert read
    for name in read:
        assert (tmp_path / name).exists(), name
    for made in (ROOT / "build/python/dist").glob("*.tar.gz"):
        with tarfile.open(made) as archive:
            names = archive.getnames()
        assert any(n.endswith("/engine/include/autoglm/engine.h") for n in names)
        assert any(n.endswith("/LICENSE") for n in names) and not any("/tests/" in n for n in names)
