#!/usr/bin/env python3
"""Write a few random blocks of each weight type and their float32 values, for kernels/decode, and
what the reference quantisers make of some rows, for kernels/encode.

    make_quant.py          TYPE.blocks, TYPE.f32, source.f32 and TYPE.encoded beside this file
    make_quant.py --check  also compare with the `gguf` package's own dequantisation

The values come from the formulas in tests/golden/models/gguf_types.py. Integers are random over
their whole range; scales are random halves, among them zero, subnormal and negative ones.
"""
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "models"))
import gguf_types  # noqa: E402

DECODED = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q4_K Q5_K Q6_K Q2_K Q3_K IQ4_NL IQ4_XS MXFP4".split()
ENCODED = "F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0".split()
SCALES = {"Q6_K": [208], "Q4_1": [0, 2], "Q5_1": [0, 2], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q2_K": [80, 82], "Q3_K": [108], "MXFP4": []}
ODD = np.array([0.0, -0.0, 6e-8, -3e-5, 6.1e-5, 65504.0, -2.5], "<f2")


def blocks(name, rng):
    _, n, size = gguf_types.TYPES[name]
    count = 64 if n == 1 else 8 if n == 32 else 4
    b = rng.integers(0, 256, (count, size), np.uint8)
    if n == 1:
        x = (rng.standard_normal(count) * 10.0 ** rng.integers(-6, 4, count)).astype(np.float32)
        x[:len(ODD)] = ODD.astype(np.float32)
        return gguf_types.quantize(name, x[:, None]).reshape(count, size)
    for at in SCALES.get(name, [0]):
        d = (rng.standard_normal(count) * 10.0 ** rng.integers(-4, 1, count)).astype("<f2")
        d[:count // 2] = rng.choice(ODD, count // 2)
        b[:, at:at + 2] = d.view(np.uint8).reshape(count, 2)
    if name == "MXFP4":  # powers of two, among them the subnormal ones and large ones
        b[:, 0] = np.resize([0, 1, 2, 100, 126, 127, 128, 251], count)
    return b


def source(rng):
    """Rows to encode: every order of magnitude, outliers, constants, zeros, ties and one-sided blocks."""
    x = rng.standard_normal((48, 32)) * 10.0 ** rng.integers(-4, 3, (48, 1))
    x[8:12] = np.abs(x[8:12])
    x[12:16] = -np.abs(x[12:16])
    x[16:20, 5] *= 100
    x[20:24] = np.rint(x[20:24] * 4) / 8
    x[24] = 0
    x[25] = 0.75
    x[26] = -0.75
    x[27, 1:] = 0
    x[28] = np.arange(32) - 16
    x[29] = (np.arange(32) - 15.5) / 8
    x[30] *= 1e-9
    x[31] = rng.standard_normal(32) * 1e4
    return x.astype("<f4") + np.float32(0)  # which of two zeros is least is nobody's business


def main():
    rng = np.random.default_rng(20)
    for name in DECODED:
        b = blocks(name, rng)
        values = gguf_types.DEQUANT[name](b).astype("<f4")
        (HERE / f"{name.lower()}.blocks").write_bytes(b.tobytes())
        (HERE / f"{name.lower()}.f32").write_bytes(values.tobytes())
        if "--check" in sys.argv:
            import gguf
            other = gguf.quants.dequantize(b, gguf.GGMLQuantizationType[name]).astype("<f4")
            assert (other + np.float32(0)).tobytes() == (values + np.float32(0)).tobytes(), name  # gguf: no -0 in MXFP4
            print(name, "equals gguf", len(values), "blocks")
    x = source(np.random.default_rng(21))
    (HERE / "source.f32").write_bytes(x.tobytes())
    for name in ENCODED:
        b = gguf_types.quantize(name, x)
        (HERE / f"{name.lower()}.encoded").write_bytes(b.tobytes())
        if "--check" in sys.argv:
            other = gguf.quants.quantize(x, gguf.GGMLQuantizationType[name])
            assert other.tobytes() == b.tobytes(), name
            print(name, "is encoded as by gguf")


if __name__ == "__main__":
    main()
