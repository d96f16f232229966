/* What this CPU and its operating system offer, as named tiers. The only place that detects. */
#ifndef AG_KERNELS_CPU_H
#define AG_KERNELS_CPU_H

#include <stdbool.h>

/* Tiers are nested: each includes all before it. */
typedef enum ag_tier {
    AG_TIER_REF,    /* plain C */
    AG_TIER_AVX2,   /* AVX2, FMA, F16C, BMI2 */
    AG_TIER_AVX512, /* F, BW, VL, DQ */
    AG_TIER_VNNI,   /* AVX512_VNNI */
    AG_TIERS
} ag_tier;

/* "ref", "avx2", "avx512", "vnni". */
const char *ag_tier_name(ag_tier tier);
/* May this process execute the tier's instructions? Any thread. */
bool ag_cpu_runs(ag_tier tier);

typedef struct ag_cpu_text {
    char brand[64];     /* "AMD EPYC 7B13"; "unknown" where the CPU does not tell */
    char features[160]; /* "sse4.2 avx avx2 fma f16c ...": what the system lets us use */
} ag_cpu_text;

/* For display. AMX appears when the system grants its use to this process. Any thread. */
void ag_cpu_describe(ag_cpu_text *out);

#endif
