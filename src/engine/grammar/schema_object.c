/* Objects. Properties come in the order of the schema (as OpenAI writes them), those that are not
 * required may be left out; properties that the schema does not name come behind them. */
#include <stdlib.h>

#include "base/limits.h"
#include "grammar/atoms_of.h"
#include "grammar/schema_parts.h"

typedef struct member {
    const char *name;
    size_t len;
    const ag_expr *pair; /* name, colon and value */
    bool required;
} member;

typedef struct object {
    ag_schema *s;
    json_t *node;
    member *members; /* owned [n] */
    size_t n;
    uint32_t min, max;            /* properties in all */
    bool counted;                 /* the number of properties matters */
    const ag_atom *allowed_names; /* of all properties; NULL until it is needed */
    const ag_expr *extra;         /* a pair that the schema does not name; NULL: none may come */
} object;

static bool is_required(json_t *node, const char *name, size_t len) {
    json_t *list = json_object_get(node, "required");
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *x = json_array_get(list, i);
        if (json_is_string(x) && json_string_length(x) == len &&
            memcmp(json_string_value(x), name, len) == 0)
            return true;
    }
    return false;
}

/* ---- names ------------------------------------------------------------------------------------
 */

static const ag_atom *own(ag_schema *s, ag_code code, ag_atom *atom, const ag_err *err) {
    if (!code)
        return ag_build_own_atom(s->b, atom);
    ag_schema_fail_as(s, NULL, err);
    return NULL;
}

/* The names of the members, as they stand between quotes. */
static const ag_atom *names_atom(object *o) {
    ag_drawing d = {0};
    uint32_t start = ag_drawing_state(&d, false);
    for (size_t i = 0; i < o->n && !d.failed; i++) {
        ag_buf text;
        ag_schema_escape(o->s, ag_span_of(o->members[i].name, o->members[i].len), &text);
        uint32_t at = start;
        for (size_t k = 0; k < text.n && !d.failed; k++) {
            uint8_t c = (uint8_t)text.p[k];
            if (d.next[at][c] == AG_ATOM_NONE) {
                uint32_t next = ag_drawing_state(&d, false);
                ag_drawing_edge(&d, at, c, c, next);
            }
            at = d.failed ? 0 : d.next[at][c];
        }
        if (!d.failed)
            d.accepts[at] = true;
        ag_buf_deinit(&text);
    }
    ag_atom *atom = NULL;
    ag_err err = {0};
    ag_code code = ag_drawing_finish(&d, &atom, &err);
    return own(o->s, code, atom, &err);
}

static const ag_atom *minus(ag_schema *s, const ag_atom *a, const ag_atom *b) {
    ag_atom *atom = NULL;
    ag_err err = {0};
    if (!a || !b)
        return NULL;
    ag_code code = ag_atom_without(a, b, &s->b->work_left, &atom, &err);
    return own(s, code, atom, &err);
}

static const ag_atom *both(ag_schema *s, const ag_atom *a, const ag_atom *b) {
    ag_atom *atom = NULL;
    ag_err err = {0};
    if (!a || !b)
        return NULL;
    ag_code code = ag_atom_both(a, b, &s->b->work_left, &atom, &err);
    return own(s, code, atom, &err);
}

static const ag_expr *pair_of(ag_schema *s, const ag_atom *names, const ag_expr *value) {
    const ag_expr *quote = ag_expr_text(s->b, "\"");
    return AG_SEQ(s->b, quote, names ? ag_build_atom_expr(s->b, names) : NULL, quote,
                  ag_gjson_colon(s->b), value);
}

/* The names that any property may have. Most schemas need not know: they list what there is. */
static const ag_atom *allowed_names(object *o) {
    ag_schema *s = o->s;
    if (o->allowed_names)
        return o->allowed_names;
    json_t *names = json_object_get(o->node, "propertyNames"), *any = json_object();
    size_t mark = ag_schema_enter(s, "propertyNames");
    if (names && !json_is_object(names) && !json_is_true(names))
        ag_schema_fail(s, NULL, "expected a schema of strings");
    o->allowed_names = ag_schema_string_atom(s, names && !json_is_true(names) ? names : any);
    ag_schema_leave(s, mark);
    json_decref(any);
    return o->allowed_names;
}

