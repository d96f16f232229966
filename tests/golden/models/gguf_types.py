"""GGUF block formats: quantisation and dequantisation by element index, with NumPy only.

In each `dq_*` below, `b` is uint8 [blocks, block bytes], `i` runs over the elements of one block, and the
right-hand sides are the formulas a kernel needs.

`quantize` holds plain quantisers (no search for better scales): good enough to make test files, and Q8_0 / Q4_0 are
the exact reference rounding.
"""
import numpy as np

# name: (number in the file, elements per block, bytes per block)
TYPES = {
    "F32": (0, 1, 4), "F16": (1, 1, 2), "BF16": (30, 1, 2),
    "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34), "Q8_1": (9, 32, 36),
    "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210), "Q8_K": (15, 256, 292),
    "IQ4_NL": (20, 32, 18), "IQ4_XS": (23, 256, 136), "MXFP4": (39, 32, 17),
}
BY_NUMBER = {v[0]: k for k, v in TYPES.items()}

KVALUES_IQ4NL = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)
KVALUES_FP4 = np.array([0, .5, 1, 1.5, 2, 3, 4, 6, -0.0, -.5, -1, -1.5, -2, -3, -4, -6], np.float32)


def f16(b, at):
    """Little-endian half at byte `at` of every block -> float32 [blocks, 1]."""
    return np.ascontiguousarray(b[:, at:at + 2]).view("<f2").astype(np.float32)


def dq_f32(b):
    return b.view("<f4").astype(np.float32)


def dq_f16(b):
    return b.view("<f2").astype(np.float32)


def dq_bf16(b):
    return (b.view("<u2").astype(np.uint32) << 16).view(np.float32)


