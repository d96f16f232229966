"""Writing safetensors files and Hugging Face folders with NumPy only."""
import json
import struct

import numpy as np

DTYPES = {"float32": "F32", "float16": "F16", "int8": "I8", "uint8": "U8", "int32": "I32", "int64": "I64"}


class Bf16:
    """float32 values that are stored as their upper halves."""

    def __init__(self, x):
        self.bits = (np.ascontiguousarray(x, np.float32).view(np.uint32) >> 16).astype("<u2")


class Fp8:
    """Codes of E4M3."""

    def __init__(self, codes):
        self.bits = np.ascontiguousarray(codes, np.uint8)


def encode(tensors):
    """Bytes of a file. tensors: name -> array, Bf16 or Fp8."""
    head, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, x in tensors.items():
        dtype = "BF16" if isinstance(x, Bf16) else "F8_E4M3" if isinstance(x, Fp8) else DTYPES[str(x.dtype)]
        x = np.ascontiguousarray(getattr(x, "bits", x))
        blob = x.tobytes()
        head[name] = {"dtype": dtype, "shape": list(x.shape), "data_offsets": [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(head, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + b"".join(blobs)


def stored(W, dtype):
    """The same tensors in a configuration's dtype."""
    to = {"bfloat16": Bf16, "float16": np.float16, "float32": np.float32}[dtype]
    return {k: to(v) for k, v in W.items()}


def folder(config, W, shards=1):
    """File name -> bytes. W: name -> what encode() takes."""
    out = {"config.json": json.dumps(config, indent=1).encode() + b"\n"}
    if shards == 1:
        out["model.safetensors"] = encode(W)
        return out
    names, index = list(W), {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = names[i::shards]
        out[file] = encode({k: W[k] for k in part})
        index.update({k: file for k in part})
    out["model.safetensors.index.json"] = json.dumps({"metadata": {}, "weight_map": index}, indent=1).encode()
    return out
