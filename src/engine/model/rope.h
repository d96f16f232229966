/* Rotary embedding frequencies of a model (RoPE, Su et al. 2021) and their scalings. */
#ifndef AG_MODEL_ROPE_H
#define AG_MODEL_ROPE_H

#include "model/config.h"

typedef struct ag_rope {
    int half;      /* rot / 2 */
    float *inv;    /* owned [half]: angle = position * inv[f] */
    float magnify; /* cos and sin are multiplied by this (YaRN's attention factor), usually 1 */
} ag_rope;

/* Frequencies of the layers that see everything: keys rope.freq_base and rope.scaling.*, tensor
 * rope_freqs.weight (Llama 3). AG_E_FORMAT, AG_E_UNSUPPORTED (scaling type), AG_E_NOMEM. */
ag_code ag_rope_full(const ag_source *src, const ag_model_config *c, ag_rope *out,
                     ag_err *err) AG_MUST_USE;
/* Frequencies of sliding layers: their own base and no scaling where the architecture says so, else
 * the same as full. */
ag_code ag_rope_local(const ag_source *src, const ag_model_config *c, const ag_rope *full,
                      ag_rope *out, ag_err *err) AG_MUST_USE;
void ag_rope_deinit(ag_rope *r);

/* cos[half], sin[half] of one position. Reentrant. */
void ag_rope_at(const ag_rope *r, int position, float *cos, float *sin);

#endif
