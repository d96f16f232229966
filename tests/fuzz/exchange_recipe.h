/* Requests by recipe: bytes pick a route, fields and their values, mostly of the right kind, so
 * that mutations change what is asked for. Every answer is kept to a few tokens. */
#ifndef AG_TESTS_FUZZ_EXCHANGE_RECIPE_H
#define AG_TESTS_FUZZ_EXCHANGE_RECIPE_H

#include <stdio.h>

#include "fuzz/exchange_http.h"
#include "fuzz/schema_recipe.h"

#define N_OF(list) (unsigned)(sizeof(list) / sizeof *(list))

static void add_one(recipe *r, const char *const *list, unsigned n) {
    ag_buf_adds(&r->out, list[take(r, n)]);
}
#define ADD_ONE(r, ...)                                                                            \
    add_one((r), (const char *const[]){__VA_ARGS__}, N_OF(((const char *const[]){__VA_ARGS__})))

/* A list of up to `most` of what `add` writes. */
static void add_some(recipe *r, unsigned most, void (*add)(recipe *)) {
    ag_buf_addc(&r->out, '[');
    for (unsigned i = 0, n = take(r, most + 1); i < n; i++) {
        ag_buf_adds(&r->out, i ? "," : "");
        add(r);
    }
    ag_buf_addc(&r->out, ']');
}

/* ---- plain values -----------------------------------------------------------------------------
 */

static void add_bool(recipe *r) { ADD_ONE(r, "true", "false", "true", "null"); }
static void add_amount(recipe *r) {
    ADD_ONE(r, "1", "2", "3", "1.0", "0", "-1", "4294967296", "1e400");
}
static void add_tokens(recipe *r) { ADD_ONE(r, "3", "1", "2", "4", "8", "16", "32", "0"); }
static void add_factor(recipe *r) {
    ADD_ONE(r, "1", "0", "0.5", "2", "1.5", "0.01", "-1", "-0.5", "100", "1e-6", "1e30", "7");
}
static void add_id(recipe *r) {
    if (take(r, 8) == 7)
        ADD_ONE(r, "384", "-1", "2147483648", "1.5", "\"5\"", "null");
    else if (take(r, 4) == 3)
        ADD_ONE(r, "371", "369", "370", "372", "373", "374", "375", "383");
    else
        ag_buf_addf(&r->out, "%u", take(r, 256));
}
static void add_ids(recipe *r) { add_some(r, 6, add_id); }

static void add_text(recipe *r) {
    if (take(r, 24) == 23) {
        ag_buf_addc(&r->out, '"');
        for (unsigned i = 0, n = take(r, 256) * 4; i < n; i++)
            ag_buf_addc(&r->out, (char)('a' + i % 5));
        ag_buf_addc(&r->out, '"');
        return;
    }
    ADD_ONE(r, "\"Hi\"", "\"the\"", "\"\"", "\"a b\"", "\"é\\n日本\"", "\"{\"", "\"<|im_end|>\"",
            "\"<tool_call>\\n{\\\"name\\\": \\\"f\\\"\"", "\"<think>\"", "\"\\ud83d\\ude00\"",
            "\"\\ufffd\"", "\"\\u0000\"", "\"\\ud800\"", "\"</think>\\n\"", "\"}\"", "\"t\"",
            "\" \"", "\"[gMASK]\"");
}
static void add_texts(recipe *r) {
    if (take(r, 3) == 2)
        add_text(r);
    else
        add_some(r, 3, add_text);
}

static void add_wrong(recipe *r) {
    ADD_ONE(r, "null", "true", "[]", "{}", "\"\"", "-1", "1e999", "0.5", "[[[]]]", "\"x\"",
            "{\"a\":{}}", "[null]", "[1,\"a\"]", "9007199254740993", "[{}]",
            "99999999999999999999");
}

/* ---- conversations ----------------------------------------------------------------------------
 */

static void add_part(recipe *r) {
    if (take(r, 6) == 5) {
        add_wrong(r);
        return;
    }
    ag_buf_adds(&r->out, "{\"type\":");
    ADD_ONE(r, "\"text\"", "\"text\"", "\"image_url\"", "null");
    ag_buf_adds(&r->out, ",\"text\":");
    add_text(r);
    ag_buf_addc(&r->out, '}');
}

