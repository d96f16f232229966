#include "grammar/schema.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/json_out.h"
#include "base/limits.h"
#include "grammar/schema_parts.h"

/* ---- where we are -----------------------------------------------------------------------------
 */

const ag_expr *ag_schema_fail(ag_schema *s, const char *key, const char *fmt, ...) {
    char why[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return ag_build_fail(s->b, AG_E_GRAMMAR, "%s%s%s: %s", s->path, key ? "/" : "", key ? key : "",
                         why);
}

const ag_expr *ag_schema_nothing(ag_schema *s, const char *key, const char *why) {
    return ag_expr_nothing_since(s->b, "%s%s%s: %s", s->path, key ? "/" : "", key ? key : "", why);
}

const ag_expr *ag_schema_fail_as(ag_schema *s, const char *key, const ag_err *err) {
    return ag_build_fail(s->b, err->code, "%s%s%s: %s", s->path, key ? "/" : "", key ? key : "",
                         err->msg);
}

size_t ag_schema_enter(ag_schema *s, const char *key) {
    size_t mark = s->path_len;
    s->path_len = ag_json_step(s->path, s->path_len, sizeof s->path, key);
    return mark;
}

size_t ag_schema_enter_index(ag_schema *s, const char *key, size_t index) {
    char text[32];
    size_t mark = ag_schema_enter(s, key);
    snprintf(text, sizeof text, "%zu", index);
    ag_schema_enter(s, text);
    return mark;
}

const ag_expr *ag_schema_at(ag_schema *s, const char *key, json_t *node) {
    size_t mark = ag_schema_enter(s, key);
    const ag_expr *e = ag_schema_node(s, node);
    ag_schema_leave(s, mark);
    return e;
}

void ag_schema_escape(ag_schema *s, ag_span text, ag_buf *out) {
    ag_buf_init(out, AG_ROOM_GRAMMAR, AG_MAX_GRAMMAR_BYTES * 8);
    ag_json_escape(out, text);
    if (out->failed)
        ag_build_fail(s->b, AG_E_NOMEM, "out of memory for a schema");
}

bool ag_schema_fits(ag_schema *s, const ag_atom *atom, ag_span text) {
    ag_buf buf;
    ag_schema_escape(s, text, &buf);
    bool fits = ag_atom_matches(atom, ag_buf_span(&buf));
    ag_buf_deinit(&buf);
    return fits;
}

bool ag_schema_count(ag_schema *s, json_t *node, const char *key, uint32_t *out) {
    json_t *value = json_object_get(node, key);
    double x = json_number_value(value);
    if (!value)
        return false;
    if (!json_is_number(value) || x < 0 || x != (double)(uint64_t)(x < 1e15 ? x : 0))
        ag_schema_fail(s, key, "expected a whole number that is not negative");
    *out = x < 1e9 ? (uint32_t)x : 1000000000u;
    return true;
}

json_t *ag_schema_keep(ag_schema *s, json_t *made) {
    if (made && json_array_append_new(s->made, made) == 0)
        return made;
    ag_build_fail(s->b, AG_E_NOMEM, "out of memory for a schema");
    return NULL;
}

/* ---- references -------------------------------------------------------------------------------
 */

/* Unescape one step of a pointer in place: %XX, then ~1 and ~0. */
static void unescape(char *step) {
    char *to = step;
    for (char *p = step; *p; p++) {
        unsigned byte = 0;
        int used = 0;
        if (*p == '%' && sscanf(p + 1, "%2x%n", &byte, &used) == 1 && used == 2 && byte) {
            *to++ = (char)byte;
            p += 2;
        } else {
            *to++ = *p;
        }
    }
    *to = 0;
    to = step;
    for (char *p = step; *p; p++) {
        bool escape = *p == '~' && (p[1] == '0' || p[1] == '1');
        *to++ = escape ? (p[1] == '0' ? '~' : '/') : *p;
        p += escape;
    }
    *to = 0;
}

static json_t *step_into(json_t *node, const char *step) {
    if (json_is_array(node)) {
        size_t i = 0;
        for (const char *p = step; *p; p++)
            i = *p >= '0' && *p <= '9' && i < 100000000 ? i * 10 + (size_t)(*p - '0') : SIZE_MAX;
        return *step ? json_array_get(node, i) : NULL;
    }
    return json_object_get(node, step);
}

json_t *ag_schema_resolve(ag_schema *s, json_t *ref) {
    const char *text = json_string_value(ref);
    char buffer[1024];
    json_t *node = s->root;
    if (!text || (text[0] != '#') || (text[1] && text[1] != '/')) {
        ag_schema_fail(s, "$ref", "only references into this schema are supported: \"#/...\"");
        return NULL;
    }
    size_t n = strlen(text);
    if (n >= sizeof buffer) {
        ag_schema_fail(s, "$ref", "it is too long");
        return NULL;
    }
    memcpy(buffer, text, n + 1);
    for (char *at = buffer[1] ? buffer + 2 : NULL; at && node;) {
        char *slash = strchr(at, '/');
        if (slash)
            *slash = 0;
        unescape(at);
        node = step_into(node, at);
        at = slash ? slash + 1 : NULL;
    }
    if (!node)
        ag_schema_fail(s, "$ref", "\"%.100s\" does not exist", text);
    return node;
}

/* The rule of a schema, if it became one. */
static const ag_expr *find_rule(ag_schema *s, const json_t *node) {
    for (uint32_t i = 0; i < s->n_refs; i++)
        if (s->refs[i].node == node)
            return ag_expr_rule(s->b, s->refs[i].rule);
    return NULL;
}

/* Give the schema a rule, known before its body is, so that it may refer to itself. */
static const ag_expr *as_rule(ag_schema *s, json_t *node, const char *path,
                              const ag_expr *(*make)(ag_schema *, json_t *)) {
    const ag_expr *known = find_rule(s, node);
    if (known || !ag_build_spend(s->b, 16 + s->n_refs))
        return known;
    if (s->n_refs == s->ref_room) {
        uint32_t room = s->ref_room * 2 + 16;
        ag_schema_ref *refs = ag_realloc(AG_ROOM_GRAMMAR, s->refs, room, sizeof *refs);
        if (!refs)
            return ag_build_fail(s->b, AG_E_NOMEM, "out of memory for a schema");
        s->refs = refs;
        s->ref_room = room;
    }
    uint32_t rule = ag_rule_add(s->b, (ag_span){0});
    if (rule == UINT32_MAX)
        return NULL;
    s->refs[s->n_refs++] = (ag_schema_ref){node, rule};
    char saved[sizeof s->path];
    size_t saved_len = s->path_len;
    memcpy(saved, s->path, sizeof saved);
    if (path) /* errors are told by where the schema stands, not by who refers to it */
        s->path_len = (size_t)snprintf(s->path, sizeof s->path, "%.200s", path);
    char *where = ag_arena_strndup(&s->b->arena, s->path, s->path_len);
    s->b->rules[rule].where = ag_span_of(where, where ? s->path_len : 0);
    const ag_expr *body = make(s, node);
    memcpy(s->path, saved, sizeof saved);
    s->path_len = saved_len;
    if (!body)
        return NULL;
    s->b->rules[rule].body = body;
    return body->kind == AG_EXPR_NOTHING ? body : ag_expr_rule(s->b, rule);
}

/* ---- keywords ---------------------------------------------------------------------------------
 */

static const char *const object_words[] = {
    "properties",    "required",      "additionalProperties", "patternProperties",
    "minProperties", "maxProperties", "propertyNames",        NULL};
static const char *const array_words[] = {"items", "prefixItems", "minItems", "maxItems", NULL};
static const char *const string_words[] = {"minLength", "maxLength", "pattern", "format", NULL};
static const char *const number_words[] = {"minimum",          "maximum",    "exclusiveMinimum",
                                           "exclusiveMaximum", "multipleOf", NULL};
/* They restrict in ways that are not supported here; saying so is better than breaking them. */
static const char *const refused_words[] = {
    "not",           "if",       "dependentRequired", "dependentSchemas",
    "dependencies",  "contains", "unevaluatedItems",  "$dynamicRef",
    "$recursiveRef", NULL};

static bool has_any(json_t *node, const char *const *words) {
    for (; *words; words++)
        if (json_object_get(node, *words))
            return true;
    return false;
}

static bool check_words(ag_schema *s, json_t *node) {
    for (const char *const *w = refused_words; *w; w++)
        if (json_object_get(node, *w)) {
            ag_schema_fail(s, *w, "this keyword is not supported");
            return false;
        }
    if (json_is_true(json_object_get(node, "uniqueItems"))) {
        ag_schema_fail(s, "uniqueItems", "this keyword is not supported");
        return false;
    }
    return true;
}

/* ---- types ------------------------------------------------------------------------------------
 */

enum {
    T_OBJECT = 1,
    T_ARRAY = 2,
    T_STRING = 4,
    T_NUMBER = 8,
    T_INTEGER = 16,
    T_BOOL = 32,
    T_NULL = 64
};
#define T_ALL (T_OBJECT | T_ARRAY | T_STRING | T_NUMBER | T_BOOL | T_NULL)

static unsigned type_of_name(ag_schema *s, json_t *name) {
    static const char *const names[] = {"object",  "array",   "string", "number",
                                        "integer", "boolean", "null"};
    for (unsigned i = 0; i < 7; i++)
        if (json_is_string(name) && strcmp(json_string_value(name), names[i]) == 0)
            return 1u << i;
    ag_schema_fail(s, "type", "expected object, array, string, number, integer, boolean or null");
    return 0;
}

/* The types that a schema allows. Without "type" they follow from the other keywords. */
static unsigned types_of(ag_schema *s, json_t *node) {
    json_t *type = json_object_get(node, "type");
    unsigned types = 0;
    if (json_is_array(type)) {
        for (size_t i = 0; i < json_array_size(type); i++)
            types |= type_of_name(s, json_array_get(type, i));
        return types;
    }
    if (type)
        return type_of_name(s, type);
    types |= has_any(node, object_words) ? T_OBJECT : 0;
    types |= has_any(node, array_words) ? T_ARRAY : 0;
    types |= has_any(node, string_words) ? T_STRING : 0;
    types |= has_any(node, number_words) ? T_NUMBER : 0;
    return types ? types : T_ALL;
}

static unsigned type_of_value(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return T_OBJECT;
    case JSON_ARRAY:
        return T_ARRAY;
    case JSON_STRING:
        return T_STRING;
    case JSON_INTEGER:
        return T_NUMBER | T_INTEGER;
    case JSON_REAL:
        return T_NUMBER;
    case JSON_NULL:
        return T_NULL;
    default:
        return T_BOOL;
    }
}

