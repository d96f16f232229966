#!/usr/bin/env python3
"""autoglm pull against a hub of our own: what arrives, what is refused, and what a broken network costs."""
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import time
import unittest

from cli import BINARY, MODELS, Case, Terminal, environment, main, plain, run
from hub import Fault, Hub, Repo, free_port

SMALL = "tiny-llama3-q4_k"
FOLDER = "tiny-glm4-hf"
REPO = "owner/name"


def bytes_of(n, seed=1):
    return random.Random(seed).randbytes(n)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def gguf(name):
    return read(os.path.join(MODELS, name + ".gguf"))


class PullCase(Case):
    def setUp(self):
        super().setUp()
        self.to = self.path("models/here")
        self.home = self.path("home")
        os.mkdir(self.home)

    def env(self, **more):
        proxies = {k: "" for k in ("http_proxy", "all_proxy", "ALL_PROXY", "HF_TOKEN", "HF_ENDPOINT", "XDG_DATA_HOME", "AUTOGLM_REGISTRY")}
        return {**proxies, "HOME": self.home, **more}

    def args(self, hub, spec, *more, to=None):
        return ["pull", "hf:" + spec, "--to", to or self.to, "--endpoint", hub.url, *more]

    def pulls(self, hub, spec, *more, env=None):
        """The JSON result of a pull that succeeds."""
        r = self.succeeds(*self.args(hub, spec, "--json", *more), env=self.env(**(env or {})))
        self.err = r.err
        return r.json()

    def refuses(self, hub, spec, reason, *more, hint=None, status=1, env=None):
        return self.fails(status, reason, *self.args(hub, spec, "--retries", "0", *more), hint=hint, env=self.env(**(env or {})))

    def start(self, hub, spec, *more):
        """A pull that goes on while the test does."""
        p = subprocess.Popen([BINARY, *self.args(hub, spec, *more)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment(**self.env()))
        self.addCleanup(lambda: (p.kill(), p.communicate()))
        return p

    def wait_for_bytes(self, path, n, limit=60):
        end = time.monotonic() + limit
        while not os.path.exists(path) or os.path.getsize(path) < n:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)

    def has_only(self, *names):
        """The folder holds these files and the record."""
        found = [os.path.relpath(os.path.join(d, f), self.to) for d, _, files in os.walk(self.to) for f in files]
        self.assertEqual(sorted(found), sorted((*names, ".autoglm-pull.json")))


