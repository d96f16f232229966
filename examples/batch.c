/* Several threads, one engine: each asks its own question when it likes, and the engine runs what
 * is there together in one batch. The answers are the ones each question would get alone.
 *
 *     cc batch.c $(pkg-config --cflags --libs autoglm) -pthread -o batch
 *     ./batch model.gguf "Why is the sky blue?" "Name three colours." "Count to five." */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <autoglm/engine.h>

typedef struct job {
    ag_engine *engine; /* shared: every function of it may be called from any thread */
    const char *question;
    char *answer;
    ag_result result;
    ag_err err;
    ag_code code;
} job;

static void *ask(void *arg) {
    job *j = arg;
    ag_message message = {"user", j->question};
    ag_request_opts request = ag_request_default();
    request.max_tokens = 60;
    request.sampling.temperature = 0; /* greedy: the same answer every time */
    j->code = ag_engine_chat(j->engine, &message, 1, &request, &j->answer, &j->result, &j->err);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL.gguf QUESTION...\n", argv[0]);
        return 2;
    }
    size_t n = (size_t)argc - 2;
    ag_engine_opts opts = ag_engine_default();
    opts.model = argv[1];
    opts.max_sequences = (uint32_t)n;
    opts.max_context_length = 1024; /* of each sequence; bounds the memory for n of them */

    ag_err err = {0};
    ag_engine *engine = NULL;
    if (ag_engine_open(&opts, &engine, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }

    job *jobs = calloc(n, sizeof *jobs);
    pthread_t *threads = calloc(n, sizeof *threads);
    if (!jobs || !threads) {
        fprintf(stderr, "out of memory\n");
        return 1;
    }
    size_t n_started = 0;
    for (; n_started < n; n_started++) {
        jobs[n_started].engine = engine;
        jobs[n_started].question = argv[2 + n_started];
        if (pthread_create(&threads[n_started], NULL, ask, &jobs[n_started])) {
            fprintf(stderr, "cannot start thread %zu\n", n_started);
            break;
        }
    }

    int failed = n_started < n;
    for (size_t i = 0; i < n_started; i++) {
        pthread_join(threads[i], NULL);
        printf("[%zu] %s\n", i + 1, jobs[i].question);
        if (jobs[i].code) {
            printf("    failed: %s\n", jobs[i].err.msg);
            failed = 1;
        } else {
            printf("    %s\n", jobs[i].answer);
        }
        ag_string_free(jobs[i].answer);
    }

    free(threads);
    free(jobs);
    ag_engine_close(&engine);
    return failed;
}