def dq_q4_0(b):                          # d:f16  qs[16]
    i = np.arange(32)
    q = (b[:, 2 + i % 16] >> (4 * (i // 16))) & 15
    return f16(b, 0) * (q.astype(np.float32) - 8)


def dq_q4_1(b):                          # d:f16  m:f16  qs[16]
    i = np.arange(32)
    q = (b[:, 4 + i % 16] >> (4 * (i // 16))) & 15
    return f16(b, 0) * q.astype(np.float32) + f16(b, 2)


def dq_q5_0(b):                          # d:f16  qh:u32  qs[16]
    i = np.arange(32)
    q = ((b[:, 6 + i % 16] >> (4 * (i // 16))) & 15) | (((b[:, 2 + i // 8] >> (i % 8)) & 1) << 4)
    return f16(b, 0) * (q.astype(np.float32) - 16)


def dq_q5_1(b):                          # d:f16  m:f16  qh:u32  qs[16]
    i = np.arange(32)
    q = ((b[:, 8 + i % 16] >> (4 * (i // 16))) & 15) | (((b[:, 4 + i // 8] >> (i % 8)) & 1) << 4)
    return f16(b, 0) * q.astype(np.float32) + f16(b, 2)


def dq_q8_0(b):                          # d:f16  qs:i8[32]
    return f16(b, 0) * b[:, 2:34].view(np.int8).astype(np.float32)


def dq_q8_1(b):                          # d:f16  s:f16 = d*sum(q)  qs:i8[32]   (activations only)
    return f16(b, 0) * b[:, 4:36].view(np.int8).astype(np.float32)


def dq_q2_k(b):                          # scales[16]  qs[64]  d:f16  dmin:f16
    i = np.arange(256)
    q = (b[:, 16 + 32 * (i // 128) + i % 32] >> (2 * (i % 128 // 32))) & 3
    s = b[:, i // 16]
    return f16(b, 80) * (s & 15) * q - f16(b, 82) * (s >> 4)


def dq_q3_k(b):                          # hmask[32]  qs[64]  scales[12]  d:f16
    i = np.arange(256)
    j = i // 16
    lo = (b[:, 32 + 32 * (i // 128) + i % 32] >> (2 * (i % 128 // 32))) & 3
    hi = (b[:, i % 32] >> (i // 32)) & 1
    q = lo.astype(np.float32) - 4 * (1 - hi.astype(np.float32))              # a CLEAR bit subtracts 4
    s = ((b[:, 96 + j % 8] >> (4 * (j // 8))) & 15) | (((b[:, 104 + j % 4] >> (2 * (j // 4))) & 3) << 4)
    return f16(b, 108) * (s.astype(np.float32) - 32) * q


def scale_min_k4(s, j):
    """The 6-bit scale and minimum of sub-block j (0..7) from the 12 packed bytes `s` of Q4_K/Q5_K."""
    low = j < 4
    jl, jh = np.where(low, j, 0), np.where(low, 4, j)                        # keep both index sets legal
    sc = np.where(low, s[:, jl] & 63, (s[:, jh + 4] & 15) | ((s[:, jh - 4] >> 6) << 4))
    mn = np.where(low, s[:, jl + 4] & 63, (s[:, jh + 4] >> 4) | ((s[:, jh] >> 6) << 4))
    return sc.astype(np.float32), mn.astype(np.float32)


def dq_q4_k(b):                          # d:f16  dmin:f16  scales[12]  qs[128]
    i = np.arange(256)
    q = (b[:, 16 + 32 * (i // 64) + i % 32] >> (4 * (i // 32 % 2))) & 15
    sc, mn = scale_min_k4(b[:, 4:16], i // 32)
    return (f16(b, 0) * sc) * q - (f16(b, 2) * mn)


def dq_q5_k(b):                          # d:f16  dmin:f16  scales[12]  qh[32]  qs[128]
    i = np.arange(256)
    q = ((b[:, 48 + 32 * (i // 64) + i % 32] >> (4 * (i // 32 % 2))) & 15) | (((b[:, 16 + i % 32] >> (i // 32)) & 1) << 4)
    sc, mn = scale_min_k4(b[:, 4:16], i // 32)
    return (f16(b, 0) * sc) * q - (f16(b, 2) * mn)


def dq_q6_k(b):                          # ql[128]  qh[64]  scales:i8[16]  d:f16
    i = np.arange(256)
    lo = (b[:, 64 * (i // 128) + i % 64] >> (4 * (i % 128 // 64))) & 15
    hi = (b[:, 128 + 32 * (i // 128) + i % 32] >> (2 * (i % 128 // 32))) & 3
    q = (lo | (hi << 4)).astype(np.float32) - 32
    s = b[:, 192:208].view(np.int8)[:, i // 16].astype(np.float32)
    return (f16(b, 208) * s) * q


def dq_q8_k(b):                          # d:f32  qs:i8[256]  bsums:i16[16]     (activations only)
    return np.ascontiguousarray(b[:, :4]).view("<f4") * b[:, 4:260].view(np.int8).astype(np.float32)


def dq_iq4_nl(b):                        # d:f16  qs[16], a table of 16 values
    i = np.arange(32)
    q = (b[:, 2 + i % 16] >> (4 * (i // 16))) & 15
    return f16(b, 0) * KVALUES_IQ4NL[q]


def dq_iq4_xs(b):                        # d:f16  scales_h:u16  scales_l[4]  qs[128]
    i = np.arange(256)
    j = i // 32
    q = (b[:, 8 + 16 * j + i % 16] >> (4 * (i % 32 // 16))) & 15
    h = np.ascontiguousarray(b[:, 2:4]).view("<u2")
    s = ((b[:, 4 + j // 2] >> (4 * (j % 2))) & 15) | (((h >> (2 * j)) & 3) << 4)
    return (f16(b, 0) * (s.astype(np.float32) - 32)) * KVALUES_IQ4NL[q]


def dq_mxfp4(b):                         # e:u8 (2^(e-127))  qs[16], fp4 e2m1
    i = np.arange(32)
    q = (b[:, 1 + i % 16] >> (4 * (i // 16))) & 15
    return np.ldexp(np.float32(1), b[:, :1].astype(np.int32) - 127).astype(np.float32) * KVALUES_FP4[q]


DEQUANT = {n: globals()["dq_" + n.lower()] for n in TYPES}


def dequantize(name: str, data: np.ndarray, shape) -> np.ndarray:
    """Raw bytes of one tensor -> float32 of NumPy shape `shape` (rows are contiguous runs of blocks)."""
    _, n, size = TYPES[name]
    blocks = np.frombuffer(data, np.uint8).reshape(-1, size)
    out = np.empty((len(blocks), n), np.float32)
    step = 1 << 16
    for at in range(0, len(blocks), step):
        out[at:at + step] = DEQUANT[name](np.ascontiguousarray(blocks[at:at + step]))
    return out.reshape(shape)


# ======================================================================================
# Plain quantisers
# ======================================================================================

def _h(x):
    return x.astype("<f2").view(np.uint8).reshape(len(x), 2)


def _inv(d):
    with np.errstate(divide="ignore"):
        return np.where(d == 0, 0, 1 / d).astype(np.float32)


def _nibbles(q):
    """[n, 32] -> [n, 16]: the first half in the low nibbles."""
    return (q[:, :16] | (q[:, 16:] << 4)).astype(np.uint8)


def _round(x):
    """roundf(): halves away from zero."""
    return np.trunc(x + np.where(x < 0, np.float32(-0.5), np.float32(0.5)))


def _signed_max(x):
    return np.take_along_axis(x, np.abs(x).argmax(-1)[:, None], -1)


def _sym(x, bits):
    """q in [0, 2^bits), value d*(q - 2^(bits-1)); the element of largest magnitude maps to q = 0."""
    half = 1 << (bits - 1)
    d = _signed_max(x) / -half
    q = np.clip(np.trunc(x * _inv(d) + np.float32(half + 0.5)), 0, 2 * half - 1).astype(np.uint8)
    return d, q


def _asym(x, levels):
    mn = x.min(-1, keepdims=True)
    d = (x.max(-1, keepdims=True) - mn) / levels
    return d, mn, np.clip(np.trunc((x - mn) * _inv(d) + np.float32(0.5)), 0, levels).astype(np.uint8)


def _bits5(q):
    return np.packbits(q >> 4, axis=-1, bitorder="little")


def _pack_scales_k4(sc, mn):
    """Inverse of scale_min_k4; sc, mn uint8 [n, 8]."""
    s = np.zeros((len(sc), 12), np.uint8)
    s[:, 0:4] = sc[:, :4] | ((sc[:, 4:] >> 4) << 6)
    s[:, 4:8] = mn[:, :4] | ((mn[:, 4:] >> 4) << 6)
    s[:, 8:12] = (sc[:, 4:] & 15) | ((mn[:, 4:] & 15) << 4)
    return s


def _k_affine(x, levels, sub, top):
    """Super-block scale and minimum for the affine K formats.  Minima are never negative here."""
    y = x.reshape(len(x), -1, sub)
    mn = np.minimum(y.min(-1), 0)
    sc = (y.max(-1) - mn) / levels
    d, dmin = sc.max(-1, keepdims=True) / top, (-mn).max(-1, keepdims=True) / top
    d, dmin = d.astype("<f2").astype(np.float32), dmin.astype("<f2").astype(np.float32)
    qs = np.clip(np.rint(sc * _inv(d)), 0, top).astype(np.uint8)
    qm = np.clip(np.rint(-mn * _inv(dmin)), 0, top).astype(np.uint8)
    step, off = (d * qs)[..., None], (dmin * qm)[..., None]
    q = np.clip(np.rint((y + off) * _inv(step)), 0, levels).astype(np.uint8).reshape(x.shape)
    return d, dmin, qs, qm, q


def quantize(name: str, x: np.ndarray) -> np.ndarray:
    """float32 [rows, columns] -> uint8 [rows, bytes]; columns must be a multiple of the block size."""
    _, n, size = TYPES[name]
    x = np.ascontiguousarray(x, np.float32)
    rows, cols = x.shape
    assert cols % n == 0, (name, cols)
    if name == "F32":
        return x.view(np.uint8)
    if name == "F16":
        return x.astype("<f2").view(np.uint8)
    if name == "BF16":
        u = x.view(np.uint32)
        return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16).astype("<u2").view(np.uint8)     # to nearest, ties to even
    b = x.reshape(-1, n)
    cat = np.concatenate
    if name == "Q4_0":
        d, q = _sym(b, 4)
        out = cat([_h(d), _nibbles(q)], 1)
    elif name == "Q5_0":
        d, q = _sym(b, 5)
        out = cat([_h(d), _bits5(q), _nibbles(q & 15)], 1)
    elif name == "Q4_1":
        d, m, q = _asym(b, 15)
        out = cat([_h(d), _h(m), _nibbles(q)], 1)
    elif name == "Q5_1":
        d, m, q = _asym(b, 31)
        out = cat([_h(d), _h(m), _bits5(q), _nibbles(q & 15)], 1)
    elif name == "Q8_0":
        d = np.abs(b).max(-1, keepdims=True) / np.float32(127)
        out = cat([_h(d), _round(b * _inv(d)).astype(np.int8).view(np.uint8)], 1)
    elif name == "Q8_K":
        m = _signed_max(b)
        inv = np.where(m == 0, 0, np.float32(-127) * _inv(m)).astype(np.float32)
        q = np.minimum(np.rint(b * inv), 127).astype(np.int8)                          # ties to even
        sums = q.reshape(len(b), 16, 16).astype(np.int16).sum(-1).astype("<i2")
        out = cat([_inv(inv).astype("<f4").view(np.uint8), q.view(np.uint8), sums.view(np.uint8)], 1)
    elif name == "IQ4_NL":
        d = _signed_max(b) / np.float32(-127)
        q = np.abs((b * _inv(d))[..., None] - KVALUES_IQ4NL).argmin(-1).astype(np.uint8)
        out = cat([_h(d), _nibbles(q)], 1)
    elif name == "MXFP4":
        m = np.abs(b).max(-1, keepdims=True)
        with np.errstate(divide="ignore"):
            e = np.where(m > 0, np.clip(np.floor(np.log2(m)) - 2 + 127, 0, 254), 0).astype(np.int32)
        q = np.abs((b / np.ldexp(np.float32(1), e - 127))[..., None] - KVALUES_FP4).argmin(-1).astype(np.uint8)
        out = cat([e.astype(np.uint8), _nibbles(q)], 1)
    elif name in ("Q4_K", "Q5_K"):
        d, dmin, sc, mn, q = _k_affine(b, 15 if name == "Q4_K" else 31, 32, 63)
        qs = np.zeros((len(b), 128), np.uint8)
        for k in range(256):
            qs[:, 32 * (k // 64) + k % 32] |= (q[:, k] & 15) << (4 * (k // 32 % 2))
        parts = [_h(d), _h(dmin), _pack_scales_k4(sc, mn)]
        if name == "Q5_K":
            qh = np.zeros((len(b), 32), np.uint8)
            for k in range(256):
                qh[:, k % 32] |= (q[:, k] >> 4) << (k // 32)
            parts.append(qh)
        out = cat(parts + [qs], 1)
    elif name == "Q2_K":
        d, dmin, sc, mn, q = _k_affine(b, 3, 16, 15)
        qs = np.zeros((len(b), 64), np.uint8)
        for k in range(256):
            qs[:, 32 * (k // 128) + k % 32] |= q[:, k] << (2 * (k % 128 // 32))
        out = cat([sc | (mn << 4), qs, _h(d), _h(dmin)], 1)
    elif name in ("Q3_K", "Q6_K", "IQ4_XS"):
        sub, half = {"Q3_K": (16, 4), "Q6_K": (16, 32), "IQ4_XS": (32, 127)}[name]
        y = b.reshape(len(b), -1, sub)
        m = np.take_along_axis(y, np.abs(y).argmax(-1)[..., None], -1)[..., 0]
        s = m / np.float32(-half)                                                       # scale per sub-block
        top = 127 if name == "Q6_K" else 31
        d = (np.abs(s).max(-1, keepdims=True) / top).astype("<f2").astype(np.float32)
        qsc = np.clip(np.rint(s * _inv(d)), -top - 1, top)
        z = (y * _inv(d * qsc)[..., None]).reshape(b.shape)
        if name == "IQ4_XS":
            q = np.abs(z[..., None] - KVALUES_IQ4NL).argmin(-1).astype(np.uint8)
            u = (qsc + 32).astype(np.uint16)
            lo = np.zeros((len(b), 4), np.uint8)
            hi = np.zeros((len(b), 1), np.uint16)
            for j in range(8):
                lo[:, j // 2] |= ((u[:, j] & 15) << (4 * (j % 2))).astype(np.uint8)
                hi[:, 0] |= (u[:, j] >> 4) << (2 * j)
            qs = cat([_nibbles(q[:, 32 * j:32 * j + 32]) for j in range(8)], 1)
            out = cat([_h(d), hi.astype("<u2").view(np.uint8), lo, qs], 1)
        else:
            q = (np.clip(np.rint(z), -half, half - 1) + half).astype(np.uint8)
            if name == "Q6_K":
                ql, qh = np.zeros((len(b), 128), np.uint8), np.zeros((len(b), 64), np.uint8)
                for k in range(256):
                    ql[:, 64 * (k // 128) + k % 64] |= (q[:, k] & 15) << (4 * (k % 128 // 64))
                    qh[:, 32 * (k // 128) + k % 32] |= (q[:, k] >> 4) << (2 * (k % 128 // 32))
                out = cat([ql, qh, qsc.astype(np.int8).view(np.uint8), _h(d)], 1)
            else:
                hm, qs, sc = np.zeros((len(b), 32), np.uint8), np.zeros((len(b), 64), np.uint8), np.zeros((len(b), 12), np.uint8)
                for k in range(256):
                    qs[:, 32 * (k // 128) + k % 32] |= (q[:, k] & 3) << (2 * (k % 128 // 32))
                    hm[:, k % 32] |= (q[:, k] >> 2) << (k // 32)
                u = (qsc + 32).astype(np.uint8)
                for j in range(16):
                    sc[:, j % 8] |= (u[:, j] & 15) << (4 * (j // 8))
                    sc[:, 8 + j % 4] |= (u[:, j] >> 4) << (2 * (j // 4))
                out = cat([hm, qs, sc, _h(d)], 1)
    else:
        raise ValueError(name)
    assert out.shape[1] == size, (name, out.shape)
    return np.ascontiguousarray(out).reshape(rows, -1)
