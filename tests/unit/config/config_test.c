/* Configuration: sources in their order, mistakes with their place, printing and comparing. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "config/config.h"
#include "kernels/cpu.h"
#include "unit/test.h"

static char path[64];

static const char *write_file(const char *text) {
    strcpy(path, "/tmp/autoglm-config-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    return path;
}

static ag_config *load(const char *yaml, const ag_config_setting *settings, size_t n) {
    ag_config *c;
    ag_err err = {0};
    ag_config_sources s = {
        .file = yaml ? write_file(yaml) : NULL, .settings = settings, .n_settings = n};
    if (ag_config_load(&s, &c, NULL, &err))
        fail_msg("%s", err.msg);
    if (yaml)
        unlink(path);
    return c;
}

/* Every line of `mistakes` in its order, with FILE for the file's name. */
static void expect_mistakes(const char *yaml, const char *mistakes) {
    ag_config *c;
    ag_buf told, shown;
    ag_err err = {0};
    ag_buf_init(&told, AG_ROOM_TEST, 1 << 20);
    ag_buf_init(&shown, AG_ROOM_TEST, 1 << 20);
    ag_config_sources s = {.file = write_file(yaml)};
    assert_int_not_equal(ag_config_load(&s, &c, &told, &err), AG_OK);
    assert_null(c);
    unlink(path);
    ag_span rest = ag_buf_span(&told);
    size_t at;
    while ((at = ag_span_find(rest, ag_str(path), 0)) != SIZE_MAX) {
        ag_buf_add(&shown, rest.p, at);
        ag_buf_adds(&shown, "FILE");
        rest = ag_span_sub(rest, at + strlen(path), rest.n);
    }
    ag_buf_add(&shown, rest.p, rest.n);
    assert_string_equal(ag_buf_cstr(&shown), mistakes);
    assert_memory_equal(told.p, err.msg, strlen(err.msg)); /* err is the first of them */
    ag_buf_deinit(&told);
    ag_buf_deinit(&shown);
}

static void without_anything_the_defaults_hold(void **state) {
    (void)state;
    ag_config *c = load(NULL, NULL, 0);
    assert_int_equal(c->listen.n, 1);
    assert_string_equal(c->listen.v[0], "127.0.0.1:8000");
    assert_int_equal(c->body_bytes, 32 << 20);
    assert_int_equal(c->request_timeout, 600000);
    assert_true(c->memory_fraction == 0.7);
    assert_true(c->supervise);
    assert_null(c->api_key_file);
    assert_int_equal(c->n_models, 0);
    ag_config_free(&c);
}

static const char *test_env(const char *name) {
    return !strcmp(name, "AUTOGLM_LOG_LEVEL")        ? "warn,sched=debug"
           : !strcmp(name, "AUTOGLM_SERVER_LISTEN")  ? "127.0.0.1:1, [::1]:2"
           : !strcmp(name, "AUTOGLM_ENGINE_THREADS") ? "3"
                                                     : NULL;
}

static void later_sources_win(void **state) {
    (void)state;
    const ag_config_setting settings[] = {
        {"engine.threads", "4", .from = "--threads"},
        {"models[0].context", "1024", .from = "--set"},
        {"models[1].name", "two", .from = "--set"},
        {"models[1].path", "b.gguf", .from = "--set"},
        {"models[1].aliases", .from = "--model-name",
         .list = {(const char *const[]){"u,v", "w"}, 2}},
    };
    ag_config_sources s = {.file = write_file("server:\n"
                                              "  listen: 127.0.0.1:9\n"
                                              "  drain_timeout: 5m\n"
                                              "  tls_cert:\n" /* null: as absent */
                                              "log: {level: error, format: 'text'}\n"
                                              "engine:\n  threads: 2\n"
                                              "models:\n"
                                              "  - {name: one, path: a.gguf, aliases: [x, y], "
                                              "context: 4096}\n"),
                           .env = test_env,
                           .settings = settings,
                           .n_settings = sizeof settings / sizeof *settings};
    ag_config *c;
    ag_err err = {0};
    assert_int_equal(ag_config_load(&s, &c, NULL, &err), AG_OK);
    unlink(path);
    assert_int_equal(c->listen.n, 2);
    assert_string_equal(c->listen.v[1], "[::1]:2");
    assert_string_equal(c->log_level, "warn,sched=debug");
    assert_string_equal(c->log_format, "text");
    assert_int_equal(c->threads, 4);
    assert_int_equal(c->drain_timeout, 300000);
    assert_int_equal(c->n_models, 2);
    assert_int_equal(c->models[0].context, 1024);
    assert_string_equal(c->models[0].aliases.v[1], "y");
    assert_string_equal(c->models[0].kv_type, "f16");
    assert_string_equal(c->models[1].path, "b.gguf");
    assert_int_equal(c->models[1].aliases.n, 2);
    assert_string_equal(c->models[1].aliases.v[0], "u,v");
    ag_config_free(&c);
}

