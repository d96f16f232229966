/* Speed of the matmuls, each tier and type, beside what this machine can do at most.
 *
 *   bench_kernels [--tier NAME] [--type NAME] [--threads N] [--rows N --cols N] [--tokens N,N...]
 *
 * One token is bound by memory: weights are read from copies that together exceed the caches, and
 * the figure is GB/s with its share of the measured read bandwidth. More tokens are bound by
 * arithmetic: GMAC/s (multiply-adds) with the share of what the machine's best instruction for
 * bytes reaches, whatever the tier, or that for floats or bfloat16 where the activations are such.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "cli/limits.h"
#include "kernels/cpu.h"
#include "kernels/half.h"
#include "kernels/kernels.h"

/* The best of many short rounds: neighbours on the same machine come and go. */
enum {
    MAX_THREADS = 64,
    MAX_COUNTS = 12,
    MAX_TOKENS = 4096,
    COLD_BYTES = 128 << 20,
    MIN_US = 8000,
    ROUNDS = 30
};

typedef struct options {
    const char *tier, *type;
    int threads, rows, cols;
    int tokens[MAX_COUNTS], n_counts; /* beside one token */
} options;

/* ---- threads: the same work on every one, started together --------------------------------- */

typedef struct team {
    void (*work)(void *ctx, int thread, int threads);
    void *ctx;
    int threads;
    pthread_barrier_t gate;
} team;

typedef struct member {
    team *team;
    int thread;
} member;

static void *member_main(void *arg) {
    member *m = arg;
    pthread_barrier_wait(&m->team->gate);
    m->team->work(m->team->ctx, m->thread, m->team->threads);
    pthread_barrier_wait(&m->team->gate);
    return NULL;
}

