/* Each loop below keeps enough independent accumulators in flight to fill the pipelines, and hides
 * its values from the compiler, which would otherwise compute the result once. The instruction sets
 * are chosen at run time, so this file is built without ISA flags. */
#include "cli/limits.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "kernels/cpu.h"

#define WINDOW_US 20000 /* of one measurement */
#define WINDOWS   9     /* the best one counts: others can only take time away */
#define UNROLL    _Pragma("GCC unroll 12")

typedef struct area {
    const char *p;
    size_t n; /* a multiple of PIECE */
    size_t at;
} area;

/* Do a piece of work (well under a millisecond); returns bytes or operations. */
typedef double (*work_fn)(area *a);

#define STEPS 2000

/* ---- portable -------------------------------------------------------------------------------- */

typedef float v4f __attribute__((vector_size(16)));
typedef int16_t v8s __attribute__((vector_size(16)));
typedef uint64_t v2u __attribute__((vector_size(16)));

static double float_plain(area *a) {
    (void)a;
    v4f acc[8] = {{0}}, x = {1, 1, 1, 1}, y = {1e-9f, 1e-9f, 1e-9f, 1e-9f};
    for (int i = 0; i < STEPS; i++) {
        UNROLL for (int j = 0; j < 8; j++) {
            acc[j] += x * y;
            __asm__ volatile("" : "+m"(acc[j]));
        }
    }
    return 8.0 * 8 * STEPS;
}

static double int8_plain(area *a) {
    (void)a;
    v8s acc[8] = {{0}}, x = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int i = 0; i < STEPS; i++) {
        UNROLL for (int j = 0; j < 8; j++) {
            acc[j] += x * x;
            __asm__ volatile("" : "+m"(acc[j]));
        }
    }
    return 8.0 * 16 * STEPS;
}

#define STREAMS 4 /* are read faster than one */
#define PIECE   ((size_t)1 << 18)

/* Where the streams go on, each in its part of the area and round it. */
static void next_piece(area *a, const char *p[STREAMS]) {
    size_t part = a->n / STREAMS;
    if (a->at == part)
        a->at = 0;
    for (size_t j = 0; j < STREAMS; j++)
        p[j] = a->p + j * part + a->at;
    a->at += PIECE / STREAMS;
}

static double read_plain(area *a) {
    const char *p[STREAMS];
    next_piece(a, p);
    v2u sum[STREAMS] = {{0}};
    for (size_t i = 0; i < PIECE / STREAMS; i += 16)
        for (size_t j = 0; j < STREAMS; j++)
            sum[j] ^= *(const v2u *)(const void *)(p[j] + i);
    __asm__ volatile("" : : "m"(sum));
    return (double)PIECE;
}

/* ---- x86-64 ---------------------------------------------------------------------------------- */

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2   __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512bw")))
#define VNNI   __attribute__((target("avx512f,avx512bw,avx512vnni")))

AVX2 static double float_avx2(area *a) {
    (void)a;
    __m256 acc[12], x = _mm256_set1_ps(1.0f), y = _mm256_set1_ps(1e-9f);
    UNROLL for (int j = 0; j < 12; j++) acc[j] = _mm256_setzero_ps();
    for (int i = 0; i < STEPS; i++) {
        UNROLL for (int j = 0; j < 12; j++) {
            acc[j] = _mm256_fmadd_ps(x, y, acc[j]);
            __asm__ volatile("" : "+x"(acc[j]));
        }
    }
    return 12.0 * 16 * STEPS;
}

/* The dot product of bytes before VNNI: multiply to 16 bits and add; sums go to 32 bits so seldom
 * that it costs next to nothing. */
AVX2 static double int8_avx2(area *a) {
    (void)a;
    __m256i acc[8], w = _mm256_set1_epi8(1), x = _mm256_set1_epi8(3);
    UNROLL for (int j = 0; j < 8; j++) acc[j] = _mm256_setzero_si256();
    for (int i = 0; i < STEPS; i++) {
        UNROLL for (int j = 0; j < 8; j++) {
            __asm__ volatile("" : "+x"(x));
            acc[j] = _mm256_add_epi16(acc[j], _mm256_maddubs_epi16(w, x));
            __asm__ volatile("" : "+x"(acc[j]));
        }
    }
    return 8.0 * 64 * STEPS;
}

