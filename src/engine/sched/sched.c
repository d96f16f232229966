#include "sched/sched.h"

#include "base/clock.h"
#include "sched/grammars.h"

/* Requests in line; beyond it submit says "try again". */
#define USUAL_WAITING 512

struct ag_sched {
    ag_core *core;
    ag_job_env env; /* its scratch and grammars are owned */
    const ag_logger *log;
    pthread_t thread;

    pthread_mutex_t lock; /* guards the four below */
    pthread_cond_t wake;
    ag_job *first_in, *last_in; /* submitted, not yet seen by the engine thread */
    int n_waiting;              /* submitted and not yet admitted */
    int max_waiting;            /* constant */
    bool closing;

    /* The engine thread's. */
    ag_job *waiting;  /* line of jobs, oldest first */
    ag_job **running; /* owned [max_runs], oldest first */
    int n_running;
    ag_step_item *items; /* owned [max_runs] */
    ag_job **stepped;    /* owned [max_runs]: the job of each item */

    /* Only the engine thread writes them, anyone reads. */
    _Atomic uint64_t n_steps, n_rows, n_generated, n_requests;
};

/* ---- the line ---------------------------------------------------------------------------------
 */

static void append(ag_job **first, ag_job *tail) {
    while (*first)
        first = &(*first)->next;
    *first = tail;
}

