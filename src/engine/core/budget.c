#include "core/budget.h"

#include <stdio.h>

/* A context below this is of no use; rather say that the model does not fit. */
#define LEAST_CONTEXT 512
/* By default every sequence that may run at once gets this much KV, beside one full context. */
#define USUAL_SEQUENCE 2048
/* Keeps counts of tokens inside an int. */
#define MOST_BLOCKS (1 << 25)

static double mib(uint64_t bytes) { return (double)bytes / (1024.0 * 1024.0); }

static int min_int(int a, int b) { return a < b ? a : b; }

/* "weights 98.2 MiB + scratch 21.0 MiB + KV 180.0 MiB (8192 tokens x 22.5 KiB) = ... of ..." */
static void describe(const ag_model *m, const ag_budget *b, const ag_core_opts *o, char *text,
                     size_t n) {
    uint64_t weights = m->weight_bytes + m->vector_bytes;
    int tokens = b->kv_blocks * AG_KV_BLOCK;
    char share[48] = "";
    if (o->memory_fraction > 0)
        snprintf(share, sizeof share, " (%.0f %% of %.1f MiB)", 100 * o->memory_fraction,
                 mib(o->memory_bytes));
    snprintf(text, n,
             "weights %.1f MiB + scratch %.1f MiB + KV %.1f MiB (%d tokens x %.1f KiB) = %.1f MiB; "
             "budget %.1f MiB%s",
             mib(weights), mib(b->scratch_bytes), mib(b->kv_bytes), tokens,
             (double)ag_kv_block_bytes(&b->kv_shape) / AG_KV_BLOCK / 1024.0,
             mib(weights + b->scratch_bytes + b->kv_bytes), mib(o->budget_bytes), share);
}

static ag_code refuse(const ag_model *m, const ag_budget *b, const ag_core_opts *o, int fits,
                      ag_err *err) {
    char text[300];
    const char *limit = o->memory_fraction > 0 ? "memory_fraction" : "memory_bytes";
    describe(m, b, o, text, sizeof text);
    if (fits >= LEAST_CONTEXT)
        return ag_fail(
            err, AG_E_BUDGET,
            "a context of %d tokens does not fit in memory: %s. Up to %d tokens fit: lower "
            "max_context_length, raise %s, or use kv_type q8_0",
            b->max_context, text, fits, limit);
    return ag_fail(err, AG_E_BUDGET,
                   "the model does not fit in memory: %s. Raise %s, use a smaller or "
                   "more strongly quantised model, or a machine with more memory",
                   text, limit);
}

/* What does not depend on how much memory there is. */
static void measure(ag_budget *b, const ag_model *m, const ag_core_opts *o, int n_threads) {
    const ag_model_config *c = &m->config;
    *b = (ag_budget){.kv_shape = {.ops = &o->kernels->kv[o->kv_type],
                                  .n_layers = c->arch->encoder ? 1 : c->n_layers,
                                  .n_heads = c->n_kv_heads,
                                  .d = c->d_head,
                                  .d_v = c->mla.rank > 0 ? 0 : c->d_head}};
    b->max_context = o->max_context > 0 ? o->max_context : c->n_ctx;
    b->batch_tokens = c->arch->encoder ? o->batch_tokens : min_int(o->batch_tokens, b->max_context);
    if (b->batch_tokens < o->max_sequences)
        b->batch_tokens = o->max_sequences; /* every running sequence must find a row */
    b->scratch_bytes =
        ag_scratch_bytes(m, b->kv_shape.ops, b->batch_tokens, o->max_sequences, n_threads);
}

static int wished_blocks(const ag_core_opts *o) {
    uint64_t blocks = (o->kv_tokens + AG_KV_BLOCK - 1) / AG_KV_BLOCK;
    return blocks > MOST_BLOCKS ? MOST_BLOCKS : (int)blocks;
}

