#include "routes/fields.h"

#include <math.h>
#include <stdio.h>

/* ---- the whole body -------------------------------------------------------------------------- */

typedef struct shape {
    size_t depth, lists, values; /* most nested; arrays and objects; all that is in them */
} shape;

/* What the parser will make of a body is bounded before it does: it recurses over nesting, and an
 * empty object of two bytes becomes some hundred. */
static shape shape_of(ag_span s) {
    size_t depth = 0;
    shape of = {0};
    bool text = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (text) {
            if (c == '\\')
                i++;
            else if (c == '"')
                text = false;
        } else if (c == '"') {
            text = true;
        } else if (c == '{' || c == '[') {
            of.lists++;
            of.values++;
            if (++depth > of.depth)
                of.depth = depth;
        } else if ((c == '}' || c == ']') && depth) {
            depth--;
        } else if (c == ',') {
            of.values++;
        }
    }
    return of;
}

/* Two things are JSON, but not accepted. */
static bool json_problem(ag_problem *p, const json_error_t *where) {
    const char *limit = NULL;
    if (json_error_code(where) == json_error_null_character)
        limit = "NUL (\\u0000) is not accepted in strings";
    if (json_error_code(where) == json_error_numeric_overflow)
        limit = "the number has more than 64 bits";
    return ag_problem_set(p, 400, "invalid_request_error", "invalid_json", NULL,
                          limit ? "the body, line %d, column %d: %s"
                                : "the body is not valid JSON: line %d, column %d: %s",
                          where->line, where->column, limit ? limit : where->text);
}

bool ag_body_parse(ag_span body, json_t **root, ag_problem *p) {
    *root = NULL;
    if (body.n == 0)
        return ag_problem_bad(p, NULL, "the body is empty; a JSON object is expected");
    shape of = shape_of(body);
    if (of.lists > AG_MAX_REQUEST_LISTS || of.values > AG_MAX_REQUEST_VALUES)
        return ag_problem_bad(p, NULL,
                              "the body has %zu lists and objects with %zu values; at most %u and "
                              "%u are accepted",
                              of.lists, of.values, AG_MAX_REQUEST_LISTS, AG_MAX_REQUEST_VALUES);
    if (of.depth > AG_MAX_REQUEST_DEPTH)
        return ag_problem_bad(p, NULL, "the body is nested more than %d deep",
                              AG_MAX_REQUEST_DEPTH);
    json_error_t where;
    json_t *v = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, &where);
    if (!v)
        return json_problem(p, &where);
    if (!json_is_object(v)) {
        json_decref(v);
        return ag_problem_bad(p, NULL, "the body must be a JSON object");
    }
    *root = v;
    return true;
}

const char *ag_field_kind_name(const json_t *v) {
    if (!v)
        return "absent";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_NULL:
        return "null";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "a number";
    }
}

/* Header values are visible ASCII; the list is for people and scripts, so a comma ends a name. */
void ag_ignored_add(ag_buf *ignored, const char *name) {
    size_t n = strlen(name);
    if (n == 0 || n > 64 || ignored->n + n + 2 > ignored->cap)
        return;
    for (size_t i = 0; i < n; i++)
        if (name[i] <= ' ' || name[i] > '~' || name[i] == ',')
            return;
    if (ignored->n)
        ag_buf_adds(ignored, ", ");
    ag_buf_add(ignored, name, n);
}

/* ---- one field ------------------------------------------------------------------------------- */

typedef struct reader {
    const ag_field *field;
    const char *name; /* with the prefix */
    char *target;
    ag_arena *arena;
    ag_problem *p;
} reader;

static bool wrong_type(const reader *r, const char *expected, const json_t *v) {
    return ag_problem_bad(r->p, r->name, "%s must be %s, it is %s", r->name, expected,
                          ag_field_kind_name(v));
}

static bool check_range(const reader *r, double v) {
    const ag_field *f = r->field;
    if (!(f->min < f->max) || (v >= f->min && v <= f->max))
        return true;
    return ag_problem_bad(r->p, r->name, "%s must be from %.10g to %.10g, it is %.10g", r->name,
                          f->min, f->max, v);
}

/* Whole numbers may be written as 5.0, as some clients do. */
static bool as_whole(const json_t *v, int64_t *out) {
    double x = json_number_value(v);
    bool whole = json_is_integer(v) || (json_is_real(v) && x == floor(x) && fabs(x) < 9e15);
    *out = json_is_integer(v) ? json_integer_value(v) : whole ? (int64_t)x : 0;
    return whole;
}

static bool read_whole(const reader *r, const json_t *v, int64_t *out) {
    if (!as_whole(v, out))
        return json_is_real(v)
                   ? ag_problem_bad(r->p, r->name, "%s must be a whole number, it is %g", r->name,
                                    json_number_value(v))
                   : wrong_type(r, "a whole number", v);
    return check_range(r, (double)*out);
}

static bool read_number(const reader *r, const json_t *v) {
    void *to = r->target + r->field->at;
    int64_t n = 0;
    if (r->field->kind == AG_FIELD_F32) {
        if (!json_is_number(v))
            return wrong_type(r, "a number", v);
        *(float *)to = (float)json_number_value(v);
        return check_range(r, json_number_value(v));
    }
    if (!read_whole(r, v, &n))
        return false;
    if (r->field->kind == AG_FIELD_I64)
        *(int64_t *)to = n;
    else if (r->field->kind == AG_FIELD_U32)
        *(uint32_t *)to = (uint32_t)n;
    else
        *(int32_t *)to = (int32_t)n;
    return true;
}

