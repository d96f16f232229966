/* Single sequences are timed by the engine itself (ag_result). Batches are timed here: the
 * scheduler starts sequences one after the other and lets the first ones generate while the last
 * ones still read their prompts, so only the stretch in which all of them generate counts. It
 * begins with the first token of the sequence that starts last and ends n_tg tokens of it later;
 * both moments lie at the same place within a step. */
#include "cli/bench_run.h"

#include <math.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "kernels/kernels.h"

typedef struct batch batch;

typedef struct slot {
    batch *b;
    ag_request *request;
    uint32_t n;       /* tokens so far */
    uint32_t n_start; /* of them when the stretch began */
    ag_finish finish;
    ag_err err;
} slot;

struct batch {
    pthread_mutex_t lock; /* guards everything here while requests run */
    slot *slots;          /* owned */
    uint32_t n, n_tg;
    uint32_t n_started; /* sequences with a token or more */
    slot *last;         /* that started last; NULL before */
    uint64_t submitted_at, began_at, ended_at;
    uint64_t n_counted; /* tokens of all sequences in the stretch */
};

static void begin_stretch(batch *b, slot *s) {
    b->began_at = ag_clock_us();
    b->last = s;
    for (uint32_t i = 0; i < b->n; i++)
        b->slots[i].n_start = b->slots[i].n;
}

static void end_stretch(batch *b) {
    b->ended_at = ag_clock_us();
    for (uint32_t i = 0; i < b->n; i++)
        b->n_counted += b->slots[i].n - b->slots[i].n_start;
}

/* False ends the sequence: once the stretch is over nobody is needed any more. */
static bool on_token(void *ctx, const ag_token_event *event) {
    (void)event;
    slot *s = ctx;
    batch *b = s->b;
    pthread_mutex_lock(&b->lock);
    if (s->n++ == 0 && ++b->n_started == b->n)
        begin_stretch(b, s);
    if (b->last == s && !b->ended_at && s->n - s->n_start == b->n_tg)
        end_stretch(b);
    bool more = b->ended_at == 0;
    pthread_mutex_unlock(&b->lock);
    return more;
}

static void on_done(void *ctx, const ag_result *result) {
    slot *s = ctx;
    pthread_mutex_lock(&s->b->lock);
    s->finish = result->finish;
    s->err = result->err;
    pthread_mutex_unlock(&s->b->lock);
}

static ag_request_opts greedy(const int32_t *ids, size_t n, uint32_t max_tokens) {
    ag_request_opts o = ag_request_default();
    o.prompt_ids = ids;
    o.n_prompt_ids = n;
    o.max_tokens = max_tokens;
    o.ignore_eos = true;
    o.sampling.temperature = 0;
    return o;
}

static int32_t *random_ids(ag_engine *engine, size_t n, ag_rng *rng, ag_err *err) {
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    int32_t *ids = ag_calloc(AG_ROOM_CLI, n, sizeof *ids);
    if (!ids)
        ag_fail(err, AG_E_NOMEM, "out of memory for %zu token ids", n);
    for (size_t i = 0; ids && i < n; i++)
        ids[i] = (int32_t)(ag_rng_u64(rng) % info.n_vocab);
    return ids;
}

/* ---- one sequence ---------------------------------------------------------------------------- */

static void keep_result(void *ctx, const ag_result *result) {
    ag_result *to = ctx;
    *to = *result;
}

static ag_code run_one(ag_engine *engine, const int32_t *ids, size_t n, uint32_t max_tokens,
                       ag_result *result, ag_err *err) {
    ag_request *request = NULL;
    ag_request_opts o = greedy(ids, n, max_tokens);
    o.on_done = keep_result;
    o.ctx = result;
    ag_code code = ag_engine_submit(engine, &o, &request, err);
    if (code)
        return code;
    ag_request_wait(request);
    ag_request_release(&request);
    if (result->finish == AG_FINISH_ERROR)
        return ag_fail(err, result->err.code, "%s", result->err.msg);
    if (result->n_generated != max_tokens)
        return ag_fail(err, AG_E_INTERNAL, "%u tokens were generated in place of %u",
                       result->n_generated, max_tokens);
    return AG_OK;
}

static double rate(double tokens, uint64_t us) { return us ? tokens * 1e6 / (double)us : NAN; }

