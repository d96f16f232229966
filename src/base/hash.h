/* A fast 64-bit hash for tables (not for security). Source: the multiply-fold mixing of wyhash
 * (Wang Yi, public domain description). */
#ifndef AG_BASE_HASH_H
#define AG_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t ag_mix64(uint64_t a, uint64_t b) {
    __extension__ unsigned __int128 r = (unsigned __int128)a * b;
    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static inline uint64_t ag_hash64(const void *data, size_t n, uint64_t seed) {
    const uint8_t *p = (const uint8_t *)data;
    const uint64_t k0 = 0xa0761d6478bd642full, k1 = 0xe7037ed1a0b428dbull;
    uint64_t h = seed ^ ag_mix64(seed ^ k0, k1), a, b;
    size_t left = n;
    for (; left > 16; left -= 16, p += 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        h = ag_mix64(a ^ k1, b ^ h);
    }
    a = b = 0;
    if (left > 8) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, left - 8);
    } else if (left) {
        memcpy(&a, p, left);
    }
    return ag_mix64(k1 ^ (uint64_t)n, ag_mix64(a ^ k1, b ^ h));
}

#endif
