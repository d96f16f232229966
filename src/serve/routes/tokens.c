/* POST /tokenize, /detokenize, /apply-template; GET /tokenizer_info: for clients that count or
 * tokenise by themselves. Shapes as vLLM and llama.cpp have them. */
#include "base/json_out.h"
#include "routes/exchange.h"
#include "routes/prompt.h"

typedef struct tokens_request {
    ag_gen gen; /* the chat part: messages, tools, template variables */
    const char *prompt;
    bool strings, has_tokens;
    ag_id_list tokens;
} tokens_request;

#define AT(field) offsetof(tokens_request, field)

#define CHAT_ROWS                                                                                  \
    {.name = "model", .kind = AG_FIELD_TEXT, .at = AT(gen.model)},                                 \
        {.name = "messages", .kind = AG_FIELD_ARRAY, .at = AT(gen.messages)},                      \
        {.name = "tools", .kind = AG_FIELD_ARRAY, .at = AT(gen.tools)},                            \
        {.name = "documents", .kind = AG_FIELD_ARRAY, .at = AT(gen.documents)},                    \
        {.name = "reasoning_effort", .kind = AG_FIELD_TEXT, .at = AT(gen.reasoning_effort)},       \
        {.name = "chat_template_kwargs",                                                           \
         .kind = AG_FIELD_OBJECT,                                                                  \
         .at = AT(gen.chat_template_kwargs)},                                                      \
        {.name = "add_generation_prompt",                                                          \
         .kind = AG_FIELD_BOOL,                                                                    \
         .at = AT(gen.add_generation_prompt)},                                                     \
    {                                                                                              \
        .name = "continue_final_message", .kind = AG_FIELD_BOOL,                                   \
        .at = AT(gen.continue_final_message)                                                       \
    }

static const ag_field tokenize_fields[] = {
    CHAT_ROWS,
    {.name = "prompt", .kind = AG_FIELD_TEXT, .at = AT(prompt)},
    {.name = "content", .kind = AG_FIELD_TEXT, .at = AT(prompt)}, /* llama.cpp's name for it */
    {.name = "add_special_tokens", .kind = AG_FIELD_BOOL, .at = AT(gen.add_special_tokens)},
    {.name = "add_special", .kind = AG_FIELD_BOOL, .at = AT(gen.add_special_tokens)},
    {.name = "return_token_strs", .kind = AG_FIELD_BOOL, .at = AT(strings)},
    {0},
};
static const ag_field detokenize_fields[] = {
    {.name = "model", .kind = AG_FIELD_TEXT, .at = AT(gen.model)},
    {.name = "tokens",
     .kind = AG_FIELD_IDS,
     .at = AT(tokens),
     .max = 1 << 24,
     .has = AT(has_tokens)},
    {0},
};
static const ag_field template_fields[] = {CHAT_ROWS, {0}};

/* Read the body and lease the model; false: answered already. */
static bool start(ag_exchange *x, const ag_field *fields, tokens_request *r, ag_served **served) {
    *r = (tokens_request){
        .gen = {.chat = true, .add_generation_prompt = true, .add_special_tokens = true}};
    return ag_exchange_read(x, fields, r) && ag_exchange_model(x, r->gen.model, served);
}

static void add_ids(const ag_served *served, const int32_t *ids, size_t n, bool strings,
                    ag_buf *out) {
    ag_json_open(out, '{');
    ag_json_key(out, "count");
    ag_json_u64(out, n);
    ag_json_key(out, "max_model_len");
    ag_json_u64(out, ag_served_info(served)->context_length);
    ag_json_key(out, "tokens");
    ag_json_open(out, '[');
    for (size_t i = 0; i < n; i++)
        ag_json_i64(out, ids[i]);
    ag_json_close(out, ']');
    ag_json_key(out, "token_strs");
    if (strings) {
        ag_json_open(out, '[');
        for (size_t i = 0; i < n; i++) {
            ag_token_info token;
            ag_engine_get_token(ag_served_engine(served), ids[i], &token);
            ag_json_text(out, ag_span_of(token.bytes, token.len));
        }
        ag_json_close(out, ']');
    } else {
        ag_json_null(out);
    }
    ag_json_close(out, '}');
}

static bool tokenize(const tokens_request *r, ag_engine *engine, int32_t **ids, size_t *n,
                     ag_problem *p) {
    ag_err err = {0};
    ag_buf json;
    if (!r->prompt == !r->gen.messages)
        return ag_problem_bad(p, "prompt", "exactly one of prompt and messages is expected");
    if (r->prompt)
        return !ag_engine_tokenize(engine, r->prompt, strlen(r->prompt), r->gen.add_special_tokens,
                                   true, ids, n, &err) ||
               ag_problem_of(p, &err, "prompt");
    ag_buf_init(&json, AG_ROOM_ROUTES, AG_MAX_CHAT_BYTES);
    bool fine = ag_prompts_check(&r->gen, p) && ag_prompt_chat_json(&r->gen, &json, p);
    if (fine && ag_engine_render_ids(engine, json.p, json.n, ids, n, &err))
        fine = ag_problem_of(p, &err, NULL);
    ag_buf_deinit(&json);
    return fine;
}

