/* The matmul of BF16 for AMX, panels of 16 rows: they lie as tiles want them.
 *   A  [16, 32]       activations: 32 columns of 16 tokens, where they lie
 *   B  [16, 16 * 2]   weights: 16 pairs of columns of 16 rows
 *   C  [16, 16]       sums in float32, that stay in their tile for a span of columns
 * Nothing is unpacked and nothing scaled, so the arithmetic is all there is. What an instruction
 * adds in which order is in ref/matmul.c. Few tokens go the way of AVX-512. */
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
    SPAN = 8,        /* blocks of 32 columns: two panels of them stay in L1 */
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

/* Weights that are wanted next: lines [from, from + n) of each tile of the following span. */
typedef struct next_span {
    const uint8_t *at;
    size_t step; /* from panel to panel */
    int from, n;
} next_span;

/* Loads or stores the sums of np panels and nt tiles of tokens. */
#define MOVE_SUMS(move)                                                                            \
    do {                                                                                           \
        move(0, c0[0], TILE_BYTES);                                                                \
        if (np == 2)                                                                               \
            move(1, c0[1], TILE_BYTES);                                                            \
        if (nt == 2)                                                                               \
            move(2, c1[0], TILE_BYTES);                                                            \
        if (np == 2 && nt == 2)                                                                    \
            move(3, c1[1], TILE_BYTES);                                                            \
    } while (0)

/* A span of np panels and nt tiles of tokens, from x0 and x1 on. c[p]: their sums, a vector a
 * token. */
V_INLINE void span_tiles(int np, int nt, const uint8_t *w, size_t w_step, const uint8_t *x0,
                         const uint8_t *x1, size_t stride, int n_blocks, vf *c0[2], vf *c1[2],
                         next_span next) {
    MOVE_SUMS(_tile_loadd);
    for (int b = 0; b < n_blocks; b++) {
        const uint8_t *tile = w + b * (TILE * TILE_BYTES);
        for (int i = next.from; i < next.from + next.n; i++)
            for (int p = 0; p < np; p++)
                __builtin_prefetch(
                    next.at + p * next.step + b * (TILE * TILE_BYTES) + i * TILE_BYTES, 0, 2);
        _tile_loadd(6, tile, TILE_BYTES);
        _tile_loadd(4, x0 + b * TILE_BYTES, stride);
        _tile_dpbf16ps(0, 4, 6);
        if (np == 2) {
            _tile_loadd(7, tile + w_step, TILE_BYTES);
            _tile_dpbf16ps(1, 4, 7);
        }
        if (nt == 2) {
            _tile_loadd(5, x1 + b * TILE_BYTES, stride);
            _tile_dpbf16ps(2, 5, 6);
        }
        if (np == 2 && nt == 2)
            _tile_dpbf16ps(3, 5, 7);
    }
    MOVE_SUMS(_tile_stored);
}

/* np panels and n_tok tokens, of a call with a tile of them or more. What is left beyond whole
 * tiles lies in a tile of its own, whose other rows are computed for nothing, from the tokens
 * before. */
V_INLINE void tile_panels(int np, const ag_matmul_args *a, int panel, int tok, int n_tok) {
    const size_t w_step = ag_bf16_panel_bytes(V_ROWS, a->cols), stride = a->act_stride;
    const int blocks = ag_bf16_cols(a->cols) / 32, tiles = (n_tok + TILE - 1) / TILE;
    const uint8_t *w = bf16_panel(a, panel);
    vf sums[2][BLOCK];
    for (int t = 0; t < tiles * TILE; t++)
        sums[0][t] = sums[1][t] = vf_zero();
    AG_IN_MEMORY(sums);
    for (int b = 0; b < blocks; b += SPAN) {
        const int n = blocks - b < SPAN ? blocks - b : SPAN;
        const uint8_t *at = w + (size_t)b * (TILE * TILE_BYTES);
        const int passes = (tiles + 1) / 2;
        next_span next = {b + n < blocks ? at + SPAN * TILE * TILE_BYTES : w + np * w_step, w_step,
                          0, (TILE + passes - 1) / passes};
        for (int i = 0; i < tiles; i += 2) {
            const int t0 = i * TILE, t1 = t0 + TILE;
            const int from0 = t0 + TILE <= n_tok ? t0 : n_tok - TILE;
            const int from1 = t1 + TILE <= n_tok ? t1 : n_tok - TILE;
            const uint8_t *x0 = bf16_row(a, tok + from0) + b * TILE_BYTES;
            const uint8_t *x1 = bf16_row(a, tok + from1) + b * TILE_BYTES;
            vf *c0[2] = {&sums[0][t0], &sums[1][t0]};
            vf *c1[2] = {&sums[0][t1 % BLOCK], &sums[1][t1 % BLOCK]};
            if (i + 1 < tiles)
                span_tiles(np, 2, at, w_step, x0, x1, stride, n, c0, c1, next);
            else
                span_tiles(np, 1, at, w_step, x0, x1, stride, n, c0, c1, next);
            next.from += next.n;
        }
    }
    AG_IN_MEMORY(sums);
    for (int t = 0; t < n_tok; t++) {
        const int whole = n_tok / TILE * TILE;
        const int at = t < whole ? t : t - (n_tok - TILE) + whole;
        for (int p = 0; p < np; p++)
            store_rows(a, tok + t, panel + p, sums[p][at]);
    }
}

static void matmul_bf16(const ag_matmul_args *a) {
    if (a->n_tok < TILE) {
        bf16_run(a);
        return;
    }
    configure_tiles();
    const int fit = STAY / 2 / a->cols / TILE * TILE;
    const int most = fit < BLOCK / 4 ? BLOCK / 4 : fit > BLOCK ? BLOCK : fit;
    const int blocks = (a->n_tok + most - 1) / most;
    const int block = (a->n_tok + blocks * TILE - 1) / (blocks * TILE) * TILE;
    for (int tok = 0; tok < a->n_tok; tok += block) {
        const int n = a->n_tok - tok < block ? a->n_tok - tok : block;
        int p = a->panel0;
        for (; p + 2 <= a->panel1; p += 2)
            tile_panels(2, a, p, tok, n);
        if (p < a->panel1)
            tile_panels(1, a, p, tok, n);
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
