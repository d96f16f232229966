/* The plain definitions, to be compared with: every token is a record, filters sort everything, and
 * nothing is skipped. Two ways to weigh a token: by its integer mass, which must give exactly the
 * same survivors as the room, and by libm's exp in doubles, which must agree with the mass. */
#ifndef AG_TESTS_SAMPLE_PLAIN_H
#define AG_TESTS_SAMPLE_PLAIN_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "sample/sampler.h"

typedef struct plain_token {
    int32_t id;
    float logit;
    uint64_t mass;
    double score; /* what the sort goes by, largest first; then the lower id */
} plain_token;

typedef struct plain_set {
    plain_token *t; /* [n] */
    size_t n;
} plain_set;

static inline int plain_order(const void *a, const void *b) {
    const plain_token *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}
static inline int plain_by_id(const void *a, const void *b) {
    const plain_token *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}
static inline void plain_sort(plain_set *s) {
    for (size_t i = 0; i < s->n; i++)
        s->t[i].score = s->t[i].logit;
    qsort(s->t, s->n, sizeof *s->t, plain_order);
}

/* Every usable token, most likely first. Release with ag_free(s.t). */
static inline plain_set plain_all(const float *x, int32_t n) {
    plain_set s = {.t = ag_calloc(AG_ROOM_TEST, (size_t)n, sizeof *s.t)};
    for (int32_t i = 0; i < n; i++) {
        if (!isnan(x[i]) && x[i] != -INFINITY)
            s.t[s.n++] = (plain_token){.id = i, .logit = x[i] > FLT_MAX ? FLT_MAX : x[i]};
    }
    plain_sort(&s);
    return s;
}

static inline uint64_t plain_weigh(plain_set *s, float scale) {
    uint64_t total = 0;
    for (size_t i = 0; i < s->n; i++) {
        s->t[i].mass = ag_mass((s->t[i].logit - s->t[0].logit) * scale);
        total += s->t[i].mass;
    }
    return total;
}

/* Keep the shortest beginning that holds p of the total. */
static inline void plain_cut(plain_set *s, uint64_t total, float p) {
    const double want = (double)total * (double)p;
    uint64_t sum = 0;
    for (size_t i = 0; i < s->n; i++) {
        sum += s->t[i].mass;
        if (sum > 0 && (double)sum >= want) {
            s->n = i + 1;
            return;
        }
    }
}

static inline void plain_top_k(plain_set *s, int32_t k) {
    if (k > 0 && (size_t)k < s->n)
        s->n = (size_t)k;
}
static inline void plain_top_p(plain_set *s, float p) {
    if (p < 1)
        plain_cut(s, plain_weigh(s, 1), p);
}
static inline void plain_typical(plain_set *s, float p) {
    if (p >= 1)
        return;
    const uint64_t total = plain_weigh(s, 1);
    const float best = s->t[0].logit;
    /* Sums of doubles depend on their order, so this one goes by id, as the room says it does. */
    qsort(s->t, s->n, sizeof *s->t, plain_by_id);
    double sum = 0;
    for (size_t i = 0; i < s->n; i++)
        sum += s->t[i].mass ? (double)s->t[i].mass * (double)(s->t[i].logit - best) : 0;
    const double middle = sum / (double)total;
    for (size_t i = 0; i < s->n; i++)
        s->t[i].score = (float)-fabs((double)(s->t[i].logit - best) - middle);
    qsort(s->t, s->n, sizeof *s->t, plain_order);
    plain_cut(s, total, p);
    plain_sort(s);
}
static inline void plain_min_p(plain_set *s, float p) {
    if (p <= 0)
        return;
    const float floor = s->t[0].logit + (float)ag_mass_ln((double)p);
    while (s->t[s->n - 1].logit < floor)
        s->n--;
}
static inline void plain_xtc(plain_set *s, float threshold) {
    const double limit = (double)plain_weigh(s, 1) * (double)threshold;
    size_t n_above = 0;
    while (n_above < s->n && (double)s->t[n_above].mass >= limit)
        n_above++;
    if (n_above < 2)
        return;
    memmove(s->t, s->t + n_above - 1, (s->n - (n_above - 1)) * sizeof *s->t);
    s->n -= n_above - 1;
}

