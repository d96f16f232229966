#include "cli/engine.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/limits.h"
#include "base/log.h"
#include "cli/input.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "cli/registry.h"

static void on_log(void *ctx, int level, const char *component, const char *line) {
    (void)ctx;
    (void)level;
    ag_cli_note("%s: %s", component, line);
}

/* The template file's text into `text`; NULL in *source when the option is not given. */
static int read_template(const ag_cli_args *a, ag_buf *text, const char **source) {
    ag_err err = {0};
    *source = NULL;
    if (!a->chat_template)
        return AG_CLI_DONE;
    if (ag_file_read(a->chat_template, text, &err) ||
        ag_cli_check_utf8(ag_buf_span(text), a->chat_template, &err))
        return ag_cli_fail(&err);
    *source = ag_buf_cstr(text);
    if (*source)
        return AG_CLI_DONE;
    ag_fail(&err, AG_E_NOMEM, "out of memory reading %s", a->chat_template);
    return ag_cli_fail(&err);
}

const char *ag_cli_image_cache(const ag_cli_args *a) {
    static char path[PATH_MAX];
    if (a->image_cache)
        return a->image_cache;
    return ag_cli_user_path(path, "XDG_CACHE_HOME", ".cache", "autoglm/images") ? path : NULL;
}

static int read_opts(const ag_cli_args *a, const ag_cli_need *need, ag_buf *text,
                     ag_engine_opts *opts) {
    const char *tier = NULL, *model = ag_cli_model(a), *source = NULL;
    int status = model ? ag_cli_tier(a, &tier) : AG_CLI_USAGE;
    if (!status)
        status = read_template(a, text, &source);
    *opts = ag_engine_default();
    opts->model = model;
    opts->registry = ag_cli_registry(a, NULL);
    if (!need->measured || a->image_cache)
        opts->image_cache = ag_cli_image_cache(a);
    opts->device_map = a->device_map;
    opts->max_context_length = a->ctx ? a->ctx : need->ctx;
    opts->max_sequences = need->sequences;
    opts->kv_tokens = need->kv_tokens;
    opts->kv_type = a->kv_type;
    opts->dtype = a->dtype;
    opts->quantize = a->quantize;
    opts->memory_fraction = a->memory_fraction;
    opts->n_threads = a->threads;
    opts->numa = a->numa;
    opts->batch_tokens = a->batch_tokens;
    opts->itl_target_ms = need->measured ? UINT32_MAX : 0;
    opts->speculate = need->measured ? -1 : 0;
    opts->isa = tier;
    opts->chat_template = source;
    opts->generation_config = a->generation_config;
    opts->on_log = on_log;
    opts->log_level = a->verbose ? AG_LOG_INFO : AG_LOG_WARN;
    return status;
}

int ag_cli_engine_open(const ag_cli_args *a, const ag_cli_need *need, ag_engine **out,
                       uint64_t *load_us) {
    ag_err err = {0};
    ag_buf text;
    ag_engine_opts opts;
    ag_buf_init(&text, AG_ROOM_CLI, AG_MAX_TEMPLATE_BYTES);
    int status = read_opts(a, need, &text, &opts);
    if (status)
        goto out;
    ag_cli_progress bar;
    ag_cli_progress_begin(&bar, "loading", a->verbose);
    opts.on_progress =
        a->verbose || (ag_cli_may_colour(STDERR_FILENO) && !a->quiet) ? ag_cli_progress_tell : NULL;
    opts.progress_ctx = &bar;
    ag_code code = ag_engine_open(&opts, out, &err);
    ag_cli_progress_end(&bar);
    if (code)
        status = ag_cli_fail(&err);
    if (load_us)
        *load_us = ag_clock_us() - bar.began_at;
out:
    ag_buf_deinit(&text);
    return status;
}

/* "ID=X" */
static bool parse_bias(const char *text, ag_logit_bias *bias) {
    char *end = NULL;
    long id = strtol(text, &end, 10);
    if (end == text || *end != '=' || id < 0 || id > INT32_MAX)
        return false;
    const char *value = end + 1;
    float x = strtof(value, &end);
    if (end == value || *end || isnan(x) || (isinf(x) && x > 0))
        return false;
    *bias = (ag_logit_bias){.id = (int32_t)id, .bias = x};
    return true;
}

int ag_cli_sampling(const ag_cli_args *a, ag_logit_bias *bias, ag_sampling *s) {
    *s = ag_sampling_default();
    s->temperature = a->temp;
    s->top_k = a->top_k;
    s->top_p = a->top_p;
    s->min_p = a->min_p;
    s->typical_p = a->typical;
    s->repetition_penalty = a->repeat_penalty;
    s->penalty_last_n = a->repeat_last_n;
    s->frequency_penalty = a->frequency_penalty;
    s->presence_penalty = a->presence_penalty;
    s->seed = a->seed;
    s->has_seed = ag_cli_given(a, "seed");
    s->mirostat = a->mirostat && strcmp(a->mirostat, "2") == 0 ? 2 : 0;
    s->mirostat_tau = a->mirostat_tau;
    s->mirostat_eta = a->mirostat_eta;
    s->dry_multiplier = a->dry_multiplier;
    s->dry_base = a->dry_base;
    s->dry_allowed_length = a->dry_allowed_length;
    s->dry_penalty_last_n = a->dry_last_n;
    s->dry_breakers = a->dry_breakers.n ? a->dry_breakers.v : NULL;
    s->n_dry_breakers = a->dry_breakers.n;
    s->xtc_probability = a->xtc_probability;
    s->xtc_threshold = a->xtc_threshold;
    for (size_t i = 0; i < a->logit_bias.n; i++)
        if (!parse_bias(a->logit_bias.v[i], &bias[i]))
            return ag_cli_usage("--logit-bias: expected ID=X, as 42=-1.5 or 42=-inf, found \"%s\"",
                                a->logit_bias.v[i]);
    s->logit_bias = a->logit_bias.n ? bias : NULL;
    s->n_logit_bias = a->logit_bias.n;
    return AG_CLI_DONE;
}

void ag_cli_sampling_of_model(const ag_cli_args *a, const ag_engine *engine, ag_sampling *s) {
    ag_sampling own = *s;
    ag_engine_get_sampling(engine, &own);
#define OWN(option, field) s->field = ag_cli_given(a, option) ? s->field : own.field
    OWN("temp", temperature);
    OWN("top-k", top_k);
    OWN("top-p", top_p);
    OWN("min-p", min_p);
    OWN("repeat-penalty", repetition_penalty);
    OWN("repeat-last-n", penalty_last_n);
    OWN("xtc-probability", xtc_probability);
    OWN("xtc-threshold", xtc_threshold);
    OWN("mirostat", mirostat);
    OWN("mirostat-tau", mirostat_tau);
    OWN("mirostat-eta", mirostat_eta);
#undef OWN
}
