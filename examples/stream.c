/* Streaming: text is shown as it is generated, Ctrl-C ends the answer, and the result says how fast
 * it went.
 *
 *     cc stream.c $(pkg-config --cflags --libs autoglm) -o stream
 *     ./stream model.gguf "Once upon a time" */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <autoglm/engine.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig) {
    (void)sig;
    interrupted = 1;
}

/* Runs on the engine's thread, once a token. The text is only borrowed; it never ends inside a
 * character. */
static bool on_token(void *ctx, const ag_token_event *event) {
    (void)ctx;
    fwrite(event->text, 1, event->text_len, stdout);
    fflush(stdout);
    return !interrupted; /* false cancels the request */
}

/* Runs last, exactly once. ctx is the caller's: here it gets a copy of the plain numbers. */
static void on_done(void *ctx, const ag_result *result) {
    ag_result *copy = ctx;
    fwrite(result->tail, 1, result->tail_len, stdout);
    *copy = *result;
    copy->tail = NULL; /* was borrowed */
    copy->tail_len = 0;
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: %s MODEL.gguf PROMPT\n", argv[0]);
        return 2;
    }
    signal(SIGINT, on_interrupt);
    ag_engine_opts opts = ag_engine_default();
    opts.model = argv[1];

    ag_err err = {0};
    ag_engine *engine = NULL;
    if (ag_engine_open(&opts, &engine, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }

    ag_result result = {0};
    ag_request_opts request = ag_request_default();
    request.prompt = argv[2];
    request.prompt_len = strlen(argv[2]);
    request.max_tokens = 100;
    request.sampling.temperature = 0.7f;
    request.sampling.top_p = 0.9f;
    request.on_token = on_token;
    request.on_done = on_done;
    request.ctx = &result;

    ag_request *handle = NULL;
    if (ag_engine_submit(engine, &request, &handle, &err)) {
        fprintf(stderr, "%s\n", err.msg);
        ag_engine_close(&engine);
        return 1;
    }
    ag_request_wait(handle); /* `result` is complete afterwards */
    ag_request_release(&handle);

    double seconds = (double)result.decode_us / 1e6;
    printf("\n%u tokens of prompt in %.0f ms, then %u tokens", result.n_prompt,
           (double)result.prefill_us / 1e3, result.n_generated);
    if (result.n_generated > 1 && seconds > 0)
        printf(" at %.1f a second", (result.n_generated - 1) / seconds);
    printf("\n");
    if (result.finish == AG_FINISH_ERROR)
        fprintf(stderr, "%s\n", result.err.msg);

    ag_engine_close(&engine);
    return result.finish == AG_FINISH_ERROR ? 1 : 0;
}
