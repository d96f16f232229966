/* Logs: what a line looks like, levels, a full ring, rotation, many threads. */
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "logs/logs.h"
#include "unit/test.h"

static char path[] = "/tmp/autoglm-logs-XXXXXX";

static int make_file(void **state) {
    (void)state;
    strcpy(path + strlen(path) - 6, "XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int drop_file(void **state) {
    (void)state;
    return unlink(path);
}

static ag_logs *open_logs(ag_logs_opts o) {
    ag_logs *l;
    o.path = path;
    assert_int_equal(ag_logs_open(&o, &l, NULL), AG_OK);
    return l;
}

static ag_buf read_file(void) {
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_TEST, 64 << 20);
    assert_int_equal(ag_file_read(path, &text, NULL), AG_OK);
    return text;
}

static size_t count_lines(const ag_buf *text) {
    size_t n = 0;
    for (size_t i = 0; i < text->n; i++)
        n += text->p[i] == '\n';
    return n;
}

static void a_record_is_one_json_object_in_ecs_names(void **state) {
    (void)state;
    ag_logs *l = open_logs((ag_logs_opts){0});
    AG_LOG(l, WARN, "http", "slow\nreader", AG_STR("client.ip", "192.0.2.\"1"),
           AG_STR("none", NULL), AG_U64("n", 3), AG_I64("i", -1), AG_F64("s", 0.25),
           AG_BOOL("tls", true));
    AG_LOG(l, INFO, "http", "bare");
    ag_logs_close(&l);
    ag_buf text = read_file();
    assert_int_equal(count_lines(&text), 2);
    json_error_t e;
    json_t *j = json_loadb(text.p, text.n, JSON_DISABLE_EOF_CHECK | JSON_REJECT_DUPLICATES, &e);
    assert_non_null(j);
    assert_true(ag_span_starts(ag_buf_span(&text), ag_str("{\"@timestamp\":\"20")));
    assert_string_equal(json_string_value(json_object_get(j, "log.level")), "warn");
    assert_string_equal(json_string_value(json_object_get(j, "message")), "slow\nreader");
    assert_string_equal(json_string_value(json_object_get(j, "client.ip")), "192.0.2.\"1");
    assert_null(json_object_get(j, "none"));
    assert_int_equal(json_integer_value(json_object_get(j, "i")), -1);
    assert_true(json_is_true(json_object_get(j, "tls")));
    json_decref(j);
    ag_buf_deinit(&text);
}

static void text_lines_end_in_their_facts(void **state) {
    (void)state;
    ag_logs *l = open_logs((ag_logs_opts){.format = AG_LOG_TEXT});
    AG_LOG(l, INFO, "runtime", "model ready", AG_STR("model", "m"), AG_U64("ms", 8));
    AG_LOG(l, INFO, "runtime", "bare");
    ag_logs_close(&l);
    ag_buf text = read_file();
    assert_non_null(
        strstr(ag_buf_cstr(&text), "Z info  runtime: model ready {\"model\":\"m\",\"ms\":8}\n"));
    assert_non_null(strstr(ag_buf_cstr(&text), "Z info  runtime: bare\n"));
    ag_buf_deinit(&text);
}

static void levels_can_differ_by_component(void **state) {
    (void)state;
    ag_logs *l = open_logs((ag_logs_opts){.levels = "warn,sched=debug"});
    assert_false(ag_logs_wants(l, AG_LOG_INFO, "http"));
    assert_true(ag_logs_wants(l, AG_LOG_DEBUG, "sched"));
    ag_err err = {0};
    assert_int_equal(ag_logs_set_levels(l, "info,http=loud", &err), AG_E_ARG);
    assert_non_null(strstr(err.msg, "\"loud\" is no log level"));
    assert_int_equal(ag_logs_set_levels(l, "info,=debug", &err), AG_E_ARG);
    assert_false(ag_logs_wants(l, AG_LOG_INFO, "http"));
    assert_int_equal(ag_logs_set_levels(l, "error", &err), AG_OK);
    assert_false(ag_logs_wants(l, AG_LOG_DEBUG, "sched"));
    ag_logs_close(&l);
    assert_false(ag_logs_wants(NULL, AG_LOG_ERROR, "http"));
    AG_LOG(NULL, ERROR, "http", "goes nowhere");
}

