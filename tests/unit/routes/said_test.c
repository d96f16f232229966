/* Answers taken apart: a stream's events put together are the whole answer, however the text is
 * cut. */
#include "unit/test.h"

#include "routes/task.h"
#include "unit/routes/fake_http.h"

static const char template_text[] =
    "{% if tools %}<tool_call>{\"name\": ..., \"arguments\": ...}</tool_call>{% endif %}"
    "{% for m in messages %}{{ m.content }}{% endfor %}<think></think>";

typedef struct world {
    ag_routes routes;
    ag_http_req req;
    ag_exchange x;
    ag_task t;
    ag_choice c;
    json_t *tools;
} world;

static void set_up(world *w, bool stream, ag_reasoning_mode reasoning, bool tools) {
    memset(w, 0, sizeof *w);
    w->x.routes = &w->routes;
    w->x.http = &w->req;
    w->x.serial = 7;
    snprintf(w->x.id, sizeof w->x.id, "id");
    w->t.x = &w->x;
    w->t.gen = (ag_gen){.chat = true, .stream = stream, .n = 1};
    w->t.format = ag_answer_format_detect(ag_str(template_text), NULL, NULL);
    w->t.reasoning = reasoning;
    w->t.choices = &w->c;
    atomic_store(&w->t.n_choices, 1);
    w->c.task = &w->t;
    if (tools) {
        w->tools = json_loads(
            "[{\"type\": \"function\", \"function\": {\"name\": \"add\", \"parameters\": {}}}]", 0,
            NULL);
        w->t.gen.tools = w->tools;
        w->t.gen.tools_wish = AG_TOOLS_AUTO;
    }
    ag_buf *all[] = {&w->t.head, &w->t.out, &w->c.text, &w->c.reasoning, &w->c.calls};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ag_buf_init(all[i], AG_ROOM_TEST, 1 << 20);
    for (size_t k = 0; k < 4; k++)
        ag_buf_init(&w->c.logprobs[k], AG_ROOM_TEST, 1 << 20);
    ag_buf_adds(&w->t.head, "data: {\"choices\":[");
    assert_int_equal(ag_said_open(&w->c, NULL), AG_OK);
}

static void tear_down(world *w) {
    ag_buf *all[] = {&w->t.head, &w->t.out, &w->c.text, &w->c.reasoning, &w->c.calls};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        ag_buf_deinit(all[i]);
    ag_answer_parser_free(&w->c.parser);
    json_decref(w->tools);
}

/* What a client makes of it. */
typedef struct message {
    ag_buf text, reasoning, calls; /* of calls: "id name(arguments)" each */
} message;

static void message_init(message *m) {
    ag_buf_init(&m->text, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&m->reasoning, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&m->calls, AG_ROOM_TEST, 1 << 20);
}

static void message_deinit(message *m) {
    ag_buf_deinit(&m->text);
    ag_buf_deinit(&m->reasoning);
    ag_buf_deinit(&m->calls);
}

static void add(ag_buf *b, const json_t *o, const char *key) {
    if (json_object_get(o, key))
        ag_buf_adds(b, json_string_value(json_object_get(o, key)));
}

static void read_calls(const json_t *calls, message *m) {
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *call = json_array_get(calls, i), *f = json_object_get(call, "function");
        if (json_object_get(call, "id")) {
            ag_buf_addf(&m->calls, " %s %s ", json_string_value(json_object_get(call, "id")),
                        json_string_value(json_object_get(f, "name")));
            assert_string_equal(json_string_value(json_object_get(call, "type")), "function");
        }
        add(&m->calls, f, "arguments");
    }
}

static void read_object(const json_t *o, message *m) {
    add(&m->reasoning, o, "reasoning_content");
    if (!json_is_null(json_object_get(o, "content")))
        add(&m->text, o, "content");
    read_calls(json_object_get(o, "tool_calls"), m);
}

