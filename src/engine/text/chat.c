#include "text/chat.h"

#include "base/limits.h"
#include "base/utf8.h"
#include "load/source.h"
#include "text/chat_form.h"
#include "text/template/template.h"

typedef struct variant {
    ag_template *t; /* owned; NULL: the other variant serves */
    ag_chat_form form;
} variant;

struct ag_chat {
    variant plain, tools;
    char *text;     /* owned source of the one that serves when tools are given */
    char *token[4]; /* owned texts of bos, eos, unk, pad; NULL: there is none */
    size_t token_n[4];
};

static const char *const token_names[4] = {"bos_token", "eos_token", "unk_token", "pad_token"};

/* For models without a template that have its tokens. */
static const char chatml[] =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content +"
    " '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}";

static ag_code no_memory(ag_err *err) {
    return ag_fail(err, AG_E_NOMEM, "out of memory for the chat template");
}

/* What the template may trust: special tokens. A new reference, or NULL out of memory. */
static json_t *trusted_context(const ag_chat *c) {
    json_t *trusted = json_object();
    for (size_t i = 0; trusted && i < 4; i++) {
        if (!c->token[i])
            continue;
        json_t *text = json_stringn_nocheck(c->token[i], c->token_n[i]);
        if (json_object_set_new(trusted, token_names[i], text) == 0)
            continue;
        json_decref(trusted);
        return NULL;
    }
    return trusted;
}

/* ---- making ---------------------------------------------------------------------------------- */

static ag_code open_variant(variant *v, ag_span text, const json_t *trusted, ag_err *err) {
    if (!text.p)
        return AG_OK;
    ag_code code = ag_template_parse(text, &v->t, err);
    return code == AG_OK ? ag_chat_probe(v->t, trusted, &v->form, err) : code;
}

static ag_code keep_tokens(ag_chat *c, const ag_chat_source *source, ag_err *err) {
    const ag_span texts[4] = {source->bos, source->eos, source->unk, source->pad};
    for (size_t i = 0; i < 4; i++) {
        if (!texts[i].p)
            continue;
        ag_buf valid; /* vocabularies may hold ill-formed text, JSON may not */
        ag_buf_init(&valid, AG_ROOM_TEXT, AG_MAX_TEMPLATE_BYTES);
        ag_utf8_repair(texts[i], &valid);
        ag_code code = ag_buf_check(&valid, "the text of a special token", err);
        c->token[i] =
            code == AG_OK ? ag_strndup(AG_ROOM_TEXT, valid.p ? valid.p : "", valid.n) : NULL;
        c->token_n[i] = valid.n;
        ag_buf_deinit(&valid);
        if (!c->token[i])
            return code != AG_OK ? code : no_memory(err);
    }
    return AG_OK;
}

ag_code ag_chat_new(const ag_chat_source *source, ag_chat **out, ag_err *err) {
    *out = NULL;
    if (!source->text.p && !source->tool_text.p)
        return ag_fail(err, AG_E_ARG, "a chat needs a template");
    ag_chat *c = ag_calloc(AG_ROOM_TEXT, 1, sizeof *c);
    if (!c)
        return no_memory(err);
    ag_code code = keep_tokens(c, source, err);
    ag_span text = source->tool_text.p ? source->tool_text : source->text;
    c->text = code == AG_OK ? ag_strndup(AG_ROOM_TEXT, text.p, text.n) : NULL;
    json_t *trusted = c->text ? trusted_context(c) : NULL;
    if (code == AG_OK && !trusted)
        code = no_memory(err);
    if (code == AG_OK)
        code = open_variant(&c->plain, source->text, trusted, err);
    if (code == AG_OK)
        code = open_variant(&c->tools, source->tool_text, trusted, err);
    json_decref(trusted);
    if (code != AG_OK)
        ag_chat_free(&c);
    *out = c;
    return code;
}

void ag_chat_free(ag_chat **c) {
    if (!*c)
        return;
    ag_template_free(&(*c)->plain.t);
    ag_template_free(&(*c)->tools.t);
    for (size_t i = 0; i < 4; i++)
        ag_free((*c)->token[i]);
    ag_free((*c)->text);
    ag_free(*c);
    *c = NULL;
}

const char *ag_chat_template_text(const ag_chat *c) { return c->text; }

/* ---- from a file ----------------------------------------------------------------------------- */

