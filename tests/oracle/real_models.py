#!/usr/bin/env python3
"""Compare with transformers on real models: goldens in tests/golden/real.

    real_models.py --oracle PROGRAM MODEL.gguf...

Which golden belongs to a file is told by its name. The goldens come from the dequantised weights in float32; run with
weights re-encoded to float32 (exact) and as the file is (default).
"""
import argparse
import json
import os
import sys

import ask

HERE = os.path.dirname(os.path.abspath(__file__))
# largest difference of a log-likelihood or logit; of the mean log-likelihood; margin that must decide greedy steps
LIMITS = {"exact": (2e-3, 1e-3, 0.01), "default": (2.0, 0.1, 0.5)}


def compare(oracle, case, limits):
    """(largest difference of nll and logits, difference of the mean, step where greedy parts or None, its margin)."""
    got = oracle.nll(case["ids"])
    top = dict(map(tuple, got["top"]))
    worst = max([abs(a - b) for a, b in zip(got["nll"], case["prompt_nll"] or [])]
                + [abs(top[i] - v) for i, v in case["top10"] if i in top])
    mean = abs(sum(got["nll"]) / len(got["nll"]) - case["mean_nll"]) if case["mean_nll"] is not None else 0.0
    out = oracle.greedy(len(case["greedy"]), case["ids"])["ids"]
    at = next((k for k, (x, y) in enumerate(zip(out, case["greedy"])) if x != y), None)
    margin = case["greedy_margins"][at] if at is not None else None
    ok = worst <= limits[0] and mean <= limits[1] and (margin is None or margin < limits[2])
    return ok, worst, mean, at, margin


def main():
    ap = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    ap.add_argument("models", nargs="+")
    ap.add_argument("--oracle", required=True)
    a = ap.parse_args()
    with open(os.path.join(HERE, "..", "golden", "real", "real_models.json"), encoding="utf-8") as f:
        goldens = json.load(f)
    bad = 0
    for model in a.models:
        name = next((k for k in goldens if k in os.path.basename(model).lower().replace("gemma-3", "gemma3")), None)
        if not name:
            raise SystemExit(f"{model}: no golden of that name; there are: {', '.join(goldens)}")
        for mode, options in (("exact", ["--dtype", "f32", "--kv", "f32"]), ("default", [])):
            oracle = ask.Oracle(a.oracle, model, *options)
            print(f"{name}, {mode}")
            for case in goldens[name]["cases"]:
                ok, worst, mean, at, margin = compare(oracle, case, LIMITS[mode])
                bad += not ok
                greedy = "greedy equal" if at is None else f"greedy parts at {at} (margin {margin:.3f})"
                print(f"  {case['text'][:32]!r:36} largest difference {worst:.4f}, of the mean {mean:.5f}, {greedy}"
                      f"{'' if ok else '  WRONG'}")
            oracle.close()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
