#!/usr/bin/env python3
"""Check that includes point in the one allowed direction.

tools/layers.txt has a row per room: what it may include besides itself and base. A room is a folder
of a wing (src/engine, src/serve, src/ops, src/trust) or any other folder of src. Also checked: the
rows have no cycle, every room has a row, a quoted include names a file that exists, public headers
use only public headers, and the examples know nothing but the public headers.

usage: check_layers.py [ROOT]     prints offending lines; exit 1 when there are any
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
SUFFIXES = {".c", ".h", ".inc"}
WINGS = {"engine", "serve", "ops", "trust"}


def read_layers(path):
    """{room: set of rooms it may include}, with itself and base; base may include only itself."""
    layers = {}
    for line in path.read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, _, others = line.partition(":")
            layers[room] = set(others.split()) | {room}
            if room != "base":
                layers[room].add("base")
    return layers


def find_cycle(layers):
    """A list of rooms that include each other in a circle, or None."""
    done = set()

    def walk(room, trail):
        if room in trail:
            return trail[trail.index(room):] + [room]
        if room in done:
            return None
        for other in sorted(layers.get(room, set()) - {room}):
            cycle = walk(other, trail + [room])
            if cycle:
                return cycle
        done.add(room)
        return None

    for room in layers:
        cycle = walk(room, [])
        if cycle:
            return cycle
    return None


def rooms_of(root):
    """{room: folder} of everything that is there."""
    rooms = {}
    for folder in sorted(f for f in (root / "src").iterdir() if f.is_dir()):
        inside = sorted(f for f in folder.iterdir() if f.is_dir()) if folder.name in WINGS else [folder]
        rooms.update((room.name, room) for room in inside)
    return rooms


def includes_of(file):
    for number, line in enumerate(file.read_text(errors="replace").splitlines(), 1):
        match = INCLUDE.match(line)
        if match:
            yield number, match.group(1), match.group(2)


def sources_of(folder):
    return sorted(f for f in folder.rglob("*") if f.suffix in SUFFIXES and f.is_file())


def check_room(root, room, folder, rooms, layers):
    allowed = layers[room]
    for file in sources_of(folder):
        for number, quote, name in includes_of(file):
            first = name.split("/")[0]
            if quote == "<":
                if first in rooms or first == "autoglm":
                    yield file, number, f"<{name}>: our own headers are included with quotes"
            elif ".." in name.split("/"):
                yield file, number, f"{name}: paths with .. hide which room is meant"
            elif first == "autoglm":
                if not (root / "include" / name).is_file():
                    yield file, number, f"{name}: no such file in include/"
            elif first in rooms:
                if first not in allowed:
                    yield file, number, f"{name}: {room} may not include {first}"
                elif not (rooms[first].parent / name).is_file():
                    yield file, number, f"{name}: no such file in {first}"
            elif not (file.parent / name).is_file():
                yield file, number, f"{name}: neither in a room nor beside this file"


def check_public(root, folder, quotes):
    """Headers of include/ and the examples: system headers and autoglm/ only."""
    for file in sources_of(folder):
        for number, quote, name in includes_of(file):
            if name.startswith("autoglm/"):
                if not (root / "include" / name).is_file():
                    yield file, number, f"{name}: no such file in include/"
            elif quote in quotes:
                yield file, number, f"{name}: only autoglm/ and system headers belong here"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    layers = read_layers(root / "tools/layers.txt")
    rooms = rooms_of(root)
    problems = []
    cycle = find_cycle(layers)
    if cycle:
        problems.append(f"tools/layers.txt: circle {' -> '.join(cycle)}")
    for room, allowed in layers.items():
        for other in sorted(allowed - set(layers)):
            problems.append(f"tools/layers.txt: {room} names {other}, which has no row")
    found = []
    for room, folder in rooms.items():
        if room in layers:
            found += check_room(root, room, folder, rooms, layers)
        elif sources_of(folder):
            problems.append(f"{folder.relative_to(root)}: room without a row in tools/layers.txt")
    found += check_public(root, root / "include", '"')
    if (root / "examples").is_dir():
        found += check_public(root, root / "examples", '"')
    problems += [f"{file.relative_to(root)}:{number}: {text}" for file, number, text in found]
    print("\n".join(problems) if problems else f"layers: {len(rooms)} rooms, includes in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
