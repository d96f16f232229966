#!/usr/bin/env python3
"""Write what the `tokenizers` library says of hard texts: the goldens of the tokenizer tests.

    make_goldens.py                  words.txt, and KIND.gguf, KIND.txt and KIND/ of the small vocabularies
    make_goldens.py FILE.gguf NAME   NAME.txt for the vocabulary of a real model

words.txt holds the words of every pre-tokenizer: a line `text HEX` and, for each, lines `NAME
LENGTHS` with a character a word: its length in bytes, 1-9 a-z A-Z for 1 to 61, `(n)` for longer ones.

NAME.txt holds ids: `text HEX`, then `ids FLAGS ID...` with flags 2 (control tokens in the text are
recognised), 0 (they are not) and 3 (and BOS is added) where they differ from 2; `shown HEX` is the
decoded text where it is not the input, `plain HEX` the same without special tokens where that
differs. A text that is no valid UTF-8 counts as its repaired form.

KIND/tokenizer.json is the same vocabulary as a Hugging Face folder has it.

Needs the Python packages tokenizers and numpy. The vocabularies are those of ../models, but for bert's.
"""
import json
import os
import random
import re
import struct
import sys

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "models"))
sys.dont_write_bytecode = True

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,  # noqa: E402
                        pre_tokenizers, processors)

import gguf_file as gf  # noqa: E402

