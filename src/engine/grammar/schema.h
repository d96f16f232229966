/* JSON Schemas: which JSON texts may be written. */
#ifndef AG_GRAMMAR_SCHEMA_H
#define AG_GRAMMAR_SCHEMA_H

#include "grammar/expr.h"

/* The JSON that a schema allows. With `used` the text may go on behind the schema, and *used says
 * where. NULL leaves the reason, with a JSON pointer, in the builder. */
const ag_expr *ag_schema_parse(ag_build *b, ag_span text, size_t *used);
/* Any JSON object. */
const ag_expr *ag_schema_object(ag_build *b);

#endif
