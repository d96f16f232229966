#include "http/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static ag_arena arena;
static ag_http_target target;

static int parse(const char *raw) {
    ag_arena_deinit(&arena);
    ag_arena_init(&arena, AG_ROOM_TEST, 1 << 20);
    return ag_http_target_parse(&target, &arena, ag_str(raw)).status;
}

static void targets_are_split_and_decoded(void **state) {
    (void)state;
    assert_int_equal(parse("/a%2Fb%20c?x=1&y=a+b%2B&z&=v&&x=2#frag"), 0);
    assert_string_equal(target.path, "/a/b c");
    assert_int_equal(target.n_query, 5);
    assert_string_equal(target.query[0].value, "1");
    assert_string_equal(target.query[1].value, "a b+");
    assert_string_equal(target.query[2].name, "z");
    assert_string_equal(target.query[2].value, "");
    assert_int_equal(parse("http://host"), 0);
    assert_string_equal(target.path, "/");
    assert_int_equal(parse("HTTPS://host:1/p?q=/"), 0);
    assert_string_equal(target.path, "/p");
    assert_int_equal(parse("/?"), 0);
    assert_int_equal(target.n_query, 0);
    ag_arena_deinit(&arena);
}

static void broken_targets_are_refused(void **state) {
    (void)state;
    const char *bad[] = {"",        "*",        "a",     "host:80", "/%",    "/%1",
                         "/%zz",    "/%00",     "/a%",   "/?a=%x",  "/a\tb", "/a\x7f",
                         "/%ff%fe", "ftp://h/", "/?%00", "/%c0%af", "/ b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (parse(bad[i]) != 400)
            fail_msg("'%s' was taken", bad[i]);
    char many[AG_MAX_QUERY_PARAMS * 2 + 8] = "/?";
    for (int i = 0; i <= AG_MAX_QUERY_PARAMS; i++)
        memcpy(many + 2 + 2 * i, "a&", 3);
    assert_int_equal(parse(many), 414);
    ag_arena_deinit(&arena);
}

/* Status for fields given as name, value, ..., NULL. */
static int head(bool http10, const char *first, ...) {
    ag_http_fields f = {.max = 5, .http10 = http10};
    ag_http_fault fault = {0, NULL};
    va_list ap;
    va_start(ap, first);
    for (const char *name = first; name && !fault.status; name = va_arg(ap, const char *))
        fault = ag_http_fields_add(&f, ag_str(name), ag_str(va_arg(ap, const char *)));
    va_end(ap);
    return fault.status ? fault.status : ag_http_fields_end(&f).status;
}

static void framing_that_two_parsers_could_read_differently_is_refused(void **state) {
    (void)state;
    assert_int_equal(head(false, "Host", "a", "Content-Length", "3", NULL), 0);
    assert_int_equal(head(false, "Host", "a", "transfer-encoding", "Chunked ", NULL), 0);
    assert_int_equal(head(false, "Host", "a", "Content-Length", "3", "content-length", "3", NULL),
                     400);
    assert_int_equal(
        head(false, "Host", "a", "Content-Length", "0", "Transfer-Encoding", "chunked", NULL), 400);
    assert_int_equal(head(false, "Host", "a", "Transfer-Encoding", "chunked", "Transfer-Encoding",
                          "chunked", NULL),
                     400);
    assert_int_equal(head(false, "Host", "a", "Transfer-Encoding", "gzip, chunked", NULL), 501);
    assert_int_equal(head(false, "Host", "a", "Transfer-Encoding", "xchunked", NULL), 501);
    assert_int_equal(head(false, "Host", "a", "Transfer-Encoding", "", NULL), 501);
    assert_int_equal(head(true, "Transfer-Encoding", "chunked", NULL), 400);
    const char *lengths[] = {"", "+3", "-3", "3 3", "3,3", "0x3", "3.0", "1000000000000000000000"};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        assert_int_equal(head(false, "Host", "a", "Content-Length", lengths[i], NULL), 400);
}

static void names_values_and_counts_are_checked(void **state) {
    (void)state;
    assert_int_equal(head(true, NULL), 0);
    assert_int_equal(head(false, NULL), 400); /* no host */
    assert_int_equal(head(false, "Host", "a", "Host", "a", NULL), 400);
    assert_int_equal(head(true, "Content-Length ", "3", NULL), 400);
    assert_int_equal(head(true, "", "3", NULL), 400);
    assert_int_equal(head(true, "X\r Y", "3", NULL), 400);
    assert_int_equal(head(true, "X(", "3", NULL), 400);
    assert_int_equal(head(true, "X", "a\rContent-Length: 5", NULL), 400);
    assert_int_equal(head(true, "X", "a\x01", NULL), 400);
    assert_int_equal(head(true, "X", "tab\tand \xc3\xa9", NULL), 0);
    assert_int_equal(head(true, "Expect", "100-Continue", NULL), 0);
    assert_int_equal(head(true, "Expect", "200-ok", NULL), 417);
    assert_int_equal(head(true, "A", "", "B", "", "C", "", "D", "", "E", "", "F", "", NULL), 431);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_are_split_and_decoded),
        cmocka_unit_test(broken_targets_are_refused),
        cmocka_unit_test(framing_that_two_parsers_could_read_differently_is_refused),
        cmocka_unit_test(names_values_and_counts_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