class Chosen(PullCase):
    """What comes for which name."""

    def test_a_folder_comes_with_what_it_needs_and_runs(self):
        source = os.path.join(MODELS, FOLDER)
        files = {f: read(os.path.join(source, f)) for f in os.listdir(source)}
        extra = {"README.md": b"hello", "pytorch_model.bin": bytes_of(5000), "onnx/model.onnx": b"x", "a-q8_0.gguf": b"GGUF",
                 "consolidated.safetensors": bytes_of(2000), ".gitattributes": b"", "LICENSE": b"free"}
        with Hub({REPO: Repo({**files, **extra})}) as hub:
            hub.page = 3    # several pages, linked by another host's name
            o = self.pulls(hub, REPO)
            self.assertEqual(o["model"], self.to)
            self.assertEqual({f["path"] for f in o["files"]}, set(files) | {"LICENSE"})
            self.has_only(*files, "LICENSE")
            for f in o["files"]:
                data = {**files, **extra}[f["path"]]
                self.assertEqual((f["bytes"], f["state"]), (len(data), "fetched"))
                if len(data) > 1000:
                    self.assertEqual(f["sha256"], hashlib.sha256(data).hexdigest())
            self.assertEqual(o["bytes"], sum(f["bytes"] for f in o["files"]))
            self.assertEqual(o["fetched_bytes"], o["bytes"])
        for model, out in ((self.to, "a.f32"), (source, "b.f32")):
            self.succeeds("logits", "-m", model, "--ids", "1 2 3", "--out", self.path(out))
        self.assertEqual(read(self.path("a.f32")), read(self.path("b.f32")))

    def test_a_quantisation_names_a_file_and_it_runs(self):
        files = {f"tiny.{q}.gguf": bytes_of(2000) for q in ("Q8_0", "Q4_K_S", "Q4_K", "IQ4_XS")}
        files.update({"tiny.Q4_K_M.gguf": gguf(SMALL), "mmproj-Q4_K_M.gguf": b"x"})
        with Hub({REPO: Repo(files)}) as hub:
            o = self.pulls(hub, REPO + ":q4_k_m")
            self.assertEqual(o["model"], os.path.join(self.to, "tiny.Q4_K_M.gguf"))
            self.has_only("tiny.Q4_K_M.gguf")
        r = self.succeeds("run", "-m", o["model"], "--temp", "0", "-n", "4", "Hello")
        self.assertEqual(r.out, self.succeeds("run", "-m", self.model(SMALL), "--temp", "0", "-n", "4", "Hello").out)

    def test_a_split_set_comes_whole(self):
        names = [f"{SMALL}-split-0000{i}-of-00003" for i in (1, 2, 3)]
        files = {f"q4/{n}.gguf": gguf(n) for n in names}
        with Hub({REPO: Repo(files)}) as hub:
            o = self.pulls(hub, f"{REPO}:q4/{names[1]}.gguf")
            self.assertEqual([f["path"] for f in o["files"]], sorted(files))
            self.assertEqual(o["model"], os.path.join(self.to, "q4", names[0] + ".gguf"))
            self.assertEqual(self.succeeds("inspect", "--json", o["model"]).json()["files"], 3)
            del hub.repos[REPO].files[f"q4/{names[2]}.gguf"]
            hub.repos[REPO].renew()
            self.refuses(hub, f"{REPO}:q4/{names[1]}.gguf", "has 2 of its 3 parts")

    def test_without_a_name_the_usual_one_of_several_comes(self):
        files = {f"m-{q}.gguf": bytes_of(1500) for q in ("Q2_K", "Q4_K_M", "Q8_0")}
        with Hub({REPO: Repo(files)}) as hub:
            self.assertEqual([f["path"] for f in self.pulls(hub, REPO)["files"]], ["m-Q4_K_M.gguf"])
            del hub.repos[REPO].files["m-Q4_K_M.gguf"]
            hub.repos[REPO].renew()
            self.refuses(hub, REPO, "name one of Q2_K, Q8_0", hint="hf:owner/name:Q4_K_M")
            self.refuses(hub, REPO + ":Q5_K_M", "no file is called Q5_K_M; GGUF files there are: Q2_K, Q8_0")
            hub.repos[REPO] = Repo({"pytorch_model.bin": b"x", "config.json": b"{}"})
            self.refuses(hub, REPO, "nothing in it runs here")

    def test_a_revision_is_one_commit_for_all_files(self):
        repo = Repo({"a.gguf": bytes_of(3000), "b.json": b"{}"}, revisions=("main", "refs/pr/1", "v1.0"))
        with Hub({REPO: repo}) as hub:
            self.assertEqual(self.pulls(hub, REPO + "@refs/pr/1:b.json")["commit"], repo.commit)
            self.assertEqual(self.pulls(hub, REPO, "--revision", "v1.0")["commit"], repo.commit)
            self.assertTrue(hub.asked("hub/api/models/owner/name/revision/refs/pr/1") or
                            hub.asked("hub/api/models/owner/name/revision/refs%2Fpr%2F1"))
            for path, _ in hub.asked("hub/owner/name/resolve"):
                self.assertIn("/resolve/" + repo.commit + "/", path)
            self.refuses(hub, REPO + "@nope", 'there is no revision "nope"', hint="--endpoint")

    def test_odd_names_are_encoded(self):
        name = "sub dir/a#b?c%20d+é.txt"
        with Hub({REPO: Repo({name: bytes_of(2000)})}, prefix="/mirror/hf") as hub:
            self.assertEqual(self.pulls(hub, f"{REPO}:{name}")["files"][0]["path"], name)
            self.has_only(name)

    def test_models_go_where_models_are_kept(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(1500)})}) as hub:
            for env, place in (({}, "home/.local/share/autoglm/models"), ({"XDG_DATA_HOME": self.path("x")}, "x/autoglm/models"),
                               ({"AUTOGLM_MODELS": self.path("m"), "XDG_DATA_HOME": self.path("y")}, "m")):
                r = self.succeeds("pull", "hf:" + REPO, env=self.env(HF_ENDPOINT=hub.url, **env))
                self.assertTrue(os.path.exists(self.path(f"{place}/owner/name/a.gguf")), r.out)
                self.assertIn("1 file, 1.46 KiB, checked; 1.46 KiB fetched", r.out)


    def test_a_name_can_be_given_on_the_way(self):
        folder = os.path.join(MODELS, FOLDER)
        with Hub({REPO: Repo({"a.gguf": gguf(SMALL)}),
                  "owner/folder": Repo({f: read(os.path.join(folder, f)) for f in os.listdir(folder)})}) as hub:
            env = {"AUTOGLM_REGISTRY": self.path("names.db")}
            o = self.pulls(hub, REPO, "--name", "tiny", env=env)
            self.assertEqual(o["name"], "tiny")
            self.succeeds(*self.args(hub, "owner/folder", "--name", "org/glm:4", to=self.path("f")), env=self.env(**env))
            self.succeeds("run", "-m", "tiny", "-n", "2", "Hello", env=env)
            self.succeeds("run", "-m", "org/glm:4", "-n", "2", "Hello", env=env)
            self.succeeds("models", "verify", env=env)
            hub.seen.clear()
            self.refuses(hub, REPO, "the name tiny is taken", "--name", "tiny", env=env)
            self.assertFalse(hub.seen)
            self.assertEqual(self.pulls(hub, REPO, "--name", "tiny", "--force", env=env)["fetched_bytes"], 0)


