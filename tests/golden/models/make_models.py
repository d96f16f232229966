#!/usr/bin/env python3
"""Make the tiny GGUF files that the engine's tests run: every architecture in every type.

    make_models.py OUT [--only NAME] [--write-sums]

Needs NumPy only (any version from 1.20). The bytes are checked against sha256.txt beside this script, so the committed
goldens belong to exactly these files; --write-sums renews that list after a wanted change. When OUT already holds
what this version of the scripts makes, nothing is done.
"""
import argparse
import hashlib
import json
import multiprocessing
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

import chat_templates  # noqa: E402
import gguf_file as gf  # noqa: E402
import micro_models  # noqa: E402
import quant_folders as qf  # noqa: E402
import safetensors_file as st  # noqa: E402
import tiny_models as tm  # noqa: E402
from gguf_file import ARR, BOOL, F32, I32, STR, U32  # noqa: E402
from gguf_types import TYPES, dequantize, quantize  # noqa: E402

FILE_TYPES = {"f32": 0, "f16": 1, "bf16": 32, "q8_0": 7, "q4_0": 2, "q4_1": 3, "q5_0": 8, "q5_1": 9, "q4_k": 15,
              "q5_k": 17, "q6_k": 18, "q2_k": 10, "q3_k": 12, "iq4_nl": 25, "iq4_xs": 30, "mxfp4": 38}
RARE = ("q2_k", "q3_k", "iq4_nl", "iq4_xs", "mxfp4")            # made for one model only
# Where rows are not whole super-blocks.
FALLBACK = {"Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0", "Q2_K": "IQ4_NL", "Q3_K": "IQ4_NL", "IQ4_XS": "IQ4_NL"}
SPLIT = {"tiny-llama3-q4_k": 3}                                 # also written as a split set of so many parts
SHARDS = {"tiny-glm4-hf": 3}                                      # folders of several safetensors files


def types_of(name):
    return tm.table()[name].types or tuple(t for t in FILE_TYPES if t not in RARE or name == "tiny-llama3")


def choose_type(name, shape, want):
    """As mixed files do: vectors, norms and routers stay F32, embeddings and output get 8 bits, Q4_K_M's two exceptions."""
    if len(shape) < 2 or want == "f32" or "ffn_gate_inp" in name:
        return "F32"
    t = want.upper()
    if want not in ("f16", "bf16") and name in ("token_embd.weight", "output.weight"):
        t = "Q8_0"
    if want == "q4_k" and ("attn_v" in name or "ffn_down" in name):
        t = "Q6_K"
    return FALLBACK[t] if shape[-1] % TYPES[t][1] else t


def load_tokenizer(kind):
    with open(os.path.join(HERE, "tokenizers", kind + ".json"), encoding="utf-8") as f:
        return json.load(f)


def tokenizer_keys(v, template):
    """tokenizer.* keys of a vocabulary made by make_tokenizers.py."""
    keys = [("tokenizer.ggml.model", STR, v["model"]), ("tokenizer.ggml.pre", STR, v["pre"]),
            ("tokenizer.ggml.tokens", (ARR, STR), v["tokens"]), ("tokenizer.ggml.token_type", (ARR, I32), v["types"])]
    if "scores" in v:
        keys.append(("tokenizer.ggml.scores", (ARR, F32), v["scores"]))
        keys.append(("tokenizer.ggml.add_space_prefix", BOOL, v["add_space_prefix"]))
    if "merges" in v:
        keys.append(("tokenizer.ggml.merges", (ARR, STR), v["merges"]))
    names = {"bos": "bos", "eos": "eos", "unk": "unknown", "pad": "padding", "eot": "eot", "eom": "eom"}
    keys += [(f"tokenizer.ggml.{names[k]}_token_id", U32, i) for k, i in v["ids"].items()]
    keys.append(("tokenizer.ggml.add_bos_token", BOOL, v["add_bos"]))
    if template:
        keys.append(("tokenizer.chat_template", STR, template))
    return keys


def build(name, m, want):
    """(keys, [(tensor, type, shape, bytes)]) of one file."""
    keys, T = tm.to_gguf(m, tm.weights(name, m))
    keys = keys + [("general.name", STR, name), ("general.file_type", U32, FILE_TYPES[want]),
                   ("general.quantization_version", U32, 2)]
    keys += tokenizer_keys(load_tokenizer(m.tokenizer), m.template)
    tensors = []
    for tensor, x in T.items():
        t = choose_type(tensor, x.shape, want)
        tensors.append((tensor, t, x.shape, quantize(t, x.reshape(-1, x.shape[-1])).tobytes()))
    return keys, tensors


def dequantized(tensors):
    """GGUF name -> float32: the weights that a file stands for."""
    return {name: dequantize(t, np.frombuffer(blob, np.uint8), shape) for name, t, shape, blob in tensors}


def write(path, data):
    with open(path + ".part", "wb") as f:
        f.write(data)
    os.replace(path + ".part", path)
    return hashlib.sha256(data).hexdigest(), os.path.basename(path)


