/* Answers the comparison scripts' questions about a model: a question a line, a JSON object a line.
 *
 * usage: oracle MODEL [--dtype D] [--kv K] [--threads N] < questions
 *
 * greedy N ID...: N tokens, or fewer at a stop token. {"ids": [...], "margins": [...]}, margins
 * being best minus second log-probability at each step.
 *
 * nll ID...: of each id after the first; and the last position's best. {"nll": [...], "top": [[id,
 * logit] x 10], "logsumexp": x}.
 *
 * perplexity C PATH: of the text's windows of C tokens, second half of each, as llama-perplexity
 * counts. {"perplexity": x, "tokens": n, "windows": n}. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <autoglm/engine.h>

#define MAX_LINE (1 << 20)

static ag_engine *engine;
static uint32_t n_vocab;

_Noreturn static void die(const char *what, const char *why) {
    fprintf(stderr, "oracle: %s: %s\n", what, why);
    exit(1);
}

static size_t read_ids(const char *s, int32_t **ids) {
    size_t n = 0, room = strlen(s) / 2 + 1;
    *ids = malloc(room * sizeof **ids);
    if (!*ids)
        die("ids", "out of memory");
    for (char *end; (errno = 0, *s) && n < room; s = end, n++) {
        (*ids)[n] = (int32_t)strtol(s, &end, 10);
        if (end == s)
            break;
    }
    return n;
}

static float *logits_of(const int32_t *ids, size_t n) {
    ag_err err = {0};
    float *out = malloc(n * n_vocab * sizeof *out);
    if (!out)
        die("logits", "out of memory");
    if (ag_engine_logits(engine, ids, n, out, &err))
        die("logits", err.msg);
    return out;
}

static double logsumexp(const float *row) {
    float best = row[0];
    double sum = 0;
    for (uint32_t i = 1; i < n_vocab; i++)
        best = row[i] > best ? row[i] : best;
    for (uint32_t i = 0; i < n_vocab; i++)
        sum += exp((double)row[i] - (double)best);
    return (double)best + log(sum);
}

/* ---- greedy ---------------------------------------------------------------------------------- */

typedef struct greedy {
    size_t n;
    int32_t id[4096];
    float margin[4096];
} greedy;

static bool on_token(void *ctx, const ag_token_event *e) {
    greedy *g = ctx;
    g->id[g->n] = e->id;
    g->margin[g->n] = e->n_top > 1 ? e->top[0].logprob - e->top[1].logprob : 0;
    return ++g->n < 4096;
}

static void answer_greedy(const char *rest) {
    static greedy g;
    char *end;
    g.n = 0;
    ag_request_opts o = ag_request_default();
    o.max_tokens = (uint32_t)strtoul(rest, &end, 10);
    int32_t *ids;
    o.n_prompt_ids = read_ids(end, &ids);
    o.prompt_ids = ids;
    o.sampling.temperature = 0;
    o.top_logprobs = 2;
    o.on_token = on_token;
    o.ctx = &g;
    ag_request *request = NULL;
    ag_err err = {0};
    if (ag_engine_submit(engine, &o, &request, &err))
        die("greedy", err.msg);
    ag_request_wait(request);
    ag_request_release(&request);
    free(ids);
    printf("{\"ids\": [");
    for (size_t i = 0; i < g.n; i++)
        printf("%s%d", i ? ", " : "", g.id[i]);
    printf("], \"margins\": [");
    for (size_t i = 0; i < g.n; i++)
        printf("%s%.5f", i ? ", " : "", (double)g.margin[i]);
    printf("]}\n");
}

/* ---- log-likelihoods ------------------------------------------------------------------------- */

static void print_top(const float *row) {
    int32_t best[10];
    size_t n = 0;
    for (uint32_t i = 0; i < n_vocab; i++) {
        size_t at = n < 10 ? n++ : 10;
        for (; at > 0 && row[i] > row[best[at - 1]]; at--)
            if (at < 10)
                best[at] = best[at - 1];
        if (at < 10)
            best[at] = (int32_t)i;
    }
    printf("\"top\": [");
    for (size_t k = 0; k < n; k++)
        printf("%s[%d, %.5f]", k ? ", " : "", best[k], (double)row[best[k]]);
    printf("]");
}

