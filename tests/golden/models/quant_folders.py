"""Quantised checkpoints of the tiny models: GPTQ, AWQ, compressed-tensors and FP8, packed by the layouts' formulas, with
the values that they stand for."""
import numpy as np

from safetensors_file import Fp8

GROUP = 32
AWQ_COLUMN = [0, 2, 4, 6, 1, 3, 5, 7]        # of the nibbles of a word, lowest first


def is_linear(name):
    return "layers." in name and name.endswith("_proj.weight")


def codes_of(w, symmetric):
    """(q, zero, scale) of 4-bit groups along the rows: [out, in], [out, groups], [out, groups] in float16."""
    x = w.reshape(len(w), -1, GROUP)
    if symmetric:
        scale = (np.abs(x).max(-1) / 7).astype(np.float16)
        zero = np.full(scale.shape, 8, np.int32)
    else:
        lo, hi = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
        scale = ((hi - lo) / 15).astype(np.float16)
        zero = np.clip(np.rint(-lo / scale.astype(np.float32)), 1, 15).astype(np.int32)
    q = np.rint(x / scale.astype(np.float32)[..., None]).astype(np.int32) + zero[..., None]
    return np.clip(q, 0, 15).reshape(w.shape), zero, scale


def values_of(q, zero, scale):
    s = np.repeat(scale.astype(np.float32), GROUP, 1)
    return s * (q - np.repeat(zero, GROUP, 1)).astype(np.float32)


def words(q):
    """Eight codes of the last axis in a word, from the low bits."""
    x = q.reshape(*q.shape[:-1], -1, 8).astype(np.uint32)
    return np.bitwise_or.reduce(x << (4 * np.arange(8, dtype=np.uint32)), -1).astype(np.uint32).view(np.int32)


def gptq(w):
    q, zero, scale = codes_of(w, False)
    parts = {"qweight": words(q).T, "qzeros": words((zero - 1).T), "scales": scale.T,
             "g_idx": (np.arange(w.shape[1]) // GROUP).astype(np.int32)}
    return parts, values_of(q, zero, scale)


def awq(w):
    def interleaved(x):                      # [.., out]
        return words(x.reshape(*x.shape[:-1], -1, 8)[..., AWQ_COLUMN].reshape(x.shape))

    q, zero, scale = codes_of(w, False)
    return {"qweight": interleaved(q.T), "qzeros": interleaved(zero.T), "scales": scale.T}, values_of(q, zero, scale)


def packed(w):
    q, zero, scale = codes_of(w, True)
    parts = {"weight_packed": words(q), "weight_scale": scale, "weight_shape": np.array(w.shape, np.int64)}
    return parts, values_of(q, zero, scale)


def e4m3():
    c = np.arange(127)                       # 127 is NaN
    e, m = c >> 3, (c & 7).astype(np.float64)
    return np.where(e == 0, m * 2.0 ** -9, (1 + m / 8) * 2.0 ** (e - 7.0))


def fp8(w):
    """A scale for each block of 128 x 128."""
    rows, cols = (np.arange(n) // 128 for n in w.shape)
    scale = np.zeros((rows[-1] + 1, cols[-1] + 1), np.float32)
    np.maximum.at(scale, (rows[:, None], cols[None, :]), np.abs(w))
    scale = (scale / 448).astype(np.float32)
    full, table = scale[rows[:, None], cols[None, :]], e4m3()
    code = np.searchsorted((table[1:] + table[:-1]) / 2, np.abs(w / full).astype(np.float64))
    values = (np.sign(w) * table[code]).astype(np.float32) * full
    return {"weight": Fp8(code | np.where(w < 0, 128, 0)), "weight_scale_inv": scale}, values


METHODS = {"gptq": (gptq, {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False}),
           "awq": (awq, {"quant_method": "awq", "bits": 4, "group_size": GROUP, "version": "gemm"}),
           "packed": (packed, {"quant_method": "compressed-tensors", "format": "pack-quantized"}),
           "fp8": (fp8, {"quant_method": "fp8", "weight_block_size": [128, 128]})}
FOLDERS = [("tiny-llama3", "gptq"), ("tiny-smollm2", "awq"), ("tiny-mixtral", "packed"), ("tiny-glm4-moe-lite", "fp8")]


def quantise(W, method):
    """(parts of the quantised weights, the other tensors, float32 values of the former, quantization_config)."""
    pack, config = METHODS[method]
    parts, rest, values = {}, {}, {}
    for name, x in W.items():
        if is_linear(name) or ".experts." in name:
            stem = name[:-len(".weight")]
            made, values[name] = pack(x)
            parts.update({f"{stem}.{k}": v for k, v in made.items()})
        else:
            rest[name] = x
    return parts, rest, values, config
