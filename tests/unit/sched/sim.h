/* A scheduler's policy under a virtual clock: tasks that come, rest, are cancelled and grow token
 * by token, over a real paged KV whose blocks hold nothing. What the steps take is given by a
 * formula, and the policy's promises are checked after every one. */
#ifndef AG_TESTS_SCHED_SIM_H
#define AG_TESTS_SCHED_SIM_H

#include <stdlib.h>

#include "unit/test.h"

#include "base/random.h"
#include "sched/policy.h"

#define SIM_TASKS 64

static size_t sim_bytes(int d) {
    (void)d;
    return 16;
}

static const ag_kv_ops sim_ops = {.name = "sim", .k_bytes = sim_bytes, .v_bytes = sim_bytes};
static const ag_kv_shape sim_shape = {
    .ops = &sim_ops, .n_layers = 1, .n_heads = 1, .d = 16, .d_v = 16};

typedef struct sim_task {
    ag_task task; /* first */
    int max_new;
    uint64_t arrives_at, cancel_at, rest_at, wake_at; /* µs; UINT64_MAX: never */
    enum { SIM_AWAY, SIM_THERE, SIM_GONE } where;
    bool completed;
    uint64_t done_at, last_at, first_at, worst_gap;
} sim_task;

typedef struct sim {
    ag_kv kv;
    ag_policy policy;
    ag_rng rng;
    uint64_t now, n_steps;
    bool drafts;
    sim_task tasks[SIM_TASKS];
    int n_tasks;
    /* µs of a step: fixed, a decoding row, a row of a prompt, and 1000 tokens looked back at */
    double fixed_us, decode_us, prefill_us, look_us;
} sim;

static inline int sim_below(sim *s, int n) { return (int)(ag_rng_f64(&s->rng) * n); }
static inline bool sim_chance(sim *s, double p) { return ag_rng_f64(&s->rng) < p; }

static inline void sim_open(sim *s, int n_blocks, const ag_policy_opts *opts, uint64_t seed) {
    memset(s, 0, sizeof *s);
    ag_rng_init(&s->rng, seed);
    ag_err err;
    assert_int_equal(ag_kv_open(&s->kv, &sim_shape, n_blocks, &err), AG_OK);
    ag_policy_opts o = *opts;
    o.kv = &s->kv;
    assert_int_equal(ag_policy_init(&s->policy, &o, &err), AG_OK);
    s->fixed_us = 1000;
    s->decode_us = 100;
    s->prefill_us = 50;
    s->look_us = 10;
    s->now = 1;
}

/* Prompts are beginnings of one of three long texts, so that some share blocks. */
static inline void sim_fill(sim *s, sim_task *t, int n_prompt, int max_new) {
    int text = sim_below(s, 3);
    ag_err err;
    *t = (sim_task){.max_new = max_new,
                    .arrives_at = s->now,
                    .cancel_at = UINT64_MAX,
                    .rest_at = UINT64_MAX,
                    .wake_at = UINT64_MAX};
    t->task = (ag_task){.n_prompt = n_prompt, .n_ids = n_prompt, .weight = 1};
    t->task.ids = calloc((size_t)(n_prompt + max_new), sizeof(int32_t));
    for (int i = 0; i < n_prompt; i++)
        t->task.ids[i] = text * 1000 + i % 997;
    assert_int_equal(ag_kv_seq_init(&t->task.kv, &s->kv, n_prompt + max_new, &err), AG_OK);
}

static inline sim_task *sim_add(sim *s, int n_prompt, int max_new) {
    AG_ASSERT(s->n_tasks < SIM_TASKS);
    sim_task *t = &s->tasks[s->n_tasks++];
    sim_fill(s, t, n_prompt, max_new);
    return t;
}

static inline void sim_end(sim *s, sim_task *t, bool completed) {
    ag_policy_end(&s->policy, &t->task);
    t->where = SIM_GONE;
    t->completed = completed;
    t->done_at = s->now;
    AG_ASSERT(t->task.kv.n_blocks == 0);
}

/* Ends what is left. */
static inline void sim_close(sim *s) {
    for (int i = 0; i < s->n_tasks; i++) {
        if (s->tasks[i].where == SIM_THERE)
            sim_end(s, &s->tasks[i], false);
        ag_kv_seq_deinit(&s->tasks[i].task.kv);
        free(s->tasks[i].task.ids);
    }
    ag_policy_deinit(&s->policy);
    ag_kv_close(&s->kv);
}

/* Arrivals, ends and rests that are due. */
static inline void sim_events(sim *s) {
    for (int i = 0; i < s->n_tasks; i++) {
        sim_task *t = &s->tasks[i];
        if (t->where == SIM_AWAY && t->arrives_at <= s->now) {
            t->where = SIM_THERE;
            t->task.submit_at = t->arrives_at;
            ag_policy_submit(&s->policy, &t->task);
        }
        if (t->where != SIM_THERE)
            continue;
        t->task.resting = t->rest_at <= s->now && s->now < t->wake_at;
        if (t->cancel_at <= s->now || ag_task_due(&t->task) <= s->now)
            sim_end(s, t, false);
    }
}

