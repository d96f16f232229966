/* Quantised matmuls for AMX: panels of 16 rows, packed as for plain AVX-512. One instruction
 * multiplies tiles of bytes, here a group of 32 columns (or 16, where these have their own scale):
 *   A  [tokens, 32]   activations: the q of one block of up to 16 rows, where they lie
 *   B  [8, 16 * 4]    weights: the quads of a wblock, made signed, so that no sum is centred
 *   C  [tokens, 16]   sums in int32
 * C goes through L1 into vectors of 16 rows, one a token, where scales turn it into floats as on
 * every tier. That is most of the work, and waits for nothing: the products of the next groups are
 * on their way meanwhile. Few tokens go the way of VNNI.
 *
 * The scales of 16 columns multiply sums as floats, exactly: |sum| is at most 16 * 127 * 32 and
 * |scale| 128 (Q6_K), so both halves stay below 2^24. */
#include "kernels/x86/dot_words.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"
#include "kernels/simd/matmul_dots.h"
#include "kernels/x86/tiles.h"

enum {
    TILE = 16, /* tokens of a whole tile */
    AHEAD = 2, /* groups between a product and its use: a product takes longer than an addition */
    RING = 4   /* groups whose sums are kept, more than AHEAD */
};

/* Whole tiles take turns, so that one is filled while the other is in use: C is 0 or 1, A 2 or 3,
 * B 4 or 5. The tokens beyond whole tiles, `rest` in number, have C 6, A 7 and B 4. */
static void configure_tiles(const ag_qformat *f, int rest) {
    const int k = ag_qf_halves(f) ? 16 : 32;
    ag_tile_shapes s = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        const bool is_act = i == 2 || i == 3 || i == 7, is_weight = i == 4 || i == 5;
        s.row_bytes[i] = (uint16_t)(is_act ? k : 4 * V_ROWS);
        s.rows[i] = (uint8_t)(is_weight ? k / 4 : i < 6 ? TILE : rest ? rest : 1);
    }
    AG_IN_MEMORY(&s);
    _tile_loadconfig(&s);
}

#define MULTIPLY(c, a, b)                                                                          \
    do {                                                                                           \
        _tile_zero(c);                                                                             \
        _tile_loadd(b, w, 4 * V_ROWS);                                                             \
        _tile_loadd(a, q, stride);                                                                 \
        _tile_dpbssd(c, a, b);                                                                     \
        _tile_stored(c, sums, 4 * V_ROWS);                                                         \
    } while (0)

typedef struct group_sums {
    vi half[2][TILE]; /* of each 16 columns, or all in the first */
} group_sums;

/* The sums of group g of a slab with a whole tile of tokens, or with the rest. */
V_INLINE void multiply_group(const ag_qformat *f, bool whole, int g, const wblock *block,
                             const ag_q8_block *x, size_t stride, group_sums *out) {
    const int halves = ag_qf_halves(f) ? 2 : 1;
    UNROLL
    for (int half = 0; half < halves; half++) {
        const vi *w = block->w + 4 * half;
        const int8_t *q = x->q + 16 * half;
        vi *sums = out->half[half];
        if (!whole)
            MULTIPLY(6, 7, 4);
        else if ((halves == 2 ? half : g % 2) == 0)
            MULTIPLY(0, 2, 4);
        else
            MULTIPLY(1, 3, 5);
    }
}

/* What the weights of a group give to every token. Of 16 columns each: their scales, and Q2_K's
 * minima. */
typedef struct group_scales {
    vf scale, min;
    vf sc[2], mn[2];
} group_scales;

V_INLINE group_scales scales_of(const ag_qformat *f, const wblock *w) {
    group_scales s = {.scale = w->scale, .min = w->min};
    UNROLL
    for (int i = 0; i < 2; i++) {
        s.sc[i] = ag_qf_halves(f) ? vf_of_int(half_scale(f, w->sc[i])) : vf_zero();
        s.mn[i] = ag_qf_halves(f) ? vf_of_int(v_and(v_shr(w->sc[i], 4), scale_mask())) : vf_zero();
    }
    return s;
}

V_INLINE vf add_token(const ag_qformat *f, const group_scales *w, const ag_q8_block *x,
                      const group_sums *sums, int t, vf acc) {
    const vf d = vf_all(&x->d);
    vf sum = vf_of_int(sums->half[0][t]);
    if (ag_qf_halves(f))
        sum = vf_fma(w->sc[1], vf_of_int(sums->half[1][t]), vf_mul(w->sc[0], sum));
    acc = vf_fma(vf_mul(w->scale, d), sum, acc);
    if (f->min && ag_qf_halves(f)) {
        const vf s0 = vf_of_int(v_all4(&x->s16[0])), s1 = vf_of_int(v_all4(&x->s16[1]));
        return vf_fma(vf_mul(w->min, d), vf_fma(w->mn[1], s1, vf_mul(w->mn[0], s0)), acc);
    }
    return f->min ? vf_fma(w->min, vf_all(&x->dsum), acc) : acc;
}

