/* IEEE half and bfloat16, bit by bit. Exact for every value, rounding
 * to nearest even, on every machine; equal to the processor's conversions. */
#ifndef AG_KERNELS_HALF_H
#define AG_KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

static inline float ag_f32_of_bits(uint32_t u) {
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}
static inline uint32_t ag_f32_bits(float f) {
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

/* All three cases are computed and one chosen: loops over this become vectors. */
static inline float ag_f16_to_f32(uint16_t h) {
    const uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = h & 0x7fff;
    /* Infinity, NaN (made quiet). */
    const uint32_t odd = 0x7f800000u | (rest & 0x3ff) << 13 | (rest > 0x7c00 ? 0x400000u : 0);
    /* The exponent's bias goes from 15 to 127. */
    const uint32_t normal = (rest << 13) + (112u << 23);
    /* Zero or subnormal: rest * 2^-24, exact in float32. */
    const uint32_t small = ag_f32_bits((float)(int32_t)rest * 0x1p-24f);
    return ag_f32_of_bits(sign | (rest >= 0x7c00 ? odd : rest >= 0x400 ? normal : small));
}

static inline uint16_t ag_f32_to_f16(float f) {
    const uint32_t u = ag_f32_bits(f), rest = u & 0x7fffffffu;
    const uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (rest > 0x7f800000u) /* NaN (made quiet) */
        return (uint16_t)(sign | 0x7e00 | (rest >> 13 & 0x3ff));
    if (rest >= 0x477ff000u) /* rounds past the largest half, 65504 */
        return (uint16_t)(sign | 0x7c00);
    if (rest >= 0x38800000u) /* normal; a carry from the mantissa moves into the exponent */
        return (uint16_t)(sign | ((rest - (112u << 23) + 0xfff + (rest >> 13 & 1)) >> 13));
    /* Subnormal: adding 0.5 leaves the value in units of 2^-24 in the low bits, rounded. */
    return (uint16_t)(sign | (ag_f32_bits(ag_f32_of_bits(rest) + 0.5f) - 0x3f000000u));
}

static inline float ag_bf16_to_f32(uint16_t h) { return ag_f32_of_bits((uint32_t)h << 16); }

static inline uint16_t ag_f32_to_bf16(float f) {
    const uint32_t u = ag_f32_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) /* NaN (made quiet) */
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

/* An activation, and a weight, for products of bfloat16: rounded, but 0 below 2^-60 and 2^-50. Then
 * products and their sums are multiples of 2^-124, so none is ever subnormal: AMX would take such
 * for 0, other instructions would not. */
static inline uint16_t ag_bf16_act(float f) {
    const uint16_t h = ag_f32_to_bf16(f);
    return (h & 0x7fff) < 67 << 7 ? 0 : h;
}
static inline uint16_t ag_bf16_weight(uint16_t h) { return (h & 0x7fff) < 77 << 7 ? 0 : h; }

/* 2^(e - 127); the reference gives infinity for 255. */
static inline float ag_e8m0_to_f32(uint8_t e) {
    return ag_f32_of_bits(e ? (uint32_t)e << 23 : 0x00400000u);
}

#endif
