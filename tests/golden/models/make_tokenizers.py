#!/usr/bin/env python3
"""Write tokenizers/KIND.json: the vocabularies of the tiny models, as GGUF files hold them.

    make_tokenizers.py

They have the structure of the published tokenizers but are trained on a few built-in sentences. Needs the Python
package `tokenizers`; the files are committed, so that making the models does not.
"""
import json
import os
import re

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,  # noqa: E402
                        pre_tokenizers, processors)

# ---- pre-tokenizer patterns exactly as the published tokenizer.json files spell them ----
RE_LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
             r"|\s*[\r\n]+|\s+(?!\S)|\s+")
RE_GLM4 = RE_LLAMA3          # GLM-4 uses the same expression
RE_QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
            r"|\s*[\r\n]+|\s+(?!\S)|\s+")
RE_TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
             r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
             r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
CORPUS = [
    "The quick brown fox jumps over the lazy dog, and then the dog sleeps under the old tree.",
    "Open the settings, tap on the network entry and turn the switch on; then go back to the home screen.",
    "A model reads tokens and predicts the next token. The next token is added to the context.",
    "It's what they're saying: we've seen it, I'm sure, she'll agree that he'd rather stay.",
    "In 2024 there were 365 days, 12 months and 1234567 seconds of music; 3.14159 is close to pi.",
    "Hello world, hello World: 123 456 789 000 111 123 456 789 000 111, 2024 2025 2026; Hello, hello world!",
    "def main(argc, argv):\n    for i in range(10):\n        print(i, argv[i])\n    return 0\n",
    "今天天气很好，我们一起去公园散步，然后打开手机看看地图。打开设置，点击网络，返回主屏幕。",
    "これは日本語の文章です。トークンを予測するモデルを作ります。",
    "Привет, мир! Сегодня мы читаем книгу и пишем код на языке Си.",
    "Ça va très bien, merci; l'été dernier à la plage était déjà loin. Über Äpfel läßt sich reden.",
    "안녕하세요, 오늘은 날씨가 좋네요. مرحبا بالعالم، كيف حالك اليوم؟ नमस्ते दुनिया",
    "Tap Swipe Type Launch Back Home Wait Note Call_API Interact Take_over finish(message=\"done\")",
    "do(action=\"Tap\", element=[500,500]) do(action=\"Type\", text=\"hello world\") <think> </think>",
]

GLM_SPECIAL = ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
               "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>",
               "<|begin_of_video|>", "<|end_of_video|>", "<|image|>", "<|video|>"]
GLM_PLAIN = ["<think>", "</think>", "<answer>", "</answer>", "<tool_call>", "</tool_call>"]   # "special": false
LLAMA3_SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>",
                  "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]
QWEN_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
QWEN_PLAIN = ["<tool_call>", "</tool_call>", "<think>", "</think>"]


def _learn_merges(words, count, prefix=""):
    """Plain BPE training, fully deterministic (the library's trainers break ties by hash order).

    words: symbol lists.  Returns the merges; `prefix` ("##") is dropped from a right half when joining.
    """
    seen = {}
    for w in words:
        seen[tuple(w)] = seen.get(tuple(w), 0) + 1
    words = [(list(w), n) for w, n in seen.items()]
    merges = []
    while len(merges) < count:
        pairs = {}
        for w, n in words:
            for p in zip(w, w[1:]):
                pairs[p] = pairs.get(p, 0) + n
        best = max(pairs.items(), key=lambda x: (x[1], x[0]), default=None)
        if best is None or best[1] < 2:
            break
        (l, r), _ = best
        merges.append((l, r))
        joined = l + r[len(prefix):]
        for w, _ in words:
            i = 0
            while i < len(w) - 1:
                if w[i] == l and w[i + 1] == r:
                    w[i:i + 2] = [joined]
                i += 1
    return merges


def _byte_bpe(pre, size, normalizer=None, ignore_merges=False):
    """Byte-level BPE with `size` ordinary tokens: 256 bytes and size - 256 merges."""
    words = [w for c in CORPUS for w, _ in pre.pre_tokenize_str(normalizer.normalize_str(c) if normalizer else c)]
    merges = _learn_merges(words, size - 256)
    vocab = sorted(pre_tokenizers.ByteLevel.alphabet()) + [l + r for l, r in merges]
    tok = Tokenizer(models.BPE(vocab={t: i for i, t in enumerate(dict.fromkeys(vocab))}, merges=merges,
                               ignore_merges=ignore_merges))
    if normalizer:
        tok.normalizer = normalizer
    tok.pre_tokenizer = pre
    tok.decoder = decoders.ByteLevel()
    return tok


