/* How many sentences a second an embedder takes: bench_embed MODEL [THREADS [FILE]]
 *
 * FILE has a sentence a line (default: tests/golden/real/sentences.txt); they are repeated to at
 * least 1000. Measured: all in one call, as a document store would be filled, and one after the
 * other, as queries come. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <autoglm/engine.h>

#define LEAST 1000
#define MOST  100000

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Lines of the file, repeated; their texts are never freed. */
static size_t read_inputs(const char *path, ag_embed_input *inputs) {
    FILE *f = fopen(path, "r");
    char line[8192];
    size_t n = 0;
    while (f && n < MOST && fgets(line, sizeof line, f)) {
        size_t len = strcspn(line, "\n");
        if (len > 0)
            inputs[n++] = (ag_embed_input){.text = strndup(line, len), .text_len = len};
    }
    if (f)
        fclose(f);
    for (size_t own = n; own > 0 && n < LEAST; n++)
        inputs[n] = inputs[n - own];
    return n;
}

static void fail(const ag_err *err) {
    fprintf(stderr, "bench_embed: %s\n", err->msg);
    exit(1);
}

/* Inputs in calls of `each`; best of three. */
static void measure(ag_engine *e, const ag_embed_input *in, size_t n, size_t each, float *out) {
    uint32_t counts[MOST / 100];
    ag_embed_opts opts = ag_embed_default();
    ag_err err = {0};
    double best = 1e30;
    unsigned long long tokens = 0;
    opts.truncate = true;
    for (int round = 0; round < 3; round++) {
        double began = now();
        tokens = 0;
        for (size_t i = 0; i < n; i += each) {
            size_t k = n - i < each ? n - i : each;
            if (ag_engine_embed(e, in + i, k, &opts, out, counts, &err))
                fail(&err);
            for (size_t j = 0; j < k; j++)
                tokens += counts[j];
        }
        double took = now() - began;
        best = took < best ? took : best;
    }
    printf("%6zu a call  %9.1f sentences/s  %9.0f tokens/s\n", each, (double)n / best,
           (double)tokens / best);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: bench_embed MODEL [THREADS [FILE]]\n");
        return 2;
    }
    ag_embed_input *inputs = calloc(MOST, sizeof *inputs);
    size_t n =
        inputs ? read_inputs(argc > 3 ? argv[3] : "tests/golden/real/sentences.txt", inputs) : 0;
    if (n == 0) {
        fprintf(stderr, "bench_embed: no sentences\n");
        return 1;
    }
    ag_engine *e = NULL;
    ag_err err = {0};
    ag_engine_opts opts = ag_engine_default();
    opts.model = argv[1];
    opts.n_threads = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    if (ag_engine_open(&opts, &e, &err))
        fail(&err);
    ag_engine_info info;
    ag_engine_get_info(e, &info);
    float *out = calloc(LEAST, info.n_embd * sizeof *out);
    if (!out)
        return 1;
    printf("%s, %u threads, %s kernels, %zu sentences\n", info.name, info.n_threads, info.isa, n);
    measure(e, inputs, n, LEAST, out);
    measure(e, inputs, n < 200 ? n : 200, 1, out);
    ag_engine_close(&e);
    return 0;
}
