/* The loader: the one thread that opens and closes engines. It asks for memory first (memory.h),
 * and unloads what has been idle for too long. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/span.h"
#include "runtime/parts.h"

#define SECOND_US ((uint64_t)1000000)
/* A model that was loaded because somebody asked stays so long for them to come back. */
#define GRACE_US (30 * SECOND_US)

/* ---- one model ------------------------------------------------------------------------------- */

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
    int32_t *ids = NULL;
    size_t n = 0;
    ag_code code = ag_engine_tokenize(engine, "Hello", 5, true, false, &ids, &n, err);
    if (code)
        return code;
    ag_request_opts opts = ag_request_default();
    opts.prompt_ids = ids;
    opts.n_prompt_ids = n > 0; /* the kernels read weights fastest for one token */
    opts.max_tokens = 1;
    opts.sampling.temperature = 0;
    opts.on_done = note_result;
    opts.ctx = &result;
    ag_request *request;
    code = ag_engine_submit(engine, &opts, &request, err);
    ag_ids_free(ids);
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

static ag_engine_opts opts_of(const ag_served *s) {
    ag_engine_opts opts = s->decl->opts;
    opts.executor = s->rt->executor;
    return opts;
}

/* Open it within so many bytes (0: as its options say) and say how that went. */
static void load(ag_served *s, uint64_t limit_bytes) {
    ag_runtime *rt = s->rt;
    ag_engine_opts opts = opts_of(s);
    ag_err err = {0};
    ag_engine *engine = NULL;
    ag_engine_info info = {0};
    ag_answer_format format = {0};
    ag_sampling sampling = ag_sampling_default();
    opts.on_progress = on_progress;
    opts.progress_ctx = s;
    opts.memory_bytes = limit_bytes;
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
    s->ended_at = s->used_at = ag_clock_us();
    s->was_used = s->measured = false;
    s->ready_s = code ? s->ready_s : (uint64_t)time(NULL);
    s->engine = engine;
    s->info = info;
    s->sampling = sampling;
    s->format = format;
    s->err = err;
    ag_served_get_status(s, &status);
    pthread_mutex_unlock(&rt->lock);
    ag_log(&rt->opts.log, code ? AG_LOG_ERROR : AG_LOG_INFO, "runtime", "%s is %s after %.1f s%s%s",
           s->decl->name, ag_served_state_name(status.state), (double)status.elapsed_us / 1e6,
           code ? ": " : "", code ? err.msg : "");
    if (rt->opts.on_state)
        rt->opts.on_state(rt->opts.ctx, &status);
}

