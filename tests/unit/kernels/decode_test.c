/* ag_type_decode against values from the reference formulas (tests/golden/quant), bit by bit, and
 * the table of types. Runs in the root of the sources. */
#include <string.h>

#include "kernels/half.h"
#include "kernels/types.h"
#include "quant_golden.h"

static void decoded_blocks_equal_the_golden_values_bit_for_bit(void **state) {
    (void)state;
    for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
        const ag_type_info *info = ag_type_find(type);
        if (!info || !info->decoded)
            continue;
        ag_buf blocks = quant_golden(info->name, "blocks"), want = quant_golden(info->name, "f32");
        const size_t n = blocks.n / info->bytes * info->block;
        assert_int_equal(want.n, n * sizeof(float));
        assert_int_equal(ag_type_bytes((ag_type)type, n), blocks.n);
        float *got = test_malloc(want.n);
        ag_type_decode((ag_type)type, blocks.p, got, n);
        for (size_t i = 0; i < n; i++)
            if (memcmp(&got[i], want.p + 4 * i, 4) != 0)
                fail_msg("%s element %zu: %a (%08x)", info->name, i, got[i], ag_f32_bits(got[i]));
        test_free(got);
        ag_buf_deinit(&blocks);
        ag_buf_deinit(&want);
    }
}

static void types_are_found_by_number_and_by_name(void **state) {
    (void)state;
    assert_string_equal(ag_type_find(12)->name, "Q4_K");
    assert_int_equal(ag_type_find(12)->bytes, 144);
    assert_true(ag_type_find(12)->decoded);
    assert_null(ag_type_find(4));
    assert_null(ag_type_find(AG_T_LIMIT));
    assert_null(ag_type_find(UINT32_MAX));
    assert_int_equal(ag_type_by_name("q4_k"), AG_T_Q4_K);
    assert_int_equal(ag_type_by_name("bF16"), AG_T_BF16);
    assert_int_equal(ag_type_by_name(""), -1);
    assert_int_equal(ag_type_by_name("Q4"), -1);
    assert_string_equal(ag_type_supported(), "F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, "
                                             "Q4_K, Q5_K, Q6_K, IQ4_NL, IQ4_XS, BF16, MXFP4");
}

static void every_half_survives_the_way_to_float_and_back(void **state) {
    (void)state;
    for (unsigned h = 0; h < 65536; h++) {
        const bool nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff);
        if (!nan && ag_f32_to_f16(ag_f16_to_f32((uint16_t)h)) != h)
            fail_msg("half %04x", h);
        if (nan && ag_f16_to_f32((uint16_t)h) == ag_f16_to_f32((uint16_t)h))
            fail_msg("half %04x is NaN", h);
    }
}

static void floats_round_to_the_nearest_even_half(void **state) {
    (void)state;
    static const struct {
        float x;
        uint16_t f16, bf16;
    } rows[] = {
        {1.0f, 0x3c00, 0x3f80},       {0x1.002p0f, 0x3c00, 0x3f80}, /* half way: to even */
        {0x1.006p0f, 0x3c02, 0x3f80}, {0x1.002002p0f, 0x3c01, 0x3f80}, {65504.0f, 0x7bff, 0x4780},
        {65519.996f, 0x7bff, 0x4780}, {65520.0f, 0x7c00, 0x4780},      {0x1p-24f, 0x0001, 0x3380},
        {0x1p-25f, 0x0000, 0x3300},   {0x1.8p-25f, 0x0001, 0x3340},    {-0.0f, 0x8000, 0x8000},
        {0x1.01p0f, 0x3c04, 0x3f80},  {0x1.03p0f, 0x3c0c, 0x3f82},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(ag_f32_to_f16(rows[i].x), rows[i].f16);
        assert_int_equal(ag_f32_to_bf16(rows[i].x), rows[i].bf16);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoded_blocks_equal_the_golden_values_bit_for_bit),
        cmocka_unit_test(types_are_found_by_number_and_by_name),
        cmocka_unit_test(every_half_survives_the_way_to_float_and_back),
        cmocka_unit_test(floats_round_to_the_nearest_even_half),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
