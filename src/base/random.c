#include "base/random.h"

#include <sys/random.h>
#include <time.h>

static uint64_t rotl(uint64_t x, int k) { return x << k | x >> (64 - k); }

void ag_rng_init(ag_rng *r, uint64_t seed) {
    for (int i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ull;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ z >> 27) * 0x94d049bb133111ebull;
        r->s[i] = z ^ z >> 31;
    }
}

uint64_t ag_rng_u64(ag_rng *r) {
    uint64_t *s = r->s, out = rotl(s[0] + s[3], 23) + s[0], t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return out;
}

double ag_rng_f64(ag_rng *r) { return (double)(ag_rng_u64(r) >> 11) * 0x1.0p-53; }

uint64_t ag_random_seed(void) {
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    struct timespec t; /* early boot only */
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000007ull ^ (uint64_t)t.tv_nsec;
}
