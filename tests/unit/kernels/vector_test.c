/* The vector kernels: each tier equals the plain one bit for bit, and the plain one stays within a
 * stated bound of double precision. */
#include "kernels/mass.h"
#include "unit/kernels/check.h"

#include <float.h>

static const ag_kernels *tier[CHECK_TIERS];
static ag_kernels spare;
static int n_tiers;

static int find_tiers(void **state) {
    (void)state;
    check_seed();
    n_tiers = check_tiers(tier, &spare);
    return 0;
}

static const int sizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 100, 257, 1024, 4099};
#define N_SIZES  (sizeof sizes / sizeof *sizes)
#define MAX_SIZE 4099

static const float extremes[] = {
    0.0f,  -0.0f, 1e-45f, -1e-45f, FLT_MIN, -FLT_MIN, 1e-20f,  0.5f,     1.0f,   -1.0f,  9.0f,
    -9.0f, 43.5f, -43.5f, 87.0f,   -87.0f,  87.4f,    -87.4f,  88.8f,    -88.8f, 104.0f, -104.0f,
    1e4f,  -1e4f, 1e20f,  -1e20f,  1e38f,   -1e38f,   FLT_MAX, -FLT_MAX, 0.625f, -0.625f};
#define N_EXTREMES (sizeof extremes / sizeof *extremes)

