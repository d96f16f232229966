# The module itself is made from the C headers when the package is built (build_support/bindings.py).
from typing import Any

ffi: Any
VERSION: str
ERRORS: tuple[tuple[str, str, int, bool], ...]
