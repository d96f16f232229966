#include "unit/test.h"

#include <stdlib.h>

#include "base/fault.h"
#include "unit/sample/plain.h"

static void equal_seeds_give_equal_tokens(void **state) {
    (void)state;
    enum { N = 1000 };
    static float x[N];
    for (int kind = 0; kind < 3; kind++) {
        ag_sampling p = ag_sampling_default();
        p.has_seed = true;
        p.seed = 42;
        p.top_p = kind == 1 ? 0.9f : 1;
        p.mirostat = kind == 2 ? 2 : 0;
        bench a = bench_new(&p, N, 100, NULL), b = bench_new(&p, N, 100, NULL);
        p.seed = 43;
        bench c = bench_new(&p, N, 100, NULL);
        ag_rng rng;
        ag_rng_init(&rng, 9);
        int n_other = 0;
        for (int i = 0; i < 100; i++) {
            row_fill(x, N, ROW_BELL, &rng);
            const int32_t id = bench_pick(&a, x, -1).id;
            assert_int_equal(bench_pick(&b, x, i % 20).id, id); /* reporting changes nothing */
            n_other += bench_pick(&c, x, -1).id != id;
            bench_accept(&a, id);
            bench_accept(&b, id);
            bench_accept(&c, id);
        }
        assert_true(n_other > 20);
        bench_free(&a);
        bench_free(&b);
        bench_free(&c);
    }
}

/* Written down once: these tokens are part of what a seed promises. */
static void a_seed_means_these_tokens(void **state) {
    (void)state;
    float x[256];
    for (int i = 0; i < 256; i++)
        x[i] = (float)((i * 37) % 256) / 32;
    ag_sampling p = ag_sampling_default();
    p.has_seed = true;
    p.seed = 1;
    p.temperature = 0.8f;
    p.top_k = 40;
    p.top_p = 0.9f;
    bench b = bench_new(&p, 256, 8, NULL);
    int32_t got[8];
    for (int i = 0; i < 8; i++)
        got[i] = bench_pick(&b, x, -1).id;
    const int32_t want[8] = {221, 200, 41, 200, 62, 159, 249, 145};
    assert_memory_equal(got, want, sizeof want);
    bench_free(&b);
}

static void without_a_seed_requests_differ(void **state) {
    (void)state;
    float x[1000] = {0};
    const ag_sampling p = ag_sampling_default();
    bench a = bench_new(&p, 1000, 8, NULL), b = bench_new(&p, 1000, 8, NULL);
    int n_equal = 0;
    for (int i = 0; i < 20; i++)
        n_equal += bench_pick(&a, x, -1).id == bench_pick(&b, x, -1).id;
    assert_true(n_equal < 10);
    bench_free(&a);
    bench_free(&b);
}

/* 40,000 draws from ten tokens against exp(x / T) in doubles. 27.9 is passed once in 1,000 for 9
 * degrees of freedom; the seeds are fixed, so this either holds or does not. */
static void draws_follow_the_distribution(void **state) {
    (void)state;
    static const float ts[] = {0.5f, 1, 2, 100};
    const float x[10] = {2, 1.5f, 1, 0.5f, 0, -0.5f, -1, 1.7f, 0.3f, 1.9f};
    for (size_t t = 0; t < 8; t++) {
        ag_sampling p = ag_sampling_default();
        p.has_seed = true;
        p.seed = 100 + t;
        p.temperature = ts[t % 4];
        p.top_k = t < 4 ? 0 : 9; /* with and without a filter; 9 leaves out the least likely */
        bench b = bench_new(&p, 10, 8, NULL);
        int count[10] = {0};
        double weight[10], total = 0, chi2 = 0;
        for (int i = 0; i < 10; i++) {
            weight[i] = t >= 4 && i == 6 ? 0 : exp((double)x[i] / (double)p.temperature);
            total += weight[i];
        }
        for (int i = 0; i < 40000; i++)
            count[bench_pick(&b, x, -1).id]++;
        for (int i = 0; i < 10; i++) {
            const double want = 40000 * weight[i] / total;
            chi2 += want > 0 ? (count[i] - want) * (count[i] - want) / want : count[i] * 1e9;
        }
        assert_true(chi2 < 27.9);
        bench_free(&b);
    }
}