/* Its state is DRAINING, and nobody has a lease. */
static void unload(ag_served *s, ag_unload why) {
    static const char *const reasons[AG_UNLOAD_COUNT] = {
        [AG_UNLOAD_IDLE] = "nobody used it",
        [AG_UNLOAD_MEMORY] = "another needs its memory",
    };
    ag_engine_close(&s->engine);
    ag_mem_trim();
    ag_log(&s->rt->opts.log, AG_LOG_INFO, "runtime", "%s is unloaded: %s", s->decl->name,
           reasons[why]);
    pthread_mutex_lock(&s->rt->lock);
    s->state = AG_SERVED_UNLOADED;
    s->n_unloads[why]++;
    pthread_mutex_unlock(&s->rt->lock);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What a model needs cannot be known when its file is not there yet, say; that is told when it is
 * to be loaded. */
static void measure(ag_served *s) {
    ag_engine_opts opts = opts_of(s);
    ag_engine_needs needs;
    if (ag_engine_measure(&opts, &needs, NULL))
        needs = (ag_engine_needs){0};
    pthread_mutex_lock(&s->rt->lock);
    s->needs = needs;
    pthread_mutex_unlock(&s->rt->lock);
}

static uint64_t held_bytes(const ag_served *s) {
    bool alive = s->state == AG_SERVED_READY || s->state == AG_SERVED_DRAINING;
    return alive ? s->info.weight_bytes + s->info.scratch_bytes + s->info.kv_bytes : 0;
}

static ag_memory_model view(const ag_served *s, uint64_t now) {
    bool used = s->was_used || now - s->used_at > GRACE_US;
    return (ag_memory_model){.fixed_bytes = s->needs.weight_bytes + s->needs.scratch_bytes,
                             .least_kv_bytes = s->needs.least_kv_bytes,
                             .usual_kv_bytes = s->needs.usual_kv_bytes,
                             .held_bytes = held_bytes(s),
                             .used_at = s->used_at,
                             .at_start = s->wanted && !s->decl->lazy,
                             .may_unload = s->decl->lazy || s->decl->idle_ms > 0,
                             .is_idle = s->state == AG_SERVED_READY && s->n_leases == 0 && used};
}

static double mib(uint64_t bytes) { return (double)bytes / (1 << 20); }

/* Why it cannot be loaded, with the numbers. */
static ag_code refuse(const ag_served *s, const ag_memory_answer *a, ag_err *err) {
    const ag_runtime *rt = s->rt;
    const ag_engine_needs *n = &s->needs;
    ag_buf others;
    ag_buf_init(&others, AG_ROOM_RUNTIME, 200); /* as many as there is room for */
    for (size_t i = 0; i < rt->opts.n_models; i++)
        if (held_bytes(&rt->served[i]) > 0)
            ag_buf_addf(&others, "%s%.40s has %.1f", others.n ? ", " : "", rt->served[i].decl->name,
                        mib(held_bytes(&rt->served[i])));
    ag_code code = ag_fail(
        err, a->verdict == AG_MEMORY_WAIT ? AG_E_AGAIN : AG_E_BUDGET,
        "%.1f MiB are needed (weights %.1f, work %.1f, KV %.1f), %.1f of %.1f are free%s%.*s%s",
        mib(n->weight_bytes + n->scratch_bytes + n->least_kv_bytes), mib(n->weight_bytes),
        mib(n->scratch_bytes), mib(n->least_kv_bytes), mib(a->free_bytes),
        mib(rt->opts.budget_bytes), others.n ? ": " : "", AG_SPAN(ag_buf_span(&others)),
        a->verdict == AG_MEMORY_WAIT ? ", in use" : "");
    ag_buf_deinit(&others);
    return code;
}

/* One look at the budget; the lock is held. The state of a victim is DRAINING afterwards. */
static ag_memory_answer look(ag_served *s, ag_memory_model *views, ag_err *err) {
    ag_runtime *rt = s->rt;
    uint64_t now = ag_clock_us();
    for (size_t i = 0; i < rt->opts.n_models; i++)
        views[i] = view(&rt->served[i], now);
    ag_memory_answer a =
        ag_memory_ask(views, rt->opts.n_models, (size_t)(s - rt->served), rt->opts.budget_bytes);
    if (a.verdict == AG_MEMORY_EVICT)
        rt->served[a.victim].state = AG_SERVED_DRAINING;
    else if (a.verdict != AG_MEMORY_FITS)
        (void)refuse(s, &a, err);
    return a;
}

/* Make room for a model. AG_E_AGAIN, AG_E_BUDGET, AG_E_NOMEM. */
static ag_code make_room(ag_served *s, uint64_t *limit_bytes, ag_err *err) {
    ag_runtime *rt = s->rt;
    *limit_bytes = rt->opts.budget_bytes;
    if (rt->opts.n_models == 1 || !rt->opts.budget_bytes)
        return AG_OK;
    ag_memory_model *views = ag_calloc(AG_ROOM_RUNTIME, rt->opts.n_models, sizeof *views);
    if (!views)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu models", rt->opts.n_models);
    if (!s->measured)
        measure(s);
    s->measured = true; /* while it waits */
    ag_memory_answer a;
    do {
        pthread_mutex_lock(&rt->lock);
        a = look(s, views, err);
        pthread_mutex_unlock(&rt->lock);
        if (a.verdict == AG_MEMORY_EVICT)
            unload(&rt->served[a.victim], AG_UNLOAD_MEMORY);
    } while (a.verdict == AG_MEMORY_EVICT);
    ag_free(views);
    *limit_bytes = a.limit_bytes ? a.limit_bytes : 1; /* 0 would be no limit */
    return a.verdict == AG_MEMORY_FITS   ? AG_OK
           : a.verdict == AG_MEMORY_WAIT ? AG_E_AGAIN
                                         : AG_E_BUDGET;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void try_to_load(ag_served *s) {
    ag_runtime *rt = s->rt;
    ag_served_status status;
    uint64_t limit_bytes;
    ag_err err = {0};
    ag_code code = make_room(s, &limit_bytes, &err);
    if (!code) {
        load(s, limit_bytes);
        return;
    }
    pthread_mutex_lock(&rt->lock);
    s->ended_at = ag_clock_us();
    s->err = err;
    s->state = code != AG_E_AGAIN ? AG_SERVED_FAILED
               : s->ready_s       ? AG_SERVED_UNLOADED
                                  : AG_SERVED_ABSENT;
    ag_served_get_status(s, &status);
    pthread_mutex_unlock(&rt->lock);
    ag_log(&rt->opts.log, code == AG_E_AGAIN ? AG_LOG_WARN : AG_LOG_ERROR, "runtime",
           "%s is not loaded: %s", s->decl->name, err.msg);
    if (code != AG_E_AGAIN && rt->opts.on_state)
        rt->opts.on_state(rt->opts.ctx, &status);
}

static void unload_idle(ag_served *s) { unload(s, AG_UNLOAD_IDLE); }

/* When it will have been idle for too long; UINT64_MAX: never. */
static uint64_t idle_end(const ag_served *s) {
    bool can = s->state == AG_SERVED_READY && s->decl->idle_ms > 0;
    return can ? s->used_at + (uint64_t)s->decl->idle_ms * 1000 : UINT64_MAX;
}

/* What to do next, with the lock held. Models that load at start come first: they are nobody's to
 * unload, so they must not find the others' memory taken. */
static ag_served *find_work(ag_runtime *rt, void (**job)(ag_served *)) {
    uint64_t now = ag_clock_us();
    ag_served *to_load = NULL;
    for (size_t i = 0; i < rt->opts.n_models; i++) {
        ag_served *s = &rt->served[i];
        if (rt->draining)
            break;
        if (s->n_leases == 0 && idle_end(s) <= now) {
            s->state = AG_SERVED_DRAINING;
            *job = unload_idle;
            return s;
        }
        if (s->wanted && (!to_load || (to_load->decl->lazy && !s->decl->lazy)))
            to_load = s;
    }
    if (!to_load)
        return NULL;
    to_load->wanted = false;
    to_load->state = AG_SERVED_LOADING;
    to_load->began_at = now;
    to_load->ended_at = 0;
    to_load->err = (ag_err){0};
    atomic_store(&to_load->done_bytes, 0);
    atomic_store(&to_load->total_bytes, 0);
    *job = try_to_load;
    return to_load;
}

/* Until there is work, or a model may have been idle for long; the lock is held. One that is in use
 * for longer than it may be idle is looked at each second. */
static void wait_for_work(ag_runtime *rt) {
    uint64_t now = ag_clock_us(), until = UINT64_MAX;
    for (size_t i = 0; i < rt->opts.n_models; i++) {
        uint64_t end = idle_end(&rt->served[i]);
        if (end <= now)
            end = now + SECOND_US;
        until = end < until ? end : until;
    }
    if (until == UINT64_MAX || rt->draining) {
        pthread_cond_wait(&rt->work, &rt->lock);
        return;
    }
    struct timespec t = {.tv_sec = (time_t)(until / SECOND_US),
                         .tv_nsec = (long)(until % SECOND_US * 1000)};
    pthread_cond_timedwait(&rt->work, &rt->lock, &t);
}

void *ag_runtime_load_models(void *arg) {
    ag_runtime *rt = arg;
    pthread_setname_np(pthread_self(), "ag-loader");
    for (size_t i = 0; rt->opts.n_models > 1 && rt->opts.budget_bytes && i < rt->opts.n_models; i++)
        if (!atomic_load(&rt->closing))
            measure(&rt->served[i]);
    pthread_mutex_lock(&rt->lock);
    while (!atomic_load(&rt->closing)) {
        void (*job)(ag_served *);
        ag_served *s = find_work(rt, &job);
        if (!s) {
            wait_for_work(rt);
            continue;
        }
        pthread_mutex_unlock(&rt->lock);
        job(s);
        pthread_mutex_lock(&rt->lock);
    }
    pthread_mutex_unlock(&rt->lock);
    return NULL;
}
