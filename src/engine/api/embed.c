/* Embeddings: inputs become jobs of the scheduler, a window of them at a time, so that one caller
 * with many inputs neither fills the line nor keeps others waiting. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "api/engine.h"
#include "base/mem.h"

/* Inputs of one call that are in line at once: enough for a step of short ones, twice. */
#define WINDOW 128

typedef struct embedding {
    ag_engine *e;
    const ag_embed_input *inputs;
    size_t n;
    ag_embed_opts opts;
    ag_request_opts terms; /* of each input */
    int dims;
    ag_ids suffix; /* what the tokenizer puts around nothing; its last id stays when cutting */
    float *out;
    uint32_t *n_tokens;
    ag_job *jobs[WINDOW];   /* of input i at i % WINDOW, as the next */
    ag_result ends[WINDOW]; /* their tails are not valid */
} embedding;

const char *ag_pooling_name(ag_pooling pooling) {
    static const char *const names[] = {NULL, "mean", "cls", "last"};
    return pooling >= AG_POOLING_MEAN && pooling <= AG_POOLING_LAST ? names[pooling] : NULL;
}

ag_embed_opts ag_embed_default(void) { return (ag_embed_opts){.normalize = true}; }

/* Cut to the context. The token that ends every input (SEP, or an embedder's EOS) stays the last
 * one, as in training. */
static void cut(const embedding *b, ag_ids *ids) {
    size_t most = (size_t)b->e->core.max_context;
    if (ids->n <= most || !b->opts.truncate)
        return;
    int32_t last = ids->v[ids->n - 1];
    ids->n = most;
    if (b->suffix.n > 0 && b->suffix.v[b->suffix.n - 1] == last && most > 1)
        ids->v[most - 1] = last;
}

static ag_code encode(const embedding *b, size_t i, ag_ids *ids, ag_err *err) {
    const ag_embed_input *in = &b->inputs[i];
    ag_code code = ag_engine_check_text("the text", in->text, in->text_len, err);
    return code ? code
                : ag_tokenizer_encode(b->e->tokenizer, ag_span_of(in->text, in->text_len),
                                      AG_ENCODE_BOS, ids, err);
}

/* Written before the job is done, read after waiting for it. */
static void note_end(void *ctx, const ag_result *result) { *(ag_result *)ctx = *result; }

static ag_code submit(embedding *b, size_t i, ag_err *err) {
    const ag_embed_input *in = &b->inputs[i];
    char where[40];
    snprintf(where, sizeof where, "input %zu", i);
    ag_ids ids = {0};
    ag_job *job = NULL;
    ag_code code = AG_OK;
    if (!in->text == !in->ids)
        code = ag_fail(err, AG_E_ARG, "exactly one of text and ids must be given");
    else if (in->text)
        code = encode(b, i, &ids, err);
    for (size_t k = 0; !code && in->ids && k < in->n_ids; k++)
        code = ag_ids_add(&ids, in->ids[k], err);
    if (!code) {
        cut(b, &ids);
        code =
            ag_job_new_embed(ag_sched_env(b->e->sched), ids.v, ids.n, b->opts.pooling, &job, err);
    }
    if (!code)
        code = ag_job_set_terms(&job->task, &b->terms, ag_sched_env(b->e->sched), err);
    if (!code) {
        job->on_done = note_end;
        job->ctx = &b->ends[i % WINDOW];
        code = ag_sched_submit(b->e->sched, job, err);
    }
    if (!code && b->n_tokens)
        b->n_tokens[i] = (uint32_t)ids.n;
    ag_ids_deinit(&ids);
    if (code) {
        ag_job_unref(job);
        return ag_err_wrap(err, code, "%s", where);
    }
    b->jobs[i % WINDOW] = job;
    return AG_OK;
}