class Again(PullCase):
    """Pulls that others began."""

    def test_what_is_complete_is_checked_and_not_fetched(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(5000), "b.gguf": b"GGUF"})}) as hub:
            for name in ("a.gguf", "b.gguf"):
                self.pulls(hub, f"{REPO}:{name}")
            hub.seen.clear()
            r = self.succeeds(*self.args(hub, REPO + ":a.gguf"), env=self.env())
            self.assertIn("already complete and checked", r.out)
            o = self.pulls(hub, REPO + ":b.gguf")
            self.assertEqual((o["fetched_bytes"], o["files"][0]["state"]), (0, "complete"))
            self.assertFalse(hub.asked("resolve|blob"))
            with open(os.path.join(self.to, "a.gguf"), "r+b") as f:     # same size, other bytes
                f.write(b"X")
            self.assertEqual(self.pulls(hub, REPO + ":a.gguf")["files"][0]["state"], "fetched")
            self.assertEqual(read(os.path.join(self.to, "a.gguf")), bytes_of(5000))

    def test_a_killed_pull_goes_on_where_it_stopped(self):
        data = bytes_of(2 << 20)
        partial = os.path.join(self.to, "a.gguf.partial")
        with Hub({REPO: Repo({"a.gguf": data})}) as hub:
            hub.fail("cdn", Fault(hold=1 << 20))
            p = self.start(hub, REPO)
            self.wait_for_bytes(partial, 300000)
            p.kill()
            p.communicate()
            there = os.path.getsize(partial)
            self.assertFalse(os.path.exists(os.path.join(self.to, "a.gguf")))
            hub.seen.clear()
            o = self.pulls(hub, REPO)
            (_, headers), = hub.asked("cdn/blob")
            self.assertEqual(headers["Range"], f"bytes={there}-")
            self.assertIn("If-Range", headers)
            self.assertEqual((o["files"][0]["state"], o["fetched_bytes"]), ("resumed", len(data) - there))
            self.has_only("a.gguf")
            self.assertEqual(read(os.path.join(self.to, "a.gguf")), data)

    def test_interrupted_it_says_how_to_go_on(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(2 << 20)})}) as hub:
            hub.fail("cdn", Fault(hold=1 << 20))
            p = self.start(hub, REPO)
            self.wait_for_bytes(os.path.join(self.to, "a.gguf.partial"), 300000)
            p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=60)
            self.assertEqual((p.returncode, out), (1, b""))
            self.assertIn("autoglm: stopped: ", err.decode())
            self.assertIn("of 2.00 MiB are there and stay", err.decode())
            self.assertIn("hint: the same command goes on", err.decode())
            self.assertEqual(self.pulls(hub, REPO)["files"][0]["state"], "resumed")

    def test_a_silent_server_does_not_hold_the_keyboard(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(2000)})}) as hub:
            hub.fail("hub/api", Fault(silent=True))
            p = self.start(hub, REPO)
            hub.wait_for("hub/api")
            p.send_signal(signal.SIGINT)
            began = time.monotonic()
            p.communicate(timeout=60)
            self.assertEqual(p.returncode, 1)
            self.assertLess(time.monotonic() - began, 10)

    def test_two_at_once_do_not_mix(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(2 << 20)})}) as hub:
            hub.fail("cdn", Fault(hold=1 << 20))
            p = self.start(hub, REPO)
            self.wait_for_bytes(os.path.join(self.to, "a.gguf.partial"), 100000)
            self.refuses(hub, REPO, "another pull is fetching this file")
            hub.gate.set()
            self.assertEqual(p.wait(60), 0)
            self.assertEqual(read(os.path.join(self.to, "a.gguf")), bytes_of(2 << 20))
            self.has_only("a.gguf")

    def test_an_unfinished_file_of_something_else_is_not_gone_on_with(self):
        partial = os.path.join(self.to, "a.gguf.partial")
        with Hub({REPO: Repo({"a.gguf": bytes_of(300000)})}) as hub:
            hub.fail("cdn", Fault(after=200000))
            self.refuses(hub, REPO, "127.0.0.1")
            self.assertEqual(os.path.getsize(partial), 200000)
            hub.repos[REPO].files["a.gguf"] = bytes_of(300000, seed=2)
            hub.repos[REPO].renew()
            hub.seen.clear()
            self.assertEqual(self.pulls(hub, REPO)["files"][0]["state"], "fetched")
            self.assertNotIn("Range", hub.asked("cdn/blob")[0][1])
            self.assertIn("starting over", self.err)
            self.assertEqual(read(os.path.join(self.to, "a.gguf")), bytes_of(300000, seed=2))

    def test_a_damaged_unfinished_file_is_found_out(self):
        partial = os.path.join(self.to, "a.gguf.partial")
        with Hub({REPO: Repo({"a.gguf": bytes_of(300000)})}) as hub:
            hub.fail("cdn", Fault(after=200000))
            self.refuses(hub, REPO, "127.0.0.1")
            with open(partial, "r+b") as f:
                f.seek(100000)
                f.write(b"damage")
            o = self.pulls(hub, REPO)
            self.assertEqual((o["files"][0]["state"], o["fetched_bytes"]), ("fetched", 400000))
            self.assertIn("not what the hub lists: starting over", self.err)
            self.assertEqual(read(os.path.join(self.to, "a.gguf")), bytes_of(300000))

    def test_files_of_others_are_not_touched(self):
        os.makedirs(self.to)
        mine = os.path.join(self.to, "config.json")
        with open(mine, "w") as f:
            f.write("mine")
        with Hub({REPO: Repo({"config.json": b"{}", "model.safetensors": bytes_of(2000)}),
                  "other/one": Repo({"a.gguf": bytes_of(2000)})}) as hub:
            self.refuses(hub, REPO, "another file of this name, which is not touched")
            self.assertEqual(read(mine), b"mine")
            self.assertEqual(os.listdir(self.to), ["config.json"])
            os.remove(mine)
            self.pulls(hub, REPO)
            self.refuses(hub, "other/one", "holds files of owner/name")
            with open(mine, "w") as f:      # ours, changed: the pull restores it and says so
                f.write("changed")
            self.pulls(hub, REPO)
            self.assertIn("differs from the hub's", self.err)
            self.assertEqual(read(mine), b"{}")


