/* Penalties against a plain count over the whole sequence. */
#include "unit/test.h"

#include "unit/sample/plain.h"

#define N_VOCAB 50

/* Logits after repetition, frequency and presence penalties, counted anew from the whole text. */
static void plain_penalties(const ag_sampling *p, const int32_t *ids, size_t n_prompt, size_t n,
                            float *x) {
    const size_t window =
        p->penalty_last_n < 0 || (size_t)p->penalty_last_n > n ? n : (size_t)p->penalty_last_n;
    for (int32_t id = 0; id < N_VOCAB; id++) {
        bool seen = false;
        int count = 0;
        for (size_t i = 0; i < n; i++) {
            seen = seen || (i >= n - window && ids[i] == id);
            count += i >= n_prompt && ids[i] == id;
        }
        if (seen)
            x[id] = x[id] > 0 ? x[id] / p->repetition_penalty : x[id] * p->repetition_penalty;
        if (count)
            x[id] -= (float)count * p->frequency_penalty + p->presence_penalty;
    }
}

static void penalties_equal_a_plain_count(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 5);
    for (int round = 0; round < 200; round++) {
        ag_sampling p = ag_sampling_default();
        p.temperature = 0;
        p.repetition_penalty = round % 4 ? 0.5f + (float)ag_rng_f64(&rng) : 1;
        p.frequency_penalty = round % 3 ? (float)ag_rng_f64(&rng) * 4 - 2 : 0;
        p.presence_penalty = round % 5 ? (float)ag_rng_f64(&rng) * 4 - 2 : 0;
        p.penalty_last_n = (int32_t)(ag_rng_u64(&rng) % 40) - 1;
        enum { MAX = 120 };
        int32_t ids[MAX];
        const size_t n_prompt = ag_rng_u64(&rng) % 60;
        size_t n = n_prompt;
        for (size_t i = 0; i < n; i++)
            ids[i] = (int32_t)(ag_rng_u64(&rng) % (N_VOCAB + 2)) - 1; /* some outside */
        bench b = bench_new(&p, N_VOCAB, MAX, NULL);
        ag_sampler_prompt(b.sampler, ids, n / 2);
        ag_sampler_prompt(b.sampler, ids + n / 2, n - n / 2);
        while (n < MAX) {
            float x[N_VOCAB], want[N_VOCAB];
            row_fill(x, N_VOCAB, ROW_BELL, &rng);
            memcpy(want, x, sizeof x);
            plain_penalties(&p, ids, n_prompt, n, want);
            plain_set all = plain_all(want, N_VOCAB);
            assert_int_equal(bench_pick(&b, x, -1).id, all.t[0].id);
            ag_free(all.t);
            ids[n] = (int32_t)(ag_rng_u64(&rng) % N_VOCAB);
            bench_accept(&b, ids[n++]);
        }
        bench_free(&b);
    }
}

static void tokens_past_the_context_are_harmless(void **state) {
    (void)state;
    ag_sampling p = ag_sampling_default();
    p.temperature = 0;
    p.repetition_penalty = 1.5f;
    p.frequency_penalty = 1;
    p.dry_multiplier = 1;
    float x[N_VOCAB] = {0};
    bench b = bench_new(&p, N_VOCAB, 7, NULL);
    for (int32_t i = 0; i < 1000; i++) {
        bench_accept(&b, i % (N_VOCAB + 3) - 1);
        bench_pick(&b, x, -1);
    }
    bench_accept(&b, INT32_MAX);
    bench_accept(&b, INT32_MIN);
    bench_pick(&b, x, -1);
    bench_free(&b);
}

static void only_generated_tokens_count_for_frequency(void **state) {
    (void)state;
    ag_sampling p = ag_sampling_default();
    p.temperature = 0;
    p.frequency_penalty = 1;
    p.presence_penalty = 0.5f;
    const int32_t prompt[] = {1, 1, 1, 1};
    float x[N_VOCAB] = {0};
    x[1] = 3.2f;
    bench b = bench_new(&p, N_VOCAB, 100, NULL);
    ag_sampler_prompt(b.sampler, prompt, 4);
    assert_int_equal(bench_pick(&b, x, -1).id, 1);
    bench_accept(&b, 1); /* 1.7 left */
    assert_int_equal(bench_pick(&b, x, -1).id, 1);
    bench_accept(&b, 1); /* 0.7 left */
    assert_int_equal(bench_pick(&b, x, -1).id, 1);
    bench_accept(&b, 1); /* -0.3 left */
    assert_int_equal(bench_pick(&b, x, -1).id, 0);
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penalties_equal_a_plain_count),
        cmocka_unit_test(tokens_past_the_context_are_harmless),
        cmocka_unit_test(only_generated_tokens_count_for_frequency),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
