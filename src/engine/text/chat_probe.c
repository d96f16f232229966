/* Tries a template with small conversations to see which forms of messages it understands.
 *
 * A form is understood when the words that were put into the messages come out again, and not as
 * the printed form of a list or object, nor as JSON inside a JSON string. */
#include "base/limits.h"
#include "text/chat_form.h"

#define PROBE_STEPS  1000000u
#define PROBE_BYTES  ((size_t)1 << 20)
#define PROBE_MEMORY ((size_t)16 << 20)

static const char as_string[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"probe_words\"}],"
    " \"add_generation_prompt\": true, \"tools\": null}";
static const char as_parts[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\","
    " \"text\": \"probe_words\"}]}], \"add_generation_prompt\": true, \"tools\": null}";

/* A conversation with a tool call; the parts that vary stand between these. */
static const char call_head[] = "{\"messages\": [{\"role\": \"user\", \"content\": ";
static const char call_question[] = "}, {\"role\": \"assistant\", \"content\": ";
static const char call_middle[] =
    ", \"tool_calls\": [{\"id\": \"callabcd1\", \"type\": \"function\", \"function\": {\"name\":"
    " \"probe_name\", \"arguments\": ";
static const char call_tail[] =
    "}}]}, {\"role\": \"tool\", \"tool_call_id\": \"callabcd1\", \"name\": \"probe_name\","
    " \"content\": \"done\"}], \"add_generation_prompt\": true, \"tools\": [{\"type\": "
    "\"function\","
    " \"function\": {\"name\": \"other_tool\", \"description\": \"A tool.\", \"parameters\":"
    " {\"type\": \"object\", \"properties\": {\"q\": {\"type\": \"string\", \"description\":"
    " \"Words.\"}}, \"required\": [\"q\"]}}}]}";

static bool has(const ag_buf *text, const char *words) {
    return ag_span_find(ag_buf_span(text), ag_str(words), 0) != SIZE_MAX;
}

/* Render the context into `out`, emptied first; *ok tells whether the template took it. */
static ag_code try_context(const ag_template *t, const json_t *tokens, const char *json,
                           ag_buf *out, bool *ok, ag_err *err) {
    const ag_template_limits limits = {
        .steps = PROBE_STEPS, .output_bytes = PROBE_BYTES, .memory_bytes = PROBE_MEMORY};
    json_t *context = json_loads(json, 0, NULL);
    ag_err why = {0}; /* what a template refuses here is no error */
    out->n = 0;
    if (!context)
        return ag_fail(err, AG_E_NOMEM, "out of memory while trying the chat template");
    ag_code code = ag_template_render_marked(t, tokens, context, &limits, out, NULL, &why);
    json_decref(context);
    *ok = code == AG_OK;
    return code == AG_E_NOMEM ? ag_fail(err, code, "%s", why.msg) : AG_OK;
}

static ag_code probe_content(const ag_template *t, const json_t *tokens, ag_buf *out,
                             ag_chat_form *form, ag_err *err) {
    bool ok;
    ag_code code = try_context(t, tokens, as_string, out, &ok, err);
    if (code != AG_OK)
        return code;
    form->strings = ok && has(out, "probe_words");
    code = try_context(t, tokens, as_parts, out, &ok, err);
    form->parts = ok && has(out, "probe_words") && !has(out, "'type'") && !has(out, "\"type\"");
    if (!form->strings && !form->parts) /* it wants something else; strings are the usual thing */
        form->strings = true;
    return code;
}

static ag_code probe_call(const ag_template *t, const json_t *tokens, const ag_chat_form *form,
                          ag_buf *out, bool *ok, ag_err *err) {
    ag_buf json;
    ag_buf_init(&json, AG_ROOM_TEXT, PROBE_BYTES);
    ag_buf_adds(&json, call_head);
    ag_buf_adds(&json, form->strings ? "\"ask\"" : "[{\"type\": \"text\", \"text\": \"ask\"}]");
    ag_buf_adds(&json, call_question);
    ag_buf_adds(&json, form->null_content ? "null" : "\"\"");
    ag_buf_adds(&json, call_middle);
    ag_buf_adds(&json, form->objects ? "{\"probe_key\": \"probe_value\"}"
                                     : "\"{\\\"probe_key\\\": \\\"probe_value\\\"}\"");
    ag_buf_adds(&json, call_tail);
    const char *text = ag_buf_cstr(&json);
    ag_code code = ag_buf_check(&json, "a trial of the chat template", err);
    if (code == AG_OK && !text)
        code = ag_fail(err, AG_E_NOMEM, "out of memory while trying the chat template");
    if (code == AG_OK)
        code = try_context(t, tokens, text, out, ok, err);
    ag_buf_deinit(&json);
    *ok = code == AG_OK && *ok && has(out, "probe_name") && has(out, "probe_value") &&
          !has(out, "'probe_key'") && !has(out, "\\\"probe_key");
    return code;
}

ag_code ag_chat_probe(const ag_template *t, const json_t *tokens, ag_chat_form *form, ag_err *err) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEXT, PROBE_BYTES);
    *form = (ag_chat_form){0};
    ag_code code = probe_content(t, tokens, &out, form, err);
    bool ok = false;
    for (int trial = 0; trial < 4 && code == AG_OK && !ok; trial++) {
        form->objects = trial % 2 == 0;
        form->null_content = trial >= 2;
        code = probe_call(t, tokens, form, &out, &ok, err);
    }
    if (!ok) { /* tools are not supported: as the reference passes them */
        form->objects = true;
        form->null_content = false;
    }
    ag_buf_deinit(&out);
    return code;
}
