"""autoglm check: the server's configuration, right and wrong."""
import os
import tempfile

from cli import Case, main, run


class Check(Case):
    def file(self, text):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        path = os.path.join(folder.name, "config.yml")
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return path

    def test_a_right_file_is_in_order(self):
        path = self.file("models: [{name: a, path: a.gguf}]\n")
        self.assertEqual(self.succeeds("check", path).out, f"{path}: in order, 1 model\n")
        self.assertEqual(self.succeeds("check", "-q", path).out, "")

    def test_every_mistake_is_told_with_line_and_column(self):
        path = self.file("server:\n  lisen: x\nlog: {format: xml}\n")
        r = run("check", path)
        self.assertEqual((r.status, r.out), (1, ""))
        first, second, hint = r.err.splitlines()
        self.assertEqual(first, f"autoglm: {path}:2:3: server.lisen: unknown key; did you mean server.listen?")
        self.assertEqual(second, f"autoglm: {path}:3:7: log.format: expected one of json text, found \"xml\"")
        self.assertTrue(hint.startswith("hint: "))

    def test_the_environment_and_set_change_what_is_printed(self):
        path = self.file("engine: {threads: 2}\n")
        r = self.succeeds("check", "--print", "--set", "server.body_bytes=1MiB", path,
                          env={"AUTOGLM_ENGINE_THREADS": "3"})
        self.assertIn("  threads: 3\n", r.out)
        self.assertIn("  body_bytes: 1MiB\n", r.out)
        again = self.file(r.out)
        self.assertEqual(self.succeeds("check", "--print", again).out, r.out)

    def test_mistakes_outside_the_file_name_their_source(self):
        self.fails(1, "environment: AUTOGLM_SERVER_SUPERVISE: expected true or false", "check",
                   env={"AUTOGLM_SERVER_SUPERVISE": "often"})
        self.fails(1, "--set: server.supervise: expected true or false", "check", "--set",
                   "server.supervise=x")
        self.fails(2, "expected KEY=VALUE", "check", "--set", "x")
        self.fails(1, "No such file", "check", "/nonexistent.yml")


if __name__ == "__main__":
    main()
