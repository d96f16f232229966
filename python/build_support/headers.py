"""The public C headers as declarations for cffi.

cffi reads declarations but no preprocessor lines, and a second copy of them, kept by hand, would
drift from the first. So this is a preprocessor, just large enough for include/autoglm/*.h:
comments, #include of our own headers, #define with and without parameters, #ifdef, #ifndef,
#if defined(...), #else, #endif. Anything else in a header is an error here, not a wrong guess.
A test compares the result with what the C compiler's own preprocessor makes of the headers, and the
layout of every struct with the compiler's.
"""
from __future__ import annotations

import pathlib
import re

NAME = re.compile(r"[A-Za-z_]\w*")
DIRECTIVE = re.compile(r"\s*#\s*(\w+)\s*(.*)", re.S)
DEFINE = re.compile(r"([A-Za-z_]\w*)(\(([^)]*)\))?\s*(.*)", re.S)
DEFINED = re.compile(r"defined\s*\(\s*(\w+)\s*\)")
MAX_DEPTH = 32  # of macros inside macros


class HeaderError(Exception):
    """A header holds something that this preprocessor does not know."""


class Macro:
    def __init__(self, body: str, parameters: list[str] | None) -> None:
        self.body = body
        self.parameters = parameters


class Preprocessor:
    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder
        self.macros: dict[str, Macro] = {}
        self.seen: set[str] = set()
        self.lines: list[str] = []

    def read(self, name: str) -> None:
        """Append the declarations of autoglm/`name`, and of what it includes, once."""
        if name in self.seen:
            return
        self.seen.add(name)
        text = (self.folder / "autoglm" / name).read_text(encoding="utf-8")
        text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S).replace("\\\n", " ")
        live = [True]  # one entry for every open #if
        for number, line in enumerate(text.split("\n"), 1):
            directive = DIRECTIVE.fullmatch(line)
            try:
                if directive:
                    self.direct(directive[1], directive[2].strip(), live)
                elif all(live) and line.strip():
                    self.lines.append(self.expand(line).rstrip())
            except HeaderError as error:
                raise HeaderError(f"{name}, about line {number}: {error}") from None
        if len(live) != 1:
            raise HeaderError(f"{name}: an #if is not closed")

    def direct(self, word: str, rest: str, live: list[bool]) -> None:
        if word in ("ifdef", "ifndef"):
            live.append((rest in self.macros) == (word == "ifdef"))
        elif word == "if":
            live.append(self.condition(rest))
        elif word == "else":
            live[-1] = not live[-1]
        elif word == "endif":
            live.pop()
        elif not all(live):
            return
        elif word == "include":
            ours = re.fullmatch(r'"autoglm/(\w+\.h)"', rest)
            if ours:
                self.read(ours[1])
        elif word == "define":
            name, call, parameters, body = DEFINE.fullmatch(rest).groups()  # type: ignore[union-attr]
            names = [p.strip() for p in parameters.split(",")] if call else None
            self.macros[name] = Macro(body.strip(), names)
        elif word == "undef":
            self.macros.pop(rest, None)
        else:
            raise HeaderError(f"#{word} is not supported")

    def condition(self, text: str) -> bool:
        parts = [p.strip() for p in text.split("&&")]
        names = [DEFINED.fullmatch(p) for p in parts]
        if not all(names):
            raise HeaderError(f"#if {text}: only defined(A) && defined(B) is supported")
        return all(n is not None and n[1] in self.macros for n in names)

    def expand(self, text: str, depth: int = 0) -> str:
        """Replace macros until none is left."""
        if depth > MAX_DEPTH:
            raise HeaderError("macros nest too deeply")
        out, at = [], 0
        for match in iter(lambda: NAME.search(text, at), None):
            out.append(text[at:match.start()])
            at = match.end()
            macro = self.macros.get(match[0])
            if macro is None:
                out.append(match[0])
            elif macro.parameters is None:
                out.append(self.expand(macro.body, depth + 1))
            else:
                arguments, at = self.arguments(text, at, match[0])
                out.append(self.call(macro, arguments, depth))
        return "".join(out) + text[at:]

    def arguments(self, text: str, at: int, name: str) -> tuple[list[str], int]:
        """The arguments of a macro called at `at`, and where the call ends."""
        start = re.compile(r"\s*\(").match(text, at)
        if not start:
            raise HeaderError(f"{name} is used without its arguments on the same line")
        parts, depth, begin = [], 1, start.end()
        for i in range(start.end(), len(text)):
            depth += (text[i] == "(") - (text[i] == ")")
            if depth == 0 or (depth == 1 and text[i] == ","):
                parts.append(text[begin:i].strip())
                begin = i + 1
            if depth == 0:
                return parts, i + 1
        raise HeaderError(f"the arguments of {name} do not end on the same line")

    def call(self, macro: Macro, arguments: list[str], depth: int) -> str:
        assert macro.parameters is not None
        if len(arguments) != len(macro.parameters):
            raise HeaderError(f"{len(arguments)} arguments for {len(macro.parameters)} parameters")
        # An argument that names a macro with parameters is passed on as it is and called later.
        values = {p: a if self.is_function(a) else self.expand(a, depth + 1)
                  for p, a in zip(macro.parameters, arguments)}
        body = NAME.sub(lambda m: values.get(m[0], m[0]), macro.body)
        return self.expand(body, depth + 1)

    def is_function(self, name: str) -> bool:
        macro = self.macros.get(name)
        return macro is not None and macro.parameters is not None


def read_headers(folder: pathlib.Path) -> Preprocessor:
    """All public headers below `folder`, in the order of their names."""
    p = Preprocessor(folder)
    for path in sorted((folder / "autoglm").glob("*.h")):
        p.read(path.name)
    return p


def declarations(folder: pathlib.Path) -> str:
    """What cffi is to read."""
    return "\n".join(read_headers(folder).lines) + "\n"


def version(folder: pathlib.Path) -> str:
    """The library's version, "0.1.0"."""
    macros = read_headers(folder).macros
    return ".".join(macros[f"AG_VERSION_{part}"].body for part in ("MAJOR", "MINOR", "PATCH"))


def errors(folder: pathlib.Path) -> list[tuple[str, str, int, bool]]:
    """Every error: name of the constant, short name, HTTP status, whether trying again may help."""
    p = read_headers(folder)
    rows = re.findall(r'X\((\w+),\s*"(\w+)",\s*(\d+),\s*"\w*",\s*([01])\)', p.macros["AG_ERR_MAP"].body)
    if not rows:
        raise HeaderError("AG_ERR_MAP has no rows that can be read")
    return [(constant, name, int(status), retry == "1") for constant, name, status, retry in rows]