AVX2 static double read_avx2(area *a) {
    const char *p[STREAMS];
    next_piece(a, p);
    __m256i sum[STREAMS];
    UNROLL for (int j = 0; j < STREAMS; j++) sum[j] = _mm256_setzero_si256();
    for (size_t i = 0; i < PIECE / STREAMS; i += 32) {
        UNROLL for (int j = 0; j < STREAMS; j++) sum[j] =
            _mm256_xor_si256(sum[j], _mm256_load_si256((const __m256i *)(const void *)(p[j] + i)));
    }
    __asm__ volatile("" : : "x"(sum[0]), "x"(sum[1]), "x"(sum[2]), "x"(sum[3]));
    return (double)PIECE;
}

AVX512 static double float_avx512(area *a) {
    (void)a;
    __m512 acc[12], x = _mm512_set1_ps(1.0f), y = _mm512_set1_ps(1e-9f);
    UNROLL for (int j = 0; j < 12; j++) acc[j] = _mm512_setzero_ps();
    for (int i = 0; i < STEPS; i++) {
        UNROLL for (int j = 0; j < 12; j++) {
            acc[j] = _mm512_fmadd_ps(x, y, acc[j]);
            __asm__ volatile("" : "+v"(acc[j]));
        }
    }
    return 12.0 * 32 * STEPS;
}

AVX512 static double int8_avx512(area *a) {
    (void)a;
    __m512i acc[8], w = _mm512_set1_epi8(1), x = _mm512_set1_epi8(3);
    UNROLL for (int j = 0; j < 8; j++) acc[j] = _mm512_setzero_si512();
    for (int i = 0; i < STEPS; i++) {
        UNROLL for (int j = 0; j < 8; j++) {
            __asm__ volatile("" : "+v"(x));
            acc[j] = _mm512_add_epi16(acc[j], _mm512_maddubs_epi16(w, x));
            __asm__ volatile("" : "+v"(acc[j]));
        }
    }
    return 8.0 * 128 * STEPS;
}

VNNI static double int8_vnni(area *a) {
    (void)a;
    __m512i acc[12], x = _mm512_set1_epi8(3);
    UNROLL for (int j = 0; j < 12; j++) acc[j] = _mm512_setzero_si512();
    for (int i = 0; i < STEPS; i++) {
        UNROLL for (int j = 0; j < 12; j++) {
            acc[j] = _mm512_dpbusd_epi32(acc[j], x, x);
            __asm__ volatile("" : "+v"(acc[j]));
        }
    }
    return 12.0 * 128 * STEPS;
}

#ifdef AG_AMX
#include "kernels/x86/tiles.h"

#define AMX __attribute__((target("amx-tile,amx-int8,amx-bf16")))

/* Tiles of 16 rows of 64 bytes, all zeros: 4 sums of 2 left and 2 right factors. */
AMX static void configure_tiles(void) {
    ag_tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = 16;
    }
    __asm__ volatile("" : : "r"(&shapes) : "memory");
    _tile_loadconfig(&shapes);
}

AMX static double int8_amx(area *a) {
    (void)a;
    configure_tiles();
    for (int i = 0; i < STEPS; i++) {
        _tile_dpbssd(0, 4, 6);
        _tile_dpbssd(1, 4, 7);
        _tile_dpbssd(2, 5, 6);
        _tile_dpbssd(3, 5, 7);
    }
    _tile_release();
    return 4.0 * 2 * 16 * 16 * 64 * STEPS;
}

