#include "grammar/json_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "base/limits.h"
#include "grammar/regex.h"

/* Made once in a builder. Those that are rules are set before their bodies are, as they recur. */
enum { PART_WS, PART_CHAR, PART_STRING, PART_NUMBER, PART_VALUE, PART_OBJECT, PART_ARRAY };

static const ag_expr *raw_regex(ag_build *b, const char *pattern) {
    return ag_regex_parse(b, ag_str(pattern), (ag_regex_mode){0});
}

const ag_expr *ag_gjson_ws(ag_build *b) {
    const ag_expr **part = &b->json_parts[PART_WS];
    if (*part)
        return *part;
    ag_drawing d = {0};
    ag_atom *atom = NULL;
    ag_err err = {0};
    uint32_t start = ag_drawing_state(&d, true), at = ag_drawing_state(&d, true);
    ag_drawing_edge(&d, start, ' ', ' ', at);
    at = ag_drawing_state(&d, true);
    ag_drawing_edge(&d, start, '\n', '\n', at);
    for (unsigned i = 0; i < AG_JSON_INDENT; i++) {
        uint32_t next = ag_drawing_state(&d, true);
        ag_drawing_edge(&d, at, ' ', ' ', next);
        ag_drawing_edge(&d, at, '\t', '\t', next);
        at = next;
    }
    if (ag_drawing_finish(&d, &atom, &err))
        return ag_build_fail(b, err.code, "%s", err.msg);
    return *part = ag_expr_atom(b, atom);
}

const ag_expr *ag_gjson_colon(ag_build *b) {
    return AG_SEQ(b, ag_expr_text(b, ":"), ag_expr_maybe(b, ag_expr_text(b, " ")));
}

const ag_expr *ag_gjson_char(ag_build *b) {
    const ag_expr **part = &b->json_parts[PART_CHAR];
    if (*part)
        return *part;
    ag_charset all = {0};
    ag_atom *atom = NULL;
    ag_err err = {0};
    ag_charset_invert(&all);
    if (ag_charset_atom(&all, AG_CHARS_IN_JSON_ANY, &atom, &err))
        ag_build_fail(b, err.code, "%s", err.msg);
    ag_charset_deinit(&all);
    return *part = ag_expr_atom(b, atom);
}

const ag_expr *ag_gjson_string(ag_build *b) {
    const ag_expr **part = &b->json_parts[PART_STRING];
    if (!*part)
        *part = ag_expr_shared(b, AG_SEQ(b, ag_expr_text(b, "\""),
                                         ag_expr_repeat(b, ag_gjson_char(b), 0, AG_EXPR_MANY),
                                         ag_expr_text(b, "\"")));
    return *part;
}

const ag_expr *ag_gjson_number(ag_build *b) {
    const ag_expr **part = &b->json_parts[PART_NUMBER];
    char pattern[128];
    snprintf(pattern, sizeof pattern,
             "-?(0|[1-9][0-9]{0,%u})(\\.[0-9]{1,%u})?([eE][-+]?[0-9]{1,2})?", AG_JSON_DIGITS - 1,
             AG_JSON_DIGITS);
    if (!*part)
        *part = ag_expr_shared(b, raw_regex(b, pattern));
    return *part;
}

const ag_expr *ag_gjson_next(ag_build *b, const ag_expr *part) {
    return AG_SEQ(b, ag_expr_text(b, ","), ag_gjson_ws(b), part);
}

/* "[" ws body ws "]", or "[" ws "]" where the body is optional and left out. */
const ag_expr *ag_gjson_in_brackets(ag_build *b, const char *open, const ag_expr *body,
                                    const char *close) {
    if (!body)
        return NULL;
    bool maybe = body->kind == AG_EXPR_REPEAT && body->min == 0 && body->max == 1;
    const ag_expr *inside = body->kind == AG_EXPR_EMPTY ? body
                            : maybe ? ag_expr_maybe(b, AG_SEQ(b, body->u.parts[0], ag_gjson_ws(b)))
                                    : AG_SEQ(b, body, ag_gjson_ws(b));
    return AG_SEQ(b, ag_expr_text(b, open), ag_gjson_ws(b), inside, ag_expr_text(b, close));
}

/* A rule of its own that may refer to itself: the reference first, then its body. */
static uint32_t begin_rule(ag_build *b, int part) {
    uint32_t rule = ag_rule_add(b, (ag_span){0});
    b->json_parts[part] = ag_expr_rule(b, rule);
    return rule;
}

static const ag_expr *end_rule(ag_build *b, int part, uint32_t rule, const ag_expr *body) {
    if (b->code || !body)
        return NULL;
    b->rules[rule].body = body;
    b->rules[rule].shared = true;
    return b->json_parts[part];
}

