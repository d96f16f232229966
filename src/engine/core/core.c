#include "core/core.h"

#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"
#include "core/budget.h"
#include "core/devices.h"

#define EMBEDDED_ROWS 512 /* 64 KiB each: 32 MiB at most */

static ag_code open_buffers(ag_core *core, const ag_core_opts *o, const ag_budget *b, ag_err *err) {
    core->max_context = b->max_context;
    ag_rope_fit(&core->model.rope_full, b->max_context);
    ag_rope_fit(&core->model.rope_local, b->max_context);
    core->kv_bytes = b->kv_bytes;
    core->max_runs = core->max_logits = o->max_sequences;
    core->batch_tokens = b->batch_tokens;
    core->runs = ag_calloc(AG_ROOM_CORE, (size_t)core->max_runs, sizeof *core->runs);
    core->logit_rows = ag_calloc(AG_ROOM_CORE, (size_t)core->max_logits, sizeof(int));
    if (!core->runs || !core->logit_rows)
        return ag_fail(err, AG_E_NOMEM, "out of memory while opening the model");
    ag_code code = ag_kv_open(&core->kv, &b->kv_shape, b->kv_blocks, err);
    if (!code && !ag_numa_place(&core->numa, core->kv.memory, b->kv_bytes))
        ag_log(o->log, AG_LOG_WARN, "numa",
               "the system refuses to place pages, so they come from where they are first used; "
               "containers need CAP_SYS_NICE for it");
    if (!code)
        code = ag_scratch_init(&core->scratch, &core->model, b->kv_shape.ops, b->batch_tokens,
                               core->max_logits, ag_pool_threads(core->pool), err);
    return code;
}

/* What the kind of model decides. An encoder's input must fit in one step and has no positions
 * beyond its table; its keys live for one layer, so their precision costs nothing. */
static ag_core_opts settle(const ag_core_opts *wished, const ag_model_config *c) {
    ag_core_opts o = *wished;
    bool encoder = c->arch->encoder;
    if (o.max_sequences == 0)
        o.max_sequences = encoder ? AG_ENCODER_SEQUENCES : AG_USUAL_SEQUENCES;
    if (!encoder)
        return o;
    if (o.max_context > c->n_ctx) {
        ag_log(o.log, AG_LOG_WARN, "memory", "this encoder's context is %d tokens, not %d",
               c->n_ctx, o.max_context);
        o.max_context = c->n_ctx;
    }
    int context = o.max_context ? o.max_context : c->n_ctx;
    if (o.batch_tokens < context)
        o.batch_tokens = context;
    o.kv_type = AG_KV_F32;
    o.kv_tokens = 0;
    return o;
}

/* Which device holds what; see core/devices.h. */
static ag_code place(ag_core *core, const ag_core_opts *o, ag_err *err) {
    const ag_model_config *c = &core->model.config;
    char text[600];
    ag_code code = ag_device_map_resolve(o->device_map, c->n_layers, !c->arch->encoder,
                                         &core->device_map, err);
    if (!code)
        ag_log(o->log, AG_LOG_INFO, "devices", "%s", core->device_map);
    ag_numa_describe(&core->numa, text, sizeof text);
    if (!code)
        ag_log(o->log, AG_LOG_INFO, "numa", "%s", text);
    return code;
}

ag_code ag_core_measure(const ag_source *file, const ag_core_opts *wished, int n_threads,
                        ag_core_needs *out, ag_err *err) {
    ag_model_opts mo = {.kernels = wished->kernels,
                        .dtype = wished->dtype,
                        .quantize = wished->quantize,
                        .numa = &wished->numa};
    ag_model model;
    ag_binding *plan = NULL;
    ag_code code = ag_model_bind(file, &mo, &model, &plan, err);
    if (!code) {
        const ag_core_opts o = settle(wished, &model.config);
        ag_budget_needs(out, &model, &o, n_threads);
    }
    ag_binding_free(&plan);
    ag_model_close(&model);
    return code;
}

/* Opening failed: the file stays the caller's. */
static void give_up(ag_core *core) {
    core->file = NULL;
    ag_core_close(core);
}

