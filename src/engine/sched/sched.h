/* The scheduler: one engine thread that owns KV, sequences and the batch, and forms one step after
 * another from all requests that run.
 *
 * Continuous batching: each step first takes one token of every sequence that is decoding, then
 * fills the rows that are left with chunks of waiting prompts, in order of arrival. When KV runs
 * out the youngest sequence goes back to the line and is recomputed later, with the same result.
 *
 * Other threads only submit and cancel. */
#ifndef AG_SCHED_SCHED_H
#define AG_SCHED_SCHED_H

#include "sched/job.h"

typedef struct ag_sched ag_sched;

/* Limits as in ag_engine_opts; 0: the usual. */
typedef struct ag_sched_opts {
    uint32_t max_requests; /* in line */
    uint64_t max_tokens;   /* of their prompts */
    uint32_t itl_target_ms;
} ag_sched_opts;

/* Start the engine thread over a core that nobody else uses from now on. AG_E_NOMEM. */
ag_code ag_sched_open(ag_core *core, const ag_tokenizer *t, const ag_sched_opts *opts,
                      const ag_logger *log, ag_sched **out, ag_err *err) AG_MUST_USE;
/* Cancel everything, run the last callbacks, join the thread. Accepts NULL. */
void ag_sched_close(ag_sched **s);
/* What jobs for this scheduler are built with; lives as long as the scheduler. */
const ag_job_env *ag_sched_env(const ag_sched *s);
/* Counters since opening; see ag_engine_stats, whose fields these are. Any thread. */
typedef struct ag_sched_counts {
    uint64_t steps, rows, generated, requests;
} ag_sched_counts;
void ag_sched_get_counts(const ag_sched *s, ag_sched_counts *out);
/* Put a job in line; the scheduler takes a reference of its own. AG_E_AGAIN (the line is full),
 * AG_E_CLOSED. Any thread. */
ag_code ag_sched_submit(ag_sched *s, ag_job *job, ag_err *err) AG_MUST_USE;

#endif
