#include "sched/job.h"

#include "base/hash.h"
#include "base/mem.h"
#include "sched/breakers.h"

#define USUAL_DRAFT 8 /* tokens guessed ahead where it gains */

void ag_job_unref(ag_job *j) {
    if (!j || atomic_fetch_sub(&j->refs, 1) != 1)
        return;
    if (j->task.kv.kv) /* it was not submitted */
        ag_kv_seq_deinit(&j->task.kv);
    ag_bell_unref(j->bell);
    ag_free(j->task.ids);
    ag_free(j->stop_ids);
    ag_free(j->pooled);
    ag_sampler_free(&j->sampler);
    ag_dry_breakers_free(&j->breakers);
    ag_match_free(&j->match);
    ag_free(j->allowed);
    ag_stream_deinit(&j->stream);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->ended);
    ag_free(j);
}

void ag_job_wait(ag_job *j) {
    pthread_mutex_lock(&j->lock);
    while (!j->done)
        pthread_cond_wait(&j->ended, &j->lock);
    pthread_mutex_unlock(&j->lock);
}

static ag_code check_ids(const ag_core *core, const int32_t *ids, size_t n, ag_err *err) {
    if (n == 0)
        return ag_fail(err, AG_E_ARG, "the prompt is empty");
    for (size_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= core->model.config.n_vocab)
            return ag_fail(err, AG_E_ARG, "prompt token %zu is %d; the model knows 0 to %d", i,
                           ids[i], core->model.config.n_vocab - 1);
    return AG_OK;
}

ag_code ag_job_check_generates(const ag_core *core, ag_err *err) {
    const ag_arch *a = core->model.config.arch;
    if (a->encoder)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "%s is a model for embeddings: it cannot generate text or give logits",
                       a->name);
    return AG_OK;
}

static ag_code check_fits(const ag_core *core, size_t n, ag_err *err) {
    if (n > (size_t)core->max_context)
        return ag_fail(err, AG_E_CTX_FULL, "%zu tokens, but the context holds %d", n,
                       core->max_context);
    return AG_OK;
}

/* A job of n prompt tokens that grows to at most `room`. */
static ag_code new_job(const ag_job_env *env, const int32_t *ids, size_t n, size_t room,
                       ag_job **out, ag_err *err) {
    ag_job *j = ag_calloc(AG_ROOM_SCHED, 1, sizeof *j);
    if (!j)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a request");
    atomic_store(&j->refs, 1);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->ended, NULL);
    j->bell = ag_bell_ref(env->bell);
    j->top_logprobs = -1;
    ag_task *t = &j->task;
    *t = (ag_task){.n_ids = (int)n, .n_prompt = (int)n, .weight = 1};
    t->ids = ag_calloc(AG_ROOM_SCHED, room, sizeof *t->ids);
    if (!t->ids || ag_kv_seq_init(&t->kv, &env->core->kv, (int)room, err)) {
        ag_job_unref(j);
        return ag_fail(err, AG_E_NOMEM, "out of memory for a request of %zu tokens", room);
    }
    memcpy(t->ids, ids, n * sizeof *ids);
    *out = j;
    return AG_OK;
}

/* The model's own stop tokens (unless ignored) and the request's. */
static ag_code collect_stops(ag_job *j, const ag_request_opts *o, const ag_job_env *env,
                             ag_err *err) {
    size_t own = 0;
    const int32_t *stops = ag_tokenizer_stops(env->tokenizer, &own);
    if (o->ignore_eos)
        own = 0;
    if (o->n_stop_ids > 1024)
        return ag_fail(err, AG_E_ARG, "stop_ids: %zu ids; at most 1024 are supported",
                       o->n_stop_ids);
    j->stop_ids = ag_calloc(AG_ROOM_SCHED, own + o->n_stop_ids, sizeof *j->stop_ids);
    if (!j->stop_ids)
        return ag_fail(err, AG_E_NOMEM, "out of memory for a request");
    for (size_t i = 0; i < own; i++)
        j->stop_ids[i] = stops[i];
    for (size_t i = 0; i < o->n_stop_ids; i++)
        j->stop_ids[own + i] = o->stop_ids[i];
    j->n_stop_ids = own + o->n_stop_ids;
    return AG_OK;
}