TEXTS = [
    # --- spaces and line ends
    "", " ", "  ", "   ", "        ", "\t", "\t\t", " \t ", "\n", "\n\n", "\n\n\n\n", "\r", "\r\n", "\r\n\r\n", " \n", "\n ", " \n \n  \n",
    "a\r\nb\rc\n", "   leading", "trailing   ", "two  spaces   three    four", "\tindented\n\t\tmore\n", "end\n", "end \n\n start",
    "if (a) {\r\n    return b;\r\n}\r\n", "x\u00a0y\u00a0\u00a0z", "全角\u3000空白", "a\u200bb\u200d\u2060c", "\ufeffBOM first", "l1\u2028l2\u2029l3\u0085l4\u000bl5\u000cl6",
    # --- digits
    "1", "12", "123", "1234", "12345", "1234567890", "0x1F 1e-10 3.14159 1,000,000 -42 +7", "2024-02-29T23:59:59Z", "v1.2.3-rc4", "a1b22c333d4444",
    "٣٤٥ ６７８ ⅧⅨ ½¾ x²y³ ①②", "१२३४५", "9" * 50,
    # --- letters and contractions
    "I'm you're HE'S don't I'LL we'Ve 'twas rock'n'roll O'Neil's", "it’s ‘quoted’ “double” l’été", "'s 't 're 'll'd'S'RE", "CamelCaseWord snake_case_word kebab-case SCREAMING",
    "Hello, world!", "Hello World", "hello", " hello", "Hello", "HELLO", "naïve façade Ångström Œuvre ß ẞ", "İstanbul ıI iİ", "ﬁnance ﬂow ﬀ ĳ Ǆ", "\u212a \u212b \u2126 \u2103 \u2116 \u2122 \uf900 \u2f00",
    "e\u0301 vs \u00e9, o\u0308 vs \u00f6, A\u030a vs \u00c5, \u1e9b\u0323", "q\u0307\u0323 q\u0323\u0307",
    # --- other scripts
    "今天天气很好，我们一起去公园。", "打开设置，点击“网络”，返回主屏幕！", "日本語のテキスト、カタカナとひらがな。ﾊﾝｶｸ", "한국어 문장입니다. \u1112\u1161\u11ab\u1100\u1173\u11af",
    "Привет, мир! Съешь ещё этих мягких булок", "Ελληνικά: αβγ ΑΒΓ ς", "שלום עולם", "مرحبا بالعالم، كيف حالك؟", "नमस्ते दुनिया क्षत्रिय", "สวัสดีชาวโลก", "Tiếng Việt: nghiêng ngả", "ქართული ენა", "አማርኛ",
    "𝒳𝓎𝓏 𝔘𝔫𝔦 𠀀𠀁 𐍈", "नि\u200dलि \u0915\u094d\u200d\u0937",
    # --- emoji
    "🌍", "👩‍👩‍👧‍👦 family", "👍🏽👍🏿", "🇨🇳🇩🇪🇺🇸", "1️⃣#️⃣", "❤️ vs ❤", "🏳️‍🌈🏴‍☠️", "🤷🏻‍♀️ shrug 😀😃", "🚀 (one) 😶‍🌫️ (joined) ✅ 🦙🦙",
    # --- punctuation and code
    "...!!!???", "a.b,c;d:e!f?g", "«quoted» „low“ —dash– …", "~`!@#$%^&*()_+-={}[]|\\:;\"'<>,.?/", "'''''````\"\"\"..... !!!! ????", "-- --- ---- ===== ____ ****",
    "def f(x):\n    \"\"\"Doc.\"\"\"\n    return x**2  # comment\n", "for (int i = 0; i < n; ++i) {\n\tsum += a[i];\n}\n", "{\"key\": [1, 2.5, null, true], \"π\": \"\\u03c0\\n\"}",
    "https://example.org/path?a=1&b=%20c#frag user@example.org", "$\\frac{1}{2}\\sum_{i=0}^{n} x_i$", "SGVsbG8gV29ybGQh+/==", "<div class=\"a\">&nbsp;</div>\n<!-- c -->",
    "do(action=\"Tap\", element=[499,951])", "finish(message=\"Fertig: 完成\")", "<think>先看屏幕。</think><answer>do(action=\"Back\")</answer>",
    # --- special tokens inside text
    "<|endoftext|>", "a<|endoftext|>b", "<|im_start|>user\nhi<|im_end|>\n", "[gMASK]<sop><|user|>\nhi<|assistant|>\n", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>",
    "<s>[INST] hi [/INST]</s>", "<bos><start_of_turn>user\nhi<end_of_turn>\n<start_of_turn>model\n", "[CLS] a [SEP] b [MASK] [PAD] [UNK]", "a <|end|> b <|end|>\n<|end|>c", "<|begin_of_image|><|image|><|end_of_image|>",
    "<|endoftext", "|endoftext|>", "<| endoftext |>", "<|user|", "<unk> <pad>", "  <|user|>  spaces around  <|assistant|>  ", "<tool_call>{\"name\": \"f\"}</tool_call>", "<0x41><0x0A>", "▁under▁score ▁", "##ing", "Ġword Ċ",
    # --- control characters, private use, unassigned, noncharacters
    "a\x00b", "\x01\x02\x1b[0m\x7f", "\ue000\uf8ff", "\ufffd", "\uffff\ufffe", "\U0010fffd", "\u0378",
    # --- long runs
    " " * 33, "\n" * 20, "a" * 70, "ab" * 40, "é" * 40, "好" * 40, "🙂" * 12, "=-" * 30, "Lorem ipsum dolor sit amet, " * 4, "x" * 200 + " y",
]

BYTES = [b"\xff", b"\xfe\xff", b"abc\x80def", b"\xe4\xbd", b"\xe4\xbd\xa0\xe5\xa5", b"\xc0\xaf", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80",
         b"\xf4\x90\x80\x80", b"\xf0\x9f\x98", b"ok \xf0\x28\x8c\xbc end", b"\xc3\x28", b"a\xc3", bytes(range(0x80, 0x90)), b"\xef\xbb\xbf\xff"]

# ---- pre-tokenizers by the value of tokenizer.ggml.pre -------------------------------------------

CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
WHITE = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
A = CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + WHITE
A1 = A.replace("{1,3}", "")
A1_MARKS = A1.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
G = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
LEAD = r"[^\r\n\p{L}\p{N}]?"
CASED = r" ?[^\s\p{L}\p{N}]+[\r\n/]*" + WHITE
T = f"{LEAD}{UPPER}*{LOWER}+|{LEAD}{UPPER}+{LOWER}*|" + r"\p{N}|" + CASED
O = (f"{LEAD}{UPPER}*{LOWER}+{CONTRACTION}?|{LEAD}{UPPER}+{LOWER}*{CONTRACTION}?|" + r"\p{N}{1,3}|" + CASED)
D = (r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
     r"| ?[\p{P}\p{S}]+[\r\n]*" + WHITE)