static ag_code find_templates(const ag_source *g, ag_chat_source *source, ag_err *err) {
    ag_code code = ag_source_opt_str(g, "tokenizer.chat_template", &source->text, err);
    if (code == AG_OK && !source->text.p)
        code = ag_source_opt_str(g, "tokenizer.chat_template.default", &source->text, err);
    if (code == AG_OK)
        code = ag_source_opt_str(g, "tokenizer.chat_template.tool_use", &source->tool_text, err);
    return code;
}

static ag_span token_text(const ag_tokenizer *t, int32_t id) {
    ag_span text = id >= 0 && id < ag_tokenizer_n(t) ? ag_tokenizer_raw(t, id) : (ag_span){0};
    return text.n ? text : (ag_span){0};
}

static ag_code token_of_key(const ag_source *g, const ag_tokenizer *t, const char *key,
                            ag_span *out, ag_err *err) {
    uint32_t id = UINT32_MAX;
    ag_code code = ag_source_opt_u32(g, key, &id, err);
    *out = token_text(t, id <= INT32_MAX ? (int32_t)id : -1);
    return code;
}

ag_code ag_chat_from_gguf(const ag_source *g, const ag_tokenizer *t, ag_span override,
                          ag_chat **out, ag_err *err) {
    ag_chat_source source = {.text = override,
                             .bos = token_text(t, ag_tokenizer_bos(t)),
                             .eos = token_text(t, ag_tokenizer_eos(t))};
    *out = NULL;
    ag_code code = token_of_key(g, t, "tokenizer.ggml.unknown_token_id", &source.unk, err);
    if (code == AG_OK)
        code = token_of_key(g, t, "tokenizer.ggml.padding_token_id", &source.pad, err);
    if (code == AG_OK && !override.p)
        code = find_templates(g, &source, err);
    if (code != AG_OK)
        return code;
    bool none = !source.text.p && !source.tool_text.p;
    if (none && ag_tokenizer_find(t, ag_str("<|im_start|>")) >= 0 &&
        ag_tokenizer_find(t, ag_str("<|im_end|>")) >= 0)
        source.text = ag_str(chatml);
    else if (none)
        return ag_fail(err, AG_E_UNSUPPORTED,
                       "the model has no chat template; pass one with --chat-template");
    code = ag_chat_new(&source, out, err);
    return code == AG_OK ? code : ag_err_wrap(err, code, "the model's chat template");
}

/* ---- using ----------------------------------------------------------------------------------- */

static ag_code check_tools(const json_t *tools, ag_err *err) {
    if (!tools || json_is_null(tools))
        return AG_OK;
    if (!json_is_array(tools))
        return ag_fail(err, AG_E_ARG, "tools must be an array");
    for (size_t i = 0; i < json_array_size(tools); i++)
        if (!json_is_object(json_array_get(tools, i)))
            return ag_fail(err, AG_E_ARG, "tools[%zu] must be an object", i);
    return AG_OK;
}

/* The variables that come from the request: options first, so that they cannot replace others. */
static ag_code user_context(const ag_chat_input *in, const variant *v, json_t **out, ag_err *err) {
    json_t *messages, *context = json_object();
    ag_code code = ag_chat_messages(in->messages, &v->form, &messages, err);
    if (code == AG_OK && (!context || json_object_set_new(context, "tools", json_null()) != 0 ||
                          json_object_set_new(context, "documents", json_null()) != 0 ||
                          (in->options && json_object_update(context, (json_t *)in->options) != 0)))
        code = no_memory(err);
    if (code == AG_OK && json_array_size(in->tools) > 0 &&
        json_object_set(context, "tools", (json_t *)in->tools) != 0)
        code = no_memory(err);
    if (code == AG_OK && json_object_set(context, "messages", messages) != 0)
        code = no_memory(err);
    if (code == AG_OK && json_object_set_new(context, "add_generation_prompt",
                                             json_boolean(in->add_generation_prompt)) != 0)
        code = no_memory(err);
    json_decref(messages);
    if (code == AG_OK)
        *out = context;
    else
        json_decref(context);
    return code;
}

/* The text of a message: its content, or the last text of its parts. */
static ag_span text_of(const json_t *message) {
    const json_t *content = json_object_get(message, "content");
    if (json_is_array(content))
        content = json_object_get(json_array_get(content, json_array_size(content) - 1), "text");
    return ag_span_of(json_string_value(content), json_string_length(content));
}

