/* ag_type_encode against the reference quantisers (tests/golden/quant), bit by bit, and what holds
 * for every type that has an encoder. Runs in the root of the sources. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "kernels/half.h"
#include "kernels/types.h"
#include "quant_golden.h"

static void encoded_rows_equal_the_reference_quantisers_bit_for_bit(void **state) {
    (void)state;
    static const ag_type types[] = {AG_T_F16,  AG_T_BF16, AG_T_Q4_0, AG_T_Q4_1,
                                    AG_T_Q5_0, AG_T_Q5_1, AG_T_Q8_0};
    ag_buf source = quant_golden("source", "f32");
    const size_t n = source.n / sizeof(float);
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        const ag_type_info *info = ag_type_find(types[t]);
        ag_buf want = quant_golden(info->name, "encoded");
        assert_int_equal(want.n, ag_type_bytes(types[t], n));
        uint8_t *got = test_malloc(want.n);
        ag_type_encode(types[t], (const float *)(const void *)source.p, got, n);
        for (size_t i = 0; i < want.n; i++)
            if (got[i] != (uint8_t)want.p[i])
                fail_msg("%s byte %zu of block %zu: %02x, expected %02x", info->name,
                         i % info->bytes, i / info->bytes, got[i], (uint8_t)want.p[i]);
        test_free(got);
        ag_buf_deinit(&want);
    }
    ag_buf_deinit(&source);
}

/* Every block of 256 holds one odd value; each must come out as something not finite. */
static void values_that_are_not_finite_stay_visible(void **state) {
    (void)state;
    static const float odd[] = {NAN, INFINITY, -INFINITY};
    for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
        if (!ag_type_find(type))
            continue;
        for (int at = 0; at < 256; at += 37) {
            float x[256], back[256];
            uint8_t block[sizeof x];
            for (int i = 0; i < 256; i++)
                x[i] = (float)(i % 17 - 8);
            x[at] = odd[at % 3];
            ag_type_encode(type, x, block, 256);
            ag_type_decode(type, block, back, 256);
            if (isfinite(back[at]))
                fail_msg("%s: %f became %f", ag_type_find(type)->name, x[at], back[at]);
        }
    }
}

static void zeros_stay_zeros(void **state) {
    (void)state;
    for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
        if (!ag_type_find(type))
            continue;
        float x[256] = {0}, back[256];
        uint8_t block[sizeof x];
        ag_type_encode(type, x, block, 256);
        ag_type_decode(type, block, back, 256);
        for (int i = 0; i < 256; i++)
            assert_true(back[i] == 0);
    }
}

/* Rows of normally distributed values. */
static float *normal_rows(uint64_t seed, size_t n) {
    ag_rng r;
    ag_rng_init(&r, seed);
    float *x = test_malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] =
            (float)(sqrt(-2 * log(1 - ag_rng_f64(&r))) * cos(6.283185307179586 * ag_rng_f64(&r)));
    return x;
}

/* sum w (x - decoded)^2 / sum w x^2, root of it. */
static double relative_error(ag_type type, const float *x, const float *w, const uint8_t *blocks,
                             size_t rows, size_t cols) {
    float *back = test_malloc(rows * cols * sizeof *back);
    double error = 0, size = 0;
    ag_type_decode(type, blocks, back, rows * cols);
    for (size_t i = 0; i < rows * cols; i++) {
        const double by = w ? w[i % cols] : 1.0, e = (double)x[i] - back[i];
        error += by * e * e;
        size += by * x[i] * x[i];
    }
    test_free(back);
    return sqrt(error / size);
}

enum { ROWS = 128, COLS = 512 };

/* Bounds are what the encoders reach plus 2 parts in 100. In the same measure llama.cpp's reach
 * 0.296 (Q2_K), 0.151, 0.0713, 0.0361, 0.0177 (Q6_K), 0.0761 (IQ4_NL), 0.0767 (IQ4_XS). */