static double now(int threads) {
    if (threads > 1)
        return (double)ag_clock_us() * 1e-6;
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Seconds from the common start to the last end; of one thread, the time it had a core. */
static double run_team(int threads, void (*work)(void *, int, int), void *ctx) {
    team t = {.work = work, .ctx = ctx, .threads = threads};
    pthread_t ids[MAX_THREADS];
    member members[MAX_THREADS];
    pthread_barrier_init(&t.gate, NULL, (unsigned)threads);
    for (int i = 1; i < threads; i++) {
        members[i] = (member){&t, i};
        if (pthread_create(&ids[i], NULL, member_main, &members[i]) != 0) {
            fprintf(stderr, "cannot start a thread\n");
            exit(1);
        }
    }
    pthread_barrier_wait(&t.gate);
    const double from = now(threads);
    work(ctx, 0, threads);
    pthread_barrier_wait(&t.gate);
    const double seconds = now(threads) - from;
    for (int i = 1; i < threads; i++)
        pthread_join(ids[i], NULL);
    pthread_barrier_destroy(&t.gate);
    return seconds;
}

/* ---- matmuls -------------------------------------------------------------------------------- */

typedef struct matrix {
    const ag_matmul_ops *ops;
    int rows, cols, panels, n_tok, copies, pass0, passes;
    size_t bytes; /* of one copy */
    uint8_t *w;   /* `copies` of the packed matrix */
    uint8_t *act;
    size_t act_stride;
    float *out;
} matrix;

static void *pages(size_t n) {
    void *p = ag_alloc_pages(AG_ROOM_TEST, n);
    if (!p) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    return p;
}

static void random_rows(ag_rng *r, ag_type type, uint8_t *p, size_t bytes) {
    const ag_type_info *info = ag_type_find((uint32_t)type);
    const uint16_t small = ag_f32_to_f16(0.01f);
    for (size_t b = 0; b < bytes; b += info->bytes) {
        for (size_t i = 0; i < info->bytes; i++)
            p[b + i] = (uint8_t)(ag_rng_u64(r) >> 40);
        if (info->block == 1) { /* floats of about 1 */
            p[b + info->bytes - 1] = 0x3c;
            continue;
        }
        if (type == AG_T_MXFP4) {
            p[b] = 118;
            continue;
        }
        const int at = type == AG_T_Q6_K   ? 208
                       : type == AG_T_Q3_K ? 108
                       : type == AG_T_Q2_K ? 80
                                           : 0;
        memcpy(p + b + at, &small, 2);
        if (type == AG_T_Q2_K)
            memcpy(p + b + 82, &small, 2);
        if (type == AG_T_Q4_1 || type == AG_T_Q5_1 || type == AG_T_Q4_K || type == AG_T_Q5_K)
            memcpy(p + b + 2, &small, 2);
    }
}

static matrix make_matrix(const ag_kernels *k, ag_type type, int rows, int cols, int max_tok) {
    ag_rng r;
    ag_rng_init(&r, 1);
    matrix m = {.ops = &k->matmul[type], .rows = rows, .cols = cols};
    const size_t panel_bytes = m.ops->panel_bytes(cols);
    const size_t row_bytes = ag_type_bytes(type, (size_t)cols);
    uint8_t *src = pages(row_bytes * 16);
    random_rows(&r, type, src, row_bytes * 16);
    m.panels = (rows + m.ops->panel - 1) / m.ops->panel;
    m.bytes = panel_bytes * (size_t)m.panels;
    m.copies = (int)(COLD_BYTES / m.bytes) + 1;
    m.w = pages(m.bytes * (size_t)m.copies);
    for (int p = 0; p < m.panels; p++)
        m.ops->pack(src, m.ops->panel, cols, m.w + (size_t)p * panel_bytes);
    for (int c = 1; c < m.copies; c++)
        memcpy(m.w + (size_t)c * m.bytes, m.w, m.bytes);
    ag_free_pages(AG_ROOM_TEST, src, row_bytes * 16);

    m.act_stride = m.ops->act == AG_ACT_Q8     ? ag_act_q8_bytes(cols)
                   : m.ops->act == AG_ACT_BF16 ? ag_act_bf16_bytes(cols)
                                               : (size_t)cols * 4;
    m.act = pages(m.act_stride * (size_t)max_tok);
    m.out = pages((size_t)rows * (size_t)max_tok * 4);
    float *x = pages((size_t)cols * 4);
    for (int i = 0; i < cols; i++)
        x[i] = (float)(ag_rng_f64(&r) * 2 - 1);
    for (int t = 0; t < max_tok; t++) {
        uint8_t *row = m.act + (size_t)t * m.act_stride;
        if (m.ops->act == AG_ACT_Q8)
            k->quantize_q8(x, cols, row);
        else if (m.ops->act == AG_ACT_BF16)
            k->round_bf16(x, cols, row);
        else
            memcpy(row, x, (size_t)cols * 4);
    }
    ag_free_pages(AG_ROOM_TEST, x, (size_t)cols * 4);
    return m;
}

static void free_matrix(matrix *m, int max_tok) {
    ag_free_pages(AG_ROOM_TEST, m->w, m->bytes * (size_t)m->copies);
    ag_free_pages(AG_ROOM_TEST, m->act, m->act_stride * (size_t)max_tok);
    ag_free_pages(AG_ROOM_TEST, m->out, (size_t)m->rows * (size_t)max_tok * 4);
}

static void matmul_part(void *ctx, int thread, int threads) {
    const matrix *m = ctx;
    for (int pass = m->pass0; pass < m->pass0 + m->passes; pass++) {
        const ag_matmul_args a = {.w = m->w + (size_t)(pass % m->copies) * m->bytes,
                                  .rows = m->rows,
                                  .cols = m->cols,
                                  .panel0 = m->panels * thread / threads,
                                  .panel1 = m->panels * (thread + 1) / threads,
                                  .act = m->act,
                                  .act_stride = m->act_stride,
                                  .n_tok = m->n_tok,
                                  .out = m->out,
                                  .out_stride = (size_t)m->rows};
        m->ops->run(&a);
    }
}

/* Best seconds for one pass over the matrix. */
static double time_matmul(matrix *m, int n_tok, int threads) {
    double best = 0;
    m->n_tok = n_tok;
    m->passes = 1;
    for (;;) { /* enough passes to measure */
        const double s = run_team(threads, matmul_part, m);
        if (s * 1e6 >= MIN_US)
            break;
        m->passes *= s * 1e6 < MIN_US / 8 ? 4 : 2;
    }
    for (int i = 0; i < ROUNDS; i++) {
        const double s = run_team(threads, matmul_part, m) / m->passes;
        best = best == 0 || s < best ? s : best;
        m->pass0 = (m->pass0 + m->passes) % m->copies; /* go on with weights that are cold */
    }
    return best;
}

static int most_tokens(const options *o) {
    int most = 1;
    for (int i = 0; i < o->n_counts; i++)
        most = o->tokens[i] > most ? o->tokens[i] : most;
    return most;
}

static void bench_one(const ag_kernels *k, ag_type type, int rows, int cols, const options *o,
                      const ag_cli_limits *max) {
    const int max_tok = most_tokens(o);
    matrix m = make_matrix(k, type, rows, cols, max_tok);
    const double gb = (double)m.bytes / time_matmul(&m, 1, o->threads) * 1e-9;
    printf("%-22s %5dx%-5d %6.1f GB/s %3.0f%%", m.ops->name, rows, cols, gb,
           100e9 * gb / max->read_bytes);
    const double top = m.ops->act == AG_ACT_Q8     ? max->int8_ops
                       : m.ops->act == AG_ACT_BF16 ? max->bf16_ops
                                                   : max->float_ops;
    for (int i = 0; i < o->n_counts; i++) {
        const double macs = (double)rows * cols * o->tokens[i];
        const double g = macs / time_matmul(&m, o->tokens[i], o->threads) * 1e-9;
        printf("  %7.1f %3.0f%%", g, 100 * 2e9 * g / top);
    }
    printf("\n");
    fflush(stdout);
    free_matrix(&m, max_tok);
}

static bool parse_tokens(const char *list, options *o) {
    char *end;
    for (o->n_counts = 0; o->n_counts < MAX_COUNTS; list = end + 1) {
        const long n = strtol(list, &end, 10);
        if (n < 1 || n > MAX_TOKENS || (*end && *end != ','))
            return false;
        o->tokens[o->n_counts++] = (int)n;
        if (!*end)
            return true;
    }
    return false;
}

static bool parse(int argc, char **argv, options *o) {
    *o = (options){.threads = 1, .tokens = {4, 32, 512}, .n_counts = 3};
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *v = argv[i + 1];
        if (!strcmp(argv[i], "--tier"))
            o->tier = v;
        else if (!strcmp(argv[i], "--type"))
            o->type = v;
        else if (!strcmp(argv[i], "--threads"))
            o->threads = (int)strtol(v, NULL, 10);
        else if (!strcmp(argv[i], "--rows"))
            o->rows = (int)strtol(v, NULL, 10);
        else if (!strcmp(argv[i], "--cols"))
            o->cols = (int)strtol(v, NULL, 10);
        else if (strcmp(argv[i], "--tokens") || !parse_tokens(v, o))
            return false;
    }
    return argc % 2 == 1 && o->threads >= 1 && o->threads <= MAX_THREADS && !o->rows == !o->cols;
}

