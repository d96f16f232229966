/* The matmul of BF16 for AMX, panels of 16 rows: they lie as tiles want them.
 *   A  [16, 32]       activations: 32 columns of 16 tokens, where they lie
 *   B  [16, 16 * 2]   weights: 16 pairs of columns of 16 rows
 *   C  [16, 16]       sums in float32, that stay in their tile for a span of columns, and in `out`
 *                     between spans
 * Nothing is unpacked and nothing scaled, so the arithmetic is all there is, and what bounds it is
 * L2: two panels and two tiles of tokens take a line of it for each cycle of the product, all of a
 * row's columns at a time, since sums that come and go cost more than weights that do. What an
 * instruction adds in which order is in ref/matmul.c. Few tokens go the way of AVX-512. */
#define B_PAIRS
#include "kernels/x86/dot_words.h"

#include "kernels/fill.h"
#include "kernels/half.h"
#include "kernels/ref/matmul.h"
#include "kernels/simd/matmul_quant.h"
#include "kernels/x86/tiles.h"

#include "kernels/simd/matmul_bf16.h"

enum {
    TILE = 16,       /* tokens, rows, and pairs of columns of a tile */
    TILE_BYTES = 64, /* of a row of any of them */
    BLOCK = 256,     /* most tokens of a block */
    STAY = 1 << 20   /* bytes of activations that stay in L2 */
};

/* C 0 to 3, A 4 and 5, B 6 and 7. */
static void configure_tiles(void) {
    ag_tile_shapes s = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        s.row_bytes[i] = TILE_BYTES;
        s.rows[i] = TILE;
    }
    AG_IN_MEMORY(&s);
    _tile_loadconfig(&s);
}

/* A tile's sums: in `out`, or beside it where a part of the tile has no place there. */
typedef struct tile_sums {
    float *at;
    size_t stride; /* bytes from token to token */
} tile_sums;

/* Weights that are wanted next: lines [from, from + n) of each tile of the next panels. */
typedef struct next_panels {
    const uint8_t *at;
    int from, n;
} next_panels;

#define START(c, sums)                                                                             \
    do {                                                                                           \
        if (first)                                                                                 \
            _tile_zero(c);                                                                         \
        else                                                                                       \
            _tile_loadd(c, (sums).at, (sums).stride);                                              \
    } while (0)

#define STORE(c, sums) _tile_stored(c, (sums).at, (sums).stride)

/* The sums of np panels and nt tiles of tokens are in C. */
#define MOVE_SUMS(move)                                                                            \
    do {                                                                                           \
        move(0, sums[0][0]);                                                                       \
        if (np == 2)                                                                               \
            move(1, sums[0][1]);                                                                   \
        if (nt == 2)                                                                               \
            move(2, sums[1][0]);                                                                   \
        if (np == 2 && nt == 2)                                                                    \
            move(3, sums[1][1]);                                                                   \
    } while (0)

/* A span of np panels and nt tiles of tokens, tile i from x[i] on; sums: [i][panel]. */
V_INLINE void multiply_span(int np, int nt, bool first, const uint8_t *w, size_t w_step,
                            const uint8_t *const x[2], size_t stride, int n_blocks,
                            const tile_sums sums[2][2], next_panels next) {
    MOVE_SUMS(START);
    for (int b = 0; b < n_blocks; b++) {
        const size_t tile = (size_t)b * (TILE * TILE_BYTES);
        for (int i = next.from; i < next.from + next.n; i++)
            for (int p = 0; p < np; p++)
                __builtin_prefetch(next.at + p * w_step + tile + i * TILE_BYTES, 0, 2);
        _tile_loadd(6, w + tile, TILE_BYTES);
        _tile_loadd(4, x[0] + b * TILE_BYTES, stride);
        if (np == 2)
            _tile_loadd(7, w + w_step + tile, TILE_BYTES);
        if (nt == 2)
            _tile_loadd(5, x[1] + b * TILE_BYTES, stride);
        _tile_dpbf16ps(0, 4, 6);
        if (np == 2)
            _tile_dpbf16ps(1, 4, 7);
        if (nt == 2)
            _tile_dpbf16ps(2, 5, 6);
        if (np == 2 && nt == 2)
            _tile_dpbf16ps(3, 5, 7);
    }
    MOVE_SUMS(STORE);
}

/* One or two tiles of np panels: tokens [tok, end), of which the second tile, or the only one, may
 * have fewer than 16. It then begins before them, and only their sums are kept. a has no bias. */
