#include "sched/sched.h"

#include <limits.h>

#include "base/clock.h"
#include "base/mem.h"
#include "sched/deliver.h"
#include "sched/gate.h"
#include "sched/grammars.h"
#include "sched/policy.h"

#define USUAL_REQUESTS 512
#define USUAL_FILLS    8 /* of the KV, that prompts in line may need together */
#define MOST_SHARES    65536
#define MOST_CHOOSERS  8     /* threads that choose tokens, each with a scratch */
#define CHOICES_APART  32768 /* logits of a step that are worth waking them */

struct ag_sched {
    ag_core *core;
    ag_job_env env; /* its grammars are owned */
    const ag_logger *log;
    ag_executor *executor;
    ag_member member;

    pthread_mutex_t lock;     /* guards the next four */
    ag_task *first_in;        /* submitted, not yet seen by the engine thread; latest first */
    uint64_t n_in, tokens_in; /* of those */
    ag_gate gate;
    ag_engine_stats shown;
    bool closing;

    /* The engine thread's. */
    ag_policy policy;
    ag_step_item *items; /* owned [max_runs] */
    ag_choice *choices;  /* owned [max_runs]: one for each item that gives logits, its first */
    ag_sample_scratch *scratch[MOST_CHOOSERS]; /* owned; as many as the pool has threads */
    int n_scratch;
    ag_engine_stats stats;
    uint64_t turn_began_at; /* 0: none runs; shown through stats.step_age_us */
};

/* ---- what others see ------------------------------------------------------------------------- */

/* Which tenant has how much in line; with the lock. */
static void count_shares(ag_sched *s) {
    if (!s->gate.has_tenants)
        return;
    ag_gate_recount(&s->gate);
    for (const ag_task *t = s->policy.line.first; t; t = t->next)
        ag_gate_count(&s->gate, t->tenant, (uint64_t)t->n_prompt);
    for (const ag_task *t = s->first_in; t; t = t->next)
        ag_gate_count(&s->gate, t->tenant, (uint64_t)t->n_prompt);
}

/* Copy what the engine thread counts to where others read it. */
static void publish(ag_sched *s) {
    const ag_policy *p = &s->policy;
    ag_engine_stats *st = &s->stats;
    st->n_rows = p->counts.prefill_rows + p->counts.decode_rows;
    st->n_prefill_rows = p->counts.prefill_rows;
    st->n_decode_rows = p->counts.decode_rows;
    st->n_drafted = p->counts.drafted;
    st->n_preempted = p->counts.preempted;
    st->n_prefix_queried = p->counts.prefix_queried;
    st->n_prefix_found = p->counts.prefix_found;
    st->running = (uint32_t)p->n_running;
    st->waiting = (uint32_t)p->line.n;
    st->waiting_tokens = p->line.tokens;
    st->kv_blocks_cached = (uint64_t)s->core->kv.n_cached;
    st->kv_blocks_used = (uint64_t)(s->core->kv.n_blocks - ag_kv_available(&s->core->kv));
    pthread_mutex_lock(&s->lock);
    s->gate.requests = st->waiting + s->n_in;
    s->gate.places = (uint64_t)(p->opts.max_running - p->n_running);
    s->gate.tokens = st->waiting_tokens + s->tokens_in;
    count_shares(s);
    s->shown = *st;
    s->shown.step_age_us = s->turn_began_at;
    pthread_mutex_unlock(&s->lock);
}

void ag_sched_get_stats(ag_sched *s, ag_engine_stats *out) {
    pthread_mutex_lock(&s->lock);
    *out = s->shown;
    const ag_gate *g = &s->gate;
    out->n_submitted = g->entered;
    out->n_rejected_requests = g->refused_requests;
    out->n_rejected_tokens = g->refused_tokens;
    out->n_rejected_late = g->refused_late;
    out->n_rejected_share = g->refused_share;
    out->waiting = (uint32_t)g->requests;
    out->waiting_tokens = g->tokens;
    out->tokens_per_s = ag_drain_per_s(&g->drain, g->drain.tokens);
    out->requests_per_s = ag_drain_per_s(&g->drain, g->drain.requests);
    bool busy = g->requests > 0 || out->running >= (uint32_t)s->core->max_runs;
    out->queue_wait_s = busy ? ag_gate_wait_s(g) : 0;
    out->retry_after_s = ag_gate_retry_s(g);
    pthread_mutex_unlock(&s->lock);
    out->kv_blocks = (uint64_t)s->core->kv.n_blocks;
    out->kv_block_tokens = AG_KV_BLOCK;
    if (out->step_age_us)
        out->step_age_us = ag_clock_us() - out->step_age_us;
}

