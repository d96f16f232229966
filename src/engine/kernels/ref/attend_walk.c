/* The walk of attention over paged blocks, shared by every ISA: strips of query rows, the blocks a
 * strip sees in position order, and in each block three passes over its rows: scores, softmax
 * weights, weighted sum of V.
 *
 * A strip bounds the scratch and keeps q, the sums and one decoded block in the second-level cache.
 * Rows are tiled freely: a row's arithmetic never depends on its neighbours (see kernels/attend.h).
 * At the edges of what rows may see, only rows with equal visible slots share a call of mix, so
 * that no slot is ever multiplied by a weight of zero. Thread: any, one scratch each. */
#include "kernels/attend.h"

#include <math.h>
#include <string.h>

typedef struct strip {
    const ag_attend_args *args;
    const ag_attend_ops *ops;
    int d_v;                  /* numbers of a value */
    int row0, n;              /* rows row0 .. row0 + n - 1; row = token * group + head */
    float *q;                 /* [n][d] times scale */
    float *acc;               /* [n][d_v] */
    float *k, *v;             /* [d * 32] each: a decoded block */
    float *s;                 /* [n][32] */
    float *m, *l, *corr;      /* [n] each */
    int pos[AG_ATTEND_STRIP]; /* position of each row */
    uint8_t lo[AG_ATTEND_STRIP], hi[AG_ATTEND_STRIP]; /* visible slots of the present block */
} strip;

static int strip_rows(int n_tok, int group) {
    int rows = n_tok * group;
    return rows < AG_ATTEND_STRIP ? (rows + 15) / 16 * 16 : AG_ATTEND_STRIP;
}

size_t ag_attend_scratch(int n_tok, int group, int d) {
    size_t rows = (size_t)strip_rows(n_tok, group), dims = (size_t)d;
    return 2 * rows * dims + 2 * dims * AG_KV_BLOCK + rows * AG_KV_BLOCK + 3 * rows;
}

static void place(strip *s) {
    const ag_attend_args *a = s->args;
    size_t rows = (size_t)strip_rows(a->n_tok, a->group), dims = (size_t)a->d;
    s->q = a->scratch;
    s->acc = s->q + rows * dims;
    s->k = s->acc + rows * dims;
    s->v = s->k + dims * AG_KV_BLOCK;
    s->s = s->v + dims * AG_KV_BLOCK;
    s->m = s->s + rows * AG_KV_BLOCK;
    s->l = s->m + rows;
    s->corr = s->l + rows;
}

static void begin(strip *s) {
    const ag_attend_args *a = s->args;
    for (int r = 0; r < s->n; r++) {
        int tok = (s->row0 + r) / a->group, head = (s->row0 + r) % a->group;
        const float *from = a->q + (size_t)tok * a->q_stride + (size_t)head * (size_t)a->d;
        float *to = s->q + (size_t)r * (size_t)a->d;
        for (int i = 0; i < a->d; i++)
            to[i] = from[i] * a->scale;
        s->pos[r] = a->n_keys ? a->n_keys - 1 : a->pos0 + tok;
        s->m[r] = -INFINITY;
        s->l[r] = 0;
    }
    memset(s->acc, 0, (size_t)s->n * (size_t)s->d_v * sizeof(float));
}

static void finish(const strip *s) {
    const ag_attend_args *a = s->args;
    for (int r = 0; r < s->n; r++) {
        int tok = (s->row0 + r) / a->group, head = (s->row0 + r) % a->group;
        const float *from = s->acc + (size_t)r * (size_t)s->d_v;
        float *to = a->out + (size_t)tok * a->out_stride + (size_t)head * (size_t)a->d;
        float by = 1.0f / s->l[r];
        for (int i = 0; i < s->d_v; i++)
            to[i] = from[i] * by;
    }
}

/* First key a row at this position sees. */
static int first_key(const ag_attend_args *a, int pos) {
    return a->window > 0 && pos >= a->window ? pos - a->window + 1 : 0;
}

