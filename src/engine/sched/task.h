/* What the policy knows of a request: its tokens so far, its terms, its KV and where it stands. A
 * job (job.h) begins with one; tests make them alone. */
#ifndef AG_SCHED_TASK_H
#define AG_SCHED_TASK_H

#include "kv/kv.h"
#include "sched/draft.h"

typedef struct ag_task {
    /* Set before it is submitted. */
    int32_t *ids; /* owned by the job: prompt, then what was generated */
    int n_prompt;
    bool reads;   /* every position of the prompt is wanted, and nothing after it */
    int priority; /* an ag_priority */
    uint64_t tenant;
    double weight;                        /* of the tenant */
    uint64_t expire_after, queue_at_most; /* µs from submit; 0: no limit */

    /* Changes as it goes. */
    int n_ids;    /* prompt and generated tokens so far */
    int n_cached; /* of the prompt, found in the prefix index */
    bool resting; /* is not computed for now; set between plans */
    ag_draft draft;
    int n_draft;  /* tokens at ids[n_ids] that may follow: a draft for the next step */
    ag_kv_seq kv; /* holds blocks only while it runs */
    uint64_t submit_at, start_at; /* µs; start_at 0: did not run yet */

    /* The policy's own. */
    uint64_t order;       /* of arrival, from 1 */
    int account;          /* of its tenant */
    int n_charged;        /* tokens that the account has paid */
    int n_preempted;      /* how often it had to make room while it was being computed */
    bool restarts;        /* it had to give its blocks back: what it finds now is no gain */
    uint64_t ahead;       /* of a prompt: see ag_kv_seq_ahead(); as of the present step */
    bool waits;           /* for an older one that computes the block that it needs next */
    int urgency;          /* least tokens left to read, of its own and of those who wait for it */
    struct ag_task *next; /* in the line */
} ag_task;

/* Tokens whose K and V are not stored yet. */
static inline int ag_task_pending(const ag_task *t) { return t->n_ids - t->kv.n_tokens; }

/* When it expires, µs; UINT64_MAX: never. */
static inline uint64_t ag_task_due(const ag_task *t) {
    uint64_t end = t->expire_after ? t->submit_at + t->expire_after : UINT64_MAX;
    uint64_t start =
        t->queue_at_most && !t->start_at ? t->submit_at + t->queue_at_most : UINT64_MAX;
    return end < start ? end : start;
}

#endif
