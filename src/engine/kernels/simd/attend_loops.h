/* Private to the kernels room: the inner loops of attention (kernels/attend.h) written in the words
 * of an ISA, equal to the plain ones bit for bit. Include after the words, once.
 *
 * score and mix are the same small matrix product: R rows (broadcast from q or p) times NV vectors
 * of W lanes (keys or dimensions), accumulated in R * NV registers, one chain each. A value of the
 * cache is decoded once for R rows; R and NV are constants of each instance. R * NV of 8 or more
 * hides the latency of fma; a single row cannot reach that over 32 keys, but then waits for memory.
 */
#ifndef AG_KERNELS_SIMD_ATTEND_LOOPS_H
#define AG_KERNELS_SIMD_ATTEND_LOOPS_H

#include "kernels/attend.h"
#include "kernels/simd/exp_words.h"

/* Loops over R and NV vanish; without this gcc keeps the larger ones, and with them the sums in
 * memory. */
#ifndef __OPTIMIZE__ /* gcc refuses the annotation */
#define W_UNROLL
#elif defined(__clang__)
#define W_UNROLL _Pragma("unroll")
#else
#define W_UNROLL _Pragma("GCC unroll 8")
#endif

#define SCORE_VECTORS (AG_KV_BLOCK / W) /* vectors of one row's scores */

enum { F32, F16, BF16, Q8 }; /* the constant `type` of an instance */

/* W elements from element `at` on; those of Q8 still lack their scale. */
W_INLINE wf load_kv(int type, const void *base, size_t at) {
    switch (type) {
    case F32:
        return w_load((const float *)base + at);
    case F16:
        return w_load_f16((const uint16_t *)base + at);
    case BF16:
        return w_load_bf16((const uint16_t *)base + at);
    default:
        return w_load_i8((const int8_t *)base + at);
    }
}

/* Fetches n elements of `next`, as many as are read now, so all of it by the end of the loops. */
W_INLINE void fetch(int type, const void *next, size_t at, int n) {
    const size_t width = type == F32 ? 4 : type == Q8 ? 1 : 2;
    for (size_t i = 0; i < (size_t)n * width; i += 64)
        __builtin_prefetch((const char *)next + at * width + i);
}

/* Scores of R rows against W * NV keys from slot `c` on. */
W_INLINE void score_keys(int type, int R, int NV, const float *q, int d, const void *k, int c,
                         float *s, const void *next) {
    wf acc[W_TILE][4], scale[4], b[4];
    W_UNROLL
    for (int r = 0; r < R; r++) {
        W_UNROLL
        for (int n = 0; n < NV; n++)
            acc[r][n] = w_all(0.0f);
    }
    const int run = type == Q8 ? 32 : d; /* dimensions that share their scales */
    for (int i0 = 0; i0 < d; i0 += run) {
        const int i1 = d - i0 < run ? d : i0 + run;
        W_UNROLL
        for (int n = 0; type == Q8 && n < NV; n++)
            scale[n] = w_load_f16(ag_attend_scales(k, d) + i0 + c + W * n);
        for (int i = i0; i < i1; i++) {
            fetch(type, next, (size_t)(c * d + i * W * NV), W * NV);
            W_UNROLL
            for (int n = 0; n < NV; n++) {
                b[n] = load_kv(type, k, (size_t)ag_attend_k_at(i, c + W * n));
                if (type == Q8)
                    b[n] = w_mul(b[n], scale[n]);
            }
            W_UNROLL
            for (int r = 0; r < R; r++) {
                const wf a = w_all(q[(size_t)r * (size_t)d + i]);
                W_UNROLL
                for (int n = 0; n < NV; n++)
                    acc[r][n] = w_fma(a, b[n], acc[r][n]);
            }
        }
    }
    W_UNROLL
    for (int r = 0; r < R; r++) {
        W_UNROLL
        for (int n = 0; n < NV; n++)
            w_store(s + r * AG_KV_BLOCK + c + W * n, acc[r][n]);
    }
}

W_INLINE void score_tile(int type, int R, const float *q, int d, const void *k, float *s,
                         const void *next) {
    const int NV = R <= 2 ? SCORE_VECTORS : 2;
    for (int c = 0; c < AG_KV_BLOCK; c += W * NV)
        score_keys(type, R, NV, q, d, k, c, s, next);
}

