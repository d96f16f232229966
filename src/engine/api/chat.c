/* Chat: messages through the model's template, then generation. */
#include <jansson.h>

#include "api/engine.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/utf8.h"

ag_code ag_engine_open_chat(ag_engine *e, const ag_source *file, const char *override,
                            ag_err *err) {
    ag_span text = ag_str(override);
    ag_code code = ag_chat_from_gguf(file, e->tokenizer, text, &e->chat, &e->no_chat);
    if (!code || (!override && code != AG_E_NOMEM))
        return AG_OK; /* plain completion works without a template; chat will say what is wrong */
    if (err)
        *err = e->no_chat;
    return override ? ag_err_wrap(err, code, "chat_template") : code;
}

static ag_code need_chat(const ag_engine *e, ag_err *err) {
    ag_code code = ag_job_check_generates(&e->core, err);
    if (code)
        return code;
    if (e->chat)
        return AG_OK;
    if (err)
        *err = e->no_chat;
    return e->no_chat.code;
}

const char *ag_engine_chat_template(const ag_engine *e) {
    return e->chat ? ag_chat_template_text(e->chat) : NULL;
}

/* NULL and the reason when a text is missing or no UTF-8. */
static json_t *text_json(const char *what, size_t i, const char *text, ag_code *code, ag_err *err) {
    if (!text) {
        *code = ag_fail(err, AG_E_ARG, "messages[%zu].%s is missing", i, what);
        return NULL;
    }
    ag_span s = ag_str(text);
    size_t good = ag_utf8_valid_prefix(s);
    if (good < s.n) {
        *code = ag_fail(err, AG_E_UTF8, "messages[%zu].%s is not valid UTF-8 at byte %zu", i, what,
                        good);
        return NULL;
    }
    json_t *j = json_stringn(s.p, s.n);
    if (!j)
        *code = ag_fail(err, AG_E_NOMEM, "out of memory for messages");
    return j;
}

static ag_code messages_json(const ag_message *messages, size_t n, json_t **out, ag_err *err) {
    ag_code code = AG_OK;
    json_t *list = json_array();
    for (size_t i = 0; i < n && list && !code; i++) {
        json_t *role = text_json("role", i, messages[i].role, &code, err);
        json_t *content = code ? NULL : text_json("content", i, messages[i].content, &code, err);
        json_t *one = code ? NULL : json_object();
        /* The "new" forms take their reference even when they fail. */
        int bad = json_object_set_new(one, "role", role);
        bad |= json_object_set_new(one, "content", content);
        bad |= json_array_append_new(list, one);
        if (bad && !code)
            code = ag_fail(err, AG_E_NOMEM, "out of memory for messages");
    }
    if (!list)
        code = ag_fail(err, AG_E_NOMEM, "out of memory for messages");
    if (code)
        json_decref(list);
    else
        *out = list;
    return code;
}

static ag_code encode_messages(ag_engine *e, const ag_message *messages, size_t n, ag_ids *ids,
                               ag_err *err) {
    json_t *list = NULL;
    ag_code code = need_chat(e, err);
    if (!code)
        code = messages_json(messages, n, &list, err);
    if (!code)
        code = ag_chat_encode(e->chat, e->tokenizer,
                              &(ag_chat_input){.messages = list, .add_generation_prompt = true},
                              ids, err);
    json_decref(list);
    return code;
}

ag_code ag_engine_chat_ids(ag_engine *e, const ag_message *messages, size_t n_messages,
                           int32_t **ids, size_t *n, ag_err *err) {
    ag_ids list = {0};
    ag_code code = encode_messages(e, messages, n_messages, &list, err);
    if (code) {
        ag_ids_deinit(&list);
        return code;
    }
    *ids = list.v;
    *n = list.n;
    return AG_OK;
}

/* What ag_engine_chat() keeps while its request runs; only the engine thread writes it. */
typedef struct dialogue {
    const ag_request_opts *user;
    ag_buf answer;
    ag_result result;
} dialogue;

static bool on_token(void *ctx, const ag_token_event *event) {
    dialogue *d = ctx;
    ag_buf_add(&d->answer, event->text, event->text_len);
    return !d->user->on_token || d->user->on_token(d->user->ctx, event);
}

static void on_done(void *ctx, const ag_result *result) {
    dialogue *d = ctx;
    ag_buf_add(&d->answer, result->tail, result->tail_len);
    d->result = *result;
    d->result.tail = NULL;
    d->result.tail_len = 0;
    if (d->user->on_done)
        d->user->on_done(d->user->ctx, result);
}