class Network(PullCase):
    """Connections and servers that fail."""
    DATA = bytes_of(400000)

    def hub(self):
        return Hub({REPO: Repo({"a.gguf": self.DATA})})

    def arrives(self, hub, *more):
        o = self.pulls(hub, REPO, *more)
        self.assertEqual(read(os.path.join(self.to, "a.gguf")), self.DATA)
        self.has_only("a.gguf")
        return o

    def test_cut_connections_are_gone_on_with(self):
        with self.hub() as hub:
            hub.fail("cdn", Fault(after=150000), Fault(after=100000))
            self.assertEqual(self.arrives(hub)["fetched_bytes"], len(self.DATA))
            self.assertEqual([h.get("Range") for _, h in hub.asked("cdn")], [None, "bytes=150000-", "bytes=250000-"])
            self.assertIn("trying again", self.err)

    def test_a_server_without_ranges_sends_it_all_again(self):
        with self.hub() as hub:
            hub.fail("cdn", Fault(after=150000), Fault(no_range=True))
            self.assertEqual(self.arrives(hub)["fetched_bytes"], 150000 + len(self.DATA))
            self.assertIn("from its beginning", self.err)

    def test_another_etag_is_another_file(self):
        with self.hub() as hub:
            hub.fail("cdn", Fault(after=150000, etag='"before"'), Fault(etag='"after"'))
            self.assertEqual(self.arrives(hub)["fetched_bytes"], 150000 + len(self.DATA))
            self.assertEqual(hub.asked("cdn")[1][1]["If-Range"], '"before"')

    def test_a_weak_etag_is_not_sent(self):
        with self.hub() as hub:
            hub.fail("cdn", Fault(after=150000, etag='W/"weak"'))
            self.assertEqual(self.arrives(hub)["fetched_bytes"], len(self.DATA))
            self.assertNotIn("If-Range", hub.asked("cdn")[1][1])

    def test_a_wrong_range_is_refused(self):
        with self.hub() as hub:
            wrong = Fault(status=206, body=self.DATA[5:], headers={"Content-Range": f"bytes 5-399999/{len(self.DATA)}"})
            hub.fail("cdn", Fault(after=150000), wrong)
            r = run(*self.args(hub, REPO), env=self.env())
            self.assertEqual(r.status, 1)
            self.assertIn("asked for bytes from 150000 on, the server sends bytes 5-", r.err)
            hub.fail("cdn", Fault(status=416, headers={"Content-Range": "bytes */7"}))
            self.arrives(hub)

    def test_busy_hubs_are_asked_again(self):
        for status in (429, 503):
            with self.subTest(status), self.hub() as hub:
                shutil.rmtree(self.to, ignore_errors=True)
                hub.fail("hub/api", Fault(status=status, headers={"Retry-After": "1"} if status == 429 else {}))
                hub.fail("cdn", Fault(status=status))
                self.arrives(hub)

    def test_it_does_not_wait_for_hours(self):
        with self.hub() as hub:
            hub.fail("hub/api", Fault(status=429, headers={"Retry-After": "3600"}))
            self.fails(1, "fewer requests (429); try again in 3600 s", *self.args(hub, REPO), env=self.env())
            hub.fail("hub/owner", Fault(status=503, headers={"Retry-After": "3600"}))
            self.fails(1, "HTTP status 503", *self.args(hub, REPO), env=self.env())

    def test_tries_end(self):
        with self.hub() as hub:
            hub.fail("hub/api", *[Fault(status=500)] * 20)
            self.fails(1, "HTTP status 500", *self.args(hub, REPO, "--retries", "1"), env=self.env())
            self.assertEqual(len(hub.asked("hub/api")), 2)
            hub.faults.clear()
            hub.fail("cdn", *[Fault(after=1000)] * 20)
            r = run(*self.args(hub, REPO, "--retries", "2"), env=self.env())
            self.assertEqual(r.status, 1)
            self.assertIn("hint: the same command goes on", r.err)
            self.assertEqual(len(hub.asked("cdn")), 3)

    def test_nobody_there(self):
        url = f"http://127.0.0.1:{free_port()}"
        self.fails(1, url[7:], "pull", "hf:" + REPO, "--to", self.to, "--endpoint", url, "--retries", "0", env=self.env())

    def test_a_terminal_sees_speed_and_time(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(3 << 20)})}) as hub:
            hub.fail("cdn", Fault(rate=2 << 20))
            with Terminal(*self.args(hub, REPO), env=self.env()) as t:
                t.until("pulling [")
                line = plain(t.until("/s"))
                self.assertRegex(line, r"%  .* of 3\.00 MiB  .*iB/s")
                status, rest = t.end()
            self.assertEqual(status, 0)
            self.assertIn("fetched in", plain(rest))

    def test_elsewhere_lines_tell_the_quarters(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(1 << 20)})}) as hub:
            hub.fail("cdn", Fault(rate=1 << 20), Fault(rate=1 << 20))
            r = self.succeeds(*self.args(hub, REPO), env=self.env())
            self.assertRegex(r.err, "autoglm: pulling: (25|50|75)% of 1.00 MiB")
            shutil.rmtree(self.to)
            self.assertEqual(self.succeeds(*self.args(hub, REPO, "-q"), env=self.env()).err, "")