ag_code ag_sched_submit(ag_sched *s, ag_job *job, ag_err *err) {
    ag_code code = AG_OK;
    job->submit_at = ag_clock_us();
    pthread_mutex_lock(&s->lock);
    if (s->closing) {
        code = ag_fail(err, AG_E_CLOSED, "the engine is closing");
    } else if (s->n_waiting >= s->max_waiting) {
        code = ag_fail(err, AG_E_AGAIN, "%d requests are waiting already; try again later",
                       s->n_waiting);
    } else {
        atomic_fetch_add(&job->refs, 1);
        job->next = NULL;
        if (s->last_in)
            s->last_in->next = job;
        else
            s->first_in = job;
        s->last_in = job;
        s->n_waiting++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    return code;
}

static void count_out(ag_sched *s) {
    pthread_mutex_lock(&s->lock);
    s->n_waiting--;
    pthread_mutex_unlock(&s->lock);
}

/* ---- the end of a job ---------------------------------------------------------------------------
 */

static void finish(ag_sched *s, ag_job *j, ag_finish why, const ag_err *error) {
    ag_result r = {.finish = why,
                   .n_prompt = (uint32_t)j->n_prompt,
                   .n_cached = (uint32_t)j->n_cached,
                   .n_generated = (uint32_t)(j->n_ids - j->n_prompt)};
    uint64_t now = ag_clock_us();
    r.queue_us = (j->start_at ? j->start_at : now) - j->submit_at;
    if (j->first_at) {
        r.prefill_us = j->first_at - j->start_at;
        r.decode_us = j->last_at - j->first_at;
    } else if (j->start_at) {
        r.prefill_us = now - j->start_at;
    }
    if (error)
        r.err = *error;
    ag_span tail = {0};
    if (j->sampler && !ag_stream_end(&j->stream, &tail, NULL)) {
        r.tail = tail.p;
        r.tail_len = tail.n;
    }
    if (j->kv.kv)
        ag_kv_seq_deinit(&j->kv);
    atomic_fetch_add_explicit(&s->n_requests, 1, memory_order_relaxed);
    if (j->on_done)
        j->on_done(j->ctx, &r);
    pthread_mutex_lock(&j->lock);
    j->done = true;
    pthread_cond_broadcast(&j->ended);
    pthread_mutex_unlock(&j->lock);
    ag_job_unref(j);
}

static void remove_running(ag_sched *s, int i) {
    s->n_running--;
    for (; i < s->n_running; i++)
        s->running[i] = s->running[i + 1];
}

static int index_of(const ag_sched *s, const ag_job *j) {
    for (int i = 0; i < s->n_running; i++)
        if (s->running[i] == j)
            return i;
    AG_NEVER();
}

static void finish_running(ag_sched *s, ag_job *j, ag_finish why, const ag_err *error) {
    remove_running(s, index_of(s, j));
    finish(s, j, why, error);
}

/* Why a job must end now, if it must. */
static ag_finish must_end(const ag_job *j, uint64_t now, ag_err *err) {
    if (atomic_load(&j->cancelled))
        return AG_FINISH_CANCELLED;
    uint64_t age = now - j->submit_at;
    bool expired = j->expire_after && age >= j->expire_after;
    bool queued = j->queue_at_most && !j->start_at && age >= j->queue_at_most;
    if (!expired && !queued)
        return AG_FINISH_NONE;
    ag_fail(err, AG_E_TIMEOUT, "%s is over: %.1f s after it was submitted, %s",
            expired ? "the request's time" : "the request's time in the queue", (double)age / 1e6,
            j->start_at ? "its answer is not complete" : "it is still waiting");
    return AG_FINISH_ERROR;
}

static void reap(ag_sched *s) {
    uint64_t now = ag_clock_us();
    ag_err err = {0};
    for (int i = s->n_running - 1; i >= 0; i--) {
        ag_finish how = must_end(s->running[i], now, &err);
        if (how != AG_FINISH_NONE)
            finish_running(s, s->running[i], how, how == AG_FINISH_ERROR ? &err : NULL);
    }
    for (ag_job **at = &s->waiting; *at;) {
        ag_job *j = *at;
        ag_finish how = must_end(j, now, &err);
        if (how == AG_FINISH_NONE) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        count_out(s);
        finish(s, j, how, how == AG_FINISH_ERROR ? &err : NULL);
    }
}

/* ---- forming a step
 * ------------------------------------------------------------------------------ */

/* Logits and embeddings need every position, and nothing after the prompt. */
static bool ends_without_token(const ag_job *j) { return j->all_logits || j->pooled; }

/* Give a job the blocks of its whole prompt, shared ones first, so that a prompt in prefill never
 * has to push others out. False: there is no room now. */
static bool take_blocks(ag_sched *s, ag_job *j) {
    const ag_kv *kv = &s->core->kv;
    int found = ends_without_token(j) ? 0 : ag_kv_seq_adopt(&j->kv, j->ids, j->n_ids);
    int need = ag_kv_blocks_for(j->n_ids) - j->kv.n_blocks;
    /* One more block for every sequence that runs, or those would soon push this one out again. */
    bool fits = s->n_running == 0 || need + s->n_running < ag_kv_available(kv);
    if (!fits || ag_kv_seq_reserve(&j->kv, j->n_ids) != AG_OK) {
        ag_kv_seq_clear(&j->kv);
        return false;
    }
    if (!j->start_at)
        j->n_cached = found;
    return true;
}

/* Let the oldest waiting jobs run while there is room. */
static void admit(ag_sched *s) {
    while (s->waiting && s->n_running < s->core->max_runs) {
        ag_job *j = s->waiting;
        ag_err err = {0};
        bool failed =
            !j->kv.kv && ag_kv_seq_init(&j->kv, &s->core->kv, s->core->max_context, &err) != AG_OK;
        j->kv.salt = j->salt;
        if (!failed && !take_blocks(s, j))
            return;
        s->waiting = j->next;
        j->next = NULL;
        count_out(s);
        if (failed) {
            finish(s, j, AG_FINISH_ERROR, &err);
            continue;
        }
        if (!j->start_at)
            j->start_at = ag_clock_us();
        s->running[s->n_running++] = j;
    }
}

/* Send the youngest running job back to the head of the line, its blocks free. */
static void preempt_youngest(ag_sched *s) {
    ag_job *j = s->running[--s->n_running];
    ag_kv_seq_clear(&j->kv);
    j->next = s->waiting;
    s->waiting = j;
    pthread_mutex_lock(&s->lock);
    s->n_waiting++;
    pthread_mutex_unlock(&s->lock);
    ag_log(s->log, AG_LOG_DEBUG, "sched", "KV is full: a sequence of %d tokens waits", j->n_ids);
}

/* Add n tokens of job i to the step. False: the job itself had to give its blocks back. */
static bool add_item(ag_sched *s, int i, int n, int *n_items) {
    ag_job *j = s->running[i];
    while (ag_kv_seq_reserve(&j->kv, j->kv.n_tokens + n) == AG_E_NO_BLOCKS) {
        preempt_youngest(s);
        if (s->n_running <= i)
            return false;
    }
    bool complete = n == ag_job_pending(j);
    s->stepped[*n_items] = j;
    s->items[(*n_items)++] = (ag_step_item){
        .kv = &j->kv,
        .ids = j->ids + j->kv.n_tokens,
        .n = n,
        .want_last = complete && !ends_without_token(j),
        .all_logits = j->all_logits ? j->all_logits + (size_t)j->kv.n_tokens *
                                                          (size_t)s->core->model.config.n_vocab
                                    : NULL,
        .pooled = j->pooled,
        .pooling = j->pooling,
    };
    return true;
}

/* Whole inputs, oldest first; one that does not fit any more waits, while shorter ones may go. */
static int form_encoder_step(ag_sched *s) {
    int n_items = 0, rows = s->core->batch_tokens;
    for (int i = 0; i < s->n_running; i++) {
        int n = ag_job_pending(s->running[i]);
        if (n <= rows && add_item(s, i, n, &n_items))
            rows -= n;
    }
    return n_items;
}

/* Decoding sequences first, then prompts. Only the first need new blocks; whoever is pushed out for
 * them is younger than all that are in the step already, so the items stay valid. */
static int form_step(ag_sched *s) {
    if (s->core->model.config.arch->encoder)
        return form_encoder_step(s);
    int n_items = 0, rows = s->core->batch_tokens;
    for (int i = 0; i < s->n_running && rows > 0; i++)
        if (ag_job_pending(s->running[i]) == 1)
            rows -= add_item(s, i, 1, &n_items);
    for (int i = 0; i < s->n_running && rows > 0; i++) {
        int n = ag_job_pending(s->running[i]);
        if (n == 1)
            continue;
        if (n > rows)
            n = rows;
        if (add_item(s, i, n, &n_items))
            rows -= n;
    }
    return n_items;
}

/* ---- after a step
 * ---------------------------------------------------------------------------------- */

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
                        .index = (uint64_t)(j->n_ids - j->n_prompt - 1)};
    if (j->on_token && !j->on_token(j->ctx, &e))
        return AG_FINISH_CANCELLED;
    if (stop_id || stopped || ag_job_is_complete(j))
        return AG_FINISH_STOP;
    return j->n_ids - j->n_prompt >= j->max_new ? AG_FINISH_LENGTH : AG_FINISH_NONE;
}

