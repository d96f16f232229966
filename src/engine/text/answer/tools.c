/* What a request's tools say: names, and kinds of parameters. */
#include "text/answer/answer_parts.h"

const json_t *ag_tool_function(const json_t *tools, size_t i) {
    const json_t *tool = json_array_get(tools, i);
    const json_t *function = json_object_get(tool, "function");
    return json_is_object(function) ? function : json_is_object(tool) ? tool : NULL;
}

bool ag_tool_name_byte_ok(char b) {
    return (uint8_t)b > 0x20 && b != 0x7F && !strchr("\"'<>{}[]()\\`,;", b);
}

bool ag_tool_name_ok(ag_span name) {
    for (size_t i = 0; i < name.n; i++)
        if (!ag_tool_name_byte_ok(name.p[i]))
            return false;
    return name.n > 0 && name.n <= AG_MAX_TOOL_NAME;
}

ag_span ag_tool_name(const json_t *function) {
    const json_t *name = json_object_get(function, "name");
    return ag_span_of(json_string_value(name), json_string_length(name));
}

const json_t *ag_tool_find(const json_t *tools, ag_span name) {
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = ag_tool_function(tools, i);
        if (name.n > 0 && ag_span_eq(ag_tool_name(function), name))
            return function;
    }
    return NULL;
}

bool ag_tool_has_prefix(const json_t *tools, ag_span prefix) {
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *function = ag_tool_function(tools, i);
        if (ag_span_starts(ag_tool_name(function), prefix))
            return true;
    }
    return false;
}

/* ---- kinds ----------------------------------------------------------------------------------- */

#define MAX_SCHEMA_DEPTH 8
#define MAX_SCHEMA_WORK  1000

static unsigned kind_of_name(const char *type) {
    static const struct {
        const char *name;
        unsigned kind;
    } kinds[] = {{"string", AG_KIND_STRING}, {"integer", AG_KIND_NUMBER},
                 {"number", AG_KIND_NUMBER}, {"boolean", AG_KIND_BOOL},
                 {"null", AG_KIND_NULL},     {"object", AG_KIND_OBJECT},
                 {"array", AG_KIND_ARRAY}};
    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(type, kinds[i].name) == 0)
            return kinds[i].kind;
    return AG_KIND_ANY;
}

static unsigned kind_of_value(const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_STRING:
        return AG_KIND_STRING;
    case JSON_OBJECT:
        return AG_KIND_OBJECT;
    case JSON_ARRAY:
        return AG_KIND_ARRAY;
    case JSON_NULL:
        return AG_KIND_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return AG_KIND_BOOL;
    default:
        return AG_KIND_NUMBER;
    }
}

/* "#/a/b" in the function's parameters; no escapes, as in generated schemas. */
static const json_t *resolve(const json_t *root, const char *ref) {
    if (!ref || strncmp(ref, "#/", 2) != 0)
        return NULL;
    for (ref += 2; root && *ref;) {
        size_t n = strcspn(ref, "/");
        root = json_object_getn(root, ref, n);
        ref += n + (ref[n] == '/');
    }
    return root;
}

static unsigned kinds_of(const json_t *schema, const json_t *root, int depth, int *work) {
    static const char *const unions[] = {"anyOf", "oneOf", "allOf"};
    unsigned kinds = 0;
    if (!json_is_object(schema) || depth == MAX_SCHEMA_DEPTH || --*work < 0)
        return AG_KIND_ANY;
    const json_t *ref = json_object_get(schema, "$ref"), *type = json_object_get(schema, "type");
    const json_t *values = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
    if (json_is_string(ref))
        return kinds_of(resolve(root, json_string_value(ref)), root, depth + 1, work);
    if (json_is_string(type))
        return kind_of_name(json_string_value(type));
    for (size_t i = 0; i < json_array_size(type); i++)
        kinds |= kind_of_name(json_string_value(json_array_get(type, i)));
    for (size_t i = 0; !type && i < json_array_size(values); i++)
        kinds |= kind_of_value(json_array_get(values, i));
    if (one && kinds == 0)
        kinds = kind_of_value(one);
    for (size_t u = 0; u < 3 && kinds == 0; u++) {
        const json_t *all = json_object_get(schema, unions[u]);
        for (size_t i = 0; i < json_array_size(all); i++)
            kinds |= kinds_of(json_array_get(all, i), root, depth + 1, work);
    }
    return kinds ? kinds : AG_KIND_ANY;
}

unsigned ag_tool_kinds(const json_t *function, ag_span key) {
    const json_t *root = json_object_get(function, "parameters");
    const json_t *properties = json_object_get(root, "properties");
    const json_t *schema = key.n > 0 ? json_object_getn(properties, key.p, key.n) : NULL;
    int work = MAX_SCHEMA_WORK;
    return kinds_of(schema, root, 0, &work);
}
