#include "unit/test.h"

#include "hub/parts.h"

#define SHA "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static void the_next_page_is_a_query(void **state) {
    (void)state;
    char q[AG_HUB_MAX_QUERY + 1];
    assert_true(ag_hub_next_page("<https://h/api/x?recursive=true&cursor=a%3D>; rel=\"next\"", q));
    assert_string_equal(q, "recursive=true&cursor=a%3D");
    assert_true(ag_hub_next_page("<https://h/?p=0>; rel=\"prev\", <https://h/?p=2>; rel=next", q));
    assert_string_equal(q, "p=2");
    assert_true(ag_hub_next_page("<http://h/x,y?a=b>;title=\"x\" ; rel=\"next\"", q));
    assert_string_equal(q, "a=b");
    const char *none[] = {"",
                          "<",
                          "<>",
                          "<https://h/?p=0>",
                          "<https://h/?p=0>; rel=\"last\"",
                          "<https://h/>; rel=\"next\"",
                          "<https://h/?>; rel=\"next\"",
                          "<https://h/?a b>; rel=\"next\"",
                          "<https://h/?a#b>; rel=\"next\"",
                          "<https://h/?\xff>; rel=\"next\"",
                          "https://h/?a; rel=\"next\""};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_false(ag_hub_next_page(none[i], q));
        assert_string_equal(q, "");
    }
}

static void etags_of_large_files_are_digests(void **state) {
    (void)state;
    char sha[AG_SHA256_TEXT];
    assert_true(ag_hub_etag_sha256("\"" SHA "\"", sha));
    assert_string_equal(sha, SHA);
    assert_true(ag_hub_etag_sha256(SHA, sha) && ag_hub_etag_sha256("W/\"" SHA "\"", sha));
    assert_false(ag_hub_etag_sha256("", sha) || ag_hub_etag_sha256("\"\"", sha) ||
                 ag_hub_etag_sha256("\"", sha) || ag_hub_etag_sha256("\"" SHA "0\"", sha));
    assert_true(ag_hub_etag_is_strong("\"a\""));
    assert_false(ag_hub_etag_is_strong("") || ag_hub_etag_is_strong("\"") ||
                 ag_hub_etag_is_strong("W/\"a\"") || ag_hub_etag_is_strong("\"a b\"") ||
                 ag_hub_etag_is_strong("\"a\"b\"") || ag_hub_etag_is_strong("\"a\r\nX: y\""));
}

static void ranges_are_read_exactly(void **state) {
    (void)state;
    assert_true(ag_hub_range_is("bytes 5-9/10", 5, 10));
    assert_true(ag_hub_range_is("bytes 5-9/*", 5, 10));
    assert_false(ag_hub_range_is("bytes 4-9/10", 5, 10) || ag_hub_range_is("bytes 5-8/10", 5, 10) ||
                 ag_hub_range_is("bytes 5-9/11", 5, 10) || ag_hub_range_is("bytes */10", 5, 10) ||
                 ag_hub_range_is("", 5, 10) || ag_hub_range_is("bytes 5-9/10x", 5, 10) ||
                 ag_hub_range_is("bytes 0-18446744073709551615/0", 0, 0));
}

static ag_code reads(const char *json, ag_err *err) {
    ag_hub_listing l;
    ag_hub_listing_init(&l);
    ag_code code = ag_hub_listing_add(&l, ag_str(json), err);
    if (!code)
        code = ag_hub_listing_finish(&l, err);
    ag_hub_listing_deinit(&l);
    return code;
}

static void a_list_is_found_by_path(void **state) {
    (void)state;
    ag_hub_listing l;
    ag_err err = {0};
    ag_hub_listing_init(&l);
    const char *page =
        "[{\"type\":\"file\",\"path\":\"b\",\"size\":5,\"oid\":\"x\",\"lfs\":{\"oid\":\"" SHA
        "\",\"size\":5}},{\"type\":\"directory\",\"path\":\"../..\"}]";
    assert_int_equal(ag_hub_listing_add(&l, ag_str(page), &err), AG_OK);
    page = "[{\"type\":\"file\",\"path\":\"a\",\"size\":0,\"oid\":"
           "\"e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\"}]";
    assert_int_equal(ag_hub_listing_add(&l, ag_str(page), &err), AG_OK);
    assert_int_equal(ag_hub_listing_finish(&l, &err), AG_OK);
    assert_int_equal(l.n, 2);
    assert_int_equal(ag_hub_listing_find(&l, ag_str("b"))->bytes, 5);
    assert_string_equal(ag_hub_listing_find(&l, ag_str("b"))->sha256, SHA);
    assert_string_equal(ag_hub_listing_find(&l, ag_str("a"))->sha256, "");
    assert_null(ag_hub_listing_find(&l, ag_str("ab")));
    assert_null(ag_hub_listing_find(&l, ag_str("")));
    ag_hub_listing_deinit(&l);
}

static void bad_lists_are_refused(void **state) {
    (void)state;
    const char *bad[] = {"",
                         "{}",
                         "[1]",
                         "null",
                         "[{\"type\":\"file\"}]",
                         "[{\"type\":\"file\",\"path\":\"a\",\"path\":\"b\"}]",
                         "[{\"type\":\"file\",\"path\":\"a\",\"size\":1}]",
                         "[{\"type\":\"file\",\"path\":\"a\",\"size\":1.5,\"oid\":\"\"}]"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ag_err err = {0};
        assert_int_equal(reads(bad[i], &err), AG_E_FORMAT);
    }
    ag_err err = {0};
    assert_int_equal(reads("[]", &err), AG_OK);
}

static void digests_are_those_of_the_tools(void **state) {
    (void)state;
    char text[AG_SHA256_TEXT];
    ag_hub_digest d;
    ag_hub_file f = {.bytes = 4, .sha256 = SHA};
    ag_hub_digest_init(&d, &f);
    ag_hub_digest_add(&d, ag_str("te"));
    ag_hub_digest_add(&d, ag_str("st"));
    ag_hub_digest_end(&d, text);
    assert_string_equal(text, SHA); /* printf test | sha256sum */
    f = (ag_hub_file){.bytes = 4, .blob = "x"};
    ag_hub_digest_init(&d, &f);
    ag_hub_digest_add(&d, ag_str("test"));
    ag_hub_digest_end(&d, text);
    assert_string_equal(text, "30d74d258442c7c65512eafab474568dd706c430"); /* git hash-object */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_next_page_is_a_query),
        cmocka_unit_test(etags_of_large_files_are_digests),
        cmocka_unit_test(ranges_are_read_exactly),
        cmocka_unit_test(a_list_is_found_by_path),
        cmocka_unit_test(bad_lists_are_refused),
        cmocka_unit_test(digests_are_those_of_the_tools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
