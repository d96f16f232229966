"""Finding and loading libautoglm.

In this order: the file that the environment variable AUTOGLM_LIBRARY names, the one inside this
package, the system's. The first that exists is used; a library of another version than the headers
that this package was made from is refused, because its structs may differ.
"""
from __future__ import annotations

import functools
import os
import pathlib
import subprocess
from typing import Any

from ._native import VERSION, ffi

SONAME = "libautoglm.so." + VERSION.split(".")[0]


class LibraryNotFoundError(ImportError):
    """libautoglm is missing or does not fit this package."""


@functools.cache
def load() -> Any:
    """The loaded library, once for the process."""
    path = find()
    try:
        lib = ffi.dlopen(path)
    except OSError as error:
        raise LibraryNotFoundError(
            f"cannot load {path}: {error}. It is libautoglm with its dependencies utf8proc, "
            "Jansson, SQLite and nettle (Debian: libutf8proc2 libjansson4 libsqlite3-0 libnettle8); install "
            "openautoglm so that it builds its own, or set AUTOGLM_LIBRARY to the file") from error
    check_version(path, lib)
    return lib


def find() -> str:
    given = os.environ.get("AUTOGLM_LIBRARY")
    if given:
        return given
    own = pathlib.Path(__file__).with_name("libautoglm.so")
    return str(own) if own.exists() else system_library()


def system_library() -> str:
    """A path by pkg-config, else the bare name, which the loader looks up."""
    try:
        done = subprocess.run(["pkg-config", "--variable=libdir", "autoglm"], check=True,
                              capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return SONAME
    path = os.path.join(done.stdout.strip(), SONAME)
    return path if os.path.exists(path) else SONAME


def check_version(path: str, lib: Any) -> None:
    try:
        found = ffi.string(lib.ag_version()).decode()
    except (AttributeError, ffi.error):
        found = "unknown"
    if found != VERSION:
        raise LibraryNotFoundError(f"{path} is libautoglm {found}; this openautoglm is made for {VERSION}")