static void a_huge_fact_is_cut_and_the_line_stays_whole(void **state) {
    (void)state;
    char *big = malloc(100001);
    memset(big, 'x', 100000);
    big[100000] = '\0';
    ag_logs *l = open_logs((ag_logs_opts){0});
    ag_fact facts[40];
    for (int i = 0; i < 40; i++)
        facts[i] = AG_STR("k", big);
    ag_logs_put(l, AG_LOG_INFO, "http", big, facts, 40);
    ag_logs_close(&l);
    ag_buf text = read_file();
    assert_in_range(text.n, 2000, AG_LOG_LINE_BYTES);
    json_error_t e;
    json_t *j = json_loadb(text.p, text.n, 0, &e);
    assert_non_null(j);
    json_decref(j);
    ag_buf_deinit(&text);
    free(big);
}

static void a_rotated_file_is_opened_again(void **state) {
    (void)state;
    ag_logs *l = open_logs((ag_logs_opts){0});
    AG_LOG(l, INFO, "a", "first");
    ag_logs_flush(l);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(ag_logs_reopen(l, NULL), AG_OK);
    AG_LOG(l, INFO, "a", "second");
    ag_logs_close(&l);
    ag_buf text = read_file();
    assert_null(strstr(ag_buf_cstr(&text), "first"));
    assert_non_null(strstr(ag_buf_cstr(&text), "second"));
    ag_buf_deinit(&text);
    ag_err err = {0};
    assert_int_equal(ag_logs_open(&(ag_logs_opts){.path = "/nowhere/at/all"}, &l, &err), AG_E_IO);
    assert_non_null(strstr(err.msg, "/nowhere/at/all"));
}

/* A pipe that nobody reads is the slowest of sinks. */
static void a_full_ring_drops_counts_and_says_so(void **state) {
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    FILE *reader = fopen(path, "r+");
    ag_logs *l = open_logs((ag_logs_opts){.ring_bytes = 8192});
    for (int i = 0; i < 5000; i++)
        AG_LOG(l, INFO, "a", "one of many");
    uint64_t dropped = ag_logs_dropped(l);
    assert_in_range(dropped, 1, 4999);
    size_t told = 0;
    char line[4096];
    for (size_t n = 0; n <= 5000 - dropped; n++) {
        if (n ==
            5000 - dropped) { /* all that got in has been read: one more, which tells the rest */
            ag_logs_flush(l);
            AG_LOG(l, INFO, "a", "after");
        }
        assert_non_null(fgets(line, sizeof line, reader));
        const char *at = strstr(line, "dropped\":");
        told += at ? strtoul(at + 9, NULL, 10) : 0;
    }
    assert_int_equal(told, dropped);
    ag_logs_close(&l);
    fclose(reader);
}

/* Nobody reads, and the server wants to end. */
static void a_stuck_sink_does_not_keep_close_waiting(void **state) {
    (void)state;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    FILE *reader = fopen(path, "r+");
    ag_logs *l = open_logs((ag_logs_opts){.ring_bytes = 1 << 20});
    for (int i = 0; i < 5000; i++)
        AG_LOG(l, INFO, "a", "into a pipe that is full");
    uint64_t began = ag_clock_us();
    ag_logs_close(&l);
    assert_in_range(ag_clock_us() - began, 1000000, 60000000);
    fclose(reader);
}

static void *write_many(void *l) {
    for (int i = 0; i < 2000; i++)
        AG_LOG((ag_logs *)l, INFO, "a", "from a thread", AG_U64("i", (uint64_t)i));
    return NULL;
}

static void lines_of_many_threads_do_not_mix(void **state) {
    (void)state;
    ag_logs *l = open_logs((ag_logs_opts){.ring_bytes = 8 << 20});
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, write_many, l), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(ag_logs_dropped(l), 0);
    ag_logs_close(&l);
    ag_buf text = read_file();
    assert_int_equal(count_lines(&text), 8000);
    for (size_t at = 0; at < text.n;) {
        size_t end = ag_span_find(ag_buf_span(&text), ag_str("\n"), at);
        json_error_t e;
        json_t *j = json_loadb(text.p + at, end - at, 0, &e);
        assert_non_null(j);
        json_decref(j);
        at = end + 1;
    }
    ag_buf_deinit(&text);
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, make_file, drop_file)

int main(void) {
    const struct CMUnitTest tests[] = {
        FILE_TEST(a_record_is_one_json_object_in_ecs_names),
        FILE_TEST(text_lines_end_in_their_facts),
        FILE_TEST(levels_can_differ_by_component),
        FILE_TEST(a_huge_fact_is_cut_and_the_line_stays_whole),
        FILE_TEST(a_rotated_file_is_opened_again),
        FILE_TEST(a_full_ring_drops_counts_and_says_so),
        FILE_TEST(a_stuck_sink_does_not_keep_close_waiting),
        FILE_TEST(lines_of_many_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
