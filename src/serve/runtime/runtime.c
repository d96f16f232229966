#include "runtime/runtime.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/span.h"
#include "runtime/parts.h"

/* Asking for a model that could not be loaded makes the loader try again, but not for every
 * request.
 */
#define AG_RETRY_FAILED_US ((uint64_t)10 * 1000000)

const char *ag_served_state_name(ag_served_state state) {
    static const char *const names[] = {"absent",   "loading",  "warming", "ready",
                                        "draining", "unloaded", "failed"};
    return names[state];
}

/* ---- opening and closing --------------------------------------------------------------------- */

const char *ag_unload_name(ag_unload why) {
    static const char *const names[AG_UNLOAD_COUNT] = {"idle", "memory"};
    return names[why];
}

void ag_served_get_status(const ag_served *s, ag_served_status *out) {
    uint64_t end = s->ended_at ? s->ended_at : ag_clock_us();
    *out = (ag_served_status){.decl = s->decl,
                              .state = s->state,
                              .done_bytes = atomic_load(&s->done_bytes),
                              .total_bytes = atomic_load(&s->total_bytes),
                              .elapsed_us = s->began_at ? end - s->began_at : 0,
                              .ready_s = s->ready_s,
                              .n_leases = s->n_leases,
                              .info = s->state == AG_SERVED_READY ? s->info : (ag_engine_info){0},
                              .sampling = s->sampling,
                              .err = s->err};
    memcpy(out->n_unloads, s->n_unloads, sizeof out->n_unloads);
}

static bool has_name(const ag_served_decl *d, const char *name) {
    bool found = strcmp(d->name, name) == 0;
    for (size_t i = 0; i < d->n_aliases && !found; i++)
        found = strcmp(d->aliases[i], name) == 0;
    return found;
}

size_t ag_runtime_find(const ag_runtime *rt, const char *name) {
    for (size_t i = 0; i < rt->opts.n_models; i++)
        if (has_name(&rt->opts.models[i], name))
            return i;
    return SIZE_MAX;
}

static ag_code check_name(const ag_runtime_opts *o, size_t owner, const char *name, ag_err *err) {
    if (!name || !*name)
        return ag_fail(err, AG_E_ARG, "model %zu has an empty name", owner + 1);
    for (size_t i = 0; i < owner; i++)
        if (has_name(&o->models[i], name))
            return ag_fail(err, AG_E_ARG, "two models are called \"%s\"", name);
    return AG_OK;
}

static ag_code check_names(const ag_runtime_opts *o, ag_err *err) {
    ag_code code = o->n_models ? AG_OK : ag_fail(err, AG_E_ARG, "no model is declared");
    for (size_t i = 0; i < o->n_models && !code; i++) {
        code = check_name(o, i, o->models[i].name, err);
        for (size_t k = 0; k < o->models[i].n_aliases && !code; k++)
            code = check_name(o, i, o->models[i].aliases[k], err);
    }
    return code;
}

static void free_runtime(ag_runtime *rt) {
    pthread_mutex_destroy(&rt->lock);
    pthread_cond_destroy(&rt->work);
    ag_executor_close(&rt->executor);
    ag_free(rt->served);
    ag_free(rt);
}

ag_code ag_runtime_open(const ag_runtime_opts *opts, ag_runtime **out, ag_err *err) {
    *out = NULL;
    ag_code code = check_names(opts, err);
    if (code)
        return code;
    ag_runtime *rt = ag_calloc(AG_ROOM_RUNTIME, 1, sizeof *rt);
    ag_served *served = ag_calloc(AG_ROOM_RUNTIME, opts->n_models, sizeof *served);
    if (!rt || !served) {
        ag_free(rt);
        ag_free(served);
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu models", opts->n_models);
    }
    rt->opts = *opts;
    rt->served = served;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&rt->lock, NULL);
    pthread_cond_init(&rt->work, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (size_t i = 0; i < opts->n_models; i++) {
        served[i].rt = rt;
        served[i].decl = &opts->models[i];
        served[i].wanted = !opts->models[i].lazy;
    }
    code = ag_executor_open(opts->n_threads, &rt->executor, err);
    if (!code && pthread_create(&rt->loader, NULL, ag_runtime_load_models, rt) != 0)
        code = ag_fail(err, AG_E_IO, "the loader thread cannot be started");
    if (code) {
        free_runtime(rt);
        return code;
    }
    *out = rt;
    return AG_OK;
}

