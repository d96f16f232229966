/* Private to the kernels room: exp and tanh, one value at a time.
 *
 * These are the formulas of every tier: the vector versions do the same operations in the same
 * order, so results are bit-equal on all of them. fmaf is exact by the C standard, in hardware or
 * not. Polynomials are our own minimax fits.
 *   ag_exp_neg  relative error below 7.4e-8 for -87 <= x <= 0
 *   ag_tanh     relative error below 1.6e-7 for every finite x
 *   ag_gelu_erf error below 4e-7 |x| for every finite x */
#ifndef AG_KERNELS_EXP_H
#define AG_KERNELS_EXP_H

#include <math.h>

#include "kernels/half.h"

#define AG_EXP_MIN    (-87.0f)        /* below it the result is 0: e^-87 is 1.6e-38 */
#define AG_EXP_LOG2E  0x1.715476p+0f  /* 1 / ln 2 */
#define AG_EXP_ROUND  0x1.8p+23f      /* adding it leaves the nearest integer in the low bits */
#define AG_EXP_LN2_HI 0x1.62e4p-1f    /* 15 bits, so n * LN2_HI is exact */
#define AG_EXP_LN2_LO 0x1.7f7d1cp-20f /* ln 2 - LN2_HI */
#define AG_EXP_C2     0x1.fffffcp-2f  /* (e^r - 1 - r) / r^2 for |r| <= ln 2 / 2, */
#define AG_EXP_C3     0x1.555492p-3f  /* relative error of e^r 3.1e-9 before rounding */
#define AG_EXP_C4     0x1.5558f2p-5f
#define AG_EXP_C5     0x1.123a1ep-7f
#define AG_EXP_C6     0x1.6a23d6p-10f
#define AG_TANH_SMALL 0.625f            /* below it a polynomial, above it exp */
#define AG_TANH_C3    (-0x1.555534p-2f) /* (tanh u - u) / u^3 in u^2 */
#define AG_TANH_C5    0x1.11076cp-3f
#define AG_TANH_C7    (-0x1.b844a2p-5f)
#define AG_TANH_C9    0x1.5258cap-6f
#define AG_TANH_C11   (-0x1.76b3cep-8f)
#define AG_GELU_A     0x1.988454p+0f /* 2 sqrt(2 / pi) */
#define AG_GELU_B     0x1.6e4e26p-5f /* 0.044715 */
#define AG_SQRT_HALF  0x1.6a09e6p-1f
#define AG_ERFC_P     0x1.333334p-2f /* t = 1 / (1 + 0.3 u) */
#define AG_ERFC_C1    0x1.5a805ap-4f /* erfc(u) e^(u^2) / 2 in t, relative error 2e-8 */
#define AG_ERFC_C2    0x1.5d8fecp-4f
#define AG_ERFC_C3    0x1.302ef8p-4f
#define AG_ERFC_C4    0x1.b6da80p-4f
#define AG_ERFC_C5    (-0x1.7e378cp-5f)
#define AG_ERFC_C6    0x1.178b3ep-2f
#define AG_ERFC_C7    (-0x1.0594c8p-2f)
#define AG_ERFC_C8    0x1.f09742p-3f
#define AG_ERFC_C9    (-0x1.090658p-4f)

/* e^x for x <= 0; 0 below AG_EXP_MIN; NaN stays NaN. */
static inline float ag_exp_neg(float x) {
    float c = AG_EXP_MIN > x ? AG_EXP_MIN : x;
    float t = fmaf(c, AG_EXP_LOG2E, AG_EXP_ROUND);
    float n = t - AG_EXP_ROUND;
    float r = fmaf(-n, AG_EXP_LN2_HI, c);
    r = fmaf(-n, AG_EXP_LN2_LO, r);
    float p = fmaf(AG_EXP_C6, r, AG_EXP_C5);
    p = fmaf(p, r, AG_EXP_C4);
    p = fmaf(p, r, AG_EXP_C3);
    p = fmaf(p, r, AG_EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    /* 2^n by its exponent bits; c >= -87 keeps n >= -126. A product, because an integer addition to
     * p's exponent could turn a NaN into a number. */
    float e = p * ag_f32_of_bits((ag_f32_bits(t) << 23) + 0x3f800000u);
    return x < AG_EXP_MIN ? 0.0f : e;
}

static inline float ag_tanh(float x) {
    float u = fabsf(x), z = u * u;
    float p = fmaf(AG_TANH_C11, z, AG_TANH_C9);
    p = fmaf(p, z, AG_TANH_C7);
    p = fmaf(p, z, AG_TANH_C5);
    p = fmaf(p, z, AG_TANH_C3);
    float small = fmaf(p, z * u, u);
    float e = ag_exp_neg(-2.0f * u);
    float large = (1.0f - e) / (1.0f + e);
    return copysignf(u < AG_TANH_SMALL ? small : large, x);
}

/* 1 / (1 + e^-x): 0 or 1 far out, never NaN for a number. */
static inline float ag_sigmoid(float x) {
    float e = ag_exp_neg(-fabsf(x));
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static inline float ag_silu(float x) { return x * ag_sigmoid(x); }

/* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) = x sigmoid(2 sqrt(2/pi) x (1 + 0.044715 x^2)). */
static inline float ag_gelu_tanh(float x) {
    return x * ag_sigmoid((AG_GELU_A * x) * fmaf(AG_GELU_B * x, x, 1.0f));
}

/* x/2 (1 + erf(x / sqrt 2)): x times the normal distribution, whose tail is half an erfc. The form
 * of the fit, a polynomial in 1 / (1 + p u) times e^(-u^2), is that of Hastings 1955. */
static inline float ag_gelu_erf(float x) {
    float u = fabsf(x) * AG_SQRT_HALF;
    float t = 1.0f / fmaf(AG_ERFC_P, u, 1.0f);
    float p = fmaf(AG_ERFC_C9, t, AG_ERFC_C8);
    p = fmaf(p, t, AG_ERFC_C7);
    p = fmaf(p, t, AG_ERFC_C6);
    p = fmaf(p, t, AG_ERFC_C5);
    p = fmaf(p, t, AG_ERFC_C4);
    p = fmaf(p, t, AG_ERFC_C3);
    p = fmaf(p, t, AG_ERFC_C2);
    p = fmaf(p, t, AG_ERFC_C1);
    float tail = (p * t) * ag_exp_neg(-(u * u));
    return x * (x < 0.0f ? tail : 1.0f - tail);
}

#endif
