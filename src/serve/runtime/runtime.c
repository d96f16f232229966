#include "runtime/runtime.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/span.h"

struct ag_served {
    ag_runtime *rt;
    const ag_served_decl *decl;
    _Atomic uint64_t done_bytes, total_bytes;
    /* Guarded by the runtime's lock. */
    ag_served_state state;
    bool wanted;   /* to be loaded */
    bool unwanted; /* to be closed once nobody holds a lease */
    size_t n_leases;
    uint64_t began_at, ended_at; /* of loading, µs */
    uint64_t ready_s;
    ag_err err;
    ag_engine *engine;   /* set before READY; closed by the loader only, without leases */
    ag_engine_info info; /* of engine, as the next two */
    ag_sampling sampling;
    ag_answer_format format;
};

struct ag_runtime {
    ag_runtime_opts opts;
    ag_served *served; /* owned [opts.n_models] */
    ag_executor *executor;
    pthread_t loader;
    _Atomic bool closing;
    pthread_mutex_t lock; /* guards draining and what ag_served says */
    pthread_cond_t work;  /* there is something for the loader */
    bool draining;
};

const char *ag_served_state_name(ag_served_state state) {
    static const char *const names[] = {"absent",   "loading",  "warming", "ready",
                                        "draining", "unloaded", "failed"};
    return names[state];
}

/* ---- loading, on the loader thread ----------------------------------------------------------- */

static bool on_progress(void *ctx, uint64_t done_bytes, uint64_t total_bytes) {
    ag_served *s = ctx;
    atomic_store(&s->done_bytes, done_bytes);
    atomic_store(&s->total_bytes, total_bytes);
    return !atomic_load(&s->rt->closing);
}

static void note_result(void *ctx, const ag_result *result) { *(ag_result *)ctx = *result; }

/* One token, or one vector: what is loaded computes, and its pages and buffers are warm. */
static ag_code self_test(ag_engine *engine, const ag_engine_info *info, ag_err *err) {
    if (!info->generates) {
        float *out = ag_calloc(AG_ROOM_RUNTIME, info->n_embd, sizeof *out);
        ag_embed_input input = {.text = "Hello", .text_len = 5};
        ag_code code = out ? ag_engine_embed(engine, &input, 1, NULL, out, NULL, err)
                           : ag_fail(err, AG_E_NOMEM, "out of memory for a vector");
        ag_free(out);
        return code;
    }
    ag_result result = {0};
    ag_request_opts opts = ag_request_default();
    opts.prompt = "Hello";
    opts.prompt_len = 5;
    opts.max_tokens = 2;
    opts.sampling.temperature = 0;
    opts.on_done = note_result;
    opts.ctx = &result;
    ag_request *request;
    ag_code code = ag_engine_submit(engine, &opts, &request, err);
    if (code)
        return code;
    ag_request_wait(request);
    ag_request_release(&request);
    if (result.finish == AG_FINISH_ERROR)
        return ag_fail(err, result.err.code, "%s", result.err.msg);
    return result.n_generated || result.finish == AG_FINISH_STOP
               ? AG_OK
               : ag_fail(err, AG_E_CANCELLED, "nothing was generated");
}

static int32_t find_token(const void *ctx, ag_span text, bool *control) {
    return ag_engine_find_token(ctx, text.p, text.n, control);
}

static void set_state(ag_served *s, ag_served_state state) {
    pthread_mutex_lock(&s->rt->lock);
    s->state = state;
    pthread_mutex_unlock(&s->rt->lock);
}

static void status_of(const ag_served *s, ag_served_status *out) {
    bool alive = s->state == AG_SERVED_READY || s->state == AG_SERVED_DRAINING;
    uint64_t end = s->ended_at ? s->ended_at : ag_clock_us();
    *out = (ag_served_status){.decl = s->decl,
                              .state = s->state,
                              .done_bytes = atomic_load(&s->done_bytes),
                              .total_bytes = atomic_load(&s->total_bytes),
                              .elapsed_us = s->began_at ? end - s->began_at : 0,
                              .ready_s = s->ready_s,
                              .n_leases = s->n_leases,
                              .info = alive ? s->info : (ag_engine_info){0},
                              .sampling = s->sampling,
                              .err = s->err};
}

