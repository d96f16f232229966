/* A request inside the engine.
 *
 *   submit            admit             last token / stop / cancel
 *   ──────▶ WAITING ─────────▶ RUNNING ───────────────────────────▶ DONE
 *              ▲                  │
 *              └── preempt (KV ran out; recomputed later, bit for bit)
 *
 * Before submit the caller's thread owns it; afterwards the engine thread owns everything but the
 * atomics. Two references keep it: the engine's, dropped when DONE, and the caller's handle. */
#ifndef AG_SCHED_JOB_H
#define AG_SCHED_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "autoglm/request.h"
#include "core/core.h"
#include "grammar/grammar.h"
#include "sample/sampler.h"
#include "sched/bell.h"
#include "sched/stream.h"
#include "sched/task.h"

typedef struct ag_job {
    ag_task task; /* first: a task of the policy is its job */
    _Atomic int refs;
    _Atomic bool cancelled, paused; /* any thread sets them, and rings */
    ag_bell *bell;                  /* a reference; wakes the engine thread */

    /* Set at submit. */
    int max_new; /* at least 1; 0 for a logits job or an embedding */
    int min_new;
    int32_t *stop_ids; /* owned [n_stop_ids] */
    size_t n_stop_ids;
    int top_logprobs;  /* -1: none */
    float *all_logits; /* a logits job: where they go, [n_prompt, n_vocab]; borrowed */
    float *pooled;     /* owned [E]: an embedding's job; see ag_forward_pool() */
    ag_pooling pooling;
    bool (*on_token)(void *ctx, const ag_token_event *event);
    void (*on_done)(void *ctx, const ag_result *result);
    void *ctx;

    /* The engine thread's. */
    ag_sampler *sampler;       /* owned; NULL for a logits job or an embedding */
    ag_dry_breakers *breakers; /* owned; NULL unless DRY is on */
    ag_match *match;           /* owned; NULL: free text */
    uint64_t *allowed;         /* owned: the mask of the next token, with `match` */
    ag_stream stream;
    uint64_t first_at, last_at; /* first and latest token, µs; 0: not yet */

    /* Waiting for the end. */
    pthread_mutex_t lock; /* guards done */
    pthread_cond_t ended;
    bool done;
} ag_job;

/* What every job of an engine shares; all borrowed for its life. */
typedef struct ag_job_env {
    ag_core *core;
    const ag_tokenizer *tokenizer;
    ag_gcache *grammars;
    ag_bell *bell;
    int speculate; /* of requests that do not say */
} ag_job_env;

/* Check `o` against the model and build the job from n prompt ids, which are copied.
 * AG_E_UNSUPPORTED (an encoder does not generate), AG_E_ARG, AG_E_CTX_FULL, AG_E_LIMIT,
 * AG_E_GRAMMAR, AG_E_NOMEM. Any thread. */
ag_code ag_job_new(const ag_request_opts *o, const ag_job_env *env, const int32_t *ids, size_t n,
                   ag_job **out, ag_err *err) AG_MUST_USE;
/* A job that computes the logits of all n positions into out_logits, which is borrowed until the
 * job is done. The same errors. */
ag_code ag_job_new_logits(const ag_job_env *env, const int32_t *ids, size_t n, float *out_logits,
                          ag_job **out, ag_err *err) AG_MUST_USE;
/* AG_E_UNSUPPORTED: the model is an encoder. Any thread. */
ag_code ag_job_check_generates(const ag_core *core, ag_err *err) AG_MUST_USE;
/* A job that pools the vectors of all n positions into its `pooled`, which may be read when it is
 * done. The same errors. */
ag_code ag_job_new_embed(const ag_job_env *env, const int32_t *ids, size_t n, ag_pooling pooling,
                         ag_job **out, ag_err *err) AG_MUST_USE;
/* Take a job's priority, tenant, deadlines and salt from `o`; before submit. AG_E_ARG. */
ag_code ag_job_set_terms(ag_task *t, const ag_request_opts *o, const ag_job_env *env,
                         ag_err *err) AG_MUST_USE;
void ag_job_unref(ag_job *job);

/* The form of the answer. Set *allowed to the mask of the next token, NULL: any may come; the stop
 * tokens are in it where the text may end. AG_E_GRAMMAR, AG_E_NOMEM. Engine thread. */
ag_code ag_job_allowed(ag_job *job, const uint64_t **allowed, ag_err *err) AG_MUST_USE;
/* The text goes on with this token, which was allowed. The same errors. */
ag_code ag_job_accept(ag_job *job, int32_t id, ag_err *err) AG_MUST_USE;
/* Can nothing follow? Then the answer ends, whether a stop token comes or not. */
static inline bool ag_job_is_complete(const ag_job *j) {
    return j->match && ag_match_is_complete(j->match);
}
bool ag_job_is_stop(const ag_job *job, int32_t id);

/* Set one of its flags and wake the engine thread. Any thread, at any time. */
static inline void ag_job_set(_Atomic bool *flag, bool value, const ag_job *job) {
    atomic_store(flag, value);
    ag_bell_ring(job->bell);
}
/* Block until the job is DONE. Not from the engine thread. */
void ag_job_wait(ag_job *job);
/* The job whose task this is. */
static inline ag_job *ag_job_of_task(ag_task *t) { return (ag_job *)(void *)t; }

#endif