static ag_code take_single(ag_engine *engine, const ag_cli_bench_test *t, ag_rng *rng,
                           ag_cli_bench_value *out, ag_err *err) {
    bool is_pp = t->kind == AG_CLI_PP;
    size_t n = is_pp ? t->n : t->depth ? t->depth : 1;
    ag_rng same; /* repetitions share the context below a TG test */
    ag_rng_init(&same, 1);
    ag_result result = {0};
    int32_t *ids = random_ids(engine, n, is_pp ? rng : &same, err);
    if (!ids)
        return AG_E_NOMEM;
    ag_code code = run_one(engine, ids, n, is_pp ? 1 : t->n + 1, &result, err);
    ag_free(ids);
    out->tok_s = is_pp ? rate((double)result.n_prompt - result.n_cached, result.prefill_us)
                       : rate(t->n, result.decode_us);
    return code;
}

/* ---- several sequences ----------------------------------------------------------------------- */

/* Tokens that an early sequence may be ahead of the last one to start. */
static uint32_t slack(const ag_cli_bench_test *t) {
    uint64_t steps = (uint64_t)t->n * t->npp / 64 + 32;
    return steps > 100000 ? 100000 : (uint32_t)steps;
}

static ag_code run_batch(ag_engine *engine, batch *b, const ag_cli_bench_test *t, int32_t *ids,
                         ag_err *err) {
    ag_code code = AG_OK;
    b->submitted_at = ag_clock_us();
    for (uint32_t i = 0; i < b->n && !code; i++) {
        ag_request_opts o = greedy(ids + (size_t)i * t->npp, t->npp, t->ntg + 1 + slack(t));
        b->slots[i].b = b;
        o.on_token = on_token;
        o.on_done = on_done;
        o.ctx = &b->slots[i];
        code = ag_engine_submit(engine, &o, &b->slots[i].request, err);
    }
    for (uint32_t i = 0; i < b->n; i++) {
        if (code && b->slots[i].request)
            ag_request_cancel(b->slots[i].request);
        if (b->slots[i].request)
            ag_request_wait(b->slots[i].request);
        ag_request_release(&b->slots[i].request);
        if (!code && b->slots[i].finish == AG_FINISH_ERROR)
            code = ag_fail(err, b->slots[i].err.code, "%s", b->slots[i].err.msg);
    }
    if (!code && !b->ended_at)
        code = ag_fail(err, AG_E_INTERNAL, "the %u sequences never all generated together", b->n);
    return code;
}

static ag_code take_batch(ag_engine *engine, const ag_cli_bench_test *t, ag_rng *rng,
                          ag_cli_bench_value *out, ag_err *err) {
    batch b = {.lock = PTHREAD_MUTEX_INITIALIZER, .n = t->n, .n_tg = t->ntg};
    int32_t *ids = random_ids(engine, (size_t)t->n * t->npp, rng, err);
    if (!ids)
        return AG_E_NOMEM;
    ag_code code = AG_OK;
    b.slots = ag_calloc(AG_ROOM_CLI, t->n, sizeof *b.slots);
    if (!b.slots)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for %u sequences", t->n);
    if (!code)
        code = run_batch(engine, &b, t, ids, err);
    if (!code) {
        out->tok_s = rate((double)b.n_counted, b.ended_at - b.began_at);
        out->prefill_tok_s = rate((double)t->n * t->npp, b.began_at - b.submitted_at);
    }
    ag_free(b.slots);
    ag_free(ids);
    pthread_mutex_destroy(&b.lock);
    return code;
}

/* ---- ----------------------------------------------------------------------------------------- */

uint32_t ag_cli_bench_ctx(const ag_cli_bench_test *t) {
    uint64_t n = t->kind == AG_CLI_PP   ? (uint64_t)t->n + 1
                 : t->kind == AG_CLI_TG ? (uint64_t)t->depth + t->n + 2
                                        : (uint64_t)t->npp + t->ntg + 2 + slack(t);
    if (n < 64)
        n = 64; /* the warm-up's prompt and token */
    n = (n + AG_KV_BLOCK - 1) / AG_KV_BLOCK * AG_KV_BLOCK;
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

uint32_t ag_cli_bench_sequences(const ag_cli_bench_test *t) {
    return t->kind == AG_CLI_BATCH ? t->n : 1;
}

ag_code ag_cli_bench_take(ag_engine *engine, const ag_cli_bench_test *t, ag_rng *rng,
                          ag_cli_bench_value *out, ag_err *err) {
    *out = (ag_cli_bench_value){NAN, NAN};
    return t->kind == AG_CLI_BATCH ? take_batch(engine, t, rng, out, err)
                                   : take_single(engine, t, rng, out, err);
}