static void add_call(recipe *r) {
    ag_buf_adds(&r->out, "{\"id\":\"c\",\"type\":\"function\",\"function\":{\"name\":");
    add_text(r);
    ag_buf_adds(&r->out, ",\"arguments\":");
    ADD_ONE(r, "\"{}\"", "\"{\\\"x\\\":1}\"", "\"{\"", "{}", "null", "[1]");
    ag_buf_adds(&r->out, "}}");
}

static void add_message(recipe *r) {
    if (take(r, 16) == 15) {
        add_wrong(r);
        return;
    }
    ag_buf_adds(&r->out, "{\"role\":");
    ADD_ONE(r, "\"user\"", "\"assistant\"", "\"system\"", "\"tool\"", "\"developer\"", "\"user\"",
            "\"function\"", "\"nobody\"", "7");
    ag_buf_adds(&r->out, ",\"content\":");
    unsigned kind = take(r, 8);
    if (kind < 5)
        add_text(r);
    else if (kind < 7)
        add_some(r, 3, add_part);
    else
        add_wrong(r);
    if (take(r, 6) == 5) {
        ag_buf_adds(&r->out, ",\"tool_calls\":");
        add_some(r, 2, add_call);
    }
    if (take(r, 12) == 11)
        ag_buf_adds(&r->out, ",\"tool_call_id\":\"c\",\"reasoning_content\":\"so\",\"name\":[]");
    ag_buf_addc(&r->out, '}');
}

static void add_messages(recipe *r) {
    ag_buf_addc(&r->out, '[');
    add_message(r);
    for (unsigned n = take(r, 4); n > 0; n--) {
        ag_buf_addc(&r->out, ',');
        add_message(r);
    }
    ag_buf_addc(&r->out, ']');
}

/* A prompt or an input: a text, ids, or a list of either. */
static void add_prompt_item(recipe *r) {
    if (take(r, 3) == 2)
        add_ids(r);
    else
        add_text(r);
}
static void add_prompt(recipe *r) {
    unsigned kind = take(r, 6);
    if (kind < 3)
        add_text(r);
    else if (kind < 4)
        add_ids(r);
    else
        add_some(r, 3, add_prompt_item);
}

/* ---- the form of an answer --------------------------------------------------------------------
 */

static void add_form(recipe *r) {
    if (take(r, 3) == 2)
        add_schema(r, 3);
    else
        ADD_ONE(r, "{\"enum\":[\"a\",\"bb\",3,null]}",
                "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9}", "{\"type\":\"boolean\"}",
                "{\"const\":{\"a\":[1,\"}\"]}}",
                "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"boolean\"},\"b\":{\"type\":"
                "\"null\"}},\"required\":[\"a\"],\"additionalProperties\":false}",
                "{\"type\":\"array\",\"items\":{\"type\":\"boolean\"},\"maxItems\":2}",
                "{\"type\":\"string\",\"maxLength\":2}",
                "{\"anyOf\":[{\"type\":\"null\"},{"
                "\"const\":\"<think>\"},{\"const\":\"<tool_call>\"}]}",
                "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"array\",\"items\":{\"$ref\":"
                "\"#/$defs/n\"},\"maxItems\":1}}}",
                "{}", "false", "{\"type\":\"string\",\"format\":\"date\"}");
}

static void add_regex(recipe *r) {
    ADD_ONE(r, "\"[ab]{1,3}\"", "\"(yes|no)\"", "\"\\\\d\\\\.\\\\d\"", "\".\"", "\"a*\"", "\"\"",
            "\"(\"", "\"[^a]\"", "\"(?=a)b\"", "\"é|日\"", "\"(a|aa)+$\"");
}
static void add_grammar(recipe *r) {
    ADD_ONE(r, "\"root ::= \\\"a\\\" | \\\"b\\\"\"", "\"root ::= [0-9] root | \\\"!\\\"\"",
            "\"root ::= root \\\"a\\\" | \\\"b\\\"\"", "\"root ::= x\"", "\"\"", "\"root ::= \"",
            "\"root ::= \\\"(\\\" root \\\")\\\" | \\\"\\\"\"");
}
static void add_choices(recipe *r) {
    ADD_ONE(r, "[\"yes\",\"no\"]", "[\"a\",\"ab\",\"abc\"]", "[\"é\"]", "[]", "[\"\"]", "[1]");
}

