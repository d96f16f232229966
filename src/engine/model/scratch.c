/* Planning the working memory of a step. Buffers that never live at once share space: `wide` is
 * q|k|v during attention and gate|up during the mlp. */
#include "base/mem.h"
#include "model/bind.h"
#include "model/matmul.h"

/* Pairs of a row and an expert in one wave: as many as rows, since one expert may be the choice of
 * all of them, and at least this many, so that decoding a few sequences is one wave. More would
 * only take memory: an expert's rows are together in one wave anyway. */
#define LEAST_WAVE 256

static size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

/* Hands out 64-byte aligned pieces; with memory NULL it only adds up. */
static void *carve(uint8_t *memory, size_t *at, size_t bytes) {
    size_t from = *at;
    *at += ag_round_up(bytes, 64);
    return memory ? memory + from : NULL;
}

/* Bytes of n numbers rounded to bfloat16: none where no matrix reads such. */
static size_t bf16_bytes(const ag_model *m, size_t n) {
    for (size_t i = 0; i < m->n_bound; i++)
        if (m->bound[i].field->ops->act == AG_ACT_BF16)
            return ag_act_bf16_bytes((int)n);
    return 0;
}

static void plan_moe(ag_moe_scratch *s, uint8_t *memory, size_t *at, const ag_model *model,
                     size_t t) {
    const ag_model_config *c = &model->config;
    const ag_moe_config *m = &c->moe;
    size_t n = (size_t)m->n_experts, k = (size_t)m->n_used, e = (size_t)c->n_embd;
    size_t f = (size_t)m->n_ff, pairs = t * k;
    if (pairs > max_size(t, LEAST_WAVE))
        pairs = max_size(t, LEAST_WAVE);
    s->max_pairs = (int)pairs;
    s->in_stride = ag_round_up(max_size(e, f), 16);
    s->in8_stride = ag_act_q8_bytes((int)ag_round_up(max_size(e, f), 32));
    s->in16_stride = bf16_bytes(model, max_size(e, f));
    s->out_stride = ag_round_up(max_size(e, 2 * f), 16);
    s->scores = carve(memory, at, t * n * sizeof(float));
    s->expert = carve(memory, at, t * k * sizeof(int));
    s->weight = carve(memory, at, t * k * sizeof(float));
    s->place = carve(memory, at, t * k * sizeof(int));
    s->row = carve(memory, at, t * k * sizeof(int));
    s->first = carve(memory, at, (n + 1) * sizeof(int));
    s->in = carve(memory, at, pairs * s->in_stride * sizeof(float));
    s->in8 = carve(memory, at, pairs * s->in8_stride);
    s->in16 = carve(memory, at, pairs * s->in16_stride);
    s->out = carve(memory, at, pairs * s->out_stride * sizeof(float));
    s->shared = carve(memory, at, m->n_ff_shared > 0 ? t * e * sizeof(float) : 0);
    s->uses = carve(memory, at, (size_t)c->n_layers * n * sizeof *s->uses);
}

static size_t plan_mla(ag_scratch *s, uint8_t *memory, size_t at, const ag_model *m) {
    const ag_model_config *c = &m->config;
    size_t t = (size_t)s->max_rows, heads = (size_t)c->n_heads;
    int widest = c->mla.rank > c->mla.nope ? c->mla.rank : c->mla.nope;
    s->latent_stride = ag_round_up(heads * (size_t)c->d_head, 16);
    s->head8_stride = heads * ag_act_q8_bytes(widest);
    s->head16_stride = heads * bf16_bytes(m, (size_t)widest);
    s->latent = carve(memory, &at, t * s->latent_stride * sizeof(float));
    s->head8 = carve(memory, &at, t * s->head8_stride);
    s->head16 = carve(memory, &at, t * s->head16_stride);
    return at;
}

/* Floats of a row of wide that attention wants. */
static size_t widest_attention(const ag_model_config *c) {
    size_t h = (size_t)c->n_heads, d = (size_t)c->d_head;
    if (c->mla.rank == 0)
        return (h + 2 * (size_t)c->n_kv_heads) * d;
    size_t q = h * (size_t)(c->mla.nope + c->mla.rope);
    return max_size(q, (size_t)c->mla.q_rank) + d;
}