/* ---- the line -------------------------------------------------------------------------------- */

typedef ag_code (*gate_fn)(ag_gate *g, uint64_t tenant, int tokens, uint64_t patience_us,
                           ag_err *err);

/* At the gate; with the lock. */
static ag_code knock(ag_sched *s, gate_fn fn, const ag_task *t, ag_err *err) {
    uint64_t patience = t->queue_at_most ? t->queue_at_most : t->expire_after;
    return s->closing ? ag_fail(err, AG_E_CLOSED, "the engine is closing")
                      : fn(&s->gate, t->tenant, t->n_prompt, patience, err);
}

ag_code ag_sched_admit(ag_sched *s, const ag_request_opts *o, size_t n_tokens, ag_err *err) {
    ag_task t = {.n_prompt = n_tokens < INT_MAX ? (int)n_tokens : INT_MAX};
    ag_code code = ag_job_set_terms(&t, o, &s->env, err);
    if (code)
        return code;
    pthread_mutex_lock(&s->lock);
    code = knock(s, ag_gate_ask, &t, err);
    pthread_mutex_unlock(&s->lock);
    return code;
}

ag_code ag_sched_submit(ag_sched *s, ag_job *job, ag_err *err) {
    ag_task *t = &job->task;
    t->submit_at = ag_clock_us();
    pthread_mutex_lock(&s->lock);
    ag_code code = knock(s, ag_gate_enter, t, err);
    if (!code) {
        atomic_fetch_add(&job->refs, 1);
        t->next = s->first_in;
        s->first_in = t;
        s->n_in++;
        s->tokens_in += (uint64_t)t->n_prompt;
    }
    pthread_mutex_unlock(&s->lock);
    if (!code)
        ag_bell_ring(s->env.bell);
    return code;
}

/* New tasks join the line in the order in which they came; who watches sees that a turn has begun,
 * planning included, wherever it may hang. False: the engine closes. */
static bool gather(ag_sched *s, uint64_t now) {
    pthread_mutex_lock(&s->lock);
    s->shown.step_age_us = s->turn_began_at = now;
    ag_task *in = s->first_in, *line = NULL;
    s->first_in = NULL;
    s->n_in = s->tokens_in = 0;
    bool open = !s->closing;
    pthread_mutex_unlock(&s->lock);
    while (in) {
        ag_task *next = in->next;
        in->next = line;
        line = in;
        in = next;
    }
    while (line) {
        ag_task *next = line->next;
        ag_policy_submit(&s->policy, line);
        line = next;
    }
    return open;
}

/* ---- the end of a job ------------------------------------------------------------------------ */

static void end(ag_sched *s, ag_job *j, ag_finish why, const ag_err *error) {
    ag_engine_stats *st = &s->stats;
    st->n_requests++;
    st->n_succeeded += why == AG_FINISH_STOP || why == AG_FINISH_LENGTH;
    st->n_cancelled += why == AG_FINISH_CANCELLED;
    if (why == AG_FINISH_ERROR)
        *(error->code == AG_E_TIMEOUT ? &st->n_expired : &st->n_failed) += 1;
    ag_policy_end(&s->policy, &j->task);
    publish(s);
    ag_job_end(j, why, error, ag_clock_us());
}

/* Why a job must end now, if it must. */
static ag_finish must_end(const ag_job *j, uint64_t now, ag_err *err) {
    const ag_task *t = &j->task;
    if (atomic_load(&j->cancelled))
        return AG_FINISH_CANCELLED;
    if (now < ag_task_due(t))
        return AG_FINISH_NONE;
    uint64_t age = now - t->submit_at;
    bool whole = t->expire_after && age >= t->expire_after;
    ag_fail(err, AG_E_TIMEOUT, "%s is over: %.1f s after it was submitted, %s",
            whole ? "the request's time" : "the request's time in the queue", (double)age / 1e6,
            t->start_at ? "its answer is not complete" : "it is still waiting");
    return AG_FINISH_ERROR;
}