static ag_code open_sampler(ag_job *j, const ag_request_opts *o, const ag_job_env *env,
                            ag_err *err) {
    if (o->top_logprobs < -1 || o->top_logprobs > AG_SAMPLE_MAX_TOP)
        return ag_fail(err, AG_E_ARG, "top_logprobs is %d, expected -1 (off) to %d",
                       o->top_logprobs, AG_SAMPLE_MAX_TOP);
    j->top_logprobs = o->top_logprobs;
    int n_vocab = env->core->model.config.n_vocab;
    ag_code code = ag_sampling_check(&o->sampling, n_vocab, err);
    if (!code && o->sampling.dry_multiplier > 0)
        code = ag_breakers_build(&o->sampling, env->tokenizer, n_vocab, &j->breakers, err);
    ag_sampler_opts so = {.sampling = &o->sampling,
                          .n_vocab = n_vocab,
                          .n_context = (size_t)env->core->max_context,
                          .breakers = j->breakers};
    if (!code)
        code = ag_sampler_new(&so, &j->sampler, err);
    if (!code)
        ag_sampler_prompt(j->sampler, j->task.ids, (size_t)j->task.n_prompt);
    return code;
}

/* ---- the form of the answer --------------------------------------------------------------------
 */

static ag_code open_match(ag_job *j, const ag_request_opts *o, const ag_job_env *env, ag_err *err) {
    ag_grammar *g = NULL;
    if (o->structure.kind == AG_STRUCTURE_NONE)
        return AG_OK;
    ag_code code = ag_gcache_get(env->grammars, &o->structure, &g, err);
    if (!code)
        code = ag_match_new(g, &j->match, err);
    ag_grammar_unref(g);
    if (code)
        return code;
    j->allowed = ag_calloc(AG_ROOM_SCHED, ag_match_words(j->match), sizeof *j->allowed);
    return j->allowed ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory for a request");
}

bool ag_job_is_stop(const ag_job *j, int32_t id) {
    for (size_t i = 0; i < j->n_stop_ids; i++)
        if (j->stop_ids[i] == id)
            return true;
    return false;
}

ag_code ag_job_allowed(ag_job *j, const uint64_t **allowed, ag_err *err) {
    *allowed = j->allowed;
    if (!j->match)
        return AG_OK;
    ag_code code = ag_match_mask(j->match, j->allowed, err);
    uint32_t n_bits = ag_match_words(j->match) * 64;
    for (size_t i = 0; i < j->n_stop_ids && !code; i++) {
        uint32_t id = (uint32_t)j->stop_ids[i];
        uint64_t bit = 1ull << (id & 63);
        if (id < n_bits && ag_match_is_accepting(j->match))
            j->allowed[id >> 6] |= bit;
    }
    return code;
}

ag_code ag_job_accept(ag_job *j, int32_t id, ag_err *err) {
    if (!j->match || (ag_match_is_accepting(j->match) && ag_job_is_stop(j, id)))
        return AG_OK;
    return ag_match_accept(j->match, id, err);
}

ag_code ag_job_set_terms(ag_task *t, const ag_request_opts *o, const ag_job_env *env, ag_err *err) {
    const ag_kv *kv = &env->core->kv;
    if (o->priority < AG_PRIORITY_LOW || o->priority > AG_PRIORITY_HIGH)
        return ag_fail(err, AG_E_ARG, "priority is %d, expected %d to %d", (int)o->priority,
                       AG_PRIORITY_LOW, AG_PRIORITY_HIGH);
    if (!(o->tenant_weight >= 0 && o->tenant_weight <= 1000))
        return ag_fail(err, AG_E_ARG, "tenant_weight is %g, expected 0 (as 1) to 1000",
                       (double)o->tenant_weight);
    ag_span tenant = ag_str(o->tenant);
    t->priority = (int)o->priority;
    t->tenant = tenant.n ? ag_hash64(tenant.p, tenant.n, kv->seed) : 0;
    t->weight = o->tenant_weight > 0 ? (double)o->tenant_weight : 1;
    t->kv.salt = ag_kv_salt(kv, o->cache_salt, o->cache_salt_len);
    t->expire_after = (uint64_t)o->timeout_ms * 1000;
    t->queue_at_most = (uint64_t)o->max_queue_ms * 1000;
    return AG_OK;
}

