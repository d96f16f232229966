"""The module openautoglm/_native.py: cffi's declarations and the facts of the headers."""
from __future__ import annotations

import pathlib

from . import headers


def write(include: pathlib.Path, path: pathlib.Path) -> None:
    """Make _native.py at `path` from the headers below `include`."""
    import cffi  # needed for building only here

    ffi = cffi.FFI()
    ffi.cdef(headers.declarations(include))
    ffi.set_source("openautoglm._native", None)
    path.parent.mkdir(parents=True, exist_ok=True)
    ffi.emit_python_code(str(path))
    with path.open("a", encoding="utf-8") as out:
        out.write(f"\nVERSION = {headers.version(include)!r}\nERRORS = (\n")
        for row in headers.errors(include):
            out.write(f"    {row!r},\n")
        out.write(")\n")
