/* What this CPU and its operating system offer, as named tiers. The only place that detects. */
#ifndef AG_KERNELS_CPU_H
#define AG_KERNELS_CPU_H

#include <stdbool.h>

/* The tiers of an architecture are nested: each includes all of it before, and the plain one. */
typedef enum ag_tier {
    AG_TIER_REF,     /* plain C */
    AG_TIER_AVX2,    /* x86-64: AVX2, FMA, F16C, BMI2 */
    AG_TIER_AVX512,  /* F, BW, VL, DQ */
    AG_TIER_VNNI,    /* AVX512_VNNI */
    AG_TIER_AMX,     /* AMX_TILE, AMX_INT8; where the compiler knows them */
    AG_TIER_NEON,    /* AArch64: what every one has */
    AG_TIER_DOTPROD, /* dot products of four bytes */
    AG_TIER_I8MM,    /* products of 2 x 8 and 8 x 2 bytes */
    AG_TIERS
} ag_tier;

/* "ref", "avx2", "avx512", "vnni", "amx", "neon", "dotprod", "i8mm". */
const char *ag_tier_name(ag_tier tier);
/* Is the tier of the architecture that this is built for? The plain one always is. */
bool ag_tier_is_ours(ag_tier tier);
/* May this process execute the tier's instructions? For AMX the system is asked to grant them to
 * all threads of the process. Any thread. */
bool ag_cpu_runs(ag_tier tier);

typedef struct ag_cpu_text {
    char brand[64];     /* "AMD EPYC 7B13"; "unknown" where the CPU does not tell */
    char features[160]; /* "sse4.2 avx avx2 fma f16c ...", "asimd asimddp ...": what the system lets
                           us use */
} ag_cpu_text;

/* For display. AMX appears when the system grants its use to this process. Any thread. */
void ag_cpu_describe(ag_cpu_text *out);

#endif