V_INLINE void tile_span(int np, int nt, const ag_matmul_args *a, int panel, int tok, int end, int b,
                        int n_blocks, next_panels next) {
    const size_t w_step = ag_bf16_panel_bytes(V_ROWS, a->cols);
    const uint8_t *w = bf16_panel(a, panel) + (size_t)b * (TILE * TILE_BYTES);
    const bool first = b == 0;
    vf aside[2][2][TILE];
    tile_sums sums[2][2];
    const uint8_t *x[2];
    bool is_whole[2][2];
    int from[2];
    for (int i = 0; i < nt; i++) {
        const int at = tok + i * TILE;
        from[i] = at + TILE <= end ? at : end - TILE;
        x[i] = bf16_row(a, from[i]) + b * TILE_BYTES;
        for (int p = 0; p < np; p++) {
            const int row = (panel + p) * V_ROWS;
            is_whole[i][p] = from[i] == at && row + V_ROWS <= a->rows;
            sums[i][p] = (tile_sums){a->out + (size_t)at * a->out_stride + row,
                                     a->out_stride * sizeof *a->out};
            if (is_whole[i][p])
                continue;
            sums[i][p] = (tile_sums){(float *)aside[i][p], sizeof **aside[i]};
            for (int t = 0; t < TILE && !first; t++)
                aside[i][p][t] = load_rows(a, from[i] + t, panel + p);
        }
    }
    AG_IN_MEMORY(aside);
    multiply_span(np, nt, first, w, w_step, x, a->act_stride, n_blocks, sums, next);
    AG_IN_MEMORY(aside);
    for (int i = 0; i < nt; i++)
        for (int p = 0; p < np; p++)
            for (int t = tok + i * TILE; t < from[i] + TILE && !is_whole[i][p]; t++)
                store_rows(a, t, panel + p, aside[i][p][t - from[i]]);
}

/* np panels, tokens [tok, end), the blocks of 32 columns [b, b + n_blocks). */
V_INLINE void panels_span(int np, const ag_matmul_args *a, int panel, int tok, int end, int b,
                          int n_blocks) {
    const int passes = (end - tok + 2 * TILE - 1) / (2 * TILE);
    ag_matmul_args plain = *a;
    plain.bias = NULL;
    next_panels next = {bf16_panel(a, panel + np) + (size_t)b * (TILE * TILE_BYTES), 0,
                        (TILE + passes - 1) / passes};
    for (int t = tok; t < end; t += 2 * TILE, next.from += next.n) {
        if (t + TILE < end)
            tile_span(np, 2, &plain, panel, t, end, b, n_blocks, next);
        else
            tile_span(np, 1, &plain, panel, t, end, b, n_blocks, next);
    }
    if (a->bias && b + n_blocks == ag_bf16_cols(a->cols) / 32)
        for (int t = tok; t < end; t++)
            for (int p = panel; p < panel + np; p++)
                store_rows(a, t, p, load_rows(a, t, p));
}

static void matmul_bf16(const ag_matmul_args *a) {
    if (a->n_tok < TILE) {
        bf16_run(a);
        return;
    }
    configure_tiles();
    const int blocks = (a->n_tok + BLOCK - 1) / BLOCK;
    const int block = (a->n_tok + blocks * TILE - 1) / (blocks * TILE) * TILE;
    const int all = ag_bf16_cols(a->cols) / 32, most = STAY / TILE_BYTES / block;
    const int spans = (all + most - 1) / most, span = (all + spans - 1) / spans;
    for (int tok = 0; tok < a->n_tok; tok += block) {
        const int end = a->n_tok - tok < block ? a->n_tok : tok + block;
        for (int b = 0; b < all; b += span) {
            const int n = all - b < span ? all - b : span;
            int p = a->panel0;
            for (; p + 2 <= a->panel1; p += 2)
                panels_span(2, a, p, tok, end, b, n);
            if (p < a->panel1)
                panels_span(1, a, p, tok, end, b, n);
        }
    }
    _tile_release();
}

static void round_bf16(const float *x, int n, void *act) {
    uint16_t *out = act;
    for (int i = 0; i < n; i++)
        out[i] = ag_bf16_act(x[i]);
    for (int i = n; i < ag_bf16_cols(n); i++)
        out[i] = 0;
}

void ag_k_bf16_fill_amx(ag_kernels *k) {
    ag_k_matmul_put(k, AG_T_BF16, "matmul_bf16_amx", V_ROWS, matmul_bf16);
    k->round_bf16 = round_bf16;
}