static void greedy_takes_the_lowest_of_equals_and_never_nan(void **state) {
    (void)state;
    ag_sampling p = ag_sampling_default();
    p.temperature = 0;
    p.top_k = 7; /* filters do not matter */
    p.mirostat = 2;
    float x[200];
    for (int i = 0; i < 200; i++)
        x[i] = i % 3 ? NAN : -5;
    x[150] = x[90] = 3;
    bench b = bench_new(&p, 200, 8, NULL);
    assert_int_equal(bench_pick(&b, x, -1).id, 90);
    x[199] = INFINITY;
    assert_int_equal(bench_pick(&b, x, -1).id, 199);
    bench_free(&b);
}

static void logprobs_are_those_of_the_raw_logits(void **state) {
    (void)state;
    enum { N = 1000 };
    static float x[N];
    ag_logit_bias bias = {.id = 17, .bias = -INFINITY};
    ag_sampling p = ag_sampling_default();
    p.temperature = 0.3f;
    p.top_k = 5;
    p.logit_bias = &bias;
    p.n_logit_bias = 1;
    bench b = bench_new(&p, N, 8, NULL);
    ag_rng rng;
    ag_rng_init(&rng, 21);
    for (int round = 0; round < 105; round++) {
        row_fill(x, N, (row_kind)(round % ROW_ODD), &rng);
        const size_t n_top = (size_t)round % 21;
        const ag_sample got = bench_pick(&b, x, (int32_t)n_top);
        plain_set all = plain_all(x, N);
        double total = 0;
        for (size_t i = 0; i < all.n; i++)
            total += exp((double)all.t[i].logit - (double)all.t[0].logit);
        const double base = (double)all.t[0].logit + log(total);
        assert_true(fabs((double)got.logprob - ((double)x[got.id] - base)) < 1e-5);
        assert_int_equal(got.n_top, n_top);
        for (size_t i = 0; i < n_top; i++) {
            assert_int_equal(got.top[i].id, all.t[i].id);
            assert_true(fabs((double)got.top[i].logprob - ((double)all.t[i].logit - base)) < 1e-5);
        }
        ag_free(all.t);
        const ag_sample quiet = bench_pick(&b, x, -1);
        assert_true(isnan(quiet.logprob) && quiet.n_top == 0 && !quiet.top);
    }
    bench_free(&b);
}

static void fewer_usable_tokens_give_fewer_logprobs(void **state) {
    (void)state;
    float x[100];
    for (int i = 0; i < 100; i++)
        x[i] = i % 2 ? NAN : -INFINITY;
    x[40] = 1;
    x[60] = 1;
    const ag_sampling p = ag_sampling_default();
    bench b = bench_new(&p, 100, 8, NULL);
    const ag_sample got = bench_pick(&b, x, 20);
    assert_int_equal(got.n_top, 2);
    assert_int_equal(got.top[0].id, 40);
    assert_true(fabsf(got.top[1].logprob - logf(0.5f)) < 1e-6f);
    bench_free(&b);
}

static void forbidden_tokens_are_never_picked(void **state) {
    (void)state;
    float x[300];
    ag_rng rng;
    ag_rng_init(&rng, 2);
    for (int mode = 0; mode < 6; mode++) {
        ag_sampling p = ag_sampling_default();
        p.temperature = mode == 0 ? 0 : 100;
        p.top_k = mode == 1 ? 300 : mode == 2 ? 10 : 0;
        p.top_p = mode == 3 ? 0.99f : 1;
        p.mirostat = mode == 4 ? 2 : 0;
        p.xtc_probability = mode == 5 ? 1 : 0;
        bench b = bench_new(&p, 300, 8, NULL);
        for (int i = 0; i < 300; i++) {
            row_fill(x, 300, ROW_BELL, &rng);
            x[5] = x[299] = 50;
            const int32_t forbidden[] = {5, 299, -7, 300, INT32_MAX};
            const ag_pick pick = {.scratch = b.scratch,
                                  .logits = x,
                                  .top_logprobs = 0,
                                  .forbidden = forbidden,
                                  .n_forbidden = 5};
            ag_sample got;
            assert_int_equal(ag_sampler_pick(b.sampler, &pick, &got, NULL), AG_OK);
            assert_true(got.id != 5 && got.id != 299);
            assert_true(x[5] == 50);
        }
        bench_free(&b);
    }
}

