/* Embeddings: texts as vectors whose directions tell how near their meanings are. */
#ifndef AUTOGLM_EMBED_H
#define AUTOGLM_EMBED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autoglm/error.h"
#include "autoglm/request.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How the vectors of an input's tokens become one. */
typedef enum ag_pooling {
    AG_POOLING_MODEL = 0, /* as the model says; an encoder that does not say: mean */
    AG_POOLING_MEAN = 1,  /* of all tokens */
    AG_POOLING_CLS = 2,   /* that of the first token */
    AG_POOLING_LAST = 3,  /* that of the last token */
} ag_pooling;

/* "mean", "cls", "last"; NULL for AG_POOLING_MODEL and anything else. Any thread. */
AG_API const char *ag_pooling_name(ag_pooling pooling);

/* One of text (tokenised by the engine, with the tokens that the model wants around it) and ids. */
typedef struct ag_embed_input {
    const char *text; /* UTF-8 */
    size_t text_len;
    const int32_t *ids;
    size_t n_ids;
} ag_embed_input;

typedef struct ag_embed_opts {
    ag_pooling pooling;
    bool normalize;       /* to length 1, so that a scalar product is a cosine */
    uint32_t dimensions;  /* keep this many leading numbers, before normalising; 0: all */
    bool truncate;        /* cut inputs beyond the context instead of refusing them */
    ag_priority priority; /* these as in ag_request_opts; the time is that of each input in line */
    const char *tenant;
    float tenant_weight;
    uint32_t timeout_ms;
} ag_embed_opts;

/* What the model says, normalised, all dimensions, nothing cut. */
AG_API ag_embed_opts ag_embed_default(void);

#ifdef __cplusplus
}
#endif
#endif
