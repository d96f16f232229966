/* Quantised matmuls for AMX: panels of 16 rows, packed as for plain AVX-512. One instruction
 * multiplies tiles of bytes, here a group of 32 columns:
 *   A  [tokens, 32]   activations: the q of one block of up to 16 rows, where they lie
 *   B  [8, 16 * 4]    weights: the quads of a wblock, made signed, so that no sum is centred
 *   C  [tokens, 16]   sums in int32
 * C goes through L1 into vectors of 16 rows, one a token, where scales turn it into floats as on
 * every tier. That is most of the work, and waits for nothing: the products of the next groups are
 * on their way meanwhile. A product is stored after the next one has begun, since a store that
 * waits for its product holds up the tiles behind it.
 *
 * Up to 64 tokens go direct, a panel after the other: a group is unpacked, multiplied, forgotten;
 * what has 8 bits is multiplied where it lies. The fewest go the way of VNNI, and so do types with
 * a scale for each 16 columns, of which a tile multiplies half as much. */
#define V_ACT_BYTES (1 << 20)
#define V_SLAB      16 /* fewer starts of the sequence below, and still 20 KiB */
#include "kernels/x86/dot_words.h"

#include "kernels/fill.h"
#include "kernels/ref/matmul.h"
#include "kernels/simd/matmul_dots.h"
#include "kernels/x86/tiles.h"

enum {
    TILE = 16,       /* tokens of a whole tile */
    DIRECT_FROM = 5, /* fewer tokens go the way of VNNI */
    DIRECT_TO = 64,  /* more share what is unpacked */
    LAG = 2,         /* groups between a product and its use: it takes longer than an addition */
    RING = 4,        /* groups whose sums are kept, more than LAG */
    EARLY = 2,       /* groups between unpacking and the product */
    SLOTS = 8        /* groups that stay unpacked, more than EARLY + LAG */
};

/* Tiles of n tokens take turns, so that one is filled while the other is in use: C is 0 or 1, A 2
 * or 3, B 4 or 5. */