static double silu(double x) { return x / (1 + exp(-x)); }
static double gelu_tanh(double x) {
    return x / 2 * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static void rms_norm_is_within_1e6_of_double(void **state) {
    (void)state;
    static float x[MAX_SIZE], w[MAX_SIZE];
    static const float by[] = {1, 1e-4f, 1e4f, 1e18f, 1e30f};
    for (size_t s = 0; s < N_SIZES; s++)
        for (size_t b = 0; b < sizeof by / sizeof *by; b++) {
            const int n = sizes[s];
            check_fill(x, n, by[b]);
            check_fill(w, n, 2);
            double sum = 0;
            for (int i = 0; i < n; i++)
                sum += (double)x[i] * x[i];
            const double root = 1 / sqrt(sum / n + 1e-5);
            float *want = check_new(n);
            tier[0]->rms_norm(x, w, n, 1e-5f, want);
            for (int i = 0; i < n; i++)
                assert_true(fabs(want[i] - x[i] * root * w[i]) <= 1e-6 * fabs(x[i] * root * w[i]));
            for (int t = 1; t < n_tiers; t++) {
                float *y = check_new(n);
                tier[t]->rms_norm(x, w, n, 1e-5f, y);
                check_same("rms_norm", tier[t]->isa, want, y, n);
                memcpy(y, x, n * sizeof *y);
                tier[t]->rms_norm(y, w, n, 1e-5f, y);
                check_same("rms_norm in place", tier[t]->isa, want, y, n);
                check_free(y, n);
            }
            check_free(want, n);
        }
}

static void rms_norm_of_zeros_is_zero(void **state) {
    (void)state;
    static const float x[37], w[37] = {1};
    for (int t = 0; t < n_tiers; t++) {
        float y[37];
        tier[t]->rms_norm(x, w, 37, 1e-6f, y);
        for (int i = 0; i < 37; i++)
            assert_true(y[i] == 0);
    }
}

static void check_layer_norm(const float *x, const float *w, const float *b, int n, float eps) {
    float *want = check_new(n);
    tier[0]->layer_norm(x, w, b, n, eps, want);
    double mean = 0, square = 0;
    for (int i = 0; i < n; i++)
        mean += (double)x[i] / n;
    for (int i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++) {
        const double by = 1 / sqrt(square + eps), y = (x[i] - mean) * by * w[i] + b[i];
        /* The difference keeps the mean's rounding. */
        assert_true(fabs(want[i] - y) <= 1e-6 * (fabs(y) + fabs(b[i])) +
                                             1.2e-7 * (fabs(x[i]) + fabs(mean)) * by * fabs(w[i]));
    }
    for (int t = 1; t < n_tiers; t++) {
        float *y = check_new(n);
        tier[t]->layer_norm(x, w, b, n, eps, y);
        check_same("layer_norm", tier[t]->isa, want, y, n);
        memcpy(y, x, n * sizeof *y);
        tier[t]->layer_norm(y, w, b, n, eps, y);
        check_same("layer_norm in place", tier[t]->isa, want, y, n);
        check_free(y, n);
    }
    check_free(want, n);
}

static void layer_norm_is_within_1e6_of_double(void **state) {
    (void)state;
    static float x[MAX_SIZE], w[MAX_SIZE], b[MAX_SIZE];
    static const float by[] = {1e-12f, 1, 1e12f};
    for (size_t s = 0; s < N_SIZES; s++)
        for (size_t k = 0; k < sizeof by / sizeof *by; k++)
            for (int shift = 0; shift < 2; shift++) {
                check_fill(x, sizes[s], by[k]);
                check_fill(w, sizes[s], 3);
                check_fill(b, sizes[s], 2);
                for (int i = 0; i < sizes[s] && shift; i++)
                    x[i] += 5 * by[k];
                check_layer_norm(x, w, b, sizes[s], 1e-12f);
            }
}

/* Torch rounds to 4e-7 |x| as well, since the normal distribution is computed in float32. */
static void check_gelu_erf(const float *x, int n) {
    float *want = check_new(n);
    tier[0]->gelu_erf(x, n, want);
    for (int i = 0; i < n; i++)
        assert_true(fabs(want[i] - (double)x[i] * 0.5 * erfc(-(double)x[i] / sqrt(2))) <=
                    4e-7 * fabs(x[i]) + 2e-45);
    for (int t = 1; t < n_tiers; t++) {
        float *y = check_new(n);
        memcpy(y, x, n * sizeof *y);
        tier[t]->gelu_erf(y, n, y);
        check_same("gelu_erf", tier[t]->isa, want, y, n);
        check_free(y, n);
    }
    check_free(want, n);
}

static void gelu_erf_is_within_4e7_of_its_argument(void **state) {
    (void)state;
    static float x[MAX_SIZE];
    static const float by[] = {1e-6f, 0.1f, 1, 4, 15, 1000};
    for (size_t s = 0; s < N_SIZES; s++)
        for (size_t b = 0; b < sizeof by / sizeof *by; b++) {
            check_fill(x, sizes[s], by[b]);
            check_gelu_erf(x, sizes[s]);
        }
    check_gelu_erf(extremes, N_EXTREMES);
}

/* Bound 1e-6 of the true value; where that is below 1e-36 the result may be 0 instead. gelu's
 * argument of exp carries the rounding of a cubic: 4 units in the last place of it. */
static void check_glu(const float *gate, const float *up, int n) {
    float *swi = check_new(n), *ge = check_new(n);
    tier[0]->swiglu(gate, up, n, swi);
    tier[0]->geglu(gate, up, n, ge);
    for (int i = 0; i < n; i++) {
        const double x = gate[i], u = up[i], a = silu(x) * u, b = gelu_tanh(x) * u;
        const double arg = fabs(x) < 20 ? 1.6 * fabs(x) * (1 + 0.045 * x * x) : 0;
        assert_true(fabs(swi[i] - a) <= 1e-6 * fabs(a) + 1e-35 * fabs(u));
        /* The double formula itself cancels for x far below zero: compare with 1e-16 |x|. */
        assert_true(fabs(ge[i] - b) <=
                    (1e-6 + arg * 2.4e-7) * fabs(b) + 2e-16 * fabs(x * u) + 1e-35 * fabs(u));
    }
    for (int t = 1; t < n_tiers; t++) {
        float *y = check_new(n);
        tier[t]->swiglu(gate, up, n, y);
        check_same("swiglu", tier[t]->isa, swi, y, n);
        tier[t]->geglu(gate, up, n, y);
        check_same("geglu", tier[t]->isa, ge, y, n);
        memcpy(y, gate, n * sizeof *y);
        tier[t]->swiglu(y, up, n, y);
        check_same("swiglu in place", tier[t]->isa, swi, y, n);
        check_free(y, n);
    }
    check_free(swi, n);
    check_free(ge, n);
}

static void glu_is_within_1e6_of_double(void **state) {
    (void)state;
    static float gate[MAX_SIZE], up[MAX_SIZE];
    static const float by[] = {1e-6f, 0.1f, 1, 10, 100};
    for (size_t s = 0; s < N_SIZES; s++)
        for (size_t b = 0; b < sizeof by / sizeof *by; b++) {
            check_fill(gate, sizes[s], by[b]);
            check_fill(up, sizes[s], 3);
            check_glu(gate, up, sizes[s]);
        }
}

static void glu_of_extremes_is_never_nan(void **state) {
    (void)state;
    float up[N_EXTREMES], y[N_EXTREMES];
    for (size_t i = 0; i < N_EXTREMES; i++)
        up[i] = 0.75f;
    check_glu(extremes, up, N_EXTREMES);
    for (int t = 0; t < n_tiers; t++) {
        tier[t]->geglu(extremes, up, N_EXTREMES, y);
        for (size_t i = 0; i < N_EXTREMES; i++)
            assert_false(isnan(y[i]));
    }
}

static void nan_stays_nan(void **state) {
    (void)state;
    /* Payloads matter: exp builds 2^n from low bits of its argument's float. */
    static const uint32_t bits[] = {0x7fc00000u, 0x7f800001u, 0xffffffffu, 0x7fc001ffu,
                                    0xffc000feu};
    static const float ones[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    for (size_t b = 0; b < sizeof bits / sizeof *bits; b++)
        for (int t = 0; t < n_tiers; t++) {
            float x[9], y[9];
            for (int i = 0; i < 9; i++)
                memcpy(x + i, bits + b, sizeof *x);
            tier[t]->swiglu(x, ones, 9, y);
            for (int i = 0; i < 9; i++)
                assert_true(isnan(y[i]));
            tier[t]->geglu(x, ones, 9, y);
            for (int i = 0; i < 9; i++)
                assert_true(isnan(y[i]));
            tier[t]->gelu_erf(x, 9, y);
            for (int i = 0; i < 9; i++)
                assert_true(isnan(y[i]));
            tier[t]->softcap(x, 30, 9);
            for (int i = 0; i < 9; i++)
                assert_true(isnan(x[i]));
        }
}

static void check_softcap(const float *x, int n, float cap) {
    float *want = check_new(n);
    memcpy(want, x, n * sizeof *x);
    tier[0]->softcap(want, cap, n);
    for (int i = 0; i < n; i++) {
        const double y = cap * tanh((double)x[i] / cap);
        assert_true(fabs(want[i] - y) <= 1e-6 * fabs(y) + 1e-43);
    }
    for (int t = 1; t < n_tiers; t++) {
        float *y = check_new(n);
        memcpy(y, x, n * sizeof *x);
        tier[t]->softcap(y, cap, n);
        check_same("softcap", tier[t]->isa, want, y, n);
        check_free(y, n);
    }
    check_free(want, n);
}

static void softcap_is_within_1e6_of_double(void **state) {
    (void)state;
    static float x[MAX_SIZE];
    static const float by[] = {1e-6f, 1, 20, 300};
    for (size_t s = 0; s < N_SIZES; s++)
        for (size_t b = 0; b < sizeof by / sizeof *by; b++) {
            check_fill(x, sizes[s], by[b]);
            check_softcap(x, sizes[s], 30);
        }
    check_softcap(extremes, N_EXTREMES, 50);
}

static void add_and_scale_round_once(void **state) {
    (void)state;
    static float x[MAX_SIZE], y[MAX_SIZE], sum[MAX_SIZE], product[MAX_SIZE];
    for (size_t s = 0; s < N_SIZES; s++) {
        const int n = sizes[s];
        check_fill(x, n, 10);
        check_fill(y, n, 1);
        for (int i = 0; i < n; i++) {
            sum[i] = x[i] + y[i];
            product[i] = x[i] * 0.37f;
        }
        for (int t = 0; t < n_tiers; t++) {
            float *z = check_new(n);
            memcpy(z, x, n * sizeof *z);
            tier[t]->add(z, y, n);
            check_same("add", tier[t]->isa, sum, z, n);
            memcpy(z, x, n * sizeof *z);
            tier[t]->scale(z, 0.37f, n);
            check_same("scale", tier[t]->isa, product, z, n);
            check_free(z, n);
        }
    }
}

/* Each product and the sum are rounded once, as when q * cos + rotated(q) * sin is computed. */
static void rope_rotates_the_leading_part_of_each_head(void **state) {
    (void)state;
    static const int shapes[][2] = {{64, 64}, {64, 32}, {80, 40}, {128, 64},
                                    {96, 6},  {16, 2},  {34, 34}};
    const int heads = 3;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const int d = shapes[s][0], rot = shapes[s][1], n = heads * d;
        float x[3 * 128], pairs[3 * 128], half[3 * 128], c[64], sn[64];
        check_fill(x, n, 5);
        for (int f = 0; f < rot / 2; f++) {
            const double angle = 10 * check_float();
            c[f] = (float)cos(angle);
            sn[f] = (float)sin(angle);
        }
        memcpy(pairs, x, sizeof x);
        memcpy(half, x, sizeof x);
        for (int h = 0; h < heads; h++)
            for (int f = 0; f < rot / 2; f++) {
                const float *at = x + h * d;
                pairs[h * d + 2 * f] = at[2 * f] * c[f] - at[2 * f + 1] * sn[f];
                pairs[h * d + 2 * f + 1] = at[2 * f + 1] * c[f] + at[2 * f] * sn[f];
                half[h * d + f] = at[f] * c[f] - at[f + rot / 2] * sn[f];
                half[h * d + f + rot / 2] = at[f + rot / 2] * c[f] + at[f] * sn[f];
            }
        for (int t = 0; t < n_tiers; t++) {
            float *y = check_new(n);
            memcpy(y, x, n * sizeof *y);
            tier[t]->rope_pairs(y, heads, d, rot, c, sn);
            check_same("rope_pairs", tier[t]->isa, pairs, y, n);
            memcpy(y, x, n * sizeof *y);
            tier[t]->rope_half(y, heads, d, rot, c, sn);
            check_same("rope_half", tier[t]->isa, half, y, n);
            check_free(y, n);
        }
    }
}

/* Logits of a row: ordinary ones, equal ones, and now and then what only a broken model gives. */
static void fill_logits(float *x, int n) {
    const int kind = check_below(4);
    for (int i = 0; i < n; i++) {
        x[i] = kind == 0 ? (float)check_below(20) - 10 : 25 * check_float();
        if (kind < 2 && check_below(12) == 0)
            x[i] = check_below(2) ? NAN : -INFINITY;
    }
}

static void block_max_is_that_of_each_64(void **state) {
    (void)state;
    for (int round = 0; round < 300; round++) {
        const int n = AG_ROW_BLOCK * check_below(9), n_blocks = n / AG_ROW_BLOCK;
        float *x = check_new(n), *want = check_new(n_blocks);
        fill_logits(x, n);
        for (int b = 0; b < n_blocks; b++) {
            if (check_below(5) == 0)
                for (int i = 0; i < AG_ROW_BLOCK; i++)
                    x[b * AG_ROW_BLOCK + i] = NAN;
            if (check_below(5) == 0)
                x[b * AG_ROW_BLOCK + check_below(AG_ROW_BLOCK)] = INFINITY;
            want[b] = -INFINITY;
            for (int i = 0; i < AG_ROW_BLOCK; i++)
                want[b] = fmaxf(want[b], x[b * AG_ROW_BLOCK + i]);
        }
        for (int t = 0; t < n_tiers; t++) {
            float *max = check_new(n_blocks);
            tier[t]->block_max(x, n, max);
            check_same("block_max", tier[t]->isa, want, max, n_blocks);
            check_free(max, n_blocks);
        }
        check_free(x, n);
        check_free(want, n_blocks);
    }
}

static void block_mass_is_the_sum_of_single_masses(void **state) {
    (void)state;
    static const float scales[] = {1, 0.5f, 3, 1e-3f, 1e30f};
    for (int round = 0; round < 3000; round++) {
        float *x = check_new(AG_ROW_BLOCK), best = -INFINITY;
        fill_logits(x, AG_ROW_BLOCK);
        for (int i = 0; i < AG_ROW_BLOCK; i++)
            best = fmaxf(best, x[i]);
        if (best == -INFINITY)
            best = x[check_below(AG_ROW_BLOCK)] = 0;
        best += round % 3 == 0 ? 2 : 0; /* that of another block */
        const float scale = scales[round % 5];
        uint64_t want = 0;
        for (int i = 0; i < AG_ROW_BLOCK; i++)
            want += ag_mass((x[i] - best) * scale);
        for (int t = 0; t < n_tiers; t++)
            assert_true(tier[t]->block_mass(x, best, scale) == want);
        check_free(x, AG_ROW_BLOCK);
    }
}

/* Every distance that weighs: a mass is rounded alike, also where it is half an integer. */
static void every_distance_has_one_mass(void **state) {
    (void)state;
    static float d[AG_ROW_BLOCK];
    for (uint32_t top = 0x41f10000u, step = 0; top > 0x3f000000u; top -= 0x1000u, step++) {
        uint64_t want = 0;
        for (uint32_t i = 0; i < AG_ROW_BLOCK; i++) {
            const uint32_t bits = 0x80000000u | (top - (i << 6 | step % 64));
            memcpy(d + i, &bits, sizeof bits);
            want += ag_mass(d[i]);
        }
        for (int t = 0; t < n_tiers; t++)
            assert_true(tier[t]->block_mass(d, 0, 1) == want);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rms_norm_is_within_1e6_of_double),
        cmocka_unit_test(rms_norm_of_zeros_is_zero),
        cmocka_unit_test(layer_norm_is_within_1e6_of_double),
        cmocka_unit_test(gelu_erf_is_within_4e7_of_its_argument),
        cmocka_unit_test(glu_is_within_1e6_of_double),
        cmocka_unit_test(glu_of_extremes_is_never_nan),
        cmocka_unit_test(nan_stays_nan),
        cmocka_unit_test(softcap_is_within_1e6_of_double),
        cmocka_unit_test(add_and_scale_round_once),
        cmocka_unit_test(rope_rotates_the_leading_part_of_each_head),
        cmocka_unit_test(block_max_is_that_of_each_64),
        cmocka_unit_test(block_mass_is_the_sum_of_single_masses),
        cmocka_unit_test(every_distance_has_one_mass),
    };
    return cmocka_run_group_tests(tests, find_tiers, NULL);
}
