/* BPE, byte-level or over SentencePiece's characters: the merge rules of a vocabulary. Private to
 * this room. */
#ifndef AG_TEXT_BPE_H
#define AG_TEXT_BPE_H

#include "load/source.h"
#include "text/vocab.h"

/* Fill byte_id (byte-level) and the index of pairs from rules "left right". Rules that name no
 * token are left out; of equal pairs the last counts. AG_E_FORMAT, AG_E_LIMIT, AG_E_NOMEM. */
ag_code ag_bpe_rules(ag_tokenizer *t, const ag_value *merges, ag_err *err) AG_MUST_USE;

#endif