static ag_code open_draft(ag_job *j, const ag_request_opts *o, const ag_job_env *env, ag_err *err) {
    if (o->speculate < -1 || o->speculate > AG_MAX_DRAFT)
        return ag_fail(err, AG_E_ARG, "speculate is %d, expected -1 (off) to %d", o->speculate,
                       AG_MAX_DRAFT);
    int n = o->speculate ? o->speculate : env->speculate;
    ag_draft_init(&j->task.draft, n == 0 ? USUAL_DRAFT : n > 0 ? n : 0, n > 0);
    return AG_OK;
}

ag_code ag_job_new(const ag_request_opts *o, const ag_job_env *env, const int32_t *ids, size_t n,
                   ag_job **out, ag_err *err) {
    *out = NULL;
    size_t context = (size_t)env->core->max_context;
    ag_code code = ag_job_check_generates(env->core, err);
    if (!code)
        code = check_ids(env->core, ids, n, err);
    if (code)
        return code;
    if (n >= context) /* clients of OpenAI's API look for these words, to shorten it themselves */
        return ag_fail(
            err, AG_E_CTX_FULL,
            "this model's maximum context length is %zu tokens, but the prompt has %zu "
            "and the answer needs room as well; shorten it, or open the model with a longer "
            "context",
            context, n);
    size_t max_new = context - n;
    if (o->max_tokens > 0 && o->max_tokens < max_new)
        max_new = o->max_tokens;
    ag_job *j;
    code = new_job(env, ids, n, n + max_new, &j, err);
    if (code)
        return code;
    j->max_new = (int)max_new;
    j->min_new = o->min_tokens < max_new ? (int)o->min_tokens : (int)max_new;
    j->on_token = o->on_token;
    j->on_done = o->on_done;
    j->ctx = o->ctx;
    if ((code = ag_job_set_terms(&j->task, o, env, err)) || (code = open_draft(j, o, env, err)) ||
        (code = collect_stops(j, o, env, err)) || (code = open_sampler(j, o, env, err)) ||
        (code = open_match(j, o, env, err)) ||
        (code = ag_stream_init(&j->stream, env->tokenizer, false, o->stop, o->n_stop, err)) ||
        (code = ag_stream_show(&j->stream, o->show_ids, o->n_show_ids, err))) {
        ag_job_unref(j);
        return code;
    }
    *out = j;
    return AG_OK;
}

ag_code ag_job_new_logits(const ag_job_env *env, const int32_t *ids, size_t n, float *out_logits,
                          ag_job **out, ag_err *err) {
    *out = NULL;
    ag_code code;
    if ((code = ag_job_check_generates(env->core, err)) ||
        (code = check_ids(env->core, ids, n, err)) || (code = check_fits(env->core, n, err)) ||
        (code = new_job(env, ids, n, n, out, err)))
        return code;
    (*out)->all_logits = out_logits;
    (*out)->task.reads = true;
    return AG_OK;
}

ag_code ag_job_new_embed(const ag_job_env *env, const int32_t *ids, size_t n, ag_pooling pooling,
                         ag_job **out, ag_err *err) {
    *out = NULL;
    ag_job *j;
    ag_code code;
    if ((code = check_ids(env->core, ids, n, err)) || (code = check_fits(env->core, n, err)) ||
        (code = new_job(env, ids, n, n, &j, err)))
        return code;
    j->task.reads = true;
    j->pooling = pooling;
    j->pooled = ag_calloc(AG_ROOM_SCHED, (size_t)env->core->model.config.n_embd, sizeof(float));
    if (!j->pooled) {
        ag_job_unref(j);
        return ag_fail(err, AG_E_NOMEM, "out of memory for an embedding");
    }
    *out = j;
    return AG_OK;
}