static void read_stream(const char *events, message *m) {
    for (const char *at = events; at && *at; at = strstr(at, "\n\n") + 2) {
        assert_int_equal(strncmp(at, "data: ", 6), 0);
        json_t *e = json_loads(at + 6, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(e);
        const json_t *choice = json_array_get(json_object_get(e, "choices"), 0);
        read_object(json_object_get(choice, "delta"), m);
        json_decref(e);
    }
}

/* The answer in pieces of `step` bytes (0: whole). */
static void run(bool stream, ag_reasoning_mode mode, bool tools, const char *answer, size_t step,
                message *m, uint32_t *n_calls) {
    world w;
    size_t n = strlen(answer);
    set_up(&w, stream, mode, tools);
    for (size_t at = 0; at < n; at += step ? step : n) {
        size_t k = step && step < n - at ? step : n - at;
        assert_int_equal(ag_said_push(&w.c, ag_span_of(answer + at, k), NULL), AG_OK);
    }
    assert_int_equal(ag_said_end(&w.c, NULL), AG_OK);
    message_init(m);
    if (stream) {
        read_stream(ag_buf_cstr(&w.t.out), m);
    } else {
        ag_buf_addf(&m->text, "%.*s", AG_SPAN(ag_buf_span(&w.c.text)));
        ag_buf_addf(&m->reasoning, "%.*s", AG_SPAN(ag_buf_span(&w.c.reasoning)));
        ag_buf list;
        ag_buf_init(&list, AG_ROOM_TEST, 1 << 20);
        ag_buf_addf(&list, "[%.*s]", AG_SPAN(ag_buf_span(&w.c.calls)));
        json_t *calls = json_loadb(list.p, list.n, 0, NULL);
        assert_non_null(calls);
        read_calls(calls, m);
        json_decref(calls);
        ag_buf_deinit(&list);
    }
    *n_calls = w.c.n_calls;
    tear_down(&w);
}

static const char *const answers[] = {
    "plain text",
    "<think>hm</think>\n\nyes",
    "<think>hm</think>Let me add.<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": [1, "
    "\"x\\\"y\"]}}\n"
    "</tool_call><tool_call>\n{\"name\": \"add\", \"arguments\": {}}\n</tool_call>",
    "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": ",
    "<tool_call>nothing of the kind</tool_call> <thi",
};

static bool same(const ag_buf *a, const ag_buf *b) {
    return ag_span_eq(ag_buf_span(a), ag_buf_span(b));
}

static void streams_put_together_are_the_whole_answer_for_every_cut(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        for (int mode = AG_REASONING_INLINE; mode <= AG_REASONING_HIDDEN; mode++)
            for (int tools = 0; tools < 2; tools++) {
                message whole;
                uint32_t n_calls, n;
                run(false, (ag_reasoning_mode)mode, tools, answers[i], 0, &whole, &n_calls);
                for (size_t step = 1; step <= strlen(answers[i]); step++) {
                    message m;
                    run(true, (ag_reasoning_mode)mode, tools, answers[i], step, &m, &n);
                    assert_int_equal(n, n_calls);
                    assert_true(same(&m.text, &whole.text) &&
                                same(&m.reasoning, &whole.reasoning) &&
                                same(&m.calls, &whole.calls));
                    message_deinit(&m);
                }
                message_deinit(&whole);
            }
}

static void calls_and_reasoning_go_where_clients_look(void **state) {
    (void)state;
    message m;
    uint32_t n;
    run(false, AG_REASONING_SPLIT, true, answers[2], 0, &m, &n);
    assert_int_equal(n, 2);
    assert_string_equal(ag_buf_cstr(&m.reasoning), "hm");
    assert_string_equal(ag_buf_cstr(&m.text), "Let me add.");
    assert_non_null(strstr(ag_buf_cstr(&m.calls), " add {\"a\": [1, \"x\\\"y\"]}"));
    message_deinit(&m);
    run(false, AG_REASONING_INLINE, false, answers[2], 0, &m, &n);
    assert_int_equal(n, 0);
    assert_string_equal(ag_buf_cstr(&m.text), answers[2]); /* nobody asked: as it was written */
    message_deinit(&m);
}

/* The first error of an answer that is pushed and ended, with so little room for one of its parts.
 */
static ag_code first_error(size_t offset) {
    world w;
    set_up(&w, false, AG_REASONING_SPLIT, true);
    ((ag_buf *)(void *)((char *)&w.c + offset))->cap = 1;
    ag_code code = ag_said_push(&w.c, ag_str(answers[2]), NULL);
    if (!code)
        code = ag_said_end(&w.c, NULL);
    tear_down(&w);
    return code;
}

static void what_finds_no_room_is_an_error_and_not_left_out(void **state) {
    (void)state;
    assert_int_equal(first_error(offsetof(ag_choice, text)), AG_E_LIMIT);
    assert_int_equal(first_error(offsetof(ag_choice, reasoning)), AG_E_LIMIT);
    assert_int_equal(first_error(offsetof(ag_choice, calls)), AG_E_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_put_together_are_the_whole_answer_for_every_cut),
        cmocka_unit_test(calls_and_reasoning_go_where_clients_look),
        cmocka_unit_test(what_finds_no_room_is_an_error_and_not_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
