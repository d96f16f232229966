/* A list of texts, of which one is the answer. */
#ifndef AG_GRAMMAR_CHOICE_H
#define AG_GRAMMAR_CHOICE_H

#include "grammar/expr.h"

/* From a JSON array of strings. NULL leaves the reason in the builder. */
const ag_expr *ag_choice_parse(ag_build *b, ag_span json);

#endif
