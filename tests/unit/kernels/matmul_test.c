/* Matmuls and activation quantisation: the plain ones against double precision, every tier of this
 * CPU against the plain ones, bit by bit. */
#include <math.h>

#include "check.h"
#include "kernels/act.h"
#include "matmul_check.h"

static void every_tier_equals_the_plain_matmul_bit_for_bit(void **state) {
    (void)state;
    ag_rng r;
    ag_rng_init(&r, mm_seed());
    const char *const *tiers;
    for (int t = 0, n = check_tier_count(ag_kernels_tiers(&tiers)); t < n; t++)
        mm_check_all(&r, ag_kernels_get("ref"), ag_kernels_get(tiers[t]));
}

static void every_tier_quantises_activations_to_the_same_bytes(void **state) {
    (void)state;
    ag_rng r;
    ag_rng_init(&r, mm_seed());
    const char *const *tiers;
    for (int t = 0, n = ag_kernels_tiers(&tiers); t < n; t++)
        mm_check_quantize_all(&r, ag_kernels_get("ref"), ag_kernels_get(tiers[t]));
}

/* The value an activation has after quantisation; float activations are themselves. */
static double act_value(const mm_case *c, int tok, int k) {
    const char *row = (const char *)c->act + tok * c->act_stride;
    if (c->k->matmul[c->type].act != AG_ACT_Q8) /* the plain form of bfloat16 is float32, too */
        return ((const float *)(const void *)row)[k];
    const ag_q8_block *b = (const ag_q8_block *)(const void *)row + k / 32;
    return (double)b->d * b->q[k % 32];
}

/* Rounding errors: one for each addition along K, relative to the largest partial sum. Types with a
 * minimum add two large parts of opposite sign, up to 63 * 31 + 63 * 1 times a small weight. */
static void plain_matmul_agrees_with_double_precision(void **state) {
    (void)state;
    const int rows = 21, cols = 1024, n_tok = 3;
    ag_rng r;
    ag_rng_init(&r, mm_seed());
    for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
        const ag_kernels *k = ag_kernels_get("ref");
        if (!ag_type_find(type) || !k->matmul[type].run)
            continue;
        uint8_t *w = mm_weights(&r, type, MM_RANDOM, rows, cols);
        float *x = mm_acts(&r, MM_RANDOM, n_tok * cols), *bias = mm_acts(&r, MM_RANDOM, rows);
        mm_case c = mm_open(k, type, rows, cols, n_tok, w, x, bias);
        float *out = mm_out(&c), values[1024];
        mm_run(&c, 0, mm_panels(&c), 0, n_tok, out);
        for (int row = 0; row < rows; row++) {
            ag_type_decode(type, w + row * ag_type_bytes(type, cols), values, cols);
            for (int t = 0; t < n_tok; t++) {
                double want = bias[row], size = fabs(want);
                for (int i = 0; i < cols; i++) {
                    want += values[i] * act_value(&c, t, i);
                    size += fabs(values[i] * act_value(&c, t, i));
                }
                const double got = out[t * (rows + 2 * MM_MARGIN) + MM_MARGIN + row];
                if (!(fabs(got - want) <= 4e-6 * size))
                    fail_msg("%s token %d row %d: %.9g, wanted %.9g of %.9g", k->matmul[type].name,
                             t, row, got, want, size);
            }
        }
        test_free(w);
        test_free(x);
        test_free(bias);
        test_free(out);
        mm_close(&c);
    }
}

static void quantised_activations_are_within_half_a_step(void **state) {
    (void)state;
    ag_rng r;
    ag_rng_init(&r, mm_seed());
    float x[1024];
    ag_q8_block b[32];
    for (int i = 0; i < 1024; i++)
        x[i] = mm_unit(&r) * (float)(1 + i / 32);
    ag_kernels_get("auto")->quantize_q8(x, 1024, b);
    for (int i = 0; i < 1024; i++) {
        const ag_q8_block *q = &b[i / 32];
        assert_true(fabs((double)q->d * q->q[i % 32] - x[i]) <= 0.5001 * q->d);
    }
    for (int i = 0; i < 32; i++) {
        int sum = 0;
        for (int j = 0; j < 32; j++)
            sum += b[i].q[j];
        assert_int_equal(sum, b[i].sum);
        assert_int_equal(-32 * sum, b[i].s16[0] + b[i].s16[1]);
        assert_int_equal(-16 * sum, b[i].c32[0] + b[i].c32[1]);
    }
}

static void a_value_that_is_not_finite_makes_the_result_nan(void **state) {
    (void)state;
    float x[64] = {1.0f};
    ag_q8_block b[2];
    x[40] = INFINITY;
    ag_kernels_get("ref")->quantize_q8(x, 64, b);
    assert_true(b[0].d > 0 && b[0].q[0] == 127);
    assert_true(isnan(b[1].d) && isnan(b[1].dsum));
}

static void tiers_are_known_by_name(void **state) {
    (void)state;
    const char *const *tiers;
    const int n = ag_kernels_tiers(&tiers);
    assert_true(n >= 1);
    assert_string_equal(tiers[0], "ref");
    assert_ptr_equal(ag_kernels_get(NULL), ag_kernels_get("auto"));
    assert_ptr_equal(ag_kernels_get("auto"), ag_kernels_get(tiers[n - 1]));
    assert_string_equal(ag_kernels_get(tiers[n - 1])->isa, tiers[n - 1]);
    assert_null(ag_kernels_get("sse9"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_are_known_by_name),
        cmocka_unit_test(quantised_activations_are_within_half_a_step),
        cmocka_unit_test(a_value_that_is_not_finite_makes_the_result_nan),
        cmocka_unit_test(every_tier_quantises_activations_to_the_same_bytes),
        cmocka_unit_test(plain_matmul_agrees_with_double_precision),
        cmocka_unit_test(every_tier_equals_the_plain_matmul_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
