#include "unit/test.h"

#include "base/utf8.h"

static void well_formed_characters_round_trip(void **state) {
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        if (cp >= 0xD800 && cp <= 0xDFFF)
            continue;
        char b[4];
        size_t n = ag_utf8_encode(cp, b);
        ag_utf8_step s = ag_utf8_next(ag_span_of(b, n));
        assert_int_equal(s.kind, AG_UTF8_OK);
        assert_int_equal(s.cp, cp);
        assert_int_equal(s.n, n);
        if (n > 1) {
            s = ag_utf8_next(ag_span_of(b, n - 1));
            assert_int_equal(s.kind, AG_UTF8_INCOMPLETE);
        }
    }
}

static void check_repair(const char *in, size_t n, const char *want) {
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 1000);
    assert_true(ag_utf8_repair(ag_span_of(in, n), &out));
    assert_string_equal(ag_buf_cstr(&out), want);
    ag_buf_deinit(&out);
}

static void each_maximal_ill_formed_piece_becomes_one_replacement(void **state) {
    (void)state;
    check_repair("a\xF1\x80\x80\xE1\x80\xC2"
                 "b\x80"
                 "c\x80\xBF"
                 "d",
                 13,
                 "a\uFFFD\uFFFD\uFFFD"
                 "b\uFFFD"
                 "c\uFFFD\uFFFD"
                 "d");
    check_repair("\xC0\xAF\xE0\x80\xBF", 5, "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD");
    check_repair("\xED\xA0\x80", 3, "\uFFFD\uFFFD\uFFFD");
    check_repair("x\xF0\x9F\x98", 4, "x\uFFFD");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_characters_round_trip),
        cmocka_unit_test(each_maximal_ill_formed_piece_becomes_one_replacement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
