"""Where the C sources, the headers and the library come from when the package is built.

1. AUTOGLM_LIBRARY=FILE: that library is copied into the package; nothing is compiled.
2. AUTOGLM_SYSTEM=1: the library installed on this machine, found by pkg-config; not copied.
3. The C sources, compiled by CMake: beside python/ in the repository, in engine/ in a source
   distribution. Without sources, 2 is tried.
"""
from __future__ import annotations

import os
import pathlib
import shutil
import subprocess

PYTHON_DIR = pathlib.Path(__file__).resolve().parents[1]
# What a source distribution takes along from the repository to compile the library.
PARTS = ("CMakeLists.txt", "LICENSE", "cmake", "include", "src", "bench/CMakeLists.txt")
HINT = ("To build it one needs gcc 12 or later, CMake, Ninja or make, pkg-config, utf8proc, Jansson, "
        "SQLite and nettle; on Debian: apt-get install gcc libc6-dev cmake ninja-build pkg-config "
        "libutf8proc-dev libjansson-dev libsqlite3-dev nettle-dev. A library built before can be given "
        "with AUTOGLM_LIBRARY=/path/libautoglm.so.")


class BuildError(Exception):
    pass


def source_dir() -> pathlib.Path | None:
    """The folder with CMakeLists.txt and include/, or None."""
    for folder in (PYTHON_DIR / "engine", PYTHON_DIR.parent):
        if (folder / "CMakeLists.txt").is_file() and (folder / "include/autoglm/engine.h").is_file():
            return folder
    return None


def uses_system() -> bool:
    return os.environ.get("AUTOGLM_SYSTEM", "") not in ("", "0") or source_dir() is None


def needs_cmake() -> bool:
    return not uses_system() and not os.environ.get("AUTOGLM_LIBRARY")


def pkg_config(variable: str) -> str:
    try:
        done = subprocess.run(["pkg-config", f"--variable={variable}", "autoglm"], check=True,
                              capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        raise BuildError("pkg-config does not know autoglm, and there are no sources to compile: "
                         "install the library (cmake --install, or its .deb) or build from the "
                         "repository. " + HINT) from None
    return done.stdout.strip()


def include_dir() -> pathlib.Path:
    folder = source_dir()
    if uses_system() or folder is None:
        return pathlib.Path(pkg_config("includedir"))
    return folder / "include"


def run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True)
    except FileNotFoundError:
        raise BuildError(f"{command[0]} is missing. {HINT}") from None
    except subprocess.CalledProcessError as error:
        raise BuildError(f"building libautoglm failed (exit {error.returncode}, see above): "
                         f"{' '.join(command)}. {HINT}") from None


def compile_library(build: pathlib.Path) -> pathlib.Path:
    """Compile libautoglm with CMake in the folder `build`; gives the file."""
    folder = source_dir()
    assert folder is not None
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    # Warnings of a compiler that we have not met must not stop an installation.
    run(["cmake", "-S", str(folder), "-B", str(build), *generator, "-DCMAKE_BUILD_TYPE=Release",
         "-DAG_TESTS=OFF", "-DAG_COMMAND=OFF", "-DAG_WERROR=OFF"])
    run(["cmake", "--build", str(build), "--target", "autoglm", "--parallel", str(os.cpu_count() or 1)])
    return (build / "libautoglm.so").resolve()


def library(build: pathlib.Path) -> pathlib.Path | None:
    """The library to put into the package; None when the system's is to be used."""
    given = os.environ.get("AUTOGLM_LIBRARY")
    if given:
        path = pathlib.Path(given).resolve()
        if not path.is_file():
            raise BuildError(f"AUTOGLM_LIBRARY={given}: there is no such file")
        return path
    return None if uses_system() else compile_library(build)


def copy_sources(target: pathlib.Path) -> None:
    """Put what compiling the library needs into `target` (a source distribution)."""
    folder = source_dir()
    if folder is None:
        raise BuildError("a source distribution can only be made in the repository")
    for part in PARTS:
        source = folder / part
        if source.is_dir():
            shutil.copytree(source, target / part, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        else:
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / part)
