/* Picks compared, token for token, with the plain definitions under every kind of row. */
#include "unit/test.h"

#include "unit/sample/plain.h"

static void picks_equal_plain(const ag_sampling *p, int32_t n, int rounds, uint64_t seed) {
    ag_sampling with_seed = *p;
    with_seed.has_seed = true;
    with_seed.seed = seed;
    float *x = ag_calloc(AG_ROOM_TEST, (size_t)n, sizeof *x);
    bench b = bench_new(&with_seed, n, 16, NULL);
    ag_rng draws, rows;
    ag_rng_init(&draws, seed);
    ag_rng_init(&rows, seed + 1);
    for (int i = 0; i < rounds; i++) {
        row_fill(x, n, (row_kind)(i % ROW_KINDS), &rows);
        const int32_t want = plain_pick(p, x, n, &draws), got = bench_pick(&b, x, -1).id;
        if (want != got)
            fail_msg("n %d round %d seed %llu: picked %d, plain definition %d", (int)n, i,
                     (unsigned long long)seed, (int)got, (int)want);
    }
    bench_free(&b);
    ag_free(x);
}

static const float temperatures[] = {1, 0.7f, 1e-3f, 100, 0, 1e-40f};
#define N_TEMPERATURES (sizeof temperatures / sizeof *temperatures)

static void sweep(ag_sampling p) {
    static const int32_t sizes[] = {1, 2, 63, 64, 65, 700};
    for (size_t t = 0; t < N_TEMPERATURES; t++) {
        p.temperature = temperatures[t];
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            picks_equal_plain(&p, sizes[i], sizes[i] > 100 ? 5 : 10, t * 100 + i);
    }
}

static void without_filters_all_tokens_are_drawn_from(void **state) {
    (void)state;
    sweep(ag_sampling_default());
}

static void top_k_keeps_the_k_most_likely(void **state) {
    (void)state;
    static const int32_t ks[] = {1, 2, 40, 64, 1000, INT32_MAX};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        ag_sampling p = ag_sampling_default();
        p.top_k = ks[i];
        sweep(p);
    }
}

static void top_p_keeps_the_smallest_set_with_the_mass(void **state) {
    (void)state;
    static const float ps[] = {1e-42f, 1e-6f, 0.1f, 0.5f, 0.95f, 0.9999999f};
    for (size_t i = 0; i < sizeof ps / sizeof *ps; i++) {
        ag_sampling p = ag_sampling_default();
        p.top_p = ps[i];
        sweep(p);
    }
}

static void min_p_keeps_what_is_near_the_best(void **state) {
    (void)state;
    static const float ps[] = {1e-42f, 1e-30f, 0.01f, 0.5f, 1};
    for (size_t i = 0; i < sizeof ps / sizeof *ps; i++) {
        ag_sampling p = ag_sampling_default();
        p.min_p = ps[i];
        sweep(p);
    }
}

static void typical_keeps_what_is_near_the_entropy(void **state) {
    (void)state;
    static const float ps[] = {1e-42f, 0.2f, 0.9f, 0.9999999f};
    for (size_t i = 0; i < sizeof ps / sizeof *ps; i++) {
        ag_sampling p = ag_sampling_default();
        p.typical_p = ps[i];
        sweep(p);
    }
}

static void xtc_drops_all_but_the_least_likely_of_the_likely(void **state) {
    (void)state;
    static const float thresholds[] = {0, 1e-3f, 0.1f, 0.5f, 1};
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
        ag_sampling p = ag_sampling_default();
        p.xtc_probability = i % 2 ? 0.5f : 1;
        p.xtc_threshold = thresholds[i];
        sweep(p);
    }
}

static void filters_work_in_the_documented_order(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 7);
    for (int i = 0; i < 300; i++) {
        ag_sampling p = ag_sampling_default();
        p.temperature = temperatures[ag_rng_u64(&rng) % N_TEMPERATURES];
        p.top_k = ag_rng_u64(&rng) % 2 ? (int32_t)(ag_rng_u64(&rng) % 100) : 0;
        p.typical_p = ag_rng_u64(&rng) % 2 ? 1 - (float)ag_rng_f64(&rng) : 1;
        p.top_p = ag_rng_u64(&rng) % 2 ? 1 - (float)ag_rng_f64(&rng) : 1;
        p.min_p = ag_rng_u64(&rng) % 2 ? (float)ag_rng_f64(&rng) * 0.2f : 0;
        p.xtc_probability = ag_rng_u64(&rng) % 2 ? (float)ag_rng_f64(&rng) : 0;
        p.xtc_threshold = (float)ag_rng_f64(&rng) * 0.3f;
        picks_equal_plain(&p, 1 + (int32_t)(ag_rng_u64(&rng) % 2000), 5, (uint64_t)i);
    }
}

static void large_vocabularies_are_no_different(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        ag_sampling p = ag_sampling_default();
        p.top_k = i == 0 ? 40 : 0;
        p.top_p = i <= 1 ? 0.95f : 1;
        p.min_p = i == 2 ? 0.05f : 0;
        picks_equal_plain(&p, 100003, ROW_KINDS, (uint64_t)i);
    }
}

/* The same nucleus by libm's exp and sums of doubles: only a token on the very edge may differ. */
static void the_nucleus_agrees_with_doubles(void **state) {
    (void)state;
    enum { N = 3000 };
    static float x[N];
    ag_rng rng;
    ag_rng_init(&rng, 3);
    ag_sample_scratch *s;
    float block_max[(N - 1) / AG_ROW_BLOCK + 1];
    assert_int_equal(ag_sample_scratch_new(ag_kernels_get(NULL), N, &s, NULL), AG_OK);
    for (int round = 0; round < 100; round++) {
        row_fill(x, N, (row_kind)(round % ROW_ODD), &rng);
        const float p = (float)ag_rng_f64(&rng) * 0.999f;
        const ag_row row = ag_row_scan(ag_kernels_get(NULL), x, N, block_max);
        ag_cands_nucleus(s, &row, p);
        plain_set all = plain_all(x, N);
        double total = 0, sum = 0;
        for (size_t i = 0; i < all.n; i++)
            total += exp((double)all.t[i].logit - (double)all.t[0].logit);
        for (size_t i = 0; i < all.n; i++) {
            if (i == s->n_cands)
                assert_true(sum / total >= (double)p - 1e-6);
            if (i + 1 == s->n_cands)
                assert_true(sum / total < (double)p + 1e-6);
            sum += exp((double)all.t[i].logit - (double)all.t[0].logit);
        }
        ag_free(all.t);
    }
    ag_sample_scratch_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_filters_all_tokens_are_drawn_from),
        cmocka_unit_test(top_k_keeps_the_k_most_likely),
        cmocka_unit_test(top_p_keeps_the_smallest_set_with_the_mass),
        cmocka_unit_test(min_p_keeps_what_is_near_the_best),
        cmocka_unit_test(typical_keeps_what_is_near_the_entropy),
        cmocka_unit_test(xtc_drops_all_but_the_least_likely_of_the_likely),
        cmocka_unit_test(filters_work_in_the_documented_order),
        cmocka_unit_test(large_vocabularies_are_no_different),
        cmocka_unit_test(the_nucleus_agrees_with_doubles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