/* ---- properties that are not named ------------------------------------------------------------
 */

/* What may be written for properties that the schema does not name. */
static json_t *additional(json_t *node) {
    json_t *extra = json_object_get(node, "additionalProperties");
    return extra ? extra : json_object_get(node, "unevaluatedProperties");
}

#define MAX_PATTERNS 64u

/* A pair for each pattern, of names out of `left`; what is left then. Names that fit several
 * patterns would have to fulfil all their schemas and are left out. */
static const ag_atom *add_patterns(object *o, const ag_atom *left, json_t *patterns,
                                   ag_parts *pairs) {
    ag_schema *s = o->s;
    const ag_atom *fits[MAX_PATTERNS];
    const char *pattern;
    size_t n = 0, i = 0, len;
    json_t *schema;
    if (json_object_size(patterns) > MAX_PATTERNS) {
        ag_schema_fail(s, "patternProperties", "at most %u patterns are supported", MAX_PATTERNS);
        return NULL;
    }
    size_t mark = ag_schema_enter(s, "patternProperties");
    json_object_keylen_foreach(patterns, pattern, len, schema) {
        size_t inner = ag_schema_enter(s, pattern);
        fits[n++] = ag_schema_pattern_atom(s, ag_span_of(pattern, len));
        ag_schema_leave(s, inner);
    }
    json_object_keylen_foreach(patterns, pattern, len, schema) {
        size_t inner = ag_schema_enter(s, pattern);
        const ag_atom *names = both(s, left, fits[i]);
        for (size_t k = 0; k < n; k++)
            names = k == i ? names : minus(s, names, fits[k]);
        ag_parts_add(s->b, pairs, pair_of(s, names, ag_schema_node(s, schema)));
        ag_schema_leave(s, inner);
        i++;
    }
    ag_schema_leave(s, mark);
    for (size_t k = 0; k < n; k++)
        left = minus(s, left, fits[k]);
    return left;
}

/* Pairs that the schema does not name, if any may come. */
static void find_extra(object *o) {
    ag_schema *s = o->s;
    json_t *patterns = json_object_get(o->node, "patternProperties"), *extra = additional(o->node);
    /* Without a word on others: whoever names properties means these. */
    bool others = extra ? !json_is_false(extra) : o->n == 0 && !json_object_size(patterns);
    if (!others && !json_object_size(patterns))
        return;
    if (o->n == 0 && !json_object_size(patterns) && !json_object_get(o->node, "propertyNames")) {
        const ag_expr *value =
            extra ? ag_schema_at(s, "additionalProperties", extra) : ag_gjson_value(s->b);
        o->extra = AG_SEQ(s->b, ag_gjson_string(s->b), ag_gjson_colon(s->b), value);
        return;
    }
    const ag_atom *left = minus(s, allowed_names(o), names_atom(o));
    ag_parts pairs = {0};
    left = add_patterns(o, left, patterns, &pairs);
    if (others) {
        const ag_expr *value =
            extra ? ag_schema_at(s, "additionalProperties", extra) : ag_gjson_value(s->b);
        ag_parts_add(s->b, &pairs, pair_of(s, left, value));
    }
    o->extra = s->b->code ? NULL : ag_expr_alt(s->b, pairs.v, pairs.n);
}

/* ---- properties that are named ----------------------------------------------------------------
 */

/* The schema of a property, with those of the patterns that its name fits. */
static json_t *schema_of(object *o, const char *name, size_t len, json_t *schema) {
    ag_schema *s = o->s;
    json_t *patterns = json_object_get(o->node, "patternProperties"), *more;
    const char *pattern;
    size_t pattern_len;
    json_object_keylen_foreach(patterns, pattern, pattern_len, more) {
        const ag_atom *fits = ag_schema_pattern_atom(s, ag_span_of(pattern, pattern_len));
        if (fits && ag_schema_fits(s, fits, ag_span_of(name, len)))
            schema = schema ? ag_schema_merge(s, schema, more) : more;
    }
    return schema;
}

static bool name_is_allowed(object *o, const char *name, size_t len) {
    return !json_object_get(o->node, "propertyNames") || !o->allowed_names ||
           ag_schema_fits(o->s, o->allowed_names, ag_span_of(name, len));
}