CJK = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5"
    "\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba"
    "\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45"
    "\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe"
    "\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102"
    "\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139"
    "\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
STEPS = {
    "llama-bpe": [A], "qwen2": [A1], "qwen35": [A1_MARKS], "gpt-2": [G], "smollm": [r"\p{N}", G], "tekken": [T],
    "gpt-4o": [O], "deepseek-v3": [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", D],
    "deepseek-llm": [r"[\r\n]", "\\s?[" + LETTERS + "]+",
                     "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$", CJK, r"\p{N}"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CJK, r"\p{N}"],
    "falcon": [r"[\p{P}\$\+<=>\^~\|`]+", G, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", G, r"\p{N}+", "[0-9][0-9][0-9]"],
}
SAME = {"llama3": "llama-bpe", "glm4": "llama-bpe", "deepseek-r1-qwen": "qwen2", "starcoder": "smollm"}
NFC = ("qwen2", "deepseek-r1-qwen")
IGNORE_MERGES = ("llama-bpe", "llama3", "glm4", "tekken")


def splitter(pre):
    return [pre_tokenizers.Split(Regex(p), "isolated") for p in STEPS[SAME.get(pre, pre)]]


# ---- random texts --------------------------------------------------------------------------------

RANGES = [(0x61, 0x7B)] * 6 + [(0x41, 0x5B)] * 3 + [(0x30, 0x3A)] * 2 + [(0x20, 0x7F)] * 3 + [
    (0xA0, 0x250), (0x250, 0x370), (0x300, 0x370), (0x370, 0x600), (0x600, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2500),
    (0x2500, 0x3000), (0x3000, 0x3130), (0x4E00, 0xA000), (0xAC00, 0xD7A4), (0xF900, 0xFFFE), (0x10000, 0x20000),
    (0x20000, 0x110000)]
PARTS = ["'s", "'S", "'\u017f", "'LL", "'ve", "n't", " the", " The", "  ", "   ", "\t", "\n", "\r\n", " \n", "\u00a0", "\u3000",
         "\u2028", "\u0085", "...", "://", "e\u0301", "\u0301", "A\u030a", "\u093c", "\u01c5", "\u02b0", "\u00aa", "\u2167",
         "\u00bd", "123", "1234567", "\u65e5\u672c", "\u30ab\u30bf", "\ud55c\uad6d", "HTTPServer", "naïve", "don't", "!/", "`", "$"]


def random_texts(n):
    rng = random.Random(7)
    for _ in range(n):
        text = ""
        for _ in range(rng.choice([2, 4, 8, 16])):
            if rng.random() < 0.5:
                text += rng.choice(PARTS)
            else:
                text += chr(rng.randrange(*rng.choice(RANGES))) * rng.choice([1, 1, 1, 2, 5])
        yield text


# ---- tokenizers from a vocabulary ----------------------------------------------------------------

def spm_merges(tokens, scores, types):
    """Every split of a piece into two pieces, best score first."""
    ids = {t: i for i, t in enumerate(tokens)}
    merges = []
    for t, s, kind in zip(tokens, scores, types):
        if kind == 1 and len(t) > 1:
            local = [(t[:k], t[k:]) for k in range(1, len(t)) if t[:k] in ids and t[k:] in ids]
            local.sort(key=lambda m: (ids[m[0]], ids[m[1]]))
            merges += [(a, b, s) for a, b in local]
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return ids, [(a, b) for a, b, _ in merges]


def build(v):
    """A Tokenizer from a vocabulary as ../models/tokenizers/KIND.json describes it."""
    tokens, types = v["tokens"], v["types"]
    if v["model"] == "gpt2":
        merges = []
        for m in v["merges"]:
            k = m.index(" ", 1)
            merges.append((m[:k], m[k + 1:]))
        tok = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(tokens)}, merges=merges,
                                   ignore_merges=v["pre"] in IGNORE_MERGES))
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            splitter(v["pre"]) + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        tok.decoder = decoders.ByteLevel()
        if v["pre"] in NFC:
            tok.normalizer = normalizers.NFC()
    else:
        ids, merges = spm_merges(tokens, v["scores"], types)
        tok = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token=tokens[v["ids"].get("unk", 0)], fuse_unk=True,
                                   byte_fallback=True))
        steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        tok.normalizer = normalizers.Replace(" ", "▁")
        if v["add_space_prefix"]:
            tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), tok.normalizer])
            steps.append(decoders.Strip(" ", 1, 0))
        tok.decoder = decoders.Sequence(steps)
    tok.add_tokens([AddedToken(t, normalized=False) for t, ty in zip(tokens, types)
                    if ty == 4 and not re.fullmatch(r"\[PAD\d+\]", t)])
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True) for t, ty in zip(tokens, types) if ty in (2, 3)])
    if v["add_bos"]:
        bos = v["ids"]["bos"]
        tok.post_processor = processors.TemplateProcessing(
            single=f"{tokens[bos]} $A", pair=f"{tokens[bos]} $A $B:1", special_tokens=[(tokens[bos], bos)])
    return tok


