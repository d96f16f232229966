"""The bindings are the C headers, and the options of Python are the fields of C."""
from __future__ import annotations

import dataclasses
import inspect
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

from openautoglm import AutoGLMEngine, EngineInfo, EngineStats, RequestOptions, _native, errors
from openautoglm._native import ERRORS, VERSION, ffi

ROOT = pathlib.Path(__file__).resolve().parents[2]
INCLUDE = ROOT / "include"
CC = shutil.which("cc") or shutil.which("gcc")

sys.path.insert(0, str(ROOT / "python"))
from build_support import bindings, headers  # noqa: E402

needs_compiler = pytest.mark.skipif(CC is None, reason="no C compiler")


def tokens(text: str) -> list[str]:
    return re.findall(r"\w+|\S", text)


def structs() -> list[str]:
    """Structs whose inside is public. Asking cffi for the fields of an opaque one aborts it."""
    source = headers.declarations(INCLUDE)
    return [t for t in ffi.list_types()[0] if f"}} {t};" in source and ffi.typeof(t).kind == "struct"]


@needs_compiler
def test_our_preprocessor_says_what_the_compilers_says() -> None:
    everything = "".join(f"#include <autoglm/{p.name}>\n" for p in sorted((INCLUDE / "autoglm").glob("*.h")))
    done = subprocess.run([str(CC), "-E", "-x", "c", "-U__GNUC__", f"-I{INCLUDE}", "-"], input=everything,
                          capture_output=True, text=True, check=True)
    ours, kept = [], False
    for line in done.stdout.splitlines():
        marker = re.match(r'# \d+ "([^"]*)"', line)
        if marker:
            kept = "/autoglm/" in marker[1]
        elif kept:
            ours.append(line)
    # Where the compiler's bool is a macro, it has become _Bool by now.
    assert tokens(headers.declarations(INCLUDE).replace("bool", "_Bool")) == tokens(
        "\n".join(ours).replace("bool", "_Bool"))


@needs_compiler
def test_every_struct_lies_in_memory_as_the_compiler_lays_it_out(tmp_path: pathlib.Path) -> None:
    lines = []
    for name in structs():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field, _ in ffi.typeof(name).fields:
            lines.append(f'printf("{name}.{field} %zu\\n", offsetof({name}, {field}));')
    source = tmp_path / "layout.c"
    source.write_text("#include <stdio.h>\n#include <autoglm/engine.h>\nint main(void) {\n"
                      + "\n".join(lines) + "\nreturn 0;\n}\n")
    subprocess.run([str(CC), f"-I{INCLUDE}", "-o", str(tmp_path / "layout"), str(source)], check=True)
    done = subprocess.run([str(tmp_path / "layout")], capture_output=True, text=True, check=True)
    assert len(structs()) >= 8
    for row in done.stdout.splitlines():
        what, number = row.split()
        name, _, field = what.partition(".")
        assert (ffi.offsetof(name, field) if field else ffi.sizeof(name)) == int(number), what


def test_the_installed_bindings_are_those_of_the_headers(tmp_path: pathlib.Path) -> None:
    fresh = tmp_path / "_native.py"
    bindings.write(INCLUDE, fresh)
    assert pathlib.Path(_native.__file__).read_text() == fresh.read_text()
    assert VERSION == headers.version(INCLUDE)


def test_every_error_has_its_class() -> None:
    for constant, name, _, retryable in headers.errors(INCLUDE):
        if constant != "AG_OK":
            assert errors.BY_CODE[name].code == name
            assert errors.BY_CODE[name].retryable == retryable
    assert [row[1] for row in ERRORS] == [row[1] for row in headers.errors(INCLUDE)]
    assert len(errors.BY_CODE) == len(ERRORS) - 1


def test_every_field_of_a_request_has_its_option() -> None:
    fields = {n for s in ("ag_request_opts", "ag_sampling") for n, _ in ffi.typeof(s).fields}
    made_by_us = {"prompt", "prompt_len", "prompt_ids", "n_prompt_ids", "sampling", "on_token", "on_done",
                  "ctx", "has_seed", "structure", "cache_salt_len"} | {n for n in fields if n.startswith("n_")}
    structures = {k[13:].lower() for k in ffi.typeof("ag_structure_kind").relements} - {"none"}
    assert (fields - made_by_us) | structures == set(RequestOptions.__annotations__)


def test_every_field_of_an_engine_has_its_argument() -> None:
    fields = {n for n, _ in ffi.typeof("ag_engine_opts").fields}
    ours = {"model": "model_name", "dtype": "torch_dtype"}
    made_by_us = {"progress_ctx", "on_log", "log_ctx", "log_level", "executor"}
    arguments = set(inspect.signature(AutoGLMEngine.__init__).parameters) - {"self"}
    assert {ours.get(n, n) for n in fields - made_by_us} == arguments


def test_facts_have_the_fields_of_their_structs() -> None:
    for kind, struct in ((EngineInfo, "ag_engine_info"), (EngineStats, "ag_engine_stats")):
        assert [f.name for f in dataclasses.fields(kind)] == [n for n, _ in ffi.typeof(struct).fields]


def test_what_the_preprocessor_does_not_know_is_an_error(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "autoglm"
    folder.mkdir()
    for text in ("#if AG_X > 3\n#endif\n", "#pragma once\n", "#ifdef A\n",
                 "#define F(a) a\nint F;\n", "#define F(a) a\nint F(\n1);\n", "#define F(a) a\nint F(1, 2);\n",
                 "#define A B\n#define B A\nA\n"):
        (folder / "engine.h").write_text(text)
        with pytest.raises(headers.HeaderError):
            headers.declarations(tmp_path)