/* Read a job's flags: it ends, or rests. */
static void look_at(ag_sched *s, ag_task *t, uint64_t now) {
    ag_job *j = ag_job_of_task(t);
    ag_err err = {0};
    ag_finish how = must_end(j, now, &err);
    if (how != AG_FINISH_NONE) {
        end(s, j, how, how == AG_FINISH_ERROR ? &err : NULL);
        return;
    }
    t->resting = atomic_load(&j->paused);
    s->stats.paused += t->resting;
}

static void look_at_all(ag_sched *s, uint64_t now) {
    s->stats.paused = 0;
    for (int i = s->policy.n_running - 1; i >= 0; i--)
        look_at(s, s->policy.running[i], now);
    for (ag_task *t = s->policy.line.first, *next; t; t = next) {
        next = t->next;
        look_at(s, t, now);
    }
}

static void end_all(ag_sched *s) {
    while (s->policy.n_running > 0)
        end(s, ag_job_of_task(s->policy.running[0]), AG_FINISH_CANCELLED, NULL);
    while (s->policy.line.first)
        end(s, ag_job_of_task(s->policy.line.first), AG_FINISH_CANCELLED, NULL);
}

/* When the earliest deadline is. */
static uint64_t next_due(const ag_sched *s) {
    uint64_t first = UINT64_MAX;
    for (int i = 0; i < s->policy.n_running; i++) {
        uint64_t due = ag_task_due(s->policy.running[i]);
        first = due < first ? due : first;
    }
    for (const ag_task *t = s->policy.line.first; t; t = t->next)
        first = ag_task_due(t) < first ? ag_task_due(t) : first;
    return first;
}

/* ---- a step ---------------------------------------------------------------------------------- */

static ag_step_item item_of(const ag_sched *s, const ag_slice *slice) {
    ag_task *t = slice->task;
    const ag_job *j = ag_job_of_task(t);
    size_t row = (size_t)s->core->model.config.n_vocab;
    bool complete = slice->n == ag_task_pending(t) && !t->reads;
    return (ag_step_item){
        .kv = &t->kv,
        .ids = t->ids + t->kv.n_tokens,
        .n = slice->n + slice->n_draft,
        .n_logits = complete ? 1 + slice->n_draft : 0,
        .all_logits = j->all_logits ? j->all_logits + (size_t)t->kv.n_tokens * row : NULL,
        .pooled = j->pooled,
        .pooling = j->pooling,
    };
}

/* Guess what may follow in sequences that decode. */
static void draft(ag_sched *s) {
    for (int i = 0; i < s->policy.n_running; i++) {
        ag_task *t = s->policy.running[i];
        int room = ag_job_of_task(t)->max_new - (t->n_ids - t->n_prompt) - 1;
        int n = t->draft.most < room ? t->draft.most : room;
        bool decodes = n > 0 && ag_task_pending(t) == 1;
        t->n_draft = decodes ? ag_draft_find(t->ids, t->n_ids, n, t->ids + t->n_ids) : 0;
    }
}

typedef struct choosing {
    ag_sched *s;
    int n, n_choosers;
} choosing;

static void make_choices(void *ctx, int chooser, int worker) {
    (void)worker;
    const choosing *c = ctx;
    for (int i = chooser; i < c->n; i += c->n_choosers)
        ag_choice_make(&c->s->choices[i], c->s->scratch[chooser]);
}

/* The first token of each of n items that gives logits, by several threads where it pays. */
static void choose(ag_sched *s, int n) {
    choosing c = {.s = s};
    for (int i = 0; i < n; i++)
        if (s->items[i].logits)
            ag_choice_prepare(&s->choices[c.n++], ag_job_of_task(s->policy.slices[i].task),
                              s->items[i].logits);
    const bool few = (int64_t)c.n * s->core->model.config.n_vocab < CHOICES_APART;
    c.n_choosers = few ? 1 : c.n < s->n_scratch ? c.n : s->n_scratch;
    ag_pool_run(s->core->pool, c.n_choosers, make_choices, &c);
}

