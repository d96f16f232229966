/* Checks messages and brings them into the form that a template understands. Copies are shallow:
 * only what changes is made anew. */
#include "base/limits.h"
#include "load/json.h"
#include "text/chat_form.h"

typedef struct worker {
    const ag_chat_form *form;
    ag_err *err;
    size_t i; /* the message in hand */
} worker;

static ag_code no_memory(ag_err *err) {
    return ag_fail(err, AG_E_NOMEM, "out of memory for the messages of a chat");
}

static const char *kind_of(const json_t *v) { return v ? ag_json_kind(v) : "absent"; }

/* Set a member to a new reference, which is taken in any case. */
static ag_code set(const worker *w, json_t *object, const char *key, json_t *value) {
    return json_object_set_new(object, key, value) == 0 ? AG_OK : no_memory(w->err);
}

/* ---- content --------------------------------------------------------------------------------- */

static ag_code check_part(const worker *w, const json_t *part, size_t p) {
    const json_t *type = json_object_get(part, "type"), *text = json_object_get(part, "text");
    if (!json_is_object(part))
        return ag_fail(w->err, AG_E_ARG, "messages[%zu].content[%zu] must be an object, it is %s",
                       w->i, p, kind_of(part));
    if (!json_is_string(type))
        return ag_fail(w->err, AG_E_ARG,
                       "messages[%zu].content[%zu].type must be a string, it is %s", w->i, p,
                       kind_of(type));
    if (strcmp(json_string_value(type), "text") == 0 && !json_is_string(text))
        return ag_fail(w->err, AG_E_ARG,
                       "messages[%zu].content[%zu].text must be a string, it is %s", w->i, p,
                       kind_of(text));
    return AG_OK;
}

static ag_code check_content(const worker *w, const json_t *content) {
    ag_code code = AG_OK;
    if (json_is_array(content)) {
        for (size_t p = 0; p < json_array_size(content) && code == AG_OK; p++)
            code = check_part(w, json_array_get(content, p), p);
        return code;
    }
    if (content && !json_is_string(content) && !json_is_null(content))
        return ag_fail(w->err, AG_E_ARG,
                       "messages[%zu].content must be a string, null or an array of parts, it is"
                       " %s",
                       w->i, kind_of(content));
    return AG_OK;
}

/* The text parts as one string, a line for each; the template knows no parts, so no images. */
static ag_code join_parts(const worker *w, const json_t *parts, json_t **out) {
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_TEXT, AG_MAX_TEXT_BYTES);
    ag_code code = AG_OK;
    for (size_t p = 0; p < json_array_size(parts) && code == AG_OK; p++) {
        const json_t *part = json_array_get(parts, p), *s = json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (strcmp(type, "text") != 0) {
            code = ag_fail(w->err, AG_E_ARG,
                           "messages[%zu].content[%zu]: this model takes text only, not '%s'", w->i,
                           p, type);
            break;
        }
        if (p)
            ag_buf_addc(&text, '\n');
        ag_buf_add(&text, json_string_value(s), json_string_length(s));
    }
    if (code == AG_OK)
        code = ag_buf_check(&text, "the text of a message", w->err);
    if (code == AG_OK) {
        *out = json_stringn_nocheck(text.p ? text.p : "", text.n);
        code = *out ? AG_OK : no_memory(w->err);
    }
    ag_buf_deinit(&text);
    return code;
}

/* A string as the only text part. */
static ag_code wrap_string(const worker *w, const json_t *s, json_t **out) {
    *out = json_pack("[{s:s,s:O}]", "type", "text", "text", (json_t *)s);
    return *out ? AG_OK : no_memory(w->err);
}

static ag_code set_content(const worker *w, json_t *message) {
    const json_t *content = json_object_get(message, "content");
    bool calls = json_array_size(json_object_get(message, "tool_calls")) > 0;
    json_t *made = NULL;
    ag_code code = check_content(w, content);
    if (code != AG_OK)
        return code;
    if (json_is_array(content) && !w->form->parts)
        code = join_parts(w, content, &made);
    else if (json_is_string(content) && !w->form->strings && w->form->parts)
        code = wrap_string(w, content, &made);
    else if (!json_string_length(content) && !json_is_array(content))
        made = calls && w->form->null_content ? json_null() : json_string("");
    else
        return AG_OK;
    return code == AG_OK ? set(w, message, "content", made) : code;
}

/* ---- tool calls ------------------------------------------------------------------------------ */

static ag_code arguments_text(const worker *w, const json_t *arguments, json_t **out) {
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_TEXT, AG_MAX_TEXT_BYTES);
    size_t n = json_dumpb(arguments, NULL, 0, 0);
    if (n && ag_buf_reserve(&text, n))
        text.n = json_dumpb(arguments, text.p, n, 0);
    ag_code code = ag_buf_check(&text, "the arguments of a tool call", w->err);
    *out = code == AG_OK && text.n ? json_stringn_nocheck(text.p, text.n) : NULL;
    ag_buf_deinit(&text);
    return *out || code != AG_OK ? code : no_memory(w->err);
}

/* *out = a new reference to the arguments in the template's form. */
static ag_code form_arguments(const worker *w, json_t *given, json_t **out) {
    *out = NULL;
    if (json_is_string(given) && w->form->objects)
        *out =
            json_loadb(json_string_value(given), json_string_length(given), JSON_ALLOW_NUL, NULL);
    if (*out && !json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
    }
    if (json_is_object(given) && !w->form->objects)
        return arguments_text(w, given, out);
    if (!*out) /* fine as it is, or text that is no object: the template gets what there is */
        *out = json_incref(given);
    return AG_OK;
}