static void every_mistake_is_told_with_its_place(void **state) {
    (void)state;
    expect_mistakes(
        "server:\n"
        "  lisen: 1\n"
        "  body_bytes: 12 apples\n"
        "  drain_timeout: 10\n"
        "  supervise: perhaps\n"
        "  head_bytes: [1]\n"
        "log:\n"
        "  level: loud\n"
        "  format: xml\n"
        "engine: fast\n"
        "wheels: 4\n"
        "models:\n"
        "- name: a\n"
        "  kv_type: f8\n"
        "  patth: p\n"
        "- 7\n",
        "FILE:2:3: server.lisen: unknown key; did you mean server.listen?\n"
        "FILE:3:3: server.body_bytes: expected a size as 4096, 64KiB, 32MiB or 2GiB, "
        "found \"12 apples\"\n"
        "FILE:4:3: server.drain_timeout: expected a duration as 250ms, 10s, 5m or 1h, "
        "found \"10\"\n"
        "FILE:5:3: server.supervise: expected true or false, found \"perhaps\"\n"
        "FILE:6:3: server.head_bytes: expected one value, found a list\n"
        "FILE:8:3: log.level: \"loud\" is no log level: error, warn, info or debug\n"
        "FILE:9:3: log.format: expected one of json text, found \"xml\"\n"
        "FILE:10:1: engine: expected keys below it\n"
        "FILE:11:1: wheels: unknown key\n"
        "FILE:14:3: models[0].kv_type: expected one of f16 f32 bf16 q8_0, found \"f8\"\n"
        "FILE:15:3: models[0].patth: unknown key; did you mean path?\n"
        "FILE:16:3: models[1]: expected the keys of a model\n"
        "FILE:13:3: models[0]: path is missing\n");
}

static void what_no_single_value_shows_is_checked(void **state) {
    (void)state;
    expect_mistakes("server: {listen: ['0.0.0.0:80', 'unix:/x'], tls_cert: c}\n"
                    "models:\n"
                    "- {name: a, path: p, aliases: [b]}\n"
                    "- {name: b, path: p, aliases: ['']}\n",
                    "FILE:1:45: server.tls_cert: a certificate needs its key: server.tls_key\n"
                    "FILE:1:10: server.listen: 0.0.0.0:80 can be reached from outside: give "
                    "server.api_key_file, or listen on 127.0.0.1\n"
                    "FILE:4:3: models[1]: models[0] is called \"b\" already\n"
                    "FILE:4:3: models[1]: an alias is empty\n");
    expect_mistakes(
        "server: {hosts: [ai.example.org, A_1-b, 'ai.example.org:80', '*', '', "
        "'b\xc3\xbc.example']}\n",
        "FILE:1:10: server.hosts: \"ai.example.org:80\" is no host's name: letters, digits and -_. "
        "only, "
        "without scheme and port\n"
        "FILE:1:10: server.hosts: \"*\" is no host's name: letters, digits and -_. only, "
        "without scheme and port\n"
        "FILE:1:10: server.hosts: \"\" is no host's name: letters, digits and -_. only, "
        "without scheme and port\n"
        "FILE:1:10: server.hosts: \"b\xc3\xbc.example\" is no host's name: letters, digits and -_. "
        "only, "
        "without scheme and port\n");
    ag_config *c = load("server: {listen: '0.0.0.0:80', api_key_file: keys}", NULL, 0);
    ag_config_free(&c);
}

