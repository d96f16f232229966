#!/usr/bin/env python3
"""Check that the sources call nothing that a helper of src/base replaces.

Outside src/base: no raw allocation (base/mem.h counts, tags and can fail it), no unbounded string
functions (base/span.h has bounded ones), no getenv (options come in by parameter). Inside the
library, src/base and src/engine: nothing prints, exits or aborts.

tools/allowed_calls.txt lists the exceptions: `path call  # reason`.

usage: check_calls.py [ROOT]     prints offending lines; exit 1 when there are any
"""
import pathlib
import re
import sys

BANNED = """strcpy strcat strncpy strncat sprintf vsprintf gets atoi atol atoll atof strtok
malloc calloc realloc reallocarray free strdup strndup asprintf vasprintf alloca getenv
secure_getenv setenv putenv system popen""".split()
SILENT = """printf vprintf fprintf vfprintf puts fputs putchar perror exit _exit abort assert
quick_exit""".split()
# Comments, strings and character constants: blanked out, newlines kept so that lines stay counted.
QUIET = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def calls_in(text, names):
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(names) + r")\s*\(")
    for match in pattern.finditer(QUIET.sub(blank, text)):
        yield text.count("\n", 0, match.start()) + 1, match.group(1)


def read_allowed(path):
    """{(path, call): line number}; every row must give its reason."""
    allowed = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        row, _, reason = line.partition("#")
        if row.strip():
            if not reason.strip():
                sys.exit(f"{path}:{number}: no reason given")
            file, call = row.split()
            allowed[file, call] = number
    return allowed


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    allowed = read_allowed(root / "tools/allowed_calls.txt")
    used, problems, count = set(), [], 0
    for file in sorted((root / "src").rglob("*")):
        if file.suffix not in {".c", ".h", ".inc"}:
            continue
        name = file.relative_to(root).as_posix()
        count += 1
        names = [] if name.startswith("src/base/") else list(BANNED)
        if not name.startswith("src/cli/"):
            names += SILENT
        for number, call in calls_in(file.read_text(errors="replace"), names):
            if (name, call) in allowed:
                used.add((name, call))
            else:
                problems.append(f"{name}:{number}: {call}() is banned here")
    for row in sorted(set(allowed) - used):
        problems.append(f"tools/allowed_calls.txt:{allowed[row]}: {' '.join(row)} is not needed")
    print("\n".join(problems) if problems else f"calls: {count} files, no banned call")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