def bert():
    """A small WordPiece vocabulary: characters alone and inside words, a few words and pieces."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    chars = "".join(map(chr, range(0x21, 0x7f))) + "éßſœàçабвеимнопрстяאבגשלוםاحبلمरदुनियสวัด今天很好们公园日本語のキスト한국어「」。，！“”…–—©€"
    chars = list(dict.fromkeys(chars.lower()))
    words = ("the hello world and is it don re ll ve quick model token def return main for int class action tap element "
             "finish message image user assistant begin end under score lorem ipsum dolor sit amet https example org "
             "привет мир naive facade angstrom camel case word snake hello12 123 2024 ##s ##ing ##er ##ed ##ly ##o ##rld "
             "##case ##12 ##34 ##ive ##ое ##ет ##ir ##a ##b ##ab ##bab ##天 ##본").split()
    tokens = list(dict.fromkeys(special + chars + ["##" + c for c in chars if c.isalnum()] + words))
    tok = Tokenizer(models.WordPiece(vocab={t: i for i, t in enumerate(tokens)}, unk_token="[UNK]", max_input_chars_per_word=100))
    tok.normalizer = normalizers.BertNormalizer(lowercase=True)
    tok.pre_tokenizer, tok.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece("##", cleanup=True)
    tok.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in special])
    tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                       special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    marked = [t if t in special else t[2:] if t.startswith("##") else "▁" + t for t in tokens]
    return tok, {"model": "bert", "pre": "default", "tokens": marked, "types": [3 if t in special else 1 for t in tokens],
                 "add_bos": True, "ids": {"pad": 0, "unk": 1, "cls": 2, "seperator": 3, "mask": 4}}


def read_vocabulary(path):
    """The same description from the keys of a GGUF file."""
    with open(path, "rb") as f:
        def scalar(kind):
            fmt = gf.SCALARS[kind]
            return struct.unpack(fmt, f.read(struct.calcsize(fmt)))[0]

        def value(kind):
            if kind == gf.STR:
                return f.read(scalar(10)).decode()
            if kind == gf.ARR:
                inner, n = scalar(4), scalar(10)
                return [value(inner) for _ in range(n)]
            return scalar(kind)

        f.read(16)
        n_keys = scalar(10)
        keys = {value(gf.STR).removeprefix("tokenizer.ggml."): value(scalar(4)) for _ in range(n_keys)}
    spm, pre = keys["model"] == "llama", keys.get("pre", "default")
    return {"model": keys["model"], "pre": pre, "tokens": keys["tokens"], "types": keys["token_type"],
            "merges": keys.get("merges"), "scores": keys.get("scores"),
            "add_bos": keys.get("add_bos_token", spm or pre in ("llama-bpe", "tekken")),
            "add_space_prefix": keys.get("add_space_prefix", True),
            "ids": {k: keys[g] for k, g in (("bos", "bos_token_id"), ("unk", "unknown_token_id")) if g in keys}}


# ---- writing -------------------------------------------------------------------------------------

def lengths(words):
    digits = "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    sizes = [len(w.encode()) for w in words]
    return "".join(digits[n - 1] if n <= len(digits) else f"({n})" for n in sizes)


def write_words():
    split = {pre: pre_tokenizers.Sequence(splitter(pre)) for pre in STEPS}
    with open(os.path.join(HERE, "words.txt"), "w") as f:
        for text in [t for t in TEXTS if t] + list(random_texts(150)):
            f.write(f"text {text.encode().hex()}\n")
            for pre, s in split.items():
                f.write(f"{pre} {lengths(w for w, _ in s.pre_tokenize_str(text))}\n")


def cases(tok, longest):
    for item in TEXTS + BYTES:
        data = item if isinstance(item, bytes) else item.encode()
        if len(data) > longest:
            continue
        text = data.decode("utf-8", errors="replace")
        ids = tok.encode(text, add_special_tokens=False).ids
        full = tok.encode(text).ids
        tok.encode_special_tokens = True
        without = tok.encode(text, add_special_tokens=False).ids
        tok.encode_special_tokens = False
        yield f"text {data.hex()}"
        for flags, got in ((2, ids), (0, without), (3, full)):
            if flags == 2 or got != ids:
                yield " ".join(["ids", str(flags), *map(str, got)])
        shown, plain = tok.decode(ids, skip_special_tokens=False), tok.decode(ids)
        if shown != text:
            yield f"shown {shown.encode().hex()}"
        if plain != shown:
            yield f"plain {plain.encode().hex()}"


def write_cases(name, tok, longest):
    with open(os.path.join(HERE, name + ".txt"), "w") as f:
        f.writelines(line.rstrip() + "\n" for line in cases(tok, longest))


def write_folder(name, tok):
    os.makedirs(os.path.join(HERE, name), exist_ok=True)
    tok.save(os.path.join(HERE, name, "tokenizer.json"), pretty=False)


def write_metaspace(v):
    """Llama 2 as newer files spell it: one ▁ at the start of the text, and none if a space is there."""
    tok = build(v)
    tok.normalizer = None
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="first", split=False)
    tok.add_special_tokens([AddedToken("<|end|>", normalized=False, special=True, lstrip=True, rstrip=True)])
    write_folder("metaspace", tok)
    write_cases("metaspace", tok, 48)


def write_gguf(name, v):
    def key(k, kind, value):
        return ("tokenizer.ggml." + k, kind, value)

    keys = [key("model", gf.STR, v["model"]), key("pre", gf.STR, v["pre"]), key("tokens", (gf.ARR, gf.STR), v["tokens"]),
            key("token_type", (gf.ARR, gf.I32), v["types"]), key("add_bos_token", gf.BOOL, v["add_bos"])]
    if "merges" in v:
        keys.append(key("merges", (gf.ARR, gf.STR), v["merges"]))
    elif "scores" in v:
        keys.append(key("scores", (gf.ARR, gf.F32), v["scores"]))
        keys.append(key("add_space_prefix", gf.BOOL, v["add_space_prefix"]))
    names = {"unk": "unknown", "pad": "padding"}
    keys += [key(f"{names.get(k, k)}_token_id", gf.U32, i) for k, i in v["ids"].items()]
    with open(os.path.join(HERE, name + ".gguf"), "wb") as f:
        f.write(gf.encode(keys, []))


def main():
    if len(sys.argv) == 3:
        write_cases(sys.argv[2], build(read_vocabulary(sys.argv[1])), 10000)
        return
    write_words()
    for kind in ("glm4", "llama3", "qwen2", "llama2", "gemma"):
        with open(os.path.join(HERE, "..", "models", "tokenizers", kind + ".json"), encoding="utf-8") as f:
            v = json.load(f)
        write_gguf(kind, v)
        write_cases(kind, build(v), 48)
        write_folder(kind, build(v))
        if kind == "llama2":
            write_metaspace(v)
    tok, v = bert()
    write_gguf("bert", v)
    write_cases("bert", tok, 48)
    write_folder("bert", tok)


if __name__ == "__main__":
    main()