static void add_response_format(recipe *r) {
    ag_buf_adds(&r->out, "{\"type\":");
    ADD_ONE(r, "\"json_schema\"", "\"json_object\"", "\"text\"", "\"xml\"", "1");
    ag_buf_adds(&r->out, ",\"json_schema\":{\"name\":\"s\",\"strict\":true,\"schema\":");
    add_form(r);
    ag_buf_addc(&r->out, '}');
    if (take(r, 8) == 7) {
        ag_buf_adds(&r->out, ",\"schema\":");
        add_form(r);
    }
    ag_buf_addc(&r->out, '}');
}

static void add_structured(recipe *r) {
    static void (*const kinds[])(recipe *) = {add_form, add_choices, add_regex, add_grammar,
                                              add_bool};
    static const char *const names[] = {"json", "choice", "regex", "grammar", "json_object"};
    ag_buf_addc(&r->out, '{');
    for (unsigned i = 0, n = 1 + take(r, 8) / 7, at = take(r, 5); i < n; i++, at++) {
        ag_buf_addf(&r->out, "%s\"%s\":", i ? "," : "", names[at % 5]);
        kinds[at % 5](r);
    }
    ag_buf_addc(&r->out, '}');
}

static void add_tool(recipe *r) {
    if (take(r, 16) == 15) {
        add_wrong(r);
        return;
    }
    ag_buf_adds(&r->out, "{\"type\":\"function\",\"function\":{\"name\":");
    ADD_ONE(r, "\"f\"", "\"g\"", "\"get_weather\"", "\"\"", "\"a\\\"b\"", "null");
    ag_buf_adds(&r->out, ",\"description\":");
    add_text(r);
    ag_buf_addf(&r->out, ",\"strict\":%s,\"parameters\":", take(r, 4) == 3 ? "true" : "false");
    if (take(r, 3) == 2)
        add_form(r);
    else
        ADD_ONE(r, "{\"type\":\"object\",\"properties\":{}}",
                "{\"type\":\"object\",\"properties\":{\"x\":{\"type\":\"boolean\"}},\"required\":["
                "\"x\"],\"additionalProperties\":false}",
                "{}", "null");
    ag_buf_adds(&r->out, "}}");
}
static void add_tools(recipe *r) { add_some(r, 3, add_tool); }
static void add_tool_choice(recipe *r) {
    ADD_ONE(r, "\"auto\"", "\"required\"", "\"none\"",
            "{\"type\":\"function\",\"function\":{\"name\":\"f\"}}",
            "{\"type\":\"function\",\"function\":{\"name\":\"zzz\"}}", "\"f\"", "{}");
}

/* ---- other fields -----------------------------------------------------------------------------
 */

static void add_bias(recipe *r) {
    ag_buf_addf(&r->out, "{\"%u\":", take(r, 2) ? take(r, 256) : 371);
    ADD_ONE(r, "100", "-100", "5", "-5.5", "101", "\"1\"", "1e308");
    if (take(r, 4) == 3)
        ADD_ONE(r, ",\"372\":9", ",\"384\":1", ",\"-1\":1", ",\"x\":1", ",\"\":1", ",\"374\":50");
    ag_buf_addc(&r->out, '}');
}
static void add_logprobs(recipe *r) { ADD_ONE(r, "true", "2", "0", "20", "21", "false"); }
static void add_stream_options(recipe *r) {
    ADD_ONE(r, "{\"include_usage\":true}", "{\"continuous_usage_stats\":true}", "{}",
            "{\"include_usage\":1}", "{\"include_usage\":true,\"x\":0}");
}
static void add_truncation(recipe *r) {
    ADD_ONE(r, "\"left\"", "\"right\"", "\"middle\"", "\"none\"");
}
static void add_reasoning(recipe *r) {
    ADD_ONE(r, "\"split\"", "\"hidden\"", "\"inline\"", "\"none\"", "\"auto\"", "\"high\"");
}
static void add_variables(recipe *r) {
    ADD_ONE(r, "{\"enable_thinking\":false}", "{\"enable_thinking\":true}", "{\"messages\":[]}",
            "{\"tools\":7,\"x\":{\"y\":[1e300]}}", "{\"add_generation_prompt\":false}",
            "{\"raise_exception\":1,\"namespace\":null}", "{\"\":\"\"}");
}
static void add_documents(recipe *r) { add_some(r, 2, add_wrong); }
static void add_model(recipe *r) {
    ADD_ONE(r, "\"chat\"", "\"gpt\"", "\"embed\"", "\"none\"", "\"\"", "\"a/b\"");
}
static void add_coding(recipe *r) { ADD_ONE(r, "\"float\"", "\"base64\"", "\"x\""); }