static void take_token(ag_sched *s, ag_job *j, const float *logits) {
    ag_sample pick;
    ag_err err = {0};
    bool early = j->n_ids - j->n_prompt < j->min_new;
    ag_pick how_to = {.logits = logits,
                      .top_logprobs = j->top_logprobs,
                      .forbidden = early ? j->stop_ids : NULL,
                      .n_forbidden = early ? j->n_stop_ids : 0};
    if (ag_job_is_complete(j)) { /* the only text of its form is the empty one */
        finish_running(s, j, AG_FINISH_STOP, NULL);
        return;
    }
    if (ag_job_allowed(j, &how_to.allowed, &err) ||
        ag_sampler_pick(j->sampler, &how_to, &pick, &err) || ag_job_accept(j, pick.id, &err)) {
        finish_running(s, j, AG_FINISH_ERROR, &err);
        return;
    }
    ag_sampler_accept(j->sampler, pick.id);
    j->last_at = ag_clock_us();
    if (!j->first_at)
        j->first_at = j->last_at;
    j->ids[j->n_ids++] = pick.id;
    atomic_fetch_add_explicit(&s->n_generated, 1, memory_order_relaxed);
    ag_finish how = deliver(j, &pick, &err);
    if (how != AG_FINISH_NONE)
        finish_running(s, j, how, how == AG_FINISH_ERROR ? &err : NULL);
}

static void count_step(ag_sched *s, int n_items) {
    uint64_t rows = 0;
    for (int i = 0; i < n_items; i++)
        rows += (uint64_t)s->items[i].n;
    atomic_fetch_add_explicit(&s->n_steps, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&s->n_rows, rows, memory_order_relaxed);
}

void ag_sched_get_counts(const ag_sched *s, ag_sched_counts *out) {
    *out = (ag_sched_counts){
        .steps = atomic_load_explicit(&s->n_steps, memory_order_relaxed),
        .rows = atomic_load_explicit(&s->n_rows, memory_order_relaxed),
        .generated = atomic_load_explicit(&s->n_generated, memory_order_relaxed),
        .requests = atomic_load_explicit(&s->n_requests, memory_order_relaxed),
    };
}

