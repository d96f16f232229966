/* JSON Schemas by recipe: each byte picks a keyword or a value of the right kind, so that mutations
 * of the bytes change the schema's structure. Shared by the fuzzers that need one. */
#ifndef AG_TESTS_FUZZ_SCHEMA_RECIPE_H
#define AG_TESTS_FUZZ_SCHEMA_RECIPE_H

#include <stdint.h>

#include "base/span.h"

typedef struct recipe {
    const uint8_t *p;
    size_t n, at;
    ag_buf out;
} recipe;

/* The next byte, below n; 0 once the recipe is over. */
static unsigned take(recipe *r, unsigned n) { return r->at < r->n ? r->p[r->at++] % n : 0; }

static void add_number(recipe *r) {
    static const char *const numbers[] = {"0",     "1",   "2",      "3",          "-1",
                                          "10",    "0.5", "-7.25",  "100",        "1000",
                                          "99999", "1e3", "-0.001", "12345678901"};
    ag_buf_adds(&r->out, numbers[take(r, 14)]);
}

static void add_string(recipe *r) {
    static const char *const strings[] = {
        "\"a\"",      "\"b\"",       "\"^[a-z]+$\"", "\"x|y\"",       "\"(a|b)*c\"",   "\"date\"",
        "\"ipv6\"",   "\"email\"",   "\"#\"",        "\"#/$defs/a\"", "\"object\"",    "\"array\"",
        "\"string\"", "\"integer\"", "\"number\"",   "\"null\"",      "\"[^a]{2,9}\"", "\"\\\\d+\"",
        "\"uri\"",    "\"é\\n\"",    "\".*\"",       "\"#/anyOf/0\""};
    ag_buf_adds(&r->out, strings[take(r, 22)]);
}

static void add_schema(recipe *r, int depth);

static void add_list(recipe *r, int depth, void (*add)(recipe *, int)) {
    ag_buf_addc(&r->out, '[');
    for (unsigned i = 0, n = 1 + take(r, 3); i < n; i++) {
        ag_buf_adds(&r->out, i ? "," : "");
        add(r, depth);
    }
    ag_buf_addc(&r->out, ']');
}

static void add_map(recipe *r, int depth) {
    static const char *const names[] = {"a", "b", "^c", "d.*", "\\u0001\\\"", ""};
    ag_buf_addc(&r->out, '{');
    for (unsigned i = 0, n = take(r, 4), at = take(r, 6); i < n; i++, at++) {
        ag_buf_addf(&r->out, "%s\"%s\":", i ? "," : "", names[at % 6]);
        add_schema(r, depth);
    }
    ag_buf_addc(&r->out, '}');
}

static void add_any(recipe *r, int depth) {
    if (take(r, 3) == 0)
        add_schema(r, depth);
    else if (take(r, 2))
        add_string(r);
    else
        add_number(r);
}

static void add_word(recipe *r, int depth, unsigned which) {
    static const char *const counts[] = {"minLength", "maxLength",     "minItems",
                                         "maxItems",  "minProperties", "maxProperties"};
    static const char *const numbers[] = {"minimum", "maximum", "exclusiveMinimum",
                                          "exclusiveMaximum", "multipleOf"};
    static const char *const schemas[] = {"items", "additionalProperties", "propertyNames", "not"};
    static const char *const maps[] = {"properties", "patternProperties", "$defs"};
    static const char *const lists[] = {"anyOf", "oneOf", "allOf", "prefixItems"};
    static const char *const texts[] = {"pattern", "format", "$ref", "type"};
    if (which < 6) {
        ag_buf_addf(&r->out, "\"%s\":%u", counts[which], take(r, 40));
    } else if (which < 11) {
        ag_buf_addf(&r->out, "\"%s\":", numbers[which - 6]);
        add_number(r);
    } else if (which < 15) {
        ag_buf_addf(&r->out, "\"%s\":", schemas[which - 11]);
        add_schema(r, depth);
    } else if (which < 18) {
        ag_buf_addf(&r->out, "\"%s\":", maps[which - 15]);
        add_map(r, depth);
    } else if (which < 22) {
        ag_buf_addf(&r->out, "\"%s\":", lists[which - 18]);
        add_list(r, depth, add_schema);
    } else if (which < 26) {
        ag_buf_addf(&r->out, "\"%s\":", texts[which - 22]);
        add_string(r);
    } else {
        ag_buf_addf(&r->out, "\"%s\":", which == 26 ? "enum" : which == 27 ? "required" : "type");
        add_list(r, depth, add_any);
    }
}

static void add_schema(recipe *r, int depth) {
    unsigned kind = take(r, 8);
    if (depth == 0 || kind < 2) {
        ag_buf_adds(&r->out, kind == 0 ? "true" : kind == 1 ? "false" : "{\"type\":\"string\"}");
        return;
    }
    ag_buf_addc(&r->out, '{');
    for (unsigned i = 0, n = take(r, 5), which = take(r, 29); i < n; i++, which += 1 + take(r, 5)) {
        ag_buf_adds(&r->out, i ? "," : "");
        add_word(r, depth - 1, which % 29);
    }
    ag_buf_addc(&r->out, '}');
}

#endif
