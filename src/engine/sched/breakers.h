/* DRY's sequence breakers: strings → all the ways in which tokens can write them. */
#ifndef AG_SCHED_BREAKERS_H
#define AG_SCHED_BREAKERS_H

#include "sample/sampler.h"
#include "text/tokenizer.h"

/* From sampling->dry_breakers, or the usual four when it is NULL. Walks the vocabulary: some
 * milliseconds. AG_E_ARG, AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_breakers_build(const ag_sampling *sampling, const ag_tokenizer *t, int32_t n_vocab,
                          ag_dry_breakers **out, ag_err *err) AG_MUST_USE;

#endif
