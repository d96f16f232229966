#!/usr/bin/env python3
"""Compare the tokenizers of Hugging Face folders with the reference library, on random text.

    compare_folder.py TOOL [-n COUNT] [-s SEED] FOLDER...
    compare_folder.py TOOL [-n COUNT] --also FILE.gguf FOLDER     the same text through a GGUF file

TOOL is the built tokenizer_lines. Needs the `tokenizers` package (and `sentencepiece` for folders that
have only a tokenizer.model). Ids with and without special tokens, and the text of the ids, must be equal. (Known to differ: added
tokens of a byte-level BPE that are stand-ins for bytes, as DeepSeek Coder has; tests/golden/tokenizers/README.md.)
"""
import argparse
import os
import random
import subprocess
import sys

from tokenizers import Tokenizer

WORDS = ("the The THE hello Hello world it's IT'S don't we'll naïve Ångström straße e\u0301 o\u0308 \u1e9b\u0323 I\u0307 İ ı ß ﬁ ﬀ "
         "今天 天气 很好 日本語 カタカナ ｶﾀ 한국어 Привет мир سلام नमस्ते สวัสดี 𝒳𝓎 𠀀 👩‍👩‍👧 👍🏽 🇨🇳 ❤️ 1 12 123 1234567 ½ ² Ⅷ ٣٤ "
         "def main( ): return x**2 // /* */ #include <stdio.h> https://a.b/c?d=1&e=%20 user@example.org $5.00 ₿ © — … “q” «r» '' \"\" "
         "antidisestablishmentarianism SCREAMING_SNAKE camelCaseWord ▁ ▁a ▁▁ ## ##ing Ġ <0x41> [UNK] </s <|").split()
SPACES = [" ", " ", " ", " ", "", "", "  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\u00a0", "\u3000", "\u2028", "\x0b", "\x85", "\u200b"]
RANGES = [(0, 0x80), (0x20, 0x7f), (0x80, 0x250), (0x250, 0x600), (0x600, 0x1000), (0x1000, 0x2000), (0x2000, 0x2c00), (0x2c00, 0x3400),
          (0x3400, 0xa000), (0xa000, 0xd800), (0xe000, 0x10000), (0x10000, 0x20000), (0x20000, 0x32000), (0xe0000, 0xe0200)]


def random_text(rng, added):
    parts = []
    for _ in range(rng.randint(1, 12)):
        kind = rng.random()
        if kind < 0.55:
            parts.append(rng.choice(WORDS))
        elif kind < 0.75:
            first, last = rng.choice(RANGES)
            parts.append("".join(chr(rng.randrange(first, last)) for _ in range(rng.randint(1, 6))))
        elif kind < 0.87:
            parts.append(rng.choice("ab cd e=-*.,!? \n01ZéÉ好") * rng.randint(1, 24))
        elif added:
            parts.append(rng.choice(added))
        parts.append(rng.choice(SPACES))
    return "".join(parts)


class Ours:
    def __init__(self, tool, model):
        self.p = subprocess.Popen([tool, model], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def ask(self, line):
        self.p.stdin.write(line + "\n")
        self.p.stdin.flush()
        answer = self.p.stdout.readline()
        if not answer:
            sys.exit("tokenizer_lines gave up")
        return answer.strip()

    def encode(self, text, flags):
        return [int(x) for x in self.ask(f"e {flags} {text.encode().hex()}").split()]

    def decode(self, ids, show):
        return bytes.fromhex(self.ask(f"d 1 {int(show)} " + " ".join(map(str, ids)))).decode()


class Reference:
    """The library on tokenizer.json."""

    def __init__(self, folder):
        self.t = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        self.t.no_padding()
        self.t.no_truncation()
        self.added = [t.content for t in self.t.get_added_tokens_decoder().values()]

    def encode(self, text, flags):
        self.t.encode_special_tokens = not flags & 2
        return self.t.encode(text, add_special_tokens=bool(flags & 1)).ids

    def decode(self, ids, show):
        return self.t.decode(ids, skip_special_tokens=not show)


class SentencePiece:
    """The library on tokenizer.model; it knows no control tokens in text."""

    def __init__(self, folder):
        import sentencepiece
        self.t = sentencepiece.SentencePieceProcessor(model_file=os.path.join(folder, "tokenizer.model"))
        self.added = [self.t.id_to_piece(i) for i in range(self.t.vocab_size()) if not self.t.is_control(i) and i < 400]

    def encode(self, text, flags):
        return ([self.t.bos_id()] if flags & 1 and self.t.bos_id() >= 0 else []) + self.t.encode(text)

    def decode(self, ids, show):
        return self.t.decode(ids)


def compare(name, ours, theirs, texts, all_flags, shows):
    wrong = n = 0
    for text in texts:
        for flags in all_flags:
            got, want = ours.encode(text, flags), theirs.encode(text, flags)
            n += 1
            if got != want:
                wrong += 1
                if wrong <= 5:
                    at = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                    print(f"  {text!r} flags {flags} from id {at}:\n    got  {got[at:at + 12]}\n    want {want[at:at + 12]}")
        ids = theirs.encode(text, all_flags[-1])
        for show in shows:
            got, want = ours.decode(ids, show), theirs.decode(ids, show)
            n += 1
            if got != want:
                wrong += 1
                if wrong <= 5:
                    print(f"  decoding {ids} show {show}:\n    got  {got!r}\n    want {want!r}")
    print(f"{name}: {len(texts)} texts, {n} comparisons, {wrong} differ", flush=True)
    return wrong


def main():
    a = argparse.ArgumentParser()
    a.add_argument("tool")
    a.add_argument("folders", nargs="+")
    a.add_argument("-n", type=int, default=1000)
    a.add_argument("-s", type=int, default=1)
    a.add_argument("--also")
    args = a.parse_args()
    wrong = 0
    for folder in args.folders:
        json = os.path.exists(os.path.join(folder, "tokenizer.json"))
        theirs = Reference(folder) if json else SentencePiece(folder)
        rng = random.Random(args.s)
        texts = [random_text(rng, theirs.added) for _ in range(args.n)]
        ours = Ours(args.tool, folder)
        wrong += compare(os.path.basename(os.path.normpath(folder)), ours, theirs, texts, (0, 1, 2, 3) if json else (0, 1),
                         (True, False) if json else (False,))
        if args.also:
            wrong += compare(args.also, ours, Ours(args.tool, args.also), texts, (0, 1, 2, 3), (True, False))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