def _split_then_bytes(*patterns):
    steps = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    return pre_tokenizers.Sequence(steps + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _spm_vocab(size, head, gemma):
    """A SentencePiece-like vocabulary: head tokens, 256 byte tokens, learned pieces; scores fall with rank."""
    words = [w for c in CORPUS for w in re.findall("▁?[^▁\\n]+|▁", ("" if gemma else "▁") + c.replace(" ", "▁"))]
    count = {}
    for ch in "".join(words):
        count[ch] = count.get(ch, 0) + 1
    chars = [ch for ch, n in sorted(count.items(), key=lambda x: (-x[1], x[0])) if n > 2]   # rare ones become bytes
    words = [w for w in words if all(ch in chars for ch in w)]
    merged = [l + r for l, r in _learn_merges(words, size - len(head) - 256 - len(chars) - 4)]
    if gemma:
        merged += [t for t in ("\n", "\n\n", "▁▁", "▁▁▁▁") if t not in merged]
    pieces = list(dict.fromkeys(merged)) + chars
    vocab = list(head) + [f"<0x{b:02X}>" for b in range(256)] + pieces
    scores = [0.0] * len(head) + [0.0] * 256 + [-float(i) for i in range(len(pieces))]
    ids = {t: i for i, t in enumerate(vocab)}
    # every split of a piece into two known pieces is a merge, best score first
    merges = []
    for t, s in zip(vocab, scores):
        if t in head or (t.startswith("<0x") and t.endswith(">")):
            continue
        local = [(t[:i], t[i:], s) for i in range(1, len(t)) if t[:i] in ids and t[i:] in ids]
        merges += sorted(local, key=lambda m: (ids[m[0]], ids[m[1]]))
    merges.sort(key=lambda m: (m[2], len(m[0]), len(m[1])), reverse=True)
    return ids, scores, [(a, b) for a, b, _ in merges]


def build(kind):
    """(tokenizers.Tokenizer, {"bos", "eos", "pad", "unk": token or None, "scores", "add_bos"})."""
    size = (512 if kind in ("llama2", "gemma") else 384)
    extra = {"bos": None, "eos": None, "pad": None, "unk": None, "scores": None, "add_bos": False}
    if kind == "glm4":
        tok = _byte_bpe(_split_then_bytes(RE_GLM4), size - 8 - len(GLM_SPECIAL) - len(GLM_PLAIN))
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in GLM_SPECIAL])
        tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in GLM_PLAIN])
        extra.update(eos="<|endoftext|>", pad="<|endoftext|>")
    elif kind == "llama3":
        tok = _byte_bpe(_split_then_bytes(RE_LLAMA3), size - 8 - len(LLAMA3_SPECIAL), ignore_merges=True)
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in LLAMA3_SPECIAL])
        bos = tok.token_to_id("<|begin_of_text|>")
        tok.post_processor = processors.Sequence([
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                          special_tokens=[("<|begin_of_text|>", bos)])])
        extra.update(bos="<|begin_of_text|>", eos="<|eot_id|>", add_bos=True)
    elif kind == "qwen2":
        tok = _byte_bpe(_split_then_bytes(RE_QWEN2), size - 8 - len(QWEN_SPECIAL) - len(QWEN_PLAIN), normalizers.NFC())
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in QWEN_SPECIAL])
        tok.add_tokens([AddedToken(t, special=False, normalized=False) for t in QWEN_PLAIN])
        extra.update(eos="<|im_end|>", pad="<|endoftext|>")
    elif kind == "smollm":
        pre = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
        tok = _byte_bpe(pre, size - 8 - len(QWEN_SPECIAL))
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in QWEN_SPECIAL])
        extra.update(bos="<|im_start|>", eos="<|im_end|>", pad="<|im_end|>", unk="<|endoftext|>")
    elif kind == "tekken":
        tok = _byte_bpe(_split_then_bytes(RE_TEKKEN), size - 12, ignore_merges=True)
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False)
                                for t in ("<s>", "</s>", "[INST]", "[/INST]")])
        extra.update(bos="<s>", eos="</s>", add_bos=True)
        tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1",
                                                           special_tokens=[("<s>", tok.token_to_id("<s>"))])
    elif kind == "llama2":
        head = ["<unk>", "<s>", "</s>"]
        ids, scores, merges = _spm_vocab(size, head, gemma=False)
        tok = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                         decoders.Strip(" ", 1, 0)])
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in head])
        tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1",
                                                           special_tokens=[("<s>", 1)])
        extra.update(bos="<s>", eos="</s>", unk="<unk>", scores=scores, add_bos=True)
    elif kind == "gemma":
        head = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
        ids, scores, merges = _spm_vocab(size, head, gemma=True)
        tok = Tokenizer(models.BPE(vocab=ids, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
        tok.normalizer = normalizers.Replace(" ", "▁")
        tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")   # never fires: spaces are gone by now
        tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in head])
        tok.post_processor = processors.TemplateProcessing(single="<bos> $A", pair="<bos> $A <bos>:1 $B:1",
                                                           special_tokens=[("<bos>", 2)])
        extra.update(bos="<bos>", eos="<eos>", pad="<pad>", unk="<unk>", scores=scores, add_bos=True)
    elif kind == "bert":
        tok = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
        tok.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=None,
                                                    lowercase=True)
        tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tok.decoder = decoders.WordPiece(prefix="##", cleanup=True)
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        words = [w for c in CORPUS for w, _ in tok.pre_tokenizer.pre_tokenize_str(tok.normalizer.normalize_str(c))]
        words = [[w[0]] + ["##" + ch for ch in w[1:]] for w in words]
        count = {}
        for ch in (x for w in words for x in w):
            count[ch] = count.get(ch, 0) + 1
        chars = [ch for ch, n in sorted(count.items(), key=lambda x: (-x[1], x[0]))][:150]
        known = [w for w in words if all(ch in chars for ch in w)]
        merged = [l + r[2:] for l, r in _learn_merges(known, size - len(chars) - 5, "##")]
        vocab = list(dict.fromkeys(special + chars + merged))
        tok.model = models.WordPiece(vocab={t: i for i, t in enumerate(vocab)}, unk_token="[UNK]",
                                     max_input_chars_per_word=100)
        tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
        frame = [(t, tok.token_to_id(t)) for t in ("[CLS]", "[SEP]")]
        tok.post_processor = processors.TemplateProcessing(single="[CLS]:0 $A:0 [SEP]:0",
                                                           pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1", special_tokens=frame)
        extra.update(bos="[CLS]", eos="[SEP]", pad="[PAD]", unk="[UNK]", add_bos=True)
    else:
        raise ValueError(kind)
    assert tok.get_vocab_size() <= size, (kind, tok.get_vocab_size())
    return tok, extra


NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
PRE = {"glm4": "glm4", "llama3": "llama-bpe", "qwen2": "qwen2", "smollm": "smollm", "tekken": "tekken"}
VOCAB = {"llama2": 512, "gemma": 512}


def vocabulary(kind):
    """What the tokenizer.ggml.* keys say. Ids that no token has become [PADn]."""
    tok, extra = build(kind)
    tj = json.loads(tok.to_str())
    ids = dict(tj["model"]["vocab"])
    added = {t["content"]: t for t in tj["added_tokens"]}
    ids.update({content: t["id"] for content, t in added.items()})
    text = {i: t for t, i in ids.items()}
    spm = kind in ("llama2", "gemma")
    tokens, types = [], []
    for i in range(VOCAB.get(kind, 384)):
        t = text.get(i)
        if t is None:
            t, ty = f"[PAD{i}]", UNUSED
        elif kind == "bert" and t not in added:              # words begin with a space that nobody sees
            t, ty = t[2:] if t.startswith("##") else "\u2581" + t, NORMAL
        elif t == "<unk>" and spm:
            ty = UNKNOWN
        elif t in added:
            ty = CONTROL if added[t]["special"] else USER_DEFINED
        else:
            ty = BYTE if re.fullmatch(r"<0x[0-9A-F]{2}>", t) else NORMAL
        tokens.append(t)
        types.append(ty)
    out = {"model": "llama" if spm else "gpt2", "pre": PRE.get(kind, "default"), "add_bos": extra["add_bos"],
           "ids": {k: ids[extra[k]] for k in ("bos", "eos", "unk", "pad") if extra[k]}, "tokens": tokens, "types": types}
    if kind == "bert":
        out["model"], out["pre"] = "bert", "jina-v2-en"
    elif spm:
        out["add_space_prefix"] = kind == "llama2"
        out["scores"] = extra["scores"] + [-1e4] * (len(tokens) - len(extra["scores"]))
    else:
        out["merges"] = [m if isinstance(m, str) else " ".join(m) for m in tj["model"]["merges"]]
    if kind == "glm4":
        out["ids"].update(eot=ids["<|user|>"], eom=ids["<|observation|>"], unk=ids["<|endoftext|>"])
    return out


def main():
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tokenizers")
    os.makedirs(os.path.join(here, "hf"), exist_ok=True)
    for kind in ("glm4", "llama3", "qwen2", "smollm", "tekken", "llama2", "gemma", "bert"):
        v = vocabulary(kind)
        with open(os.path.join(here, kind + ".json"), "w", encoding="utf-8") as f:
            f.write("{\n" + ",\n".join(f'"{k}": {json.dumps(x, ensure_ascii=False)}' for k, x in v.items()) + "\n}\n")
        with open(os.path.join(here, "hf", kind + ".json"), "w", encoding="utf-8") as f:
            f.write(build(kind)[0].to_str() + "\n")         # tokenizer.json of a Hugging Face folder
        print(f"{kind}: {len(v['tokens'])} tokens")


if __name__ == "__main__":
    main()