/* Sums in double and in order, so that a vector is the same everywhere. */
static void finish(const embedding *b, const ag_job *job, float *out) {
    double square = 0;
    float by = b->opts.pooling == AG_POOLING_MEAN ? 1.0f / (float)job->task.n_prompt : 1;
    for (int d = 0; d < b->dims; d++) {
        out[d] = job->pooled[d] * by;
        square += (double)out[d] * out[d];
    }
    if (!b->opts.normalize || !(square > 0))
        return;
    double scale = 1 / sqrt(square);
    for (int d = 0; d < b->dims; d++)
        out[d] = (float)(out[d] * scale);
}

static ag_code check(embedding *b, ag_err *err) {
    const ag_model_config *c = &b->e->core.model.config;
    if (b->opts.pooling > AG_POOLING_LAST)
        return ag_fail(err, AG_E_ARG, "pooling is %d, expected %d to %d", (int)b->opts.pooling,
                       AG_POOLING_MODEL, AG_POOLING_LAST);
    if (b->opts.pooling == AG_POOLING_MODEL)
        b->opts.pooling = c->pooling;
    if (b->opts.pooling == AG_POOLING_MODEL)
        return ag_fail(
            err, AG_E_UNSUPPORTED,
            "%s was not made for embeddings: its file names no pooling. Use an embedding "
            "model, or name a pooling to get its hidden states all the same",
            b->e->name);
    if (b->opts.dimensions > (uint32_t)c->n_embd)
        return ag_fail(err, AG_E_ARG, "dimensions is %u; the model's vectors have %d",
                       b->opts.dimensions, c->n_embd);
    b->terms = (ag_request_opts){.priority = b->opts.priority,
                                 .tenant = b->opts.tenant,
                                 .tenant_weight = b->opts.tenant_weight,
                                 .timeout_ms = b->opts.timeout_ms};
    b->dims = b->opts.dimensions ? (int)b->opts.dimensions : c->n_embd;
    return ag_tokenizer_encode(b->e->tokenizer, (ag_span){0}, AG_ENCODE_BOS, &b->suffix, err);
}

/* Wait for input i. Of a call that failed already only the end matters. */
static ag_code collect(embedding *b, size_t i, ag_code before, ag_err *err) {
    ag_job *job = b->jobs[i % WINDOW];
    ag_code code = before;
    if (before)
        ag_job_set(&job->cancelled, true, job);
    ag_job_wait(job);
    const ag_result *end = &b->ends[i % WINDOW];
    if (!before && end->finish == AG_FINISH_LENGTH)
        finish(b, job, b->out + i * (size_t)b->dims);
    else if (!before && end->finish == AG_FINISH_CANCELLED)
        code = ag_fail(err, AG_E_CLOSED, "the engine was closed");
    else if (!before)
        code = ag_fail(err, end->err.code, "input %zu: %s", i, end->err.msg);
    ag_job_unref(job);
    return code;
}

ag_code ag_engine_embed(ag_engine *e, const ag_embed_input *inputs, size_t n,
                        const ag_embed_opts *opts, float *out, uint32_t *n_tokens, ag_err *err) {
    embedding b = {.e = e,
                   .inputs = inputs,
                   .n = n,
                   .opts = opts ? *opts : ag_embed_default(),
                   .out = out,
                   .n_tokens = n_tokens};
    ag_code code = check(&b, err);
    size_t next = 0, done = 0;
    while (done < next || (!code && next < n)) {
        ag_code full = AG_OK;
        ag_err why = {0};
        while (!code && !full && next < n && next - done < WINDOW) {
            full = submit(&b, next, &why);
            next += full == AG_OK;
        }
        bool passes = full == AG_E_AGAIN || full == AG_E_SHARE; /* a full line may be waited for */
        if (full && (!passes || next == done)) {
            code = full;
            if (err)
                *err = why;
        }
        if (done < next) {
            code = collect(&b, done, code, err);
            done++;
        }
    }
    ag_ids_deinit(&b.suffix);
    return code;
}