static const ag_expr *by_types(ag_schema *s, json_t *node) {
    ag_build *b = s->b;
    unsigned types = types_of(s, node);
    ag_parts parts = {0};
    if (types & T_OBJECT)
        ag_parts_add(b, &parts, ag_schema_object_type(s, node));
    if (types & T_ARRAY)
        ag_parts_add(b, &parts, ag_schema_array_type(s, node));
    if (types & T_STRING)
        ag_parts_add(b, &parts, ag_schema_string_type(s, node));
    if (types & (T_NUMBER | T_INTEGER))
        ag_parts_add(b, &parts, ag_schema_number_type(s, node, !(types & T_NUMBER)));
    if (types & T_BOOL) {
        ag_parts_add(b, &parts, ag_expr_text(b, "true"));
        ag_parts_add(b, &parts, ag_expr_text(b, "false"));
    }
    if (types & T_NULL)
        ag_parts_add(b, &parts, ag_expr_text(b, "null"));
    return b->code ? NULL : ag_expr_alt(b, parts.v, parts.n);
}

/* ---- values given one by one ------------------------------------------------------------------
 */

/* Does the value fulfil what the schema says besides its list of values? Numbers and strings are
 * held to their bounds; objects and arrays to their type. */
static bool fulfils(ag_schema *s, json_t *node, json_t *value) {
    json_t *type = json_object_get(node, "type");
    if (type && !(type_of_value(value) & types_of(s, node)))
        return false;
    if (json_is_string(value) && has_any(node, string_words)) {
        const ag_atom *atom = ag_schema_string_atom(s, node);
        return atom &&
               ag_schema_fits(s, atom,
                              ag_span_of(json_string_value(value), json_string_length(value)));
    }
    if (json_is_number(value) && has_any(node, number_words)) {
        double x = json_number_value(value);
        json_t *least = json_object_get(node, "minimum"), *most = json_object_get(node, "maximum");
        json_t *above = json_object_get(node, "exclusiveMinimum");
        json_t *below = json_object_get(node, "exclusiveMaximum");
        return (!json_is_number(least) || x >= json_number_value(least)) &&
               (!json_is_number(most) || x <= json_number_value(most)) &&
               (!json_is_number(above) || x > json_number_value(above)) &&
               (!json_is_number(below) || x < json_number_value(below));
    }
    return true;
}

