/* Rotary embedding frequencies of a model (RoPE, Su et al. 2021) and their scalings. */
#ifndef AG_MODEL_ROPE_H
#define AG_MODEL_ROPE_H

#include "model/config.h"

typedef struct ag_rope {
    int half;      /* rot / 2 */
    float *inv;    /* owned [half]: angle = position * inv[f] */
    float magnify; /* cos and sin are multiplied by this (YaRN's attention factor), usually 1 */
    float *far;    /* owned [half] or NULL: inv of contexts beyond far_from tokens (LongRoPE) */
    int far_from;
} ag_rope;

/* Frequencies of the layers that see everything: keys rope.freq_base and rope.scaling.*, tensors
 * rope_freqs.weight (Llama 3), rope_factors_short.weight and rope_factors_long.weight (LongRoPE,
 * Ding et al. 2024: Phi). AG_E_FORMAT, AG_E_UNSUPPORTED (scaling type), AG_E_NOMEM. */
ag_code ag_rope_full(const ag_source *src, const ag_model_config *c, ag_rope *out,
                     ag_err *err) AG_MUST_USE;
/* Frequencies of sliding layers: their own base, or no scaling, where the architecture says so,
 * else the same as full. */
ag_code ag_rope_local(const ag_source *src, const ag_model_config *c, const ag_rope *full,
                      ag_rope *out, ag_err *err) AG_MUST_USE;
/* Decide between near and far frequencies, once and for all sequences: keys that are in the cache
 * already cannot change when their sequence grows past far_from. */
void ag_rope_fit(ag_rope *r, int max_context);
void ag_rope_deinit(ag_rope *r);

/* cos[half], sin[half] of one position. Reentrant. */
void ag_rope_at(const ag_rope *r, int position, float *cos, float *sin);

#endif