static ag_code run_dialogue(ag_engine *e, dialogue *d, const ag_ids *ids, ag_err *err) {
    ag_request_opts opts = *d->user;
    opts.prompt = NULL;
    opts.prompt_ids = ids->v;
    opts.n_prompt_ids = ids->n;
    opts.on_token = on_token;
    opts.on_done = on_done;
    opts.ctx = d;
    ag_request *r;
    ag_code code = ag_engine_submit(e, &opts, &r, err);
    if (code)
        return code;
    ag_request_wait(r);
    ag_request_release(&r);
    if (d->result.finish == AG_FINISH_ERROR) {
        if (err)
            *err = d->result.err;
        return d->result.err.code;
    }
    if (d->result.finish == AG_FINISH_CANCELLED)
        return ag_fail(err, AG_E_CANCELLED, "the request was cancelled");
    code = ag_buf_check(&d->answer, "the answer", err);
    if (!code && !ag_buf_cstr(&d->answer))
        code = ag_fail(err, AG_E_NOMEM, "out of memory for the answer");
    return code;
}

ag_code ag_engine_chat(ag_engine *e, const ag_message *messages, size_t n_messages,
                       const ag_request_opts *opts, char **answer, ag_result *result, ag_err *err) {
    ag_request_opts usual = ag_request_default();
    ag_engine_get_sampling(e, &usual.sampling);
    dialogue d = {.user = opts ? opts : &usual};
    ag_buf_init(&d.answer, AG_ROOM_API, AG_MAX_TEXT_BYTES);
    *answer = NULL;
    ag_ids ids = {0};
    ag_code code = encode_messages(e, messages, n_messages, &ids, err);
    if (!code)
        code = run_dialogue(e, &d, &ids, err);
    ag_ids_deinit(&ids);
    if (result)
        *result = d.result;
    if (code)
        ag_buf_deinit(&d.answer);
    else
        *answer = d.answer.p; /* the caller's now */
    return code;
}

/* A conversation read from JSON: {"messages", "tools", "add_generation_prompt", and whatever else
 * the template knows}. It holds what `in` borrows. */
typedef struct talk {
    json_t *options, *messages, *tools;
    ag_chat_input in;
} talk;

static void talk_deinit(talk *t) {
    json_decref(t->options);
    json_decref(t->messages);
    json_decref(t->tools);
}

static ag_code talk_init(talk *t, const char *json, size_t json_len, ag_err *err) {
    *t = (talk){0};
    json_error_t where;
    t->options = json_loadb(json, json_len, JSON_REJECT_DUPLICATES, &where);
    if (!t->options)
        return ag_fail(err, AG_E_ARG, "line %d, column %d: %s", where.line, where.column,
                       where.text);
    if (!json_is_object(t->options))
        return ag_fail(err, AG_E_ARG, "expected a JSON object with \"messages\"");
    json_t *generation = json_object_get(t->options, "add_generation_prompt");
    if (generation && !json_is_boolean(generation))
        return ag_fail(err, AG_E_ARG, "add_generation_prompt must be true or false");
    json_t *more = json_object_get(t->options, "continue_final_message");
    if (more && !json_is_boolean(more))
        return ag_fail(err, AG_E_ARG, "continue_final_message must be true or false");
    t->in.continue_final_message = json_is_true(more);
    t->in.add_generation_prompt =
        generation ? json_is_true(generation) : !t->in.continue_final_message;
    t->in.messages = t->messages = json_incref(json_object_get(t->options, "messages"));
    t->in.tools = t->tools = json_incref(json_object_get(t->options, "tools"));
    t->in.options = t->options;
    json_object_del(t->options, "messages");
    json_object_del(t->options, "tools");
    json_object_del(t->options, "add_generation_prompt");
    json_object_del(t->options, "continue_final_message");
    return AG_OK;
}

ag_code ag_engine_render(ag_engine *e, const char *json, size_t json_len, char **text,
                         ag_err *err) {
    *text = NULL;
    talk t = {0};
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_API, AG_MAX_RENDERED_BYTES);
    ag_code code = need_chat(e, err);
    if (!code)
        code = talk_init(&t, json, json_len, err);
    if (!code)
        code = ag_chat_render(e->chat, &t.in, &out, err);
    talk_deinit(&t);
    if (!code && !ag_buf_cstr(&out))
        code = ag_fail(err, AG_E_NOMEM, "out of memory for the rendered prompt");
    if (code)
        ag_buf_deinit(&out);
    else
        *text = out.p; /* the caller's now */
    return code;
}

ag_code ag_engine_render_ids(ag_engine *e, const char *json, size_t json_len, int32_t **ids,
                             size_t *n, ag_err *err) {
    *ids = NULL;
    *n = 0;
    talk t = {0};
    ag_ids list = {0};
    ag_code code = need_chat(e, err);
    if (!code)
        code = talk_init(&t, json, json_len, err);
    if (!code)
        code = ag_chat_encode(e->chat, e->tokenizer, &t.in, &list, err);
    talk_deinit(&t);
    if (code) {
        ag_ids_deinit(&list);
        return code;
    }
    *ids = list.v;
    *n = list.n;
    return AG_OK;
}