class Access(PullCase):
    """Tokens, and who gets to see them."""

    def hub(self):
        hub = Hub({REPO: Repo({"a.gguf": bytes_of(5000), "b.json": b"{}"})})
        hub.token = "hf_Secret"
        return hub

    def test_the_token_goes_to_the_hub_and_nowhere_else(self):
        secret = self.write("token", "hf_Secret\n")
        with self.hub() as hub:
            o = self.pulls(hub, REPO, "--token-file", secret)
            self.assertEqual(o["files"][0]["state"], "fetched")
            self.assertTrue(all(h.get("Authorization") == "Bearer hf_Secret" for _, h in hub.asked("hub/")))
            self.assertTrue(hub.asked("cdn/"))
            for path, headers in hub.asked("cdn/"):
                self.assertNotIn("Secret", path + repr(headers))
            for d, _, files in os.walk(self.to):
                for f in files:
                    self.assertNotIn(b"Secret", read(os.path.join(d, f)))
            self.assertNotIn("Secret", self.err + json.dumps(o))

    def test_it_comes_from_the_environment_or_where_the_hubs_tools_keep_it(self):
        with self.hub() as hub:
            self.pulls(hub, REPO + ":b.json", env={"HF_TOKEN": "hf_Secret"})
            os.makedirs(os.path.join(self.home, ".cache/huggingface"))
            self.write("home/.cache/huggingface/token", "hf_Secret")
            self.pulls(hub, REPO)

    def test_without_one_it_says_what_is_missing(self):
        with self.hub() as hub:
            self.refuses(hub, REPO, "the hub wants a token (401)", hint="--token-file")
            self.refuses(hub, REPO, "the hub refuses the token (403)", hint="--token-file", env={"HF_TOKEN": "hf_Other"})
            self.refuses(hub, REPO, "No such file", "--token-file", self.path("none"))
            self.refuses(hub, REPO, "holds no token", "--token-file", self.write("empty", "\n"))
            self.refuses(hub, REPO, "characters that no token has", "--token-file", self.write("two", "a\r\nX: b"))
            hub.token = None
            self.refuses(hub, "owner/other", "owner/other: not at 127.0.0.1", hint="--endpoint")
            self.refuses(hub, REPO + ":c.json", "no file is called c.json")

    def test_it_is_not_sent_in_the_clear_to_another_machine(self):
        r = run("pull", "hf:" + REPO, "--to", self.to, "--endpoint", "http://hub.invalid", "--retries", "0",
                env=self.env(HF_TOKEN="hf_Secret"))
        self.assertEqual(r.status, 1)
        self.assertIn("the token is not sent: http://hub.invalid would show it", r.err)
        self.assertNotIn("Secret", r.err)

    def test_redirects_stay_within_bounds(self):
        with self.hub() as hub:
            hub.token = None
            hub.fail("cdn", *[Fault(status=302, headers={"Location": "/blob/x"})] * 20)
            self.refuses(hub, REPO, "too many redirects")
            hub.faults.clear()
            hub.fail("cdn", Fault(status=302, headers={"Location": "file:///etc/passwd"}))
            self.refuses(hub, REPO, "redirects to a place that is refused")

    @unittest.skipUnless(shutil.which("openssl"), "no openssl to make a certificate with")
    def test_certificates_are_checked(self):
        key, cert = self.path("key.pem"), self.path("cert.pem")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
                       check=True, capture_output=True)
        with Hub({REPO: Repo({"a.gguf": b"GGUF"})}, tls=(cert, key)) as hub:
            self.refuses(hub, REPO, "certificate is not trusted")
            self.assertEqual(self.pulls(hub, REPO, "--ca-file", cert)["fetched_bytes"], 4)
            hub.repos[REPO] = Repo({"b.gguf": bytes_of(2000)})  # kept apart: a redirect to plain http
            self.refuses(hub, REPO, "redirects from https to http", "--ca-file", cert)


