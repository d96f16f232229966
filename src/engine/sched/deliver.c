#include "sched/deliver.h"

static int n_generated(const ag_job *j) { return j->task.n_ids - j->task.n_prompt; }

/* Hand a token to the caller; says how the job goes on. */
static ag_finish deliver(ag_job *j, const ag_sample *pick, ag_err *err) {
    bool stop_id = ag_job_is_stop(j, pick->id), stopped = false;
    ag_span text = {0};
    if (!stop_id && ag_stream_push(&j->stream, pick->id, &text, &stopped, err))
        return AG_FINISH_ERROR;
    ag_token_event e = {.id = pick->id,
                        .logprob = pick->logprob,
                        .top = pick->top,
                        .n_top = pick->n_top,
                        .text = text.p ? text.p : "",
                        .text_len = text.n,
                        .index = (uint64_t)(n_generated(j) - 1)};
    if (j->on_token && !j->on_token(j->ctx, &e))
        return AG_FINISH_CANCELLED;
    if (stop_id || stopped || ag_job_is_complete(j))
        return AG_FINISH_STOP;
    return n_generated(j) >= j->max_new ? AG_FINISH_LENGTH : AG_FINISH_NONE;
}

void ag_choice_prepare(ag_choice *c, ag_job *j, const float *logits) {
    bool early = n_generated(j) < j->min_new;
    *c = (ag_choice){.job = j,
                     .ended = ag_job_is_complete(j), /* its form's only text is the empty one */
                     .how = {.logits = logits,
                             .top_logprobs = j->top_logprobs,
                             .forbidden = early ? j->stop_ids : NULL,
                             .n_forbidden = early ? j->n_stop_ids : 0}};
    if (!c->ended)
        c->code = ag_job_allowed(j, &c->how.allowed, &c->err);
}

void ag_choice_make(ag_choice *c, ag_sample_scratch *scratch) {
    c->how.scratch = scratch;
    if (!c->ended && !c->code)
        c->code = ag_sampler_pick(c->job->sampler, &c->how, &c->sample, &c->err);
}

ag_finish ag_choice_take(ag_choice *c, uint64_t now) {
    ag_job *j = c->job;
    if (c->ended)
        return AG_FINISH_STOP;
    if (c->code || ag_job_accept(j, c->sample.id, &c->err))
        return AG_FINISH_ERROR;
    ag_sampler_accept(j->sampler, c->sample.id);
    j->last_at = now;
    if (!j->first_at)
        j->first_at = now;
    j->task.ids[j->task.n_ids++] = c->sample.id;
    return deliver(j, &c->sample, &c->err);
}

void ag_job_end(ag_job *j, ag_finish why, const ag_err *error, uint64_t now) {
    const ag_task *t = &j->task;
    ag_result r = {.finish = why,
                   .n_prompt = (uint32_t)t->n_prompt,
                   .n_cached = (uint32_t)t->n_cached,
                   .n_generated = (uint32_t)n_generated(j)};
    r.queue_us = (t->start_at ? t->start_at : now) - t->submit_at;
    if (j->first_at) {
        r.prefill_us = j->first_at - t->start_at;
        r.decode_us = j->last_at - j->first_at;
    } else if (t->start_at) {
        r.prefill_us = now - t->start_at;
    }
    if (error)
        r.err = *error;
    ag_span tail = {0};
    if (j->sampler && !ag_stream_end(&j->stream, &tail, NULL)) {
        r.tail = tail.p;
        r.tail_len = tail.n;
    }
    ag_kv_seq_deinit(&j->task.kv);
    ag_match_free(&j->match); /* it may be large, and a handle may live long */
    if (j->on_done)
        j->on_done(j->ctx, &r);
    pthread_mutex_lock(&j->lock);
    j->done = true;
    pthread_cond_broadcast(&j->ended);
    pthread_mutex_unlock(&j->lock);
    ag_job_unref(j);
}
