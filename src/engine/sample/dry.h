/* DRY ("don't repeat yourself"): a token that would prolong a repetition of what was said before is
 * made less likely, the more the longer the repetition is.
 *
 * Let the text end in ...t. For each earlier position whose last L tokens equal the text's last L
 * (L as large as possible, within the window), the token that followed there would make the
 * repetition L + 1 long. With L >= allowed_length its logit loses multiplier * base^(L -
 * allowed_length), L being the largest over all positions. A breaker ends repetitions: no match
 * reaches back over one, and a token that is a breaker by itself is never penalised.
 *
 * Thread: engine; an ag_dry_breakers is immutable and may be shared by any number of samplers.
 */
#ifndef AG_SAMPLE_DRY_H
#define AG_SAMPLE_DRY_H

#include "sample/cands.h"
#include "sample/history.h"

/* A breaker string as tokens. One string gives many of these: {t} for every token t whose text
 * contains the string, and {t, u, v...} for every t whose text ends in a proper beginning of the
 * string, u, v... being the tokens of the rest. */
typedef struct ag_dry_sequence {
    const int32_t *ids; /* borrowed */
    size_t n;           /* > 0; past AG_DRY_MAX_SEQUENCE the end is cut off */
} ag_dry_sequence;

#define AG_DRY_MAX_SEQUENCE  21u        /* a head and 20 tokens */
#define AG_DRY_MAX_LONGER    (1u << 16) /* sequences of several tokens */
#define AG_DRY_MAX_SEQUENCES (1u << 22) /* a string may occur in most tokens of a vocabulary */

typedef struct ag_dry_breakers ag_dry_breakers;

/* Prepare breakers for lookup; make one per model and set of strings, and share it. Copies.
 * AG_E_ARG (empty sequence, id outside the vocabulary), AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_dry_breakers_new(const ag_dry_sequence *sequences, size_t n, int32_t n_vocab,
                            ag_dry_breakers **out, ag_err *err) AG_MUST_USE;
void ag_dry_breakers_free(ag_dry_breakers **b);

typedef struct ag_dry {
    float multiplier, base;
    size_t allowed;                  /* tokens that may repeat freely, >= 1 */
    size_t window;                   /* tokens looked back at */
    const ag_dry_breakers *breakers; /* borrowed; NULL: none */
    uint32_t *match;                 /* [window] owned; working space */
} ag_dry;

/* Take the penalties off x[s->n_vocab] given the history. */
void ag_dry_apply(const ag_dry *d, const ag_history *h, ag_sample_scratch *s, float *x);

#endif