/* Only allowed tokens come, in the proportions that they have among themselves; the log-probability
 * stays that of the whole row. */
static void only_allowed_tokens_are_picked(void **state) {
    (void)state;
    enum { N = 300, DRAWS = 4000 };
    float x[N];
    for (int i = 0; i < N; i++)
        x[i] = i % 7 == 0 ? 9 : 1;
    x[70] = 1 + logf(3); /* three times as likely as the other two */
    uint64_t allowed[(N + 63) / 64] = {0};
    const int32_t ids[] = {3, 70, 299};
    for (int i = 0; i < 3; i++)
        allowed[ids[i] >> 6] |= 1ull << (ids[i] & 63);
    for (int mode = 0; mode < 6; mode++) {
        ag_sampling p = ag_sampling_default();
        p.has_seed = true;
        p.temperature = mode == 0 ? 0 : 1;
        p.top_k = mode == 1 ? 200 : 0;
        p.top_p = mode == 2 ? 0.999f : 1;
        p.min_p = mode == 3 ? 0.01f : 0;
        p.repetition_penalty = mode == 4 ? 1.0001f : 1;
        p.mirostat = mode == 5 ? 2 : 0;
        p.mirostat_tau = 50;
        bench b = bench_new(&p, N, 8, NULL);
        int n[N] = {0};
        const ag_pick pick = {
            .scratch = b.scratch, .logits = x, .top_logprobs = 1, .allowed = allowed};
        for (int i = 0; i < DRAWS; i++) {
            ag_sample got;
            assert_int_equal(ag_sampler_pick(b.sampler, &pick, &got, NULL), AG_OK);
            n[got.id]++;
            assert_true(got.top[0].id == 0 && got.logprob < got.top[0].logprob);
        }
        assert_int_equal(n[3] + n[70] + n[299], DRAWS);
        if (mode == 0)
            assert_int_equal(n[70], DRAWS);
        else
            assert_true(abs(n[70] - DRAWS * 3 / 5) < 200 && abs(n[3] - DRAWS / 5) < 200);
        bench_free(&b);
    }
}

static void no_choice_is_an_error_and_says_whose(void **state) {
    (void)state;
    float x[3] = {NAN, -INFINITY, NAN};
    const int32_t forbidden[] = {0, 1, 2};
    ag_sampling p = ag_sampling_default();
    bench b = bench_new(&p, 3, 8, NULL);
    ag_pick pick = {.scratch = b.scratch, .logits = x, .top_logprobs = 3};
    ag_sample got;
    ag_err err = {0};
    assert_int_equal(ag_sampler_pick(b.sampler, &pick, &got, &err), AG_E_INTERNAL);
    assert_string_equal(err.msg, "the model gave no usable logit for any of 3 tokens");
    assert_true(got.id == 0 && isnan(got.logprob) && got.n_top == 0);
    x[0] = x[1] = x[2] = 1;
    pick.forbidden = forbidden;
    pick.n_forbidden = 3;
    assert_int_equal(ag_sampler_pick(b.sampler, &pick, &got, &err), AG_E_ARG);
    pick.n_forbidden = 2;
    assert_int_equal(ag_sampler_pick(b.sampler, &pick, &got, &err), AG_OK);
    assert_int_equal(got.id, 2);
    bench_free(&b);
}