/* Sums of R rows over W * NV dimensions from `c` on, which begin a slab. */
W_INLINE void mix_dims(int type, int R, int NV, const float *p, const float *corr, int d,
                       const void *v, int lo, int hi, float *sums, int c, const void *next) {
    wf acc[W_TILE][8], b[8];
    float scale[AG_KV_BLOCK];
    W_UNROLL
    for (int r = 0; r < R; r++) {
        W_UNROLL
        for (int n = 0; n < NV; n++)
            acc[r][n] = w_mul(w_load(sums + (size_t)r * (size_t)d + c + W * n), w_all(corr[r]));
    }
    for (int j = 0; type == Q8 && j < AG_KV_BLOCK; j += W)
        w_store(scale + j, w_load_f16(ag_attend_scales(v, d) + c / 32 * 32 + j));
    const size_t slab = (size_t)ag_attend_v_at(c, 0);
    for (int j = lo; j < hi; j++) {
        fetch(type, next, (size_t)(c * AG_KV_BLOCK + j * W * NV), W * NV);
        W_UNROLL
        for (int n = 0; n < NV; n++) {
            b[n] = load_kv(type, v, slab + (size_t)ag_attend_v_at(W * n, j));
            if (type == Q8)
                b[n] = w_mul(b[n], w_all(scale[j]));
        }
        W_UNROLL
        for (int r = 0; r < R; r++) {
            const wf a = w_all(p[r * AG_KV_BLOCK + j]);
            W_UNROLL
            for (int n = 0; n < NV; n++)
                acc[r][n] = w_fma(a, b[n], acc[r][n]);
        }
    }
    W_UNROLL
    for (int r = 0; r < R; r++) {
        W_UNROLL
        for (int n = 0; n < NV; n++)
            w_store(sums + (size_t)r * (size_t)d + c + W * n, acc[r][n]);
    }
}

/* Groups of Q8 are 32 dimensions, so the vectors of one of its calls must stay inside one. */
W_INLINE void mix_tile(int type, int R, const float *p, const float *corr, int d, const void *v,
                       int lo, int hi, float *acc, const void *next) {
    int c = 0;
    if (R == 1 && type != Q8)
        for (; c + 8 * W <= d; c += 8 * W)
            mix_dims(type, R, 8, p, corr, d, v, lo, hi, acc, c, next);
    if (R <= 2 && (type != Q8 || 4 * W <= 32))
        for (; c + 4 * W <= d; c += 4 * W)
            mix_dims(type, R, 4, p, corr, d, v, lo, hi, acc, c, next);
    for (; c + 2 * W <= d; c += 2 * W)
        mix_dims(type, R, 2, p, corr, d, v, lo, hi, acc, c, next);
    if (W == AG_ATTEND_SLAB && c < d)
        mix_dims(type, R, 1, p, corr, d, v, lo, hi, acc, c, next);
}

/* An instance for each number of rows. A tier with smaller tiles has no use for the last two. */
#define FOR_ROWS(rows, CALL)                                                                       \
    switch (rows) {                                                                                \
    case 1:                                                                                        \
        CALL(1);                                                                                   \
        break;                                                                                     \
    case 2:                                                                                        \
        CALL(2);                                                                                   \
        break;                                                                                     \
    case 3:                                                                                        \
        CALL(3);                                                                                   \
        break;                                                                                     \
    case 4:                                                                                        \
        CALL(4);                                                                                   \
        break;                                                                                     \
    case 5:                                                                                        \
        CALL(5);                                                                                   \
        break;                                                                                     \
    case 6:                                                                                        \
        CALL(6);                                                                                   \
        break;                                                                                     \
    case 7:                                                                                        \
        if (W_TILE >= 7)                                                                           \
            CALL(W_TILE >= 7 ? 7 : 1);                                                             \
        break;                                                                                     \
    case 8:                                                                                        \
        if (W_TILE >= 8)                                                                           \
            CALL(W_TILE >= 8 ? 8 : 1);                                                             \
    }