void ag_runtime_drain(ag_runtime *rt) {
    pthread_mutex_lock(&rt->lock);
    rt->draining = true;
    pthread_mutex_unlock(&rt->lock);
}

void ag_runtime_close(ag_runtime **prt) {
    ag_runtime *rt = *prt;
    if (!rt)
        return;
    pthread_mutex_lock(&rt->lock);
    rt->draining = true;
    atomic_store(&rt->closing, true);
    pthread_cond_signal(&rt->work);
    pthread_mutex_unlock(&rt->lock);
    pthread_join(rt->loader, NULL);
    for (size_t i = 0; i < rt->opts.n_models; i++)
        ag_engine_close(&rt->served[i].engine);
    free_runtime(rt);
    *prt = NULL;
}

/* ---- leases ---------------------------------------------------------------------------------- */

static ag_code not_found(const ag_runtime *rt, const char *name, ag_err *err) {
    ag_buf names;
    ag_buf_init(&names, AG_ROOM_RUNTIME, 300);
    for (size_t i = 0; i < rt->opts.n_models; i++)
        ag_buf_addf(&names, "%s\"%s\"", i ? ", " : "", rt->opts.models[i].name);
    ag_code code =
        ag_fail(err, AG_E_NOT_FOUND, "the model \"%.100s\" does not exist; there is %.*s", name,
                AG_SPAN(ag_buf_span(&names)));
    ag_buf_deinit(&names);
    return code;
}

/* The lock is held; the model is not READY. */
static ag_code not_ready(const ag_served *s, ag_err *err) {
    uint64_t done = atomic_load(&s->done_bytes), total = atomic_load(&s->total_bytes);
    if (s->state == AG_SERVED_FAILED)
        return ag_fail(err, s->err.code, "the model \"%s\" could not be loaded: %.300s",
                       s->decl->name, s->err.msg);
    if (s->state == AG_SERVED_LOADING && total)
        return ag_fail(err, AG_E_AGAIN, "the model \"%s\" is loading: %.0f %%; try again soon",
                       s->decl->name, 100.0 * (double)done / (double)total);
    if (s->err.code)
        return ag_fail(err, AG_E_AGAIN, "the model \"%.60s\" cannot be loaded now: %s",
                       s->decl->name, s->err.msg);
    return ag_fail(err, AG_E_AGAIN, "the model \"%s\" is %s; try again soon", s->decl->name,
                   s->wanted ? "about to be loaded" : ag_served_state_name(s->state));
}

ag_code ag_runtime_acquire(ag_runtime *rt, const char *name, ag_served **out, ag_err *err) {
    *out = NULL;
    size_t i = name && *name ? ag_runtime_find(rt, name) : 0;
    if (i == SIZE_MAX)
        return not_found(rt, name, err);
    ag_served *s = &rt->served[i];
    ag_code code = AG_OK;
    pthread_mutex_lock(&rt->lock);
    if (rt->draining)
        code = ag_fail(err, AG_E_CLOSED, "the server is shutting down");
    else if (s->state == AG_SERVED_READY) {
        s->n_leases++;
        s->used_at = ag_clock_us();
        s->was_used = true;
    } else {
        bool again =
            s->state == AG_SERVED_FAILED && ag_clock_us() - s->ended_at > AG_RETRY_FAILED_US;
        if (again || s->state == AG_SERVED_ABSENT || s->state == AG_SERVED_UNLOADED ||
            s->state == AG_SERVED_DRAINING) {
            s->wanted = true;
            pthread_cond_signal(&rt->work);
        }
        code = not_ready(s, err);
    }
    pthread_mutex_unlock(&rt->lock);
    if (!code)
        *out = s;
    return code;
}

