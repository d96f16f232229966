#!/usr/bin/env python3
"""Prepared images under `autoglm serve`, in its sandbox: the second start maps what the first one packed, answers are
the same, and whatever is wrong with the folder costs speed only."""
import os

from server import BINARY, CHAT, Case, Server, main, run
from cli import gguf

WIDTH, WIDE, VOCAB = 512, 2048, 512
ASK = {"prompt": [[7, 8, 9, 10, 11, 12]], "max_tokens": 8, "temperature": 0, "logprobs": 5}
F32, Q8_0 = 0, 8


def weights(rows, columns, seed):
    """Q8_0 blocks whose integers go round: small numbers, other ones for each seed."""
    some = b"".join(b"\x00\x1c" + bytes((i * 37 + j * 101 + seed * 13) % 255 for j in range(32)) for i in range(251))
    n = rows * columns // 32 * 34
    return (some * (n // len(some) + 1))[:n]


def large_model():
    """A GGUF file whose weights are worth an image: four layers, 5 MiB each, and a vocabulary of bytes."""
    tensors, ones = [], b"\x00\x00\x80\x3f" * WIDTH

    def matrix(name, rows, columns):
        tensors.append((name + ".weight", (columns, rows), Q8_0, weights(rows, columns, len(tensors))))

    matrix("token_embd", VOCAB, WIDTH)
    tensors.append(("output_norm.weight", (WIDTH,), F32, ones))
    for layer in range(4):
        p = f"blk.{layer}."
        for name in "attn_norm", "ffn_norm":
            tensors.append((p + name + ".weight", (WIDTH,), F32, ones))
        for name in "attn_q", "attn_k", "attn_v", "attn_output":
            matrix(p + name, WIDTH, WIDTH)
        for name, rows, columns in ("ffn_gate", WIDE, WIDTH), ("ffn_up", WIDE, WIDTH), ("ffn_down", WIDTH, WIDE):
            matrix(p + name, rows, columns)
    stand_ins, extra = [], 0        # GPT-2's printable characters for bytes
    for b in range(256):
        printable = 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b <= 255
        stand_ins.append(chr(b if printable else 256 + extra))
        extra += not printable
    tokens = stand_ins + [f"t{i}" for i in range(VOCAB - 256)]
    a = "llama."
    keys = [("general.architecture", "llama"), ("general.name", "large"), (a + "block_count", 4),
            (a + "context_length", 512), (a + "embedding_length", WIDTH), (a + "feed_forward_length", WIDE),
            (a + "attention.head_count", 8), (a + "attention.head_count_kv", 8),
            (a + "attention.layer_norm_rms_epsilon", 1e-5), (a + "rope.dimension_count", 64),
            (a + "vocab_size", VOCAB), ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "gpt-2"),
            ("tokenizer.ggml.tokens", tokens), ("tokenizer.ggml.merges", ["t 1"]),
            ("tokenizer.ggml.bos_token_id", 0), ("tokenizer.ggml.eos_token_id", 1)]
    return gguf(keys, tensors)


class Image(Case):
    def setUp(self):
        super().setUp()
        self.model_file = self.write("large.gguf", large_model())
        self.images = self.path("cache/images")

    def answer(self, *args, expect=(), never=(), path=None):
        """What a server with these options answers; it must have said and not said these. It stops in order."""
        with Server(path or self.model_file, "-v", *args) as server:
            found = server.post("/v1/completions", ASK)
            self.assertEqual(found.status, 200, found.body)
            for text in expect:
                server.until(text)
            metrics = server.get("/metrics").body.decode()
            weights_held, = [float(x.split()[-1]) for x in metrics.splitlines() if x.startswith('autoglm_memory_bytes{') and '"weights"' in x]
            self.assertGreater(weights_held, 16 << 20)      # mapped ones count as well
            self.assertEqual(server.stop(), 0)
            for text in never:
                self.assertNotIn(text, server.said)
        choice = found.json()["choices"][0]
        return choice["text"], choice["logprobs"]

    def files(self):
        return sorted(os.listdir(self.images)) if os.path.isdir(self.images) else []

    def test_the_second_start_maps_what_the_first_packed(self):
        plain = self.answer("--image-cache", "off", never=["mapped from", "is kept"])
        on = ("--image-cache", self.images)
        self.assertEqual(self.answer(*on, expect=["is kept for the next start"], never=["mapped from"]), plain)
        image, = self.files()
        self.assertEqual(os.stat(self.images).st_mode & 0o777, 0o700)
        self.assertEqual(self.answer(*on, expect=["mapped from"], never=["is kept"]), plain)
        # two at once share it
        with Server(self.model_file, "-v", *on) as one, Server(self.model_file, "-v", *on) as other:
            one.until("mapped from")
            other.until("mapped from")
            for server in one, other:
                choice = server.post("/v1/completions", ASK).json()["choices"][0]
                self.assertEqual((choice["text"], choice["logprobs"]), plain)
        # damaged: told, packed, and written again
        with open(os.path.join(self.images, image), "r+b") as f:
            f.seek(12345678)
            byte = f.read(1)
            f.seek(12345678)
            f.write(bytes([byte[0] ^ 255]))
        self.assertEqual(self.answer(*on, expect=["contents are damaged", "is kept"], never=["mapped from"]), plain)
        self.assertEqual(self.files(), [image])
        self.assertEqual(self.answer(*on, expect=["mapped from"]), plain)
        # other kernels, another model under the same name
        self.answer(*on, "--isa", "ref", expect=["is kept"], never=["mapped from"])
        self.assertEqual(len(self.files()), 2)
        with open(self.model_file, "r+b") as f:
            f.seek(-5000000, os.SEEK_END)
            f.write(b"\x00\x1c" + bytes(range(32)))
        self.answer(*on, expect=["is kept"], never=["mapped from"])
        self.assertEqual(len(self.files()), 3)

    def test_the_usual_place_is_the_users_cache(self):
        env = {"XDG_CACHE_HOME": self.path("cache")}
        server = Server.__new__(Server)
        server.begin([BINARY, "serve", "-m", self.model_file, "--port", "0", "-v"], env=env)
        with server:
            server.until("is kept for the next start")
            self.assertEqual(server.stop(), 0)
        done = run("run", "-m", self.model_file, "-n", "1", "-v", "--temp", "0", "x", env=env)
        self.assertEqual(done.status, 0, done.err)
        self.assertIn("mapped from " + self.path("cache/autoglm/images"), done.err)

    def test_a_full_disk_costs_speed_only(self):
        server = Server.__new__(Server)
        server.begin(["/bin/sh", "-c", 'ulimit -f 2048; exec "$@"', "sh", BINARY, "serve", "-m", self.model_file,
                      "--port", "0", "--image-cache", self.images])
        with server:
            server.until("no prepared image is kept")
            self.assertEqual(server.post("/v1/completions", ASK).status, 200)
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.files(), [])

    def test_a_folder_that_cannot_be_made_costs_speed_only(self):
        self.write("cache", "a file")
        self.answer("--image-cache", self.images, expect=["no prepared image is kept"])

    def test_small_models_are_packed(self):
        with Server(CHAT, "-v", "--image-cache", self.images) as server:
            server.until("is ready after")
            self.assertEqual(server.stop(), 0)
        self.assertEqual(self.files(), [])


if __name__ == "__main__":
    main()