static void add_member(object *o, const char *name, size_t len, json_t *schema, bool required) {
    ag_schema *s = o->s;
    schema = schema_of(o, name, len, schema);
    bool general = !schema; /* required, but not named */
    if (general)
        schema = additional(o->node);
    size_t mark = ag_schema_enter(s, general ? "required" : "properties");
    if (!general)
        ag_schema_enter(s, name);
    const ag_expr *value = NULL;
    if (general && json_is_false(schema))
        value = ag_schema_nothing(s, NULL, "it names what additionalProperties forbids");
    else
        value = schema ? ag_schema_node(s, schema) : ag_gjson_value(s->b);
    if (value && !name_is_allowed(o, name, len))
        value = ag_schema_nothing(s, NULL, "propertyNames forbids the name");
    if (value && !required && value->kind == AG_EXPR_NOTHING) { /* it must be left out */
        o->members[o->n++] = (member){name, len, value, false};
    } else if (value) {
        const ag_expr *pair =
            AG_SEQ(s->b, ag_gjson_key(s->b, ag_span_of(name, len)), ag_gjson_colon(s->b), value);
        if ((!required || o->counted) && pair && pair->size > 8)
            pair = ag_expr_shared(s->b, pair); /* it stands in several places */
        o->members[o->n++] = (member){name, len, pair, required};
    }
    ag_schema_leave(s, mark);
}

static bool find_members(object *o) {
    ag_schema *s = o->s;
    json_t *props = json_object_get(o->node, "properties"), *schema;
    json_t *required = json_object_get(o->node, "required");
    size_t n = json_object_size(props), n_required = json_array_size(required), len;
    const char *name;
    if ((props && !json_is_object(props)) || (required && !json_is_array(required)))
        ag_schema_fail(s, props && !json_is_object(props) ? "properties" : "required",
                       props && !json_is_object(props) ? "expected an object"
                                                       : "expected an array of names");
    else if (n > AG_MAX_SCHEMA_PROPERTIES || n_required > AG_MAX_SCHEMA_PROPERTIES)
        ag_schema_fail(s, n > n_required ? "properties" : "required",
                       "%zu names; at most %u are supported", n > n_required ? n : n_required,
                       AG_MAX_SCHEMA_PROPERTIES);
    if (s->b->code)
        return false;
    o->members = ag_calloc(AG_ROOM_GRAMMAR, n + n_required, sizeof *o->members);
    if (!o->members)
        return ag_build_fail(s->b, AG_E_NOMEM, "out of memory for a schema") != NULL;
    json_object_keylen_foreach(props, name, len, schema)
        add_member(o, name, len, schema, is_required(o->node, name, len));
    for (size_t i = 0; i < json_array_size(required) && !s->b->code; i++) {
        json_t *x = json_array_get(required, i);
        if (!json_is_string(x))
            return ag_schema_fail(s, "required", "expected an array of names") != NULL;
        name = json_string_value(x);
        len = json_string_length(x);
        bool known = false;
        for (size_t k = 0; k < o->n && !known; k++)
            known = o->members[k].len == len && memcmp(o->members[k].name, name, len) == 0;
        if (!known)
            add_member(o, name, len, NULL, true);
    }
    return !s->b->code;
}

/* ---- together ---------------------------------------------------------------------------------
 */

/* Properties that are not named, behind `n` others: each with its comma, the first without when it
 * is the first of all. */
static const ag_expr *extras(object *o, uint32_t n) {
    ag_build *b = o->s->b;
    uint32_t least = o->min > n ? o->min - n : 0;
    uint32_t most = o->max == AG_EXPR_MANY ? o->max : o->max > n ? o->max - n : 0;
    if (!o->extra || most == 0)
        return least ? ag_expr_nothing(b) : ag_expr_empty(b);
    if (n > 0)
        return ag_expr_repeat(b, ag_gjson_next(b, o->extra), least, most);
    const ag_expr *more = ag_expr_repeat(b, ag_gjson_next(b, o->extra), least ? least - 1 : 0,
                                         most == AG_EXPR_MANY ? most : most - 1);
    const ag_expr *all = AG_SEQ(b, o->extra, more);
    return least ? all : ag_expr_maybe(b, all);
}

static const ag_expr *from_member(object *o, size_t i, uint32_t n, const ag_expr **known,
                                  uint32_t n_counts);

