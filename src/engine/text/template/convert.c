/* JSON to values. */
#include "text/template/filter.h"

/* Templates build control tokens from the role, so these words stay unmarked (template.h). */
static bool is_known_role(ag_span s) {
    static const char *const roles[] = {"system",   "developer",   "user",    "assistant", "tool",
                                        "function", "observation", "ipython", "model",     NULL};
    for (size_t i = 0; roles[i]; i++)
        if (ag_span_is(s, roles[i]))
            return true;
    return false;
}

static tpl_value from_string(tpl_run *r, ag_span s, bool user) {
    return tpl_string(ag_tpl_str(r, s.p, s.n, user));
}

static tpl_value from_array(tpl_run *r, const json_t *json, bool user) {
    size_t n = json_array_size(json);
    tpl_value *v = ag_tpl_alloc(r, n, sizeof *v);
    for (size_t i = 0; v && i < n && !tpl_failed(r); i++)
        v[i] = ag_tpl_from_json(r, json_array_get(json, i), user);
    return ag_tpl_list(r, TPL_LIST, v, n);
}

static tpl_value from_object(tpl_run *r, const json_t *json, bool user) {
    tpl_value d = ag_tpl_dict(r, json_object_size(json));
    json_t *object = (json_t *)json; /* Jansson's iterators are not const-correct */
    for (void *at = json_object_iter(object); at && !tpl_failed(r);
         at = json_object_iter_next(object, at)) {
        ag_span key = ag_span_of(json_object_iter_key(at), json_object_iter_key_len(at));
        const json_t *member = json_object_iter_value(at);
        ag_span text = ag_span_of(json_string_value(member), json_string_length(member));
        bool marked =
            user && !(json_is_string(member) && ag_span_is(key, "role") && is_known_role(text));
        tpl_value v = ag_tpl_from_json(r, member, marked);
        ag_tpl_dict_set(r, d.d, from_string(r, key, user), v);
    }
    return d;
}

tpl_value ag_tpl_from_json(tpl_run *r, const json_t *json, bool user) {
    if (tpl_failed(r) || !ag_tpl_spend(r, 1))
        return tpl_undef();
    switch (json ? json_typeof(json) : JSON_NULL) {
    case JSON_TRUE:
    case JSON_FALSE:
        return tpl_bool(json_is_true(json));
    case JSON_INTEGER:
        return tpl_integer(json_integer_value(json));
    case JSON_REAL:
        return tpl_float(json_real_value(json));
    case JSON_STRING:
        return from_string(r, ag_span_of(json_string_value(json), json_string_length(json)), user);
    case JSON_NULL:
        return tpl_none();
    default:
        break;
    }
    if (!ag_tpl_enter(r))
        return tpl_undef();
    tpl_value v = json_is_array(json) ? from_array(r, json, user) : from_object(r, json, user);
    tpl_leave(r);
    return v;
}