/* A list that may be empty, white space once in either case. */
static const ag_expr *list_of(ag_build *b, const char *open, const ag_expr *item,
                              const char *close) {
    const ag_expr *more = ag_expr_repeat(b, ag_gjson_next(b, item), 0, AG_EXPR_MANY);
    return AG_SEQ(b, ag_expr_text(b, open), ag_gjson_ws(b),
                  ag_expr_maybe(b, AG_SEQ(b, item, more, ag_gjson_ws(b))), ag_expr_text(b, close));
}

const ag_expr *ag_gjson_object(ag_build *b) {
    if (b->code || b->json_parts[PART_OBJECT])
        return b->json_parts[PART_OBJECT];
    uint32_t rule = begin_rule(b, PART_OBJECT);
    const ag_expr *pair = AG_SEQ(b, ag_gjson_string(b), ag_gjson_colon(b), ag_gjson_value(b));
    return end_rule(b, PART_OBJECT, rule, list_of(b, "{", pair, "}"));
}

const ag_expr *ag_gjson_array(ag_build *b) {
    if (b->code || b->json_parts[PART_ARRAY])
        return b->json_parts[PART_ARRAY];
    uint32_t rule = begin_rule(b, PART_ARRAY);
    return end_rule(b, PART_ARRAY, rule, list_of(b, "[", ag_gjson_value(b), "]"));
}

const ag_expr *ag_gjson_value(ag_build *b) {
    if (b->code || b->json_parts[PART_VALUE])
        return b->json_parts[PART_VALUE];
    uint32_t rule = begin_rule(b, PART_VALUE);
    return end_rule(b, PART_VALUE, rule,
                    AG_ALT(b, ag_gjson_object(b), ag_gjson_array(b), ag_gjson_string(b),
                           ag_gjson_number(b), ag_expr_text(b, "true"), ag_expr_text(b, "false"),
                           ag_expr_text(b, "null")));
}

/* ---- values -----------------------------------------------------------------------------------
 */

const ag_expr *ag_gjson_key(ag_build *b, ag_span text) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_GRAMMAR, AG_MAX_GRAMMAR_BYTES * 8);
    ag_buf_addc(&out, '"');
    ag_json_escape(&out, text);
    ag_buf_addc(&out, '"');
    const ag_expr *e = out.failed ? ag_build_fail(b, AG_E_NOMEM, "out of memory for a grammar")
                                  : ag_expr_bytes(b, ag_buf_span(&out));
    ag_buf_deinit(&out);
    return e;
}

/* The shortest decimal that reads back as the same number; one without a fraction also as such. */
static const ag_expr *real_const(ag_build *b, double x) {
    char text[64];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    const ag_expr *e = ag_expr_text(b, text);
    if (x != floor(x) || fabs(x) > 1e15)
        return e;
    snprintf(text, sizeof text, "%.0f", x);
    return AG_SEQ(b, ag_expr_text(b, text), ag_expr_maybe(b, ag_expr_text(b, ".0")));
}

static const ag_expr *array_const(ag_build *b, const json_t *value) {
    ag_parts parts = {0};
    for (size_t i = 0; i < json_array_size(value); i++) {
        const ag_expr *item = ag_gjson_const(b, json_array_get(value, i));
        ag_parts_add(b, &parts, i ? ag_gjson_next(b, item) : item);
    }
    return ag_gjson_in_brackets(b, "[", ag_expr_seq(b, parts.v, parts.n), "]");
}

static const ag_expr *object_const(ag_build *b, json_t *value) {
    ag_parts parts = {0};
    const char *key;
    size_t key_len;
    json_t *member;
    json_object_keylen_foreach(value, key, key_len, member) {
        const ag_expr *pair = AG_SEQ(b, ag_gjson_key(b, ag_span_of(key, key_len)),
                                     ag_gjson_colon(b), ag_gjson_const(b, member));
        ag_parts_add(b, &parts, parts.n ? ag_gjson_next(b, pair) : pair);
    }
    return ag_gjson_in_brackets(b, "{", ag_expr_seq(b, parts.v, parts.n), "}");
}

const ag_expr *ag_gjson_const(ag_build *b, const json_t *value) {
    char text[32];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return object_const(b, (json_t *)value);
    case JSON_ARRAY:
        return array_const(b, value);
    case JSON_STRING:
        return ag_gjson_key(b, ag_span_of(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(value));
        return ag_expr_text(b, text);
    case JSON_REAL:
        return real_const(b, json_real_value(value));
    case JSON_TRUE:
        return ag_expr_text(b, "true");
    case JSON_FALSE:
        return ag_expr_text(b, "false");
    case JSON_NULL:
        break;
    }
    return ag_expr_text(b, "null");
}
