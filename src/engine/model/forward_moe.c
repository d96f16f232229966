/* The mlp of a layer with experts.
 *
 * The router chooses a few experts for each row. The pairs (row, expert) are ordered by expert, so
 * that each expert's weights are read once for all its rows, and go through gate, up and down as
 * operations that hold the panels of all active experts: with one row the pool shares the panels of
 * its few experts, with many rows those of nearly all. When there are more pairs than the scratch
 * holds, they go in waves of whole experts.
 *
 * A row's sum starts from zero and adds its experts in ascending order, then the shared one. So it
 * depends on the row's own choice alone, however pairs and waves fall. */
#include <stdatomic.h>
#include <string.h>

#include "model/forward_parts.h"
#include "model/route.h"

static void route_row(const ag_pass *p, int row) {
    const ag_moe_config *c = &p->m->config.moe;
    const ag_moe_scratch *s = &p->s->moe;
    size_t at = (size_t)row * (size_t)c->n_used;
    ag_route(c, s->scores + (size_t)row * (size_t)c->n_experts, p->layer->moe->bias, s->expert + at,
             s->weight + at);
}

/* Number the pairs by expert, and among one expert's by row. */
static void order_pairs(const ag_pass *p) {
    const ag_moe_config *c = &p->m->config.moe;
    const ag_moe_scratch *s = &p->s->moe;
    _Atomic uint64_t *uses = s->uses + (size_t)p->layer_no * (size_t)c->n_experts;
    int n = p->n_rows * c->n_used;
    memset(s->first, 0, (size_t)(c->n_experts + 1) * sizeof *s->first);
    for (int i = 0; i < n; i++)
        s->first[s->expert[i] + 1]++;
    for (int e = 0; e < c->n_experts; e++) {
        if (s->first[e + 1] > 0)
            atomic_fetch_add_explicit(&uses[e], (uint64_t)s->first[e + 1], memory_order_relaxed);
        s->first[e + 1] += s->first[e];
    }
    for (int i = 0; i < n; i++) {
        int pair = s->first[s->expert[i]]++;
        s->place[i] = pair;
        s->row[pair] = i / c->n_used;
    }
    for (int e = c->n_experts; e > 0; e--) /* counting moved each beginning to the next one */
        s->first[e] = s->first[e - 1];
    s->first[0] = 0;
}

/* ---- one wave: pairs [wave0, wave1) ---------------------------------------------------------- */

static float *pair_in(const ag_moe_scratch *s, int i) { return s->in + (size_t)i * s->in_stride; }
static uint8_t *pair_in8(const ag_moe_scratch *s, int i) {
    return s->in8 + (size_t)i * s->in8_stride;
}
static uint8_t *pair_in16(const ag_moe_scratch *s, int i) {
    return s->in16 + (size_t)i * s->in16_stride;
}
static float *pair_out(const ag_moe_scratch *s, int i) {
    return s->out + (size_t)i * s->out_stride;
}

/* Bring the inputs of an expert's rows together. */
static void gather_pair(const ag_pass *p, int i) {
    const ag_moe_scratch *s = &p->s->moe;
    const ag_moe *x = p->layer->moe;
    int row = s->row[s->wave0 + i], e = p->m->config.n_embd;
    if (x->gate->ops->act == AG_ACT_F32 || x->up->ops->act == AG_ACT_F32 || x->gate->watch)
        memcpy(pair_in(s, i), ag_row_x(p, row), (size_t)e * sizeof(float));
    if (x->gate->ops->act == AG_ACT_Q8 || x->up->ops->act == AG_ACT_Q8)
        memcpy(pair_in8(s, i), p->s->x8 + (size_t)row * p->s->x8_stride, ag_act_q8_bytes(e));
    if (x->gate->ops->act == AG_ACT_BF16 || x->up->ops->act == AG_ACT_BF16)
        memcpy(pair_in16(s, i), p->s->x16 + (size_t)row * p->s->x16_stride, ag_act_bf16_bytes(e));
}

/* Rows of the wave's pairs as they stand in `in`, times one of an expert's matrices. */
static ag_matmul_job pair_job(const ag_moe_scratch *s, const ag_matrix *w, int i, int n, int at) {
    return (ag_matmul_job){.w = w,
                           .x = pair_in(s, i),
                           .x_stride = s->in_stride,
                           .x8 = pair_in8(s, i),
                           .x8_stride = s->in8_stride,
                           .x16 = pair_in16(s, i),
                           .x16_stride = s->in16_stride,
                           .n_rows = n,
                           .out = pair_out(s, i) + at,
                           .out_stride = s->out_stride};
}