static void step(ag_sched *s) {
    int n = form_step(s);
    AG_ASSERT(n > 0);
    count_step(s, n);
    ag_core_step(s->core, s->items, n);
    for (int i = 0; i < n; i++) {
        ag_job *j = s->stepped[i];
        if (!s->core->model.config.arch->encoder) /* whose keys depend on later tokens too */
            ag_kv_seq_commit(&j->kv, j->ids);
        if (s->items[i].logits)
            take_token(s, j, s->items[i].logits);
        else if (ends_without_token(j) && ag_job_pending(j) == 0)
            finish_running(s, j, AG_FINISH_LENGTH, NULL);
    }
}

/* ---- the thread
 * -------------------------------------------------------------------------------------- */

/* Wait for work; false when closing. New jobs move to the waiting line. */
static bool gather(ag_sched *s) {
    pthread_mutex_lock(&s->lock);
    while (!s->closing && !s->first_in && !s->waiting && s->n_running == 0)
        pthread_cond_wait(&s->wake, &s->lock);
    if (s->first_in)
        append(&s->waiting, s->first_in);
    s->first_in = s->last_in = NULL;
    bool open = !s->closing;
    pthread_mutex_unlock(&s->lock);
    return open;
}

/* Test builds hold KV to its laws after every step. Jobs that wait own no blocks. */
static void check_kv(const ag_sched *s) {
#ifndef NDEBUG
    const ag_kv_seq *seqs[1024];
    if (s->n_running > (int)(sizeof seqs / sizeof *seqs))
        return;
    for (int i = 0; i < s->n_running; i++)
        seqs[i] = &s->running[i]->kv;
    ag_kv_check(&s->core->kv, seqs, s->n_running);
#else
    (void)s;
#endif
}

static void *engine_main(void *arg) {
    ag_sched *s = arg;
    pthread_setname_np(pthread_self(), "ag-engine");
    while (gather(s)) {
        reap(s);
        admit(s);
        if (s->n_running > 0)
            step(s);
        check_kv(s);
    }
    while (s->n_running > 0)
        finish_running(s, s->running[0], AG_FINISH_CANCELLED, NULL);
    while (s->waiting) {
        ag_job *j = s->waiting;
        s->waiting = j->next;
        finish(s, j, AG_FINISH_CANCELLED, NULL);
    }
    return NULL;
}

const ag_job_env *ag_sched_env(const ag_sched *s) { return &s->env; }

static void free_sched(ag_sched *s) {
    ag_sample_scratch_free(&s->env.scratch);
    ag_gcache_free(&s->env.grammars);
    ag_free(s->running);
    ag_free(s->items);
    ag_free(s->stepped);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->wake);
    ag_free(s);
}

ag_code ag_sched_open(ag_core *core, const ag_tokenizer *t, const ag_sched_opts *opts,
                      const ag_logger *log, ag_sched **out, ag_err *err) {
    *out = NULL;
    ag_sched *s = ag_calloc(AG_ROOM_SCHED, 1, sizeof *s);
    if (!s)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the scheduler");
    s->core = core;
    s->log = log;
    s->max_waiting = opts->max_requests ? (int)opts->max_requests : USUAL_WAITING;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->wake, NULL);
    size_t n = (size_t)core->max_runs;
    s->running = ag_calloc(AG_ROOM_SCHED, n, sizeof(ag_job *));
    s->items = ag_calloc(AG_ROOM_SCHED, n, sizeof *s->items);
    s->stepped = ag_calloc(AG_ROOM_SCHED, n, sizeof(ag_job *));
    ag_code code = AG_OK;
    if (!s->running || !s->items || !s->stepped)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for the scheduler");
    s->env = (ag_job_env){.core = core, .tokenizer = t};
    if (!code)
        code = ag_sample_scratch_new(core->model.config.n_vocab, &s->env.scratch, err);
    if (!code)
        code = ag_grammars_open(t, core->model.config.n_vocab, &s->env.grammars, err);
    if (!code && pthread_create(&s->thread, NULL, engine_main, s) != 0)
        code = ag_fail(err, AG_E_NOMEM, "cannot start the engine thread");
    if (code) {
        free_sched(s);
        return code;
    }
    ag_numa_pin(&core->numa, s->thread, 0, ag_pool_threads(core->pool));
    *out = s;
    return AG_OK;
}

void ag_sched_close(ag_sched **sp) {
    ag_sched *s = *sp;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    free_sched(s);
    *sp = NULL;
}
