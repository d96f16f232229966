#include "sched/bell.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"

struct ag_bell {
    _Atomic int refs;
    pthread_mutex_t lock; /* guards rung */
    pthread_cond_t wake;
    bool rung;
};

ag_code ag_bell_new(ag_bell **out, ag_err *err) {
    *out = NULL;
    ag_bell *b = ag_calloc(AG_ROOM_SCHED, 1, sizeof *b);
    if (!b)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the engine thread");
    atomic_store(&b->refs, 1);
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_t by_steady_clock;
    pthread_condattr_init(&by_steady_clock);
    pthread_condattr_setclock(&by_steady_clock, CLOCK_MONOTONIC);
    pthread_cond_init(&b->wake, &by_steady_clock);
    pthread_condattr_destroy(&by_steady_clock);
    *out = b;
    return AG_OK;
}

ag_bell *ag_bell_ref(ag_bell *b) {
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void ag_bell_unref(ag_bell *b) {
    if (!b || atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    pthread_cond_destroy(&b->wake);
    pthread_mutex_destroy(&b->lock);
    ag_free(b);
}

void ag_bell_ring(ag_bell *b) {
    pthread_mutex_lock(&b->lock);
    b->rung = true;
    pthread_cond_signal(&b->wake);
    pthread_mutex_unlock(&b->lock);
}

bool ag_bell_wait(ag_bell *b, uint64_t until) {
    pthread_mutex_lock(&b->lock);
    bool late = until == 0;
    struct timespec at = {(time_t)(until / 1000000), (long)(until % 1000000) * 1000};
    while (!b->rung && !late) {
        if (until == UINT64_MAX)
            pthread_cond_wait(&b->wake, &b->lock);
        else
            late = pthread_cond_timedwait(&b->wake, &b->lock, &at) != 0;
    }
    bool rung = b->rung;
    b->rung = false;
    pthread_mutex_unlock(&b->lock);
    return rung;
}
