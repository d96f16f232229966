#include "unit/test.h"

#include "unit/sample/plain.h"

static void masses_agree_with_exp(void **state) {
    (void)state;
    for (float d = -29; d <= 0; d += 1e-3f) {
        const double want = exp((double)d) * 0x1p39;
        assert_true(fabs((double)ag_mass(d) - want) <= want * 3e-7 + 0.5);
    }
}

static void the_best_weighs_the_whole_and_the_hopeless_nothing(void **state) {
    (void)state;
    assert_true(ag_mass(0) == 1ull << AG_MASS_BITS);
    assert_true(ag_mass(-0.0f) == 1ull << AG_MASS_BITS);
    const float hopeless[] = {AG_MASS_LOW, -31, -88, -1e4f, -FLT_MAX, -INFINITY, NAN, -NAN};
    for (size_t i = 0; i < sizeof hopeless / sizeof *hopeless; i++)
        assert_true(ag_mass(hopeless[i]) == 0);
    assert_true(ag_mass(-27) > 0);
}

/* Written down once; a machine or compiler that rounds otherwise fails here. */
static void masses_are_the_same_everywhere(void **state) {
    (void)state;
    uint64_t hash = 0;
    for (int32_t i = 0; i < 30000; i++)
        hash = (hash ^ ag_mass((float)-i * 0.001f)) * 0x100000001b3ull;
    for (int32_t i = 1; i < 3000; i++) {
        const double ln = ag_mass_ln((double)i * 0.37);
        uint64_t bits;
        memcpy(&bits, &ln, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3ull;
    }
    assert_true(hash == 0x35ba3c428e1eecf5ull);
}

static void logarithms_agree_with_libm(void **state) {
    (void)state;
    for (double x = 1e-45; x < 1e40; x *= 1.001) {
        const double want = log(x), bound = fabs(want) > 1 ? fabs(want) : 1;
        assert_true(fabs(ag_mass_ln(x) - want) <= bound * 1e-15);
    }
    assert_true(ag_mass_ln(1) == 0);
}

static void a_scan_finds_what_a_loop_finds(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 1);
    float x[1000], block_max[16];
    uint64_t block_mass[16];
    for (int round = 0; round < 400; round++) {
        const int32_t n = 1 + (int32_t)(ag_rng_u64(&rng) % 1000);
        row_fill(x, n, (row_kind)(round % ROW_KINDS), &rng);
        const float scale = round % 3 ? 1 : 0.01f;
        const ag_row row = ag_row_scan(ag_kernels_get(NULL), x, n, block_max);
        plain_set all = plain_all(x, n);
        assert_true(row.best == all.t[0].logit);
        assert_int_equal(ag_row_argmax(&row), all.t[0].id);
        const uint64_t total = plain_weigh(&all, scale);
        assert_true(ag_row_mass(&row, scale, block_mass) == total);
        assert_true(ag_row_mass(&row, scale, NULL) == total);
        /* Units of mass laid end to end by id. */
        qsort(all.t, all.n, sizeof *all.t, plain_by_id);
        uint64_t at = 0;
        for (size_t i = 0; i < all.n; at += all.t[i++].mass) {
            if (!all.t[i].mass)
                continue;
            assert_int_equal(ag_row_token_at(&row, scale, block_mass, at), all.t[i].id);
            assert_int_equal(ag_row_token_at(&row, scale, block_mass, at + all.t[i].mass - 1),
                             all.t[i].id);
        }
        ag_free(all.t);
    }
}

static void a_row_without_usable_logits_is_known(void **state) {
    (void)state;
    float x[130], block_max[3];
    for (int i = 0; i < 130; i++)
        x[i] = i % 2 ? NAN : -INFINITY;
    ag_row row = ag_row_scan(ag_kernels_get(NULL), x, 130, block_max);
    assert_false(ag_row_usable(&row));
    x[129] = -FLT_MAX;
    row = ag_row_scan(ag_kernels_get(NULL), x, 130, block_max);
    assert_true(ag_row_usable(&row));
    assert_int_equal(ag_row_argmax(&row), 129);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masses_agree_with_exp),
        cmocka_unit_test(the_best_weighs_the_whole_and_the_hopeless_nothing),
        cmocka_unit_test(masses_are_the_same_everywhere),
        cmocka_unit_test(logarithms_agree_with_libm),
        cmocka_unit_test(a_scan_finds_what_a_loop_finds),
        cmocka_unit_test(a_row_without_usable_logits_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
