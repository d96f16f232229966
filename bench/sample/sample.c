/* CPU microseconds per token by settings and size of vocabulary: pick and accept, one thread.
 *
 *     bench_sample [rounds]
 *
 * The rows look like a model's: a bell of width 2 around 0, a few hundred likelier tokens falling
 * off from 18. The median of the rounds is printed, and the slowest tenth.
 */
#include "base/random.h"
#include "sample/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N_ROWS = 8, N_CONTEXT = 4096, N_PROMPT = 2000 };

typedef struct setting {
    const char *name;
    ag_sampling p;
    int32_t top_logprobs;
} setting;

static double now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_value(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fill(float *x, int32_t n, ag_rng *rng) {
    for (int32_t i = 0; i < n; i++) {
        double u = -3;
        for (int k = 0; k < 6; k++)
            u += ag_rng_f64(rng);
        x[i] = (float)(u * 2.8);
    }
    for (int i = 0; i < 300; i++)
        x[ag_rng_u64(rng) % (uint64_t)n] = (float)(18.0 - 0.05 * i - ag_rng_f64(rng));
}

static int measure(const setting *s, ag_sample_scratch *scratch, const float *rows, int32_t n,
                   int rounds, double *us) {
    ag_sampler *sampler;
    ag_err err;
    const ag_sampler_opts opts = {.sampling = &s->p, .n_vocab = n, .n_context = N_CONTEXT};
    if (ag_sampler_new(&opts, &sampler, &err)) {
        fprintf(stderr, "%s: %s\n", s->name, err.msg);
        return 1;
    }
    for (int32_t i = 0; i < N_PROMPT; i++)
        ag_sampler_prompt(sampler, &(int32_t){(int32_t)((int64_t)i * i % 1000)}, 1);
    for (int i = 0; i < rounds; i++) {
        const ag_pick pick = {.scratch = scratch,
                              .logits = rows + (size_t)(i % N_ROWS) * (size_t)n,
                              .top_logprobs = s->top_logprobs};
        ag_sample got;
        const double start = now_us();
        if (ag_sampler_pick(sampler, &pick, &got, &err)) {
            fprintf(stderr, "%s: %s\n", s->name, err.msg);
            ag_sampler_free(&sampler);
            return 1;
        }
        ag_sampler_accept(sampler, got.id);
        us[i] = now_us() - start;
    }
    ag_sampler_free(&sampler);
    qsort(us, (size_t)rounds, sizeof *us, by_value);
    printf("%7d  %-34s %8.1f %8.1f\n", (int)n, s->name, us[rounds / 2], us[rounds * 9 / 10]);
    return 0;
}

static size_t settings(setting *s) {
    ag_sampling p = ag_sampling_default();
    size_t n = 0;
    s[n++] = (setting){"temperature 1", p, -1};
    p.temperature = 0;
    s[n++] = (setting){"temperature 0", p, -1};
    s[n++] = (setting){"temperature 0, 20 logprobs", p, 20};
    p.repetition_penalty = 1.1f;
    s[n++] = (setting){"temperature 0, repetition 1.1", p, -1};
    p = ag_sampling_default();
    p.top_k = 40;
    s[n++] = (setting){"top_k 40", p, -1};
    p.top_p = 0.95f;
    p.min_p = 0.05f;
    s[n++] = (setting){"top_k 40, top_p 0.95, min_p 0.05", p, -1};
    p.repetition_penalty = 1.1f;
    p.dry_multiplier = 0.8f;
    s[n++] = (setting){"the same, repetition 1.1, DRY", p, -1};
    p = ag_sampling_default();
    p.top_p = 0.95f;
    s[n++] = (setting){"top_p 0.95", p, -1};
    p = ag_sampling_default();
    p.min_p = 0.05f;
    s[n++] = (setting){"min_p 0.05", p, -1};
    p.xtc_probability = 0.5f;
    s[n++] = (setting){"min_p 0.05, XTC", p, -1};
    p = ag_sampling_default();
    p.typical_p = 0.9f;
    s[n++] = (setting){"typical_p 0.9", p, -1};
    p = ag_sampling_default();
    p.mirostat = 2;
    s[n++] = (setting){"Mirostat 2.0", p, -1};
    return n;
}

int main(int argc, char **argv) {
    static const int32_t sizes[] = {49152, 262144};
    const long want = argc > 1 ? strtol(argv[1], NULL, 10) : 200;
    const int rounds = want < 1 ? 1 : want > 2000 ? 2000 : (int)want;
    setting s[16];
    const size_t n_settings = settings(s);
    int failed = 0;
    printf("  vocab  %-34s   median      90%%  us/token, %d rounds\n", "settings", rounds);
    for (size_t v = 0; v < sizeof sizes / sizeof *sizes && !failed; v++) {
        const int32_t n = sizes[v];
        float *rows = malloc((size_t)n * N_ROWS * sizeof *rows);
        double *us = malloc((size_t)rounds * sizeof *us);
        ag_sample_scratch *scratch = NULL;
        ag_rng rng;
        ag_rng_init(&rng, 1);
        failed =
            !rows || !us || ag_sample_scratch_new(ag_kernels_get(NULL), n, &scratch, NULL) != AG_OK;
        for (int i = 0; i < N_ROWS && !failed; i++)
            fill(rows + (size_t)i * (size_t)n, n, &rng);
        for (size_t i = 0; i < n_settings && !failed; i++)
            failed = measure(&s[i], scratch, rows, n, rounds, us);
        ag_sample_scratch_free(&scratch);
        free(us);
        free(rows);
    }
    return failed;
}
