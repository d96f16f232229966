/* Submitting, cancelling and waiting. */
#include "api/engine.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"

ag_request_opts ag_request_default(void) {
    return (ag_request_opts){
        .add_bos = true, .top_logprobs = -1, .sampling = ag_sampling_default()};
}

ag_code ag_engine_check_text(const char *what, const char *text, size_t n, ag_err *err) {
    if (n > AG_MAX_TEXT_BYTES)
        return ag_fail(err, AG_E_LIMIT, "%s has %zu bytes; at most %zu are accepted", what, n,
                       AG_MAX_TEXT_BYTES);
    size_t good = ag_utf8_valid_prefix(ag_span_of(text, n));
    if (good < n)
        return ag_fail(err, AG_E_UTF8, "%s is not valid UTF-8 at byte %zu", what, good);
    return AG_OK;
}

static ag_code encode(const ag_engine *e, const char *text, size_t n, unsigned flags, ag_ids *ids,
                      ag_err *err) {
    ag_code code = ag_engine_check_text("the text", text, n, err);
    return code ? code : ag_tokenizer_encode(e->tokenizer, ag_span_of(text, n), flags, ids, err);
}

static ag_code submit_job(ag_engine *e, ag_job *job, ag_request **out, ag_err *err) {
    ag_code code = ag_sched_submit(e->sched, job, err);
    if (!code && out)
        *out = ag_request_of(job);
    else
        ag_job_unref(job);
    return code;
}

ag_code ag_engine_submit(ag_engine *e, const ag_request_opts *o, ag_request **out, ag_err *err) {
    if (out)
        *out = NULL;
    if (!o->prompt == !o->prompt_ids)
        return ag_fail(err, AG_E_ARG, "exactly one of prompt and prompt_ids must be given");
    ag_ids ids = {0};
    ag_code code = AG_OK;
    if (o->prompt)
        code = encode(e, o->prompt, o->prompt_len,
                      (o->add_bos ? AG_ENCODE_BOS : 0) | (o->parse_special ? AG_ENCODE_SPECIAL : 0),
                      &ids, err);
    ag_job *job = NULL;
    if (!code)
        code = ag_job_new(o, ag_sched_env(e->sched), o->prompt ? ids.v : o->prompt_ids,
                          o->prompt ? ids.n : o->n_prompt_ids, &job, err);
    ag_ids_deinit(&ids);
    return code ? code : submit_job(e, job, out, err);
}

ag_code ag_engine_admit(ag_engine *e, const ag_request_opts *o, size_t n_tokens, ag_err *err) {
    return ag_sched_admit(e->sched, o, n_tokens, err);
}

void ag_request_cancel(ag_request *r) { ag_job_set(&ag_job_of(r)->cancelled, true, ag_job_of(r)); }
void ag_request_pause(ag_request *r) { ag_job_set(&ag_job_of(r)->paused, true, ag_job_of(r)); }
void ag_request_resume(ag_request *r) { ag_job_set(&ag_job_of(r)->paused, false, ag_job_of(r)); }
void ag_request_wait(ag_request *r) { ag_job_wait(ag_job_of(r)); }

void ag_request_release(ag_request **r) {
    if (!r || !*r)
        return;
    ag_job_unref(ag_job_of(*r));
    *r = NULL;
}

/* How a logits job ended. Written before the job is done, read after waiting for it. */
static void note_result(void *ctx, const ag_result *result) { *(ag_result *)ctx = *result; }

ag_code ag_engine_logits(ag_engine *e, const int32_t *ids, size_t n, float *out, ag_err *err) {
    ag_job *job;
    ag_code code = ag_job_new_logits(ag_sched_env(e->sched), ids, n, out, &job, err);
    if (code)
        return code;
    ag_result how = {0};
    job->on_done = note_result;
    job->ctx = &how;
    ag_request *r;
    code = submit_job(e, job, &r, err);
    if (code)
        return code;
    ag_request_wait(r);
    ag_request_release(&r);
    if (how.finish == AG_FINISH_ERROR)
        return ag_fail(err, how.err.code, "%s", how.err.msg);
    return how.finish == AG_FINISH_LENGTH ? AG_OK
                                          : ag_fail(err, AG_E_CLOSED, "the engine was closed");
}

