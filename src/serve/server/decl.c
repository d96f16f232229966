/* From the configuration's models to the runtime's. */
#include "base/file.h"
#include "base/limits.h"
#include "base/mem.h"
#include "server/parts.h"

static void on_engine_log(void *ctx, int level, const char *component, const char *line) {
    ag_logs_put(ctx, (ag_log_level)level, component, line, NULL, 0);
}

static void fill_opts(const ag_server *s, const ag_config *c, const ag_config_model *m,
                      ag_engine_opts *o) {
    *o = ag_engine_default();
    o->model = m->path;
    o->registry = c->registry;
    o->image_cache = c->image_cache;
    o->image_cache_bytes = c->image_cache_size;
    o->device_map = m->device_map;
    o->max_context_length = ag_server_u32(m->context);
    o->max_sequences = ag_server_u32(m->sequences);
    o->kv_tokens = m->kv_tokens;
    o->batch_tokens = ag_server_u32(m->batch_tokens);
    o->kv_type = m->kv_type;
    o->dtype = m->dtype;
    o->quantize = m->quantize;
    o->generation_config = m->generation_config;
    o->memory_fraction = c->memory_fraction;
    o->numa = c->numa;
    o->isa = c->isa;
    o->max_queued_requests = ag_server_u32(c->max_queued_requests);
    o->max_queued_tokens = c->max_queued_tokens;
    o->itl_target_ms = ag_server_u32(c->itl_target);
    o->on_log = on_engine_log;
    o->log_ctx = s->opts.logs;
    o->log_level = AG_LOG_DEBUG; /* the log's own levels decide */
}

static ag_code declare(ag_server *s, const ag_config *c, size_t i, ag_err *err) {
    const ag_config_model *m = &c->models[i];
    ag_served_decl *d = &s->decls[i];
    d->name = m->name;
    d->aliases = m->aliases.v;
    d->n_aliases = m->aliases.n;
    d->lazy = !strcmp(m->load, "lazy");
    d->idle_ms = ag_server_u32(m->idle_unload);
    fill_opts(s, c, m, &d->opts);
    ag_buf_init(&s->templates[i], AG_ROOM_RUNTIME, AG_MAX_TEMPLATE_BYTES);
    if (!m->chat_template)
        return AG_OK;
    ag_code code = ag_file_read(m->chat_template, &s->templates[i], err);
    d->opts.chat_template = code ? NULL : ag_buf_cstr(&s->templates[i]);
    if (!code && !d->opts.chat_template)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for %s", m->chat_template);
    return code;
}

ag_code ag_server_declare(ag_server *s, ag_err *err) {
    const ag_config *c = s->opts.config;
    s->n_models = c->n_models;
    s->decls = ag_calloc(AG_ROOM_RUNTIME, c->n_models, sizeof *s->decls);
    s->templates = ag_calloc(AG_ROOM_RUNTIME, c->n_models, sizeof *s->templates);
    if (!s->decls || !s->templates)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu models", c->n_models);
    ag_code code = AG_OK;
    for (size_t i = 0; i < c->n_models && !code; i++)
        code = declare(s, c, i, err);
    return code;
}

void ag_server_undeclare(ag_server *s) {
    for (size_t i = 0; i < s->n_models && s->templates; i++)
        ag_buf_deinit(&s->templates[i]);
    ag_free(s->templates);
    ag_free(s->decls);
}
