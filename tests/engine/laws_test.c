/* The two laws: a sequence's logits are bit-equal alone or in any batch, with any number of
 * threads, prefilled in one chunk or in many, in fresh blocks or in used ones.
 *
 * Every architecture and type is compared with itself: first alone with one thread and one chunk,
 * then with other threads and chunks, beside other requests and after them. KV types likewise.
 * usage: laws_test TIER [MODEL] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/support.h"

#define COMPANIONS  3
#define COMPANY_LEN 12
#define MAX_PROMPT  128

static const char *tier = "auto";
static size_t prompt_cap = MAX_PROMPT; /* shorter for the slow tiers */

typedef struct job {
    const char *model, *type, *kv_type;
    const char *quantize; /* while loading; NULL: not */
} job;

typedef struct scenario {
    uint32_t n_threads, batch_tokens;
} scenario;

static const scenario scenarios[] = {{2, 1}, {3, 7}, {4, 32}, {2, 512}};

/* What one sequence must look like whatever happens around it. */
typedef struct baseline {
    float *logits; /* [n_ids, n_vocab] */
    size_t n_ids, bytes;
    answer company[COMPANIONS];
} baseline;

static ag_engine *open_job(const job *j, scenario s) {
    ag_engine_opts o = test_opts(model_path(j->model, j->type));
    o.kv_type = j->kv_type;
    o.quantize = j->quantize;
    o.isa = tier;
    o.n_threads = s.n_threads;
    o.batch_tokens = s.batch_tokens;
    o.max_context_length = 192;
    o.kv_tokens = 768; /* four sequences: later ones reuse the blocks of earlier ones */
    return must_open(&o);
}

/* Companions differ in prompt, length and sampling; the second and third draw. */
static ag_request_opts company(const golden *g, size_t i, answer *a) {
    const golden_case *c = &g->prompt[i];
    size_t n = c->n_ids < prompt_cap ? c->n_ids : prompt_cap;
    ag_request_opts o = ask_ids(c->ids + i, n - i, COMPANY_LEN, a);
    if (i > 0) {
        o.sampling.temperature = 0.9f;
        o.sampling.top_p = 0.95f;
        o.sampling.seed = 17 + i;
        o.sampling.has_seed = true;
    }
    return o;
}

static void take_baseline(baseline *b, const job *j, const golden *g) {
    ag_engine *engine = open_job(j, (scenario){1, 512});
    const golden_case *c = &g->prompt[2];
    b->n_ids = c->n_ids < prompt_cap ? c->n_ids : prompt_cap;
    b->bytes = b->n_ids * g->n_vocab * sizeof(float);
    b->logits = must_logits(engine, c->ids, b->n_ids);
    for (size_t i = 0; i < COMPANIONS; i++) {
        ag_request_opts o = company(g, i, &b->company[i]);
        must_answer(engine, &o);
        assert_int_equal(b->company[i].n, COMPANY_LEN);
    }
    ag_engine_close(&engine);
}

static void check_logits(ag_engine *engine, const baseline *b, const golden *g, const job *j,
                         scenario s, const char *when) {
    float *got = must_logits(engine, g->prompt[2].ids, b->n_ids);
    for (size_t i = 0; i < b->n_ids * g->n_vocab; i++)
        if (memcmp(&got[i], &b->logits[i], sizeof *got) != 0)
            fail_msg("%s %s kv %s, %u threads, chunks of %u, %s: logit %zu of position %zu is %a, "
                     "alone it was %a",
                     j->model, j->type, j->kv_type, s.n_threads, s.batch_tokens, when,
                     i % g->n_vocab, i / g->n_vocab, (double)got[i], (double)b->logits[i]);
    free(got);
}

/* A prompt whose beginning is still in the KV: only the rest is computed, the answer is the same.
 */
static void check_cached(ag_engine *engine, const baseline *b, const golden *g, const job *j,
                         scenario s) {
    static answer a;
    for (int again = 0; again < 2; again++) {
        ag_request_opts o = company(g, 1, &a);
        must_answer(engine, &o);
        if (!same_answer(&a, &b->company[1]))
            fail_msg("%s %s kv %s, %u threads, chunks of %u: another answer with %u of %u tokens "
                     "from the cache",
                     j->model, j->type, j->kv_type, s.n_threads, s.batch_tokens, a.result.n_cached,
                     a.result.n_prompt);
    }
    assert_true(a.result.n_cached > 0); /* the second time at least */
}

