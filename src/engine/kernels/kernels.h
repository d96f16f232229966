/* The compute kernels: one table of function pointers, filled once for this CPU.
 *
 * Kernels know numbers and shapes only: no threads, no allocation, no errors (shapes are validated
 * when a model is bound). Two laws hold for all of them:
 *   1. a row's result does not depend on the rows computed beside it (tiles vary in M and N only);
 *   2. the order of additions along K, and along the keys of attention, is fixed.
 * Integer (quantised) matmuls are bit-equal on every ISA: each block contributes
 *   acc = fmaf(scale_w * scale_x, (float)isum, acc), then acc = fmaf(min_w, scaled_sum_x, acc)
 * in block order. Float matmuls are, too: their fused multiply-adds come in a stated order
 * (ref/matmul.c). */
#ifndef AG_KERNELS_KERNELS_H
#define AG_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/types.h"

/* ---- matmul: out[t][row] = sum_k w[row][k] * x[t][k] (+ bias[row]) ------------------------- */

typedef enum ag_act {
    AG_ACT_F32,  /* activations stay float32: n floats a row */
    AG_ACT_Q8,   /* int8 blocks of 32 with float scales, written by ag_kernels.quantize_q8 */
    AG_ACT_BF16, /* rounded to bfloat16, written by ag_kernels.round_bf16 of the same table */
} ag_act;

typedef struct ag_matmul_args {
    const void *w;      /* packed panels of the whole matrix */
    int rows, cols;     /* of the matrix; cols is a multiple of the type's block */
    int panel0, panel1; /* panels to compute: rows [panel0 * panel, panel1 * panel) */
    const void *act;    /* [n_tok] rows in the form that `act` names */
    size_t act_stride;  /* bytes between rows */
    int n_tok;          /* 1 or more */
    float *out;         /* [n_tok, out_stride]; only columns below `rows` are written */
    size_t out_stride;  /* floats between rows of out */
    const float *bias;  /* [rows] or NULL */
} ag_matmul_args;

typedef struct ag_matmul_ops {
    const char *name;                /* "matmul_q4_k_avx2" */
    int panel;                       /* weight rows in a panel */
    ag_act act;                      /* form of the activations */
    size_t (*panel_bytes)(int cols); /* bytes of one packed panel, a multiple of 64 */
    /* Pack `rows` (1..panel) rows of `cols` elements, given in file format one after the other,
     * into one panel (64-byte aligned). Missing rows are packed as zeros. */
    void (*pack)(const void *src, int rows, int cols, void *panel);
    void (*run)(const ag_matmul_args *args);
} ag_matmul_ops;

/* ---- paged attention ------------------------------------------------------------------------ */

/* Tokens in a KV block. Key position p lives in block p / AG_KV_BLOCK, slot p % AG_KV_BLOCK. */
#define AG_KV_BLOCK 32

typedef enum ag_kv_type { AG_KV_F32, AG_KV_F16, AG_KV_BF16, AG_KV_Q8_0, AG_KV_TYPES } ag_kv_type;

typedef struct ag_attend_args {
    const float *q;  /* row (t, g) at q + t * q_stride + g * d */
    size_t q_stride; /* floats between tokens */
    float *out;      /* row (t, g) at out + t * out_stride + g * d; may be q */
    size_t out_stride;
    int n_tok;                    /* consecutive tokens of one sequence */
    int group;                    /* query heads that share this kv head */
    int d;                        /* head size, a multiple of 16 */
    int d_v;                      /* numbers of a value, likewise; 0: d; never more than d */
    bool v_in_k;                  /* a value is the first d_v numbers of its key; no V is stored */
    int pos0;                     /* position of token 0; token t sees keys up to pos0 + t */
    int n_keys;                   /* 0, or without a window: every token sees that many keys */
    int window;                   /* 0, or how many latest keys (itself included) a token sees */
    float scale;                  /* multiplies q.k */
    float softcap;                /* 0, or scores become softcap * tanh(score / softcap) */
    const uint8_t *const *blocks; /* block b of the sequence begins at blocks[b] */
    size_t k_at, v_at;            /* offsets of this layer's and head's K and V inside a block */
    float *scratch;               /* attend_scratch(n_tok, group, d) floats, 64-byte aligned */
} ag_attend_args;

