/* The numbers of a model, read from a file's keys and checked against each other. */
#ifndef AG_MODEL_CONFIG_H
#define AG_MODEL_CONFIG_H

#include "autoglm/embed.h"
#include "load/source.h"
#include "model/arch.h"

/* How experts are chosen and weighed (config_moe.c). */
typedef struct ag_moe_config {
    int n_experts;     /* 0: no layer has experts; layers with a router have */
    int n_used;        /* experts that a row goes through */
    int n_ff;          /* Fx of one expert */
    int n_ff_shared;   /* Fs of the shared experts together; 0: none */
    int n_groups;      /* experts are divided into so many equal groups, */
    int n_groups_used; /* of which a row uses the best so many */
    ag_gating gating;
    bool normalise; /* the weights of the chosen ones are divided by their sum */
    float scale;    /* and multiplied by this */
} ag_moe_config;

/* Latent attention (config_mla.c): a token is cached as one vector of R numbers, from which keys
 * and values of all heads could be computed, and one rotated key that all heads share. Heads look
 * at these as at a single key of d_head = R + rope numbers, whose first R are the value. */
typedef struct ag_mla_config {
    int rank;   /* R; 0: plain attention */
    int q_rank; /* of the query; 0: it has none */
    int nope;   /* numbers of a head's query and key that do not rotate */
    int rope;   /* and that do */
    int value;  /* numbers of a head's value */
} ag_mla_config;

typedef struct ag_model_config {
    const ag_arch *arch;
    int n_layers;
    int n_embd;     /* E */
    int n_ff;       /* F */
    int n_heads;    /* H query heads */
    int n_kv_heads; /* K; divides H */
    int d_head;     /* D, a multiple of 16; H * D need not be E */
    int n_vocab;    /* rows of the embedding; may differ from the tokenizer's count */
    int n_ctx;      /* that the model was made for */
    float rms_eps;  /* of an encoder: of its LayerNorms */
    float attn_scale;
    float attn_softcap;   /* 0: none */
    float logit_softcap;  /* 0: none */
    float embed_scale;    /* multiplies embeddings; 1: none */
    float residual_scale; /* multiplies what attention and mlp add; 1: none */
    float logit_scale;    /* multiplies logits; 1: none */
    int window;           /* 0: no layer slides */
    int window_pattern;   /* 0: every layer slides; n: every n-th sees all */
    bool half_pairs;      /* rotary partners (f, f + rot/2) instead of (2f, 2f+1) */
    int rot;              /* leading elements of a head that rotate; 0 in an encoder */
    ag_pooling pooling;   /* AG_POOLING_MODEL: the file names none, so it is no embedder */
    ag_moe_config moe;
    ag_mla_config mla;
} ag_model_config;

/* AG_E_UNSUPPORTED (architecture; the message lists the supported ones), AG_E_FORMAT,
 * AG_E_NOT_FOUND (a key is missing). */
ag_code ag_model_config_read(const ag_source *src, ag_model_config *c, ag_err *err) AG_MUST_USE;

/* Does this layer see only the latest `window` keys? */
static inline bool ag_layer_slides(const ag_model_config *c, int layer) {
    return c->window > 0 && (c->window_pattern == 0 || (layer + 1) % c->window_pattern != 0);
}

/* Typed keys below the architecture's prefix: "block_count" → "llama.block_count". */
ag_code ag_arch_key_u32(const ag_source *src, const ag_arch *a, const char *key, bool required,
                        uint32_t *out, ag_err *err) AG_MUST_USE;
ag_code ag_arch_key_f32(const ag_source *src, const ag_arch *a, const char *key, bool required,
                        float *out, ag_err *err) AG_MUST_USE;
/* A size between 1 and max; an array that repeats it for every layer is accepted when all agree.
 * When the key is absent and not required, *out stays. */
ag_code ag_arch_key_size(const ag_source *src, const ag_arch *a, const char *key, bool required,
                         uint32_t max, int *out, ag_err *err) AG_MUST_USE;
/* Fill c->mla, and the sizes of heads that follow from it; c has the file's own sizes. AG_E_FORMAT,
 * AG_E_UNSUPPORTED. */
ag_code ag_mla_config_read(const ag_source *src, ag_model_config *c, ag_err *err) AG_MUST_USE;
/* What YaRN adds to the scale of scores in models that say so, "rope.scaling.yarn_log_multiplier":
 * the factor by which log(scaling factor) counts. 0: nothing. */
ag_code ag_yarn_log_multiplier(const ag_source *src, const ag_arch *a, float *out,
                               ag_err *err) AG_MUST_USE;
/* Fill c->moe; everything else is read before. AG_E_FORMAT, AG_E_UNSUPPORTED. */
ag_code ag_moe_config_read(const ag_source *src, ag_model_config *c, ag_err *err) AG_MUST_USE;

#endif
