#include "sched/executor.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"

struct ag_executor {
    _Atomic int owners;
    ag_pool *pool;
    ag_bell *bell;
    pthread_t thread;
    pthread_mutex_t lock; /* guards the list of members, `gone` of each, and stopping */
    pthread_cond_t left;
    ag_member *members;
    bool stopping;
    uint64_t level_us; /* the engine thread's: time used by the member that ran last */
};

static void make_ready(ag_executor *e, ag_member *m) {
    if (!m->ready && m->used_us < e->level_us)
        m->used_us = e->level_us;
    m->ready = true;
}

/* The member whose turn it is; NULL: nobody's before *wake_at. */
static ag_member *pick(ag_executor *e, bool rung, uint64_t *wake_at, bool *alone, bool *stop) {
    ag_member *next = NULL;
    int n_ready = 0;
    uint64_t now = ag_clock_us();
    *wake_at = UINT64_MAX;
    pthread_mutex_lock(&e->lock);
    for (ag_member *m = e->members; m; m = m->next) {
        if (rung || m->wake_at <= now)
            make_ready(e, m);
        n_ready += m->ready;
        if (m->ready && (!next || m->used_us < next->used_us))
            next = m;
        if (!m->ready && m->wake_at < *wake_at)
            *wake_at = m->wake_at;
    }
    *alone = n_ready < 2;
    *stop = e->stopping && !e->members;
    pthread_mutex_unlock(&e->lock);
    return next;
}

static void let_go(ag_executor *e, ag_member *m) {
    pthread_mutex_lock(&e->lock);
    ag_member **at = &e->members;
    while (*at != m)
        at = &(*at)->next;
    *at = m->next;
    m->gone = true;
    pthread_cond_broadcast(&e->left);
    pthread_mutex_unlock(&e->lock);
}

static void take_turn(ag_executor *e, ag_member *m, bool alone) {
    uint64_t began = ag_clock_us(), wake_at = UINT64_MAX;
    ag_turn how = m->turn(m->ctx, alone, &wake_at);
    if (how == AG_TURN_LEFT) {
        let_go(e, m);
        return;
    }
    m->used_us += ag_clock_us() - began;
    e->level_us = m->used_us;
    m->ready = how == AG_TURN_DONE;
    m->wake_at = wake_at;
}

static void *engine_main(void *arg) {
    ag_executor *e = arg;
    pthread_setname_np(pthread_self(), "ag-engine");
    bool rung = true, alone, stop = false;
    while (!stop) {
        uint64_t wake_at;
        ag_member *m = pick(e, rung, &wake_at, &alone, &stop);
        rung = false;
        if (m)
            take_turn(e, m, alone);
        if (!stop)
            rung = ag_bell_wait(e->bell, m ? 0 : wake_at);
    }
    return NULL;
}

static void free_executor(ag_executor *e) {
    ag_pool_free(&e->pool);
    ag_bell_unref(e->bell);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->left);
    ag_free(e);
}

ag_code ag_executor_start(int n_threads, const ag_numa_plan *plan, ag_executor **out, ag_err *err) {
    *out = NULL;
    ag_executor *e = ag_calloc(AG_ROOM_SCHED, 1, sizeof *e);
    if (!e)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the engine thread");
    atomic_store(&e->owners, 1);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->left, NULL);
    ag_code code = ag_bell_new(&e->bell, err);
    if (!code)
        code = ag_pool_new(n_threads, &e->pool, err);
    if (!code && pthread_create(&e->thread, NULL, engine_main, e) != 0)
        code = ag_fail(err, AG_E_NOMEM, "cannot start the engine thread");
    if (code) {
        free_executor(e);
        return code;
    }
    ag_pool_pin(e->pool, plan);
    ag_numa_pin(plan, e->thread, 0, n_threads);
    *out = e;
    return AG_OK;
}

ag_executor *ag_executor_ref(ag_executor *e) {
    atomic_fetch_add(&e->owners, 1);
    return e;
}

void ag_executor_unref(ag_executor *e) {
    if (!e || atomic_fetch_sub(&e->owners, 1) != 1)
        return;
    pthread_mutex_lock(&e->lock);
    e->stopping = true;
    pthread_mutex_unlock(&e->lock);
    ag_bell_ring(e->bell);
    pthread_join(e->thread, NULL);
    free_executor(e);
}

ag_pool *ag_executor_pool(const ag_executor *e) { return e->pool; }
ag_bell *ag_executor_bell(const ag_executor *e) { return e->bell; }

void ag_executor_attach(ag_executor *e, ag_member *m) {
    m->ready = m->gone = false;
    m->used_us = 0;
    m->wake_at = 0;
    pthread_mutex_lock(&e->lock);
    m->next = e->members;
    e->members = m;
    pthread_mutex_unlock(&e->lock);
    ag_bell_ring(e->bell);
}

void ag_executor_wait_gone(ag_executor *e, ag_member *m) {
    pthread_mutex_lock(&e->lock);
    while (!m->gone)
        pthread_cond_wait(&e->left, &e->lock);
    pthread_mutex_unlock(&e->lock);
}
