#!/usr/bin/env python3
"""Compute real_models.json: what transformers says about small real models.

    make_real_goldens.py NAME=FILE.gguf...        for example smollm2-135m=SmolLM2-135M-Instruct.Q4_1.gguf

Needs torch, transformers and gguf. transformers reads the GGUF file itself, dequantises it to float32 and runs it. The
prompts and their ids are those already in the file (they were made with the reference tokenizers).
"""
import json
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")

import torch  # noqa: E402
import transformers  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
GREEDY = 24


@torch.no_grad()
def golden(model, case):
    """The case with its numbers renewed; greedy goes on past stop tokens."""
    out = model(torch.tensor([case["ids"]]), use_cache=True)
    logits = out.logits[0].float()
    lp = torch.log_softmax(logits, -1)
    nll = [round(float(-lp[i, t]), 5) for i, t in enumerate(case["ids"][1:])]
    top = torch.topk(logits[-1], 10)
    seq, margins, step = [], [], logits[-1]
    for _ in range(GREEDY):
        best = torch.topk(step, 2)
        margins.append(round(float(best.values[0] - best.values[1]), 4))
        seq.append(int(best.indices[0]))
        out = model(torch.tensor([[seq[-1]]]), past_key_values=out.past_key_values, use_cache=True)
        step = out.logits[0, -1].float()
    return dict(case, prompt_nll=nll if len(nll) < 80 else None, mean_nll=round(sum(nll) / len(nll), 5) if nll else None,
                top10=[[int(i), round(float(v), 4)] for i, v in zip(top.indices, top.values)],
                logsumexp=round(float(torch.logsumexp(logits[-1], -1)), 4), greedy=seq, greedy_margins=margins)


def dump(goldens):
    models = []
    for name, v in goldens.items():
        head = "".join(f'"{k}": {json.dumps(x)}, ' for k, x in v.items() if k != "cases")
        cases = ",\n".join(json.dumps(c, separators=(",", ":")) for c in v["cases"])
        models.append(f'"{name}": {{{head}"cases": [\n{cases}\n]}}')
    return "{\n" + ",\n".join(models) + "\n}\n"


def main():
    path = os.path.join(HERE, "real_models.json")
    with open(path, encoding="ascii") as f:
        goldens = json.load(f)
    torch.set_num_threads(1)
    for arg in sys.argv[1:]:
        name, file = arg.split("=", 1)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            os.path.dirname(os.path.abspath(file)), gguf_file=os.path.basename(file), dtype=torch.float32,
            attn_implementation="eager").eval()
        old = goldens[name]["cases"]
        new = [golden(model, c) for c in old]
        goldens[name]["cases"] = new
        change = max(abs(a[1] - b[1]) for o, n in zip(old, new) for a, b in zip(o["top10"], n["top10"]))
        same = sum(o["greedy"] == n["greedy"] for o, n in zip(old, new))
        print(f"{name}: largest change of a logit {change:.1e}, {same} of {len(old)} greedy answers as before")
    with open(path, "w", encoding="ascii") as f:
        f.write(dump(goldens))


if __name__ == "__main__":
    main()
