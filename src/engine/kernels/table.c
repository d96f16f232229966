/* Owns the kernel tables, one for each tier this CPU can run. They are built once, on the first
 * call from any thread, and constant afterwards. A tier's table starts as the plain one; each
 * better tier up to it then overwrites the slots that it serves. */
#include <pthread.h>
#include <string.h>

#include "kernels/cpu.h"
#include "kernels/fill.h"

static ag_kernels tables[AG_TIERS]; /* the first n_tiers are filled */
static const char *tier_names[AG_TIERS];
static int n_tiers;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(ag_kernels *k, ag_tier tier) {
    k->isa = ag_tier_name(tier);
    ag_k_matmul_fill_ref(k);
    ag_k_attend_fill_ref(k);
    ag_k_vector_fill_ref(k);
#if defined(__x86_64__)
    if (tier >= AG_TIER_AVX2) {
        ag_k_matmul_fill_avx2(k);
        ag_k_attend_fill_avx2(k);
        ag_k_vector_fill_avx2(k);
    }
    if (tier >= AG_TIER_AVX512) {
        ag_k_matmul_fill_avx512(k);
        ag_k_attend_fill_avx512(k);
        ag_k_vector_fill_avx512(k);
    }
    if (tier >= AG_TIER_VNNI) {
        ag_k_matmul_fill_vnni(k);
    }
#ifdef AG_AMX
    if (tier >= AG_TIER_AMX) {
        ag_k_matmul_fill_amx(k);
        ag_k_bf16_fill_amx(k);
    }
#endif
#elif defined(__aarch64__)
    if (tier >= AG_TIER_NEON) {
        ag_k_matmul_fill_neon(k);
        ag_k_attend_fill_neon(k);
        ag_k_vector_fill_neon(k);
    }
    if (tier >= AG_TIER_DOTPROD) {
        ag_k_matmul_fill_dotprod(k);
    }
    if (tier >= AG_TIER_I8MM) {
        ag_k_matmul_fill_i8mm(k);
    }
#endif
}

static void build(void) {
    for (int t = 0; t < AG_TIERS; t++) {
        if (!ag_cpu_runs((ag_tier)t))
            continue;
        fill(&tables[n_tiers], (ag_tier)t);
        tier_names[n_tiers++] = ag_tier_name((ag_tier)t);
    }
}

const ag_kernels *ag_kernels_get(const char *tier) {
    pthread_once(&once, build);
    if (!tier || strcmp(tier, "auto") == 0)
        return &tables[n_tiers - 1];
    for (int t = 0; t < n_tiers; t++)
        if (strcmp(tier, tier_names[t]) == 0)
            return &tables[t];
    return NULL;
}

int ag_kernels_tiers(const char *const **names) {
    pthread_once(&once, build);
    *names = tier_names;
    return n_tiers;
}
