/* Two schemas that must hold at once, as one. */
#include <math.h>

#include "base/limits.h"
#include "grammar/schema_parts.h"

#define MAX_BRANCHES 1024u /* of choices that are multiplied */

static json_t *merge(ag_schema *s, json_t *a, json_t *b);

static json_t *refuse(ag_schema *s, const char *key) {
    ag_schema_fail(s, key, "schemas that differ here cannot be held at once");
    return NULL;
}

/* Properties of both: those in common are merged. */
static json_t *merge_properties(ag_schema *s, json_t *a, json_t *b) {
    json_t *all = ag_schema_keep(s, json_copy(a));
    const char *key;
    json_t *value;
    json_object_foreach(b, key, value) {
        json_t *other = json_object_get(a, key), *both = other ? merge(s, other, value) : value;
        if (!all || !both)
            return NULL;
        json_object_set(all, key, both);
    }
    return all;
}

/* Each element of one list is held against each of the other, and the first is copied. */
static bool spend_product(ag_schema *s, const json_t *a, const json_t *b) {
    uint64_t n = json_array_size(a) + 1, m = json_array_size(b) + 1;
    return ag_build_spend(s->b, n * m);
}

static json_t *merge_lists(ag_schema *s, json_t *a, json_t *b) {
    if (!spend_product(s, a, b))
        return NULL;
    json_t *all = ag_schema_keep(s, json_copy(a));
    for (size_t i = 0; all && i < json_array_size(b); i++) {
        json_t *value = json_array_get(b, i);
        bool known = false;
        for (size_t k = 0; k < json_array_size(a) && !known; k++)
            known = json_equal(json_array_get(a, k), value);
        if (!known)
            json_array_append(all, value);
    }
    return all;
}

/* Values of both lists; "integer" is a kind of "number". */
static json_t *common_values(ag_schema *s, json_t *a, json_t *b) {
    if (!spend_product(s, a, b))
        return NULL;
    json_t *all = ag_schema_keep(s, json_array());
    json_t *one = json_is_array(a) ? json_incref(a) : json_pack("[O]", a);
    json_t *two = json_is_array(b) ? json_incref(b) : json_pack("[O]", b);
    for (size_t i = 0; all && i < json_array_size(one); i++)
        for (size_t k = 0; k < json_array_size(two); k++) {
            json_t *x = json_array_get(one, i), *y = json_array_get(two, k);
            const char *p = json_string_value(x), *q = json_string_value(y);
            if (json_equal(x, y) || (p && q && !strcmp(p, "integer") && !strcmp(q, "number")))
                json_array_append(all, x);
            else if (p && q && !strcmp(p, "number") && !strcmp(q, "integer"))
                json_array_append(all, y);
        }
    json_decref(one);
    json_decref(two);
    return all;
}

/* Each way of a with each of b. */
static json_t *multiply(ag_schema *s, json_t *a, json_t *b) {
    json_t *all = ag_schema_keep(s, json_array());
    size_t n = json_array_size(a), m = json_array_size(b);
    if (!all || n * m > MAX_BRANCHES)
        return all ? refuse(s, "anyOf") : NULL;
    for (size_t i = 0; i < n * m; i++) {
        json_t *both = merge(s, json_array_get(a, i / m), json_array_get(b, i % m));
        if (!both)
            return NULL;
        json_array_append(all, both);
    }
    return all;
}

/* The longer list with the shorter one's schemas merged in; what lies behind the shorter is held to
 * that one's "items". */
static json_t *merge_prefix(ag_schema *s, json_t *a, json_t *b) {
    json_t *x = json_object_get(a, "prefixItems"), *y = json_object_get(b, "prefixItems");
    json_t *all = ag_schema_keep(s, json_array());
    size_t n = json_array_size(x) > json_array_size(y) ? json_array_size(x) : json_array_size(y);
    for (size_t i = 0; all && i < n; i++) {
        json_t *p = i < json_array_size(x) ? json_array_get(x, i) : json_object_get(a, "items");
        json_t *q = i < json_array_size(y) ? json_array_get(y, i) : json_object_get(b, "items");
        json_t *both = p && q ? merge(s, p, q) : p ? p : q;
        if (!both)
            return NULL;
        json_array_append(all, both);
    }
    return all;
}

static bool is(const char *key, const char *names) {
    size_t n = strlen(key);
    for (const char *at = names; (at = strstr(at, key)); at += n)
        if ((at == names || at[-1] == ' ') && (at[n] == ' ' || at[n] == 0))
            return true;
    return false;
}

