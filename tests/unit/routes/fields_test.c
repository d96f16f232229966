#include "unit/test.h"

#include "routes/fields.h"
#include "routes/gen.h"

typedef struct target {
    bool first, flag, given;
    uint32_t count;
    int64_t big;
    float share;
    const char *word;
    ag_texts texts;
    ag_id_list ids;
    json_t *object;
} target;

#define AT(f) offsetof(target, f)
static const ag_field table[] = {
    {.name = "flag", .kind = AG_FIELD_BOOL, .at = AT(flag), .has = AT(given)},
    {.name = "count", .kind = AG_FIELD_U32, .at = AT(count), .min = 1, .max = 10},
    {.name = "big", .kind = AG_FIELD_I64, .at = AT(big)},
    {.name = "share", .kind = AG_FIELD_F32, .at = AT(share), .min = 0, .max = 1},
    {.name = "word", .kind = AG_FIELD_TEXT, .at = AT(word), .words = "auto none required"},
    {.name = "texts", .kind = AG_FIELD_TEXTS, .at = AT(texts), .max = 2},
    {.name = "ids", .kind = AG_FIELD_IDS, .at = AT(ids), .max = 3},
    {.name = "object", .kind = AG_FIELD_OBJECT, .at = AT(object)},
    {.name = "user", .kind = AG_FIELD_TAKEN},
    {0},
};

static ag_arena arena;
static ag_buf ignored;
static json_t *root;
static ag_problem problem;

static int set_up(void **state) {
    (void)state;
    ag_arena_init(&arena, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&ignored, AG_ROOM_TEST, 1024);
    root = NULL;
    problem = (ag_problem){0};
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    ag_arena_deinit(&arena);
    ag_buf_deinit(&ignored);
    json_decref(root);
    return 0;
}

static bool read(const char *body, target *t) {
    json_decref(root);
    return ag_body_parse(ag_str(body), &root, &problem) &&
           ag_fields_read(table, root, NULL, t, &arena, &ignored, &problem);
}

/* A body of n times `unit` in a list under a key that is not known. */
static bool read_many(const char *unit, size_t n) {
    ag_buf body;
    target t = {0};
    ag_buf_init(&body, AG_ROOM_TEST, (size_t)64 << 20);
    ag_buf_adds(&body, "{\"x\":[");
    for (size_t i = 0; i < n; i++)
        ag_buf_adds(&body, unit);
    ag_buf_adds(&body, "0]}");
    bool fine = read(ag_buf_cstr(&body), &t);
    ag_buf_deinit(&body);
    return fine;
}

static void bodies_of_very_many_small_values_are_refused_unparsed(void **state) {
    (void)state;
    assert_true(read_many("{},", 1000));
    assert_true(read_many("1,", 1000000)); /* ids of a long prompt */
    assert_false(read_many("{},", AG_MAX_REQUEST_LISTS));
    assert_non_null(strstr(problem.message, "lists and objects"));
    assert_false(read_many("[],", AG_MAX_REQUEST_LISTS));
    assert_false(read_many("1,", AG_MAX_REQUEST_VALUES));
    assert_true(read_many("\"[,{,\",", 300000)); /* in a string they are none */
}

static void fields_go_where_the_table_says(void **state) {
    (void)state;
    target t = {.share = 0.5f};
    assert_true(
        read("{\"flag\": true, \"count\": 3.0, \"big\": -5, \"word\": \"none\", \"ids\": [1, 2],"
             " \"texts\": \"one\", \"object\": {}, \"share\": null, \"user\": {\"a\": 1}}",
             &t));
    assert_true(t.flag && t.given);
    assert_int_equal(t.count, 3);
    assert_int_equal(t.big, -5);
    assert_true(t.share == 0.5f); /* null is absent */
    assert_string_equal(t.word, "none");
    assert_int_equal(t.texts.n, 1);
    assert_string_equal(t.texts.v[0], "one");
    assert_int_equal(t.ids.v[1], 2);
    assert_int_equal(ignored.n, 0);
}

