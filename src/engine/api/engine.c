/* Opening and closing an engine: options are checked, the file is opened, then everything is built
 * from the bottom up; closing takes it down in reverse. */
#include "api/engine.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/system.h"
#include "base/utf8.h"

#define MAX_SEQUENCES    1024u
#define MAX_BATCH_TOKENS 65536u
#define MAX_QUEUED       65536u

/* Smaller weights are packed in some ten milliseconds. */
#define LEAST_IMAGE_BYTES ((uint64_t)16 << 20)
#define USUAL_CACHE_BYTES ((uint64_t)32 << 30)

ag_engine_opts ag_engine_default(void) { return (ag_engine_opts){0}; }

static ag_code choose(const char *field, const char *value, const char *const *names, int n,
                      int *out, ag_err *err) {
    for (int i = 0; i < n; i++)
        if (strcasecmp(value, names[i]) == 0) {
            *out = i;
            return AG_OK;
        }
    char list[128] = "";
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        int k = snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", names[i]);
        at += k > 0 ? (size_t)k : 0;
    }
    return ag_fail(err, AG_E_ARG, "%s is \"%s\"; expected one of: %s", field, value, list);
}

/* Does the model's own advice on sampling count? */
static ag_code choose_own(const ag_engine_opts *o, bool *counts, ag_err *err) {
    static const char *const names[] = {"auto", "none"};
    int which = 0;
    ag_code code = o->generation_config
                       ? choose("generation_config", o->generation_config, names, 2, &which, err)
                       : AG_OK;
    *counts = which == 0;
    return code;
}

static ag_code choose_mix(const ag_engine_opts *o, ag_core_opts *c, ag_err *err) {
    char list[256];
    if (!o->quantize || !*o->quantize || strcasecmp(o->quantize, "none") == 0)
        return AG_OK;
    c->quantize = ag_mix_find(o->quantize);
    ag_mix_list(list, sizeof list);
    if (!c->quantize)
        return ag_fail(err, AG_E_ARG, "quantize is \"%s\"; expected none or one of: %s",
                       o->quantize, list);
    return AG_OK;
}

static ag_code choose_types(const ag_engine_opts *o, ag_core_opts *c, ag_err *err) {
    static const char *const kv_names[] = {"f32", "f16", "bf16", "q8_0"};
    static const char *const dtype_names[] = {"auto", "f32", "f16", "bf16"};
    static const int dtypes[] = {AG_DTYPE_KEEP, AG_T_F32, AG_T_F16, AG_T_BF16};
    int kv = AG_KV_F16, dtype = 0;
    ag_code code = AG_OK;
    if (o->kv_type)
        code = choose("kv_type", o->kv_type, kv_names, 4, &kv, err);
    if (!code && o->dtype)
        code = choose("dtype", o->dtype, dtype_names, 4, &dtype, err);
    c->kv_type = (ag_kv_type)kv;
    c->dtype = dtypes[dtype];
    return code ? code : choose_mix(o, c, err);
}

