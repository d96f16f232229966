/* Private to model/: what the parts of a forward pass share. */
#ifndef AG_MODEL_FORWARD_PARTS_H
#define AG_MODEL_FORWARD_PARTS_H

#include "model/matmul.h"

/* What the chunks of an operation need to know. */
typedef struct ag_pass {
    const ag_model *m;
    ag_pool *pool;
    ag_scratch *s;
    ag_run *runs;
    int n_runs, n_rows;
    const ag_layer *layer; /* the current one */
    int layer_no;
    const float *norm;      /* rms weights of the next input, or NULL: it is h itself */
    bool last;              /* there is no next input */
    const float *post_norm; /* of the output just computed, or NULL */
    bool want_q8;           /* the next matmuls want their input quantised, */
    bool want_bf16;         /* or rounded to bfloat16 */
    const int *pick;        /* rows to compute logits for */
} ag_pass;

/* One row's share of an operation; rows are independent of each other. */
typedef void (*ag_row_fn)(const ag_pass *p, int row);

/* Number the rows of the runs; afterwards tell the sequences how many tokens they have. */
ag_pass ag_pass_begin(const ag_model *m, ag_pool *pool, ag_scratch *s, ag_run *runs, int n_runs);
void ag_pass_end(const ag_pass *p);
/* In the last layer of a decoder, once keys and values are stored: only rows whose output is wanted
 * go on, and stand at the front, with their h and the queries of their heads, each d_head numbers.
 * False: there is none. */
bool ag_pass_keep_wanted(ag_pass *p, float *q, size_t q_stride);
/* All layers of an encoder; leaves the last one's output in h. */
void ag_forward_bert(ag_pass *p);

/* Run fn for rows 0 .. n-1 on the pool. */
void ag_for_rows(const ag_pass *p, int n, ag_row_fn fn);

static inline float *ag_row_h(const ag_pass *p, int row) {
    return p->s->h + (size_t)row * (size_t)p->m->config.n_embd;
}
static inline float *ag_row_x(const ag_pass *p, int row) {
    return p->s->x + (size_t)row * p->s->x_stride;
}
static inline float *ag_row_wide(const ag_pass *p, int row) {
    return p->s->wide + (size_t)row * p->s->wide_stride;
}

/* x8 and x16 = x of the row's first n numbers, as far as the next matmuls want them. */
void ag_quantise_row(const ag_pass *p, int row, int n);
/* y = act(gate) * up, both [n], up behind gate. */
static inline void ag_activate(const ag_pass *p, const float *gate, int n, float *y) {
    const ag_kernels *k = p->m->kernels;
    (p->m->config.arch->act == AG_ACT_GEGLU ? k->geglu : k->swiglu)(gate, gate + n, n, y);
}
/* Remember how these matrices, the next to be used, want their input; false: as it is in x. */
bool ag_pass_wants(ag_pass *p, const ag_matrix *const *w, int n);

#define AG_GROUP_MAX 3

typedef struct ag_matmul_item {
    const ag_matrix *w;
    float *out;        /* row t at out + t * out_stride */
    size_t out_stride; /* floats */
} ag_matmul_item;

/* The rows of x times one matrix, as a job. */
ag_matmul_job ag_pass_job(const ag_pass *p, ag_matmul_item item);
/* The rows of x times n matrices, at most AG_GROUP_MAX. */
void ag_pass_multiply(const ag_pass *p, const ag_matmul_item *items, int n);

/* Store the row's k and v, which stand behind q in s->wide (forward_attend.c). */
void ag_store_kv_row(const ag_pass *p, int row);
/* x8 of attention's result, when that is wanted. */
void ag_quantise_attention_row(const ag_pass *p, int row);
/* Attention of every row's query heads (each d_head numbers, as results are) over the keys it sees,
 * which in an encoder are all of its run; out may be q (forward_attend.c). */
void ag_pass_attend(const ag_pass *p, const float *q, size_t q_stride, float *out,
                    size_t out_stride);
/* Leaves y = attention of x with q, k and v of their own; reads x and, where wanted, x8. `store`
 * makes ready what a row's q, k, v are in s->wide and stores k and v (forward_attend.c). */
void ag_plain_attention(ag_pass *p, ag_row_fn store);
/* Leaves y = latent attention of x; reads x and, where wanted, x8 (forward_mla.c). */
void ag_forward_mla(ag_pass *p);
/* Leaves y = the experts' mlp of x; reads x and, where wanted, x8 (forward_moe.c). */
void ag_forward_moe(const ag_pass *p);

#endif
