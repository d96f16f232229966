#include "load/json.h"

#include "base/file.h"
#include "base/limits.h"

/* Deepest nesting of brackets outside strings. jansson recurses once a level, so this is asked
 * before it runs; text that is no JSON may count wrongly, but then it is refused anyway. */
static int depth_of(ag_span text) {
    int depth = 0, most = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            most = ++depth > most ? depth : most;
            if (most > AG_MAX_JSON_DEPTH)
                break;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return most;
}

ag_code ag_json_parse(ag_span text, const char *name, json_t **out, ag_err *err) {
    *out = NULL;
    if (depth_of(text) > AG_MAX_JSON_DEPTH)
        return ag_fail(err, AG_E_FORMAT, "%s: brackets nest deeper than %d", name,
                       AG_MAX_JSON_DEPTH);
    json_error_t where;
    json_t *v = json_loadb(text.p ? text.p : "", text.n, JSON_REJECT_DUPLICATES, &where);
    if (!v && json_error_code(&where) == json_error_out_of_memory)
        return ag_fail(err, AG_E_NOMEM, "out of memory while reading %s", name);
    if (!v)
        return ag_fail(err, AG_E_FORMAT, "%s: not valid JSON at line %d: %s", name, where.line,
                       where.text);
    if (!json_is_object(v)) {
        json_decref(v);
        return ag_fail(err, AG_E_FORMAT, "%s: expected an object { }, found something else", name);
    }
    *out = v;
    return AG_OK;
}

ag_code ag_json_read(const char *path, size_t cap, json_t **out, ag_err *err) {
    *out = NULL;
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_LOAD, cap);
    ag_code code = ag_file_read(path, &text, err);
    if (!code)
        code = ag_json_parse(ag_buf_span(&text), path, out, err);
    ag_buf_deinit(&text);
    return code;
}

const char *ag_json_kind(const json_t *v) {
    if (!v)
        return "nothing";
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "a value of unknown kind";
}
