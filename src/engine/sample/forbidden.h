/* Sequences of tokens that an answer must not hold: where it ends in all tokens of one but the
 * last, the last must not come. A sequence of one token never comes. Only tokens of the answer
 * count, not those of the prompt (as in vLLM): a word that the prompt begins may be ended.
 *
 * Thread: engine; nothing is allocated after init. */
#ifndef AG_SAMPLE_FORBIDDEN_H
#define AG_SAMPLE_FORBIDDEN_H

#include "autoglm/request.h"
#include "sample/history.h"

typedef struct ag_forbidden {
    int32_t *ids; /* owned: all sequences, one behind the other; NULL: there are none */
    size_t *ends; /* [n] owned: where each ends in ids */
    size_t n;
    size_t longest; /* tokens of the longest sequence */
} ag_forbidden;

/* Copies the sequences, which are checked. AG_E_NOMEM; on failure nothing is held. */
ag_code ag_forbidden_init(ag_forbidden *f, const ag_token_sequence *sequences, size_t n,
                          ag_err *err) AG_MUST_USE;
void ag_forbidden_deinit(ag_forbidden *f);

/* Set x[id] to -infinity for each token that would complete a sequence, given the last n_answer
 * tokens of the history, which reaches back at least longest - 1 tokens. */
void ag_forbidden_apply(const ag_forbidden *f, const ag_history *h, uint64_t n_answer, float *x);

#endif
