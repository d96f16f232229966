#include "grammar/choice.h"

#include <jansson.h>

const ag_expr *ag_choice_parse(ag_build *b, ag_span json) {
    json_error_t why;
    json_t *list = json_loadb(json.p ? json.p : "", json.n, JSON_ALLOW_NUL, &why);
    const ag_expr *e = NULL;
    ag_parts parts = {0};
    size_t n = json_array_size(list);
    if (!list)
        ag_build_fail(b, AG_E_GRAMMAR, "expected a JSON array of strings; line %d, column %d: %s",
                      why.line, why.column, why.text);
    else if (!json_is_array(list) || n == 0)
        ag_build_fail(b, AG_E_GRAMMAR, "expected a JSON array with at least one string");
    for (size_t i = 0; i < n && !b->code; i++) {
        json_t *text = json_array_get(list, i);
        if (!json_is_string(text))
            ag_build_fail(b, AG_E_GRAMMAR, "#/%zu: expected a string", i);
        else
            ag_parts_add(
                b, &parts,
                ag_expr_bytes(b, ag_span_of(json_string_value(text), json_string_length(text))));
    }
    if (!b->code)
        e = ag_expr_alt(b, parts.v, parts.n);
    json_decref(list);
    return e;
}
