/* What the kernel tests share: the tiers under test, guarded buffers, and random numbers from a
 * seed that is printed and can be given again with AG_TEST_SEED. */
#ifndef AG_TESTS_KERNELS_CHECK_H
#define AG_TESTS_KERNELS_CHECK_H

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/random.h"
#include "kernels/fill.h"
#include "unit/test.h"

#define CHECK_TIERS 8
#define CHECK_GUARD 64 /* floats on each side of a guarded buffer */

static ag_rng check_rng;

static inline void check_seed(void) {
    const char *given = getenv("AG_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20250101;
    print_message("seed %llu\n", (unsigned long long)seed);
    ag_rng_init(&check_rng, seed);
}

/* 0 .. n - 1. */
static inline int check_below(int n) { return (int)(ag_rng_u64(&check_rng) % (uint64_t)n); }
/* Uniform in [-1, 1). */
static inline float check_float(void) { return (float)(2 * ag_rng_f64(&check_rng) - 1); }

static inline void check_fill(float *x, size_t n, float by) {
    for (size_t i = 0; i < n; i++)
        x[i] = by * check_float();
}

/* Do two tables share all kernels of attention and vectors? */
static inline bool check_equal_but_matmul(const ag_kernels *a, const ag_kernels *b) {
    const size_t from = offsetof(ag_kernels, kv);
    return memcmp((const char *)a + from, (const char *)b + from, sizeof *a - from) == 0;
}

/* AddressSanitizer instruments the plain tier, which then takes minutes: fewer rounds walk the same
 * paths, and one tier with vectors shows what the others would. */
#ifdef __SANITIZE_ADDRESS__
static inline int check_rounds(int n) { return n / 4; }
static inline int check_tier_count(int all) { return all < 2 ? all : 2; }
#else
static inline int check_rounds(int n) { return n; }
static inline int check_tier_count(int all) { return all; }
#endif

/* Tables to test, the plain one first; of tiers that differ in matmuls only, one. A build with
 * AG_TEST_EMULATED adds the 512-bit tier, compiled for emulation: table `spare` holds it. */
static inline int check_tiers(const ag_kernels *out[CHECK_TIERS], ag_kernels *spare) {
    const char *const *names;
    int n = 0, all = check_tier_count(ag_kernels_tiers(&names));
    for (int t = 0; t < all; t++) {
        assert_non_null(out[n] = ag_kernels_get(names[t]));
        n += n == 0 || !check_equal_but_matmul(out[n - 1], out[n]);
    }
#ifdef AG_TEST_EMULATED
    if (n < 2)
        exit(77); /* skipped: the emulation itself needs AVX2 */
    *spare = *out[1];
    spare->isa = "avx512, emulated";
    ag_k_attend_fill_avx512(spare);
    ag_k_vector_fill_avx512(spare);
    out[n++] = spare;
#else
    (void)spare;
#endif
    return n;
}

/* n floats between guards; contents are NaN until written. */
static inline float *check_new(size_t n) {
    size_t all = n + 2 * CHECK_GUARD;
    float *p = ag_alloc(AG_ROOM_TEST, all * sizeof(float));
    assert_non_null(p);
    memset(p, 0xff, all * sizeof(float));
    return p + CHECK_GUARD;
}

/* Frees; fails when anything was written outside. */
static inline void check_free(float *p, size_t n) {
    for (int i = 1; i <= CHECK_GUARD; i++) {
        uint32_t below, above;
        memcpy(&below, p - i, sizeof below);
        memcpy(&above, p + n + i - 1, sizeof above);
        assert_int_equal(below, 0xffffffffu);
        assert_int_equal(above, 0xffffffffu);
    }
    ag_free(p - CHECK_GUARD);
}

/* Fails with the first difference, bit for bit. */
static inline void check_same(const char *what, const char *isa, const float *want,
                              const float *got, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(want + i, got + i, sizeof *want) != 0)
            fail_msg("%s (%s): element %zu of %zu is %a, expected %a", what, isa, i, n,
                     (double)got[i], (double)want[i]);
}

#endif
