/* What guessing ahead gains on text that repeats itself, as transcripts of agents do:
 * bench_speculate MODEL [THREADS [FILE]]
 *
 * FILE is a prompt (default: bench/speculate/transcript.txt). Greedy answers of 256 tokens, without
 * guesses and with them in turns; medians. The answers must be the same. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <autoglm/engine.h>

enum { ROUNDS = 5, TOKENS = 256, MOST_TEXT = 1 << 20 };

typedef struct answer {
    int n;
    int32_t ids[TOKENS];
    ag_result result;
} answer;

static bool on_token(void *ctx, const ag_token_event *event) {
    answer *a = ctx;
    if (a->n < TOKENS)
        a->ids[a->n++] = event->id;
    return true;
}

static void on_done(void *ctx, const ag_result *result) { ((answer *)ctx)->result = *result; }

static void fail(const char *why) {
    fprintf(stderr, "bench_speculate: %s\n", why);
    exit(1);
}

static answer ask(ag_engine *e, const char *prompt, int speculate) {
    answer a = {0};
    ag_err err = {0};
    ag_request *request = NULL;
    ag_request_opts o = ag_request_default();
    o.prompt = prompt;
    o.prompt_len = strlen(prompt);
    o.max_tokens = TOKENS;
    o.ignore_eos = true;
    o.sampling.temperature = 0;
    o.speculate = speculate;
    o.on_token = on_token;
    o.on_done = on_done;
    o.ctx = &a;
    if (ag_engine_submit(e, &o, &request, &err))
        fail(err.msg);
    ag_request_wait(request);
    ag_request_release(&request);
    if (a.result.finish != AG_FINISH_LENGTH)
        fail(a.result.err.msg[0] ? a.result.err.msg : "an answer ended early");
    return a;
}

static int by_value(const void *x, const void *y) {
    const double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static double per_s(const answer *a) { return (a->n - 1) / ((double)a->result.decode_us / 1e6); }

int main(int argc, char **argv) {
    static char prompt[MOST_TEXT];
    static answer plain, guessed;
    double rates[2][ROUNDS];
    if (argc < 2) {
        fprintf(stderr, "usage: bench_speculate MODEL [THREADS [FILE]]\n");
        return 2;
    }
    FILE *f = fopen(argc > 3 ? argv[3] : "bench/speculate/transcript.txt", "r");
    if (!f || fread(prompt, 1, sizeof prompt - 1, f) == 0)
        fail("the prompt cannot be read");
    fclose(f);
    ag_engine *e = NULL;
    ag_err err = {0};
    ag_engine_opts opts = ag_engine_default();
    opts.model = argv[1];
    opts.n_threads = argc > 2 ? (uint32_t)atoi(argv[2]) : 0;
    if (ag_engine_open(&opts, &e, &err))
        fail(err.msg);
    ask(e, prompt, -1); /* the prompt is cached from here on */
    ag_engine_stats before, after;
    ag_engine_get_stats(e, &before);
    for (int i = 0; i < ROUNDS; i++) {
        plain = ask(e, prompt, -1);
        guessed = ask(e, prompt, 0);
        rates[0][i] = per_s(&plain);
        rates[1][i] = per_s(&guessed);
        if (memcmp(plain.ids, guessed.ids, sizeof plain.ids) != 0)
            fail("the answers differ");
    }
    ag_engine_get_stats(e, &after);
    for (int i = 0; i < 2; i++)
        qsort(rates[i], ROUNDS, sizeof rates[i][0], by_value);
    const double was = rates[0][ROUNDS / 2], is = rates[1][ROUNDS / 2];
    const uint64_t drafted = after.n_drafted - before.n_drafted;
    const uint64_t taken = after.n_drafts_true - before.n_drafts_true;
    printf("without guesses %.1f tokens/s, with them %.1f: %.2f times\n", was, is, is / was);
    printf("%" PRIu64 " of %" PRIu64
           " guessed tokens were right (%.0f %%), %.0f %% of the answers\n",
           taken, drafted, drafted ? 100.0 * (double)taken / (double)drafted : 0,
           100.0 * (double)taken / (ROUNDS * TOKENS));
    ag_engine_close(&e);
    return 0;
}
