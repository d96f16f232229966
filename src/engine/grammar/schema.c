#include "grammar/schema.h"

const ag_expr *ag_schema_parse(ag_build *b, ag_span text, size_t *used) {
    (void)text;
    (void)used;
    return ag_build_fail(b, AG_E_UNSUPPORTED, "this build knows no JSON Schema");
}

const ag_expr *ag_schema_object(ag_build *b) { return ag_schema_parse(b, (ag_span){0}, NULL); }
