/* What this CPU and its operating system offer, as named tiers. The only place that detects. */
#ifndef AG_KERNELS_CPU_H
#define AG_KERNELS_CPU_H

#include <stdbool.h>

/* X(id, name). The tiers of an architecture are nested: each includes all of it before, and the
 * plain one. The enum, the names and the words that users choose from are expansions of this. */
#define AG_TIER_MAP(X)                                                                             \
    X(REF, "ref")         /* plain C */                                                            \
    X(AVX2, "avx2")       /* x86-64: AVX2, FMA, F16C, BMI2 */                                      \
    X(AVX512, "avx512")   /* F, BW, VL, DQ */                                                      \
    X(VNNI, "vnni")       /* AVX512_VNNI */                                                        \
    X(AMX, "amx")         /* AMX_TILE, AMX_INT8, AMX_BF16; where the compiler knows them */        \
    X(NEON, "neon")       /* AArch64: what every one has */                                        \
    X(DOTPROD, "dotprod") /* dot products of four bytes */                                         \
    X(I8MM, "i8mm")       /* products of 2 x 8 and 8 x 2 bytes */

typedef enum ag_tier {
#define AG_TIER_ENUM(id, name) AG_TIER_##id,
    AG_TIER_MAP(AG_TIER_ENUM)
#undef AG_TIER_ENUM
        AG_TIERS
} ag_tier;

/* What may be asked for: "auto", or the name of a tier; a blank between. */
#define AG_TIER_WORD(id, name) " " name
#define AG_TIER_WORDS          "auto" AG_TIER_MAP(AG_TIER_WORD)

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