/* Without a wish: one full context, and more where many sequences may run. */
static int usual_blocks(const ag_model_config *c, const ag_budget *b, const ag_core_opts *o) {
    int context = ag_kv_blocks_for(b->max_context);
    int wanted = min_int(ag_kv_blocks_for(USUAL_SEQUENCE), context) * o->max_sequences;
    if (c->arch->encoder) /* one step, each input with a block begun and one to spare */
        wanted = ag_kv_blocks_for(b->batch_tokens) + 2 * o->max_sequences + 1;
    return wanted > context ? wanted : context;
}

void ag_budget_needs(ag_core_needs *n, const ag_model *m, const ag_core_opts *o, int n_threads) {
    const ag_model_config *c = &m->config;
    ag_budget b;
    measure(&b, m, o, n_threads);
    uint64_t block = ag_kv_block_bytes(&b.kv_shape);
    int usual = usual_blocks(c, &b, o);
    int least = o->max_context > 0 ? b.max_context : min_int(b.max_context, USUAL_SEQUENCE);
    least = c->arch->encoder ? usual : ag_kv_blocks_for(least);
    if (o->kv_tokens > 0)
        least = usual = wished_blocks(o);
    *n = (ag_core_needs){.weight_bytes = m->weight_bytes + m->vector_bytes,
                         .scratch_bytes = b.scratch_bytes,
                         .least_kv_bytes = (uint64_t)least * block,
                         .usual_kv_bytes = (uint64_t)usual * block};
}

ag_code ag_budget_plan(ag_budget *b, const ag_model *m, const ag_core_opts *o, ag_err *err) {
    const ag_model_config *c = &m->config;
    bool explicit = o->max_context > 0;
    measure(b, m, o, ag_pool_threads(o->pool));
    uint64_t block = ag_kv_block_bytes(&b->kv_shape);
    uint64_t fixed = m->weight_bytes + m->vector_bytes + b->scratch_bytes;
    uint64_t fit = fixed < o->budget_bytes ? (o->budget_bytes - fixed) / block : 0;
    int fit_blocks = fit > MOST_BLOCKS ? MOST_BLOCKS : (int)fit;
    int fit_tokens = fit_blocks * AG_KV_BLOCK;

    b->kv_blocks = ag_kv_blocks_for(b->max_context);
    if (b->kv_blocks > fit_blocks) {
        b->kv_bytes = (uint64_t)b->kv_blocks * block;
        if (explicit || fit_tokens < LEAST_CONTEXT)
            return refuse(m, b, o, fit_tokens, err);
        ag_log(o->log, AG_LOG_WARN, "memory",
               "the model's context of %d tokens does not fit; using %d", b->max_context,
               fit_tokens);
        b->max_context = fit_tokens;
    }
    if (o->kv_tokens > 0) {
        int context_blocks = ag_kv_blocks_for(b->max_context);
        b->kv_blocks = wished_blocks(o);
        b->kv_bytes = (uint64_t)b->kv_blocks * block;
        if (b->kv_blocks < context_blocks)
            return ag_fail(err, AG_E_ARG,
                           "kv_tokens is %llu, less than one sequence's context of %d tokens",
                           (unsigned long long)o->kv_tokens, b->max_context);
        if (b->kv_blocks > fit_blocks)
            return refuse(m, b, o, 0, err);
    } else {
        b->kv_blocks = min_int(usual_blocks(c, b, o), fit_blocks);
    }
    b->kv_bytes = (uint64_t)b->kv_blocks * block;
    if (b->max_context > c->n_ctx)
        ag_log(o->log, AG_LOG_WARN, "memory",
               "a context of %d tokens was asked for, but the model was made for %d: answers may "
               "get worse beyond that",
               b->max_context, c->n_ctx);
    char text[300];
    describe(m, b, o, text, sizeof text);
    ag_log(o->log, AG_LOG_INFO, "memory", "%s", text);
    return AG_OK;
}