/* score_NAME and mix_NAME of a type. */
#define INNER(NAME, TYPE)                                                                          \
    static void score_##NAME(const float *q, int rows, int d, const void *k, float *s,             \
                             const void *next) {                                                   \
        FOR_ROWS(rows, SCORE_##TYPE)                                                               \
    }                                                                                              \
    static void mix_##NAME(const float *p, const float *corr, int rows, int d, const void *v,      \
                           int lo, int hi, float *acc, const void *next) {                         \
        FOR_ROWS(rows, MIX_##TYPE)                                                                 \
    }
#define SCORE_F32(R)  score_tile(F32, R, q, d, k, s, next)
#define SCORE_F16(R)  score_tile(F16, R, q, d, k, s, next)
#define SCORE_BF16(R) score_tile(BF16, R, q, d, k, s, next)
#define SCORE_Q8(R)   score_tile(Q8, R, q, d, k, s, next)
#define MIX_F32(R)    mix_tile(F32, R, p, corr, d, v, lo, hi, acc, next)
#define MIX_F16(R)    mix_tile(F16, R, p, corr, d, v, lo, hi, acc, next)
#define MIX_BF16(R)   mix_tile(BF16, R, p, corr, d, v, lo, hi, acc, next)
#define MIX_Q8(R)     mix_tile(Q8, R, p, corr, d, v, lo, hi, acc, next)

INNER(f32, F32)
INNER(f16, F16)
INNER(bf16, BF16)
INNER(q8, Q8)

/* Decoding: K and V of the plain types alike, element by element. */
static void decode_f16(const void *src, int d, float *out) {
    for (size_t i = 0; i < (size_t)d * AG_KV_BLOCK; i += W)
        w_store(out + i, load_kv(F16, src, i));
}
static void decode_bf16(const void *src, int d, float *out) {
    for (size_t i = 0; i < (size_t)d * AG_KV_BLOCK; i += W)
        w_store(out + i, load_kv(BF16, src, i));
}
static void decode_q8_k(const void *k, int d, float *out) {
    for (int j = 0; j < AG_KV_BLOCK; j += W)
        for (int i0 = 0; i0 < d; i0 += 32) {
            const wf scale = w_load_f16(ag_attend_scales(k, d) + i0 + j);
            for (int i = i0; i < d && i < i0 + 32; i++) {
                const size_t at = (size_t)ag_attend_k_at(i, j);
                w_store(out + at, w_mul(load_kv(Q8, k, at), scale));
            }
        }
}
static void decode_q8_v(const void *v, int d, float *out) {
    float scale[AG_KV_BLOCK];
    for (int i = 0; i < d; i += AG_ATTEND_SLAB) {
        for (int j = 0; i % 32 == 0 && j < AG_KV_BLOCK; j += W)
            w_store(scale + j, w_load_f16(ag_attend_scales(v, d) + i + j));
        for (int j = 0; j < AG_KV_BLOCK; j++)
            for (int n = 0; n < AG_ATTEND_SLAB; n += W) {
                const size_t at = (size_t)ag_attend_v_at(i + n, j);
                w_store(out + at, w_mul(load_kv(Q8, v, at), w_all(scale[j])));
            }
    }
}

static void soften(const ag_attend_rows *rows) {
    const wf cap = w_all(rows->cap), inv_cap = w_all(1.0f / rows->cap);
    for (int r = 0; r < rows->n; r++) {
        float *at = rows->s + (size_t)r * AG_KV_BLOCK;
        const int lo = rows->lo[r], hi = rows->hi[r];
        wf s[SCORE_VECTORS], tops = w_all(-INFINITY);
        for (int n = 0; n < SCORE_VECTORS; n++) {
            s[n] = w_load(at + W * n);
            if (rows->cap > 0.0f)
                s[n] = w_mul(cap, w_tanh(w_mul(s[n], inv_cap)));
            if (hi - lo < AG_KV_BLOCK)
                s[n] = w_show(s[n], W * n, lo, hi);
            tops = w_max(s[n], tops);
        }
        float m = w_top(tops);
        m = m > rows->m[r] ? m : rows->m[r];
        for (int n = 0; n < SCORE_VECTORS; n++) {
            s[n] = w_exp_neg(w_sub(s[n], w_all(m)));
            w_store(at + W * n, s[n]);
        }
        rows->corr[r] = ag_exp_neg(rows->m[r] - m);
        rows->l[r] = fmaf(rows->l[r], rows->corr[r], w_sum32(s));
        rows->m[r] = m;
    }
}

/* Two tiles decode twice, which is still cheaper than going through memory (measured). */
#define DECODE_FROM (2 * W_TILE + 1)

static const ag_attend_ops ops_f32 = {
    .tile = W_TILE, .score = score_f32, .mix = mix_f32, .soften = soften};
#define OPS(NAME, K, V)                                                                            \
    {                                                                                              \
        .tile = W_TILE, .score = score_##NAME, .mix = mix_##NAME, .soften = soften, .decode_k = K, \
        .decode_v = V, .decode_from = DECODE_FROM, .score_f32 = score_f32, .mix_f32 = mix_f32      \
    }
static const ag_attend_ops ops_f16 = OPS(f16, decode_f16, decode_f16);
static const ag_attend_ops ops_bf16 = OPS(bf16, decode_bf16, decode_bf16);
static const ag_attend_ops ops_q8 = OPS(q8, decode_q8_k, decode_q8_v);

static void attend_f32(const ag_attend_args *args) { ag_attend_walk(args, &ops_f32); }
static void attend_f16(const ag_attend_args *args) { ag_attend_walk(args, &ops_f16); }
static void attend_bf16(const ag_attend_args *args) { ag_attend_walk(args, &ops_bf16); }
static void attend_q8(const ag_attend_args *args) { ag_attend_walk(args, &ops_q8); }

static void attend_serve(ag_kv_ops *ops, const char *name, void (*run)(const ag_attend_args *)) {
    ops->name = name;
    ops->attend = run;
}

#endif