/* The widest plain mlp or shared expert. */
static size_t widest_mlp(const ag_model *m) {
    size_t f = (size_t)m->config.moe.n_ff_shared;
    for (int i = 0; i < m->config.n_layers; i++)
        if (!m->layers[i].moe)
            return max_size(f, (size_t)m->config.n_ff);
    return f;
}

static size_t plan(ag_scratch *s, uint8_t *memory, const ag_model *m, const ag_kv_ops *kv,
                   int threads) {
    const ag_model_config *c = &m->config;
    size_t t = (size_t)s->max_rows, e = (size_t)c->n_embd, f = widest_mlp(m);
    /* what the output projection reads */
    size_t qd = (size_t)c->n_heads * (size_t)(c->mla.rank > 0 ? c->mla.value : c->d_head);
    size_t half = (size_t)c->rot / 2;
    qd = max_size(qd, (size_t)c->mla.q_rank);
    int widest = (int)max_size(e, max_size(qd, f)), group = c->n_heads / c->n_kv_heads;
    size_t at = 0;
    s->x_stride = ((size_t)widest + 15) / 16 * 16;
    s->x8_stride = ag_act_q8_bytes((widest + 31) / 32 * 32);
    s->x16_stride = bf16_bytes(m, (size_t)widest);
    s->wide_stride = (max_size(widest_attention(c), 2 * f) + 15) / 16 * 16;
    s->attend_stride = (kv->attend_scratch(AG_ATTEND_TILE, group, c->d_head) + 15) / 16 * 16;
    s->h = carve(memory, &at, t * e * sizeof(float));
    s->x = carve(memory, &at, t * s->x_stride * sizeof(float));
    s->x8 = carve(memory, &at, t * s->x8_stride);
    s->x16 = carve(memory, &at, t * s->x16_stride);
    s->wide = carve(memory, &at, t * s->wide_stride * sizeof(float));
    s->y = carve(memory, &at, t * e * sizeof(float));
    for (int i = 0; i < 2; i++) {
        s->cos[i] = carve(memory, &at, t * half * sizeof(float));
        s->sin[i] = carve(memory, &at, t * half * sizeof(float));
    }
    s->run_of = carve(memory, &at, t * sizeof(int));
    s->attend = carve(memory, &at, (size_t)threads * s->attend_stride * sizeof(float));
    if (!c->arch->encoder)
        s->logits = carve(memory, &at, (size_t)s->max_logits * (size_t)c->n_vocab * sizeof(float));
    size_t jobs = c->moe.n_experts > 0 ? 2 * (size_t)c->moe.n_experts + 2 : 0;
    if (c->mla.rank > 0)
        jobs = max_size(jobs, (size_t)c->n_heads);
    s->jobs = carve(memory, &at, jobs * sizeof *s->jobs);
    if (c->mla.rank > 0)
        at = plan_mla(s, memory, at, m);
    if (c->moe.n_experts > 0)
        plan_moe(&s->moe, memory, &at, m, t);
    return at;
}

size_t ag_scratch_bytes(const ag_model *m, const ag_kv_ops *kv, int max_rows, int max_logits,
                        int threads) {
    ag_scratch s = {.max_rows = max_rows, .max_logits = max_logits};
    return plan(&s, NULL, m, kv, threads);
}

ag_code ag_scratch_init(ag_scratch *s, const ag_model *m, const ag_kv_ops *kv, int max_rows,
                        int max_logits, int threads, ag_err *err) {
    *s = (ag_scratch){.max_rows = max_rows, .max_logits = max_logits};
    size_t bytes = plan(s, NULL, m, kv, threads);
    uint8_t *memory = ag_alloc_pages(AG_ROOM_CORE, bytes);
    if (!memory)
        return ag_fail(err, AG_E_NOMEM, "out of memory for %zu bytes of scratch", bytes);
    plan(s, memory, m, kv, threads);
    s->memory = memory;
    s->bytes = bytes;
    return AG_OK;
}

void ag_scratch_deinit(ag_scratch *s) {
    if (s->memory)
        ag_free_pages(AG_ROOM_CORE, s->memory, s->bytes);
    *s = (ag_scratch){0};
}
