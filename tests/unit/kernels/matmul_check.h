/* checkasm for matmuls: random and extreme weights through one table's kernels, compared bit by bit
 * with the plain table. Used by matmul_test.c for the tiers of this CPU, and by tests/simde for
 * tiers that are emulated. */
#ifndef AG_TESTS_MATMUL_CHECK_H
#define AG_TESTS_MATMUL_CHECK_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/random.h"
#include "kernels/half.h"
#include "kernels/kernels.h"
#include "unit/test.h"

/* The printed seed repeats a run: AG_TEST_SEED=<seed>. */
static inline uint64_t mm_seed(void) {
    const char *fixed = getenv("AG_TEST_SEED");
    const uint64_t seed = fixed ? strtoull(fixed, NULL, 0) : ag_random_seed();
    print_message("AG_TEST_SEED=0x%llx\n", (unsigned long long)seed);
    return seed;
}

static inline int mm_int(ag_rng *r, int n) { return (int)(ag_rng_u64(r) >> 33) % n; }
static inline float mm_unit(ag_rng *r) { return (float)(ag_rng_f64(r) * 2 - 1); }

typedef enum mm_fill { MM_RANDOM, MM_HIGHEST, MM_LOWEST, MM_ZERO, MM_TINY, MM_FILLS } mm_fill;

/* Halves at these offsets of a block are scales or minima; -1: none. */
static inline void mm_scale_offsets(ag_type type, int at[2]) {
    at[0] = type == AG_T_Q6_K    ? 208
            : type == AG_T_Q2_K  ? 80
            : type == AG_T_Q3_K  ? 108
            : type == AG_T_MXFP4 ? -1
                                 : 0;
    at[1] = type == AG_T_Q2_K                                                                  ? 82
            : type == AG_T_Q4_1 || type == AG_T_Q5_1 || type == AG_T_Q4_K || type == AG_T_Q5_K ? 2
                                                                                               : -1;
}

static inline void mm_float_weight(ag_rng *r, ag_type type, mm_fill fill, uint8_t *p) {
    float w = fill == MM_RANDOM    ? mm_unit(r)
              : fill == MM_HIGHEST ? 65504.0f
              : fill == MM_LOWEST  ? -65504.0f
              : fill == MM_ZERO    ? 0.0f
                                   : mm_unit(r) * 3e-7f; /* subnormal halves */
    const uint16_t h = type == AG_T_F16 ? ag_f32_to_f16(w) : ag_f32_to_bf16(w);
    if (type == AG_T_F32)
        memcpy(p, &w, 4);
    else
        memcpy(p, &h, 2);
}

static inline uint8_t *mm_weights(ag_rng *r, ag_type type, mm_fill fill, int rows, int cols) {
    const ag_type_info *info = ag_type_find(type);
    const size_t bytes = ag_type_bytes(type, (size_t)rows * cols);
    uint8_t *w = test_malloc(bytes);
    int at[2];
    mm_scale_offsets(type, at);
    for (size_t b = 0; b < bytes; b += info->bytes) {
        if (info->block == 1) {
            mm_float_weight(r, type, fill, w + b);
            continue;
        }
        for (size_t i = 0; i < info->bytes; i++)
            w[b + i] = fill == MM_HIGHEST  ? (type == AG_T_Q8_0 ? 0x7f : 0xff)
                       : fill == MM_LOWEST ? (type == AG_T_Q8_0 ? 0x80 : 0)
                       : fill == MM_ZERO   ? 0
                                           : (uint8_t)mm_int(r, 256);
        if (type == AG_T_Q6_K && (fill == MM_HIGHEST || fill == MM_LOWEST))
            memset(w + b + 192, fill == MM_HIGHEST ? 0x7f : 0x80, 16);
        if (type == AG_T_MXFP4) /* about the scales of the others; the least two are subnormal */
            w[b] = (uint8_t)(fill == MM_TINY   ? mm_int(r, 4)
                             : fill == MM_ZERO ? 0
                                               : 110 + mm_int(r, 10));
        for (int i = 0; i < 2; i++) {
            const float by = fill == MM_TINY ? 1e-6f : fill == MM_ZERO ? 0.0f : 0.05f;
            const uint16_t h = ag_f32_to_f16(mm_unit(r) * by);
            if (at[i] >= 0)
                memcpy(w + b + at[i], &h, 2);
        }
    }
    return w;
}

