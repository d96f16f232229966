/* One thread and one compute pool for any number of engines: their steps take turns, so that cores
 * are never asked for twice.
 *
 * A member is what takes turns (a scheduler). Of those that have something to do, the one that has
 * used least time is next; one that comes back from idling starts level with the last that ran, so
 * idling saves nothing up. A turn is one step at most.
 *
 * Owners are the caller and each attached engine; the last to release it stops the thread. */
#ifndef AG_SCHED_EXECUTOR_H
#define AG_SCHED_EXECUTOR_H

#include "par/pool.h"
#include "sched/bell.h"

typedef struct ag_executor ag_executor;

typedef enum ag_turn {
    AG_TURN_DONE, /* there may be more to do */
    AG_TURN_IDLE, /* nothing to do until the bell rings or *wake_at */
    AG_TURN_LEFT, /* the member is over and must not be called again */
} ag_turn;

typedef struct ag_member {
    /* On the engine thread. alone: no other member has something to do just now. */
    ag_turn (*turn)(void *ctx, bool alone, uint64_t *wake_at);
    void *ctx;
    /* The executor's. */
    bool ready, gone;
    uint64_t used_us, wake_at;
    struct ag_member *next;
} ag_member;

/* Start the thread and n_threads - 1 workers on the nodes of the plan, for one owner. AG_E_ARG,
 * AG_E_NOMEM. Any thread. */
ag_code ag_executor_start(int n_threads, const ag_numa_plan *plan, ag_executor **out,
                          ag_err *err) AG_MUST_USE;
ag_executor *ag_executor_ref(ag_executor *e);
/* Not from a callback. Accepts NULL. */
void ag_executor_unref(ag_executor *e);
/* The pool belongs to the engine thread; who is sure that nothing is attached may use it until
 * something is. */
ag_pool *ag_executor_pool(const ag_executor *e);
/* Wakes the thread. Borrowed. */
ag_bell *ag_executor_bell(const ag_executor *e);
/* Let m take turns until it says AG_TURN_LEFT. Any thread. */
void ag_executor_attach(ag_executor *e, ag_member *m);
/* Block until m's last turn is over. Not from the engine thread. */
void ag_executor_wait_gone(ag_executor *e, ag_member *m);

#endif