/* Take tokens from the logits of the last token and of each drafted one, as long as the draft comes
 * true: a row's logits count only if the tokens before it are those that were picked. */
static ag_finish take_tokens(ag_sched *s, ag_choice *c, int n_draft) {
    ag_job *j = c->job;
    ag_task *t = &j->task;
    uint64_t now = ag_clock_us();
    int n_true = 0;
    for (;;) {
        int32_t drafted = n_true < n_draft ? t->ids[t->n_ids] : -1;
        int before = t->n_ids;
        ag_finish how = ag_choice_take(c, now);
        bool came_true = t->n_ids > before && t->ids[before] == drafted;
        s->stats.n_generated += (uint64_t)(t->n_ids - before);
        n_true += came_true;
        if (how == AG_FINISH_NONE && came_true) {
            ag_choice_prepare(c, j, c->how.logits + s->core->model.config.n_vocab);
            ag_choice_make(c, s->scratch[0]);
            continue;
        }
        ag_draft_note(&t->draft, n_draft, n_true);
        s->stats.n_drafts_true += (uint64_t)n_true;
        ag_kv_seq_cut(&t->kv, t->n_ids - 1);
        return how;
    }
}

/* What the step gave to one job; c is NULL where it gave no logits. */
static void hand_out(ag_sched *s, ag_job *j, ag_choice *c, int n_draft) {
    ag_task *t = &j->task;
    ag_finish how = AG_FINISH_NONE;
    if (c)
        how = take_tokens(s, c, n_draft);
    else if (t->reads && ag_task_pending(t) == 0)
        how = AG_FINISH_LENGTH;
    if (!s->policy.opts.whole) /* an encoder's keys depend on later tokens too */
        ag_kv_seq_commit(&t->kv, t->ids);
    if (how != AG_FINISH_NONE)
        end(s, j, how, how == AG_FINISH_ERROR ? &c->err : NULL);
}

static void count_step(ag_engine_stats *st, int rows) {
    int size = 0;
    while (size < AG_STEP_SIZES - 1 && rows > 1 << size)
        size++;
    st->n_steps++;
    st->n_steps_of[size]++;
}

static void note_step(ag_sched *s, int rows, uint64_t n_ended, uint64_t us) {
    s->stats.n_step_us += us;
    pthread_mutex_lock(&s->lock);
    ag_drain_note(&s->gate.drain, rows, (double)n_ended, (double)us);
    pthread_mutex_unlock(&s->lock);
}

/* False: there was nothing to do. */
static bool step(ag_sched *s, uint64_t now) {
    ag_policy *p = &s->policy;
    uint64_t ended = s->stats.n_requests, preempted = p->counts.preempted;
    draft(s);
    int n = ag_policy_plan(p, now), rows = 0;
    if (n == 0)
        return false;
    if (p->counts.preempted > preempted)
        ag_log(s->log, AG_LOG_DEBUG, "sched", "KV is short: %llu sequences wait",
               (unsigned long long)(p->counts.preempted - preempted));
    for (int i = 0; i < n; i++) {
        s->items[i] = item_of(s, &p->slices[i]);
        rows += s->items[i].n;
    }
    count_step(&s->stats, rows);
    publish(s);
    ag_core_step(s->core, s->items, n);
    choose(s, n);
    ag_choice *chosen = s->choices;
    for (int i = 0; i < n; i++)
        hand_out(s, ag_job_of_task(p->slices[i].task), s->items[i].logits ? chosen++ : NULL,
                 p->slices[i].n_draft);
    uint64_t us = ag_clock_us() - now;
    ag_policy_done(p, (double)us);
    note_step(s, rows, s->stats.n_requests - ended, us);
    return true;
}

static void end_turn(ag_sched *s) {
    s->turn_began_at = 0;
    publish(s);
}

