#!/usr/bin/env python3
"""Compute goldens/: what transformers says about the tiny models.

    make_goldens.py [--only NAME]

Needs torch, transformers and tokenizers (torch 2.13 and transformers 5.23 were used); the results are committed. For
every model and type the weights of the GGUF file are dequantised, loaded into the model class of transformers and run
in float32. Written are

    goldens/NAME.json   prompts, their token ids, which positions have logits, 16 greedy ids with their margins
                        (best minus second logit) for each type, a rendered conversation and its ids
    goldens/NAME.f32    little-endian float32 logits [rows, vocabulary]; "at" in the JSON counts rows

    goldens/embeddings.json, .f32   texts, ids and for each the mean, first and last of its tokens' vectors

For f32 there are all positions of the first prompt and every eighth of the others; other types have a middle and the
last position of each prompt.
"""
import argparse
import json
import os
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import numpy as np  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

import make_models as mm  # noqa: E402
import make_tokenizers as mt  # noqa: E402
import tiny_models as tm  # noqa: E402

transformers.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()

PROMPTS = ["The quick brown fox jumps over 1234567 lazy dogs, isn't it?",
           "Ünïcode — 你好，世界 🌍👩‍👩‍👧\r\n\ttab  two   spaces ",
           "Open the settings, tap on the network entry and turn the switch on; then go back to the home screen. " * 2]
CHAT = [{"role": "user", "content": "Hello, world!"}, {"role": "assistant", "content": "Hi. 12 + 30 = 42"},
        {"role": "user", "content": "  Thanks; what is next?\n"}]
GREEDY = 16


def load_reference(config, W):
    """A transformers model with these weights; nothing may be missing or left over."""
    with tempfile.TemporaryDirectory() as d:
        with open(os.path.join(d, "config.json"), "w", encoding="utf-8") as f:
            json.dump(config, f)
        save_file({k: torch.from_numpy(v) for k, v in W.items()}, os.path.join(d, "model.safetensors"),
                  metadata={"format": "pt"})
        cls = getattr(transformers, config["architectures"][0])
        model, info = cls.from_pretrained(d, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    for k in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        left = [n for n in info.get(k) or [] if not n.startswith("pooler.")]      # BERT's, which nothing here uses
        assert not left, (k, left)
    return model.eval()


def rows_of(case, n, want):
    if want != "f32":
        return [n // 2, n - 1]
    return list(range(n)) if case == 0 else sorted({*range(7, n, 8), n - 1})


@torch.no_grad()
def run(model, ids):
    """(logits [T, V], greedy ids, margins) of one prompt; no stop token ends it."""
    def logits(seq):
        return model(input_ids=torch.tensor([seq]), use_cache=False).logits[0].float()

    first = logits(ids)
    seq, margins, step = list(ids), [], first[-1]
    for _ in range(GREEDY):
        top = torch.topk(step, 2)
        margins.append(round(float(top.values[0] - top.values[1]), 4))
        seq.append(int(top.indices[0]))
        step = logits(seq)[-1]
    return first.numpy(), seq[len(ids):], margins


def render(m, tok, extra):
    """The conversation as transformers renders it."""
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tok, **{f"{k}_token": extra[k] for k in
                                                ("bos", "eos", "pad", "unk") if extra[k]})
    text = fast.apply_chat_template(CHAT, chat_template=m.template, tokenize=False, add_generation_prompt=True)
    return {"messages": CHAT, "rendered": text, "ids": fast(text, add_special_tokens=False)["input_ids"]}


def golden(name, m):
    tok, extra = mt.build(m.tokenizer)
    prompts = [{"text": t, "ids": tok.encode(t).ids} for t in PROMPTS]
    out = {"model": name, "architecture": tm.GGUF_ARCH[m.config["model_type"]], "n_vocab": m.config["vocab_size"],
           "torch": torch.__version__, "transformers": transformers.__version__, "prompts": prompts,
           "chat": render(m, tok, extra), "types": {}}
    logits, at, exact = [], 0, None
    for want in mm.types_of(name):
        T = mm.dequantized(mm.build(name, m, want)[1])
        model = load_reference(dict(m.config, pad_token_id=None, bos_token_id=None, eos_token_id=None),
                               tm.from_gguf(m, T))
        cases, all_rows = [], []
        for i, p in enumerate(prompts):
            y, ids, margins = run(model, p["ids"])
            rows = rows_of(i, len(p["ids"]), want)
            cases.append({"rows": rows, "at": at, "greedy": ids, "margins": margins})
            logits.append(y[rows].astype("<f4"))
            all_rows.append(y)
            at += len(rows)
        exact = exact or all_rows
        change = max(float(np.abs(a - b).max()) for a, b in zip(all_rows, exact))
        print(f"{name:20s} {want:5s} largest change of a logit {change:8.4f}  least margin "
              f"{min(x for c in cases for x in c['margins']):.4f}", flush=True)
        out["types"][want] = cases
    return out, np.concatenate(logits)


def vectors(model, m, ids):
    """[3, E]: mean, first and last of the tokens' vectors, not normalised."""
    with torch.no_grad():
        seq = torch.tensor([ids])
        h = (model if m.config["model_type"] == "bert" else model.model)(input_ids=seq).last_hidden_state[0].float()
    return torch.stack([h.mean(0), h[0], h[-1]]).numpy()


def embeddings(names):
    """The vectors of every prompt: of encoders in all types, of decoders in some."""
    out, rows, at = {"models": {}}, [], 0
    for name, types in names.items():
        m = tm.table()[name]
        tok, _ = mt.build(m.tokenizer)
        prompts = [{"text": t, "ids": tok.encode(t).ids} for t in PROMPTS + ["", "A"]]
        prompts = [p for p in prompts if p["ids"]]
        out["models"][name] = {"n_embd": m.config["hidden_size"], "prompts": prompts, "types": {}}
        for want in types:
            T = mm.dequantized(mm.build(name, m, want)[1])
            model = load_reference(dict(m.config), tm.from_gguf(m, T))
            out["models"][name]["types"][want] = at
            for p in prompts:
                rows.append(vectors(model, m, p["ids"]).astype("<f4").ravel())
                at += rows[-1].size
    return out, np.concatenate(rows)


def dump(value):
    """JSON with a line for every prompt, case and section."""
    def part(v):
        return json.dumps(v, ensure_ascii=True)

    lines = [f'"{k}": {part(v)}' for k, v in value.items() if k not in ("prompts", "types")]
    lines.append('"prompts": [\n' + ",\n".join(part(p) for p in value["prompts"]) + "]")
    lines.append('"types": {\n' + ",\n".join(f'"{t}": [\n' + ",\n".join(part(c) for c in cases) + "]"
                                            for t, cases in value["types"].items()) + "}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("--only", default="")
    a = ap.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    where = os.path.join(HERE, "goldens")
    os.makedirs(where, exist_ok=True)
    if a.only in ("", "embeddings"):
        value, floats = embeddings({"tiny-bert": mm.types_of("tiny-bert"), "tiny-qwen3": ("f32", "q4_0")})
        with open(os.path.join(where, "embeddings.json"), "w", encoding="ascii") as f:
            json.dump(value, f)
            f.write("\n")
        floats.tofile(os.path.join(where, "embeddings.f32"))
    for name, m in tm.table().items():
        if a.only not in ("", name) or m.config["model_type"] == "bert":
            continue
        value, logits = golden(name, m)
        with open(os.path.join(where, name + ".json"), "w", encoding="ascii") as f:
            f.write(dump(value))
        logits.tofile(os.path.join(where, name + ".f32"))


if __name__ == "__main__":
    main()
