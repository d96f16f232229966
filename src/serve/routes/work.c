#include "routes/work.h"

#include <pthread.h>

#include "base/mem.h"

typedef struct item {
    void (*job)(void *ctx);
    void *ctx;
    struct item *next;
} item;

struct ag_work {
    const char *name;
    pthread_mutex_t lock; /* guards what follows, up to n_threads */
    pthread_cond_t more;
    item *first, *last;
    size_t n_waiting, max_waiting;
    bool closing;
    size_t n_threads;
    pthread_t threads[];
};

static void *work_main(void *arg) {
    ag_work *w = arg;
    pthread_setname_np(pthread_self(),
                       w->name); /* of another thread, /proc would have to be written */
    pthread_mutex_lock(&w->lock);
    for (;;) {
        item *one = w->first;
        if (one) {
            w->first = one->next;
            w->n_waiting--;
            pthread_mutex_unlock(&w->lock);
            one->job(one->ctx);
            ag_free(one);
            pthread_mutex_lock(&w->lock);
        } else if (w->closing) {
            break;
        } else {
            pthread_cond_wait(&w->more, &w->lock);
        }
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

ag_code ag_work_new(const char *name, size_t n, size_t max_waiting, ag_work **out, ag_err *err) {
    *out = NULL;
    ag_work *w = ag_calloc(AG_ROOM_ROUTES, 1, sizeof *w + n * sizeof *w->threads);
    if (!w)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu threads", n);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->more, NULL);
    w->name = name;
    w->max_waiting = max_waiting;
    while (w->n_threads < n && pthread_create(&w->threads[w->n_threads], NULL, work_main, w) == 0)
        w->n_threads++;
    if (w->n_threads < n) {
        ag_code code = ag_fail(err, AG_E_IO, "thread %zu of %zu of \"%s\" cannot be started",
                               w->n_threads + 1, n, name);
        ag_work_free(&w);
        return code;
    }
    *out = w;
    return AG_OK;
}

bool ag_work_push(ag_work *w, void (*job)(void *ctx), void *ctx) {
    item *one = ag_alloc(AG_ROOM_ROUTES, sizeof *one);
    if (!one)
        return false;
    *one = (item){.job = job, .ctx = ctx};
    pthread_mutex_lock(&w->lock);
    bool taken = w->n_waiting < w->max_waiting && !w->closing;
    if (taken) {
        if (w->first)
            w->last->next = one;
        else
            w->first = one;
        w->last = one;
        w->n_waiting++;
        pthread_cond_signal(&w->more);
    }
    pthread_mutex_unlock(&w->lock);
    if (!taken)
        ag_free(one);
    return taken;
}

void ag_work_free(ag_work **pw) {
    ag_work *w = *pw;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->more);
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i], NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->more);
    ag_free(w);
    *pw = NULL;
}
