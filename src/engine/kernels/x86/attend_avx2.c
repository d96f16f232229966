/* Attention with AVX2, FMA and F16C: the inner loops of kernels/attend.h, equal to the plain ones
 * bit for bit.
 *
 * score and mix are the same small matrix product: R rows (broadcast from q or p) times NV vectors
 * of eight lanes (keys or dimensions), accumulated in R * NV registers over one chain. A value of
 * the cache is decoded once for R rows; R and NV are constants of each instance, and R * NV >= 8
 * where the rows allow it, which hides the latency of fma. Thread: any. */
#include <immintrin.h>

#include "kernels/attend.h"
#include "kernels/attend_store.h"
#include "kernels/fill.h"
#include "kernels/x86/exp_avx2.h"

#define INLINE static inline __attribute__((always_inline))
#define TILE   6

enum { F32, F16, BF16, Q8 }; /* the constant `type` of an instance */

/* Eight elements from element `at` on, as float32; those of Q8 still lack their scale. */
INLINE __m256 load8(int type, const void *base, size_t at) {
    if (type == F32)
        return _mm256_loadu_ps((const float *)base + at);
    if (type == Q8) {
        __m128i bytes = _mm_loadl_epi64((const __m128i *)((const int8_t *)base + at));
        return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    }
    __m128i words = _mm_loadu_si128((const __m128i *)((const uint16_t *)base + at));
    if (type == F16)
        return _mm256_cvtph_ps(words);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(words), 16));
}

/* Scores of R rows against 8 * NV keys from slot `c` on. */
INLINE void score_keys(int type, int R, int NV, const float *q, int d, const void *k, int c,
                       float *s) {
    __m256 acc[TILE][4], scale[4], b[4];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < NV; v++)
            acc[r][v] = _mm256_setzero_ps();
    const int run = type == Q8 ? 32 : d; /* dimensions that share their scales */
    for (int i0 = 0; i0 < d; i0 += run) {
        const int i1 = d - i0 < run ? d : i0 + run;
        for (int v = 0; type == Q8 && v < NV; v++)
            scale[v] = load8(F16, ag_attend_scales(k, d), (size_t)(i0 + c + 8 * v));
        for (int i = i0; i < i1; i++) {
            for (int v = 0; v < NV; v++) {
                b[v] = load8(type, k, (size_t)(i * AG_KV_BLOCK + c + 8 * v));
                if (type == Q8)
                    b[v] = _mm256_mul_ps(b[v], scale[v]);
            }
            for (int r = 0; r < R; r++) {
                __m256 a = _mm256_broadcast_ss(q + (size_t)r * (size_t)d + i);
                for (int v = 0; v < NV; v++)
                    acc[r][v] = _mm256_fmadd_ps(a, b[v], acc[r][v]);
            }
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < NV; v++)
            _mm256_storeu_ps(s + r * AG_KV_BLOCK + c + 8 * v, acc[r][v]);
}

INLINE void score_tile(int type, int R, const float *q, int d, const void *k, float *s) {
    const int NV = R <= 2 ? 4 : 2;
    for (int c = 0; c < AG_KV_BLOCK; c += 8 * NV)
        score_keys(type, R, NV, q, d, k, c, s);
}