static const ag_expr *values(ag_schema *s, json_t *node) {
    json_t *list = json_object_get(node, "enum"), *only = json_object_get(node, "const");
    ag_parts parts = {0};
    if (list && (!json_is_array(list) || json_array_size(list) == 0))
        return ag_schema_fail(s, "enum", "expected an array with at least one value");
    for (size_t i = 0; i < (list ? json_array_size(list) : 1) && !s->b->code; i++) {
        json_t *value = list ? json_array_get(list, i) : only;
        if ((!list || !only || json_equal(value, only)) && fulfils(s, node, value))
            ag_parts_add(s->b, &parts, ag_gjson_const(s->b, value));
    }
    if (s->b->code)
        return NULL;
    if (parts.n == 0)
        return ag_schema_fail(s, list ? "enum" : "const",
                              "no value fulfils the rest of the schema");
    return ag_expr_alt(s->b, parts.v, parts.n);
}

/* ---- composition ------------------------------------------------------------------------------
 */

/* Does the schema say anything that must be held? */
static bool says_something(json_t *node) {
    static const char *const others[] = {"$ref",  "type",  "enum",  "const",
                                         "allOf", "anyOf", "oneOf", NULL};
    return has_any(node, others) || has_any(node, object_words) || has_any(node, array_words) ||
           has_any(node, string_words) || has_any(node, number_words) ||
           has_any(node, refused_words);
}

