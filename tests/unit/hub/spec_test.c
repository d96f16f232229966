#include "unit/test.h"

#include "hub/spec.h"

#include <stdio.h>

static ag_hub_spec parsed(const char *text) {
    ag_hub_spec s;
    ag_err err = {0};
    assert_int_equal(ag_hub_spec_parse(text, &s, &err), AG_OK);
    return s;
}

static void a_spec_has_up_to_three_parts(void **state) {
    (void)state;
    ag_hub_spec s = parsed("hf:THUDM/glm-4-9b-chat");
    assert_string_equal(s.repo, "THUDM/glm-4-9b-chat");
    assert_string_equal(s.revision, "");
    assert_string_equal(s.file, "");
    s = parsed("hf:a/b.c_d@refs/pr/1:sub/file-00001-of-00002.gguf");
    assert_string_equal(s.repo, "a/b.c_d");
    assert_string_equal(s.revision, "refs/pr/1");
    assert_string_equal(s.file, "sub/file-00001-of-00002.gguf");
    s = parsed("hf:a/b:Q4_K_M@x"); /* an @ behind the colon is the file's */
    assert_string_equal(s.revision, "");
    assert_string_equal(s.file, "Q4_K_M@x");
}

static void other_texts_are_refused(void **state) {
    (void)state;
    const char *bad[] = {"",          "a/b",       "hf:",         "hf:a",      "hf:/b",
                         "hf:a/",     "hf:a/b/c",  "hf:../b",     "hf:a/..",   "hf:a/.b",
                         "hf:-a/b",   "hf:a/b-",   "hf:a--b/c",   "hf:a..b/c", "hf:a b/c",
                         "hf:a/b\n",  "hf:a/b%2f", "hf:a/b?c",    "hf:a/b@",   "hf:a/b@a b",
                         "hf:a/b@..", "hf:a/b@x/", "hf:a/b@/x",   "hf:a/b@-x", "hf:a/b@a#b",
                         "hf:a/b:",   "hf:a/b:/x", "hf:a/b:../x", "HF:a/b",    "http://a/b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ag_hub_spec s;
        ag_err err = {0};
        assert_int_equal(ag_hub_spec_parse(bad[i], &s, &err), AG_E_ARG);
        assert_true(err.msg[0] != '\0');
    }
}

static void names_have_a_length(void **state) {
    (void)state;
    char text[300];
    ag_hub_spec s;
    snprintf(text, sizeof text, "hf:%0*d/%0*d", 96, 1, 96, 2);
    assert_int_equal(ag_hub_spec_parse(text, &s, NULL), AG_OK);
    assert_int_equal(strlen(s.repo), 193);
    snprintf(text, sizeof text, "hf:a/%0*d", 97, 1);
    assert_int_equal(ag_hub_spec_parse(text, &s, NULL), AG_E_ARG);
}

static void paths_stay_below_the_folder(void **state) {
    (void)state;
    const char *good[] = {
        "a",       "a.gguf",   "a/b/c.json", "1_Pooling/config.json", "..a",    "a..",
        "a b+c#d", "\xc3\xa9", "...",        ".gitattributes",        "partial"};
    const char *bad[] = {"",
                         "/",
                         "/a",
                         "a/",
                         "a//b",
                         ".",
                         "..",
                         "./a",
                         "a/.",
                         "../a",
                         "a/../b",
                         "a/..",
                         "a\\b",
                         "a\nb",
                         "a\x7f",
                         "\x01",
                         "a\tb",
                         "\xff",
                         "\xc3",
                         "a.partial",
                         "a/b.partial.note",
                         ".autoglm-pull.json",
                         "x/.autoglm-pull.json"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(ag_hub_is_path(ag_str(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(ag_hub_is_path(ag_str(bad[i])));
    assert_false(ag_hub_is_path(ag_span_of("a\0b", 3)));
}

static void paths_have_a_length(void **state) {
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text);
    assert_true(ag_hub_is_path(ag_span_of(text, AG_HUB_MAX_PART)));
    assert_false(ag_hub_is_path(ag_span_of(text, AG_HUB_MAX_PART + 1)));
    for (size_t i = 100; i < sizeof text; i += 100)
        text[i] = '/';
    assert_true(ag_hub_is_path(ag_span_of(text, AG_HUB_MAX_PATH)));
    assert_false(ag_hub_is_path(ag_span_of(text, AG_HUB_MAX_PATH + 1)));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_spec_has_up_to_three_parts),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(names_have_a_length),
        cmocka_unit_test(paths_stay_below_the_folder),
        cmocka_unit_test(paths_have_a_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