static void load(ag_served *s) {
    ag_runtime *rt = s->rt;
    ag_engine_opts opts = s->decl->opts;
    ag_err err = {0};
    ag_engine *engine = NULL;
    ag_engine_info info = {0};
    ag_answer_format format = {0};
    ag_sampling sampling = ag_sampling_default();
    opts.on_progress = on_progress;
    opts.progress_ctx = s;
    opts.executor = rt->executor;
    ag_log(&rt->opts.log, AG_LOG_INFO, "runtime", "loading %s", s->decl->name);
    ag_code code = ag_engine_open(&opts, &engine, &err);
    if (!code) {
        ag_engine_get_info(engine, &info);
        ag_engine_get_sampling(engine, &sampling);
        format =
            ag_answer_format_detect(ag_str(ag_engine_chat_template(engine)), find_token, engine);
        set_state(s, AG_SERVED_WARMING);
        code = self_test(engine, &info, &err);
        if (code)
            ag_err_wrap(&err, code, "the self-test");
    }
    if (code)
        ag_engine_close(&engine);
    ag_served_status status;
    pthread_mutex_lock(&rt->lock);
    s->state = code ? AG_SERVED_FAILED : AG_SERVED_READY;
    s->ended_at = ag_clock_us();
    s->ready_s = code ? s->ready_s : (uint64_t)time(NULL);
    s->engine = engine;
    s->info = info;
    s->sampling = sampling;
    s->format = format;
    s->err = err;
    status_of(s, &status);
    pthread_mutex_unlock(&rt->lock);
    ag_log(&rt->opts.log, code ? AG_LOG_ERROR : AG_LOG_INFO, "runtime", "%s is %s after %.1f s%s%s",
           s->decl->name, ag_served_state_name(status.state), (double)status.elapsed_us / 1e6,
           code ? ": " : "", code ? err.msg : "");
    if (rt->opts.on_state)
        rt->opts.on_state(rt->opts.ctx, &status);
}

static void unload(ag_served *s) {
    ag_engine_close(&s->engine);
    ag_log(&s->rt->opts.log, AG_LOG_INFO, "runtime", "%s is unloaded", s->decl->name);
    set_state(s, AG_SERVED_UNLOADED);
}

/* What to do next, with the lock held. */
static ag_served *find_work(ag_runtime *rt, void (**job)(ag_served *)) {
    for (size_t i = 0; i < rt->opts.n_models; i++) {
        ag_served *s = &rt->served[i];
        if (s->unwanted && s->n_leases == 0) {
            s->unwanted = false;
            *job = unload;
            return s;
        }
        if (s->wanted && s->state != AG_SERVED_DRAINING && !rt->draining) {
            s->wanted = false;
            s->state = AG_SERVED_LOADING;
            s->began_at = ag_clock_us();
            s->ended_at = 0;
            s->err = (ag_err){0};
            atomic_store(&s->done_bytes, 0);
            atomic_store(&s->total_bytes, 0);
            *job = load;
            return s;
        }
    }
    return NULL;
}

static void *loader_main(void *arg) {
    ag_runtime *rt = arg;
    pthread_mutex_lock(&rt->lock);
    while (!atomic_load(&rt->closing)) {
        void (*job)(ag_served *);
        ag_served *s = find_work(rt, &job);
        if (!s) {
            pthread_cond_wait(&rt->work, &rt->lock);
            continue;
        }
        pthread_mutex_unlock(&rt->lock);
        job(s);
        pthread_mutex_lock(&rt->lock);
    }
    pthread_mutex_unlock(&rt->lock);
    return NULL;
}

/* ---- opening and closing --------------------------------------------------------------------- */

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
    pthread_mutex_init(&rt->lock, NULL);
    pthread_cond_init(&rt->work, NULL);
    for (size_t i = 0; i < opts->n_models; i++) {
        served[i].rt = rt;
        served[i].decl = &opts->models[i];
        served[i].wanted = !opts->models[i].lazy;
    }
    code = ag_executor_open(opts->n_threads, &rt->executor, err);
    if (!code && pthread_create(&rt->loader, NULL, loader_main, rt) != 0)
        code = ag_fail(err, AG_E_IO, "the loader thread cannot be started");
    if (code) {
        free_runtime(rt);
        return code;
    }
    pthread_setname_np(rt->loader, "ag-loader");
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
    else if (s->state == AG_SERVED_READY)
        s->n_leases++;
    else {
        if (s->state == AG_SERVED_ABSENT || s->state == AG_SERVED_UNLOADED) {
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
    if (--s->n_leases == 0 && s->unwanted)
        pthread_cond_signal(&s->rt->work);
    pthread_mutex_unlock(&s->rt->lock);
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

ag_code ag_runtime_unload(ag_runtime *rt, const char *name, ag_err *err) {
    size_t i = ag_runtime_find(rt, name);
    if (i == SIZE_MAX)
        return not_found(rt, name, err);
    ag_served *s = &rt->served[i];
    pthread_mutex_lock(&rt->lock);
    s->wanted = false;
    if (s->state == AG_SERVED_READY) {
        s->state = AG_SERVED_DRAINING;
        s->unwanted = true;
        pthread_cond_signal(&rt->work);
    }
    pthread_mutex_unlock(&rt->lock);
    return AG_OK;
}

size_t ag_runtime_n(const ag_runtime *rt) { return rt->opts.n_models; }

void ag_runtime_status(ag_runtime *rt, size_t i, ag_served_status *out) {
    pthread_mutex_lock(&rt->lock);
    status_of(&rt->served[i], out);
    pthread_mutex_unlock(&rt->lock);
}

bool ag_runtime_is_ready(ag_runtime *rt) {
    pthread_mutex_lock(&rt->lock);
    bool ready = !rt->draining;
    for (size_t i = 0; i < rt->opts.n_models && ready; i++)
        ready = rt->served[i].state == AG_SERVED_READY || rt->opts.models[i].lazy;
    pthread_mutex_unlock(&rt->lock);
    return ready;
}