static void biases_add_up(void **state) {
    (void)state;
    const ag_logit_bias bias[] = {{3, 2}, {4, 3}, {3, 2}, {7, -INFINITY}};
    ag_sampling p = ag_sampling_default();
    p.temperature = 0;
    p.logit_bias = bias;
    p.n_logit_bias = 4;
    float x[8] = {0};
    x[7] = 10;
    bench b = bench_new(&p, 8, 8, NULL);
    assert_int_equal(bench_pick(&b, x, -1).id, 3);
    bench_free(&b);
}

/* Mirostat 2.0 step by step in doubles. Where a draw falls depends on the same random number, so
 * the tokens must be equal as well. */
static void mirostat_follows_the_paper(void **state) {
    (void)state;
    enum { N = 500 };
    static float x[N];
    for (int round = 0; round < 6; round++) {
        ag_sampling p = ag_sampling_default();
        p.has_seed = true;
        p.seed = (uint64_t)round;
        p.mirostat = 2;
        p.mirostat_tau = round % 2 ? 3 : 8;
        p.mirostat_eta = 0.2f;
        p.temperature = round % 3 ? 1 : 0.7f;
        bench b = bench_new(&p, N, 8, NULL);
        ag_rng rows, draws;
        ag_rng_init(&rows, 77);
        ag_rng_init(&draws, p.seed);
        double mu = 2 * (double)p.mirostat_tau;
        const float scale = 1 / p.temperature;
        for (int i = 0; i < 100; i++) {
            row_fill(x, N, i % 4 ? ROW_BELL : ROW_PEAK, &rows);
            plain_set all = plain_all(x, N);
            const double total = (double)plain_weigh(&all, scale);
            size_t n = 0;
            while (n < all.n && -log2((double)all.t[n].mass / total) <= mu)
                n++;
            all.n = n ? n : 1;
            const int32_t want = plain_draw(&all, scale, &draws);
            assert_int_equal(bench_pick(&b, x, -1).id, want);
            double kept = 0, mass = 0;
            for (size_t j = 0; j < all.n; j++) {
                kept += (double)all.t[j].mass;
                mass = all.t[j].id == want ? (double)all.t[j].mass : mass;
            }
            mu -= (double)p.mirostat_eta * (-log2(mass / kept) - (double)p.mirostat_tau);
            bench_accept(&b, want);
            ag_free(all.t);
        }
        bench_free(&b);
    }
}

/* What the algorithm is for: the mean surprise comes to the target. */
static void mirostat_reaches_its_target(void **state) {
    (void)state;
    enum { N = 2000 };
    static float x[N];
    ag_sampling p = ag_sampling_default();
    p.has_seed = true;
    p.mirostat = 2;
    p.mirostat_tau = 4;
    bench b = bench_new(&p, N, 8, NULL);
    ag_rng rng;
    ag_rng_init(&rng, 8);
    double sum = 0;
    for (int i = 0; i < 2000; i++) {
        row_fill(x, N, ROW_BELL, &rng);
        const ag_sample got = bench_pick(&b, x, 0);
        bench_accept(&b, got.id);
        sum += i >= 1000 ? -(double)got.logprob / AG_LN2 : 0;
    }
    assert_true(sum / 1000 > 3.6 && sum / 1000 < 7); /* raw surprise: of all tokens, not the kept */
    bench_free(&b);
}

static void a_surprise_counts_only_when_its_token_is_accepted(void **state) {
    (void)state;
    float x[100] = {1e-3f}; /* nearly equal: 6.6 bits each */
    ag_sampling p = ag_sampling_default();
    p.has_seed = true;
    p.mirostat = 2;
    p.mirostat_eta = 1;
    p.mirostat_tau = 0;
    bench a = bench_new(&p, 100, 8, NULL);
    p.mirostat_tau = 6;
    bench b = bench_new(&p, 100, 8, NULL);
    int n_zero = 0;
    for (int i = 0; i < 50; i++) {
        n_zero += bench_pick(&a, x, -1).id == 0;
        bench_pick(&b, x, -1);
        bench_accept(&b, 100); /* another token than the one picked */
    }
    assert_int_equal(n_zero, 50); /* mu starts at 0: nothing but the best */
    int n_other = 0;
    for (int i = 0; i < 50; i++)
        n_other += bench_pick(&b, x, -1).id != 0;
    assert_true(n_other > 40); /* mu is still 12 */
    bench_free(&a);
    bench_free(&b);
}

