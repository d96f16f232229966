/* The JSON writer: commas by themselves, escapes, numbers that read back. */
#include <math.h>
#include <stdlib.h>

#include "base/json_out.h"
#include "unit/test.h"

static void expect(ag_buf *b, const char *text) {
    assert_string_equal(ag_buf_cstr(b), text);
    b->n = 0;
}

static void commas_come_by_themselves(void **state) {
    (void)state;
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 4096);
    ag_json_open(&b, '{');
    ag_json_key(&b, "a"), ag_json_u64(&b, 0);
    ag_json_key(&b, "b"), ag_json_open(&b, '[');
    ag_json_i64(&b, -7), ag_json_i64(&b, INT64_MIN), ag_json_open(&b, '{'), ag_json_close(&b, '}');
    ag_json_str(&b, "[,"), ag_json_bool(&b, true), ag_json_str(&b, NULL);
    ag_json_close(&b, ']');
    ag_json_key_text(&b, ag_str("c\n")), ag_json_raw(&b, ag_str("[1,2]"));
    ag_json_key(&b, "d"), ag_json_u64(&b, UINT64_MAX);
    ag_json_close(&b, '}');
    expect(&b, "{\"a\":0,\"b\":[-7,-9223372036854775808,{},\"[,\",true,null],\"c\\n\":[1,2],"
               "\"d\":18446744073709551615}");
    ag_buf_deinit(&b);
}

static void text_of_any_bytes_is_a_valid_string(void **state) {
    (void)state;
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 4096);
    ag_json_text(&b, ag_span_of("\0\x01\x1f\b\f\n\r\t\"\\/\x7f", 12));
    expect(&b, "\"\\u0000\\u0001\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\\u007f\"");
    ag_json_text(&b, ag_str("智谱 \xF0\x9F\x98\x80"));
    expect(&b, "\"智谱 \xF0\x9F\x98\x80\"");
    ag_json_text(&b, ag_str("a\xFFz\xE4\xBD"));
    expect(&b, "\"a\xEF\xBF\xBDz\xEF\xBF\xBD\"");
    ag_json_text(&b, ag_span_of(NULL, 0));
    expect(&b, "\"\"");
    ag_buf_deinit(&b);
}

static void numbers_read_back_as_they_were(void **state) {
    (void)state;
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 4096);
    ag_json_f64(&b, 0.1), ag_json_f64(&b, -0.0), ag_json_f64(&b, 1e300), ag_json_f64(&b, 3);
    expect(&b, "0.1,-0,1e+300,3");
    ag_json_f32(&b, 0.1f), ag_json_f32(&b, -1.5f);
    expect(&b, "0.1,-1.5");
    ag_json_f64(&b, NAN), ag_json_f64(&b, INFINITY);
    expect(&b, "null,null");
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 20000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        double v;
        float f;
        memcpy(&v, &x, sizeof v);
        memcpy(&f, &x, sizeof f);
        if (isfinite(v)) {
            ag_json_f64(&b, v);
            assert_true(strtod(ag_buf_cstr(&b), NULL) == v);
            b.n = 0;
        }
        if (isfinite(f)) {
            ag_json_f32(&b, f);
            assert_true(strtof(ag_buf_cstr(&b), NULL) == f);
            b.n = 0;
        }
    }
    ag_buf_deinit(&b);
}

static void a_full_buffer_fails_once_and_stays_failed(void **state) {
    (void)state;
    ag_buf b;
    ag_buf_init(&b, AG_ROOM_TEST, 8);
    ag_json_open(&b, '[');
    ag_json_str(&b, "far too long");
    ag_json_close(&b, ']');
    assert_int_equal(ag_buf_check(&b, "a line", NULL), AG_E_LIMIT);
    ag_buf_deinit(&b);
}

static void a_step_of_a_pointer_is_escaped_and_cut(void **state) {
    (void)state;
    char path[16] = "#";
    assert_int_equal(ag_json_step(path, 1, sizeof path, "a/b"), 6);
    assert_string_equal(path, "#/a~1b");
    assert_int_equal(ag_json_step(path, 6, sizeof path, ""), 7);
    assert_string_equal(path, "#/a~1b/");
    assert_int_equal(ag_json_step(path, 7, sizeof path, "~\n1"), 12);
    assert_string_equal(path, "#/a~1b//~0?1");
    assert_int_equal(ag_json_step(path, 12, sizeof path, "c~"), 14); /* half an escape would fit */
    assert_string_equal(path, "#/a~1b//~0?1/c");
    assert_int_equal(ag_json_step(path, 14, sizeof path, "de"), 15);
    assert_int_equal(ag_json_step(path, 15, sizeof path, "f"), 15);
    assert_string_equal(path, "#/a~1b//~0?1/c/");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_come_by_themselves),
        cmocka_unit_test(text_of_any_bytes_is_a_valid_string),
        cmocka_unit_test(numbers_read_back_as_they_were),
        cmocka_unit_test(a_full_buffer_fails_once_and_stays_failed),
        cmocka_unit_test(a_step_of_a_pointer_is_escaped_and_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