def write_folder(out, name, m, config, W):
    files = st.folder(config, W, SHARDS.get(name, 1))
    with open(os.path.join(HERE, "tokenizers", "hf", m.tokenizer + ".json"), "rb") as f:
        files["tokenizer.json"] = f.read()
    v = load_tokenizer(m.tokenizer)
    special = {k + "_token": v["tokens"][v["ids"][k]] for k in ("bos", "eos", "unk", "pad") if k in v["ids"]}
    files["tokenizer_config.json"] = json.dumps(dict(special, chat_template=m.template)).encode()
    os.makedirs(os.path.join(out, name), exist_ok=True)
    for file, data in files.items():
        write(os.path.join(out, name, file), data)


def make_folders(out, name, m):
    """NAME-hf: the same model as a Hugging Face folder. Of some also NAME-METHOD-hf, quantised, and NAME-METHOD-f32-hf
    with the values that its codes stand for. Tests compare them, so they need no sums."""
    W, dtype = tm.weights(name, m), m.config["torch_dtype"]
    if m.config.get("num_nextn_predict_layers"):                # as to_gguf() does
        W[f"model.layers.{m.config['num_hidden_layers']}.enorm.weight"] = np.ones(m.config["hidden_size"], np.float32)
    config = dict(m.config, _name_or_path=name)
    write_folder(out, name + "-hf", m, config, st.stored(W, dtype))
    for model, method in qf.FOLDERS:
        if model == name:
            parts, rest, values, how = qf.quantise(W, method)
            write_folder(out, f"{name}-{method}-hf", m, dict(config, quantization_config=how),
                         {**st.stored(rest, dtype), **parts})
            write_folder(out, f"{name}-{method}-f32-hf", m, dict(config, torch_dtype="float32"), {**rest, **values})
    return []


def make_one(job):
    """[(sha256, file name)] of the files of one model and type."""
    out, name, want = job
    if name == "micro":
        done = [write(os.path.join(out, f"odd-{odd}.gguf"), data) for odd, data in micro_models.odd_files().items()]
        done.append(write(os.path.join(out, "micro-latent.gguf"), gf.encode(*micro_models.micro_latent())))
        done.append(write(os.path.join(out, "micro-bert.gguf"), gf.encode(*micro_models.micro_bert())))
        chat = micro_models.micro_chat(tokenizer_keys(load_tokenizer("qwen2"), chat_templates.CHATML))
        done.append(write(os.path.join(out, "micro-chat.gguf"), gf.encode(*chat)))
        return done + [write(os.path.join(out, "micro.gguf"), gf.encode(*micro_models.micro()))]
    if want == "hf":
        return make_folders(out, name, tm.table()[name])
    keys, tensors = build(name, tm.table()[name], want)
    stem = f"{name}-{want}"
    done = [write(os.path.join(out, stem + ".gguf"), gf.encode(keys, tensors))]
    parts = SPLIT.get(stem, 0)
    for i, data in enumerate(gf.encode_split(keys, tensors, parts) if parts else []):
        done.append(write(os.path.join(out, f"{stem}-split-{i + 1:05d}-of-{parts:05d}.gguf"), data))
    return done


def version():
    """Digest of everything that decides the bytes."""
    h = hashlib.sha256()
    names = sorted(f for f in os.listdir(HERE) if f.endswith(".py") and f not in ("make_goldens.py", "make_tokenizers.py"))
    for folder in ("tokenizers", os.path.join("tokenizers", "hf")):
        names += sorted(os.path.join(folder, f) for f in os.listdir(os.path.join(HERE, folder)) if f.endswith(".json"))
    for name in names + ["sha256.txt"]:
        path = os.path.join(HERE, name)
        if os.path.exists(path):
            with open(path, "rb") as f:
                h.update(name.encode() + b"\0" + f.read())
    return h.hexdigest()


def wrong_sums(sums):
    with open(os.path.join(HERE, "sha256.txt"), encoding="ascii") as f:
        known = {name: digest for digest, name in (line.split() for line in f)}
    return [name for digest, name in sums if known.get(name) != digest]


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("out")
    ap.add_argument("--only", default="")
    ap.add_argument("--write-sums", action="store_true")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    stamp = os.path.join(a.out, "made-by")
    if not a.only and not a.write_sums and os.path.exists(stamp):
        with open(stamp, encoding="ascii") as f:
            if f.read() == version():
                print("up to date")
                return 0
    jobs = [(a.out, name, want) for name in tm.table() for want in [*types_of(name), "hf"] if a.only in ("", name)]
    jobs.append((a.out, "micro", ""))
    with multiprocessing.Pool(min(8, os.cpu_count() or 1)) as pool:
        sums = [s for part in pool.imap(make_one, jobs, chunksize=2) for s in part]
    if a.write_sums:
        with open(os.path.join(HERE, "sha256.txt"), "w", encoding="ascii") as f:
            f.writelines(f"{digest}  {name}\n" for digest, name in sums)
    if bad := wrong_sums(sums):
        print(f"other bytes than sha256.txt says: {', '.join(bad)} (NumPy {np.__version__})", file=sys.stderr)
        return 1
    if not a.only:
        with open(stamp, "w", encoding="ascii") as f:
            f.write(version())
    print(f"{len(sums)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
