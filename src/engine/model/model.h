/* A loaded decoder: its numbers, and its weights bound once to named fields, packed for the kernels
 * of this machine.
 *
 * Every tensor's type and shape is checked when the model is opened; afterwards the code trusts the
 * struct. Constant after opening: any thread may read it. */
#ifndef AG_MODEL_MODEL_H
#define AG_MODEL_MODEL_H

#include "base/log.h"
#include "kernels/kernels.h"
#include "load/image.h"
#include "model/config.h"
#include "model/mix.h"
#include "model/rope.h"
#include "par/pool.h"

/* What went through a matrix, for finding out which of its columns matter. */
typedef struct ag_watch {
    double *squares; /* [cols]: sums of the squares of the inputs; not owned */
    double n_rows;
} ag_watch;

typedef struct ag_matrix {
    const ag_matmul_ops *ops;
    const uint8_t *panels; /* [n_panels] in the model's weight memory */
    size_t panel_bytes;
    int rows, cols;
    int n_panels;
    const float *bias; /* [rows] or NULL */
    ag_watch *watch;   /* NULL: nobody watches, and it costs nothing */
} ag_matrix;

/* The experts of a layer. Each row goes through the few that the router chooses for it, and through
 * the shared ones, which are one mlp of their summed width. */
typedef struct ag_moe {
    ag_matrix router;      /* [n_experts, E], float32 */
    const float *bias;     /* [n_experts] or NULL: moves the choice, not the weights */
    ag_matrix *gate, *up;  /* [n_experts] of [Fx, E], Fx = config.moe.n_ff */
    ag_matrix *down;       /* [n_experts] of [E, Fx] */
    ag_matrix shared_gate; /* [Fs, E], Fs = config.moe.n_ff_shared; unset when that is 0 */
    ag_matrix shared_up;   /* [Fs, E] */
    ag_matrix shared_down; /* [E, Fs] */
    ag_matrix matrices[];  /* [3 * n_experts], where gate, up and down lie */
} ag_moe;

/* Latent attention of a layer: sizes as in config.mla. The matrices that would make keys and values
 * of the cached vector are absorbed: k_b takes a head's query to where it meets that vector itself,
 * v_b makes the head's output of the weighted vectors. */
typedef struct ag_mla {
    ag_matrix q_a;          /* [q_rank, E]; unset when the query has no rank */
    const float *q_a_norm;  /* [q_rank] or NULL */
    ag_matrix q_b;          /* [H * (nope + rope), q_rank or E] */
    ag_matrix kv_a;         /* [R + rope, E] */
    const float *kv_a_norm; /* [R] */
    ag_matrix *k_b;         /* [H] of [R, nope] */
    ag_matrix *v_b;         /* [H] of [value, R] */
    ag_matrix matrices[];   /* [2 * H], where k_b and v_b lie */
} ag_mla;

/* out[dim[0]] = a row of a table: a plain tensor that is read while running, from the file's
 * mapping. */
static inline void ag_table_read(const ag_tensor *table, int row, float *out) {
    const void *bytes = ag_tensor_read(table, (uint64_t)row, 1, table->type, NULL);
    ag_type_decode(table->type, bytes, out, (size_t)table->dim[0]);
}

typedef struct ag_layer {
    const float *attn_norm;       /* [E] or NULL */
    ag_matrix q, k, v;            /* [H*D, E], [K*D, E], [K*D, E]; unset with latent attention */
    const float *q_norm, *k_norm; /* before the rotation: [D] a head, or of all heads, or NULL */
    ag_mla *mla;                  /* owned; NULL: plain attention */
    ag_matrix o;                  /* [E, H*D], or [E, H*value] with latent attention */
    const float *post_attn;       /* [E] or NULL; of an encoder: LayerNorm after the sum */
    const float *pre_mlp;         /* [E] or NULL */
    ag_matrix gate, up;           /* [F, E]; unset in a layer with experts */
    ag_matrix down;               /* [E, F] */
    ag_moe *moe;                  /* owned; NULL: the plain mlp of gate, up and down */
    const float *post_mlp;        /* [E] or NULL; of an encoder: LayerNorm after the sum */
    const float *post_attn_bias;  /* [E], of an encoder, as the next */
    const float *post_mlp_bias;
    bool slides; /* sees only the latest config.window keys */
} ag_layer;

typedef struct ag_model {
    ag_model_config config;
    const ag_kernels *kernels;
    ag_layer *layers; /* owned [n_layers] */
    ag_rope rope_full, rope_local;
    const ag_tensor *embd;        /* table of n_vocab rows */
    const ag_tensor *positions;   /* table of n_ctx rows, of an encoder */
    const ag_tensor *token_types; /* table whose row 0 is added to every token, or NULL */
    const float *embd_norm, *embd_norm_bias; /* [E], of an encoder */
    const float *output_norm;                /* [E], not of an encoder */
    ag_matrix output; /* [n_vocab, E]; a packed copy of its own when tied to the embedding;
                       * none in an encoder */
    bool tied;
    const uint8_t *weights; /* everything packed: owned pages, or in the image */
    size_t weight_bytes;
    ag_image image;          /* open: the weights come from an earlier start */
    ag_image_writer *writer; /* owned: keeps them for the next one; NULL: nothing is kept */
    float *vectors;          /* owned: norms and biases as float32 */
    size_t vector_bytes;
    uint64_t n_params;
    ag_type main_type;            /* that most of the matrices' weights are computed in */
    float bits_per_weight;        /* of the matrices, without padding */
    struct ag_plan_matrix *bound; /* owned [n_bound]: where each matrix came from */
    size_t n_bound;
} ag_model;

/* Re-encode matrices while loading (dtype): keep the file's types, or one of F32, F16, BF16. */
#define AG_DTYPE_KEEP (-1)

typedef struct ag_model_opts {
    const ag_kernels *kernels;
    int dtype;                /* AG_DTYPE_KEEP or an ag_type */
    const ag_mix *quantize;   /* re-encode as a mix chooses; NULL: as dtype says */
    const ag_numa_plan *numa; /* where the weights' pages come from */
    ag_image_store images;    /* packed weights of earlier starts; zero: none */
    const ag_logger *log;     /* what became of them; NULL: silent */
    /* Called between matrices with packed bytes done and in all; false gives up. May be NULL. */
    bool (*on_progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
} ag_model_opts;

/* Check and plan without packing: fills everything but the weights' contents; weight_bytes and
 * vector_bytes say what ag_model_load() will take. `src` must stay open as long as the model.
 * AG_E_UNSUPPORTED, AG_E_FORMAT ("blk.3.attn_q.weight: expected [2048, 2048], found ..."),
 * AG_E_NOMEM. */
typedef struct ag_binding ag_binding;
ag_code ag_model_bind(const ag_source *src, const ag_model_opts *opts, ag_model *m,
                      ag_binding **plan, ag_err *err) AG_MUST_USE;
/* Map the image of these weights; where there is none, allocate, pack on all threads of the pool,
 * drop the file's pages, and begin to write an image. Consumes *plan in every case. AG_E_NOMEM,
 * AG_E_CANCELLED. On error the model must still be closed. */
ag_code ag_model_load(ag_model *m, ag_binding **plan, const ag_source *src,
                      const ag_model_opts *opts, ag_pool *pool, ag_err *err) AG_MUST_USE;
void ag_binding_free(ag_binding **plan);
void ag_model_close(ag_model *m);

/* All packed matrices of a loaded model, i < m->n_bound: rows [*row0, ...) of *t. */
ag_matrix *ag_model_matrix(const ag_model *m, size_t i, const ag_tensor **t, uint64_t *row0);

#endif