int main(int argc, char **argv) {
    static const int shapes[][2] = {{576, 576}, {1536, 576}, {2048, 2048}, {8192, 2048}};
    options o;
    if (!parse(argc, argv, &o)) {
        fprintf(stderr,
                "usage: %s [--tier NAME] [--type NAME] [--threads N] [--rows N --cols N]"
                " [--tokens N,N...]\n",
                argv[0]);
        return 2;
    }
    ag_cpu_text cpu;
    ag_cpu_describe(&cpu);
    ag_cli_limits max;
    ag_err err = {0};
    if (ag_cli_limits_measure(o.threads, &max, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("%s, %d thread(s): reads %.1f GB/s, int8 %.1f, float %.1f, bf16 %.1f GMAC/s\n",
           cpu.brand, o.threads, max.read_bytes * 1e-9, max.int8_ops * 0.5e-9,
           max.float_ops * 0.5e-9, max.bf16_ops * 0.5e-9);
    printf("%-22s %11s %15s  ", "kernel", "shape", "1 token");
    for (int i = 0; i < o.n_counts; i++)
        printf("%5d: GMAC/s ", o.tokens[i]);
    printf("\n");
    const char *const *tiers;
    const int n = ag_kernels_tiers(&tiers);
    for (int t = 0; t < n; t++) {
        const ag_kernels *k = ag_kernels_get(tiers[t]);
        if (o.tier ? strcmp(o.tier, tiers[t]) != 0 : t == 0 && n > 1)
            continue; /* the plain tier only when asked for: it is slow by design */
        for (int type = 0; type < AG_T_LIMIT; type++) {
            if (!k->matmul[type].run || (o.type && ag_type_by_name(o.type) != type))
                continue;
            for (int s = 0; s < 4 && !o.rows; s++)
                if (shapes[s][1] % (int)ag_type_find((uint32_t)type)->block == 0)
                    bench_one(k, (ag_type)type, shapes[s][0], shapes[s][1], &o, &max);
            if (o.rows)
                bench_one(k, (ag_type)type, o.rows, o.cols, &o, &max);
        }
    }
    return 0;
}
