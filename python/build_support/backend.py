"""The build backend: setuptools', which also asks for CMake where a machine has none."""
from __future__ import annotations

import re
import shutil
import subprocess
from typing import Any

from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403  (the hooks that are setuptools' own)

from . import sources

CMAKE_FLOOR = (3, 25)


def cmake_is_new_enough() -> bool:
    try:
        text = subprocess.run(["cmake", "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return False
    found = re.search(r"(\d+)\.(\d+)", text)
    return found is not None and (int(found[1]), int(found[2])) >= CMAKE_FLOOR


def get_requires_for_build_wheel(config_settings: Any = None) -> list[str]:
    needs: list[str] = build_meta.get_requires_for_build_wheel(config_settings)
    if sources.needs_cmake() and not cmake_is_new_enough():
        needs.append("cmake>=3.25")
    if sources.needs_cmake() and not shutil.which("ninja") and not shutil.which("make"):
        needs.append("ninja")
    return needs
