/* Measures attention over paged KV on one core: decode in GB of KV read a second, cold (the cache
 * of many heads, larger than any processor cache) and warm (one head again and again), prefill in
 * GFLOP/s (4 * d for each visible key of a row), and writing one token.
 *
 *   bench_attend [tier] [d] [type]      default: the best tier, every head size (also 0), all types
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "base/random.h"
#include "kernels/kernels.h"

#define COLD_BYTES ((size_t)192 << 20)
#define MAX_BLOCKS 512 /* 16384 tokens */

typedef struct cache {
    const ag_kv_ops *ops;
    int d, n_blocks, heads;
    uint8_t *pool; /* [n_blocks][heads][K, V] */
    size_t head_bytes, bytes;
    const uint8_t *blocks[MAX_BLOCKS];
} cache;

static const char *const types[] = {"f32", "f16", "bf16", "q8_0"};

static bool cache_init(cache *c, const ag_kv_ops *ops, int d, int ctx, size_t at_least) {
    *c = (cache){.ops = ops, .d = d, .n_blocks = (ctx + AG_KV_BLOCK - 1) / AG_KV_BLOCK};
    c->head_bytes = ops->k_bytes(d) + ops->v_bytes(d);
    c->heads = (int)(at_least / (c->head_bytes * (size_t)c->n_blocks)) + 1;
    c->bytes = c->head_bytes * (size_t)c->heads * (size_t)c->n_blocks;
    c->pool = ag_alloc_pages(AG_ROOM_TEST, c->bytes);
    float *x = ag_calloc(AG_ROOM_TEST, (size_t)d, sizeof(float));
    if (!c->pool || !x) {
        ag_free(x);
        return false;
    }
    ag_rng rng;
    ag_rng_init(&rng, 1);
    for (int b = 0; b < c->n_blocks; b++)
        c->blocks[b] = c->pool + (size_t)b * (size_t)c->heads * c->head_bytes;
    for (int p = 0; p < c->n_blocks * AG_KV_BLOCK; p++) {
        for (int i = 0; i < d; i++)
            x[i] = (float)ag_rng_f64(&rng) - 0.5f;
        for (int h = 0; h < c->heads; h++) {
            uint8_t *k = (uint8_t *)c->blocks[p / AG_KV_BLOCK] + (size_t)h * c->head_bytes;
            ops->store_k(k, d, p % AG_KV_BLOCK, x);
            ops->store_v(k + ops->k_bytes(d), d, p % AG_KV_BLOCK, x);
        }
    }
    ag_free(x);
    return true;
}

static void call(const cache *c, int n_tok, int group, int ctx, int head, float *q,
                 float *scratch) {
    const size_t row = (size_t)group * (size_t)c->d;
    ag_attend_args args = {.q = q,
                           .q_stride = row,
                           .out = q + (size_t)n_tok * row,
                           .out_stride = row,
                           .n_tok = n_tok,
                           .group = group,
                           .d = c->d,
                           .pos0 = ctx - n_tok,
                           .scale = 0.1f,
                           .blocks = c->blocks,
                           .k_at = (size_t)head * c->head_bytes,
                           .scratch = scratch};
    args.v_at = args.k_at + c->ops->k_bytes(c->d);
    c->ops->attend(&args);
}

/* Processor time of this thread: other programs may take the core now and then. */
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds of one call, going round `heads` heads: the best of many short rounds. */
static double measure(const cache *c, int n_tok, int group, int ctx, int heads) {
    const size_t n = (size_t)n_tok * (size_t)group * (size_t)c->d;
    const size_t scratch = c->ops->attend_scratch(n_tok, group, c->d) * sizeof(float);
    float *q = ag_calloc(AG_ROOM_TEST, 2 * n, sizeof(float));
    float *s = ag_alloc_pages(AG_ROOM_TEST, scratch);
    double best = 1e9;
    for (size_t i = 0; q && i < n; i++)
        q[i] = (float)(i % 7) - 3.0f;
    for (int round = 0, head = 0; q && s && round < 40; round++) {
        long calls = 0;
        double from = now(), took;
        do {
            call(c, n_tok, group, ctx, head++ % heads, q, s);
            calls++;
            took = now() - from;
        } while (took < 0.003);
        double each = took / (double)calls;
        best = each < best ? each : best;
    }
    ag_free(q);
    ag_free_pages(AG_ROOM_TEST, s, scratch);
    return best;
}

