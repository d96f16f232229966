/* ag_type_encode against the reference quantisers (tests/golden/quant), bit by bit, and what holds
 * for every type that has an encoder. Runs in the root of the sources. */
#include <math.h>
#include <stdio.h>
#include <string.h>

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
        if (!ag_type_find(type) || !ag_type_encodes(type))
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
        if (!ag_type_find(type) || !ag_type_encodes(type))
            continue;
        float x[256] = {0}, back[256];
        uint8_t block[sizeof x];
        ag_type_encode(type, x, block, 256);
        ag_type_decode(type, block, back, 256);
        for (int i = 0; i < 256; i++)
            assert_true(back[i] == 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded_rows_equal_the_reference_quantisers_bit_for_bit),
        cmocka_unit_test(values_that_are_not_finite_stay_visible),
        cmocka_unit_test(zeros_stay_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
