/* Requests whose callbacks collect everything into an `answer`. */
#include <stdio.h>
#include <string.h>

#include "engine/support.h"

static void add_text(answer *a, const char *text, size_t n) {
    if (n > sizeof a->text - 1 - a->n_text)
        n = sizeof a->text - 1 - a->n_text;
    if (n)
        memcpy(a->text + a->n_text, text, n);
    a->n_text += n;
    a->text[a->n_text] = '\0';
}

static bool on_token(void *ctx, const ag_token_event *e) {
    answer *a = ctx;
    if (e->index != a->n || atomic_load(&a->n_done))
        a->out_of_order = true;
    if (a->n < 512) {
        a->id[a->n] = e->id;
        a->logprob[a->n] = e->logprob;
        a->n_top[a->n] = e->n_top < 20 ? e->n_top : 20;
        if (e->n_top)
            memcpy(a->top[a->n], e->top, a->n_top[a->n] * sizeof *e->top);
        a->n++;
    }
    add_text(a, e->text, e->text_len);
    int seen = atomic_fetch_add(&a->n_tokens, 1) + 1;
    return a->cancel_after == 0 || (size_t)seen < a->cancel_after;
}

static void on_done(void *ctx, const ag_result *result) {
    answer *a = ctx;
    add_text(a, result->tail, result->tail_len);
    a->finish = result->finish;
    a->result = *result;
    a->result.tail = NULL;
    atomic_fetch_add(&a->n_done, 1);
}

static ag_request_opts ask(uint32_t max_tokens, answer *a) {
    memset(a, 0, sizeof *a);
    ag_request_opts o = ag_request_default();
    o.sampling.temperature = 0;
    o.ignore_eos = true;
    o.max_tokens = max_tokens;
    o.top_logprobs = 0;
    o.on_token = on_token;
    o.on_done = on_done;
    o.ctx = a;
    return o;
}

ag_request_opts ask_ids(const int32_t *ids, size_t n, uint32_t max_tokens, answer *a) {
    ag_request_opts o = ask(max_tokens, a);
    o.prompt_ids = ids;
    o.n_prompt_ids = n;
    return o;
}

ag_request_opts ask_text(const char *text, uint32_t max_tokens, answer *a) {
    ag_request_opts o = ask(max_tokens, a);
    o.prompt = text;
    o.prompt_len = strlen(text);
    return o;
}

ag_request *must_submit(ag_engine *engine, const ag_request_opts *opts) {
    ag_request *request = NULL;
    ag_err err = {0};
    if (ag_engine_submit(engine, opts, &request, &err))
        fail_msg("submit: %s", err.msg);
    assert_non_null(request);
    return request;
}

void must_finish(ag_request **request) {
    ag_request_wait(*request);
    ag_request_release(request);
    assert_null(*request);
}

void must_answer(ag_engine *engine, const ag_request_opts *opts) {
    ag_request *request = must_submit(engine, opts);
    must_finish(&request);
    const answer *a = opts->ctx;
    assert_int_equal(atomic_load(&a->n_done), 1);
    assert_false(a->out_of_order);
    if (a->finish == AG_FINISH_ERROR)
        fail_msg("request: %s", a->result.err.msg);
}

bool same_answer(const answer *a, const answer *b) {
    return a->n == b->n && memcmp(a->id, b->id, a->n * sizeof *a->id) == 0 &&
           memcmp(a->logprob, b->logprob, a->n * sizeof *a->logprob) == 0 &&
           a->n_text == b->n_text && memcmp(a->text, b->text, a->n_text) == 0 &&
           a->finish == b->finish;
}