static json_t *without(ag_schema *s, json_t *node, const char *key) {
    json_t *copy = json_copy(node);
    if (copy)
        json_object_del(copy, key);
    return ag_schema_keep(s, copy);
}

static const ag_expr *all_of(ag_schema *s, json_t *node) {
    json_t *list = json_object_get(node, "allOf");
    json_t *all = without(s, node, "allOf");
    if (!json_is_array(list) || json_array_size(list) == 0)
        return ag_schema_fail(s, "allOf", "expected an array with at least one schema");
    for (size_t i = 0; i < json_array_size(list) && all; i++) {
        size_t mark = ag_schema_enter_index(s, "allOf", i);
        all = ag_schema_merge(s, all, json_array_get(list, i));
        ag_schema_leave(s, mark);
    }
    return all ? ag_schema_node(s, all) : NULL;
}

/* One of several; oneOf too, whose alternatives are taken to exclude each other. */
static const ag_expr *any_of(ag_schema *s, json_t *node, const char *key) {
    json_t *list = json_object_get(node, key), *rest = without(s, node, key);
    ag_parts parts = {0};
    if (!json_is_array(list) || json_array_size(list) == 0)
        return ag_schema_fail(s, key, "expected an array with at least one schema");
    bool alone = rest && !says_something(rest);
    for (size_t i = 0; i < json_array_size(list) && !s->b->code; i++) {
        size_t mark = ag_schema_enter_index(s, key, i);
        json_t *one = json_array_get(list, i);
        if (!alone)
            one = ag_schema_merge(s, rest, one);
        if (one)
            ag_parts_add(s->b, &parts, ag_schema_node(s, one));
        ag_schema_leave(s, mark);
    }
    const ag_expr *e = s->b->code ? NULL : ag_expr_alt(s->b, parts.v, parts.n);
    return e && e->kind == AG_EXPR_NOTHING ? ag_schema_nothing(s, key, "no value fulfils any of it")
                                           : e;
}