static inline float *mm_acts(ag_rng *r, mm_fill fill, int n) {
    float *x = test_malloc((size_t)n * sizeof *x);
    for (int i = 0; i < n; i++)
        x[i] = fill == MM_RANDOM    ? mm_unit(r) * (i % 37 == 0 ? 20.0f : 1.0f)
               : fill == MM_HIGHEST ? 3.0f
               : fill == MM_LOWEST  ? -3.0f
               : fill == MM_ZERO    ? 0.0f
                                    : mm_unit(r) * 1e-39f;
    return x;
}

/* A matrix and its activations in the form one table wants. */
typedef struct mm_case {
    const ag_kernels *k;
    ag_type type;
    int rows, cols, n_tok;
    void *w, *act; /* owned, guarded */
    size_t act_stride;
    const float *bias; /* borrowed */
} mm_case;

static inline void *mm_aligned(size_t n) {
    void *p = aligned_alloc(64, ag_round_up(n, 64));
    assert_non_null(p);
    return p;
}

/* n bytes (of whole lines) with a closed page behind them: sanitizers do not see into kernels. */
static inline void *mm_guarded(size_t n) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = ag_round_up(n, page);
    char *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    assert_int_equal(mprotect(p + room, page, PROT_NONE), 0);
    return p + room - ag_round_up(n, 64);
}

static inline void mm_unguard(void *p, size_t n) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), room = ag_round_up(n, page);
    munmap((char *)p + ag_round_up(n, 64) - room, room + page);
}

static inline int mm_panels(const mm_case *c) {
    const int panel = c->k->matmul[c->type].panel;
    return (c->rows + panel - 1) / panel;
}

static inline mm_case mm_open(const ag_kernels *k, ag_type type, int rows, int cols, int n_tok,
                              const uint8_t *w, const float *x, const float *bias) {
    const ag_matmul_ops *ops = &k->matmul[type];
    const size_t bytes = ops->panel_bytes(cols), row_bytes = ag_type_bytes(type, cols);
    mm_case c = {k, type, rows, cols, n_tok, NULL, NULL, 0, bias};
    const int panels = mm_panels(&c);
    c.w = mm_guarded(bytes * panels);
    assert_int_equal(bytes % 64, 0);
    for (int p = 0; p < panels; p++) {
        const int left = rows - p * ops->panel;
        ops->pack(w + (size_t)p * ops->panel * row_bytes, left < ops->panel ? left : ops->panel,
                  cols, (uint8_t *)c.w + p * bytes);
    }
    c.act_stride = ops->act == AG_ACT_Q8     ? ag_act_q8_bytes(cols)
                   : ops->act == AG_ACT_BF16 ? ag_act_bf16_bytes(cols)
                                             : (size_t)cols * 4;
    c.act = mm_guarded(c.act_stride * n_tok);
    for (int t = 0; t < n_tok; t++) {
        char *row = (char *)c.act + t * c.act_stride;
        if (ops->act == AG_ACT_Q8)
            k->quantize_q8(x + (size_t)t * cols, cols, row);
        else if (ops->act == AG_ACT_BF16)
            k->round_bf16(x + (size_t)t * cols, cols, row);
        else
            memcpy(row, x + (size_t)t * cols, (size_t)cols * 4);
    }
    return c;
}

static inline void mm_close(mm_case *c) {
    mm_unguard(c->w, c->k->matmul[c->type].panel_bytes(c->cols) * mm_panels(c));
    mm_unguard(c->act, c->act_stride * c->n_tok);
}

