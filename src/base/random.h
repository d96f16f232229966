/* Random numbers: xoshiro256++ (Blackman and Vigna, 2019) seeded through splitmix64. The same seed
 * gives the same sequence on every machine. Not for secrets. */
#ifndef AG_BASE_RANDOM_H
#define AG_BASE_RANDOM_H

#include <stdint.h>

typedef struct ag_rng {
    uint64_t s[4];
} ag_rng;

void ag_rng_init(ag_rng *r, uint64_t seed);
uint64_t ag_rng_u64(ag_rng *r);
/* Uniform in [0, 1) with 53 random bits. */
double ag_rng_f64(ag_rng *r);
/* A seed that differs between runs, from the system. */
uint64_t ag_random_seed(void);

#endif