static void configure_tiles(int n) {
    ag_tile_shapes s = {.palette = 1};
    for (int i = 0; i < 6; i++) {
        s.row_bytes[i] = (uint16_t)(i / 2 == 1 ? 32 : 4 * V_ROWS);
        s.rows[i] = (uint8_t)(i / 2 == 2 ? 8 : n);
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
    } while (0)

typedef struct group_sums {
    vi token[TILE];
} group_sums;

V_INLINE void multiply_group(int g, const vi w[8], const int8_t *q, size_t stride) {
    if (g % 2 == 0)
        MULTIPLY(0, 2, 4);
    else
        MULTIPLY(1, 3, 5);
}

V_INLINE void store_group(int g, group_sums *out) {
    if (g % 2 == 0)
        _tile_stored(0, out, 4 * V_ROWS);
    else
        _tile_stored(1, out, 4 * V_ROWS);
}

/* What tiles of n tokens leave alone and add_sums() reads. */
V_INLINE void clear_beyond(int nt, int n, group_sums ring[RING]) {
    for (int i = 0; i < RING; i++)
        for (int t = n; t < nt; t++)
            ring[i].token[t] = v_zero();
}

V_INLINE vf add_token(const ag_qformat *f, const wblock *w, const ag_q8_block *x, vi sum, vf acc) {
    acc = vf_fma(vf_mul(w->scale, vf_all(&x->d)), vf_of_int(sum), acc);
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

/* The sums of one group and n tokens, scaled and added to acc; nt is n, or n rounded up to a
 * multiple of 4: what is beyond n meets the last row again. */
V_INLINE void add_sums(const ag_qformat *f, int nt, int n, const wblock *w, const ag_q8_block *row,
                       size_t stride, const group_sums *sums, vf *acc) {
    UNROLL_TILE
    for (int t = 0; t < nt; t++) {
        acc[t] = add_token(f, w, row, sums->token[t], acc[t]);
        row = next_row(row, t + 4 < nt || t + 1 < n ? stride : 0);
    }
}

/* A slab of one panel and n tokens; nt is as for add_sums(). sums: the panel's, 2 vectors a token;
 * they stay in registers meanwhile. */
V_INLINE void slab_sums(const ag_qformat *f, int nt, int n, const wblock *w, int n_groups,
                        const ag_q8_block *x, size_t stride, vf *sums) {
    group_sums ring[RING];
    vf acc[TILE];
    UNROLL_TILE
    for (int t = 0; t < nt; t++)
        acc[t] = t < n ? sums[2 * t] : vf_zero();
    clear_beyond(nt, n, ring);
    for (int g = 0; g < n_groups + LAG; g++) {
        const int last = g - LAG;
        if (g < n_groups)
            multiply_group(g, w[g].w, x[g].q, stride);
        if (g > 0 && g <= n_groups)
            store_group(g - 1, &ring[(g - 1) % RING]);
        if (last >= 0)
            add_sums(f, nt, n, w + last, x + last, stride, &ring[last % RING], acc);
    }
    UNROLL_TILE
    for (int t = 0; t < nt; t++)
        if (t < n)
            sums[2 * t] = acc[t];
}

V_INLINE void tile_tokens(const ag_qformat *f, int np, const wblock *slab, int n_groups,
                          const ag_q8_block *x, size_t stride, int n_tok, vf (*sums)[2]) {
    AG_IN_MEMORY(slab);
    int t = 0;
    for (; t + TILE <= n_tok; t += TILE)
        for (int p = 0; p < np; p++)
            slab_sums(f, TILE, TILE, slab + p * V_SLAB, n_groups, row_after(x, t * stride), stride,
                      &sums[t][p]);
    const int rest = n_tok - t;
    if (!rest)
        return;
    x = row_after(x, t * stride);
    configure_tiles(rest);
    for (int p = 0; p < np; p++, slab += V_SLAB)
        if (rest <= 4)
            slab_sums(f, 4, rest, slab, n_groups, x, stride, &sums[t][p]);
        else if (rest <= 8)
            slab_sums(f, 8, rest, slab, n_groups, x, stride, &sums[t][p]);
        else if (rest <= 12)
            slab_sums(f, 12, rest, slab, n_groups, x, stride, &sums[t][p]);
        else
            slab_sums(f, TILE, rest, slab, n_groups, x, stride, &sums[t][p]);
    configure_tiles(TILE);
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
#define V_AHEAD 4096 /* a panel takes less time than with VNNI */
#define V_STEP  TILE
#define V_BLOCK (16 * TILE)
#include "kernels/simd/matmul_quant.h"

/* Weights of a group as a tile wants them: unpacked, or 8 bits where they lie. */
V_INLINE const vi *place_group(const ag_qformat *f, const uint8_t *unit, const unit_head *head,
                               int sub, wblock *slot) {
    if (f->bits == 8) {
        slot->scale = head->d;
        return (const vi *)(const void *)(unit + f->head * V_ROWS);
    }
    wblock b; /* in registers until it is done */
    unpack(f, unit, head, sub, &b);
    sign_weights(f, &b);
    *slot = b;
    AG_IN_MEMORY(slot);
    return slot->w;
}

/* One panel and n tokens from `tok` on, all columns; nt is n, rounded up to a multiple of 4. A tile
 * waits for stores to where it is loaded from, so groups are unpacked early. */
V_INLINE void direct_tiles(const ag_qformat *f, int nt, int n, const ag_matmul_args *a, int tok,
                           int panel) {
    const int in_unit = f->unit / 32, n_groups = a->cols / 32;
    const int early = f->bits == 8 ? 0 : EARLY;
    const uint8_t *unit =
        (const uint8_t *)a->w + (size_t)panel * ag_qf_panel_bytes(f, V_ROWS, a->cols);
    const ag_q8_block *x = act_row(a, tok);
    const size_t stride = a->act_stride;
    unit_head head = {vf_zero(), vf_zero()};
    wblock slots[SLOTS];
    group_sums ring[RING];
    vf acc[TILE];
    UNROLL_TILE
    for (int t = 0; t < nt; t++)
        acc[t] = vf_zero();
    clear_beyond(nt, n, ring);
    for (int i = 0; i < n_groups + early + LAG; i++) {
        const int g = i - early, last = g - LAG;
        const vi *w = slots[g & (SLOTS - 1)].w; /* g may be negative */
        if (i < n_groups) {
            const int sub = i % in_unit;
            if (sub == 0)
                head = read_head(f, unit);
            ask_ahead(f, unit, sub);
            const vi *placed = place_group(f, unit, &head, sub, &slots[i % SLOTS]);
            if (g == i)
                w = placed;
            if (sub == in_unit - 1)
                unit += unit_bytes(f);
        }
        if (g >= 0 && g < n_groups)
            multiply_group(g, w, x[g].q, stride);
        if (g > 0 && g <= n_groups)
            store_group(g - 1, &ring[(g - 1) % RING]);
        if (last < 0)
            continue;
        add_sums(f, nt, n, &slots[last % SLOTS], x + last, stride, &ring[last % RING], acc);
    }
    UNROLL_TILE
    for (int t = 0; t < nt; t++)
        if (t < n)
            store_rows(a, tok + t, panel, acc[t]);
}

/* Tiles of one height, the last of them with tokens of the one before, too. */
V_INLINE void run_direct_tiles(const ag_qformat *f, const ag_matmul_args *a) {
    const int tiles = (a->n_tok + TILE - 1) / TILE, n = (a->n_tok + tiles - 1) / tiles;
    configure_tiles(n);
    for (int p = a->panel0; p < a->panel1; p++)
        for (int i = 0; i < tiles; i++) {
            const int tok = i < tiles - 1 ? i * n : a->n_tok - n;
            if (n <= 8)
                direct_tiles(f, 8, n, a, tok, p);
            else if (n <= 12)
                direct_tiles(f, 12, n, a, tok, p);
            else
                direct_tiles(f, TILE, n, a, tok, p);
        }
    _tile_release();
}

V_INLINE void run_slab_tiles(const ag_qformat *f, const ag_matmul_args *a) {
    configure_tiles(TILE);
    run_slab(f, a);
    _tile_release();
}

/* VNNI's kernels, for few tokens. Written when a table is filled, constant afterwards. */
static void (*few_tokens[AG_T_LIMIT])(const ag_matmul_args *a);

/* Functions of their own: in one, the compiler keeps neither's sums in registers. */
#define RUN(id, name, ...)                                                                         \
    __attribute__((noinline)) static void direct_##name(const ag_matmul_args *a) {                 \
        run_direct_tiles(&(const ag_qformat)AG_QFORMAT(id, name, __VA_ARGS__), a);                 \
    }                                                                                              \
    static void matmul_##name(const ag_matmul_args *a) {                                           \
        if (a->n_tok < DIRECT_FROM)                                                                \
            few_tokens[AG_T_##id](a);                                                              \
        else if (a->n_tok <= DIRECT_TO)                                                            \
            direct_##name(a);                                                                      \
        else                                                                                       \
            run_slab_tiles(&(const ag_qformat)AG_QFORMAT(id, name, __VA_ARGS__), a);               \
    }
AG_QFORMAT_MAP(RUN)

/* k holds VNNI's. */
void ag_k_matmul_fill_amx(ag_kernels *k) {
#define PUT(id, name, ...)                                                                         \
    if (!ag_qf_halves(&(const ag_qformat)AG_QFORMAT(id, name, __VA_ARGS__))) {                     \
        few_tokens[AG_T_##id] = k->matmul[AG_T_##id].run;                                          \
        ag_k_matmul_put(k, AG_T_##id, "matmul_" #name "_amx", V_ROWS, matmul_##name);              \
    }
    AG_QFORMAT_MAP(PUT)
}