static bool is_word(const char *words, const char *s) {
    size_t n = strchr(s, ' ') ? 0 : strlen(s);
    for (const char *w = words; n && (w = strstr(w, s)); w += n)
        if ((w == words || w[-1] == ' ') && (w[n] == ' ' || w[n] == 0))
            return true;
    return false;
}

static bool read_text(const reader *r, const json_t *v) {
    if (!json_is_string(v))
        return wrong_type(r, "a string", v);
    if (r->field->words && !is_word(r->field->words, json_string_value(v)))
        return ag_problem_bad(r->p, r->name, "%s must be one of %s; it is \"%.60s\"", r->name,
                              r->field->words, json_string_value(v));
    *(const char **)(void *)(r->target + r->field->at) = json_string_value(v);
    return true;
}

static bool read_texts(const reader *r, const json_t *v) {
    ag_texts *out = (ag_texts *)(void *)(r->target + r->field->at);
    size_t n = json_is_string(v) ? 1 : json_array_size(v);
    if (!json_is_string(v) && !json_is_array(v))
        return wrong_type(r, "a string or a list of strings", v);
    if ((double)n > r->field->max)
        return ag_problem_bad(r->p, r->name, "%s has %zu entries; at most %.0f are supported",
                              r->name, n, r->field->max);
    out->v = ag_arena_array(r->arena, n + 1, sizeof *out->v);
    if (!out->v)
        return ag_problem_memory(r->p, "the request");
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_is_string(v) ? v : json_array_get(v, i);
        if (!json_is_string(one))
            return ag_problem_bad(r->p, r->name, "%s[%zu] must be a string, it is %s", r->name, i,
                                  ag_field_kind_name(one));
        out->v[i] = json_string_value(one);
    }
    return true;
}

bool ag_field_ids(const json_t *value, const char *param, size_t max, ag_arena *arena,
                  ag_id_list *out, ag_problem *p) {
    if (!json_is_array(value))
        return ag_problem_bad(p, param, "%s must be a list of token ids, it is %s", param,
                              ag_field_kind_name(value));
    size_t n = json_array_size(value);
    if (n > max)
        return ag_problem_bad(p, param, "%s has %zu entries; at most %zu are supported", param, n,
                              max);
    out->v = ag_arena_array(arena, n + 1, sizeof *out->v);
    if (!out->v)
        return ag_problem_memory(p, "the request");
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        const json_t *one = json_array_get(value, i);
        int64_t id;
        if (!as_whole(one, &id) || id < 0 || id > INT32_MAX)
            return ag_problem_bad(p, param, "%s[%zu] must be a token id", param, i);
        out->v[i] = (int32_t)id;
    }
    return true;
}

static bool read_field(const reader *r, json_t *v) {
    const ag_field *f = r->field;
    char *to = r->target + f->at;
    switch (f->kind) {
    case AG_FIELD_TAKEN:
        return true;
    case AG_FIELD_BOOL:
        *(bool *)to = json_is_true(v);
        return json_is_boolean(v) || wrong_type(r, "true or false", v);
    case AG_FIELD_TEXT:
        return read_text(r, v);
    case AG_FIELD_TEXTS:
        return read_texts(r, v);
    case AG_FIELD_IDS:
        return ag_field_ids(v, r->name, (size_t)f->max, r->arena, (ag_id_list *)(void *)to, r->p);
    case AG_FIELD_ARRAY:
        *(json_t **)(void *)to = v;
        return json_is_array(v) || wrong_type(r, "a list", v);
    case AG_FIELD_OBJECT:
        *(json_t **)(void *)to = v;
        return json_is_object(v) || wrong_type(r, "an object", v);
    case AG_FIELD_ANY:
        *(json_t **)(void *)to = v;
        return true;
    default:
        return read_number(r, v);
    }
}

static const ag_field *find_field(const ag_field *fields, const char *name) {
    for (const ag_field *f = fields; f->name; f++)
        if (strcmp(f->name, name) == 0)
            return f;
    return NULL;
}

static bool is_minus_one(const json_t *v) {
    return json_is_number(v) && json_number_value(v) == -1;
}

bool ag_fields_read(const ag_field *fields, const json_t *root, const char *prefix, void *target,
                    ag_arena *arena, ag_buf *ignored, ag_problem *p) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value) {
        const ag_field *f = find_field(fields, key);
        if (json_is_null(value) || (f && f->or_none && is_minus_one(value)))
            continue;
        char name[AG_PARAM_TEXT];
        snprintf(name, sizeof name, "%s%s", prefix ? prefix : "", key);
        if (!f && !ignored)
            return ag_problem_bad(p, name, "%s is not known here", name);
        if (!f) {
            ag_ignored_add(ignored, name);
            continue;
        }
        reader r = {f, name, target, arena, p};
        if (!read_field(&r, value))
            return false;
        if (f->has)
            *(bool *)((char *)target + f->has) = true;
    }
    return true;
}