static ag_code choose_kernels(const ag_engine_opts *o, ag_core_opts *c, ag_err *err) {
    c->kernels = ag_kernels_get(o->isa);
    if (c->kernels)
        return AG_OK;
    char list[96] = "";
    size_t at = 0;
    const char *const *names;
    int n = ag_kernels_tiers(&names);
    for (int i = 0; i < n && at < sizeof list; i++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", i ? ", " : "", names[i]);
    return ag_fail(err, AG_E_ARG, "isa \"%s\" is not available on this CPU; it has: %s", o->isa,
                   list);
}

static ag_code check_range(const char *field, uint64_t value, uint64_t max, ag_err *err) {
    if (value <= max)
        return AG_OK;
    return ag_fail(err, AG_E_ARG, "%s is %llu, expected up to %llu", field,
                   (unsigned long long)value, (unsigned long long)max);
}

static ag_code check_speculate(int32_t n, ag_err *err) {
    if (n >= -1 && n <= AG_MAX_DRAFT)
        return AG_OK;
    return ag_fail(err, AG_E_ARG, "speculate is %d, expected -1 (off) to %d", n, AG_MAX_DRAFT);
}

/* The machine's nodes and which of them are used; by default a thread for each core there. */
static ag_code choose_threads(const char *numa, uint32_t wish, ag_numa_plan *plan, int *n_threads,
                              ag_err *err) {
    ag_code code = check_range("n_threads", wish, AG_POOL_MAX_THREADS, err);
    cpu_set_t cpus;
    ag_numa machine;
    ag_system_cpus(&cpus);
    ag_numa_read("", &cpus, &machine);
    if (!code)
        code = ag_numa_plan_make(&machine, numa, plan, err);
    if (code)
        return code;
    if (plan->how == AG_NUMA_ONE)
        cpus = plan->threads.nodes[0].cpus;
    int n = wish ? (int)wish : ag_system_cores(&cpus);
    *n_threads = n < AG_POOL_MAX_THREADS ? n : AG_POOL_MAX_THREADS;
    return AG_OK;
}

static ag_image_store images_of(const ag_engine_opts *o) {
    if (!ag_image_is_folder(o->image_cache))
        return (ag_image_store){0};
    return (ag_image_store){
        .folder = o->image_cache,
        .max_bytes = o->image_cache_bytes ? o->image_cache_bytes : USUAL_CACHE_BYTES,
        .min_bytes = LEAST_IMAGE_BYTES,
    };
}

static ag_code read_opts(const ag_engine_opts *o, const ag_logger *log, ag_core_opts *c,
                         int *n_threads, ag_err *err) {
    *c = (ag_core_opts){
        .log = log,
        .device_map = o->device_map,
        .memory_fraction = o->memory_fraction > 0 ? o->memory_fraction : 0.7,
        .max_context = (int)o->max_context_length,
        .max_sequences = (int)o->max_sequences,
        .kv_tokens = o->kv_tokens,
        .batch_tokens = o->batch_tokens ? (int)o->batch_tokens : 512,
        .images = images_of(o),
    };
    ag_code code;
    if (!o->model || !*o->model)
        return ag_fail(err, AG_E_ARG, "model: neither a path nor a name was given");
    if (isnan(o->memory_fraction) || o->memory_fraction < 0 || o->memory_fraction > 1)
        return ag_fail(err, AG_E_ARG, "memory_fraction is %g, expected above 0 and up to 1",
                       o->memory_fraction);
    if ((code = check_range("max_context_length", o->max_context_length, AG_MAX_CONTEXT, err)) ||
        (code = check_range("max_sequences", o->max_sequences, MAX_SEQUENCES, err)) ||
        (code = check_range("batch_tokens", o->batch_tokens, MAX_BATCH_TOKENS, err)) ||
        (code = check_range("max_queued_requests", o->max_queued_requests, MAX_QUEUED, err)) ||
        (code = check_speculate(o->speculate, err)) || (code = choose_types(o, c, err)) ||
        (code = choose_kernels(o, c, err)) ||
        (code = choose_threads(o->numa, o->n_threads, &c->numa, n_threads, err)))
        return code;
    c->memory_bytes = ag_system_memory();
    c->budget_bytes = (uint64_t)((double)c->memory_bytes * c->memory_fraction);
    if (o->memory_bytes) {
        c->budget_bytes = o->memory_bytes;
        c->memory_fraction = 0;
    }
    return AG_OK;
}

/* general.name, or the file's name without folders. */
static ag_code take_name(ag_engine *e, const char *path, ag_err *err) {
    const char *slash = strrchr(path, '/');
    ag_span name = ag_str(slash ? slash + 1 : path);
    ag_code code = ag_source_opt_str(e->core.file, "general.name", &name, err);
    if (code)
        return code;
    ag_buf buf;
    ag_buf_init(&buf, AG_ROOM_API, 4096);
    ag_utf8_repair(ag_span_sub(name, 0, 1024), &buf);
    e->name = ag_strndup(AG_ROOM_API, buf.p, buf.n);
    bool ok = !buf.failed && e->name;
    ag_buf_deinit(&buf);
    return ok ? AG_OK : ag_fail(err, AG_E_NOMEM, "out of memory while opening %s", path);
}

ag_code ag_executor_open(uint32_t n_threads, ag_executor **out, ag_err *err) {
    if (err)
        *err = (ag_err){0};
    *out = NULL;
    ag_numa_plan plan;
    int n;
    ag_code code = choose_threads(NULL, n_threads, &plan, &n, err);
    return code ? code : ag_executor_start(n, &plan, out, err);
}

void ag_executor_close(ag_executor **executor) {
    if (!executor)
        return;
    ag_executor_unref(*executor);
    *executor = NULL;
}

/* The caller's executor, which others may be using, or one of our own. */
static ag_code open_executor(ag_engine *e, const ag_engine_opts *o, int n_threads, ag_core_opts *co,
                             ag_err *err) {
    ag_code code = AG_OK;
    if (o->executor)
        e->executor = ag_executor_ref(o->executor);
    else
        code = ag_executor_start(n_threads, &co->numa, &e->executor, err);
    if (!code)
        co->pool = ag_executor_pool(e->executor);
    co->pool_is_shared = o->executor != NULL;
    return code;
}

/* What reads the file's texts, which one thread builds while the others bring the weights in. */
typedef struct text_opening {
    ag_engine *e;
    const ag_source *file;
    const char *chat_template;
    ag_progress_fn on_progress; /* the caller's */
    void *progress_ctx;
    ag_code code;
    ag_err err;
    atomic_bool failed; /* the weights are of no use */
} text_opening;

static void *open_text(void *arg) {
    text_opening *t = arg;
    t->code = ag_tokenizer_from_source(t->file, &t->e->tokenizer, &t->err);
    if (!t->code)
        t->code = ag_engine_open_chat(t->e, t->file, t->chat_template, &t->err);
    atomic_store(&t->failed, t->code != AG_OK);
    return NULL;
}

static bool go_on(void *ctx, uint64_t done_bytes, uint64_t total_bytes) {
    text_opening *t = ctx;
    return !atomic_load(&t->failed) &&
           (!t->on_progress || t->on_progress(t->progress_ctx, done_bytes, total_bytes));
}

/* Texts and weights, at the same time; what is wrong with the texts is told first. */
static ag_code open_contents(ag_engine *e, const ag_engine_opts *o, ag_source *file,
                             const ag_core_opts *co, ag_err *err) {
    text_opening t = {.e = e,
                      .file = file,
                      .chat_template = o->chat_template,
                      .on_progress = o->on_progress,
                      .progress_ctx = o->progress_ctx};
    ag_core_opts watched = *co;
    watched.on_progress = go_on;
    watched.progress_ctx = &t;
    pthread_t thread;
    bool beside = pthread_create(&thread, NULL, open_text, &t) == 0;
    if (!beside)
        open_text(&t);
    ag_code code = atomic_load(&t.failed) ? AG_OK : ag_core_open(&e->core, file, &watched, err);
    if (beside)
        pthread_join(thread, NULL);
    if (!e->core.file) /* it owns the file once it is open */
        ag_source_close(&file);
    if (t.code && err)
        *err = t.err;
    return t.code ? t.code : code;
}

static ag_code open_parts(ag_engine *e, const ag_engine_opts *o, const char *path, ag_core_opts *co,
                          ag_err *err) {
    ag_source *file = NULL;
    bool own;
    ag_code code = choose_own(o, &own, err);
    if (!code)
        code = ag_source_open(path, &file, err);
    if (code)
        return code;
    e->own = ag_sampling_default();
    if (own)
        ag_engine_take_sampling(e, file);
    if ((code = open_contents(e, o, file, co, err)) || (code = take_name(e, path, err)) ||
        (code = ag_sched_open(&e->core, e->tokenizer, e->executor,
                              &(ag_sched_opts){.max_requests = o->max_queued_requests,
                                               .max_tokens = o->max_queued_tokens,
                                               .itl_target_ms = o->itl_target_ms,
                                               .speculate = o->speculate},
                              &e->log, &e->sched, err)))
        return code;
    ag_log(&e->log, AG_LOG_INFO, "engine", "%s ready: %s, %d threads, %s kernels, context %d",
           e->name, e->core.model.config.arch->name, ag_pool_threads(co->pool), co->kernels->isa,
           e->core.max_context);
    return AG_OK;
}

static ag_code measure(const ag_engine_opts *o, const char *path, const ag_core_opts *co,
                       int n_threads, ag_engine_needs *out, ag_err *err) {
    ag_core_needs n;
    ag_source *file = NULL;
    ag_code code = ag_source_open(path, &file, err);
    if (!code)
        code = ag_core_measure(
            file, co, o->executor ? ag_pool_threads(ag_executor_pool(o->executor)) : n_threads, &n,
            err);
    if (!code)
        *out =
            (ag_engine_needs){n.weight_bytes, n.scratch_bytes, n.least_kv_bytes, n.usual_kv_bytes};
    ag_source_close(&file);
    return code;
}

ag_code ag_engine_measure(const ag_engine_opts *o, ag_engine_needs *out, ag_err *err) {
    static const ag_logger silent = {0};
    ag_core_opts co;
    ag_model_ref *ref = NULL;
    int n_threads = 1;
    if (err)
        *err = (ag_err){0};
    *out = (ag_engine_needs){0};
    ag_code code = read_opts(o, &silent, &co, &n_threads, err);
    if (!code)
        code = ag_model_resolve(o->model, o->registry, &ref, err);
    if (!code)
        code = measure(o, ref->path, &co, n_threads, out, err);
    ag_model_ref_free(&ref);
    return code;
}

static ag_code open_model(ag_engine *e, const ag_engine_opts *o, ag_err *err) {
    ag_core_opts co;
    ag_model_ref *ref = NULL;
    int n_threads = 1;
    ag_code code = read_opts(o, &e->log, &co, &n_threads, err);
    if (!code)
        code = ag_model_resolve(o->model, o->registry, &ref, err);
    if (code)
        return code;
    if (ref->changed)
        ag_log(
            &e->log, AG_LOG_WARN, "names",
            "%s: its files have changed since they were registered; verify them or register them "
            "again",
            ref->name);
    else
        snprintf(e->digest, sizeof e->digest, "%s", ref->digest);
    co.images.digest = e->digest;
    code = open_executor(e, o, n_threads, &co, err);
    if (!code)
        code = open_parts(e, o, ref->path, &co, err);
    ag_model_ref_free(&ref);
    return code;
}

static void relay_log(void *ctx, ag_log_level level, const char *component, const char *line) {
    const ag_engine_opts *o = ctx;
    o->on_log(o->log_ctx, (int)level, component, line);
}

ag_code ag_engine_open(const ag_engine_opts *opts, ag_engine **out, ag_err *err) {
    if (err)
        *err = (ag_err){0};
    *out = NULL;
    ag_engine *e = ag_calloc(AG_ROOM_API, 1, sizeof *e);
    if (!e)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening a model");
    e->opts = *opts; /* for the log callback */
    if (opts->on_log)
        e->log = (ag_logger){relay_log, &e->opts, (ag_log_level)opts->log_level};
    ag_code code = open_model(e, opts, err);
    if (code) {
        ag_engine_close(&e);
        return code;
    }
    *out = e;
    return AG_OK;
}

void ag_engine_close(ag_engine **ep) {
    ag_engine *e = ep ? *ep : NULL;
    if (!e)
        return;
    ag_sched_close(&e->sched);
    ag_chat_free(&e->chat);
    ag_tokenizer_free(&e->tokenizer);
    ag_core_close(&e->core);
    ag_executor_unref(e->executor);
    ag_free(e->name);
    ag_free(e);
    *ep = NULL;
}

void ag_engine_get_info(const ag_engine *e, ag_engine_info *info) {
    const ag_model *m = &e->core.model;
    *info = (ag_engine_info){
        .architecture = m->config.arch->name,
        .name = e->name,
        .isa = m->kernels->isa,
        .n_vocab = (uint32_t)m->config.n_vocab,
        .n_layers = (uint32_t)m->config.n_layers,
        .n_embd = (uint32_t)m->config.n_embd,
        .context_length = (uint32_t)e->core.max_context,
        .train_context = (uint32_t)m->config.n_ctx,
        .n_threads = (uint32_t)ag_pool_threads(e->core.pool),
        .n_params = m->n_params,
        .file_bytes = ag_source_file_bytes(e->core.file),
        .weight_bytes = m->weight_bytes + m->vector_bytes,
        .weight_type = ag_type_find(m->main_type)->name,
        .bits_per_weight = m->bits_per_weight,
        .digest = e->digest,
        .kv_bytes = e->core.kv_bytes,
        .kv_tokens = (uint64_t)e->core.kv.n_blocks * AG_KV_BLOCK,
        .scratch_bytes = e->core.scratch.bytes,
        .has_chat_template = e->chat != NULL,
        .generates = !m->config.arch->encoder,
        .pooling = m->config.pooling,
        .device_map = e->core.device_map,
    };
}

void ag_engine_get_stats(const ag_engine *e, ag_engine_stats *stats) {
    ag_sched_get_stats(e->sched, stats);
}

#define TEXT_OF(x)      #x
#define DOTTED(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

const char *ag_version(void) {
    return DOTTED(AG_VERSION_MAJOR, AG_VERSION_MINOR, AG_VERSION_PATCH);
}