/* One keyword that both have. */
static json_t *merge_word(ag_schema *s, const char *key, json_t *x, json_t *y) {
    if (json_equal(x, y))
        return x;
    if (is(key, "properties patternProperties $defs definitions"))
        return merge_properties(s, x, y);
    if (is(key, "required allOf"))
        return merge_lists(s, x, y);
    if (is(key, "type enum"))
        return common_values(s, x, y);
    if (is(key, "anyOf oneOf"))
        return multiply(s, x, y);
    if (is(key, "additionalProperties unevaluatedProperties items propertyNames"))
        return merge(s, x, y);
    double p = json_number_value(x), q = json_number_value(y);
    if (is(key, "minLength minItems minProperties minimum exclusiveMinimum"))
        return p > q ? x : y;
    if (is(key, "maxLength maxItems maxProperties maximum exclusiveMaximum"))
        return p < q ? x : y;
    if (is(key, "multipleOf") && p > 0 && q > 0 && (fmod(p, q) == 0 || fmod(q, p) == 0))
        return p > q ? x : y;
    if (is(key, "nullable uniqueItems"))
        return json_is_true(x) == (strcmp(key, "uniqueItems") == 0) ? x : y;
    if (is(key, "const pattern format multipleOf not if then else"))
        return refuse(s, key);
    return x; /* says nothing about what is allowed */
}

/* A schema whose own reference is followed. */
static json_t *follow(ag_schema *s, json_t *node) {
    json_t *ref = json_object_get(node, "$ref");
    if (!ref)
        return node;
    json_t *target = ag_schema_resolve(s, ref), *rest = ag_schema_keep(s, json_copy(node));
    if (!target || !rest)
        return NULL;
    json_object_del(rest, "$ref");
    return merge(s, target, rest);
}

/* Properties that only one of the two names are held to the other's "additionalProperties". */
static bool merge_additional(ag_schema *s, json_t *all, json_t *a, json_t *b) {
    json_t *extra = json_object_get(b, "additionalProperties"), *value;
    json_t *own = json_object_get(b, "properties");
    const char *key;
    if (!extra || json_is_true(extra) || json_object_get(b, "patternProperties"))
        return true;
    json_t *props = ag_schema_keep(s, json_copy(json_object_get(all, "properties")));
    json_object_foreach(json_object_get(a, "properties"), key, value) {
        if (json_object_get(own, key))
            continue;
        json_t *both = merge(s, value, extra);
        if (!both || !props)
            return false;
        json_object_set(props, key, both);
    }
    if (props)
        json_object_set(all, "properties", props);
    return true;
}

static json_t *merge_objects(ag_schema *s, json_t *a, json_t *b) {
    json_t *all = ag_schema_keep(s, json_copy(a));
    const char *key;
    json_t *value;
    json_object_foreach(b, key, value) {
        json_t *other = json_object_get(a, key);
        json_t *both = !other                            ? value
                       : strcmp(key, "prefixItems") == 0 ? merge_prefix(s, a, b)
                                                         : merge_word(s, key, other, value);
        if (!all || !both)
            return NULL;
        json_object_set(all, key, both);
    }
    if (!all || (json_object_get(a, "properties") && !merge_additional(s, all, a, b)) ||
        (json_object_get(b, "properties") && !merge_additional(s, all, b, a)))
        return NULL;
    return all;
}

static json_t *merge(ag_schema *s, json_t *a, json_t *b) {
    if (!a || !b || s->b->code)
        return NULL;
    if (json_is_true(a) || json_is_false(b) || json_equal(a, b))
        return b;
    if (json_is_true(b) || json_is_false(a))
        return a;
    if (!json_is_object(a) || !json_is_object(b)) {
        ag_schema_fail(s, NULL, "a schema is an object, true or false");
        return NULL;
    }
    if (s->depth > AG_MAX_SCHEMA_DEPTH) {
        ag_schema_fail(s, NULL, "it is nested too deeply, or refers to itself in allOf");
        return NULL;
    }
    if (!ag_build_spend(s->b, 256 + 16 * (json_object_size(a) + json_object_size(b))))
        return NULL;
    s->depth++;
    a = follow(s, a);
    b = a ? follow(s, b) : NULL;
    json_t *all = b ? merge_objects(s, a, b) : NULL;
    s->depth--;
    return all;
}

json_t *ag_schema_merge(ag_schema *s, json_t *a, json_t *b) { return merge(s, a, b); }
