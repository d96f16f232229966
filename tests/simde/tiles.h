/* The tile instructions that the kernels for AMX use, in plain C, for machines without AMX: SIMDe
 * has none. The test includes this ahead of the kernel, whose intrinsics it takes the names of.
 * What a CPU would refuse, or compute nonsense from, fails here: a shape beyond the limits, a tile
 * that is not configured, factors whose shapes do not fit. One thread. */
#ifndef AG_TESTS_TILES_H
#define AG_TESTS_TILES_H

#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TMM = 8, TMM_ROWS = 16, TMM_ROW_BYTES = 64 };

typedef struct tmm {
    int rows, row_bytes; /* 0: not configured */
    uint8_t data[TMM_ROWS][TMM_ROW_BYTES];
} tmm;
static tmm tmms[TMM];

static inline void tile_require(int holds, const char *what) {
    if (holds)
        return;
    fprintf(stderr, "tiles: %s\n", what);
    abort();
}

static inline tmm *tile_at(int i) {
    tile_require(i >= 0 && i < TMM && tmms[i].rows > 0, "a tile that is not configured");
    return &tmms[i];
}

static inline void tile_loadconfig(const void *from) {
    uint8_t c[64], zero[64] = {0};
    memcpy(c, from, 64);
    tile_require(c[0] == 1 && c[1] == 0, "palette 1, from row 0");
    tile_require(!memcmp(c + 2, zero, 14) && !memcmp(c + 32, zero, 16) && !memcmp(c + 56, zero, 8),
                 "reserved bytes are 0");
    for (int i = 0; i < TMM; i++) {
        const int row_bytes = c[16 + 2 * i] | c[17 + 2 * i] << 8, rows = c[48 + i];
        tile_require(rows <= TMM_ROWS && row_bytes <= TMM_ROW_BYTES && !rows == !row_bytes,
                     "a shape beyond the limits");
        tmms[i] = (tmm){.rows = rows, .row_bytes = row_bytes};
    }
}

static inline void tile_release(void) { memset(tmms, 0, sizeof tmms); }

static inline void tile_zero(int i) { memset(tile_at(i)->data, 0, sizeof tmms[i].data); }

static inline void tile_loadd(int i, const void *from, size_t stride) {
    tmm *t = tile_at(i);
    memset(t->data, 0, sizeof t->data);
    for (int r = 0; r < t->rows; r++)
        memcpy(t->data[r], (const uint8_t *)from + r * stride, (size_t)t->row_bytes);
}

static inline void tile_stored(int i, void *to, size_t stride) {
    const tmm *t = tile_at(i);
    for (int r = 0; r < t->rows; r++)
        memcpy((uint8_t *)to + r * stride, t->data[r], (size_t)t->row_bytes);
}

static inline void tile_require_product(const tmm *c, const tmm *a, const tmm *b) {
    tile_require(a->rows == c->rows && b->row_bytes == c->row_bytes && a->row_bytes == 4 * b->rows,
                 "factors whose shapes do not fit");
}

/* c[m][n] += the sum over k of a[m][k] * b[k / 4][4 n + k % 4], signed bytes. */
static inline void tile_dpbssd(int to, int left, int right) {
    tmm *c = tile_at(to);
    const tmm *a = tile_at(left), *b = tile_at(right);
    tile_require_product(c, a, b);
    for (int m = 0; m < c->rows; m++)
        for (int n = 0; n < c->row_bytes / 4; n++) {
            int32_t sum;
            memcpy(&sum, c->data[m] + 4 * n, 4);
            for (int k = 0; k < a->row_bytes; k++)
                sum += (int8_t)a->data[m][k] * (int8_t)b->data[k / 4][4 * n + k % 4];
            memcpy(c->data[m] + 4 * n, &sum, 4);
        }
}

static inline float tile_bf16(const uint8_t *p) {
    uint32_t bits = (uint32_t)(p[0] | p[1] << 8) << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* c[m][n] += (the chain over pairs k of a[m][k][0] * b[k][n][0] from 0) + (that of their second
 * numbers). */
static inline void tile_dpbf16ps(int to, int left, int right) {
    tmm *c = tile_at(to);
    const tmm *a = tile_at(left), *b = tile_at(right);
    tile_require_product(c, a, b);
    for (int m = 0; m < c->rows; m++)
        for (int n = 0; n < c->row_bytes / 4; n++) {
            float sum, chain[2] = {0, 0};
            memcpy(&sum, c->data[m] + 4 * n, 4);
            for (int k = 0; k < a->row_bytes / 4; k++)
                for (int i = 0; i < 2; i++)
                    chain[i] = fmaf(tile_bf16(a->data[m] + 4 * k + 2 * i),
                                    tile_bf16(b->data[k] + 4 * n + 2 * i), chain[i]);
            sum += chain[0] + chain[1];
            memcpy(c->data[m] + 4 * n, &sum, 4);
        }
}

#undef _tile_loadd
#undef _tile_stored
#undef _tile_zero
#undef _tile_dpbssd
#undef _tile_dpbf16ps
#define _tile_loadconfig tile_loadconfig
#define _tile_release    tile_release
#define _tile_zero       tile_zero
#define _tile_loadd      tile_loadd
#define _tile_stored     tile_stored
#define _tile_dpbssd     tile_dpbssd
#define _tile_dpbf16ps   tile_dpbf16ps

#endif
