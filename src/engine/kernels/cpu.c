/* CPU detection. x86-64: CPUID says what the processor has, XCR0 what the system saves and
 * restores, and for AMX the kernel is asked for permission. AArch64: Linux hands every process the
 * features that it may use. */
#include "kernels/cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

const char *ag_tier_name(ag_tier tier) {
#define NAME(id, name) name,
    static const char *const names[AG_TIERS] = {AG_TIER_MAP(NAME)};
#undef NAME
    return names[tier];
}

bool ag_tier_is_ours(ag_tier tier) {
#if defined(__x86_64__)
    return tier < AG_TIER_NEON;
#elif defined(__aarch64__)
    return tier == AG_TIER_REF || (tier >= AG_TIER_NEON && tier < AG_TIERS);
#else
    return tier == AG_TIER_REF;
#endif
}

#if defined(__x86_64__) || (defined(__aarch64__) && defined(__linux__))
typedef struct feature {
    const char *name;
    bool on;
} feature;

/* The names of those that are on, as many as fit. */
static void list_features(const feature *rows, size_t n_rows, char *out, size_t cap) {
    size_t n = 0;
    out[0] = 0;
    for (size_t i = 0; i < n_rows; i++) {
        if (!rows[i].on)
            continue;
        int add = snprintf(out + n, cap - n, "%s%s", n ? " " : "", rows[i].name);
        if (add < 0 || (size_t)add >= cap - n)
            return;
        n += (size_t)add;
    }
}
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct cpu_bits {
    uint32_t l1c, l1d;      /* leaf 1 */
    uint32_t l7b, l7c, l7d; /* leaf 7, sub-leaf 0 */
    uint32_t l7a1;          /* leaf 7, sub-leaf 1, eax */
    uint64_t xcr0;          /* register states that the system keeps */
} cpu_bits;

static uint64_t read_xcr0(void) {
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static cpu_bits read_bits(void) {
    cpu_bits b = {0};
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx)) {
        b.l1c = ecx;
        b.l1d = edx;
    }
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        uint32_t subleaves = eax;
        b.l7b = ebx;
        b.l7c = ecx;
        b.l7d = edx;
        if (subleaves >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx))
            b.l7a1 = eax;
    }
    if (b.l1c & 1u << 27) /* OSXSAVE: xgetbv may be executed */
        b.xcr0 = read_xcr0();
    return b;
}

static bool has(uint32_t word, int bit) { return word >> bit & 1; }

/* xmm and ymm states; then the mask registers and both halves of zmm; then the AMX tiles. */
static bool keeps_ymm(const cpu_bits *b) { return (b->xcr0 & 0x6) == 0x6; }
static bool keeps_zmm(const cpu_bits *b) { return (b->xcr0 & 0xe6) == 0xe6; }
static bool keeps_tiles(const cpu_bits *b) { return (b->xcr0 & 0x60000) == 0x60000; }

static bool runs_avx2(const cpu_bits *b) {
    return keeps_ymm(b) && has(b->l1c, 28) /* AVX */ && has(b->l7b, 5) /* AVX2 */ &&
           has(b->l1c, 12) /* FMA */ && has(b->l1c, 29) /* F16C */ && has(b->l7b, 8) /* BMI2 */;
}

static bool runs_avx512(const cpu_bits *b) {
    return runs_avx2(b) && keeps_zmm(b) && has(b->l7b, 16) /* F */ && has(b->l7b, 17) /* DQ */ &&
           has(b->l7b, 30) /* BW */ && has(b->l7b, 31) /* VL */;
}

static bool runs_vnni(const cpu_bits *b) { return runs_avx512(b) && has(b->l7c, 11); }

/* Linux hands out the tile state on request only (arch_prctl ARCH_REQ_XCOMP_PERM, XTILEDATA): to
 * all threads, those to come too, and to children. */
