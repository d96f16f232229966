#!/usr/bin/env python3
"""Time OpenVINO GenAI as speed.py wants it: peer_openvino.py MODEL.gguf pp|tg N DEPTH THREADS

pp: N prompt tokens, to the first token. tg: N tokens one by one, after DEPTH (at least 1) prompt tokens. Prints
{"tok_s": ...}. Needs the package openvino-genai, which reads some GGUF files itself.
"""
import json
import sys

import numpy as np
import openvino
import openvino_genai


def main():
    model, kind, (n, depth, threads) = sys.argv[1], sys.argv[2], map(int, sys.argv[3:])
    pipe = openvino_genai.LLMPipeline(model, "CPU", INFERENCE_NUM_THREADS=threads, PERFORMANCE_HINT="LATENCY")

    def generate(n_prompt, n_new):
        """Seconds to the first token, and for each further one."""
        ids = np.array([[1000 + (i * 7919) % 20000 for i in range(n_prompt)]], np.int64)
        inputs = openvino_genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(np.ones_like(ids)))
        config = openvino_genai.GenerationConfig(max_new_tokens=n_new, ignore_eos=True, do_sample=False)
        # Without a callback it measures no times.
        metrics = pipe.generate(inputs, config, lambda _: openvino_genai.StreamingStatus.RUNNING).perf_metrics
        return metrics.get_ttft().mean / 1e3, metrics.get_tpot().mean / 1e3

    generate(16, 4)
    first, each = generate(n if kind == "pp" else max(depth, 1), 1 if kind == "pp" else n + 1)
    print(json.dumps({"tok_s": n / first if kind == "pp" else 1 / each}))


if __name__ == "__main__":
    main()
