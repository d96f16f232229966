"""Writing GGUF version 3 files, whole or split, with NumPy only.

A tensor's dimensions are listed innermost first: NumPy shape (out, in) is stored as [in, out].
"""
import struct

from gguf_types import TYPES

SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
U16, U32, I32, F32, BOOL, STR, ARR = 2, 4, 5, 6, 7, 8, 9


def encode(meta, tensors, align=32):
    """Bytes of a file. meta: (key, kind or (ARR, inner kind), value); tensors: (name, type, shape, bytes)."""
    out = bytearray()

    def put(kind, v):
        if kind == STR:
            b = v.encode() if isinstance(v, str) else v
            out.extend(struct.pack("<Q", len(b)) + b)
        else:
            out.extend(struct.pack(SCALARS[kind], v))

    out += b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(meta))
    for key, kind, v in meta:
        put(STR, key)
        if isinstance(kind, tuple):
            out += struct.pack("<IIQ", ARR, kind[1], len(v))
            for x in v:
                put(kind[1], x)
        else:
            out += struct.pack("<I", kind)
            put(kind, v)
    offset = 0
    for name, type_name, shape, blob in tensors:
        put(STR, name)
        out += struct.pack("<I", len(shape)) + b"".join(struct.pack("<Q", d) for d in reversed(shape))
        out += struct.pack("<IQ", TYPES[type_name][0], offset)
        offset += (len(blob) + align - 1) // align * align
    out += b"\0" * (-len(out) % align)
    for _, _, _, blob in tensors:
        out += blob + b"\0" * (-len(blob) % align)
    return bytes(out)


def encode_split(meta, tensors, parts):
    """The same model as `parts` files: the first holds all keys, the tensors are dealt out in order."""
    per = (len(tensors) + parts - 1) // parts
    files = []
    for i in range(parts):
        count = [("split.no", U16, i), ("split.count", U16, parts), ("split.tensors.count", I32, len(tensors))]
        files.append(encode((meta if i == 0 else []) + count, tensors[i * per:(i + 1) * per]))
    return files
