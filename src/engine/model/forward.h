/* The forward pass of a decoder over the rows of one step.
 *
 * A row is one token of some sequence. Rows of a sequence stand together (a run) in the order of
 * their positions; runs of different sequences ride in one batch. What a row computes depends on
 * its own token, position and sequence alone.
 *
 * Thread: engine; the work is shared with the pool. Nothing here allocates. */
#ifndef AG_MODEL_FORWARD_H
#define AG_MODEL_FORWARD_H

#include "kv/kv.h"
#include "model/model.h"

/* Query tokens that one call of the attention kernel takes together, to share its reading of K and
 * V. */
#define AG_ATTEND_TILE 16

typedef struct ag_run {
    const int32_t *ids; /* [n] tokens, each below n_vocab */
    int n;              /* 1 or more */
    ag_kv_seq *kv;      /* blocks for pos0 + n positions are reserved */
    int pos0;           /* position of ids[0] = tokens already stored */
    int n_out;          /* of so many last tokens the output is wanted: 0 to n */
    int row0;           /* first row in the step; set by ag_forward() */
    float *pooled;      /* [E] or NULL: what ag_forward_pool() fills */
    ag_pooling pooling; /* how; not AG_POOLING_MODEL */
} ag_run;

/* Working memory of the layers with experts. A pair is a row with one of its experts; pairs are
 * numbered by expert. P = max_pairs; k = config.moe.n_used; Fx = config.moe.n_ff. */
typedef struct ag_moe_scratch {
    int max_pairs;          /* that are computed together, in one wave */
    int wave0, wave1;       /* pairs of the present wave */
    float *scores;          /* [T, n_experts] */
    int *expert;            /* [T, k] chosen, ascending */
    float *weight;          /* [T, k] */
    int *place;             /* [T, k] their pairs */
    int *row;               /* [T * k] pair → row */
    int *first;             /* [n_experts + 1] first pair of each expert */
    float *in;              /* [P, in_stride]: x gathered, then act(gate) * up */
    uint8_t *in8;           /* [P, in8_stride] the same, quantised */
    uint8_t *in16;          /* [P, in16_stride] the same, rounded to bfloat16 */
    float *out;             /* [P, out_stride]: gate|up, then down */
    float *shared;          /* [T, E] output of the shared expert */
    size_t in_stride;       /* floats */
    size_t in8_stride;      /* bytes */
    size_t in16_stride;     /* bytes; 0 where no matrix wants them, as of the others like it */
    size_t out_stride;      /* floats */
    _Atomic uint64_t *uses; /* [n_layers, n_experts] rows so far; others may read */
} ag_moe_scratch;

/* Working memory of a step, planned once for the largest one. Shapes with T = max_rows. */
typedef struct ag_scratch {
    uint8_t *memory; /* owned pages */
    size_t bytes;
    int max_rows, max_logits;
    float *h;               /* [T, E] residual stream */
    float *x;               /* [T, max(E, H*D, F)] input of the next matmuls, float32 */
    uint8_t *x8;            /* [T, x8_stride] the same, quantised */
    uint8_t *x16;           /* [T, x16_stride] the same, rounded to bfloat16 */
    size_t x_stride;        /* floats */
    size_t x8_stride;       /* bytes */
    size_t x16_stride;      /* bytes */
    float *wide;            /* [T, wide_stride]: q|k|v, or gate|up */
    size_t wide_stride;     /* floats */
    float *y;               /* [T, E] output of attention or mlp, before it is added */
    float *cos[2], *sin[2]; /* [T, rot/2]: layers that see all, layers that slide */
    int *run_of;            /* [T] row → run */
    float *attend;          /* [threads, attend_stride] */
    size_t attend_stride;   /* floats */
    float *logits;          /* [max_logits, n_vocab] */
    float *latent;          /* [T, latent_stride]: H heads of d_head; only with latent attention */
    size_t latent_stride;   /* floats */
    uint8_t *head8;         /* [T, head8_stride]: what a head's matrix reads, quantised */
    size_t head8_stride;    /* bytes */
    uint8_t *head16;        /* [T, head16_stride] the same, rounded to bfloat16 */
    size_t head16_stride;   /* bytes */
    struct ag_matmul_job *jobs; /* as many as experts or heads make */
    ag_moe_scratch moe;         /* unset in models without experts */
} ag_scratch;

/* Bytes that ag_scratch_init() will take. */
size_t ag_scratch_bytes(const ag_model *m, const ag_kv_ops *kv, int max_rows, int max_logits,
                        int threads);
ag_code ag_scratch_init(ag_scratch *s, const ag_model *m, const ag_kv_ops *kv, int max_rows,
                        int max_logits, int threads, ag_err *err) AG_MUST_USE;
void ag_scratch_deinit(ag_scratch *s);

/* An encoder's run is a whole input: pos0 is 0, and all of its output is computed. Its KV has one
 * layer, which all its layers share.
 *
 * Run all layers over the rows of `runs` (their sum at most max_rows), store their K and V, and
 * leave the residual stream in s->h. Of a decoder's tokens whose output is not wanted the last
 * layer computes K and V alone: afterwards the runs are what is left, with n = n_out and their
 * pos0 and row0. Each run's kv->n_tokens advances. */
void ag_forward(const ag_model *m, ag_pool *pool, ag_scratch *s, ag_run *runs, int n_runs);

/* After ag_forward(), of runs with `pooled`: the first or latest token's vector, or the sum of all
 * so far, which starts anew at position 0. */
void ag_forward_pool(const ag_model *m, ag_pool *pool, ag_scratch *s, ag_run *runs, int n_runs);

/* Logits of n (at most max_logits) rows of the last ag_forward(): out[i * n_vocab]. */
void ag_forward_logits(const ag_model *m, ag_pool *pool, ag_scratch *s, const int *rows, int n,
                       float *out);

#endif