static ag_code check_call(const worker *w, const json_t *call, size_t k) {
    const json_t *function = json_object_get(call, "function");
    const json_t *name = json_object_get(function, "name");
    const json_t *arguments = json_object_get(function, "arguments");
    if (!json_is_object(function))
        return ag_fail(w->err, AG_E_ARG,
                       "messages[%zu].tool_calls[%zu].function must be an object, it is %s", w->i,
                       k, kind_of(function));
    if (!json_is_string(name))
        return ag_fail(w->err, AG_E_ARG,
                       "messages[%zu].tool_calls[%zu].function.name must be a string, it is %s",
                       w->i, k, kind_of(name));
    if (arguments && !json_is_string(arguments) && !json_is_object(arguments))
        return ag_fail(w->err, AG_E_ARG,
                       "messages[%zu].tool_calls[%zu].function.arguments must be a string or an"
                       " object, it is %s",
                       w->i, k, kind_of(arguments));
    return AG_OK;
}

/* *out = a copy of the call with its arguments in the template's form. */
static ag_code form_call(const worker *w, const json_t *call, size_t k, json_t **out) {
    *out = NULL;
    ag_code code = check_call(w, call, k);
    if (code != AG_OK)
        return code;
    json_t *copy = json_copy((json_t *)call);
    json_t *function = json_copy(json_object_get(call, "function"));
    json_t *given = json_object_get(function, "arguments"), *made = NULL;
    if (!copy || !function)
        code = no_memory(w->err);
    if (code == AG_OK && given)
        code = form_arguments(w, given, &made);
    if (code == AG_OK && made)
        code = set(w, function, "arguments", made);
    if (code == AG_OK)
        code = set(w, copy, "function", json_incref(function));
    json_decref(function);
    if (code == AG_OK)
        *out = copy;
    else
        json_decref(copy);
    return code;
}

static ag_code set_calls(const worker *w, json_t *message) {
    const json_t *calls = json_object_get(message, "tool_calls");
    if (!calls || json_is_null(calls))
        return AG_OK;
    if (!json_is_array(calls))
        return ag_fail(w->err, AG_E_ARG, "messages[%zu].tool_calls must be an array, it is %s",
                       w->i, kind_of(calls));
    json_t *made = json_array();
    ag_code code = made ? AG_OK : no_memory(w->err);
    for (size_t k = 0; k < json_array_size(calls) && code == AG_OK; k++) {
        json_t *call;
        code = form_call(w, json_array_get(calls, k), k, &call);
        if (code == AG_OK && json_array_append_new(made, call) != 0)
            code = no_memory(w->err);
    }
    if (code == AG_OK)
        return set(w, message, "tool_calls", made);
    json_decref(made);
    return code;
}

/* ---- reasoning ------------------------------------------------------------------------------- */

/* A copy of the message. Its reasoning, under whatever name it came, stands under the standard name
 * reasoning_content, and under `thinking`, which some templates read. */
static ag_code copy_message(const worker *w, const json_t *message, json_t **out) {
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};
    json_t *reasoning = NULL;
    for (size_t i = 0; i < sizeof names / sizeof *names && !reasoning; i++) {
        json_t *v = json_object_get(message, names[i]);
        if (v && !json_is_null(v))
            reasoning = v;
    }
    json_t *copy = json_object();
    ag_code code = copy ? AG_OK : no_memory(w->err);
    if (code == AG_OK && reasoning)
        code = set(w, copy, "thinking", json_incref(reasoning));
    if (code == AG_OK && json_object_update(copy, (json_t *)message) != 0)
        code = no_memory(w->err);
    if (code == AG_OK && reasoning)
        code = set(w, copy, "reasoning_content", json_incref(reasoning));
    *out = copy;
    return code;
}

static ag_code form_message(const worker *w, const json_t *message, json_t **out) {
    *out = NULL;
    if (!json_is_object(message))
        return ag_fail(w->err, AG_E_ARG, "messages[%zu] must be an object, it is %s", w->i,
                       kind_of(message));
    const json_t *role = json_object_get(message, "role");
    if (!json_is_string(role))
        return ag_fail(w->err, AG_E_ARG, "messages[%zu].role must be a string, it is %s", w->i,
                       kind_of(role));
    json_t *copy;
    ag_code code = copy_message(w, message, &copy);
    if (code == AG_OK)
        code = set_calls(w, copy);
    if (code == AG_OK)
        code = set_content(w, copy);
    if (code == AG_OK)
        *out = copy;
    else
        json_decref(copy);
    return code;
}

ag_code ag_chat_messages(const json_t *messages, const ag_chat_form *form, json_t **out,
                         ag_err *err) {
    *out = NULL;
    if (!json_is_array(messages))
        return ag_fail(err, AG_E_ARG, "messages must be an array, it is %s", kind_of(messages));
    worker w = {.form = form, .err = err};
    json_t *made = json_array();
    ag_code code = made ? AG_OK : no_memory(err);
    for (; w.i < json_array_size(messages) && code == AG_OK; w.i++) {
        json_t *message;
        code = form_message(&w, json_array_get(messages, w.i), &message);
        if (code == AG_OK && json_array_append_new(made, message) != 0)
            code = no_memory(err);
    }
    if (code == AG_OK)
        *out = made;
    else
        json_decref(made);
    return code;
}
