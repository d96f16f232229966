/* Grammars in GBNF, llama.cpp's notation, and what is added to it:
 *   <[1234]> <[<|end|>]> <name>   one token, by its id or its text; how control tokens are written
 *   %json { ... }                 any JSON that this JSON Schema allows
 *   %regex / ... /                any text that this regular expression matches; "\/" is a slash
 * The start is the rule "root". */
#ifndef AG_GRAMMAR_GBNF_H
#define AG_GRAMMAR_GBNF_H

#include "grammar/expr.h"

/* The start; NULL leaves the reason in the builder. The text must outlive the builder. */
const ag_expr *ag_gbnf_parse(ag_build *b, ag_span text);

#endif
