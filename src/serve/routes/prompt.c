#include "routes/prompt.h"

#include <stdio.h>

#include "base/json_out.h"
#include "base/mem.h"

/* ---- messages -------------------------------------------------------------------------------- */

/* What the model had refused to say comes back in the history as a part of its own: its text. */
static bool is_refusal(json_t *part, const char *type) {
    json_t *text = json_object_get(part, "refusal");
    return strcmp(type, "refusal") == 0 && json_is_string(text) &&
           json_object_set(part, "text", text) == 0 &&
           json_object_set_new(part, "type", json_string("text")) == 0;
}

/* Only text can be read. Templates that know images would render a placeholder for nothing. */
static bool check_parts(const json_t *content, size_t i, ag_problem *p) {
    char param[AG_PARAM_TEXT];
    for (size_t k = 0; k < json_array_size(content); k++) {
        json_t *part = json_array_get(content, k);
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!type || strcmp(type, "text") == 0 || is_refusal(part, type))
            continue; /* a missing type is told by the chat room */
        snprintf(param, sizeof param, "messages[%zu].content[%zu]", i, k);
        return ag_problem_bad(p, param, "%s: this model takes text only, not '%.40s'", param, type);
    }
    return true;
}

/* Names that are newer or older than most templates: the role that they know instead. */
static bool check_role(json_t *message, size_t i, ag_problem *p) {
    static const char *const known[] = {"system", "user", "assistant", "tool"};
    char param[AG_PARAM_TEXT];
    snprintf(param, sizeof param, "messages[%zu].role", i);
    const char *role = json_string_value(json_object_get(message, "role"));
    if (!role)
        return ag_problem_bad(p, param, "%s must be a string, it is %s", param,
                              ag_field_kind_name(json_object_get(message, "role")));
    const char *same = strcmp(role, "developer") == 0  ? "system"
                       : strcmp(role, "function") == 0 ? "tool"
                                                       : NULL;
    if (same)
        return json_object_set_new(message, "role", json_string(same)) == 0 ||
               ag_problem_memory(p, "the request");
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (strcmp(role, known[k]) == 0)
            return true;
    return ag_problem_bad(p, param,
                          "%s must be system, developer, user, assistant or tool; it is \"%.40s\"",
                          param, role);
}

/* Who asks must say something; a misspelt name of the field would ask for nothing. */
static bool check_content(const json_t *message, size_t i, ag_problem *p) {
    char param[AG_PARAM_TEXT];
    const char *role = json_string_value(json_object_get(message, "role"));
    const json_t *content = json_object_get(message, "content");
    bool asks = strcmp(role, "user") == 0 || strcmp(role, "system") == 0;
    if (asks && (!content || json_is_null(content))) {
        snprintf(param, sizeof param, "messages[%zu].content", i);
        return ag_problem_bad(p, param, "%s must be a string or a list of parts, it is %s", param,
                              ag_field_kind_name(content));
    }
    return check_parts(content, i, p);
}

static bool check_messages(const ag_gen *g, ag_problem *p) {
    size_t n = json_array_size(g->messages);
    if (n == 0)
        return ag_problem_bad(p, "messages", "messages is empty; at least one is needed");
    for (size_t i = 0; i < n; i++) {
        json_t *message = json_array_get(g->messages, i);
        char param[AG_PARAM_TEXT];
        snprintf(param, sizeof param, "messages[%zu]", i);
        if (!json_is_object(message))
            return ag_problem_bad(p, param, "%s must be an object, it is %s", param,
                                  ag_field_kind_name(message));
        if (!check_role(message, i, p) || !check_content(message, i, p))
            return false;
    }
    const json_t *last = json_array_get(g->messages, n - 1);
    const char *role = json_string_value(json_object_get(last, "role"));
    if (g->continue_final_message && strcmp(role, "assistant") != 0)
        return ag_problem_bad(p, "continue_final_message",
                              "continue_final_message needs the last message to be the "
                              "assistant's; it is the %s's",
                              role);
    return true;
}

static int dump(const char *bytes, size_t n, void *out) {
    return ag_buf_add(out, bytes, n) ? 0 : -1;
}

