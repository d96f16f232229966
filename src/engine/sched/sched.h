/* The scheduler of one model: it drives the policy (policy.h) with a clock, a core and callbacks.
 *
 * Its turns are taken on the engine thread (executor.h), which owns KV, sequences and the batch. A
 * turn gathers what was submitted, ends what was cancelled or is late, forms one step, computes it
 * and hands its tokens out. Other threads only submit, and set a job's flags. */
#ifndef AG_SCHED_SCHED_H
#define AG_SCHED_SCHED_H

#include "autoglm/engine.h"
#include "sched/executor.h"
#include "sched/job.h"

typedef struct ag_sched ag_sched;

/* Limits as in ag_engine_opts; 0: the usual. */
typedef struct ag_sched_opts {
    uint32_t max_requests; /* in line */
    uint64_t max_tokens;   /* of their prompts */
    uint32_t itl_target_ms;
    int32_t speculate;
} ag_sched_opts;

/* Let a core that nobody else uses from now on take turns on the executor, whose pool it has.
 * Borrows all. AG_E_NOMEM. */
ag_code ag_sched_open(ag_core *core, const ag_tokenizer *t, ag_executor *executor,
                      const ag_sched_opts *opts, const ag_logger *log, ag_sched **out,
                      ag_err *err) AG_MUST_USE;
/* Cancel everything and wait for the last callbacks. Not from the engine thread. Accepts NULL. */
void ag_sched_close(ag_sched **s);
/* What jobs for this scheduler are built with; lives as long as the scheduler. */
const ag_job_env *ag_sched_env(const ag_sched *s);
/* Any thread. */
void ag_sched_get_stats(ag_sched *s, ag_engine_stats *out);
/* ag_engine_admit(). Any thread. */
ag_code ag_sched_admit(ag_sched *s, const ag_request_opts *o, size_t n_tokens,
                       ag_err *err) AG_MUST_USE;
/* Put a job in line; the scheduler takes a reference of its own. AG_E_AGAIN (the line is full),
 * AG_E_CLOSED. Any thread. */
ag_code ag_sched_submit(ag_sched *s, ag_job *job, ag_err *err) AG_MUST_USE;

#endif