typedef struct recipe_field {
    const char *name;
    void (*add)(recipe *);
} recipe_field;

/* Of all routes: what one does not know must be named as ignored. Some stand twice to come more
 * often. */
static const recipe_field recipe_fields[] = {
    {"stream_options", add_stream_options},
    {"n", add_amount},
    {"best_of", add_amount},
    {"max_completion_tokens", add_tokens},
    {"min_tokens", add_tokens},
    {"stop", add_texts},
    {"stop_token_ids", add_ids},
    {"ignore_eos", add_bool},
    {"temperature", add_factor},
    {"top_p", add_factor},
    {"top_k", add_amount},
    {"min_p", add_factor},
    {"typical_p", add_factor},
    {"frequency_penalty", add_factor},
    {"presence_penalty", add_factor},
    {"repetition_penalty", add_factor},
    {"repeat_last_n", add_amount},
    {"mirostat", add_amount},
    {"mirostat_tau", add_factor},
    {"mirostat_eta", add_factor},
    {"dry_multiplier", add_factor},
    {"dry_base", add_factor},
    {"dry_allowed_length", add_amount},
    {"dry_penalty_last_n", add_amount},
    {"dry_sequence_breakers", add_texts},
    {"xtc_probability", add_factor},
    {"xtc_threshold", add_factor},
    {"logit_bias", add_bias},
    {"allowed_token_ids", add_ids},
    {"bad_words", add_texts},
    {"logprobs", add_logprobs},
    {"top_logprobs", add_amount},
    {"prompt_logprobs", add_amount},
    {"echo", add_bool},
    {"truncate_prompt", add_truncation},
    {"add_special_tokens", add_bool},
    {"response_format", add_response_format},
    {"structured_outputs", add_structured},
    {"guided_json", add_form},
    {"guided_choice", add_choices},
    {"guided_regex", add_regex},
    {"guided_grammar", add_grammar},
    {"tools", add_tools},
    {"tool_choice", add_tool_choice},
    {"parallel_tool_calls", add_bool},
    {"reasoning_format", add_reasoning},
    {"separate_reasoning", add_bool},
    {"reasoning_effort", add_reasoning},
    {"chat_template_kwargs", add_variables},
    {"documents", add_documents},
    {"add_generation_prompt", add_bool},
    {"continue_final_message", add_bool},
    {"priority", add_factor},
    {"max_queue_ms", add_tokens},
    {"cache_salt", add_text},
    {"suffix", add_text},
    {"n", add_amount},
    {"response_format", add_response_format},
    {"tools", add_tools},
    {"logprobs", add_logprobs},
    {"user", add_text},
    {"model", add_model},
    {"encoding_format", add_coding},
    {"dimensions", add_amount},
    {"truncate", add_bool},
    {"return_token_strs", add_bool},
    {"x_new", add_wrong},
};

/* One member, its value sometimes of another kind. */
static void add_field(recipe *r, const recipe_field *f) {
    ag_buf_addf(&r->out, "%s\"%s\":", r->out.n > 1 ? "," : "", f->name);
    if (take(r, 16) == 15)
        add_wrong(r);
    else
        f->add(r);
}

/* ---- requests ---------------------------------------------------------------------------------
 */

typedef struct recipe_route {
    const char *method, *path;
    recipe_field base[3]; /* what it cannot do without */
    bool has_body;
} recipe_route;

static void add_embed(recipe *r) { ADD_ONE(r, "\"embed\"", "\"chat\"", "\"none\""); }