static ag_span trim(ag_span s) {
    static const char blank[] = " \t\r\n";
    while (s.n && memchr(blank, s.p[0], 4))
        s = ag_span_sub(s, 1, s.n);
    while (s.n && memchr(blank, s.p[s.n - 1], 4))
        s.n--;
    return s;
}

/* Where `text` last stands in what came from the request; SIZE_MAX: nowhere. It begins where such
 * text begins, so the time is linear whatever the text repeats. */
static size_t find_last(const ag_buf *out, const ag_buf *marks, ag_span text) {
    for (size_t at = out->n < text.n ? 0 : out->n - text.n + 1; at-- > 0;)
        if (marks->p[at] && (at == 0 || !marks->p[at - 1]) && marks->p[at + text.n - 1] &&
            memcmp(out->p + at, text.p, text.n) == 0)
            return at;
    return SIZE_MAX;
}

/* Cut everything that the template writes behind the last message. */
static ag_code cut_behind(const ag_chat_input *in, ag_buf *out, ag_buf *marks, ag_err *err) {
    size_t n = json_array_size(in->messages);
    ag_span text = text_of(json_array_get(in->messages, n - 1)), core = trim(text);
    if (core.n == 0)
        return ag_fail(err, AG_E_ARG,
                       "messages[%zu].content is empty: there is nothing to continue", n - 1);
    size_t at = find_last(out, marks, text);
    if (at == SIZE_MAX) {
        text = core;
        at = find_last(out, marks, text);
    }
    if (at == SIZE_MAX)
        return ag_fail(err, AG_E_TEMPLATE,
                       "the chat template does not show messages[%zu].content as it is, so it "
                       "cannot be continued",
                       n - 1);
    out->n = marks->n = at + text.n;
    return AG_OK;
}

static ag_code render_whole(const ag_chat *c, const ag_chat_input *in, ag_buf *out, ag_buf *marks,
                            ag_err *err) {
    bool tools = json_array_size(in->tools) > 0;
    const variant *v = (tools && c->tools.t) || !c->plain.t ? &c->tools : &c->plain;
    json_t *user = NULL;
    if (in->options && !json_is_object(in->options))
        return ag_fail(err, AG_E_ARG, "the options of a chat template must be an object");
    ag_code code = check_tools(in->tools, err);
    if (code == AG_OK)
        code = user_context(in, v, &user, err);
    if (code != AG_OK)
        return code;
    json_t *trusted = trusted_context(c);
    code = trusted ? ag_template_render_marked(v->t, trusted, user, NULL, out, marks, err)
                   : no_memory(err);
    json_decref(trusted);
    json_decref(user);
    return code;
}

/* `marks` says which bytes came from the request. */
static ag_code render(const ag_chat *c, const ag_chat_input *in, ag_buf *out, ag_buf *marks,
                      ag_err *err) {
    ag_code code = render_whole(c, in, out, marks, err);
    return code == AG_OK && in->continue_final_message ? cut_behind(in, out, marks, err) : code;
}

ag_code ag_chat_render(const ag_chat *c, const ag_chat_input *in, ag_buf *out, ag_err *err) {
    if (!in->continue_final_message)
        return render_whole(c, in, out, NULL, err);
    ag_buf text, marks;
    ag_buf_init(&text, AG_ROOM_TEXT, AG_MAX_RENDERED_BYTES);
    ag_buf_init(&marks, AG_ROOM_TEXT, AG_MAX_RENDERED_BYTES);
    ag_code code = render(c, in, &text, &marks, err);
    if (code == AG_OK && !ag_buf_add(out, text.p, text.n))
        code = ag_buf_check(out, "the rendered prompt", err);
    ag_buf_deinit(&text);
    ag_buf_deinit(&marks);
    return code;
}

ag_code ag_chat_encode(const ag_chat *c, const ag_tokenizer *t, const ag_chat_input *in,
                       ag_ids *out, ag_err *err) {
    ag_buf text, marks;
    ag_buf_init(&text, AG_ROOM_TEXT, AG_MAX_RENDERED_BYTES);
    ag_buf_init(&marks, AG_ROOM_TEXT, AG_MAX_RENDERED_BYTES);
    ag_code code = render(c, in, &text, &marks, err);
    if (code == AG_OK)
        code = ag_tokenizer_encode_masked(t, ag_buf_span(&text), (const uint8_t *)marks.p,
                                          AG_ENCODE_SPECIAL, out, err);
    ag_buf_deinit(&text);
    ag_buf_deinit(&marks);
    return code;
}