/* Gate and up of experts [e0, e1), and of the shared one. A single row needs no gathering. */
static void widen(const ag_pass *p, int e0, int e1, bool shared) {
    const ag_moe_scratch *s = &p->s->moe;
    const ag_moe *x = p->layer->moe;
    int n = 0, f = p->m->config.moe.n_ff;
    for (int e = e0; e < e1; e++) {
        int rows = s->first[e + 1] - s->first[e], i = s->first[e] - s->wave0;
        if (rows == 0)
            continue;
        for (int half = 0; half < 2; half++) {
            ag_matmul_job j = pair_job(s, half ? &x->up[e] : &x->gate[e], i, rows, half * f);
            if (p->n_rows == 1) {
                j.x = p->s->x;
                j.x8 = p->s->x8;
                j.x16 = p->s->x16;
            }
            p->s->jobs[n++] = j;
        }
    }
    if (shared) {
        float *wide = p->s->wide;
        p->s->jobs[n++] =
            ag_pass_job(p, (ag_matmul_item){&x->shared_gate, wide, p->s->wide_stride});
        p->s->jobs[n++] = ag_pass_job(
            p, (ag_matmul_item){&x->shared_up, wide + x->shared_gate.rows, p->s->wide_stride});
    }
    ag_matmul_run(p->pool, p->s->jobs, n);
}

/* Pairs of the wave first, then the rows of the shared expert. */
static void activate(const ag_pass *p, int i) {
    const ag_moe_scratch *s = &p->s->moe;
    const ag_moe *x = p->layer->moe;
    const ag_kernels *k = p->m->kernels;
    int pairs = s->wave1 - s->wave0;
    if (i < pairs) {
        const float *gate = pair_out(s, i);
        ag_activate(p, gate, p->m->config.moe.n_ff, pair_in(s, i));
        if (x->down->ops->act == AG_ACT_Q8)
            k->quantize_q8(pair_in(s, i), p->m->config.moe.n_ff, pair_in8(s, i));
        if (x->down->ops->act == AG_ACT_BF16)
            k->round_bf16(pair_in(s, i), p->m->config.moe.n_ff, pair_in16(s, i));
    } else {
        int row = i - pairs, n = p->m->config.moe.n_ff_shared;
        ag_activate(p, ag_row_wide(p, row), n, ag_row_x(p, row));
        if (x->shared_down.ops->act == AG_ACT_Q8)
            k->quantize_q8(ag_row_x(p, row), n, p->s->x8 + (size_t)row * p->s->x8_stride);
        if (x->shared_down.ops->act == AG_ACT_BF16)
            k->round_bf16(ag_row_x(p, row), n, p->s->x16 + (size_t)row * p->s->x16_stride);
    }
}

static void narrow(const ag_pass *p, int e0, int e1, bool shared) {
    const ag_moe_scratch *s = &p->s->moe;
    const ag_moe *x = p->layer->moe;
    int n = 0;
    for (int e = e0; e < e1; e++) {
        int rows = s->first[e + 1] - s->first[e];
        if (rows > 0)
            p->s->jobs[n++] = pair_job(s, &x->down[e], s->first[e] - s->wave0, rows, 0);
    }
    if (shared)
        p->s->jobs[n++] = ag_pass_job(
            p, (ag_matmul_item){&x->shared_down, s->shared, (size_t)p->m->config.n_embd});
    ag_matmul_run(p->pool, p->s->jobs, n);
}

/* y += weight * what the row's experts of this wave say; in the last wave the shared one too. */
static void combine_row(const ag_pass *p, int row) {
    const ag_moe_config *c = &p->m->config.moe;
    const ag_moe_scratch *s = &p->s->moe;
    const ag_kernels *k = p->m->kernels;
    int e = p->m->config.n_embd;
    float *y = p->s->y + (size_t)row * (size_t)e;
    if (s->wave0 == 0)
        memset(y, 0, (size_t)e * sizeof *y);
    for (int i = row * c->n_used; i < (row + 1) * c->n_used; i++) {
        if (s->place[i] < s->wave0 || s->place[i] >= s->wave1)
            continue;
        float *out = pair_out(s, s->place[i] - s->wave0);
        k->scale(out, s->weight[i], e);
        k->add(y, out, e);
    }
    if (c->n_ff_shared > 0 && s->wave1 == p->n_rows * c->n_used)
        k->add(y, s->shared + (size_t)row * (size_t)e, e);
}

/* Run experts from e0 on, as many as fit; returns the next one. */
static int run_wave(const ag_pass *p, int e0) {
    const ag_moe_config *c = &p->m->config.moe;
    ag_moe_scratch *s = &p->s->moe;
    int e1 = e0;
    while (e1 < c->n_experts && s->first[e1 + 1] - s->first[e0] <= s->max_pairs)
        e1++;
    s->wave0 = s->first[e0];
    s->wave1 = s->first[e1];
    int pairs = s->wave1 - s->wave0;
    bool shared = e1 == c->n_experts && c->n_ff_shared > 0;
    if (p->n_rows > 1)
        ag_for_rows(p, pairs, gather_pair);
    widen(p, e0, e1, shared);
    ag_for_rows(p, pairs + (shared ? p->n_rows : 0), activate);
    narrow(p, e0, e1, shared);
    ag_for_rows(p, p->n_rows, combine_row);
    return e1;
}

void ag_forward_moe(const ag_pass *p) {
    const ag_moe_config *c = &p->m->config.moe;
    const ag_moe_scratch *s = &p->s->moe;
    ag_pass_multiply(
        p, (const ag_matmul_item[]){{&p->layer->moe->router, s->scores, (size_t)c->n_experts}}, 1);
    ag_for_rows(p, p->n_rows, route_row);
    order_pairs(p);
    for (int e = 0; e < c->n_experts;)
        e = run_wave(p, e);
}
