#include "unit/test.h"

#include "unit/sample/plain.h"

enum { N = 7, LENGTH = 200, SEQUENCES = 12, LONGEST = 4 };

static int32_t ids[SEQUENCES][LONGEST];
static ag_token_sequence sequences[SEQUENCES];

/* Over few tokens, so that they begin and end all the time; the last token is always free. */
static void make_sequences(ag_rng *rng, bool single) {
    for (int i = 0; i < SEQUENCES; i++) {
        sequences[i] = (ag_token_sequence){ids[i], i == 0 && single ? 1 : 2 + (size_t)i % 3};
        for (int k = 0; k < LONGEST; k++)
            ids[i][k] = (int32_t)(ag_rng_u64(rng) % (N - 1));
    }
}

/* Does the answer hold a sequence when `next` comes behind its n tokens? */
static bool completes(const int32_t *answer, size_t n, int32_t next) {
    for (int i = 0; i < SEQUENCES; i++) {
        const ag_token_sequence *s = &sequences[i];
        if (s->n - 1 <= n && s->ids[s->n - 1] == next &&
            memcmp(answer + n - (s->n - 1), s->ids, (s->n - 1) * sizeof *answer) == 0)
            return true;
    }
    return false;
}

static bench bench_of(ag_sampling p) {
    ag_token_sequence given[SEQUENCES];
    memcpy(given, sequences, sizeof given);
    p.forbidden = given; /* only until the sampler is there */
    p.n_forbidden = SEQUENCES;
    return bench_new(&p, N, LENGTH + LONGEST, NULL);
}

/* Against the plain definition, whatever else looks back at the same history. */
static void the_best_token_comes_that_completes_no_sequence(void **state) {
    (void)state;
    int n_kept_out = 0;
    ag_rng rng;
    ag_rng_init(&rng, 5);
    for (int round = 0; round < 60; round++) {
        int32_t answer[LENGTH];
        make_sequences(&rng, round % 2);
        ag_sampling p = ag_sampling_default();
        p.temperature = 0;
        p.dry_multiplier = round % 3 == 1 ? 1e-30f : 0; /* looks back and changes nothing */
        p.dry_base = 1;
        p.presence_penalty = round % 3 == 2 ? 1e-30f : 0;
        bench b = bench_of(p);
        ag_sampler_prompt(b.sampler, ids[11], LONGEST); /* what it begins may be ended */
        for (size_t n = 0; n < LENGTH; n++) {
            float x[N];
            int32_t best = 0, want = -1;
            row_fill(x, N, ROW_BELL, &rng);
            for (int32_t i = 0; i < N; i++) {
                best = x[i] > x[best] ? i : best;
                if (!completes(answer, n, i) && (want < 0 || x[i] > x[want]))
                    want = i;
            }
            answer[n] = bench_pick(&b, x, -1).id;
            assert_int_equal(answer[n], want);
            bench_accept(&b, answer[n]);
            n_kept_out += want != best;
        }
        bench_free(&b);
    }
    assert_true(n_kept_out > 1000);
}

static void hot_answers_hold_no_sequence(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 6);
    for (int round = 0; round < 40; round++) {
        int32_t answer[LENGTH];
        make_sequences(&rng, true);
        ag_sampling p = ag_sampling_default();
        p.temperature = 10;
        p.top_k = round % 4 == 1 ? 4 : 0;
        p.top_p = round % 4 == 2 ? 0.9f : 1;
        p.mirostat = round % 4 == 3 ? 2 : 0;
        bench b = bench_of(p);
        for (size_t n = 0; n < LENGTH; n++) {
            float x[N];
            row_fill(x, N, ROW_BELL, &rng);
            answer[n] = bench_pick(&b, x, 3).id;
            assert_false(completes(answer, n, answer[n]));
            bench_accept(&b, answer[n]);
        }
        bench_free(&b);
    }
}

/* A token that was picked and not accepted, as of a guess that did not come true, is not in the
 * answer. */
static void only_accepted_tokens_begin_a_sequence(void **state) {
    (void)state;
    const int32_t word[] = {3, 4};
    const ag_token_sequence forbidden = {word, 2};
    const float three[N] = {0, 0, 0, 9, 0}, four[N] = {0, 0, 0, 0, 9};
    ag_sampling p = ag_sampling_default();
    p.temperature = 0;
    p.forbidden = &forbidden;
    p.n_forbidden = 1;
    bench b = bench_new(&p, N, 8, NULL);
    assert_int_equal(bench_pick(&b, three, -1).id, 3);
    assert_int_equal(bench_pick(&b, four, -1).id, 4);
    bench_accept(&b, 3);
    const ag_sample got = bench_pick(&b, four, 1);
    assert_int_equal(got.id, 0);
    assert_int_equal(got.top[0].id, 4); /* told is what the model said */
    bench_free(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_token_comes_that_completes_no_sequence),
        cmocka_unit_test(hot_answers_hold_no_sequence),
        cmocka_unit_test(only_accepted_tokens_begin_a_sequence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