static void read_tokenize(ag_exchange *x) {
    tokens_request r;
    ag_served *served;
    ag_problem p;
    int32_t *ids = NULL;
    size_t n = 0;
    if (!start(x, tokenize_fields, &r, &served))
        return;
    if (tokenize(&r, ag_served_engine(served), &ids, &n, &p)) {
        ag_buf out;
        ag_buf_init(&out, AG_ROOM_ROUTES, (size_t)1 << 30);
        add_ids(served, ids, n, r.strings, &out);
        ag_exchange_json(x, 200, &out);
    } else {
        ag_exchange_problem(x, &p);
    }
    ag_ids_free(ids);
    ag_runtime_release(&served);
}

/* {name: text} as the whole answer; the text is given back. */
static void answer_text(ag_exchange *x, const char *name, char *text, size_t len) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, (size_t)1 << 30);
    ag_json_open(&out, '{');
    ag_json_key(&out, name);
    ag_json_text(&out, ag_span_of(text, len));
    ag_json_close(&out, '}');
    ag_exchange_json(x, 200, &out);
    ag_string_free(text);
}

static bool check_known(const ag_id_list *tokens, ag_engine *engine, ag_problem *p) {
    ag_token_info token;
    for (size_t i = 0; i < tokens->n; i++)
        if (!ag_engine_get_token(engine, tokens->v[i], &token))
            return ag_problem_bad(p, "tokens", "tokens[%zu] is %d, which the model does not know",
                                  i, tokens->v[i]);
    return true;
}

static void read_detokenize(ag_exchange *x) {
    tokens_request r;
    ag_served *served;
    ag_problem p;
    ag_err err = {0};
    char *text = NULL;
    size_t len = 0;
    if (!start(x, detokenize_fields, &r, &served))
        return;
    bool fine = r.has_tokens || ag_problem_bad(&p, "tokens", "tokens is missing: a list of ids");
    fine = fine && check_known(&r.tokens, ag_served_engine(served), &p);
    if (fine && ag_engine_detokenize(ag_served_engine(served), r.tokens.v, r.tokens.n, true, &text,
                                     &len, &err))
        fine = ag_problem_of(&p, &err, "tokens");
    if (fine)
        answer_text(x, "prompt", text, len);
    else
        ag_exchange_problem(x, &p);
    ag_runtime_release(&served);
}

static void read_apply_template(ag_exchange *x) {
    tokens_request r;
    ag_served *served;
    ag_problem p;
    ag_err err = {0};
    ag_buf json;
    char *text = NULL;
    if (!start(x, template_fields, &r, &served))
        return;
    ag_buf_init(&json, AG_ROOM_ROUTES, AG_MAX_CHAT_BYTES);
    bool fine = r.gen.messages || ag_problem_bad(&p, "messages", "messages is missing");
    fine = fine && ag_prompts_check(&r.gen, &p) && ag_prompt_chat_json(&r.gen, &json, &p);
    if (fine && ag_engine_render(ag_served_engine(served), json.p, json.n, &text, &err))
        fine = ag_problem_of(&p, &err, NULL);
    ag_buf_deinit(&json);
    if (fine)
        answer_text(x, "prompt", text, strlen(text));
    else
        ag_exchange_problem(x, &p);
    ag_runtime_release(&served);
}

static void add_token(ag_buf *out, const char *name, ag_engine *engine, int32_t id) {
    ag_token_info token;
    ag_json_key(out, name);
    if (ag_engine_get_token(engine, id, &token))
        ag_json_text(out, ag_span_of(token.bytes, token.len));
    else
        ag_json_null(out);
}

/* Of the model in the query's `model`, else the first. */
void ag_route_tokenizer_info(ag_exchange *x) {
    ag_served *served;
    if (!ag_exchange_model(x, ag_http_query(x->http, "model"), &served))
        return;
    ag_engine *engine = ag_served_engine(served);
    ag_vocab_info info;
    ag_engine_get_vocab(engine, &info);
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_ROUTES, (size_t)16 << 20);
    ag_json_open(&out, '{');
    ag_json_key(&out, "model");
    ag_json_str(&out, ag_served_name(served));
    ag_json_key(&out, "vocab_size");
    ag_json_u64(&out, info.n_vocab);
    ag_json_key(&out, "model_max_length");
    ag_json_u64(&out, ag_served_info(served)->context_length);
    ag_json_key(&out, "add_bos_token");
    ag_json_bool(&out, info.adds_bos);
    add_token(&out, "bos_token", engine, info.bos);
    add_token(&out, "eos_token", engine, info.eos);
    add_token(&out, "pad_token", engine, info.eos);
    ag_json_key(&out, "chat_template");
    ag_json_str(&out, ag_engine_chat_template(engine));
    ag_json_close(&out, '}');
    ag_exchange_json(x, 200, &out);
    ag_runtime_release(&served);
}

void ag_route_tokenize(ag_exchange *x) { ag_exchange_defer(x, read_tokenize); }
void ag_route_detokenize(ag_exchange *x) { ag_exchange_defer(x, read_detokenize); }
void ag_route_apply_template(ag_exchange *x) { ag_exchange_defer(x, read_apply_template); }
