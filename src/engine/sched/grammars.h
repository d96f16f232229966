/* The vocabulary of a model as grammars see it. */
#ifndef AG_SCHED_GRAMMARS_H
#define AG_SCHED_GRAMMARS_H

#include "grammar/grammar.h"
#include "text/tokenizer.h"

/* The cache of an engine's grammars; the tokenizer must outlive it. AG_E_NOMEM. */
ag_code ag_grammars_open(const ag_tokenizer *t, int32_t n_vocab, ag_gcache **out,
                         ag_err *err) AG_MUST_USE;

#endif