/* Sums of R rows over 8 * NV dimensions from `c` on. */
INLINE void mix_dims(int type, int R, int NV, const float *p, const float *corr, int d,
                     const void *v, int lo, int hi, float *sums, int c) {
    __m256 acc[TILE][8], b[8];
    float scale[AG_KV_BLOCK];
    for (int r = 0; r < R; r++)
        for (int n = 0; n < NV; n++)
            acc[r][n] = _mm256_mul_ps(_mm256_loadu_ps(sums + (size_t)r * (size_t)d + c + 8 * n),
                                      _mm256_broadcast_ss(corr + r));
    if (type == Q8)
        for (int j = 0; j < AG_KV_BLOCK; j += 8)
            _mm256_storeu_ps(scale + j,
                             load8(F16, ag_attend_scales(v, d), (size_t)(c / 32 * 32 + j)));
    for (int j = lo; j < hi; j++) {
        for (int n = 0; n < NV; n++) {
            b[n] = load8(type, v, (size_t)(((c / 16 + n / 2) * AG_KV_BLOCK + j) * 16 + n % 2 * 8));
            if (type == Q8)
                b[n] = _mm256_mul_ps(b[n], _mm256_broadcast_ss(scale + j));
        }
        for (int r = 0; r < R; r++) {
            __m256 a = _mm256_broadcast_ss(p + r * AG_KV_BLOCK + j);
            for (int n = 0; n < NV; n++)
                acc[r][n] = _mm256_fmadd_ps(a, b[n], acc[r][n]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int n = 0; n < NV; n++)
            _mm256_storeu_ps(sums + (size_t)r * (size_t)d + c + 8 * n, acc[r][n]);
}

/* Groups of Q8 are 32 dimensions, so its vectors of one call must not pass such a boundary. */
INLINE void mix_tile(int type, int R, const float *p, const float *corr, int d, const void *v,
                     int lo, int hi, float *acc) {
    int c = 0;
    if (R == 1 && type != Q8)
        for (; c + 64 <= d; c += 64)
            mix_dims(type, R, 8, p, corr, d, v, lo, hi, acc, c);
    if (R <= 2)
        for (; c + 32 <= d; c += 32)
            mix_dims(type, R, 4, p, corr, d, v, lo, hi, acc, c);
    for (; c < d; c += 16)
        mix_dims(type, R, 2, p, corr, d, v, lo, hi, acc, c);
}

/* One instance for each number of rows. */
#define FOR_ROWS(rows, call)                                                                       \
    switch (rows) {                                                                                \
    case 1:                                                                                        \
        call(1);                                                                                   \
        break;                                                                                     \
    case 2:                                                                                        \
        call(2);                                                                                   \
        break;                                                                                     \
    case 3:                                                                                        \
        call(3);                                                                                   \
        break;                                                                                     \
    case 4:                                                                                        \
        call(4);                                                                                   \
        break;                                                                                     \
    case 5:                                                                                        \
        call(5);                                                                                   \
        break;                                                                                     \
    default:                                                                                       \
        call(6);                                                                                   \
    }
#define SCORE(R) score_tile(TYPE, R, q, d, k, s)
#define MIX(R)   mix_tile(TYPE, R, p, corr, d, v, lo, hi, acc)

#define TYPE F32
static void score_f32(const float *q, int rows, int d, const void *k, float *s) {
    FOR_ROWS(rows, SCORE)
}
static void mix_f32(const float *p, const float *corr, int rows, int d, const void *v, int lo,
                    int hi, float *acc) {
    FOR_ROWS(rows, MIX)
}
#undef TYPE
#define TYPE F16
static void score_f16(const float *q, int rows, int d, const void *k, float *s) {
    FOR_ROWS(rows, SCORE)
}
static void mix_f16(const float *p, const float *corr, int rows, int d, const void *v, int lo,
                    int hi, float *acc) {
    FOR_ROWS(rows, MIX)
}
#undef TYPE
#define TYPE BF16
static void score_bf16(const float *q, int rows, int d, const void *k, float *s) {
    FOR_ROWS(rows, SCORE)
}
static void mix_bf16(const float *p, const float *corr, int rows, int d, const void *v, int lo,
                     int hi, float *acc) {
    FOR_ROWS(rows, MIX)
}
#undef TYPE
#define TYPE Q8
static void score_q8(const float *q, int rows, int d, const void *k, float *s) {
    FOR_ROWS(rows, SCORE)
}
static void mix_q8(const float *p, const float *corr, int rows, int d, const void *v, int lo,
                   int hi, float *acc) {
    FOR_ROWS(rows, MIX)
}
#undef TYPE

/* Decoding: K and V of the plain types alike, element by element. */
static void decode_f16(const void *src, int d, float *out) {
    for (size_t i = 0; i < (size_t)d * AG_KV_BLOCK; i += 8)
        _mm256_storeu_ps(out + i, load8(F16, src, i));
}
static void decode_bf16(const void *src, int d, float *out) {
    for (size_t i = 0; i < (size_t)d * AG_KV_BLOCK; i += 8)
        _mm256_storeu_ps(out + i, load8(BF16, src, i));
}
static void decode_q8_k(const void *k, int d, float *out) {
    for (int j = 0; j < AG_KV_BLOCK; j += 8)
        for (int i0 = 0; i0 < d; i0 += 32) {
            const __m256 scale = load8(F16, ag_attend_scales(k, d), (size_t)(i0 + j));
            for (int i = i0; i < d && i < i0 + 32; i++) {
                const size_t at = (size_t)ag_attend_k_at(i, j);
                _mm256_storeu_ps(out + at, _mm256_mul_ps(load8(Q8, k, at), scale));
            }
        }
}
static void decode_q8_v(const void *v, int d, float *out) {
    float scale[AG_KV_BLOCK];
    for (int i = 0; i < d; i += AG_ATTEND_SLAB) {
        for (int j = 0; i % 32 == 0 && j < AG_KV_BLOCK; j += 8)
            _mm256_storeu_ps(scale + j, load8(F16, ag_attend_scales(v, d), (size_t)(i + j)));
        for (int j = 0; j < AG_KV_BLOCK; j++) {
            const size_t at = (size_t)ag_attend_v_at(i, j);
            const __m256 by = _mm256_broadcast_ss(scale + j);
            _mm256_storeu_ps(out + at, _mm256_mul_ps(load8(Q8, v, at), by));
            _mm256_storeu_ps(out + at + 8, _mm256_mul_ps(load8(Q8, v, at + 8), by));
        }
    }
}

static inline float max8(__m256 x) {
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

static inline float sum8(__m256 x) {
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

/* Scores outside lo .. hi-1 become -infinity, whatever they were. */
static inline void hide(__m256 s[4], int lo, int hi) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    for (int v = 0; v < 4; v++) {
        __m256i slot = _mm256_add_epi32(lane, _mm256_set1_epi32(8 * v));
        __m256i below = _mm256_cmpgt_epi32(_mm256_set1_epi32(lo), slot);
        __m256i seen = _mm256_andnot_si256(below, _mm256_cmpgt_epi32(_mm256_set1_epi32(hi), slot));
        s[v] = _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), s[v], _mm256_castsi256_ps(seen));
    }
}

static void soften(const ag_attend_rows *rows) {
    const __m256 cap = _mm256_set1_ps(rows->cap), inv_cap = _mm256_set1_ps(1.0f / rows->cap);
    for (int r = 0; r < rows->n; r++) {
        float *at = rows->s + (size_t)r * AG_KV_BLOCK;
        __m256 s[4];
        for (int v = 0; v < 4; v++)
            s[v] = _mm256_loadu_ps(at + 8 * v);
        for (int v = 0; rows->cap > 0.0f && v < 4; v++)
            s[v] = _mm256_mul_ps(cap, ag_tanh_avx2(_mm256_mul_ps(s[v], inv_cap)));
        if (rows->hi[r] - rows->lo[r] < AG_KV_BLOCK)
            hide(s, rows->lo[r], rows->hi[r]);
        float m = max8(_mm256_max_ps(_mm256_max_ps(s[0], s[1]), _mm256_max_ps(s[2], s[3])));
        m = m > rows->m[r] ? m : rows->m[r];
        for (int v = 0; v < 4; v++) {
            s[v] = ag_exp_neg_avx2(_mm256_sub_ps(s[v], _mm256_set1_ps(m)));
            _mm256_storeu_ps(at + 8 * v, s[v]);
        }
        float sum = sum8(_mm256_add_ps(_mm256_add_ps(s[0], s[2]), _mm256_add_ps(s[1], s[3])));
        rows->corr[r] = ag_exp_neg(rows->m[r] - m);
        rows->l[r] = fmaf(rows->l[r], rows->corr[r], sum);
        rows->m[r] = m;
    }
}

/* Two tiles decode twice, which is still cheaper than going through memory (measured). */
#define DECODE_FROM (2 * TILE + 1)

static const ag_attend_ops ops_f32 = {
    .tile = TILE, .score = score_f32, .mix = mix_f32, .soften = soften};
#define OPS(type, k, v)                                                                            \
    {                                                                                              \
        .tile = TILE, .score = score_##type, .mix = mix_##type, .soften = soften, .decode_k = k,   \
        .decode_v = v, .decode_from = DECODE_FROM, .score_f32 = score_f32, .mix_f32 = mix_f32      \
    }
static const ag_attend_ops ops_f16 = OPS(f16, decode_f16, decode_f16);
static const ag_attend_ops ops_bf16 = OPS(bf16, decode_bf16, decode_bf16);
static const ag_attend_ops ops_q8 = OPS(q8, decode_q8_k, decode_q8_v);

static void attend_f32(const ag_attend_args *args) { ag_attend_walk(args, &ops_f32); }
static void attend_f16(const ag_attend_args *args) { ag_attend_walk(args, &ops_f16); }
static void attend_bf16(const ag_attend_args *args) { ag_attend_walk(args, &ops_bf16); }
static void attend_q8(const ag_attend_args *args) { ag_attend_walk(args, &ops_q8); }

static void serve(ag_kv_ops *ops, const char *name, void (*attend)(const ag_attend_args *)) {
    ops->name = name;
    ops->attend = attend;
}

/* Sizes, writers and scratch stay the plain ones. */
void ag_k_attend_fill_avx2(ag_kernels *k) {
    serve(&k->kv[AG_KV_F32], "attend_f32_avx2", attend_f32);
    serve(&k->kv[AG_KV_F16], "attend_f16_avx2", attend_f16);
    serve(&k->kv[AG_KV_BF16], "attend_bf16_avx2", attend_bf16);
    serve(&k->kv[AG_KV_Q8_0], "attend_q8_0_avx2", attend_q8);
}