/* Draw by id, as the room does, from the random numbers of `rng`. */
static inline int32_t plain_draw(plain_set *s, float scale, ag_rng *rng) {
    plain_sort(s);
    const uint64_t total = plain_weigh(s, scale);
    uint64_t at = (uint64_t)((unsigned __int128)ag_rng_u64(rng) * total >> 64);
    qsort(s->t, s->n, sizeof *s->t, plain_by_id);
    size_t i = 0;
    for (; at >= s->t[i].mass; i++)
        at -= s->t[i].mass;
    return s->t[i].id;
}

/* The whole way of a request without history. */
static inline int32_t plain_pick(const ag_sampling *p, const float *x, int32_t n, ag_rng *rng) {
    plain_set s = plain_all(x, n);
    int32_t id = s.t[0].id;
    if (p->temperature > 0) {
        plain_top_k(&s, p->top_k);
        plain_typical(&s, p->typical_p);
        plain_top_p(&s, p->top_p);
        plain_min_p(&s, p->min_p);
        if (p->xtc_probability > 0 && ag_rng_f64(rng) < (double)p->xtc_probability)
            plain_xtc(&s, p->xtc_threshold);
        const float inverse = 1 / p->temperature;
        id = plain_draw(&s, inverse < FLT_MAX ? inverse : FLT_MAX, rng);
    }
    ag_free(s.t);
    return id;
}

/* ---- rows of logits ---- */

typedef enum row_kind {
    ROW_BELL, /* a bell of width 3, as models give */
    ROW_PEAK, /* the same with one token far ahead */
    ROW_FLAT, /* nearly equal */
    ROW_TIES, /* few distinct values */
    ROW_ODD,  /* NaN, both infinities, denormals, zeros of both signs, huge values */
    ROW_KINDS
} row_kind;

static inline void row_fill(float *x, int32_t n, row_kind kind, ag_rng *rng) {
    static const float odd[] = {NAN, -INFINITY, INFINITY, 1e-42f, -1e-42f, 0.0f, -0.0f, 3e38f};
    for (int32_t i = 0; i < n; i++) {
        float u = -3;
        for (int k = 0; k < 6; k++)
            u += (float)ag_rng_f64(rng);
        x[i] = kind == ROW_FLAT ? u * 1e-3f : kind == ROW_TIES ? roundf(u * 3) : u * 4;
        if (kind == ROW_ODD && ag_rng_u64(rng) % 8 == 0)
            x[i] = odd[ag_rng_u64(rng) % 8];
    }
    if (kind == ROW_ODD && ag_rng_u64(rng) % 2) { /* often without the ones that beat all */
        for (int32_t i = 0; i < n; i++)
            x[i] = x[i] > 1e30f ? -1 : x[i];
    }
    if (kind == ROW_PEAK)
        x[ag_rng_u64(rng) % (uint64_t)n] = 25;
    if (isnan(x[0]) || x[0] == -INFINITY)
        x[0] = 0; /* at least one is usable */
}

/* ---- a sampler with its scratch ---- */

typedef struct bench {
    ag_sample_scratch *scratch;
    ag_sampler *sampler;
} bench;

static inline bench bench_new(const ag_sampling *p, int32_t n_vocab, size_t n_context,
                              const ag_dry_breakers *breakers) {
    bench b = {0};
    ag_err err = {0};
    if (ag_sample_scratch_new(ag_kernels_get(NULL), n_vocab, &b.scratch, &err))
        fail_msg("%s", err.msg);
    const ag_sampler_opts opts = {
        .sampling = p, .n_vocab = n_vocab, .n_context = n_context, .breakers = breakers};
    if (ag_sampler_new(&opts, &b.sampler, &err))
        fail_msg("%s", err.msg);
    return b;
}
static inline void bench_free(bench *b) {
    ag_sampler_free(&b->sampler);
    ag_sample_scratch_free(&b->scratch);
}
/* A pick that must succeed; nothing may be allocated in it. */
static inline ag_sample bench_pick(bench *b, const float *x, int32_t top_logprobs) {
    ag_sample out;
    ag_err err = {0};
    const ag_pick pick = {.scratch = b->scratch, .logits = x, .top_logprobs = top_logprobs};
    ag_alloc_guard_begin("pick");
    const ag_code code = ag_sampler_pick(b->sampler, &pick, &out, &err);
    ag_alloc_guard_end();
    if (code)
        fail_msg("%s", err.msg);
    return out;
}
static inline void bench_accept(bench *b, int32_t id) {
    ag_alloc_guard_begin("accept");
    ag_sampler_accept(b->sampler, id);
    ag_alloc_guard_end();
}

#endif
