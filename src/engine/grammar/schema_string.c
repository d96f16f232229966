/* Strings: minLength, maxLength, pattern, format. */
#include "base/limits.h"
#include "grammar/atoms_of.h"
#include "grammar/charset.h"
#include "grammar/regex.h"
#include "grammar/schema_parts.h"

/* As RFC 3339, 5321, 1123, 4122, 2673, 4291 and 3986 have it, without their rarest corners: years
 * from 1000, one email address without quotes or comments, URIs with an authority. */
#define DATE                                                                                       \
    "([1-9]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])|(0[469]|11)-(0[1-9]|[12]\\d|30)|"       \
    "02-(0[1-9]|1\\d|2[0-8]))|([1-9]\\d(0[48]|[2468][048]|[13579][26])|"                           \
    "([2468][048]|[13579][26])00)-02-29)"
#define TIME     "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,9})?(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define CLOCK    "(\\d{1,4}H(\\d{1,4}M(\\d{1,4}S)?)?|\\d{1,4}M(\\d{1,4}S)?|\\d{1,4}S)"
#define LABEL    "[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?"
#define HOSTNAME LABEL "(\\." LABEL "){0,7}"
#define OCTET    "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4     OCTET "\\." OCTET "\\." OCTET "\\." OCTET
#define H        "[0-9a-fA-F]{1,4}"
#define ATEXT    "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,20}"
#define PCHAR    "([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"

static const char *format_pattern(const char *name) {
    static const char *const formats[][2] = {
        {"date", DATE},
        {"time", TIME},
        {"date-time", DATE "T" TIME},
        {"duration",
         "P(\\d{1,4}W|(\\d{1,4}Y(\\d{1,4}M(\\d{1,4}D)?)?|\\d{1,4}M(\\d{1,4}D)?|\\d{1,4}D)"
         "(T" CLOCK ")?|T" CLOCK ")"},
        {"email", ATEXT "(\\." ATEXT "){0,2}@" HOSTNAME},
        {"hostname", HOSTNAME},
        {"uuid", "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"},
        {"ipv4", IPV4},
        {"ipv6", "((" H ":){7}" H "|(" H ":){1,6}:" H "|(" H ":){1,5}(:" H "){2}|(" H ":){1,4}(:" H
                 "){3}|(" H ":){1,3}(:" H "){4}|(" H ":){1,2}(:" H "){5}|" H ":(:" H "){6}|:(:" H
                 "){1,7}|(" H ":){1,7}:|::)"},
        {"uri",
         "[a-zA-Z][a-zA-Z0-9+.-]{0,11}://" HOSTNAME "(:[1-9]\\d{0,3})?(/" PCHAR "{0,64}){0,8}"
         "(\\?(" PCHAR "|[/?]){0,64})?(#(" PCHAR "|[/?]){0,64})?"},
        {NULL, NULL}};
    for (int i = 0; formats[i][0]; i++)
        if (strcmp(name, formats[i][0]) == 0)
            return formats[i][1];
    return NULL; /* says nothing about the text, as an unknown one does by the standard */
}

typedef struct wish {
    uint32_t min, max;
    json_t *pattern;
    const char *format; /* its pattern */
} wish;

static bool read_wish(ag_schema *s, json_t *node, wish *w) {
    *w = (wish){.max = AG_EXPR_MANY};
    json_t *format = json_object_get(node, "format");
    ag_schema_count(s, node, "minLength", &w->min);
    ag_schema_count(s, node, "maxLength", &w->max);
    w->pattern = json_object_get(node, "pattern");
    w->format = json_is_string(format) ? format_pattern(json_string_value(format)) : NULL;
    if (w->pattern && !json_is_string(w->pattern))
        ag_schema_fail(s, "pattern", "expected a string");
    return !s->b->code;
}

/* Put the place in front of what a part of ours has to say. */
static const ag_expr *placed(ag_schema *s, const char *key, const ag_expr *e, bool failed_before) {
    if (!e && !failed_before && s->b->code)
        ag_err_wrap(&s->b->err, s->b->code, "%s/%s", s->path, key);
    return e;
}

