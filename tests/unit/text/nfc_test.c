#include "text/nfc.h"

#include "base/clock.h"
#include "unit/text/golden.h"

static void check(const char *text, const char *want) {
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 16);
    ag_span got;
    assert_int_equal(ag_nfc(ag_str(text), &b, &got, NULL), AG_OK);
    if (!ag_span_is(got, want))
        fail_msg("\"%s\" became \"%.*s\", want \"%s\"", text, AG_SPAN(got), want);
    ag_buf_deinit(&b);
}

static void characters_compose(void **state) {
    (void)state;
    check("", "");
    check("plain", "plain");
    check("caf\xC3\xA9 \xE4\xBD\xA0", "caf\xC3\xA9 \xE4\xBD\xA0");
    check("e\xCC\x81", "\xC3\xA9");
    check("xe\xCC\x81ye\xCC\x81", "x\xC3\xA9y\xC3\xA9");
    check("A\xCC\x8A \xE2\x84\xAB", "\xC3\x85 \xC3\x85"); /* Angstrom sign */
    check("\xE2\x84\xA6", "\xCE\xA9");                    /* ohm sign */
    check("q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87");      /* order of marks */
    check("q\xE1\xAB\x8B\xE1\xAB\x84\xCC\x81", "q\xE1\xAB\x8B\xE1\xAB\x84\xCC\x81"); /* too young */
    check("\xE1\xBA\x9B\xCC\xA3", "\xE1\xBA\x9B\xCC\xA3");         /* stays apart */
    check("\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB", "\xED\x95\x9C"); /* Hangul */
    check("\xED\x95\x98\xE1\x86\xAB", "\xED\x95\x9C");             /* a syllable and a final */
    check("\xCC\x81", "\xCC\x81");                                 /* nothing to combine with */
    check("\xE0\xA4\x95\xE0\xA4\xBC", "\xE0\xA4\x95\xE0\xA4\xBC"); /* composition exclusion */
    check("\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC");
    check("\xF0\x9D\x85\x9E", "\xF0\x9D\x85\x97\xF0\x9D\x85\xA5"); /* half note */
}

static void composed_text_is_handed_back_without_a_copy(void **state) {
    (void)state;
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 0);
    ag_span text = ag_str("na\xC3\xAFve \xE6\x97\xA5\xE6\x9C\xAC \xED\x95\x9C"), got;
    assert_int_equal(ag_nfc(text, &b, &got, NULL), AG_OK);
    assert_ptr_equal(got.p, text.p);
    ag_buf_deinit(&b);
}

/* Marks in falling order: exchanging neighbours would take 10^11 steps. */
static void a_megabyte_of_marks_takes_linear_time(void **state) {
    (void)state;
    ag_buf text, b;
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 21);
    ag_buf_init(&b, AG_ROOM_TEST, 1 << 22);
    ag_buf_addc(&text, 'a');
    for (int i = 0; i < 250000; i++)
        ag_buf_adds(&text, "\xCC\x87\xCC\xA3");
    ag_span got;
    uint64_t at = ag_clock_us();
    assert_int_equal(ag_nfc(ag_buf_span(&text), &b, &got, NULL), AG_OK);
    assert_true(ag_clock_us() - at < 10000000);
    assert_true(ag_span_starts(got, ag_str("\xE1\xBA\xA1\xCC\xA3")));
    ag_buf_deinit(&text);
    ag_buf_deinit(&b);
}

static void the_limit_of_the_buffer_holds(void **state) {
    (void)state;
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 4);
    ag_span got;
    assert_int_equal(ag_nfc(ag_str("e\xCC\x81 and more"), &b, &got, NULL), AG_E_LIMIT);
    ag_buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_compose),
        cmocka_unit_test(composed_text_is_handed_back_without_a_copy),
        cmocka_unit_test(a_megabyte_of_marks_takes_linear_time),
        cmocka_unit_test(the_limit_of_the_buffer_holds),
    };
    return cmocka_run_group_tests_name("text/nfc", tests, NULL, NULL);
}