static void only_addresses_of_this_machine_are_local(void **state) {
    (void)state;
    static const char *const local[] = {"127.0.0.1:80",         "127.255.0.9:0", "[::1]:80",
                                        "[0:0:0:0:0:0:0:1]:80", "localhost:80",  "unix:/x"};
    static const char *const outside[] = {"127.example.org:80",
                                          "127.0.0.1.example.org:80",
                                          "127.0.0.1 :80",
                                          "128.0.0.1:80",
                                          "0.0.0.0:80",
                                          "[::]:80",
                                          "[::1]x:80",
                                          "::1:80",
                                          "[127.0.0.1]:80",
                                          "localhost.example.org:80",
                                          "localhost:x:80",
                                          "127.0.0.1",
                                          ":80",
                                          ""};
    for (size_t i = 0; i < sizeof local / sizeof *local; i++)
        if (!ag_config_is_local(local[i]))
            fail_msg("%s", local[i]);
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        if (ag_config_is_local(outside[i]))
            fail_msg("%s", outside[i]);
}

static void yaml_that_could_grow_or_mislead_is_refused(void **state) {
    (void)state;
    expect_mistakes("server: &a {}\n",
                    "FILE:1:9: anchors, aliases and tags are not supported here\n");
    expect_mistakes("log: {level: info}\nlog: {level: warn}\n",
                    "FILE:2:1: \"log\" is there already, in line 1\n");
    expect_mistakes("[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]\n", "FILE:1:17: nested too deeply\n");
    expect_mistakes("a: 1\n---\nb: 2\n", "FILE:2:1: a second document: one is expected\n");
    expect_mistakes("? [x]\n: 1\n", "FILE:1:3: a key must be a plain word\n");
    expect_mistakes("server: \"a\\0b\"\n", "FILE:1:9: a value with a NUL byte\n");
    expect_mistakes("- just a list\n",
                    "FILE:1:1: the file: expected keys such as server and models\n");
    ag_config *c = load("", NULL, 0);
    ag_config_free(&c);
    c = load("# nothing\nserver:\nmodels: []\n", NULL, 0);
    ag_config_free(&c);
}

static void a_wrong_setting_names_its_option(void **state) {
    (void)state;
    const struct {
        ag_config_setting s;
        const char *expected;
    } cases[] = {
        {{"engine.threads", "-1", .from = "--threads"},
         "--threads: engine.threads: expected a whole number, found \"-1\""},
        {{"engine.threads", "99999", .from = "--threads"},
         "--threads: engine.threads: 99999 is not within 0 to 1024"},
        {{"engine.memory_fraction", "nan", .from = "-"},
         "-: engine.memory_fraction: expected a number, found \"nan\""},
        {{"server.idle_timeout", "99999999999999999h", .from = "-"},
         "-: server.idle_timeout: expected a duration as 250ms, 10s, 5m or 1h, found "
         "\"99999999999999999h\""},
        {{"models[3].name", "x", .from = "-"}, "-: models[3].name: there are 0 models only"},
        {{"models[x].name", "x", .from = "-"}, "-: models[x].name: expected models[N].KEY"},
        {{"engine.thread", "1", .from = "--set"},
         "--set: engine.thread: unknown key; did you mean engine.threads?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ag_config *c;
        ag_err err = {0};
        ag_config_sources s = {.settings = &cases[i].s, .n_settings = 1};
        assert_int_not_equal(ag_config_load(&s, &c, NULL, &err), AG_OK);
        assert_string_equal(err.msg, cases[i].expected);
    }
}

static void what_is_printed_reads_back_the_same(void **state) {
    (void)state;
    ag_config *a = load("server: {listen: [\"127.0.0.1:1\", \"unix:/a b\\\"c\"], body_bytes: 5MiB, "
                        "idle_timeout: 1500ms, request_timeout: 0}\n"
                        "models: [{name: m, path: \"x: y #z\", aliases: [q]}]\n",
                        NULL, 0);
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 20);
    ag_config_print(a, &text);
    assert_non_null(strstr(ag_buf_cstr(&text), "  idle_timeout: 1500ms\n"));
    assert_non_null(strstr(ag_buf_cstr(&text), "  request_timeout: 0s\n"));
    ag_config *b = load(text.p, NULL, 0);
    ag_buf again;
    ag_buf_init(&again, AG_ROOM_TEST, 1 << 20);
    ag_config_print(b, &again);
    assert_string_equal(ag_buf_cstr(&text), ag_buf_cstr(&again));
    ag_buf_deinit(&text);
    ag_buf_deinit(&again);
    ag_config_free(&a);
    ag_config_free(&b);
}