static void a_mistake_names_the_field_and_what_was_expected(void **state) {
    (void)state;
    static const struct {
        const char *body, *param, *says;
    } cases[] = {
        {"{\"flag\": 1}", "flag", "flag must be true or false, it is a number"},
        {"{\"count\": 0}", "count", "from 1 to 10"},
        {"{\"count\": 11}", "count", "from 1 to 10"},
        {"{\"count\": 2.5}", "count", "whole number"},
        {"{\"count\": \"3\"}", "count", "it is a string"},
        {"{\"count\": -9223372036854775808}", "count", "from 1 to 10"},
        {"{\"share\": 1.5}", "share", "from 0 to 1"},
        {"{\"share\": []}", "share", "it is a list"},
        {"{\"word\": \"aut\"}", "word", "one of auto none required"},
        {"{\"word\": \"\"}", "word", "one of auto none required"},
        {"{\"word\": \"auto none\"}", "word", "one of"},
        {"{\"texts\": [\"a\", 1]}", "texts", "texts[1] must be a string"},
        {"{\"texts\": [\"a\", \"b\", \"c\"]}", "texts", "at most 2"},
        {"{\"ids\": [1, -1]}", "ids", "ids[1] must be a token id"},
        {"{\"ids\": [1, 2, 3, 4]}", "ids", "at most 3"},
        {"{\"ids\": [99999999999]}", "ids", "ids[0]"},
        {"{\"object\": []}", "object", "it is a list"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        target t = {0};
        assert_false(read(cases[i].body, &t));
        assert_int_equal(problem.status, 400);
        assert_string_equal(problem.param, cases[i].param);
        if (!strstr(problem.message, cases[i].says))
            fail_msg("%s: %s", cases[i].body, problem.message);
    }
}

static void bodies_that_are_no_object_of_json_are_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {"",
                                         "x",
                                         "[]",
                                         "\"a\"",
                                         "{",
                                         "{}x",
                                         "{\"a\": NaN}",
                                         "{\"a\": Infinity}",
                                         "{\"a\": 1, \"a\": 2}",
                                         "{\"a\": 1e999}",
                                         "{\"a\": \"\\u0000\"}",
                                         "{\"a\": \"\xff\"}",
                                         "{\"a\": 99999999999999999999}",
                                         "{'a': 1}",
                                         "{\"a\": 1,}",
                                         "\xef\xbb\xbf{}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        target t = {0};
        if (read(bodies[i], &t))
            fail_msg("accepted: %s", bodies[i]);
        assert_int_equal(problem.status, 400);
    }
}

static void nesting_is_bounded_before_it_is_parsed(void **state) {
    (void)state;
    char deep[400];
    for (int depth = AG_MAX_REQUEST_DEPTH - 1; depth <= AG_MAX_REQUEST_DEPTH; depth++) {
        int n = snprintf(deep, sizeof deep, "{\"x\": ");
        for (int i = 0; i < depth; i++)
            deep[n++] = '[';
        for (int i = 0; i < depth; i++)
            deep[n++] = ']';
        n += snprintf(deep + n, sizeof deep - n, ", \"y\": \"[[[\\\"{{{\"}");
        target t = {0};
        assert_int_equal(read(deep, &t), depth < AG_MAX_REQUEST_DEPTH);
    }
}

static void what_no_row_knows_is_collected(void **state) {
    (void)state;
    target t = {0};
    assert_true(read("{\"store\": true, \"user\": 1, \"a b\": 1, \"x\\r\\ny\": 1, \"z,\": 1,"
                     " \"prediction\": {}, \"gone\": null}",
                     &t));
    assert_string_equal(ag_buf_cstr(&ignored), "store, prediction");
}

static bool read_chat(const char *body, ag_gen *g) {
    json_decref(root);
    return ag_body_parse(ag_str(body), &root, &problem) &&
           ag_gen_read(g, true, root, &arena, &ignored, &problem);
}

static void chat_fields_become_the_engines_options(void **state) {
    (void)state;
    ag_gen g;
    assert_true(
        read_chat("{\"messages\": [1], \"temperature\": 0, \"top_k\": -1, \"seed\": -1, \"n\": 2,"
                  "\"stream\": true, \"stream_options\": {\"include_usage\": true},"
                  "\"logprobs\": true, \"top_logprobs\": 20}",
                  &g));
    assert_true(g.sampling.temperature == 0 && g.sampling.top_k == 0);
    assert_true(g.sampling.has_seed && g.sampling.seed == UINT64_MAX);
    assert_true(g.include_usage && !g.continuous_usage && g.top_logprobs == 20);
    assert_true(read_chat("{\"messages\": [1]}", &g));
    assert_true(g.sampling.temperature == 1 && g.n == 1 && !g.sampling.has_seed);
}

static void fields_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"{}", "messages"},
        {"{\"messages\": [], \"top_logprobs\": 3}", "top_logprobs"},
        {"{\"messages\": [], \"top_logprobs\": 21, \"logprobs\": true}", "top_logprobs"},
        {"{\"messages\": [], \"max_tokens\": 0}", "max_tokens"},
        {"{\"messages\": [], \"n\": 129}", "n"},
        {"{\"messages\": [], \"top_p\": 1.5}", "top_p"},
        {"{\"messages\": [], \"temperature\": -1}", "temperature"},
        {"{\"messages\": [], \"stream_options\": {\"include_usage\": 1}}",
         "stream_options.include_usage"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ag_gen g;
        assert_false(read_chat(cases[i][0], &g));
        assert_string_equal(problem.param, cases[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_go_where_the_table_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_mistake_names_the_field_and_what_was_expected, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(bodies_that_are_no_object_of_json_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nesting_is_bounded_before_it_is_parsed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bodies_of_very_many_small_values_are_refused_unparsed,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_no_row_knows_is_collected, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chat_fields_become_the_engines_options, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_that_contradict_each_other_are_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