/* All required members that follow each other, in one sequence. */
static const ag_expr *from_required(object *o, size_t i, uint32_t n, const ag_expr **known,
                                    uint32_t n_counts) {
    ag_parts parts = {0};
    for (; i < o->n && o->members[i].required; i++, n++) {
        const ag_expr *pair = o->members[i].pair;
        ag_parts_add(o->s->b, &parts, n ? ag_gjson_next(o->s->b, pair) : pair);
    }
    ag_parts_add(o->s->b, &parts, from_member(o, i, n, known, n_counts));
    return o->s->b->code ? NULL : ag_expr_seq(o->s->b, parts.v, parts.n);
}

/* What may follow when members from i on are left and `n` were written. Only what matters is told
 * apart: whether there was one, and while bounds count, how many. Each is a rule, as two come to
 * it. */
static const ag_expr *from_member(object *o, size_t i, uint32_t n, const ag_expr **known,
                                  uint32_t n_counts) {
    ag_build *b = o->s->b;
    uint32_t count = n < n_counts ? n : n_counts - 1;
    const ag_expr **at = &known[i * n_counts + count];
    if (*at || b->code)
        return *at;
    if (i == o->n)
        return *at = extras(o, count);
    if (o->members[i].required && n_counts == 2)
        return *at = from_required(o, i, n, known, n_counts);
    const member *m = &o->members[i];
    if (!m->required && m->pair->kind == AG_EXPR_NOTHING)
        return *at = from_member(o, i + 1, n, known, n_counts);
    const ag_expr *with = ag_expr_nothing(b);
    if (o->max == AG_EXPR_MANY || n < o->max)
        with = AG_SEQ(b, n ? ag_gjson_next(b, m->pair) : m->pair,
                      from_member(o, i + 1, n + 1, known, n_counts));
    const ag_expr *e =
        m->required ? with : AG_ALT(b, with, from_member(o, i + 1, n, known, n_counts));
    return *at = m->required ? e : ag_expr_shared(b, e);
}

static const ag_expr *members(object *o) {
    ag_build *b = o->s->b;
    uint32_t n_required = 0;
    for (size_t i = 0; i < o->n; i++)
        n_required += o->members[i].required;
    bool counts = (o->max != AG_EXPR_MANY && (o->extra || o->max < o->n)) || o->min > n_required;
    uint32_t n_counts = counts ? (uint32_t)o->n + 1 : 2;
    o->min = counts ? o->min : 0;
    o->max = counts ? o->max : AG_EXPR_MANY;
    if ((uint64_t)n_counts * (o->n + 1) > AG_MAX_SCHEMA_COUNTS)
        return ag_schema_fail(o->s, "properties",
                              "there are too many beside minProperties or maxProperties");
    const ag_expr **known = ag_arena_array(&b->arena, (o->n + 1) * n_counts, sizeof *known);
    if (!known)
        return ag_build_fail(b, AG_E_NOMEM, "out of memory for a schema");
    return from_member(o, 0, 0, known, n_counts);
}

const ag_expr *ag_schema_object_type(ag_schema *s, json_t *node) {
    object o = {.s = s, .node = node, .max = AG_EXPR_MANY};
    json_t *patterns = json_object_get(node, "patternProperties");
    ag_schema_count(s, node, "minProperties", &o.min);
    ag_schema_count(s, node, "maxProperties", &o.max);
    if (patterns && !json_is_object(patterns))
        return ag_schema_fail(s, "patternProperties", "expected an object");
    if (o.min > o.max)
        return s->b->code ? NULL
                          : ag_schema_nothing(s, "minProperties", "it is above maxProperties");
    const ag_expr *e = NULL;
    o.counted = o.min > 0 || o.max != AG_EXPR_MANY;
    if (!s->b->code && json_object_get(node, "propertyNames"))
        (void)allowed_names(&o);
    if (!s->b->code && find_members(&o)) {
        find_extra(&o);
        if (o.extra && o.extra->size > 8)
            o.extra = ag_expr_shared(s->b, o.extra); /* it stands first and behind commas */
        if (!s->b->code)
            e = ag_gjson_in_brackets(s->b, "{", members(&o), "}");
    }
    ag_free(o.members);
    return e;
}
