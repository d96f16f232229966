/* What runs next: a pure part that knows tokens, blocks and times, but neither model, clock, thread
 * nor callback. The scheduler (sched.h) drives it; tests drive it under a virtual clock.
 *
 *   submit ──▶ line ──plan: next in line, blocks of its whole prompt──▶ running ──end──▶ gone
 *                ▲                                                        │
 *                └───── KV is short: lowest rank first, resting ones before all ─────┘
 *
 * Rank of what runs: class, then arrival; resting ones come last. So the first in rank is never
 * pushed out, everything becomes the first some day, and its step can always be taken.
 *
 * Laws (ag_policy_check): blocks are held by running tasks only, and no task both waits and runs.
 *
 * Thread: engine. Nothing allocates after init. */
#ifndef AG_SCHED_POLICY_H
#define AG_SCHED_POLICY_H

#include "sched/line.h"
#include "sched/pace.h"

typedef struct ag_policy_opts {
    ag_kv *kv; /* borrowed */
    int max_running;
    int max_tasks;          /* in line and running */
    int batch_tokens;       /* rows of a step, at least max_running */
    bool whole;             /* an encoder: inputs go whole into one step, and share nothing */
    uint64_t itl_target_us; /* 0: relative, see pace.h */
} ag_policy_opts;

/* One task's part of a step. */
typedef struct ag_slice {
    ag_task *task;
    int n;       /* of its pending tokens */
    int n_draft; /* and of its draft */
} ag_slice;

/* These only grow. */
typedef struct ag_policy_counts {
    uint64_t preempted;
    uint64_t prefix_queried, prefix_found; /* tokens */
    uint64_t prefill_rows, decode_rows;
    uint64_t drafted; /* of decode_rows */
} ag_policy_counts;

typedef struct ag_policy {
    ag_policy_opts opts;
    ag_accounts accounts;
    ag_line line;
    ag_task **running; /* owned [max_running], by rank */
    int n_running;
    ag_slice *slices; /* owned [max_running]: the present step */
    int n_slices;
    ag_load load; /* of the present step */
    ag_pace pace;
    int n_mixed; /* steps in a row that carried prompts beside streams */
    uint64_t n_arrived;
    bool alone; /* set before a plan: nobody else waits for the end of the step */
    ag_policy_counts counts;
} ag_policy;

/* AG_E_NOMEM. */
ag_code ag_policy_init(ag_policy *p, const ag_policy_opts *opts, ag_err *err) AG_MUST_USE;
/* Nothing may be in line or running. */
void ag_policy_deinit(ag_policy *p);

/* Put a task in line. Its kv is an empty sequence. */
void ag_policy_submit(ag_policy *p, ag_task *t);
/* A task ends, wherever it is; its blocks are free. Not between plan and done. */
void ag_policy_end(ag_policy *p, ag_task *t);
/* Does it run? The other tasks stand in line. */
bool ag_policy_runs(const ag_policy *p, const ag_task *t);
/* Let tasks start and form a step in p->slices; blocks for it are reserved. Returns n_slices; 0:
 * all rest or there are none. `now` in µs. */
int ag_policy_plan(ag_policy *p, uint64_t now);
/* The step was computed (each task's kv has advanced) and took so long. */
void ag_policy_done(ag_policy *p, double us);
/* Assert the laws. */
void ag_policy_check(const ag_policy *p);

#endif
