/* What every answer must be, seen from outside: the request's body and what came back. */
#ifndef AG_TESTS_FUZZ_EXCHANGE_CHECK_H
#define AG_TESTS_FUZZ_EXCHANGE_CHECK_H

#include <jansson.h>
#include <math.h>

#include "fuzz/exchange_http.h"

static const ag_http_req *looked_at; /* while it is checked */
static uint64_t n_forms;             /* answers that were held to the form asked for */

/* Who reads a finding wants to see what was asked and answered. */
static void broken_law(const char *law, int line) {
    fprintf(stderr, "%s %s\n%.*s\n-> %d %s\n%.*s\n", looked_at->method, looked_at->path,
            AG_SPAN(ag_buf_span(&looked_at->body)), looked_at->status, looked_at->type,
            AG_SPAN(ag_span_sub(ag_buf_span(&looked_at->answer), 0, 4000)));
    ag_assert_failed(law, __FILE__, line);
}
#define LAW(e) ((e) ? (void)0 : broken_law(#e, __LINE__))

/* What the body asked for, as far as the checks need it; NULL body: it was not JSON. */
typedef struct wishes {
    json_t *body;
    bool chat, stream, usage, stops, forced, json_form;
    const json_t *schema; /* NULL: none, or none that is read here */
    size_t n_choices;
    json_int_t max_tokens; /* 0: not said */
} wishes;

static bool is_on(const json_t *o, const char *key) {
    return json_is_true(json_object_get(o, key));
}
static bool has(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return v && !json_is_null(v);
}
static const char *text_of(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}
static json_int_t int_of(const json_t *o, const char *key) {
    const json_t *v = json_object_get(o, key);
    return json_is_real(v) ? (json_int_t)json_real_value(v) : json_integer_value(v);
}

/* -1 means no limit. */
static bool limits(const json_t *o, const char *key) { return has(o, key) && int_of(o, key) != -1; }

/* Must the answer be JSON when it ended by itself? */
static bool asks_for_json(const json_t *b) {
    const json_t *f = json_object_get(b, "response_format");
    const json_t *s = json_object_get(b, "structured_outputs");
    return strncmp(text_of(f, "type"), "json", 4) == 0 || has(s, "json") ||
           is_on(s, "json_object") || has(b, "guided_json");
}

static const json_t *schema_asked_for(const json_t *b) {
    const json_t *f = json_object_get(b, "response_format");
    const json_t *given = json_object_get(b, "guided_json");
    if (!given)
        given = json_object_get(json_object_get(b, "structured_outputs"), "json");
    if (strcmp(text_of(f, "type"), "json_schema") == 0)
        given = json_object_get(json_object_get(f, "json_schema"), "schema");
    else if (strcmp(text_of(f, "type"), "json_object") == 0 && has(f, "schema"))
        given = json_object_get(f, "schema");
    return json_is_object(given) ? given : NULL;
}

static wishes wishes_of(const ag_http_req *r) {
    wishes w = {.chat = strcmp(r->path, "/v1/chat/completions") == 0};
    json_t *b = w.body = json_loadb(r->body.p, r->body.n, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(b))
        return w;
    const json_t *prompt = json_object_get(b, "prompt");
    const json_t *choice = json_object_get(b, "tool_choice");
    bool many = !w.chat && json_is_array(prompt) && !json_is_number(json_array_get(prompt, 0));
    json_int_t n = has(b, "n") ? int_of(b, "n") : 1;
    w.n_choices = (size_t)n * (many ? json_array_size(prompt) : 1);
    w.stream = is_on(b, "stream");
    w.usage = is_on(json_object_get(b, "stream_options"), "include_usage");
    w.stops = has(b, "stop") || has(b, "stop_token_ids");
    w.forced = json_is_object(choice) || strcmp(text_of(b, "tool_choice"), "required") == 0;
    w.json_form = asks_for_json(b);
    w.schema = schema_asked_for(b);
    w.max_tokens = w.chat && limits(b, "max_completion_tokens") ? int_of(b, "max_completion_tokens")
                   : limits(b, "max_tokens")                    ? int_of(b, "max_tokens")
                                                                : 0;
    return w;
}

/* A model may say anything, NUL included, which jansson does not take in names: another character
 * stands for it. */