static void failed_allocations_leave_nothing_behind(void **state) {
    (void)state;
    const ag_logit_bias bias = {1, 1};
    const int32_t word[] = {1, 2};
    const ag_token_sequence forbidden = {word, 2};
    ag_sampling p = ag_sampling_default();
    p.forbidden = &forbidden;
    p.n_forbidden = 1;
    p.repetition_penalty = 1.1f;
    p.dry_multiplier = 1;
    p.logit_bias = &bias;
    p.n_logit_bias = 1;
    const size_t before = ag_mem_bytes(AG_ROOM_SAMPLE);
    for (long n = 1;; n++) {
        ag_sample_scratch *scratch;
        ag_sampler *sampler = NULL;
        ag_err err = {0};
        ag_fault_arm(AG_FAULT_ALLOC, n, false);
        ag_code code = ag_sample_scratch_new(ag_kernels_get(NULL), 100, &scratch, &err);
        const ag_sampler_opts opts = {.sampling = &p, .n_vocab = 100, .n_context = 50};
        if (!code)
            code = ag_sampler_new(&opts, &sampler, &err);
        const bool fired = ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        assert_int_equal(code, fired ? AG_E_NOMEM : AG_OK);
        assert_int_equal(err.code, code);
        assert_int_equal(sampler != NULL, !fired);
        ag_sampler_free(&sampler);
        ag_sample_scratch_free(&scratch);
        assert_int_equal(ag_mem_bytes(AG_ROOM_SAMPLE), before);
        if (!fired)
            break;
    }
}

static void bad_sizes_are_refused(void **state) {
    (void)state;
    ag_sample_scratch *scratch;
    assert_int_equal(ag_sample_scratch_new(ag_kernels_get(NULL), 0, &scratch, NULL), AG_E_ARG);
    assert_int_equal(ag_sample_scratch_new(ag_kernels_get(NULL), INT32_MAX, &scratch, NULL),
                     AG_E_ARG);
    assert_null(scratch);
    assert_int_equal(ag_sample_scratch_new(ag_kernels_get(NULL), 10, &scratch, NULL), AG_OK);
    ag_sampling p = ag_sampling_default();
    ag_sampler *sampler;
    ag_sampler_opts opts = {.sampling = &p, .n_vocab = 10};
    assert_int_equal(ag_sampler_new(&opts, &sampler, NULL), AG_E_ARG);
    opts.n_context = SIZE_MAX;
    assert_int_equal(ag_sampler_new(&opts, &sampler, NULL), AG_E_ARG);
    opts.n_context = 1;
    p.top_p = 2;
    assert_int_equal(ag_sampler_new(&opts, &sampler, NULL), AG_E_ARG);
    assert_null(sampler);
    ag_sampler_free(&sampler);
    ag_sample_scratch_free(&scratch);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_seeds_give_equal_tokens),
        cmocka_unit_test(a_seed_means_these_tokens),
        cmocka_unit_test(without_a_seed_requests_differ),
        cmocka_unit_test(draws_follow_the_distribution),
        cmocka_unit_test(greedy_takes_the_lowest_of_equals_and_never_nan),
        cmocka_unit_test(logprobs_are_those_of_the_raw_logits),
        cmocka_unit_test(fewer_usable_tokens_give_fewer_logprobs),
        cmocka_unit_test(forbidden_tokens_are_never_picked),
        cmocka_unit_test(only_allowed_tokens_are_picked),
        cmocka_unit_test(no_choice_is_an_error_and_says_whose),
        cmocka_unit_test(biases_add_up),
        cmocka_unit_test(mirostat_follows_the_paper),
        cmocka_unit_test(mirostat_reaches_its_target),
        cmocka_unit_test(a_surprise_counts_only_when_its_token_is_accepted),
        cmocka_unit_test(failed_allocations_leave_nothing_behind),
        cmocka_unit_test(bad_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