static void answer_nll(const char *rest) {
    int32_t *ids;
    size_t n = read_ids(rest, &ids);
    if (n == 0)
        die("nll", "no ids");
    float *logits = logits_of(ids, n);
    printf("{\"nll\": [");
    for (size_t i = 0; i + 1 < n; i++) {
        const float *row = logits + i * n_vocab;
        printf("%s%.6f", i ? ", " : "", logsumexp(row) - (double)row[ids[i + 1]]);
    }
    const float *last = logits + (n - 1) * n_vocab;
    printf("], ");
    print_top(last);
    printf(", \"logsumexp\": %.5f}\n", logsumexp(last));
    free(logits);
    free(ids);
}

static char *read_text(const char *path, size_t *n) {
    FILE *f = fopen(path, "rb");
    if (!f)
        die(path, strerror(errno));
    fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *text = malloc(*n + 1);
    if (!text || fread(text, 1, *n, f) != *n)
        die(path, "cannot read");
    fclose(f);
    text[*n] = '\0';
    return text;
}

/* The text's ids, with BOS in front when the model wants it; *bos is its id or -1. */
static size_t text_ids(const char *path, int32_t **ids, int32_t *bos) {
    size_t len, n = 0, n_plain = 0;
    char *text = read_text(path, &len);
    int32_t *plain = NULL;
    ag_err err = {0};
    if (ag_engine_tokenize(engine, text, len, true, false, ids, &n, &err) ||
        ag_engine_tokenize(engine, text, len, false, false, &plain, &n_plain, &err))
        die("tokenize", err.msg);
    *bos = n > n_plain ? (*ids)[0] : -1;
    ag_ids_free(plain);
    free(text);
    return n;
}

static void answer_perplexity(const char *rest) {
    char *end;
    size_t window = strtoul(rest, &end, 10);
    int32_t *ids, bos;
    size_t n = text_ids(end + strspn(end, " "), &ids, &bos);
    size_t windows = window ? n / window : 0, count = 0;
    double sum = 0;
    for (size_t w = 0; w < windows; w++) {
        int32_t *at = ids + w * window;
        int32_t first = at[0];
        if (bos >= 0)
            at[0] = bos;
        float *logits = logits_of(at, window);
        for (size_t i = window / 2; i + 1 < window; i++, count++)
            sum += logsumexp(logits + i * n_vocab) - (double)logits[i * n_vocab + at[i + 1]];
        free(logits);
        at[0] = first;
    }
    printf("{\"perplexity\": %.6f, \"tokens\": %zu, \"windows\": %zu}\n", exp(sum / (double)count),
           n, windows);
    ag_ids_free(ids);
}

/* ---- */

static void open_engine(int argc, char **argv) {
    ag_engine_opts o = ag_engine_default();
    if (argc < 2)
        die("usage", "oracle MODEL [--dtype D] [--kv K] [--threads N]");
    o.model = argv[1];
    o.max_context_length = 2048;
    o.max_sequences = 2;
    for (int i = 2; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dtype") == 0)
            o.dtype = argv[i + 1];
        else if (strcmp(argv[i], "--kv") == 0)
            o.kv_type = argv[i + 1];
        else if (strcmp(argv[i], "--threads") == 0)
            o.n_threads = (uint32_t)strtoul(argv[i + 1], NULL, 10);
        else
            die(argv[i], "unknown option");
    }
    ag_err err = {0};
    if (ag_engine_open(&o, &engine, &err))
        die("open", err.msg);
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    n_vocab = info.n_vocab;
}

int main(int argc, char **argv) {
    static char line[MAX_LINE];
    open_engine(argc, argv);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "greedy ", 7) == 0)
            answer_greedy(line + 7);
        else if (strncmp(line, "nll ", 4) == 0)
            answer_nll(line + 4);
        else if (strncmp(line, "perplexity ", 11) == 0)
            answer_perplexity(line + 11);
        else
            die(line, "unknown question");
        fflush(stdout);
    }
    ag_engine_close(&engine);
    return 0;
}