#define MM_GUARD 0x7fadbeefu /* a NaN that no kernel produces */
enum { MM_MARGIN = 16 };

/* out: [n_tok, rows + 2 MARGIN] with guards around every row; columns start at MARGIN. */
static inline float *mm_out(const mm_case *c) {
    const size_t n = (size_t)c->n_tok * (c->rows + 2 * MM_MARGIN);
    float *out = test_malloc(n * sizeof *out);
    for (size_t i = 0; i < n; i++)
        out[i] = ag_f32_of_bits(MM_GUARD);
    return out;
}

/* Panels [p0, p1) and tokens [t0, t1) of the case. */
static inline void mm_run(const mm_case *c, int p0, int p1, int t0, int t1, float *out) {
    const size_t stride = c->rows + 2 * MM_MARGIN;
    const ag_matmul_args a = {.w = c->w,
                              .rows = c->rows,
                              .cols = c->cols,
                              .panel0 = p0,
                              .panel1 = p1,
                              .act = (const char *)c->act + t0 * c->act_stride,
                              .act_stride = c->act_stride,
                              .n_tok = t1 - t0,
                              .out = out + t0 * stride + MM_MARGIN,
                              .out_stride = stride,
                              .bias = c->bias};
    c->k->matmul[c->type].run(&a);
}

/* The first difference is reported with where it is. */
static inline void mm_same(const mm_case *c, const float *got, const float *want,
                           const char *what) {
    const size_t stride = c->rows + 2 * MM_MARGIN;
    for (size_t i = 0; i < c->n_tok * stride; i++)
        if (memcmp(got + i, want + i, 4) != 0)
            fail_msg("%s %s: rows %d cols %d tokens %d: at token %d row %d: %a (%08x), "
                     "wanted %a (%08x)",
                     c->k->matmul[c->type].name, what, c->rows, c->cols, c->n_tok,
                     (int)(i / stride), (int)(i % stride) - MM_MARGIN, got[i], ag_f32_bits(got[i]),
                     want[i], ag_f32_bits(want[i]));
}

/* One shape: table k against the plain table, then both laws on k. */
static inline void mm_check(ag_rng *r, const ag_kernels *ref, const ag_kernels *k, ag_type type,
                            mm_fill fill, int rows, int cols, int n_tok) {
    uint8_t *w = mm_weights(r, type, fill, rows, cols);
    float *x = mm_acts(r, fill, n_tok * cols), *bias = mm_acts(r, MM_RANDOM, rows);
    const float *b = mm_int(r, 2) ? bias : NULL;
    mm_case want_case = mm_open(ref, type, rows, cols, n_tok, w, x, b);
    mm_case c = mm_open(k, type, rows, cols, n_tok, w, x, b);
    float *want = mm_out(&want_case), *got = mm_out(&c), *split = mm_out(&c);

    mm_run(&want_case, 0, mm_panels(&want_case), 0, n_tok, want);
    mm_run(&c, 0, mm_panels(&c), 0, n_tok, got);
    mm_same(&c, got, want, "against ref");

    for (int t = 0; t < n_tok;) {
        const int t1 = t + 1 + mm_int(r, n_tok - t);
        for (int p = 0; p < mm_panels(&c);) {
            const int p1 = p + 1 + mm_int(r, mm_panels(&c) - p);
            mm_run(&c, p, p1, t, t1, split);
            p = p1;
        }
        t = t1;
    }
    mm_same(&c, split, got, "in parts");

    test_free(w);
    test_free(x);
    test_free(bias);
    test_free(want);
    test_free(got);
    test_free(split);
    mm_close(&want_case);
    mm_close(&c);
}

/* AVX-512 and AMX run natively: theirs are the spans of columns, and rests of tokens each of its
 * own kind. For others, in an emulator or under a sanitizer, these take minutes. */
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__)
#define MM_NATIVE_X86 1
#else
#define MM_NATIVE_X86 0
#endif