int32_t ag_engine_find_token(const ag_engine *e, const char *text, size_t len, bool *control) {
    int32_t id = ag_tokenizer_find(e->tokenizer, ag_span_of(text, len));
    ag_token_type type = id >= 0 ? ag_tokenizer_type(e->tokenizer, id) : AG_TOKEN_NORMAL;
    if (control)
        *control = type == AG_TOKEN_CONTROL || type == AG_TOKEN_UNKNOWN;
    return id;
}

/* A list to the caller, who frees it; nothing after a failure. */
static ag_code hand_over(ag_ids *list, ag_code code, int32_t **ids, size_t *n, ag_err *err) {
    if (!code && !list->v) /* an empty list is still a list */
        list->v = ag_calloc(AG_ROOM_API, 1, sizeof *list->v);
    if (!code && !list->v)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for a list of tokens");
    if (code) {
        ag_ids_deinit(list);
        return code;
    }
    *ids = list->v;
    *n = list->n;
    return AG_OK;
}

ag_code ag_engine_tokenize(ag_engine *e, const char *text, size_t len, bool add_bos,
                           bool parse_special, int32_t **ids, size_t *n, ag_err *err) {
    *ids = NULL;
    *n = 0;
    ag_ids list = {0};
    ag_code code =
        encode(e, text, len,
               (add_bos ? AG_ENCODE_BOS : 0) | (parse_special ? AG_ENCODE_SPECIAL : 0), &list, err);
    return hand_over(&list, code, ids, n, err);
}

ag_code ag_engine_infill_ids(ag_engine *e, const char *before, size_t before_len,
                             const char *behind, size_t behind_len, bool add_bos, int32_t **ids,
                             size_t *n, ag_err *err) {
    *ids = NULL;
    *n = 0;
    ag_ids list = {0};
    ag_code code = ag_engine_check_text("the text before", before, before_len, err);
    if (!code)
        code = ag_engine_check_text("the text behind", behind, behind_len, err);
    if (!code)
        code = ag_tokenizer_infill(e->tokenizer, ag_span_of(before, before_len),
                                   ag_span_of(behind, behind_len),
                                   AG_ENCODE_SPECIAL | (add_bos ? AG_ENCODE_BOS : 0), &list, err);
    return hand_over(&list, code, ids, n, err);
}

const int32_t *ag_engine_infill_ends(const ag_engine *e, size_t *n) {
    return ag_tokenizer_infill_ends(e->tokenizer, n);
}

ag_code ag_engine_detokenize(ag_engine *e, const int32_t *ids, size_t n, bool show_special,
                             char **text, size_t *len, ag_err *err) {
    *text = NULL;
    ag_buf buf;
    ag_buf_init(&buf, AG_ROOM_API, AG_MAX_TEXT_BYTES);
    ag_detok d;
    ag_detok_init(&d, e->tokenizer, true, show_special);
    for (size_t i = 0; i < n; i++)
        ag_detok_push(&d, ids[i], &buf);
    ag_detok_flush(&d, &buf);
    ag_code code = ag_buf_check(&buf, "decoded text", err);
    if (!code && !ag_buf_cstr(&buf))
        code = ag_fail(err, AG_E_NOMEM, "out of memory for decoded text");
    if (code) {
        ag_buf_deinit(&buf);
        return code;
    }
    *text = buf.p; /* the caller's now; ag_string_free() gives it back */
    if (len)
        *len = buf.n;
    return AG_OK;
}

void ag_string_free(char *s) { ag_free(s); }
void ag_ids_free(int32_t *ids) { ag_free(ids); }