static json_t *parse(ag_span text) {
    ag_buf copy;
    ag_buf_init(&copy, AG_ROOM_TEST, (size_t)64 << 20);
    ag_buf_add(&copy, text.p, text.n);
    for (size_t at = 0; (at = ag_span_find(ag_buf_span(&copy), ag_str("\\u0000"), at)) < copy.n;)
        copy.p[at + 2] = 'e';
    json_t *v = json_loadb(copy.p, copy.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
    ag_buf_deinit(&copy);
    LAW(v);
    return v;
}

/* ---- errors -----------------------------------------------------------------------------------
 */

static void check_error(const json_t *answer) {
    const json_t *e = json_object_get(answer, "error"), *param = json_object_get(e, "param");
    LAW(json_object_size(answer) == 1 && json_object_size(e) == 4);
    LAW(text_of(e, "message")[0] && text_of(e, "type")[0] && text_of(e, "code")[0]);
    LAW(json_is_null(param) || json_is_string(param));
}

/* Of the 5xx only those that say "later" when much is waiting, and "too late" to who asked. */
static void check_status(const ag_http_req *r, const wishes *w, const json_t *answer) {
    const char *code = text_of(json_object_get(answer, "error"), "code");
    if (r->status == 503)
        LAW(strcmp(code, "try_again") == 0 || strcmp(r->path, "/readyz") == 0);
    else if (r->status == 504)
        LAW(ag_http_get(r, "X-Request-Timeout-Ms") || has(w->body, "max_queue_ms"));
    else
        LAW(r->status >= 400 && r->status < 500);
}

/* ---- answers ----------------------------------------------------------------------------------
 */

/* A choice, from whole answers or put together from a stream's events. */
typedef struct told {
    ag_buf text;
    size_t n_logprobs, n_calls;
    bool greeted;
    char finish[16]; /* "": not yet */
} told;

static void check_usage(const json_t *u, const wishes *w) {
    json_int_t prompt = int_of(u, "prompt_tokens"), made = int_of(u, "completion_tokens");
    LAW(json_is_object(u) && prompt > 0 && made >= 0);
    LAW(int_of(u, "total_tokens") == prompt + made);
    LAW(int_of(json_object_get(u, "prompt_tokens_details"), "cached_tokens") <=
        prompt * (json_int_t)w->n_choices);
    if (w->max_tokens)
        LAW(made <= w->max_tokens * (json_int_t)w->n_choices);
}

static void note_finish(told *t, const json_t *choice) {
    const char *finish = text_of(choice, "finish_reason");
    LAW(!t->finish[0]); /* nothing follows it */
    snprintf(t->finish, sizeof t->finish, "%s", finish);
    LAW(!*finish || strcmp(finish, "stop") == 0 || strcmp(finish, "length") == 0 ||
        strcmp(finish, "tool_calls") == 0);
}

static void note_logprobs(told *t, const json_t *choice, bool chat) {
    const json_t *lp = json_object_get(choice, "logprobs");
    if (json_is_null(lp))
        return;
    const json_t *list = json_object_get(lp, chat ? "content" : "tokens");
    LAW(json_is_array(list));
    t->n_logprobs += json_array_size(list);
    if (!chat)
        LAW(json_array_size(json_object_get(lp, "token_logprobs")) == json_array_size(list) &&
            json_array_size(json_object_get(lp, "text_offset")) == json_array_size(list));
}

static void add_said(told *t, const json_t *text) {
    LAW(!text || json_is_null(text) || json_is_string(text));
    if (json_is_string(text))
        ag_buf_add(&t->text, json_string_value(text), json_string_length(text));
}

static bool is_of_type(const json_t *v, const json_t *type) {
    const char *word = json_string_value(type);
    bool whole =
        json_is_integer(v) || (json_is_real(v) && floor(json_real_value(v)) == json_real_value(v));
    for (size_t i = 0; i < json_array_size(type); i++)
        if (is_of_type(v, json_array_get(type, i)))
            return true;
    return word && ((strcmp(word, "string") == 0 && json_is_string(v)) ||
                    (strcmp(word, "object") == 0 && json_is_object(v)) ||
                    (strcmp(word, "array") == 0 && json_is_array(v)) ||
                    (strcmp(word, "boolean") == 0 && json_is_boolean(v)) ||
                    (strcmp(word, "null") == 0 && json_is_null(v)) ||
                    (strcmp(word, "number") == 0 && json_is_number(v)) ||
                    (strcmp(word, "integer") == 0 && whole));
}

static bool is_same(const json_t *a, const json_t *b) {
    return json_is_number(a) && json_is_number(b) ? json_number_value(a) == json_number_value(b)
                                                  : json_equal(a, b);
}

/* What any validator asks first; a schema may ask for more. */
static void check_schema(const json_t *v, const json_t *schema) {
    json_t *list = json_object_get(schema, "enum"), *one, *sub;
    bool found = !list;
    size_t i;
    const char *key;
    json_array_foreach(list, i, one) found |= is_same(v, one);
    LAW(found);
    if ((one = json_object_get(schema, "const")))
        LAW(is_same(v, one));
    if ((one = json_object_get(schema, "type")))
        LAW(is_of_type(v, one));
    if ((list || json_object_get(schema, "const")) && (json_is_object(v) || json_is_array(v)))
        return; /* listed values of these kinds are held to the type only */
    if (json_is_object(v)) {
        json_array_foreach(json_object_get(schema, "required"), i, one)
            LAW(json_object_get(v, json_string_value(one)));
        json_object_foreach(json_object_get(schema, "properties"), key,
                            sub) if ((one = json_object_get(v, key))) check_schema(one, sub);
    }
    if (json_is_array(v) && (one = json_object_get(schema, "maxItems")))
        LAW(json_array_size(v) <= (size_t)json_number_value(one));
    if (json_is_array(v) && (one = json_object_get(schema, "minItems")))
        LAW(json_array_size(v) >= (size_t)json_number_value(one));
    if (json_is_number(v) && (one = json_object_get(schema, "minimum")))
        LAW(json_number_value(v) >= json_number_value(one));
    if (json_is_number(v) && (one = json_object_get(schema, "maximum")))
        LAW(json_number_value(v) <= json_number_value(one));
}

/* Is the text one of the choices asked for, if it was to be one? */
static bool is_choice(const told *t, const wishes *w) {
    const json_t *list = json_object_get(w->body, "guided_choice"), *one;
    if (!has(w->body, "guided_choice"))
        list = json_object_get(json_object_get(w->body, "structured_outputs"), "choice");
    for (size_t i = 0; i < json_array_size(list); i++)
        if ((one = json_array_get(list, i)) &&
            ag_span_is(ag_buf_span(&t->text), json_string_value(one)))
            return true;
    return !json_is_array(list);
}

/* Numbers beyond what a double holds are JSON all the same. */
static bool has_large_number(ag_span text) {
    for (size_t i = 1; i + 1 < text.n; i++)
        if ((text.p[i] | 32) == 'e' && strchr("0123456789.", text.p[i - 1]))
            return true;
    return text.n > 300;
}

static void check_choice(const told *t, const wishes *w) {
    bool stop = strcmp(t->finish, "stop") == 0;
    LAW(t->finish[0]);
    LAW(strcmp(t->finish, "tool_calls") != 0 || t->n_calls > 0);
    if (!stop || w->stops)
        return;
    LAW(!w->chat || !w->forced); /* a call would have been forced */
    if (has(w->body, "tools") || is_on(w->body, "echo"))
        return;
    LAW(is_choice(t, w));
    if (w->json_form && !has_large_number(ag_buf_span(&t->text))) {
        json_t *v = parse(ag_buf_span(&t->text));
        check_schema(v, w->schema);
        json_decref(v);
        n_forms++;
    }
}

static void check_calls(told *t, const json_t *calls, bool whole, bool forced) {
    size_t i;
    json_t *call;
    json_array_foreach(calls, i, call) {
        const json_t *f = json_object_get(call, "function");
        LAW(json_is_string(json_object_get(f, "arguments")));
        t->n_calls += json_is_string(json_object_get(call, "id"));
        if (whole)
            LAW(text_of(call, "id")[0] && text_of(f, "name")[0]);
        if (whole && forced && i + 1 < json_array_size(calls)) /* the last may be cut */
            json_decref(parse(ag_str(text_of(f, "arguments"))));
    }
}

static void check_whole(const json_t *answer, const wishes *w) {
    json_t *choices = json_object_get(answer, "choices"), *c;
    size_t i, n_tokens = 0;
    LAW(json_array_size(choices) == w->n_choices && text_of(answer, "id")[0]);
    check_usage(json_object_get(answer, "usage"), w);
    json_array_foreach(choices, i, c) {
        told t = {0};
        const json_t *message = json_object_get(c, "message");
        ag_buf_init(&t.text, AG_ROOM_TEST, (size_t)1 << 20);
        LAW(int_of(c, "index") == (json_int_t)i);
        note_finish(&t, c);
        note_logprobs(&t, c, w->chat);
        add_said(&t, w->chat ? json_object_get(message, "content") : json_object_get(c, "text"));
        LAW(!w->chat || strcmp(text_of(message, "role"), "assistant") == 0);
        check_calls(&t, json_object_get(message, "tool_calls"), true, w->forced);
        check_choice(&t, w);
        n_tokens += t.n_logprobs;
        ag_buf_deinit(&t.text);
    }
    if (!is_on(w->body, "echo"))
        LAW((json_int_t)n_tokens <= int_of(json_object_get(answer, "usage"), "completion_tokens"));
}

/* Of the other routes with a body. */
static void check_other(const ag_http_req *r, const json_t *answer, const wishes *w) {
    json_t *data = json_object_get(answer, "data"), *v;
    const json_t *input = json_object_get(w->body, "input");
    size_t i;
    if (strcmp(r->path, "/v1/embeddings") == 0) {
        bool many = json_is_array(input) && !json_is_integer(json_array_get(input, 0));
        LAW(json_array_size(data) == (many ? json_array_size(input) : 1));
        json_array_foreach(data, i, v) {
            LAW(int_of(v, "index") == (json_int_t)i);
            v = json_object_get(v, "embedding");
            LAW(strcmp(text_of(w->body, "encoding_format"), "base64") == 0
                    ? json_is_string(v)
                    : json_array_size(v) > 0);
        }
        LAW(int_of(json_object_get(answer, "usage"), "total_tokens") > 0);
    } else if (strcmp(r->path, "/tokenize") == 0) {
        LAW(json_array_size(json_object_get(answer, "tokens")) == (size_t)int_of(answer, "count"));
    } else if (r->body.n > 0) {
        LAW(json_is_string(json_object_get(answer, "prompt")));
    }
}

/* ---- streams ----------------------------------------------------------------------------------
 */

static void check_event(const json_t *event, told *v, const wishes *w) {
    json_t *choices = json_object_get(event, "choices"), *c;
    size_t i;
    LAW(json_is_array(choices) && text_of(event, "id")[0]);
    if (has(event, "usage"))
        check_usage(json_object_get(event, "usage"), w);
    json_array_foreach(choices, i, c) {
        json_int_t index = int_of(c, "index");
        LAW(index >= 0 && (size_t)index < w->n_choices);
        told *t = &v[index];
        const json_t *delta = json_object_get(c, "delta");
        note_finish(t, c);
        note_logprobs(t, c, w->chat);
        add_said(t, w->chat ? json_object_get(delta, "content") : json_object_get(c, "text"));
        if (w->chat && !t->greeted)
            LAW(strcmp(text_of(delta, "role"), "assistant") == 0);
        t->greeted = true;
        check_calls(t, json_object_get(delta, "tool_calls"), false, false);
    }
}

/* "data: ...\n\n" from `at`; the next one begins behind it. */
static ag_span next_event(ag_span all, size_t *at) {
    size_t end = ag_span_find(all, ag_str("\n\n"), *at);
    ag_span line = ag_span_sub(all, *at, end);
    LAW(end < all.n && ag_span_starts(line, ag_str("data: ")));
    *at = end + 2;
    return ag_span_sub(line, 6, line.n);
}

static void check_stream(const ag_http_req *r, const wishes *w) {
    ag_span all = ag_buf_span(&r->answer);
    told *v = ag_calloc(AG_ROOM_TEST, w->n_choices, sizeof *v);
    bool broken = false, usage = false, ended = false;
    LAW(v && all.n > 0 && strncmp(r->type, "text/event-stream", 17) == 0);
    for (size_t i = 0; i < w->n_choices; i++)
        ag_buf_init(&v[i].text, AG_ROOM_TEST, (size_t)1 << 20);
    for (size_t at = 0; at < all.n;) {
        ag_span data = next_event(all, &at);
        LAW(!ended && !broken);
        ended = ag_span_is(data, "[DONE]");
        if (ended)
            continue;
        json_t *event = parse(data);
        broken = json_object_get(event, "error");
        LAW(!usage || broken);
        usage = w->usage && has(event, "usage") &&
                json_array_size(json_object_get(event, "choices")) == 0;
        if (broken)
            check_error(event);
        else
            check_event(event, v, w);
        json_decref(event);
    }
    LAW(ended != broken && (broken || usage == w->usage));
    for (size_t i = 0; i < w->n_choices; i++) {
        if (!broken)
            check_choice(&v[i], w);
        ag_buf_deinit(&v[i].text);
    }
    ag_free(v);
}

/* ---- all of it --------------------------------------------------------------------------------
 */

/* Of a request that its client stayed for. */
static void check_answer(const ag_http_req *r) {
    looked_at = r;
    wishes w = wishes_of(r);
    bool generates = strstr(r->path, "completions");
    LAW(r->complete && r->status >= 200);
    if (r->streams) {
        LAW(generates && w.stream && r->status == 200);
        check_stream(r, &w);
    } else if (strcmp(r->type, "application/json") == 0) {
        json_t *answer = parse(ag_buf_span(&r->answer));
        if (r->status != 200)
            check_status(r, &w, answer);
        if (r->status != 200 && strcmp(r->path, "/readyz") != 0)
            check_error(answer);
        if (r->status == 200 && generates) {
            LAW(!w.stream);
            check_whole(answer, &w);
        } else if (r->status == 200) {
            check_other(r, answer, &w);
        }
        json_decref(answer);
    } else {
        LAW(r->status == 200 && strcmp(r->method, "GET") == 0);
    }
    json_decref(w.body);
}

#endif
