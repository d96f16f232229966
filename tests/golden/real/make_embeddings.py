#!/usr/bin/env python3
"""Write minilm.f16: what all-MiniLM-L6-v2 makes of sentences.txt, by transformers.

    make_embeddings.py FOLDER        (the model's folder; needs torch and transformers)

Mean of the tokens' vectors, divided by its length, as the model's card says; little-endian float16 [sentences, 384],
whose rounding moves a cosine by less than 1e-6.
"""
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402
from transformers import AutoModel, AutoTokenizer  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))


@torch.no_grad()
def main():
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    model = AutoModel.from_pretrained(sys.argv[1], dtype=torch.float32, attn_implementation="eager").eval()
    with open(os.path.join(HERE, "sentences.txt"), encoding="utf-8") as f:
        lines = [line.rstrip("\n") for line in f]
    rows = []
    for line in lines:
        h = model(**tokenizer(line, return_tensors="pt")).last_hidden_state[0].mean(0)
        rows.append(h / h.norm())
    torch.stack(rows).numpy().astype("<f2").tofile(os.path.join(HERE, "minilm.f16"))


if __name__ == "__main__":
    main()
