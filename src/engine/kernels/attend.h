/* Private to the kernels room: what the attention of every ISA shares, namely the layout of a KV
 * block and the walk over blocks. An ISA supplies the inner loops (ag_attend_ops).
 *
 * One head of one block, d dimensions (a multiple of 16), 32 slots, element type F32, F16 or BF16:
 *
 *   K  [d][32 slots]        keys are lanes: q[i] is broadcast over dimension i of all keys
 *   V  [d / 16][32][16]     dimensions are lanes; a slab of 16 dimensions is read from end to end
 *
 * Q8_0 has int8 elements in the same order, followed by float16 scales, for K and V alike:
 *
 *   scales [ceil(d / 32)][32 slots]   value = scale * int8, exact in float32 (11 + 7 bits)
 *
 * Every stored value is thus exactly a float32, and the arithmetic is the same for all types: a
 * head of any type gives the bits that a float32 cache holding the same values would give.
 *
 * The arithmetic of one query row (the law: nothing else enters):
 *   s_j  = fma chain over i = 0 .. d-1 of (q[i] * scale) * K[i][j], from 0; then the soft cap
 *   per block in position order:  m' = max(m, visible s_j),  c = exp(m - m'),  p_j = exp(s_j - m')
 *     l = fma(l, c, sum of p in the order of ag_attend_soften),
 *     acc = acc * c, then fma(p_j, V[j], acc) for the visible j in order
 *   out = acc * (1 / l) */
#ifndef AG_KERNELS_ATTEND_H
#define AG_KERNELS_ATTEND_H

#include "kernels/kernels.h"

#define AG_ATTEND_SLAB  16 /* dimensions in a slab of V */
#define AG_ATTEND_STRIP 96 /* rows walked together; a multiple of every tile and usual group */

/* The rows of a strip that see one block. */
typedef struct ag_attend_rows {
    int n;
    float *s;          /* [n][32] scores in, weights p out; 0 for slots a row does not see */
    const uint8_t *lo; /* [n] slots lo .. hi-1 are visible, never none */
    const uint8_t *hi; /* [n] */
    float *m;          /* [n] largest score so far */
    float *l;          /* [n] sum of weights so far */
    float *corr;       /* [n] out: c, by which acc shrinks */
    float cap;         /* 0, or the soft cap */
} ag_attend_rows;

/* s[r][j] of 1 .. tile rows for all 32 slots. Slots that hold no key give anything. `next`, as
 * large as k, is what will be read then: it may be fetched meanwhile (the memory of a block comes
 * in pieces of some KB, too short for what a processor foresees by itself). Where nothing is to be
 * fetched it is what this call reads. */
typedef void ag_attend_score(const float *q, int rows, int d, const void *k, float *s,
                             const void *next);
/* acc[r] = acc[r] * corr[r], then += p[r][j] * V[j] for j = lo .. hi-1 only. */
typedef void ag_attend_mix(const float *p, const float *corr, int rows, int d, const void *v,
                           int lo, int hi, float *acc, const void *next);

typedef struct ag_attend_ops {
    int tile; /* rows that score and mix take at most */
    ag_attend_score *score;
    ag_attend_mix *mix;
    void (*soften)(const ag_attend_rows *rows);
    /* With many rows a block is first decoded to float32 in the same order of elements, and read
     * by the float32 loops. NULL: never. */
    void (*decode_k)(const void *k, int d, float *out);
    void (*decode_v)(const void *v, int d, float *out);
    int decode_from; /* rows from which decoding pays */
    ag_attend_score *score_f32;
    ag_attend_mix *mix_f32;
} ag_attend_ops;

/* ag_kv_ops.attend and .attend_scratch for these inner loops. */
void ag_attend_walk(const ag_attend_args *args, const ag_attend_ops *ops);
size_t ag_attend_scratch(int n_tok, int group, int d);

/* Where dimension i of slot j lies, in elements. */
static inline int ag_attend_k_at(int i, int j) { return i * AG_KV_BLOCK + j; }
static inline int ag_attend_v_at(int i, int j) {
    return (i / AG_ATTEND_SLAB * AG_KV_BLOCK + j) * AG_ATTEND_SLAB + i % AG_ATTEND_SLAB;
}
/* Q8_0: groups of 32 dimensions, and the scales [groups][32] behind the bytes. */
static inline int ag_attend_groups(int d) { return (d + 31) / 32; }
static inline const uint16_t *ag_attend_scales(const void *kv, int d) {
    return (const uint16_t *)((const uint8_t *)kv + (size_t)d * AG_KV_BLOCK);
}

#endif