static const ag_expr *pattern_expr(ag_schema *s, ag_span pattern, bool search) {
    bool failed = s->b->code != AG_OK;
    return placed(s, "pattern",
                  ag_regex_parse(s->b, pattern, (ag_regex_mode){.in_json = true, .search = search}),
                  failed);
}

static ag_span pattern_of(const wish *w) {
    return ag_span_of(json_string_value(w->pattern), json_string_length(w->pattern));
}

/* ---- as automata ------------------------------------------------------------------------------
 */

static const ag_atom *atom_of(ag_schema *s, const char *key, const ag_expr *e) {
    bool failed = s->b->code != AG_OK;
    const ag_atom *atom = e ? ag_build_atom(s->b, e) : NULL;
    if (!atom)
        placed(s, key, NULL, failed);
    return atom;
}

const ag_atom *ag_schema_pattern_atom(ag_schema *s, ag_span pattern) {
    bool failed = s->b->code != AG_OK;
    const ag_expr *e =
        ag_regex_parse(s->b, pattern, (ag_regex_mode){.in_json = true, .search = true});
    const ag_atom *atom = e ? ag_build_atom(s->b, e) : NULL;
    if (!atom && !failed && s->b->code)
        ag_err_wrap(&s->b->err, s->b->code, "%s", s->path);
    return atom;
}

/* One character in its shortest spelling. */
static const ag_expr *plain_char(ag_schema *s) {
    ag_charset all = {0};
    ag_charset_invert(&all);
    return ag_expr_set(s->b, &all, true);
}

static const ag_atom *both(ag_schema *s, const char *key, const ag_atom *a, const ag_atom *b) {
    ag_atom *atom = NULL;
    ag_err err = {0};
    if (!a || !b)
        return NULL;
    if (ag_atom_both(a, b, &s->b->work_left, &atom, &err)) {
        ag_schema_fail_as(s, key, &err);
        return NULL;
    }
    return ag_build_own_atom(s->b, atom);
}

const ag_atom *ag_schema_string_atom(ag_schema *s, json_t *node) {
    wish w;
    const ag_atom *atom = NULL;
    if (!read_wish(s, node, &w))
        return NULL;
    if (w.pattern)
        atom = atom_of(s, "pattern", pattern_expr(s, pattern_of(&w), true));
    if (w.format) {
        const ag_atom *format = atom_of(s, "format", pattern_expr(s, ag_str(w.format), false));
        atom = w.pattern ? both(s, "format", atom, format) : format;
    }
    if (w.min > 0 || w.max != AG_EXPR_MANY || (!w.pattern && !w.format)) {
        const ag_atom *length = w.min > w.max
                                    ? ag_build_atom(s->b, ag_expr_nothing(s->b))
                                    : atom_of(s, w.max != AG_EXPR_MANY ? "maxLength" : "minLength",
                                              ag_expr_repeat(s->b, plain_char(s), w.min, w.max));
        atom = w.pattern || w.format ? both(s, "maxLength", atom, length) : length;
    }
    return atom;
}

/* ---- the whole --------------------------------------------------------------------------------
 */

const ag_expr *ag_schema_string_type(ag_schema *s, json_t *node) {
    ag_build *b = s->b;
    wish w;
    const ag_expr *inside = NULL;
    if (!read_wish(s, node, &w))
        return NULL;
    bool bounded = w.min > 0 || w.max != AG_EXPR_MANY;
    if (!bounded && !w.pattern && !w.format)
        return ag_gjson_string(b);
    if (w.min > w.max)
        return ag_schema_nothing(s, "minLength", "it is above maxLength");
    if (bounded + (w.pattern != NULL) + (w.format != NULL) > 1) {
        const ag_atom *atom = ag_schema_string_atom(s, node);
        inside = atom ? ag_build_atom_expr(b, atom) : NULL;
    } else if (w.pattern) {
        inside = pattern_expr(s, pattern_of(&w), true);
    } else if (w.format) {
        inside = pattern_expr(s, ag_str(w.format), false);
    } else {
        inside = ag_expr_repeat(b, ag_gjson_char(b), w.min, w.max);
    }
    const ag_expr *e = AG_SEQ(b, ag_expr_text(b, "\""), inside, ag_expr_text(b, "\""));
    return e && e->size > 16 ? ag_expr_shared(b, e) : e;
}