class Hostile(PullCase):
    """A hub that lies."""

    def test_what_has_another_digest_is_deleted(self):
        data, other = bytes_of(5000), bytes_of(5000, seed=2)
        for lfs_from in (1000, 100000):
            with self.subTest(lfs_from), Hub({REPO: Repo({"a.gguf": data}, lfs_from=lfs_from)}) as hub:
                hub.fail("cdn/blob|hub/owner/name/resolve/[0-9a-f]+/a.gguf" if lfs_from > 1000 else "cdn",
                         Fault(body=other, status=200))
                r = self.refuses(hub, REPO, "it was deleted")
                for d in (data, other):
                    digest = hashlib.sha256(d).hexdigest() if lfs_from == 1000 else \
                        hashlib.sha1(b"blob %d\0" % len(d) + d).hexdigest()
                    self.assertIn(digest, r.err)
                self.has_only()

    def test_sizes_must_agree(self):
        data = bytes_of(5000)
        with Hub({REPO: Repo({"a.gguf": data})}) as hub:
            hub.fail("cdn", Fault(body=data + b"more", status=200))
            self.refuses(hub, REPO, "the hub lists 5000 bytes, but the server sends 5004")
            hub.fail("cdn", Fault(body=data[:100], status=200))
            self.refuses(hub, REPO, "the hub lists 5000 bytes, but the server sends 100")
            hub.fail("cdn", Fault(endless=True))
            self.refuses(hub, REPO, "the server sends more")
            hub.fail("hub/owner", Fault(status=302, headers={"Location": hub.cdn_url + "/x", "X-Linked-Size": "7"}))
            hub.blobs["/x"] = data
            self.refuses(hub, REPO, "X-Linked-Size is 7")
            hub.fail("hub/owner", Fault(status=302, headers={"Location": hub.cdn_url + "/x", "X-Linked-Etag": '"%s"' % ("0" * 64)}))
            self.refuses(hub, REPO, "and sends 0000")
            self.has_only()

    def test_replies_are_bounded_and_checked(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(5000)})}) as hub:
            hub.fail("hub/api/.*/tree", Fault(endless=True))
            self.refuses(hub, REPO, "larger than the limit")
            for body, reason in ((b"", "not valid JSON"), (b"<html>", "not valid JSON"), (b'{"a":1}', "no list"), (b"[1]", "something else"),
                                 (b"[" * 100000, "not valid JSON"), (b'[{"type":"file","path":"x"}]', '"x" has no size'),
                                 (b"\xff\xfe", "not valid JSON")):
                with self.subTest(body[:30]):
                    hub.fail("hub/api/.*/tree", Fault(body=body))
                    self.refuses(hub, REPO, reason)
            for body in (b"{}", b'{"sha":"../../x"}', b'{"sha":7}', b"[]"):
                hub.fail("hub/api/.*/revision", Fault(body=body))
                self.refuses(hub, REPO, "names no commit")
            hub.fail("hub/api", Fault(status=404, headers={"X-Error-Message": "\x1b]0;owned\x07" + "long" * 1000}))
            r = run(*self.args(hub, REPO), env=self.env())
            self.assertEqual(r.status, 1)
            self.assertNotIn("\x1b", r.err)
            self.assertFalse(os.path.exists(self.to))

    def test_nothing_leaves_the_folder(self):
        good = {"type": "file", "oid": "0" * 40, "size": 3}
        with Hub({REPO: Repo({"a.gguf": bytes_of(5000)})}) as hub:
            for path in ("../evil.gguf", "/tmp/evil.gguf", "a/../../evil.gguf", "a//b.gguf", "a\\b.gguf", "a\nb.gguf", "./a.gguf",
                         "", "a/", "x" * 2000, "y" * 241 + "/z", ".autoglm-pull.json", "a.gguf.partial", "\x7f"):
                with self.subTest(path):
                    hub.entries = [dict(good, path=path)]
                    self.refuses(hub, REPO, "is no name that a file may get here")
            for change, reason in (({"size": -1}, "no size"), ({"size": 1 << 60}, "no size"), ({"size": "3"}, "no size"),
                                   ({"oid": "x"}, "no digest"), ({"lfs": {"oid": "0" * 64, "size": 4}}, "two sizes"),
                                   ({"lfs": {"oid": "0" * 63 + "G", "size": 3}}, "no SHA-256")):
                hub.entries = [{**good, "path": "a.gguf", **change}]
                self.refuses(hub, REPO, reason)
            hub.entries = [dict(good, path="a.gguf")] * 2
            self.refuses(hub, REPO, "occurs twice")
            self.assertFalse(os.path.exists(self.to))

    def test_a_file_that_does_not_fit_is_not_begun(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(5000)})}) as hub:
            hub.entries = [{"type": "file", "path": "a.gguf", "size": 1 << 44, "lfs": {"oid": "0" * 64, "size": 1 << 44}}]
            self.refuses(hub, REPO, "MiB are free: make room")
            self.assertFalse(hub.asked("resolve"))

    def test_a_list_without_an_end_ends(self):
        with Hub({REPO: Repo({"a.gguf": bytes_of(5000)})}) as hub:
            link = {"Link": '<https://x/api?cursor=1>; rel="next"'}
            hub.fail("hub/api/.*/tree", *[Fault(body=b"[]", headers=link)] * 1100)
            self.refuses(hub, REPO, "more than 1000 pages")


class Usage(PullCase):
    def test_mistakes_are_told_before_anything_is_asked(self):
        for spec, reason in (("owner/name", "expected hf:OWNER/NAME"), ("hf:name", "no repository of a hub"), ("hf:a/b/c", "no repository"),
                             ("hf:../x", "no repository"), ("hf:a/b@", "what follows the @"), ("hf:a/b@..", "what follows the @"),
                             ("hf:a/b:", "what follows the :"), ("hf:a/b:../x", "what follows the :")):
            with self.subTest(spec):
                self.fails(2, reason, "pull", spec, env=self.env())
        self.fails(2, "not both", "pull", "hf:a/b@c", "--revision", "d", env=self.env())
        self.fails(2, "--revision", "pull", "hf:a/b", "--revision", "a b", env=self.env())
        self.fails(2, "where to?", "pull", "hf:a/b", env=self.env(HOME=""))
        for url in ("ftp://x", "x", "http://u:p@x/", "http://x/?y"):
            self.fails(1, "the hub's address", "pull", "hf:a/b", "--to", self.to, "--endpoint", url, env=self.env())


if __name__ == "__main__":
    main()