V_INLINE const ag_q8_block *row_after(const ag_q8_block *x, size_t stride) {
    return (const ag_q8_block *)(const void *)((const char *)x + stride);
}

/* One addition: gcc would keep a pointer for every row, and load each from the stack. */
V_INLINE const ag_q8_block *next_row(const ag_q8_block *x, size_t stride) {
    x = row_after(x, stride);
    AG_AS_IS(x);
    return x;
}

/* A slab of one panel and nt tokens, a whole tile or the rest, added to acc, `step` vectors a
 * token.
 */
V_INLINE void add_groups(const ag_qformat *f, bool whole, int nt, const wblock *w, int n_groups,
                         const ag_q8_block *x, size_t stride, vf *acc, int step) {
    group_sums ring[RING];
    for (int g = 0; g < n_groups + AHEAD; g++) {
        if (g < n_groups)
            multiply_group(f, whole, g, w + g, x + g, stride, &ring[g % RING]);
        const int last = g - AHEAD;
        if (last < 0)
            continue;
        const group_scales scales = scales_of(f, w + last);
        const group_sums *done = &ring[last % RING];
        const ag_q8_block *row = x + last;
        UNROLL_TILE
        for (int t = 0; t < nt; t++, row = next_row(row, stride))
            acc[step * t] = add_token(f, &scales, row, done, t, acc[step * t]);
    }
}

/* A whole tile's sums stay in registers. sums: the panel's, 2 vectors a token. */
V_INLINE void whole_tile(const ag_qformat *f, const wblock *w, int n_groups, const ag_q8_block *x,
                         size_t stride, vf *sums) {
    vf acc[TILE];
    UNROLL_TILE
    for (int t = 0; t < TILE; t++)
        acc[t] = sums[2 * t];
    add_groups(f, true, TILE, w, n_groups, x, stride, acc, 1);
    UNROLL_TILE
    for (int t = 0; t < TILE; t++)
        sums[2 * t] = acc[t];
}

V_INLINE void tile_tokens(const ag_qformat *f, int np, const wblock *slab, int n_groups,
                          const ag_q8_block *x, size_t stride, int n_tok, vf (*sums)[2]) {
    AG_IN_MEMORY(slab);
    int t = 0;
    for (; t + TILE <= n_tok; t += TILE)
        for (int p = 0; p < np; p++)
            whole_tile(f, slab + p * V_SLAB, n_groups, row_after(x, t * stride), stride,
                       &sums[t][p]);
    for (int p = 0; p < np && t < n_tok; p++)
        add_groups(f, false, n_tok - t, slab + p * V_SLAB, n_groups, row_after(x, t * stride),
                   stride, &sums[t][p], 2);
}

/* From the unsigned weights that VNNI wants back to signed ones. */
V_INLINE void sign_weights(const ag_qformat *f, wblock *b) {
    const int more = is_signed(f)            ? 128
                     : f->table == AG_QT_FP4 ? 12
                     : f->offset             ? 1 << f->offset
                                             : 0;
    if (!more)
        return;
    UNROLL
    for (int j = 0; j < 8; j++)
        b->w[j] = _mm512_sub_epi8(b->w[j], v_set1(more));
}

#define V_SLAB_WEIGHTS sign_weights
#define V_SLAB_TOKENS(f, np, slab, n_groups, x, stride, n_tok, sums, next)                         \
    ((void)(next), tile_tokens(f, np, slab, n_groups, x, stride, n_tok, sums))
#define V_STEP      TILE
#define V_BLOCK     (8 * TILE)
#define V_ACT_BYTES (1 << 20)
#include "kernels/simd/matmul_quant.h"

#define RUN(id, name, ...)                                                                         \
    static void matmul_##name(const ag_matmul_args *a) {                                           \
        const ag_qformat f = AG_QFORMAT(id, name, __VA_ARGS__);                                    \
        if (a->n_tok <= V_DIRECT(&f)) {                                                            \
            run_direct(&f, a);                                                                     \
            return;                                                                                \
        }                                                                                          \
        configure_tiles(&f, a->n_tok % TILE);                                                      \
        run_slab(&f, a);                                                                           \
        _tile_release();                                                                           \
    }
AG_QFORMAT_MAP(RUN)

void ag_k_matmul_fill_amx(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_amx", V_ROWS, matmul_##name);
    AG_QFORMAT_MAP(PUT)
}