/* Nanoseconds to write K and V of one token and head, position after position. */
static void writing(const ag_kernels *k, int type, int d) {
    cache c;
    if (!cache_init(&c, &k->kv[type], d, 512, 1))
        return;
    float x[512];
    for (int i = 0; i < d; i++)
        x[i] = (float)(i % 9) - 4.0f;
    double best = 1e9;
    for (int round = 0; round < 20; round++) {
        double from = now();
        for (int p = 0; p < 512; p++) {
            uint8_t *block = (uint8_t *)c.blocks[p / AG_KV_BLOCK];
            c.ops->store_k(block, d, p % AG_KV_BLOCK, x);
            c.ops->store_v(block + c.ops->k_bytes(d), d, p % AG_KV_BLOCK, x);
        }
        double each = (now() - from) / 512;
        best = each < best ? each : best;
    }
    printf("store    %-5s d %3d: %.0f ns\n", types[type], d, best * 1e9);
    ag_free_pages(AG_ROOM_TEST, c.pool, c.bytes);
}

static void decode(const ag_kernels *k, int type, int d, int group) {
    static const int contexts[] = {512, 2048, 8192};
    for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++) {
        cache c;
        if (!cache_init(&c, &k->kv[type], d, contexts[i], COLD_BYTES))
            return;
        double bytes = (double)c.head_bytes * c.n_blocks;
        double cold = measure(&c, 1, group, contexts[i], c.heads);
        double warm = measure(&c, 1, group, contexts[i], 1);
        printf("decode   %-5s d %3d group %2d ctx %5d: cold %6.2f GB/s %8.1f us, warm %6.2f GB/s\n",
               types[type], d, group, contexts[i], bytes / cold * 1e-9, cold * 1e6,
               bytes / warm * 1e-9);
        ag_free_pages(AG_ROOM_TEST, c.pool, c.bytes);
    }
}

static void prefill(const ag_kernels *k, int type, int d, int group) {
    const int n_tok = 512, ctx = 2048;
    cache c;
    if (!cache_init(&c, &k->kv[type], d, ctx, 1))
        return;
    double each = measure(&c, n_tok, group, ctx, c.heads), keys = 0;
    for (int t = 0; t < n_tok; t++)
        keys += (double)group * (ctx - n_tok + t + 1);
    printf("prefill  %-5s d %3d group %2d: 512 tokens to ctx 2048 %8.2f ms %7.2f GFLOP/s\n",
           types[type], d, group, each * 1e3, keys * 4 * d / each * 1e-9);
    ag_free_pages(AG_ROOM_TEST, c.pool, c.bytes);
}

int main(int argc, char **argv) {
    static const int dims[] = {64, 80, 96, 128, 256}, groups[] = {1, 3, 4, 6, 7, 8, 12, 16};
    const ag_kernels *k = ag_kernels_get(argc > 1 ? argv[1] : NULL);
    const int only = argc > 2 ? (int)strtol(argv[2], NULL, 10) : 0;
    const char *type_only = argc > 3 ? argv[3] : NULL;
    if (!k) {
        fprintf(stderr, "unknown tier, or not on this CPU\n");
        return 2;
    }
    printf("tier %s\n", k->isa);
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++)
        for (int type = 0; type < AG_KV_TYPES; type++) {
            if ((only && dims[i] != only) || (type_only && strcmp(type_only, types[type]) != 0))
                continue;
            writing(k, type, dims[i]);
            for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
                decode(k, type, dims[i], groups[g]);
            prefill(k, type, dims[i], 1);
            prefill(k, type, dims[i], 4);
        }
    return 0;
}
