"""What pyproject.toml cannot say: the bindings are made from the C headers, and the library is built
by CMake or found (build_support/sources.py) and put beside them. No Python header is needed: cffi
loads the library at run time, so one wheel serves every Python."""
from __future__ import annotations

import os
import pathlib
import shutil
import sys

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from build_support import bindings, headers, sources  # noqa: E402


class BuildPackage(build_py):
    def run(self) -> None:
        package = pathlib.Path(self.build_lib, "openautoglm")
        shutil.rmtree(package, ignore_errors=True)  # modules of an older build
        super().run()
        bindings.write(sources.include_dir(), package / "_native.py")
        library = sources.library(sources.PYTHON_DIR / "build" / "engine")
        if library is not None:
            shutil.copyfile(library, package / "libautoglm.so")


class BuildWheel(bdist_wheel):
    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


class BuildSource(sdist):
    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        sources.copy_sources(pathlib.Path(base_dir, "engine"))
        licence = pathlib.Path(base_dir, "LICENSE")  # a link into the repository until here
        licence.unlink(missing_ok=True)
        shutil.copyfile(pathlib.Path(base_dir, "engine", "LICENSE"), licence)


class BinaryDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True  # the wheel belongs to one platform


setup(version=headers.version(sources.include_dir()), distclass=BinaryDistribution,
      cmdclass={"build_py": BuildPackage, "bdist_wheel": BuildWheel, "sdist": BuildSource})