/* When something happens by itself next. */
static inline uint64_t sim_next_event(const sim *s) {
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < s->n_tasks; i++) {
        const sim_task *t = &s->tasks[i];
        uint64_t at[] = {t->cancel_at, t->wake_at, ag_task_due(&t->task)};
        if (t->where == SIM_AWAY && t->arrives_at < next)
            next = t->arrives_at;
        for (int k = 0; k < 3 && t->where == SIM_THERE; k++)
            if (at[k] > s->now && at[k] < next)
                next = at[k];
    }
    return next;
}

/* What a step must be, whatever came before. */
static inline void sim_check_step(const sim *s) {
    const ag_policy *p = &s->policy;
    int rows = 0, logits = 0;
    for (int i = 0; i < p->n_slices; i++) {
        const ag_slice *x = &p->slices[i];
        const ag_task *t = x->task;
        rows += x->n + x->n_draft;
        logits += 1 + x->n_draft;
        AG_ASSERT(x->n_draft == 0 || (x->n == 1 && ag_task_pending(t) == 1));
        AG_ASSERT(x->n_draft <= t->n_draft);
        AG_ASSERT(ag_policy_runs(p, t) && !t->resting);
        AG_ASSERT(x->n >= 1 && x->n <= ag_task_pending(t));
        AG_ASSERT(!p->opts.whole || x->n == ag_task_pending(t));
        AG_ASSERT(t->kv.n_blocks * AG_KV_BLOCK >= t->kv.n_tokens + x->n + x->n_draft);
        for (int k = 0; k < i; k++)
            AG_ASSERT(p->slices[k].task != t);
    }
    AG_ASSERT(rows <= p->opts.batch_tokens && logits <= p->opts.max_running);
    for (int i = 0; i < p->n_running && !p->opts.whole; i++) { /* who decodes is in every step */
        const ag_task *t = p->running[i];
        bool in = t->resting || ag_task_pending(t) != 1;
        for (int k = 0; k < p->n_slices && !in; k++)
            in = p->slices[k].task == t;
        AG_ASSERT(in);
    }
}

/* Now and then a draft, which may be of any length. */
static inline void sim_draft(sim *s) {
    for (int i = 0; i < s->policy.n_running; i++) {
        sim_task *t = (sim_task *)(void *)s->policy.running[i];
        int room = t->task.n_prompt + t->max_new - t->task.n_ids - 1;
        bool may = s->drafts && room > 0 && ag_task_pending(&t->task) == 1 && !t->task.reads;
        t->task.n_draft = may ? sim_below(s, (room < 8 ? room : 8) + 1) : 0;
        t->task.draft.rate = 0.9;
    }
}

static inline void sim_compute(sim *s) {
    const ag_policy *p = &s->policy;
    const ag_load *l = &p->load;
    double us = s->fixed_us + s->decode_us * l->decoding + s->prefill_us * l->prefill +
                s->look_us * (l->decode_looks + l->prefill_looks) / 1000;
    s->now += (uint64_t)us + 1;
    for (int i = 0; i < p->n_slices; i++) {
        sim_task *t = (sim_task *)(void *)p->slices[i].task;
        t->task.kv.n_tokens += p->slices[i].n + p->slices[i].n_draft;
        int n = p->slices[i].n_draft ? 1 + sim_below(s, p->slices[i].n_draft + 1) : 1;
        if (ag_task_pending(&t->task) > 0 || t->task.reads)
            n = 0;
        while (n-- > 0 && t->task.n_ids < t->task.n_prompt + t->max_new) {
            if (t->last_at && s->now - t->last_at > t->worst_gap)
                t->worst_gap = s->now - t->last_at;
            t->last_at = s->now;
            t->first_at = t->first_at ? t->first_at : s->now;
            t->task.ids[t->task.n_ids] = 5000 + t->task.n_ids;
            t->task.n_ids++;
        }
        if (!t->task.reads)
            ag_kv_seq_cut(&t->task.kv, t->task.n_ids - 1);
        if (!p->opts.whole)
            ag_kv_seq_commit(&t->task.kv, t->task.ids);
        if (ag_task_pending(&t->task) > 0 && t->task.n_ids < t->task.n_prompt + t->max_new)
            continue;
        if (t->task.reads || t->task.n_ids == t->task.n_prompt + t->max_new)
            sim_end(s, t, true);
    }
    ag_policy_done(&s->policy, us);
}

/* One step, or a jump to where something happens. False: nothing will ever happen again. */
static inline bool sim_step(sim *s) {
    sim_events(s);
    sim_draft(s);
    if (ag_policy_plan(&s->policy, s->now) > 0) {
        s->n_steps++;
        sim_check_step(s);
        sim_compute(s);
    } else {
        uint64_t next = sim_next_event(s);
        if (next == UINT64_MAX)
            return false;
        s->now = next;
    }
    ag_policy_check(&s->policy);
    return true;
}

#endif
