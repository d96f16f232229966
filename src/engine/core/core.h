/* A model ready to run: weights, KV, scratch and the compute pool inside one memory budget, and the
 * step that all sequences share.
 *
 * Thread: whoever opens it, then the engine thread alone. */
#ifndef AG_CORE_CORE_H
#define AG_CORE_CORE_H

#include "base/log.h"
#include "kv/kv.h"
#include "model/forward.h"

/* Sequences that run at once by default. An encoder's last for one step, and are often short. */
#define AG_USUAL_SEQUENCES   16
#define AG_ENCODER_SEQUENCES 64

typedef struct ag_core_opts {
    const ag_kernels *kernels;
    const char *device_map; /* see ag_device_map_resolve() */
    int dtype;              /* AG_DTYPE_KEEP or the type to re-encode to */
    const ag_mix *quantize; /* or the mix; NULL: none */
    ag_kv_type kv_type;
    ag_pool *pool;          /* for the steps; borrowed until the core is closed */
    bool pool_is_shared;    /* others may be using it: load with threads of our own */
    ag_numa_plan numa;      /* where they run, and where pages come from */
    uint64_t budget_bytes;  /* for weights, KV and scratch */
    uint64_t memory_bytes;  /* that the machine has, for messages */
    double memory_fraction; /* likewise; 0: budget_bytes was given as such */
    int max_context;        /* tokens of one sequence; 0: the model's own, cut to what fits */
    int max_sequences;      /* 0: AG_USUAL_SEQUENCES, or more of an encoder */
    uint64_t kv_tokens;     /* 0: as many as are useful and fit */
    int batch_tokens;       /* rows of a step; at least the context of an encoder */
    ag_image_store images;  /* packed weights of earlier starts */
    bool (*on_progress)(void *ctx, uint64_t done, uint64_t total);
    void *progress_ctx;
    const ag_logger *log;
} ag_core_opts;

/* What a model takes in memory. */
typedef struct ag_core_needs {
    uint64_t weight_bytes, scratch_bytes;
    uint64_t least_kv_bytes; /* as wished; without a wish, for one usual sequence */
    uint64_t usual_kv_bytes; /* where there is room */
} ag_core_needs;

typedef struct ag_core {
    ag_source *file; /* owned: embeddings are read from its mapping */
    ag_model model;
    ag_pool *pool; /* borrowed */
    ag_numa_plan numa;
    ag_kv kv;
    ag_scratch scratch;
    ag_run *runs;    /* owned [max_runs]: scratch of a step */
    int *logit_rows; /* owned [max_logits] */
    int max_runs, max_logits;
    int max_context;
    int batch_tokens;
    int rows_embedded; /* since the file's pages of the embedding were let go of */
    uint64_t kv_bytes;
    char *device_map; /* owned: what runs where, as pairs */
} ag_core;

/* Takes ownership of `file` on success only. AG_E_BUDGET (the message shows the arithmetic), and
 * what binding and loading give. */
ag_code ag_core_open(ag_core *core, ag_source *file, const ag_core_opts *opts,
                     ag_err *err) AG_MUST_USE;
void ag_core_close(ag_core *core);
/* What opening `file` (borrowed) with these options and a pool of n_threads would take, whatever
 * there is. Loads nothing; opts->pool may be NULL. What binding gives. */
ag_code ag_core_measure(const ag_source *file, const ag_core_opts *opts, int n_threads,
                        ag_core_needs *out, ag_err *err) AG_MUST_USE;

/* How many rows an expert of a layer has computed since opening; 0 where there is none. Any thread:
 * the counts only grow. */
uint64_t ag_core_expert_rows(const ag_core *core, int layer, int expert);

/* One sequence's part of a step. */
typedef struct ag_step_item {
    ag_kv_seq *kv;      /* the new tokens' positions follow its n_tokens; blocks are reserved */
    const int32_t *ids; /* [n] new tokens */
    int n;
    int n_logits;        /* logits of so many last tokens, in *logits */
    float *all_logits;   /* or NULL: logits of all n tokens go here, [n, n_vocab] */
    const float *logits; /* out: [n_logits, n_vocab], valid until the next step */
    float *pooled;       /* or NULL: see ag_forward_pool() */
    ag_pooling pooling;
} ag_step_item;

/* Run n_items (at most max_sequences) sequences with at most batch_tokens tokens together and at
 * most max_sequences logits; of an encoder each item is a whole input, and there are no logits.
 * Cannot fail and does not allocate. */
void ag_core_step(ag_core *core, ag_step_item *items, int n_items);

#endif
