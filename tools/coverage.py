#!/usr/bin/env python3
"""Executed lines by room, and the files with the most lines that no test reached.

usage: coverage.py BUILD [ROOT]     after the tests of a build with -DAG_COVERAGE=ON
"""
import collections
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile


def lines_by_file(build, root):
    """{path in src/: {line: executed?}} over all object files: a line counts when any ran it."""
    lines = collections.defaultdict(dict)
    notes = sorted(str(p.resolve()) for p in build.rglob("*.gcda"))
    with tempfile.TemporaryDirectory() as out:
        for start in range(0, len(notes), 50):
            subprocess.run(["gcov", "--json-format", *notes[start:start + 50]], cwd=out,
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for result in pathlib.Path(out).glob("*.gcov.json.gz"):
                for file in json.loads(gzip.decompress(result.read_bytes()))["files"]:
                    path = pathlib.Path(file["file"])
                    if root / "src" not in path.parents:
                        continue
                    seen = lines[path.relative_to(root).as_posix()]
                    for line in file["lines"]:
                        number = line["line_number"]
                        seen[number] = seen.get(number, False) or line["count"] > 0
                result.unlink()
    return lines


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    root = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else __file__).resolve()
    if root.is_file():
        root = root.parent.parent
    lines = lines_by_file(pathlib.Path(sys.argv[1]), root)
    rooms = collections.defaultdict(lambda: [0, 0])
    for path, seen in lines.items():
        parts = path.split("/")
        room = rooms["/".join(parts[1:3] if parts[1] == "engine" else parts[1:2])]
        room[0] += sum(seen.values())
        room[1] += len(seen)
    for name, (hit, total) in sorted(rooms.items()):
        print(f"{name:<20} {hit:>6} of {total:>6} lines  {100 * hit / total:5.1f} %")
    hit, total = (sum(r[i] for r in rooms.values()) for i in (0, 1))
    print(f"{'all':<20} {hit:>6} of {total:>6} lines  {100 * hit / max(total, 1):5.1f} %")
    missed = sorted(((len(s) - sum(s.values()), p) for p, s in lines.items()), reverse=True)
    print("\nmost lines not reached:")
    for count, path in missed[:15]:
        print(f"{count:>6}  {path}")


if __name__ == "__main__":
    main()