AMX static double bf16_amx(area *a) {
    (void)a;
    configure_tiles();
    for (int i = 0; i < STEPS; i++) {
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    _tile_release();
    return 4.0 * 2 * 16 * 16 * 32 * STEPS;
}
#endif

static void choose(work_fn *read, work_fn *int8, work_fn *real, work_fn *bf16) {
    bool avx2 = ag_cpu_runs(AG_TIER_AVX2), avx512 = ag_cpu_runs(AG_TIER_AVX512);
    *read = avx2 ? read_avx2 : read_plain;
    *real = avx512 ? float_avx512 : avx2 ? float_avx2 : float_plain;
    *bf16 = *real;
    *int8 = ag_cpu_runs(AG_TIER_VNNI) ? int8_vnni
            : avx512                  ? int8_avx512
            : avx2                    ? int8_avx2
                                      : int8_plain;
#ifdef AG_AMX
    if (ag_cpu_runs(AG_TIER_AMX)) {
        *int8 = int8_amx;
        *bf16 = bf16_amx;
    }
#endif
}
#else
static void choose(work_fn *read, work_fn *int8, work_fn *real, work_fn *bf16) {
    *read = read_plain;
    *int8 = int8_plain;
    *real = *bf16 = float_plain;
}
#endif

/* ---- threads --------------------------------------------------------------------------------- */

enum { JOBS = 4 }; /* reading, and three kinds of arithmetic */

typedef struct crew crew;
typedef struct worker {
    crew *crew;
    pthread_t thread;
    area area;
    double done; /* bytes or operations in this window */
} worker;

struct crew {
    pthread_mutex_t gate; /* held while workers are being started; guards given_up */
    bool given_up;
    pthread_barrier_t line; /* everybody starts a window together */
    worker *workers;
    int n;
    work_fn jobs[JOBS];
    double best[JOBS];
    uint64_t began_at; /* of the window; written by worker 0 between two barriers */
};

static void run_window(worker *w, work_fn job) {
    w->done = 0;
    uint64_t until = w->crew->began_at + WINDOW_US;
    do
        w->done += job(&w->area);
    while (ag_clock_us() < until);
}

/* Worker 0 reads the others' counts after the barrier that ends the window. */
static void *work(void *arg) {
    worker *w = arg;
    crew *c = w->crew;
    pthread_mutex_lock(&c->gate);
    bool given_up = c->given_up;
    pthread_mutex_unlock(&c->gate);
    if (given_up)
        return NULL;
    memset((void *)(uintptr_t)w->area.p, 1, w->area.n); /* touched by the thread that reads it */
    for (int k = 0; k < JOBS * WINDOWS; k++) {
        pthread_barrier_wait(&c->line);
        if (w == c->workers)
            c->began_at = ag_clock_us();
        pthread_barrier_wait(&c->line);
        run_window(w, c->jobs[k % JOBS]);
        pthread_barrier_wait(&c->line);
        if (w != c->workers)
            continue;
        double sum = 0, seconds = (double)(ag_clock_us() - c->began_at) / 1e6;
        for (int i = 0; i < c->n; i++)
            sum += c->workers[i].done;
        if (sum / seconds > c->best[k % JOBS])
            c->best[k % JOBS] = sum / seconds;
    }
    return NULL;
}

/* Bytes a thread reads: in all far more than the caches hold, but only a part of what is free. */
static size_t area_bytes(int n_threads) {
    size_t all = (size_t)512 << 20;
    long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page > 0 && all > (size_t)pages / 4 * (size_t)page)
        all = (size_t)pages / 4 * (size_t)page;
    size_t one = all / (size_t)n_threads / PIECE * PIECE;
    return one < 8 * PIECE ? 8 * PIECE : one;
}

static ag_code run_crew(crew *c, ag_err *err) {
    int started = 1; /* this thread is worker 0 */
    if (pthread_barrier_init(&c->line, NULL, (unsigned)c->n) != 0)
        return ag_fail(err, AG_E_NOMEM, "cannot make a barrier for %d threads", c->n);
    pthread_mutex_lock(&c->gate);
    while (started < c->n &&
           pthread_create(&c->workers[started].thread, NULL, work, &c->workers[started]) == 0)
        started++;
    c->given_up = started < c->n;
    pthread_mutex_unlock(&c->gate);
    work(&c->workers[0]);
    for (int i = 1; i < started; i++)
        pthread_join(c->workers[i].thread, NULL);
    pthread_barrier_destroy(&c->line);
    return c->given_up
               ? ag_fail(err, AG_E_IO, "only %d of %d threads could be started", started, c->n)
               : AG_OK;
}

ag_code ag_cli_limits_measure(int n_threads, ag_cli_limits *out, ag_err *err) {
    crew c = {.gate = PTHREAD_MUTEX_INITIALIZER, .n = n_threads};
    size_t bytes = area_bytes(n_threads);
    char *memory = ag_alloc_pages(AG_ROOM_CLI, bytes * (size_t)n_threads + 4096);
    c.workers = ag_calloc(AG_ROOM_CLI, (size_t)n_threads, sizeof *c.workers);
    ag_code code = AG_OK;
    if (!memory || !c.workers) {
        code = ag_fail(err, AG_E_NOMEM, "no memory to measure the machine's limits");
        goto out;
    }
    choose(&c.jobs[0], &c.jobs[1], &c.jobs[2], &c.jobs[3]);
    for (int i = 0; i < n_threads; i++)
        c.workers[i] = (worker){.crew = &c, .area = {memory + bytes * (size_t)i, bytes, 0}};
    code = run_crew(&c, err);
    *out = (ag_cli_limits){c.best[0], c.best[1], c.best[2], c.best[3]};
out:
    ag_free(c.workers);
    if (memory)
        ag_free_pages(AG_ROOM_CLI, memory, bytes * (size_t)n_threads + 4096);
    return code;
}