/* Every type of table k on a grid of odd shapes and extreme values. */
static inline void mm_check_all(ag_rng *r, const ag_kernels *ref, const ag_kernels *k) {
    static const int rows[] = {1, 7, 8, 9, 17, 40, 100}, blocks[] = {1, 2, 3, 9, 17};
    for (uint32_t type = 0; type < AG_T_LIMIT; type++) {
        const ag_type_info *info = ag_type_find(type);
        if (!info || !k->matmul[type].run)
            continue;
        for (int i = 0; i < 14; i++) {
            const int block = info->block == 1 ? 31 : (int)info->block;
            mm_check(r, ref, k, type, MM_RANDOM, rows[i % 7], block * blocks[mm_int(r, 5)],
                     1 + mm_int(r, 19));
        }
        for (int n_tok = 1; n_tok <= 25; n_tok++)
            mm_check(r, ref, k, type, MM_RANDOM, 1 + mm_int(r, 70), 768, n_tok);
        for (int fill = MM_HIGHEST; fill < MM_FILLS; fill++)
            for (int n_tok = 1; n_tok <= 21; n_tok += 5)
                mm_check(r, ref, k, type, fill, 17, 512, n_tok);
        mm_check(r, ref, k, type, MM_RANDOM, 33, 4096 + (info->block == 1 ? 5 : 0), 5);
        /* Several blocks of tokens, with every rest beyond 64; several spans of columns. */
        mm_check(r, ref, k, type, MM_RANDOM, 9, 256, 310);
        for (int n_tok = 48; n_tok <= 80;
             n_tok += MM_NATIVE_X86 && n_tok >= 64 ? 1 : 1 + mm_int(r, 7))
            mm_check(r, ref, k, type, MM_RANDOM, 1 + mm_int(r, 20), 256, n_tok);
        mm_check(r, ref, k, type, MM_RANDOM, 17, 1792, 70);
        if (MM_NATIVE_X86)
            mm_check(r, ref, k, type, MM_RANDOM, 37, 4352, 131);
    }
}

/* quantize_q8 of both tables on n floats. */
static inline void mm_check_quantize(const ag_kernels *ref, const ag_kernels *k, const float *x,
                                     int n) {
    const size_t bytes = ag_act_q8_bytes(n);
    uint8_t *want = mm_aligned(bytes), *got = mm_aligned(bytes);
    ref->quantize_q8(x, n, want);
    k->quantize_q8(x, n, got);
    for (size_t i = 0; i < (size_t)n / 32 * 64; i++)
        if (want[i] != got[i])
            fail_msg("quantize_q8 %s: n %d: byte %zu of block %zu: %02x, wanted %02x", k->isa, n,
                     i % 64, i / 64, got[i], want[i]);
    free(want);
    free(got);
}

static inline void mm_check_quantize_all(ag_rng *r, const ag_kernels *ref, const ag_kernels *k) {
    static const float odd[] = {0.0f,    -0.0f,    1e-45f, -1e-40f,  7e-31f,    8e-31f,
                                3.4e38f, -3.4e38f, 1e-30f, INFINITY, -INFINITY, NAN,
                                0.5f,    -0.5f,    126.5f, 127.0f,   -127.0f,   1e-10f};
    float x[32 * 64];
    for (int round = 0; round < 200; round++) {
        const float by = (float)ldexp(1.0, mm_int(r, 250) - 125);
        for (int i = 0; i < 32 * 64; i++)
            x[i] = round % 4 == 3 && mm_int(r, 40) == 0 ? odd[mm_int(r, 18)]
                   : round % 4 == 2                     ? (float)(mm_int(r, 255) - 127) * 0.5f
                                                        : mm_unit(r) * by;
        mm_check_quantize(ref, k, x, 32 * (1 + mm_int(r, 64)));
    }
}

#endif