static void note_difference(void *ctx, const char *key, const char *was, const char *now,
                            bool hot) {
    ag_buf_addf(ctx, "%s %s -> %s%s\n", key, was, now, hot ? " (hot)" : "");
}

static void differences_say_what_a_reload_can_do(void **state) {
    (void)state;
    ag_config *a = load("models: [{name: a, path: p}, {name: b, path: p}]", NULL, 0);
    ag_config *b = load("log: {level: debug}\nengine: {threads: 9}\n"
                        "models: [{name: c, path: p}, {name: b, path: q}]",
                        NULL, 0);
    ag_buf told;
    ag_buf_init(&told, AG_ROOM_TEST, 1 << 20);
    ag_config_diff(a, b, note_difference, &told);
    assert_string_equal(ag_buf_cstr(&told), "log.level \"info\" -> \"debug\" (hot)\n"
                                            "engine.threads 0 -> 9\n"
                                            "models[a] served -> gone\n"
                                            "models[b].path \"p\" -> \"q\"\n"
                                            "models[c] absent -> served\n");
    told.n = 0;
    ag_config_diff(a, a, note_difference, &told);
    assert_int_equal(told.n, 0);
    ag_buf_deinit(&told);
    ag_config_free(&a);
    ag_config_free(&b);
}

static void the_schema_is_json_and_knows_every_key(void **state) {
    (void)state;
    ag_buf text;
    json_error_t e;
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 20);
    ag_config_schema(&text);
    json_t *schema = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &e);
    assert_non_null(schema);
    json_t *sections = json_object_get(schema, "properties");
    for (const ag_config_row *row = ag_config_rows; row->key; row++) {
        char section[32];
        snprintf(section, sizeof section, "%.*s", (int)strcspn(row->key, "."), row->key);
        json_t *keys = json_object_get(json_object_get(sections, section), "properties");
        assert_non_null(json_object_get(keys, strchr(row->key, '.') + 1));
    }
    assert_non_null(json_object_get(sections, "models"));
    json_decref(schema);
    text.n = 0;
    ag_config_document(&text);
    assert_non_null(strstr(ag_buf_cstr(&text), "| `server.listen` | list | `127.0.0.1:8000` |"));
    ag_buf_deinit(&text);
}

/* The table may not ask the engine for them. */
static void the_choices_of_isa_are_the_tiers(void **state) {
    (void)state;
    for (const ag_config_row *row = ag_config_rows; row->key; row++)
        if (!strcmp(row->key, "engine.isa")) {
            assert_string_equal(row->choices, AG_TIER_WORDS);
            return;
        }
    fail_msg("no key engine.isa");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_anything_the_defaults_hold),
        cmocka_unit_test(later_sources_win),
        cmocka_unit_test(every_mistake_is_told_with_its_place),
        cmocka_unit_test(what_no_single_value_shows_is_checked),
        cmocka_unit_test(only_addresses_of_this_machine_are_local),
        cmocka_unit_test(yaml_that_could_grow_or_mislead_is_refused),
        cmocka_unit_test(a_wrong_setting_names_its_option),
        cmocka_unit_test(what_is_printed_reads_back_the_same),
        cmocka_unit_test(differences_say_what_a_reload_can_do),
        cmocka_unit_test(the_schema_is_json_and_knows_every_key),
        cmocka_unit_test(the_choices_of_isa_are_the_tiers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