static ag_turn turn(void *ctx, bool alone, uint64_t *wake_at) {
    ag_sched *s = ctx;
    s->policy.alone = alone;
    uint64_t now = ag_clock_us();
    if (!gather(s, now)) {
        end_all(s);
        end_turn(s);
        return AG_TURN_LEFT;
    }
    look_at_all(s, now);
    bool worked = step(s, now);
    end_turn(s);
#ifndef NDEBUG
    if (worked) /* without work, `eval` and `imatrix` may be using the KV from their own thread */
        ag_policy_check(&s->policy);
#endif
    *wake_at = worked ? now : next_due(s);
    return worked ? AG_TURN_DONE : AG_TURN_IDLE;
}

/* ---- opening and closing --------------------------------------------------------------------- */

const ag_job_env *ag_sched_env(const ag_sched *s) { return &s->env; }

static void free_sched(ag_sched *s) {
    for (int i = 0; i < s->n_scratch; i++)
        ag_sample_scratch_free(&s->scratch[i]);
    ag_gcache_free(&s->env.grammars);
    if (s->policy.running)
        ag_policy_deinit(&s->policy);
    ag_free(s->items);
    ag_free(s->choices);
    ag_gate_deinit(&s->gate);
    pthread_mutex_destroy(&s->lock);
    ag_free(s);
}

static ag_code open_parts(ag_sched *s, const ag_sched_opts *opts, ag_err *err) {
    ag_core *core = s->core;
    s->gate.max_requests = opts->max_requests ? opts->max_requests : USUAL_REQUESTS;
    s->gate.max_tokens = opts->max_tokens ? opts->max_tokens
                                          : (uint64_t)core->kv.n_blocks * AG_KV_BLOCK * USUAL_FILLS;
    ag_policy_opts po = {.kv = &core->kv,
                         .max_running = core->max_runs,
                         .max_tasks = (int)s->gate.max_requests + core->max_runs,
                         .batch_tokens = core->batch_tokens,
                         .whole = core->model.config.arch->encoder,
                         .itl_target_us = (uint64_t)opts->itl_target_ms * 1000};
    s->items = ag_calloc(AG_ROOM_SCHED, (size_t)core->max_runs, sizeof *s->items);
    s->choices = ag_calloc(AG_ROOM_SCHED, (size_t)core->max_runs, sizeof *s->choices);
    if (!s->items || !s->choices)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the scheduler");
    size_t n_shares = s->gate.max_requests < MOST_SHARES ? s->gate.max_requests : MOST_SHARES;
    ag_code code = ag_gate_init(&s->gate, n_shares, err);
    if (!code)
        code = ag_policy_init(&s->policy, &po, err);
    while (!code && s->n_scratch < ag_pool_threads(core->pool) && s->n_scratch < MOST_CHOOSERS)
        code = ag_sample_scratch_new(core->model.kernels, core->model.config.n_vocab,
                                     &s->scratch[s->n_scratch++], err);
    if (!code)
        code =
            ag_grammars_open(s->env.tokenizer, core->model.config.n_vocab, &s->env.grammars, err);
    return code;
}

ag_code ag_sched_open(ag_core *core, const ag_tokenizer *t, ag_executor *executor,
                      const ag_sched_opts *opts, const ag_logger *log, ag_sched **out,
                      ag_err *err) {
    *out = NULL;
    ag_sched *s = ag_calloc(AG_ROOM_SCHED, 1, sizeof *s);
    if (!s)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the scheduler");
    s->core = core;
    s->log = log;
    s->executor = executor;
    s->env = (ag_job_env){.core = core,
                          .tokenizer = t,
                          .bell = ag_executor_bell(executor),
                          .speculate = opts->speculate};
    s->member = (ag_member){.turn = turn, .ctx = s};
    pthread_mutex_init(&s->lock, NULL);
    ag_code code = open_parts(s, opts, err);
    if (code) {
        free_sched(s);
        return code;
    }
    ag_executor_attach(executor, &s->member);
    *out = s;
    return AG_OK;
}

void ag_sched_close(ag_sched **sp) {
    ag_sched *s = *sp;
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_mutex_unlock(&s->lock);
    ag_bell_ring(s->env.bell);
    ag_executor_wait_gone(s->executor, &s->member);
    free_sched(s);
    *sp = NULL;
}