/* Set lo and hi; the rows that see any slot of the block are consecutive: *r0 .. *r1 - 1. */
static void find_rows(strip *s, int block, int *r0, int *r1) {
    int base = block * AG_KV_BLOCK, r = 0;
    while (r < s->n && s->pos[r] < base)
        r++;
    for (*r0 = r; r < s->n; r++) {
        int lo = first_key(s->args, s->pos[r]) - base, hi = s->pos[r] - base + 1;
        if (lo >= AG_KV_BLOCK)
            break; /* for this row and all later ones the window has passed */
        s->lo[r] = (uint8_t)(lo < 0 ? 0 : lo);
        s->hi[r] = (uint8_t)(hi > AG_KV_BLOCK ? AG_KV_BLOCK : hi);
    }
    *r1 = r;
}

/* Rows of the next tile, so that tiles are as equal as can be. */
static int next_tile(int left, int most) {
    int tiles = (left + most - 1) / most;
    return (left + tiles - 1) / tiles;
}

/* The first call has `next` fetched. */
static void mix_rows(strip *s, int r0, int r1, ag_attend_mix *mix, const void *v,
                     const void *next) {
    const size_t d = (size_t)s->d_v;
    for (int r = r0; r < r1;) {
        int end = r + 1;
        while (end < r1 && s->lo[end] == s->lo[r] && s->hi[end] == s->hi[r])
            end++;
        while (r < end) {
            int n = next_tile(end - r, s->ops->tile);
            mix(s->s + (size_t)r * AG_KV_BLOCK, s->corr + r, n, s->d_v, v, s->lo[r], s->hi[r],
                s->acc + (size_t)r * d, next);
            next = v;
            r += n;
        }
    }
}

/* Values that are the first numbers of their keys, from the order of K to that of V: slabs of 16
 * dimensions are turned. */
static void take_v_of_k(const float *k, int d_v, float *v) {
    for (int i = 0; i < d_v; i += AG_ATTEND_SLAB, k += AG_ATTEND_SLAB * AG_KV_BLOCK)
        for (int j = 0; j < AG_KV_BLOCK; j++, v += AG_ATTEND_SLAB)
            for (int l = 0; l < AG_ATTEND_SLAB; l++)
                v[l] = k[l * AG_KV_BLOCK + j];
}

static void walk_block(strip *s, int block, int last) {
    const ag_attend_args *a = s->args;
    const ag_attend_ops *ops = s->ops;
    int r0, r1;
    find_rows(s, block, &r0, &r1);
    if (r0 >= r1)
        return;
    const void *k = a->blocks[block] + a->k_at, *v = a->blocks[block] + a->v_at;
    const bool decode = ops->decode_k && (a->v_in_k || r1 - r0 >= ops->decode_from);
    if (decode) {
        ops->decode_k(k, a->d, s->k);
        k = s->k;
    }
    ag_attend_score *score = decode ? ops->score_f32 : ops->score;
    for (int r = r0, n; r < r1; r += n) {
        n = next_tile(r1 - r, ops->tile);
        score(s->q + (size_t)r * (size_t)a->d, n, a->d, k, s->s + (size_t)r * AG_KV_BLOCK,
              decode || r > r0 ? k : v);
    }
    ag_attend_rows rows = {.n = r1 - r0,
                           .s = s->s + (size_t)r0 * AG_KV_BLOCK,
                           .lo = s->lo + r0,
                           .hi = s->hi + r0,
                           .m = s->m + r0,
                           .l = s->l + r0,
                           .corr = s->corr + r0,
                           .cap = a->softcap};
    ops->soften(&rows);
    if (a->v_in_k) {
        take_v_of_k(k, s->d_v, s->v);
        v = s->v;
    } else if (decode) {
        ops->decode_v(v, s->d_v, s->v);
        v = s->v;
    }
    mix_rows(s, r0, r1, decode ? ops->mix_f32 : ops->mix, v,
             decode || block == last ? v : a->blocks[block + 1] + a->k_at);
}

void ag_attend_walk(const ag_attend_args *args, const ag_attend_ops *ops) {
    strip s = {.args = args, .ops = ops, .d_v = args->d_v ? args->d_v : args->d};
    const int rows = args->n_tok * args->group;
    place(&s);
    for (s.row0 = 0; s.row0 < rows; s.row0 += s.n) {
        s.n = rows - s.row0 < AG_ATTEND_STRIP ? rows - s.row0 : AG_ATTEND_STRIP;
        begin(&s);
        int last = s.pos[s.n - 1] / AG_KV_BLOCK;
        for (int b = first_key(args, s.pos[0]) / AG_KV_BLOCK; b <= last; b++)
            walk_block(&s, b, last);
        finish(&s);
    }
}
