/* How JSON is written: the pieces from which schemas make their texts.
 *
 * White space is bounded, so that a model cannot get lost in it: where JSON allows it after "{",
 * "[",
 * "," and before "}", "]" there may be nothing, one space, or a line end and up to AG_JSON_INDENT
 * spaces or tabs; after ":" nothing or one space. That covers compact and indented text as the
 * usual writers make it. Numbers have at most AG_JSON_DIGITS digits on each side of the point. */
#ifndef AG_GRAMMAR_JSON_TEXT_H
#define AG_GRAMMAR_JSON_TEXT_H

#include <jansson.h>

#include "grammar/expr.h"

#define AG_JSON_INDENT 40u
#define AG_JSON_DIGITS 17u

const ag_expr *ag_gjson_ws(ag_build *b);
const ag_expr *ag_gjson_colon(ag_build *b);
/* One character of a string, in any of its spellings. */
const ag_expr *ag_gjson_char(ag_build *b);
const ag_expr *ag_gjson_string(ag_build *b);
const ag_expr *ag_gjson_number(ag_build *b);
const ag_expr *ag_gjson_value(ag_build *b);
const ag_expr *ag_gjson_object(ag_build *b);
const ag_expr *ag_gjson_array(ag_build *b);
/* This string, quoted and escaped. */
const ag_expr *ag_gjson_key(ag_build *b, ag_span text);
/* This value; strings in their shortest spelling. */
const ag_expr *ag_gjson_const(ag_build *b, const json_t *value);
/* "[" ... "]" around optional contents; "{" ... "}" likewise. `body` may match the empty text. */
const ag_expr *ag_gjson_in_brackets(ag_build *b, const char *open, const ag_expr *body,
                                    const char *close);
/* "," and what follows it. */
const ag_expr *ag_gjson_next(ag_build *b, const ag_expr *part);

#endif
