/* What a job gives to its caller: tokens as they are picked, and the end. Thread: engine, with no
 * lock held, but for ag_choice_make(). */
#ifndef AG_SCHED_DELIVER_H
#define AG_SCHED_DELIVER_H

#include "sched/job.h"

/* A token on its way from a row of logits to the caller. */
typedef struct ag_choice {
    ag_job *job;
    bool ended; /* the text is complete: there is nothing to choose */
    ag_pick how;
    ag_sample sample;
    ag_code code; /* what failed */
    ag_err err;
} ag_choice;

/* The three steps of a token, in this order. First what may come: the form's mask, the tokens that
 * must not. `logits` is borrowed until the token is chosen. */
void ag_choice_prepare(ag_choice *c, ag_job *j, const float *logits);
/* Then the choice. Any thread; for several jobs at once, each with a scratch of its own. */
void ag_choice_make(ag_choice *c, ag_sample_scratch *scratch);
/* At last append it and hand it out. Says how the job goes on: AG_FINISH_NONE, or why it ends now;
 * c->err is set for AG_FINISH_ERROR. */
ag_finish ag_choice_take(ag_choice *c, uint64_t now);
/* Tell the caller, wake who waits, and drop the engine's reference. The task is out of the policy.
 * `error` may be NULL. */
void ag_job_end(ag_job *j, ag_finish why, const ag_err *error, uint64_t now);

#endif