typedef struct ag_kv_ops {
    const char *name; /* "attend_f16_avx2" */
    /* Bytes of K, and of V, of one head in one block (multiples of 64). The layout inside is the
     * kernels' own; store and attend of one table agree on it. */
    size_t (*k_bytes)(int d);
    size_t (*v_bytes)(int d);
    void (*store_k)(void *k, int d, int slot, const float *x /* [d] */);
    void (*store_v)(void *v, int d, int slot, const float *x /* [d] */);
    size_t (*attend_scratch)(int n_tok, int group, int d); /* floats */
    /* Softmax attention of n_tok * group query rows over the keys each may see. The result of a row
     * depends on its own q, position and keys alone. Slots beyond the last key are never read as
     * values: they may hold anything. */
    void (*attend)(const ag_attend_args *args);
} ag_kv_ops;

/* ---- the table --------------------------------------------------------------------------------
 */

typedef struct ag_kernels {
    const char *isa;                  /* the tier in force: "ref", "avx2", "neon", ... */
    ag_matmul_ops matmul[AG_T_LIMIT]; /* by ag_type; .run is NULL where not decoded */
    /* One row of n floats (a multiple of 32) to int8 blocks of 32; bytes from ag_act_q8_bytes. */
    void (*quantize_q8)(const float *x, int n, void *act);
    /* One row of n floats rounded to bfloat16, in the form that this table's matmuls read; bytes
     * from ag_act_bf16_bytes. */
    void (*round_bf16)(const float *x, int n, void *act);
    ag_kv_ops kv[AG_KV_TYPES];
    /* y = x / sqrt(mean(x^2) + eps) * w. y may be x. */
    void (*rms_norm)(const float *x, const float *w, int n, float eps, float *y);
    /* y = (x - mean(x)) / sqrt(var(x) + eps) * w + b. y may be x. */
    void (*layer_norm)(const float *x, const float *w, const float *b, int n, float eps, float *y);
    void (*add)(float *x, const float *y, int n);                        /* x += y */
    void (*scale)(float *x, float by, int n);                            /* x *= by */
    void (*swiglu)(const float *gate, const float *up, int n, float *y); /* silu(g) * u */
    void (*geglu)(const float *gate, const float *up, int n, float *y);  /* gelu_tanh(g) * u */
    void (*gelu_erf)(const float *x, int n, float *y);                   /* y may be x */
    void (*softcap)(float *x, float cap, int n);                         /* cap tanh(x/cap) */
    /* Rotate the first rot elements of each of n_heads heads of d floats, in place.
     * cos, sin: [rot / 2]. Pair f is (2f, 2f+1) or (f, f + rot/2). */
    void (*rope_pairs)(float *x, int n_heads, int d, int rot, const float *cos, const float *sin);
    void (*rope_half)(float *x, int n_heads, int d, int rot, const float *cos, const float *sin);
    /* Of n logits, a multiple of AG_ROW_BLOCK (kernels/mass.h), the largest of each block; NaN
     * never wins, and a block of nothing else has -infinity. */
    void (*block_max)(const float *x, int n, float *max);
    /* Sum of the masses of a block, at distances (x - best) * scale of at most 0. */
    uint64_t (*block_mass)(const float *x, float best, float scale);
} ag_kernels;

/* Bytes from one quantised activation row of n elements to the next; a multiple of 64. */
size_t ag_act_q8_bytes(int n);
/* The same of a row rounded to bfloat16. */
size_t ag_act_bf16_bytes(int n);

/* The table for this CPU, capped at `tier`, one of AG_TIER_WORDS (NULL or "auto": the best). NULL
 * when the tier is unknown or this CPU lacks it. The result is constant and lives as long as the
 * process; safe from any thread. */
const ag_kernels *ag_kernels_get(const char *tier);
/* Tiers this CPU can run, best last; returns how many. */
int ag_kernels_tiers(const char *const **names);

#endif
