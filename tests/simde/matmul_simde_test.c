/* The AVX-512, VNNI and AMX matmuls, emulated, against the plain ones. Needs AVX2 for the
 * emulation. */
#include "kernels/cpu.h"
#include "unit/kernels/matmul_check.h"

void ag_simde_matmul_fill_avx512(ag_kernels *k);
void ag_simde_matmul_fill_vnni(ag_kernels *k);
void ag_simde_matmul_fill_amx(ag_kernels *k);
void ag_simde_bf16_fill_amx(ag_kernels *k);

static ag_kernels emulated(void (*fill)(ag_kernels *), const char *name) {
    ag_kernels k = *ag_kernels_get("avx2");
    k.isa = name;
    fill(&k);
    return k;
}

static void check_tier(void (*fill)(ag_kernels *), const char *name) {
    ag_rng r;
    ag_rng_init(&r, mm_seed());
    const ag_kernels k = emulated(fill, name);
    mm_check_all(&r, ag_kernels_get("ref"), &k);
}

static void avx512_equals_the_plain_matmul_bit_for_bit(void **state) {
    (void)state;
    check_tier(ag_simde_matmul_fill_avx512, "avx512");
}

static void avx512_quantises_activations_to_the_same_bytes(void **state) {
    (void)state;
    ag_rng r;
    ag_rng_init(&r, mm_seed());
    const ag_kernels k = emulated(ag_simde_matmul_fill_avx512, "avx512");
    mm_check_quantize_all(&r, ag_kernels_get("ref"), &k);
}

static void vnni_equals_the_plain_matmul_bit_for_bit(void **state) {
    (void)state;
    check_tier(ag_simde_matmul_fill_vnni, "vnni");
}

/* AMX leaves few tokens, and some types, to VNNI. */
static void fill_to_amx(ag_kernels *k) {
    ag_simde_matmul_fill_vnni(k);
    ag_simde_matmul_fill_amx(k);
    ag_simde_bf16_fill_amx(k);
}

static void amx_equals_the_plain_matmul_bit_for_bit(void **state) {
    (void)state;
    check_tier(fill_to_amx, "amx");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(avx512_equals_the_plain_matmul_bit_for_bit),
        cmocka_unit_test(avx512_quantises_activations_to_the_same_bytes),
        cmocka_unit_test(vnni_equals_the_plain_matmul_bit_for_bit),
        cmocka_unit_test(amx_equals_the_plain_matmul_bit_for_bit),
    };
    if (!ag_cpu_runs(AG_TIER_AVX2))
        return 77; /* skipped */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
