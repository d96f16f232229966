/* The architecture table: what sets one family apart. Everything else is read from the file's keys
 * or from which tensors exist, so a new decoder is a row here.
 *
 * The layer that all rows describe, with missing norms being the identity:
 *     a = post_attn(attn(pre_attn(h)));  h += a;   m = post_mlp(mlp(pre_mlp(h)));  h += m */
#ifndef AG_MODEL_ARCH_H
#define AG_MODEL_ARCH_H

#include "base/span.h"

typedef enum ag_pairing {
    AG_PAIR_ADJACENT, /* rotary partners (2f, 2f+1), as the rows lie in the file */
    AG_PAIR_HALF,     /* rotary partners (f, f + rot/2) */
    AG_PAIR_GLM4,     /* adjacent, but half where the file has rope.dimension_sections */
} ag_pairing;

typedef enum ag_window_rule {
    AG_WINDOW_NONE,    /* a window key is ignored: the model does not use it */
    AG_WINDOW_ALL,     /* every layer slides when the file has a window */
    AG_WINDOW_PATTERN, /* every layer slides but each pattern-th */
} ag_window_rule;

typedef enum ag_activation { AG_ACT_SWIGLU, AG_ACT_GEGLU } ag_activation;

/* How a router's numbers become scores. */
typedef enum ag_gating {
    AG_GATE_SOFTMAX, /* over all experts */
    AG_GATE_SIGMOID, /* of each alone; a bias may move the choice */
} ag_gating;

typedef struct ag_arch {
    const char *name;     /* general.architecture */
    const char *families; /* for people */
    ag_pairing pairing;
    ag_window_rule window;
    ag_activation act;
    bool embed_scale;        /* embeddings are multiplied by sqrt(n_embd) */
    ag_gating gating;        /* of experts, when the file has no key */
    bool normalises_experts; /* likewise: their weights are divided by their sum */
    bool latent;             /* attention through a cached latent vector */
    const char *post_attn;   /* tensor names inside blk.N.; NULL: no such norm */
    const char *pre_mlp;
    const char *post_mlp;
    uint32_t window_pattern; /* when the file has no key */
    float theta_local;       /* rope base of sliding layers when they have their own; 0: the same */
    bool encoder;            /* every token sees all others: the layer in forward_bert.c */
    bool local_unscaled;     /* sliding layers rotate by the same base, but without its scaling */
    bool post_norms_only;    /* no norm before attention and mlp */
    bool multipliers;        /* embeddings, residuals and logits have factors of their own */
    bool wide_qk_norm;       /* q and k norms span all heads at once */
} ag_arch;

/* The row of an architecture, or NULL. */
const ag_arch *ag_arch_find(ag_span name);
/* "llama, qwen2, ...": for messages. */
const char *ag_arch_supported(void);

#endif
