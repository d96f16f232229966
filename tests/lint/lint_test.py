#!/usr/bin/env python3
"""tools/check_layers.py and tools/check_calls.py on small trees with one fault each."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
LAYERS = "base:\nload: base\ntext: base load\ncli: base load text\n"
GOOD = {
    "tools/layers.txt": LAYERS,
    "tools/allowed_calls.txt": "src/base/mem.c abort  # guard\n",
    "include/autoglm/engine.h": "#include <stddef.h>\n",
    "src/base/mem.c": '#include "base/mem.h"\nvoid *ag_alloc(void) { abort(); return malloc(1); }\n',
    "src/base/mem.h": '#include "autoglm/engine.h"\n',
    "src/engine/load/gguf.h": '#include "base/mem.h"\n',
    "src/engine/load/gguf.c": '#include "load/gguf.h"\n/* free(x) */ // malloc(1)\nconst char *s = "free(";\n',
    "src/engine/text/bpe.c": '#include "load/gguf.h"\n#include "table.inc"\nint f(void) { return ag_free(x->free(1)); }\n',
    "src/engine/text/table.inc": "1, 2\n",
    "src/cli/main.c": '#include "load/gguf.h"\nvoid f(void) { printf(s); }\n',
    "examples/chat.c": "#include <autoglm/engine.h>\n",
}


def run(program, changes):
    """(exit code, output) of a lint program over the good tree with some files replaced."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in {**GOOD, **changes}.items():
            path = pathlib.Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, TOOLS / program, root], capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


class Lint:
    program = ""

    def expect(self, changes, text):
        code, output = run(self.program, changes)
        self.assertEqual(code, 1, output)
        self.assertIn(text, output)

    def test_a_good_tree_passes(self):
        code, output = run(self.program, {})
        self.assertEqual(code, 0, output)


class Layers(Lint, unittest.TestCase):
    program = "check_layers.py"

    def test_a_lower_room_may_not_include_a_higher_one(self):
        self.expect({"src/engine/load/gguf.h": '#include "text/bpe.h"\n'},
                    "src/engine/load/gguf.h:1: text/bpe.h: load may not include text")

    def test_base_includes_no_other_room(self):
        self.expect({"src/base/mem.h": '#include "load/gguf.h"\n'}, "base may not include load")

    def test_our_headers_take_quotes(self):
        self.expect({"src/cli/main.c": "#include <load/gguf.h>\n"}, "with quotes")

    def test_no_way_around_through_dots(self):
        self.expect({"src/base/mem.c": '#include "../engine/load/gguf.h"\n'}, "..")

    def test_an_included_file_exists(self):
        self.expect({"src/cli/main.c": '#include "load/absent.h"\n'}, "no such file in load")
        self.expect({"src/cli/main.c": '#include "absent.h"\n'}, "beside this file")

    def test_a_public_header_shows_nothing_internal(self):
        self.expect({"include/autoglm/engine.h": '#include "base/mem.h"\n'}, "only autoglm/")

    def test_an_example_uses_the_public_face(self):
        self.expect({"examples/chat.c": '#include "text/bpe.h"\n'}, "only autoglm/")

    def test_rooms_in_a_circle_are_found(self):
        self.expect({"tools/layers.txt": LAYERS.replace("load: base", "load: base text")}, "circle")

    def test_every_room_has_a_row(self):
        self.expect({"src/engine/kv/block.c": "\n"}, "src/engine/kv: room without a row")


class Calls(Lint, unittest.TestCase):
    program = "check_calls.py"

    def test_raw_allocation_outside_base(self):
        self.expect({"src/cli/main.c": "\nvoid *p = malloc (3);\n"}, "src/cli/main.c:2: malloc()")

    def test_the_library_does_not_print(self):
        self.expect({"src/engine/text/bpe.c": "void f(void) { printf(s); }\n"}, "bpe.c:1: printf()")

    def test_a_row_for_nothing_is_an_error(self):
        self.expect({"src/base/mem.c": "\n"}, "src/base/mem.c abort is not needed")

    def test_an_exception_gives_its_reason(self):
        self.expect({"tools/allowed_calls.txt": "src/base/mem.c abort\n"}, "no reason")


if __name__ == "__main__":
    unittest.main()