void ag_runtime_release(ag_served **ps) {
    ag_served *s = *ps;
    *ps = NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->rt->lock);
    s->n_leases--;
    s->used_at = ag_clock_us();
    pthread_mutex_unlock(&s->rt->lock);
}

ag_served *ag_runtime_look(ag_runtime *rt, size_t i, ag_served_status *out) {
    ag_served *s = &rt->served[i];
    pthread_mutex_lock(&rt->lock);
    ag_served_get_status(s, out);
    bool ready = s->state == AG_SERVED_READY;
    s->n_leases += ready;
    pthread_mutex_unlock(&rt->lock);
    return ready ? s : NULL;
}

void ag_runtime_unlook(ag_served **ps) {
    ag_served *s = *ps;
    *ps = NULL;
    if (!s)
        return;
    pthread_mutex_lock(&s->rt->lock);
    s->n_leases--;
    pthread_mutex_unlock(&s->rt->lock);
}

bool ag_runtime_stats(ag_runtime *rt, size_t i, ag_engine_stats *out) {
    ag_served_status status;
    ag_served *s = ag_runtime_look(rt, i, &status);
    bool ready = s != NULL;
    if (ready)
        ag_engine_get_stats(s->engine, out);
    ag_runtime_unlook(&s);
    return ready;
}

ag_engine *ag_served_engine(const ag_served *s) { return s->engine; }
const char *ag_served_name(const ag_served *s) { return s->decl->name; }
const ag_engine_info *ag_served_info(const ag_served *s) { return &s->info; }
const ag_answer_format *ag_served_format(const ag_served *s) { return &s->format; }

/* ---- wishes and status ----------------------------------------------------------------------- */

ag_code ag_runtime_load(ag_runtime *rt, const char *name, ag_err *err) {
    size_t i = ag_runtime_find(rt, name);
    if (i == SIZE_MAX)
        return not_found(rt, name, err);
    ag_served *s = &rt->served[i];
    ag_code code = AG_OK;
    pthread_mutex_lock(&rt->lock);
    if (rt->draining)
        code = ag_fail(err, AG_E_CLOSED, "the server is shutting down");
    else if (s->state != AG_SERVED_READY && s->state != AG_SERVED_LOADING &&
             s->state != AG_SERVED_WARMING) {
        s->wanted = true;
        pthread_cond_signal(&rt->work);
    }
    pthread_mutex_unlock(&rt->lock);
    return code;
}

size_t ag_runtime_n(const ag_runtime *rt) { return rt->opts.n_models; }

void ag_runtime_status(ag_runtime *rt, size_t i, ag_served_status *out) {
    pthread_mutex_lock(&rt->lock);
    ag_served_get_status(&rt->served[i], out);
    pthread_mutex_unlock(&rt->lock);
}

bool ag_served_has_started(const ag_served_status *s) {
    return s->state == AG_SERVED_READY || s->decl->lazy ||
           (s->ready_s > 0 && s->state != AG_SERVED_FAILED);
}

double ag_served_share(const ag_served_status *s) {
    if (s->state == AG_SERVED_READY || s->state == AG_SERVED_WARMING)
        return 1;
    return s->total_bytes ? (double)s->done_bytes / (double)s->total_bytes : 0;
}

double ag_served_eta_s(const ag_served_status *s) {
    double share = ag_served_share(s);
    if (s->state != AG_SERVED_LOADING || share < 0.01)
        return -1;
    return (double)(s->elapsed_us / 1000) / 1000 * (1 - share) / share;
}

bool ag_runtime_is_ready(ag_runtime *rt) {
    pthread_mutex_lock(&rt->lock);
    bool ready = !rt->draining;
    for (size_t i = 0; i < rt->opts.n_models && ready; i++) {
        ag_served_status status;
        ag_served_get_status(&rt->served[i], &status);
        ready = ag_served_has_started(&status);
    }
    pthread_mutex_unlock(&rt->lock);
    return ready;
}
