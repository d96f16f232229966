#include "unit/test.h"

#include "routes/keys.h"

static void a_key_names_its_tenant(void **state) {
    (void)state;
    ag_keys *k;
    ag_err err = {0};
    assert_int_equal(
        ag_keys_parse(ag_str("# who\n\nalice  sk-1 \r\nsk-2\nbob sk-5 2.5\n"), "f", &k, &err),
        AG_OK);
    assert_int_equal(ag_keys_n(k), 3);
    assert_string_equal(ag_keys_find(k, ag_str("sk-1"))->name, "alice");
    assert_true(ag_keys_find(k, ag_str("sk-1"))->weight == 1);
    assert_string_equal(ag_keys_find(k, ag_str("sk-2"))->name, "key-4");
    assert_true(ag_keys_find(k, ag_str("sk-5"))->weight == 2.5f);
    assert_null(ag_keys_find(k, ag_str("sk-")));
    assert_null(ag_keys_find(k, ag_str("alice")));
    assert_null(ag_keys_find(k, ag_str("")));
    ag_keys_free(&k);
    assert_null(k);
}

static void wrong_lines_are_told_without_showing_a_key(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"", "holds no key"},
        {"# nothing\n", "holds no key"},
        {"a b secret\n", "f:1: the weight"},
        {"a b 0\n", "f:1: the weight"},
        {"a b 1e9\n", "f:1: the weight"},
        {"a b 1 secret\n", "f:1: expected"},
        {"secret\nx secret\n", "f:2: this key stands there twice"},
        {"s\xc3\xa9"
         "cret\n",
         "f:1: expected"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ag_keys *k;
        ag_err err = {0};
        assert_int_not_equal(ag_keys_parse(ag_str(cases[i][0]), "f", &k, &err), AG_OK);
        assert_null(k);
        assert_non_null(strstr(err.msg, cases[i][1]));
        assert_null(strstr(err.msg, "secret"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_names_its_tenant),
        cmocka_unit_test(wrong_lines_are_told_without_showing_a_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
