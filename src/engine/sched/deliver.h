/* What a job gives to its caller: tokens as they are picked, and the end. Thread: engine, with no
 * lock held. */
#ifndef AG_SCHED_DELIVER_H
#define AG_SCHED_DELIVER_H

#include "sched/job.h"

/* Pick a token from a row of logits, append it and hand it out. Says how the job goes on:
 * AG_FINISH_NONE, or why it ends now; *err is set for AG_FINISH_ERROR. */
ag_finish ag_job_take_token(ag_job *j, const float *logits, uint64_t now, ag_err *err);
/* Tell the caller, wake who waits, and drop the engine's reference. The task is out of the policy.
 * `error` may be NULL. */
void ag_job_end(ag_job *j, ag_finish why, const ag_err *error, uint64_t now);

#endif
