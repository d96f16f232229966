#!/usr/bin/env python3
"""bench/figures.py and bench/report.py: what the measuring programs say of figures that are known."""
import io
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
import xml.etree.ElementTree

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))
import figures  # noqa: E402


def rows(test, engine, others=0, **values):
    """A row for each round; `rate` stands for tokens/s, `wait` for ttft ms."""
    names = {"rate": "tokens/s", "wait": "ttft ms"}
    return [{"suite": "s", "model": "m.gguf", "test": test, "engine": engine, "others": others,
             **{names[k]: v for k, v in zip(values, of_round)}} for of_round in zip(*values.values())]


KNOWN = (rows("a", "autoglm", rate=[30, 10, 20], wait=[5, 4, 6]) + rows("a", "slow", rate=[5, 5, 5], wait=[50, 50, 50])
         + rows("a", "fast", rate=[10, 9, 12], wait=[20, 30, 20]) + rows("b", "autoglm", rate=[7], wait=[0]))


class FiguresTest(unittest.TestCase):
    def test_a_table_has_medians_and_compares_with_the_best_peer(self):
        out = io.StringIO()
        figures.table(KNOWN, out)
        lines = out.getvalue().splitlines()
        self.assertEqual(lines[0], "| test | figure | autoglm | slow | fast | better by |")
        self.assertIn("| a | tokens/s | 20 (10 to 30) | 5 (5 to 5) | 10 (9 to 12) | 2.00 |", lines)
        self.assertIn("| a | ttft ms | 5 (4 to 6) | 50 (50 to 50) | 20 (20 to 30) | 4.00 |", lines)
        self.assertIn("| b | tokens/s | 7 | - | - |  |", lines)

    def test_a_drawing_shows_what_can_be_compared(self):
        text = figures.chart(KNOWN, "tokens/s", "a < b")
        xml.etree.ElementTree.fromstring(text)
        self.assertEqual(text.count("2.00 × fast"), 1)
        self.assertNotIn("b, m.gguf", text)
        self.assertIsNone(figures.chart(rows("b", "autoglm", rate=[7]), "tokens/s", ""))

    def test_what_others_take_is_seen(self):
        with unittest.mock.patch.object(figures, "process_seconds", lambda pid: 0), figures.Others() as others:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:   # as if it were somebody else's
                pass
        self.assertGreater(others.share, 0.3)

    def test_a_report_leaves_out_what_was_disturbed_and_fills_a_page(self):
        with tempfile.TemporaryDirectory() as folder:
            kept, page = pathlib.Path(folder, "f.jsonl"), pathlib.Path(folder, "p.md")
            disturbed = rows("a", "autoglm", others=0.9, rate=[1, 1, 1, 1], wait=[1, 1, 1, 1])
            kept.write_text("".join(json.dumps({**r, "suite": "serve"}) + "\n" for r in KNOWN + disturbed))
            page.write_text("before\n<!-- figures: serve -->\nold\n<!-- end -->\nafter\n")
            command = [sys.executable, str(BENCH / "report.py"), str(kept), "--into", str(page), "--svg", folder]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            self.assertIn("4 of 14 measurements were disturbed", done.stderr)
            self.assertIn("| a | tokens/s | 20 (10 to 30) |", done.stdout)
            self.assertRegex(page.read_text(), r"(?s)^before\n<!-- figures: serve -->\n\| test .*\n<!-- end -->\nafter\n$")
            self.assertNotIn("old", page.read_text())
            self.assertTrue(pathlib.Path(folder, "serve.svg").exists())
            page.write_text("nothing\n")
            self.assertEqual(subprocess.run(command, capture_output=True, check=False).returncode, 1)


if __name__ == "__main__":
    unittest.main()