static void check_scenario(const baseline *b, const golden *g, const job *j, scenario s) {
    static answer a[COMPANIONS];
    ag_request *requests[COMPANIONS];
    ag_engine *engine = open_job(j, s);
    check_logits(engine, b, g, j, s, "alone");
    for (size_t i = 0; i < COMPANIONS; i++) {
        ag_request_opts o = company(g, i, &a[i]);
        requests[i] = must_submit(engine, &o);
    }
    check_logits(engine, b, g, j, s, "beside other requests");
    for (size_t i = 0; i < COMPANIONS; i++) {
        must_finish(&requests[i]);
        if (!same_answer(&a[i], &b->company[i]))
            fail_msg("%s %s kv %s, %u threads, chunks of %u: answer %zu differs from the one it "
                     "gave alone",
                     j->model, j->type, j->kv_type, s.n_threads, s.batch_tokens, i);
    }
    check_logits(engine, b, g, j, s, "after other requests");
    check_cached(engine, b, g, j, s);
    ag_engine_close(&engine);
}

/* Greedy decoding must choose what a prefill of the same tokens would: one law seen from outside.
 */
static void check_decode_is_prefill(const baseline *b, const golden *g, const job *j) {
    const answer *a = &b->company[0];
    int32_t ids[MAX_PROMPT + COMPANY_LEN];
    const golden_case *c = &g->prompt[0];
    size_t n = c->n_ids < prompt_cap ? c->n_ids : prompt_cap;
    memcpy(ids, c->ids, n * sizeof *ids);
    memcpy(ids + n, a->id, COMPANY_LEN * sizeof *ids);
    ag_engine *engine = open_job(j, (scenario){2, 512});
    float *logits = must_logits(engine, ids, n + COMPANY_LEN);
    for (size_t k = 0; k < COMPANY_LEN; k++) {
        const float *row = logits + (n - 1 + k) * g->n_vocab;
        size_t best = 0;
        double sum = 0;
        for (size_t i = 1; i < g->n_vocab; i++)
            best = row[i] > row[best] ? i : best;
        for (size_t i = 0; i < g->n_vocab; i++)
            sum += exp((double)row[i] - row[best]);
        assert_int_equal(a->id[k], best);
        assert_true(fabs(a->logprob[k] + log(sum)) < 1e-5);
    }
    free(logits);
    ag_engine_close(&engine);
}

static void a_sequence_is_the_same_alone_and_in_company(void **state) {
    const job *j = *state;
    static baseline b;
    golden g;
    golden_open(&g, j->model, j->type);
    take_baseline(&b, j, &g);
    check_decode_is_prefill(&b, &g, j);
    for (size_t s = 0; s < sizeof scenarios / sizeof *scenarios; s++)
        check_scenario(&b, &g, j, scenarios[s]);
    free(b.logits);
    golden_close(&g);
}

#define MAX_TESTS 1024
static struct CMUnitTest tests[MAX_TESTS];
static job jobs[MAX_TESTS];
static char names[MAX_TESTS][96];
static size_t n_tests;

static void add(const char *model, const char *type, const char *kv_type, const char *quantize) {
    assert_true(n_tests < MAX_TESTS);
    jobs[n_tests] = (job){model, type, kv_type, quantize};
    snprintf(names[n_tests], sizeof names[0], "%s %s%s%s, kv %s", model, type,
             quantize ? " as " : "", quantize ? quantize : "", kv_type);
    tests[n_tests] = (struct CMUnitTest){
        names[n_tests], a_sequence_is_the_same_alone_and_in_company, NULL, NULL, &jobs[n_tests]};
    n_tests++;
}

int main(int argc, char **argv) {
    static const char *const other_kv[] = {"f32", "bf16", "q8_0"};
    if (argc > 1)
        tier = argv[1];
    if (!cpu_runs(tier))
        return 77;
    if (strcmp(tier, "ref") == 0)
        prompt_cap = 40;
    for (size_t m = 0; model_names[m]; m++) {
        if (argc > 2 && strcmp(argv[2], model_names[m]) != 0)
            continue;
        for (size_t t = 0; type_names[t]; t++)
            if (has_type(model_names[m], type_names[t]))
                add(model_names[m], type_names[t], "f16", NULL);
        for (size_t k = 0; k < sizeof other_kv / sizeof *other_kv; k++)
            add(model_names[m], "q4_k", other_kv[k], NULL);
        add(model_names[m], "f32", "f16", "q8_0");
    }
    return _cmocka_run_group_tests("laws", tests, n_tests, NULL, NULL);
}