static void normal_values_keep_a_small_error(void **state) {
    (void)state;
    static const struct {
        ag_type type;
        double error;
    } rows[] = {
        {AG_T_F16, 0.0003},    {AG_T_BF16, 0.0025},   {AG_T_Q8_0, 0.0055},  {AG_T_Q4_0, 0.0875},
        {AG_T_Q4_1, 0.0797},   {AG_T_Q5_0, 0.0436},   {AG_T_Q5_1, 0.0386},  {AG_T_Q2_K, 0.2672},
        {AG_T_Q3_K, 0.1463},   {AG_T_Q4_K, 0.0713},   {AG_T_Q5_K, 0.0351},  {AG_T_Q6_K, 0.0176},
        {AG_T_IQ4_NL, 0.0757}, {AG_T_IQ4_XS, 0.0763}, {AG_T_MXFP4, 0.1139},
    };
    float *x = normal_rows(5, ROWS * COLS);
    uint8_t *blocks = test_malloc(ROWS * COLS * sizeof(float));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ag_type_encode(rows[i].type, x, blocks, ROWS * COLS);
        const double error = relative_error(rows[i].type, x, NULL, blocks, ROWS, COLS);
        if (!(error <= rows[i].error))
            fail_msg("%s: error %.5f of the values' size, at most %.5f expected",
                     ag_type_find(rows[i].type)->name, error, rows[i].error);
    }
    test_free(blocks);
    test_free(x);
}

static void weights_lower_the_error_that_they_weigh(void **state) {
    (void)state;
    float *x = normal_rows(6, ROWS * COLS), *w = normal_rows(7, COLS);
    for (int i = 0; i < COLS; i++)
        w[i] = 1e4f * w[i] * w[i];
    uint8_t *blocks = test_malloc(ROWS * COLS * sizeof(float));
    for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
        if (!ag_type_find(type) || ag_type_find(type)->block == 1)
            continue;
        ag_type_encode(type, x, blocks, ROWS * COLS);
        const double plain = relative_error(type, x, w, blocks, ROWS, COLS);
        ag_type_encode_weighted(type, x, w, blocks, ROWS, COLS);
        const double weighted = relative_error(type, x, w, blocks, ROWS, COLS);
        if (!(weighted < plain))
            fail_msg("%s: %.5f with weights, %.5f without", ag_type_find(type)->name, weighted,
                     plain);
    }
    test_free(blocks);
    test_free(w);
    test_free(x);
}

static void without_weights_both_ways_give_the_same_bytes(void **state) {
    (void)state;
    float *x = normal_rows(8, 4 * COLS);
    uint8_t a[4 * COLS * sizeof(float)], b[sizeof a];
    for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
        if (!ag_type_find(type))
            continue;
        ag_type_encode(type, x, a, 4 * COLS);
        ag_type_encode_weighted(type, x, NULL, b, 4, COLS);
        assert_memory_equal(a, b, ag_type_bytes(type, 4 * COLS));
    }
    test_free(x);
}

/* Anything that 32 bits may be, and weights that make no sense: nothing is written beyond the
 * blocks, and sanitizers have nothing to say. */
static void any_bits_can_be_encoded(void **state) {
    (void)state;
    ag_rng r;
    ag_rng_init(&r, 9);
    float x[256], w[256];
    uint8_t block[256 * sizeof(float) + 16];
    for (int round = 0; round < 3000; round++) {
        const uint32_t narrow = (uint32_t)ag_rng_u64(&r) & 0x7f800000u;
        for (int i = 0; i < 256; i++) { /* any magnitude, or all of about one */
            const uint32_t u = (uint32_t)ag_rng_u64(&r), v = (uint32_t)ag_rng_u64(&r);
            x[i] = ag_f32_of_bits(round % 2 ? (u & 0x807fffffu) | narrow : u);
            w[i] = ag_f32_of_bits(v);
        }
        for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
            if (!ag_type_find(type))
                continue;
            const size_t bytes = ag_type_bytes(type, 256);
            memset(block, 0xa5, sizeof block);
            ag_type_encode_weighted(type, x, round % 3 ? NULL : w, block, 1, 256);
            for (size_t i = bytes; i < bytes + 16; i++)
                assert_int_equal(block[i], 0xa5);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_rows_equal_the_reference_quantisers_bit_for_bit),
        cmocka_unit_test(values_that_are_not_finite_stay_visible),
        cmocka_unit_test(zeros_stay_zeros),
        cmocka_unit_test(normal_values_keep_a_small_error),
        cmocka_unit_test(weights_lower_the_error_that_they_weigh),
        cmocka_unit_test(without_weights_both_ways_give_the_same_bytes),
        cmocka_unit_test(any_bits_can_be_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
