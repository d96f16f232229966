/* Detection agrees with itself and describes the CPU in words. */
#include <string.h>

#include "kernels/cpu.h"
#include "unit/test.h"

/* Of one architecture; a CPU runs no tier of another. */
static void tiers_are_nested(void **state) {
    (void)state;
    assert_true(ag_cpu_runs(AG_TIER_REF));
    for (int t = AG_TIER_AVX512; t <= AG_TIER_AMX; t++)
        assert_true(!ag_cpu_runs((ag_tier)t) || ag_cpu_runs((ag_tier)(t - 1)));
    for (int t = AG_TIER_DOTPROD; t <= AG_TIER_I8MM; t++)
        assert_true(!ag_cpu_runs((ag_tier)t) || ag_cpu_runs((ag_tier)(t - 1)));
    assert_false(ag_cpu_runs(AG_TIER_AVX2) && ag_cpu_runs(AG_TIER_NEON));
    assert_false(ag_cpu_runs(AG_TIERS));
}

static void description_names_what_the_tiers_use(void **state) {
    (void)state;
    ag_cpu_text text;
    memset(&text, 'x', sizeof text);
    ag_cpu_describe(&text);
    assert_non_null(memchr(text.brand, 0, sizeof text.brand));
    assert_non_null(memchr(text.features, 0, sizeof text.features));
    assert_true(text.brand[0] != 0);
    print_message("%s: %s\n", text.brand, text.features);
    assert_int_equal(ag_cpu_runs(AG_TIER_VNNI),
                     strstr(text.features, "avx512_vnni") != NULL && ag_cpu_runs(AG_TIER_AVX512));
    if (ag_cpu_runs(AG_TIER_AMX))
        assert_non_null(strstr(text.features, "amx_tile amx_int8"));
    if (ag_cpu_runs(AG_TIER_AVX2))
        assert_non_null(strstr(text.features, "avx2 fma f16c bmi2"));
    assert_int_equal(ag_cpu_runs(AG_TIER_DOTPROD), strstr(text.features, "asimddp") != NULL);
    assert_int_equal(ag_cpu_runs(AG_TIER_I8MM), strstr(text.features, "i8mm") != NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiers_are_nested),
        cmocka_unit_test(description_names_what_the_tiers_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