static void add_json(ag_buf *out, const char *key, const json_t *value) {
    ag_json_key(out, key);
    if (json_dump_callback(value, dump, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        out->failed = true;
}

/* Every variable of the template but what the caller names itself. */
static void add_variables(const ag_gen *g, ag_buf *out) {
    static const char *const ours[] = {"messages", "tools", "add_generation_prompt",
                                       "continue_final_message"};
    const char *key;
    json_t *value;
    json_object_foreach(g->chat_template_kwargs, key, value) {
        bool taken = false;
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            taken |= strcmp(key, ours[i]) == 0;
        if (taken)
            continue;
        ag_json_key_text(out, ag_str(key));
        if (json_dump_callback(value, dump, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
            out->failed = true;
    }
    const json_t *given = g->chat_template_kwargs;
    if (g->reasoning_effort && !json_object_get(given, "reasoning_effort")) {
        ag_json_key(out, "reasoning_effort");
        ag_json_str(out, g->reasoning_effort);
    }
    if (g->reasoning_effort && strcmp(g->reasoning_effort, "none") == 0 &&
        !json_object_get(given, "enable_thinking")) {
        ag_json_key(out, "enable_thinking");
        ag_json_bool(out, false);
    }
    if (g->documents && !json_object_get(given, "documents"))
        add_json(out, "documents", g->documents);
}

bool ag_prompt_chat_json(const ag_gen *g, ag_buf *out, ag_problem *p) {
    bool tools = g->tools && !(g->tools_wish == AG_TOOLS_NONE && g->tool_choice);
    ag_json_open(out, '{');
    add_json(out, "messages", g->messages);
    if (tools)
        add_json(out, "tools", g->tools);
    add_variables(g, out);
    ag_json_key(out, "add_generation_prompt");
    ag_json_bool(out, g->add_generation_prompt && !g->continue_final_message);
    if (g->continue_final_message) {
        ag_json_key(out, "continue_final_message");
        ag_json_bool(out, true);
    }
    ag_json_close(out, '}');
    ag_err err = {0};
    return ag_buf_check(out, "the conversation", &err) == AG_OK ||
           ag_problem_of(p, &err, "messages");
}

static bool make_chat(const ag_gen *g, ag_engine *engine, ag_prompt *one, ag_problem *p) {
    ag_buf json;
    ag_err err = {0};
    ag_buf_init(&json, AG_ROOM_ROUTES, AG_MAX_CHAT_BYTES);
    bool fine = ag_prompt_chat_json(g, &json, p);
    if (fine && ag_engine_render_ids(engine, json.p, json.n, &one->ids, &one->n, &err))
        fine = ag_problem_of(p, &err, NULL);
    if (fine && one->n == 0)
        fine =
            ag_problem_bad(p, "messages", "messages: the model's template makes nothing of them");
    ag_buf_deinit(&json);
    return fine;
}

/* ---- prompts --------------------------------------------------------------------------------- */

static bool make_text(const ag_gen *g, ag_engine *engine, const json_t *text, ag_prompt *one,
                      ag_problem *p) {
    ag_err err = {0};
    one->text = ag_span_of(json_string_value(text), json_string_length(text));
    bool bos = !g->has_add_special_tokens || g->add_special_tokens;
    if (g->suffix) {
        ag_code code = ag_engine_infill_ids(engine, one->text.p, one->text.n, g->suffix,
                                            strlen(g->suffix), bos, &one->ids, &one->n, &err);
        if (code == AG_E_UNSUPPORTED)
            return ag_problem_bad(p, "suffix", "suffix is not supported: %s", err.msg);
        return !code || ag_problem_of(p, &err, "suffix");
    }
    return !ag_engine_tokenize(engine, one->text.p, one->text.n, bos, true, &one->ids, &one->n,
                               &err) ||
           ag_problem_of(p, &err, "prompt");
}

/* ag_ids_free() is ag_free(): the command links the engine in. */
static bool make_ids(const ag_gen *g, const json_t *list, const char *param, ag_arena *arena,
                     ag_prompt *one, ag_problem *p) {
    ag_id_list ids;
    if (!ag_field_ids(list, param, 1 << 24, arena, &ids, p))
        return false;
    if (ids.n == 0)
        return ag_problem_bad(p, param, "%s is empty", param);
    if (g->suffix)
        return ag_problem_bad(p, param, "%s must be text where there is a suffix", param);
    one->ids = ag_calloc(AG_ROOM_ROUTES, ids.n, sizeof *one->ids);
    if (!one->ids)
        return ag_problem_memory(p, "the prompt");
    memcpy(one->ids, ids.v, ids.n * sizeof *ids.v);
    one->n = ids.n;
    return true;
}

/* The text of token ids, for echo: special tokens are shown, as their log-probabilities are. */
static bool make_echo(ag_engine *engine, ag_arena *arena, ag_prompt *one, ag_problem *p) {
    ag_err err = {0};
    char *text = NULL;
    size_t len = 0;
    if (ag_engine_detokenize(engine, one->ids, one->n, true, &text, &len, &err))
        return ag_problem_of(p, &err, "prompt");
    char *kept = ag_arena_strndup(arena, text, len);
    ag_string_free(text);
    one->text = ag_span_of(kept, kept ? len : 0);
    return kept || ag_problem_memory(p, "the prompt");
}

static bool has_many(const json_t *prompt) {
    return json_is_array(prompt) && !json_is_number(json_array_get(prompt, 0));
}

static size_t n_prompts(const ag_gen *g) {
    return has_many(g->prompt) ? json_array_size(g->prompt) : 1;
}

static bool check_prompt(const ag_gen *g, ag_problem *p) {
    const json_t *prompt = g->prompt;
    size_t n = n_prompts(g);
    if (!json_is_string(prompt) && !json_is_array(prompt))
        return ag_problem_bad(p, "prompt",
                              "prompt must be a string, a list of strings, or token ids; it is %s",
                              ag_field_kind_name(prompt));
    if (n == 0 || n * g->n > AG_MAX_ALL_CHOICES)
        return ag_problem_bad(p, "prompt",
                              "prompt has %zu entries; with n %u, 1 to %u are accepted", n, g->n,
                              AG_MAX_ALL_CHOICES / g->n);
    return true;
}

static bool make_prompts(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_prompts *out,
                         ag_problem *p) {
    const json_t *prompt = g->prompt;
    bool many = has_many(prompt);
    size_t n = n_prompts(g);
    out->v = ag_arena_array(arena, n, sizeof *out->v);
    if (!out->v)
        return ag_problem_memory(p, "the prompts");
    for (size_t i = 0; i < n; i++) {
        const json_t *one = many ? json_array_get(prompt, i) : prompt;
        char param[AG_PARAM_TEXT] = "prompt";
        if (many)
            snprintf(param, sizeof param, "prompt[%zu]", i);
        out->n = i + 1;
        if (!(json_is_string(one) ? make_text(g, engine, one, &out->v[i], p)
                                  : make_ids(g, one, param, arena, &out->v[i], p)))
            return false;
        if (g->echo && !json_is_string(one) && !make_echo(engine, arena, &out->v[i], p))
            return false;
        if (out->v[i].n == 0)
            return ag_problem_bad(p, param, "%s is empty, and the model has no token to begin with",
                                  param);
    }
    return true;
}

bool ag_prompts_check(const ag_gen *g, ag_problem *p) {
    return g->chat ? check_messages(g, p) : check_prompt(g, p);
}

/* ---- how long they may be --------------------------------------------------------------------
 */

static bool is_cut(const ag_gen *g) { return g->truncate && strcmp(g->truncate, "none") != 0; }

/* Tokens that one prompt keeps at most. Longer ones are refused; or they are cut, and leave room
 * for the answer: what was asked for, but at most half the context; else a quarter. */
static size_t most_tokens(const ag_gen *g, size_t context) {
    if (!is_cut(g))
        return context;
    uint32_t asked = g->has_max_completion_tokens ? g->max_completion_tokens : g->max_tokens;
    size_t room = asked ? asked : context / 4;
    size_t most = context - (room < context / 2 ? room : context / 2);
    return most < context ? most : context - 1;
}

/* ---- how long they are, about ----------------------------------------------------------------
 */

/* Twice what usual texts have, so that hardly a request is refused that would have fitted. Runs of
 * blanks or of one letter make longer tokens still. */
#define BYTES_A_TOKEN 8

static size_t text_bytes(const json_t *content) {
    size_t n = json_string_length(content);
    for (size_t i = 0; i < json_array_size(content); i++)
        n += json_string_length(json_object_get(json_array_get(content, i), "text"));
    return n;
}

static size_t at_most(size_t n, size_t most) { return n < most ? n : most; }

static size_t about_one(const json_t *prompt, size_t most) {
    return at_most(json_is_string(prompt) ? json_string_length(prompt) / BYTES_A_TOKEN
                                          : json_array_size(prompt),
                   most);
}

size_t ag_prompts_about(const ag_gen *g, const ag_engine *engine) {
    ag_engine_info info;
    size_t bytes = 0, tokens = 0;
    ag_engine_get_info(engine, &info);
    size_t most = most_tokens(g, info.context_length);
    for (size_t i = 0; i < json_array_size(g->messages); i++)
        bytes += text_bytes(json_object_get(json_array_get(g->messages, i), "content"));
    if (g->chat)
        tokens = at_most(bytes / BYTES_A_TOKEN, most);
    else if (!has_many(g->prompt))
        tokens = about_one(g->prompt, most);
    else
        for (size_t i = 0; i < json_array_size(g->prompt); i++)
            tokens += about_one(json_array_get(g->prompt, i), most);
    return g->n * tokens;
}

/* ---- fitting --------------------------------------------------------------------------------- */

static void cut(const ag_gen *g, size_t most, ag_prompts *out) {
    for (size_t i = 0; i < out->n; i++) {
        ag_prompt *one = &out->v[i];
        if (one->n <= most)
            continue;
        size_t over = one->n - most;
        size_t keep = g->truncate[0] == 'l' ? 0 : g->truncate[0] == 'r' ? most : most / 2;
        memmove(one->ids + keep, one->ids + keep + over, (most - keep) * sizeof *one->ids);
        one->n = most;
        out->n_cut += over;
    }
}

bool ag_prompts_make(const ag_gen *g, ag_engine *engine, ag_arena *arena, ag_prompts *out,
                     ag_problem *p) {
    ag_engine_info info;
    *out = (ag_prompts){0};
    ag_engine_get_info(engine, &info);
    if (g->chat) {
        out->v = ag_arena_array(arena, 1, sizeof *out->v);
        if (!out->v)
            return ag_problem_memory(p, "the request");
        out->n = 1;
        if (!make_chat(g, engine, out->v, p))
            return false;
    } else if (!make_prompts(g, engine, arena, out, p)) {
        return false;
    }
    if (is_cut(g))
        cut(g, most_tokens(g, info.context_length), out);
    return true;
}

void ag_prompts_deinit(ag_prompts *prompts) {
    for (size_t i = 0; i < prompts->n; i++)
        ag_ids_free(prompts->v[i].ids);
    *prompts = (ag_prompts){0};
}