ag_code ag_core_open(ag_core *core, ag_source *file, const ag_core_opts *wished, ag_err *err) {
    *core = (ag_core){.file = file, .pool = wished->pool, .numa = wished->numa};
    ag_model_opts mo = {.kernels = wished->kernels,
                        .dtype = wished->dtype,
                        .quantize = wished->quantize,
                        .numa = &core->numa,
                        .images = wished->images,
                        .log = wished->log,
                        .on_progress = wished->on_progress,
                        .progress_ctx = wished->progress_ctx};
    ag_binding *plan = NULL;
    ag_pool *own = NULL;
    ag_budget budget;
    ag_code code = ag_model_bind(file, &mo, &core->model, &plan, err);
    if (!code)
        code = place(core, wished, err);
    if (code) {
        ag_binding_free(&plan);
        give_up(core);
        return code;
    }
    const ag_core_opts o = settle(wished, &core->model.config);
    code = ag_budget_plan(&budget, &core->model, &o, err);
    if (!code && o.pool_is_shared)
        code = ag_pool_new(ag_pool_threads(o.pool), &own, err);
    if (own)
        ag_pool_pin(own, &core->numa);
    if (!code)
        code = ag_model_load(&core->model, &plan, file, &mo, own ? own : o.pool, err);
    ag_pool_free(&own);
    if (!code)
        ag_source_scatter(file, core->model.embd);
    if (!code)
        code = open_buffers(core, &o, &budget, err);
    ag_binding_free(&plan);
    if (code)
        give_up(core);
    return code;
}

void ag_core_close(ag_core *core) {
    ag_scratch_deinit(&core->scratch);
    ag_kv_close(&core->kv);
    ag_free(core->runs);
    ag_free(core->logit_rows);
    ag_free(core->device_map);
    ag_model_close(&core->model);
    ag_source_close(&core->file);
    *core = (ag_core){0};
}

uint64_t ag_core_expert_rows(const ag_core *core, int layer, int expert) {
    const ag_model_config *c = &core->model.config;
    if (layer < 0 || layer >= c->n_layers || expert < 0 || expert >= c->moe.n_experts)
        return 0;
    size_t at = (size_t)layer * (size_t)c->moe.n_experts + (size_t)expert;
    return atomic_load_explicit(&core->scratch.moe.uses[at], memory_order_relaxed);
}

/* Logits of every token of an item, as many rows at a time as the normalised input has room for. */
static void all_logits(ag_core *core, const ag_step_item *it, int row0) {
    for (int at = 0; at < it->n; at += core->max_logits) {
        int n = it->n - at < core->max_logits ? it->n - at : core->max_logits;
        for (int i = 0; i < n; i++)
            core->logit_rows[i] = row0 + at + i;
        ag_forward_logits(&core->model, core->pool, &core->scratch, core->logit_rows, n,
                          it->all_logits + (size_t)at * (size_t)core->model.config.n_vocab);
    }
}

/* Of how many last tokens the output is needed. */
static int n_out(const ag_step_item *it) {
    if (it->all_logits || (it->pooled && it->pooling != AG_POOLING_LAST))
        return it->n;
    return it->pooled ? 1 : it->n_logits;
}

/* A row that is read of the embedding brings 64 KiB of its file into memory; with time all of it
 * would be resident, which may be a fifth of the weights. */
static void let_go_of_embedding(ag_core *core, const ag_step_item *items, int n_items) {
    for (int i = 0; i < n_items; i++)
        core->rows_embedded += items[i].n;
    if (core->rows_embedded < EMBEDDED_ROWS)
        return;
    ag_source_drop(core->file, core->model.embd);
    core->rows_embedded = 0;
}

void ag_core_step(ag_core *core, ag_step_item *items, int n_items) {
    AG_ASSERT(n_items <= core->max_runs);
    ag_alloc_guard_begin("a step");
    for (int i = 0; i < n_items; i++)
        core->runs[i] = (ag_run){.ids = items[i].ids,
                                 .n = items[i].n,
                                 .n_out = n_out(&items[i]),
                                 .kv = items[i].kv,
                                 .pos0 = items[i].kv->n_tokens,
                                 .pooled = items[i].pooled,
                                 .pooling = items[i].pooling};
    ag_forward(&core->model, core->pool, &core->scratch, core->runs, n_items);
    let_go_of_embedding(core, items, n_items);
    bool pools = false;
    for (int i = 0; i < n_items; i++)
        pools |= items[i].pooled != NULL;
    if (pools)
        ag_forward_pool(&core->model, core->pool, &core->scratch, core->runs, n_items);
    for (int i = 0; i < n_items; i++)
        if (items[i].all_logits)
            all_logits(core, &items[i], core->runs[i].row0);
    int n = 0;
    for (int i = 0; i < n_items; i++) {
        items[i].logits = NULL;
        if (items[i].n_logits == 0)
            continue;
        AG_ASSERT(n + items[i].n_logits <= core->max_logits);
        items[i].logits = core->scratch.logits + (size_t)n * (size_t)core->model.config.n_vocab;
        for (int k = items[i].n_logits; k > 0; k--)
            core->logit_rows[n++] = core->runs[i].row0 + core->runs[i].n - k;
    }
    if (n > 0)
        ag_forward_logits(&core->model, core->pool, &core->scratch, core->logit_rows, n,
                          core->scratch.logits);
    ag_alloc_guard_end();
}
