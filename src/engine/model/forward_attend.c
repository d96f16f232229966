/* Storing rows' keys and values, and attention of all rows over their sequences' blocks, as one
 * operation of the pool. */
#include "model/forward_parts.h"

void ag_store_kv_row(const ag_pass *p, int row) {
    const ag_model_config *c = &p->m->config;
    const ag_run *r = &p->runs[p->s->run_of[row]];
    const ag_kv *kv = r->kv->kv;
    int d = c->d_head, pos = r->pos0 + row - r->row0;
    const float *k = ag_row_wide(p, row) + c->n_heads * d, *v = k + c->n_kv_heads * d;
    uint8_t *block = r->kv->at[pos / AG_KV_BLOCK];
    for (int h = 0; h < c->n_kv_heads; h++) {
        uint8_t *to = block + ag_kv_at(kv, p->layer_no, h);
        kv->shape.ops->store_k(to, d, pos % AG_KV_BLOCK, k + h * d);
        kv->shape.ops->store_v(to + kv->k_bytes, d, pos % AG_KV_BLOCK, v + h * d);
    }
}

void ag_quantise_attention_row(const ag_pass *p, int row) {
    ag_quantise_row(p, row, p->m->config.n_heads * p->m->config.d_head);
}

/* Fewer keys times numbers of queries are seen by the calling thread alone: 2 to 4 us. */
#define ALONE_WORK 30000

typedef struct operation {
    const ag_pass *p;
    const float *q;
    size_t q_stride;
    float *out;
    size_t out_stride;
    int parts; /* that the query heads of a kv head are divided into */
    int each;  /* heads in a part */
} operation;

static int tiles_of(const ag_run *r) { return (r->n + AG_ATTEND_TILE - 1) / AG_ATTEND_TILE; }

/* Chunks go through runs, tiles of a run, kv heads, parts; late tiles see the most keys and come
 * first, so that the long ones are not left for the end. */
static void attend_chunk(void *ctx, int chunk, int worker) {
    const operation *o = ctx;
    const ag_pass *p = o->p;
    const ag_model_config *c = &p->m->config;
    int part = chunk % o->parts, head = chunk / o->parts % c->n_kv_heads;
    int tile = chunk / o->parts / c->n_kv_heads, run = 0;
    while (tile >= tiles_of(&p->runs[run]))
        tile -= tiles_of(&p->runs[run++]);
    const ag_run *r = &p->runs[run];
    tile = tiles_of(r) - 1 - tile;
    int first = tile * AG_ATTEND_TILE;
    int n = r->n - first < AG_ATTEND_TILE ? r->n - first : AG_ATTEND_TILE;
    int group = c->n_heads / c->n_kv_heads, from = part * o->each;
    size_t row = (size_t)(r->row0 + first), at = (size_t)((head * group + from) * c->d_head);
    const ag_kv *kv = r->kv->kv;
    size_t k_at = ag_kv_at(kv, p->layer_no, head);
    kv->shape.ops->attend(&(ag_attend_args){
        .q = o->q + row * o->q_stride + at,
        .q_stride = o->q_stride,
        .out = o->out + row * o->out_stride + at,
        .out_stride = o->out_stride,
        .n_tok = n,
        .group = group - from < o->each ? group - from : o->each,
        .d = c->d_head,
        .d_v = c->mla.rank,
        .v_in_k = c->mla.rank > 0,
        .pos0 = r->pos0 + first,
        .n_keys = c->arch->encoder ? r->n : 0,
        .window = p->layer->slides ? c->window : 0,
        .scale = c->attn_scale,
        .softcap = c->attn_softcap,
        .blocks = (const uint8_t *const *)r->kv->at,
        .k_at = k_at,
        .v_at = k_at + kv->k_bytes,
        .scratch = p->s->attend + (size_t)worker * p->s->attend_stride,
    });
}

/* Heads that share keys read them together, unless threads would be left without work: parts of
 * them then read the keys again. Rows are independent, so this changes no result. */
void ag_pass_attend(const ag_pass *p, const float *q, size_t q_stride, float *out,
                    size_t out_stride) {
    const ag_model_config *c = &p->m->config;
    int tiles = 0, group = c->n_heads / c->n_kv_heads, threads = ag_pool_threads(p->pool);
    int64_t work = 0;
    for (int i = 0; i < p->n_runs; i++) {
        const ag_run *r = &p->runs[i];
        tiles += tiles_of(r);
        work += (int64_t)r->n * (r->pos0 + r->n) * c->n_heads * c->d_head;
    }
    if (work < ALONE_WORK)
        threads = 1;
    int chunks = tiles * c->n_kv_heads, wish = (threads + chunks - 1) / chunks;
    int each = (group + wish - 1) / wish;
    operation o = {.p = p,
                   .q = q,
                   .q_stride = q_stride,
                   .out = out,
                   .out_stride = out_stride,
                   .parts = (group + each - 1) / each,
                   .each = each};
    if (threads > 1)
        ag_pool_run_uneven(p->pool, chunks * o.parts, attend_chunk, &o);
    else
        ag_pool_run_alone(chunks * o.parts, attend_chunk, &o);
}

void ag_plain_attention(ag_pass *p, ag_row_fn store) {
    const ag_model_config *c = &p->m->config;
    const ag_layer *l = p->layer;
    ag_scratch *s = p->s;
    float *k = s->wide + c->n_heads * c->d_head, *v = k + c->n_kv_heads * c->d_head;
    ag_pass_multiply(p,
                     (const ag_matmul_item[]){{&l->q, s->wide, s->wide_stride},
                                              {&l->k, k, s->wide_stride},
                                              {&l->v, v, s->wide_stride}},
                     3);
    ag_for_rows(p, p->n_rows, store);
    if (!ag_pass_keep_wanted(p, s->wide, s->wide_stride))
        return;
    ag_pass_attend(p, s->wide, s->wide_stride, s->x, s->x_stride);
    if (ag_pass_wants(p, (const ag_matrix *const[]){&l->o}, 1))
        ag_for_rows(p, p->n_rows, ag_quantise_attention_row);
    ag_pass_multiply(p, (const ag_matmul_item[]){{&l->o, s->y, (size_t)c->n_embd}}, 1);
}