static const ag_expr *make_node(ag_schema *s, json_t *node);

static const ag_expr *reference(ag_schema *s, json_t *node) {
    json_t *ref = json_object_get(node, "$ref"), *target = ag_schema_resolve(s, ref);
    json_t *rest = without(s, node, "$ref");
    if (!target || !rest)
        return NULL;
    if (!says_something(rest))
        return as_rule(s, target, json_string_value(ref), make_node);
    json_t *both = ag_schema_merge(s, target, rest);
    return both ? ag_schema_node(s, both) : NULL;
}

static const ag_expr *resolve(ag_schema *s, json_t *node) {
    if (json_object_get(node, "$ref"))
        return reference(s, node);
    if (json_object_get(node, "allOf"))
        return all_of(s, node);
    if (json_object_get(node, "anyOf"))
        return any_of(s, node, "anyOf");
    if (json_object_get(node, "oneOf"))
        return any_of(s, node, "oneOf");
    if (json_is_true(json_object_get(node, "nullable"))) {
        const ag_expr *other = ag_schema_node(s, without(s, node, "nullable"));
        return other ? AG_ALT(s->b, other, ag_expr_text(s->b, "null")) : NULL;
    }
    if (json_object_get(node, "enum") || json_object_get(node, "const"))
        return values(s, node);
    return by_types(s, node);
}

/* What is impossible or fails for a reason that does not say where: it is here. */
static const ag_expr *placed(ag_schema *s, const ag_expr *e) {
    if (!e && s->b->code == AG_E_GRAMMAR && s->b->err.msg[0] != '#')
        ag_err_wrap(&s->b->err, s->b->code, "%s", s->path);
    return e && e->kind == AG_EXPR_NOTHING && e->u.bytes.n == 0
               ? ag_schema_nothing(s, NULL, "no value fulfils it")
               : e;
}

static const ag_expr *make_node(ag_schema *s, json_t *node) {
    if (s->b->code)
        return NULL;
    if (json_is_true(node) || (json_is_object(node) && json_object_size(node) == 0))
        return ag_gjson_value(s->b);
    if (json_is_false(node))
        return ag_schema_nothing(s, NULL, "false allows no value");
    if (!json_is_object(node))
        return ag_schema_fail(s, NULL, "a schema is an object, true or false");
    if (s->depth > AG_MAX_SCHEMA_DEPTH)
        return ag_schema_fail(s, NULL, "it is nested too deeply");
    if (!ag_build_spend(s->b, 64 + json_object_size(node)) || !check_words(s, node))
        return NULL;
    s->depth++;
    const ag_expr *e = placed(s, resolve(s, node));
    s->depth--;
    return e;
}

const ag_expr *ag_schema_node(ag_schema *s, json_t *node) {
    if (!node)
        return NULL;
    /* What refers to itself by way of merged schemas would be made anew forever. */
    bool composed = json_object_get(node, "$ref") || json_object_get(node, "allOf") ||
                    json_object_get(node, "anyOf") || json_object_get(node, "oneOf");
    return composed ? as_rule(s, node, NULL, make_node) : make_node(s, node);
}

/* ---- the whole --------------------------------------------------------------------------------
 */

const ag_expr *ag_schema_parse(ag_build *b, ag_span text, size_t *used) {
    json_error_t why;
    size_t flags = JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL;
    json_t *root =
        json_loadb(text.p ? text.p : "", text.n, flags | (used ? JSON_DISABLE_EOF_CHECK : 0), &why);
    if (!root)
        return ag_build_fail(b, AG_E_GRAMMAR, "#: it is not valid JSON: line %d, column %d: %s",
                             why.line, why.column, why.text);
    if (used)
        *used = (size_t)why.position;
    ag_schema s = {.b = b, .root = root, .made = json_array(), .path = "#", .path_len = 1};
    const ag_expr *e = s.made ? as_rule(&s, root, "#", make_node)
                              : ag_build_fail(b, AG_E_NOMEM, "out of memory for a schema");
    ag_free(s.refs);
    json_decref(s.made);
    json_decref(root);
    return e;
}

const ag_expr *ag_schema_object(ag_build *b) { return ag_gjson_object(b); }