static bool may_use_amx(const cpu_bits *b) {
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    return keeps_tiles(b) && has(b->l7d, 24) &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

bool ag_cpu_runs(ag_tier tier) {
    const cpu_bits b = read_bits();
    switch (tier) {
    case AG_TIER_REF:
        return true;
    case AG_TIER_AVX2:
        return runs_avx2(&b);
    case AG_TIER_AVX512:
        return runs_avx512(&b);
    case AG_TIER_VNNI:
        return runs_vnni(&b);
#ifdef AG_AMX
    case AG_TIER_AMX:
        return runs_vnni(&b) && has(b.l7d, 25) && has(b.l7d, 22) && may_use_amx(&b);
#endif
    default:
        return false;
    }
}

static void describe_features(const cpu_bits *b, char *out, size_t cap) {
    const bool y = keeps_ymm(b), z = y && keeps_zmm(b), amx = may_use_amx(b);
    const feature rows[] = {
        {"sse4.2", has(b->l1c, 20)},           {"avx", y && has(b->l1c, 28)},
        {"avx2", y && has(b->l7b, 5)},         {"fma", y && has(b->l1c, 12)},
        {"f16c", y && has(b->l1c, 29)},        {"bmi2", has(b->l7b, 8)},
        {"avx_vnni", y && has(b->l7a1, 4)},    {"avx512f", z && has(b->l7b, 16)},
        {"avx512dq", z && has(b->l7b, 17)},    {"avx512bw", z && has(b->l7b, 30)},
        {"avx512vl", z && has(b->l7b, 31)},    {"avx512_vnni", z && has(b->l7c, 11)},
        {"avx512_bf16", z && has(b->l7a1, 5)}, {"amx_tile", amx},
        {"amx_int8", amx && has(b->l7d, 25)},  {"amx_bf16", amx && has(b->l7d, 22)},
    };
    list_features(rows, sizeof rows / sizeof *rows, out, cap);
}

static void describe_brand(char *out, size_t cap) {
    uint32_t words[13] = {0}; /* 48 bytes of text and a terminator */
    uint32_t *w = words;
    for (uint32_t leaf = 0x80000002u; leaf <= 0x80000004u; leaf++, w += 4)
        if (!__get_cpuid(leaf, &w[0], &w[1], &w[2], &w[3])) {
            snprintf(out, cap, "unknown");
            return;
        }
    const char *text = (const char *)words;
    text += strspn(text, " ");
    snprintf(out, cap, "%s", text);
    for (size_t n = strlen(out); n && out[n - 1] == ' ';)
        out[--n] = 0;
}

void ag_cpu_describe(ag_cpu_text *out) {
    const cpu_bits b = read_bits();
    describe_brand(out->brand, sizeof out->brand);
    describe_features(&b, out->features, sizeof out->features);
}
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

/* Bits of AT_HWCAP and AT_HWCAP2 (linux/arch/arm64/include/uapi/asm/hwcap.h). */
enum {
    CAP_ASIMD = 1,
    CAP_ASIMDHP = 10,
    CAP_CPUID = 11,
    CAP_ASIMDDP = 20,
    CAP_SVE = 22,
    CAP2_SVE2 = 1,
    CAP2_I8MM = 13,
    CAP2_BF16 = 14,
};

static bool has_cap(int bit) { return getauxval(AT_HWCAP) >> bit & 1; }
static bool has_cap2(int bit) { return getauxval(AT_HWCAP2) >> bit & 1; }

bool ag_cpu_runs(ag_tier tier) {
    switch (tier) {
    case AG_TIER_REF:
        return true;
    case AG_TIER_NEON:
        return has_cap(CAP_ASIMD);
    case AG_TIER_DOTPROD:
        return has_cap(CAP_ASIMD) && has_cap(CAP_ASIMDDP);
    case AG_TIER_I8MM:
        return has_cap(CAP_ASIMD) && has_cap(CAP_ASIMDDP) && has_cap2(CAP2_I8MM);
    default:
        return false;
    }
}

/* The identification register says implementer and part; names are for the common ones. Without
 * the kernel's help (CAP_CPUID) reading it would be refused. */
static void describe_brand(char *out, size_t cap) {
    static const struct {
        uint32_t maker, part;
        const char *name;
    } known[] = {
        {0x41, 0xd03, "Arm Cortex-A53"},  {0x41, 0xd05, "Arm Cortex-A55"},
        {0x41, 0xd08, "Arm Cortex-A72"},  {0x41, 0xd0b, "Arm Cortex-A76"},
        {0x41, 0xd0c, "Arm Neoverse N1"}, {0x41, 0xd40, "Arm Neoverse V1"},
        {0x41, 0xd41, "Arm Cortex-A78"},  {0x41, 0xd44, "Arm Cortex-X1"},
        {0x41, 0xd49, "Arm Neoverse N2"}, {0x41, 0xd4f, "Arm Neoverse V2"},
        {0xc0, 0xac3, "Ampere Ampere-1"}, {0xc0, 0xac4, "Ampere Ampere-1a"},
    };
    if (!has_cap(CAP_CPUID)) {
        snprintf(out, cap, "unknown");
        return;
    }
    uint64_t midr;
    __asm__("mrs %0, midr_el1" : "=r"(midr));
    const uint32_t maker = midr >> 24 & 0xff, part = midr >> 4 & 0xfff;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].maker == maker && known[i].part == part) {
            snprintf(out, cap, "%s", known[i].name);
            return;
        }
    snprintf(out, cap, "AArch64, implementer 0x%02x part 0x%03x", maker, part);
}

void ag_cpu_describe(ag_cpu_text *out) {
    const feature rows[] = {
        {"asimd", has_cap(CAP_ASIMD)},     {"asimdhp", has_cap(CAP_ASIMDHP)},
        {"asimddp", has_cap(CAP_ASIMDDP)}, {"i8mm", has_cap2(CAP2_I8MM)},
        {"bf16", has_cap2(CAP2_BF16)},     {"sve", has_cap(CAP_SVE)},
        {"sve2", has_cap2(CAP2_SVE2)},
    };
    describe_brand(out->brand, sizeof out->brand);
    list_features(rows, sizeof rows / sizeof *rows, out->features, sizeof out->features);
}
#else
bool ag_cpu_runs(ag_tier tier) { return tier == AG_TIER_REF; }

void ag_cpu_describe(ag_cpu_text *out) {
    snprintf(out->brand, sizeof out->brand, "unknown");
    snprintf(out->features, sizeof out->features, "none used");
}
#endif