#define CHAT                                                                                       \
    {                                                                                              \
        "POST", "/v1/chat/completions",                                                            \
            {{"messages", add_messages}, {"max_tokens", add_tokens}, {"stream", add_bool}}, true   \
    }
#define COMPLETION                                                                                 \
    {                                                                                              \
        "POST", "/v1/completions",                                                                 \
            {{"prompt", add_prompt}, {"max_tokens", add_tokens}, {"stream", add_bool}}, true       \
    }

static const recipe_route recipe_routes[] = {
    CHAT,
    COMPLETION,
    CHAT,
    COMPLETION,
    CHAT,
    CHAT,
    {"POST", "/v1/embeddings", {{"model", add_embed}, {"input", add_prompt}}, true},
    {"POST", "/tokenize", {{"prompt", add_text}}, true},
    {"POST", "/tokenize", {{"messages", add_messages}}, true},
    {"POST", "/detokenize", {{"tokens", add_ids}}, true},
    {"POST", "/apply-template", {{"messages", add_messages}}, true},
    {"DELETE", "/v1/requests/chatcmpl-r0", {{0}}, false},
    {"DELETE", "/v1/requests/cmpl-r1", {{0}}, false},
    {"DELETE", "/v1/requests/r0", {{0}}, false},
    {"GET", "/v1/models", {{0}}, false},
    {"GET", "/v1/models/gpt", {{0}}, false},
    {"GET", "/v1/models/no/ready", {{0}}, false},
    {"GET", "/tokenizer_info", {{0}}, false},
    {"GET", "/metrics", {{0}}, false},
    {"GET", "/readyz", {{0}}, false},
    {"PUT", "/v1/models", {{0}}, false},
};

static void add_body(recipe *r, const recipe_route *route) {
    ag_buf_addc(&r->out, '{');
    for (unsigned i = 0; i < 3 && route->base[i].name; i++)
        if (take(r, 24) != 23)
            add_field(r, &route->base[i]);
    if (take(r, 16) != 15) /* so that a run can be repeated */
        ag_buf_addf(&r->out, "%s\"seed\":%u", r->out.n > 1 ? "," : "", take(r, 256));
    for (unsigned i = 0, n = take(r, 7), at = take(r, N_OF(recipe_fields)); i < n; i++) {
        add_field(r, &recipe_fields[at % N_OF(recipe_fields)]);
        at += 1 + take(r, 16);
    }
    if (take(r, 32) == 31) { /* so long that another thread reads it */
        ag_buf_addf(&r->out, "%s\"metadata\":\"", r->out.n > 1 ? "," : "");
        for (int i = 0; i < 17000; i++)
            ag_buf_addc(&r->out, 'x');
        ag_buf_addc(&r->out, '"');
    }
    ag_buf_addc(&r->out, '}');
    unsigned damage = take(r, 48);
    if (damage == 47) /* cut */
        r->out.n = take(r, 256) % r->out.n;
    else if (damage == 46) /* another byte somewhere */
        r->out.p[take(r, 256) % r->out.n] = (char)take(r, 256);
}

/* The next request of the recipe, the k-th of its run. */
static ag_http_req *recipe_request(recipe *r, unsigned k) {
    static const char *const ids[] = {"r0", "r1", "r2"};
    const recipe_route *route = &recipe_routes[take(r, N_OF(recipe_routes))];
    ag_http_req *req = pipe_request();
    req->method = route->method;
    snprintf(req->path, sizeof req->path, "%s", route->path);
    unsigned client = take(r, 16), header = take(r, 16);
    req->leaves = client >= 12 ? client - 11 : 0;
    req->slow = client >= 9 && client < 14;
    pipe_header(req, "X-Request-Id", header == 15 ? "not sane" : ids[k]);
    if (header == 14)
        pipe_header(req, "X-Request-Timeout-Ms",
                    ((const char *const[]){"1", "3", "20", "0", "x", "99999"})[take(r, 6)]);
    if (header == 13)
        pipe_header(req, "traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    if (!route->has_body)
        return req;
    r->out = req->body;
    add_body(r, route);
    req->body = r->out;
    return req;
}

#endif
