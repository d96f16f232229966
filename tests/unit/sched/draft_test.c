#include "unit/test.h"

#include "sched/draft.h"

static void what_followed_before_is_guessed(void **state) {
    (void)state;
    const int32_t ids[] = {1, 2, 3, 4, 5, 6, 9, 8, 3, 4};
    int32_t out[4] = {0};
    assert_int_equal(ag_draft_find(ids, 10, 4, out), 4);
    const int32_t want[] = {5, 6, 9, 8};
    assert_memory_equal(out, want, sizeof want);
}

static void the_longest_and_then_the_latest_copy_counts(void **state) {
    (void)state;
    const int32_t ids[] = {7, 3, 4, 50, 0, 8, 3, 4, 60, 9, 3, 4, 70, 0, 8, 3, 4};
    int32_t out[1];
    assert_int_equal(ag_draft_find(ids, 17, 1, out), 1);
    assert_int_equal(out[0], 60); /* after 0 8 3 4, not after the latest 3 4 */
    assert_int_equal(ag_draft_find(ids, 12, 1, out), 1);
    assert_int_equal(out[0], 60);
}

static void a_loop_goes_on(void **state) {
    (void)state;
    const int32_t ids[] = {9, 1, 2, 1, 2, 1, 2};
    int32_t out[5];
    assert_int_equal(ag_draft_find(ids, 7, 5, out), 5);
    const int32_t want[] = {1, 2, 1, 2, 1};
    assert_memory_equal(out, want, sizeof want);
}

static void what_is_new_is_not_guessed(void **state) {
    (void)state;
    const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8, 3};
    int32_t out[4];
    assert_int_equal(ag_draft_find(ids, 9, 4, out), 0); /* 8 3 never stood there */
    for (int n = 0; n < 3; n++)
        assert_int_equal(ag_draft_find(ids, n, 4, out), 0);
}

static void drafts_grow_with_their_luck_and_stop_without(void **state) {
    (void)state;
    ag_draft d;
    ag_draft_init(&d, 99, false);
    assert_int_equal(d.most, AG_MAX_DRAFT);
    assert_int_equal(ag_draft_worth(&d, 8, 100, 0), 8); /* rows that cost nothing */
    for (int i = 0; i < 20; i++)
        ag_draft_note(&d, 8, 8);
    assert_int_equal(ag_draft_worth(&d, 8, 100, 10), 8);
    for (int i = 0; i < 40; i++)
        ag_draft_note(&d, 4, 0);
    assert_int_equal(ag_draft_worth(&d, 8, 100, 10), 0);
    for (int i = 0; i < 64; i++) /* a text may become another */
        ag_draft_note(&d, 0, 0);
    assert_true(ag_draft_worth(&d, 8, 100, 10) > 0);
    assert_int_equal(ag_draft_worth(&d, 8, 100, 90), 0); /* rows that cost too much */
    ag_draft_init(&d, 4, true);
    assert_int_equal(ag_draft_worth(&d, 4, 100, 1000), 4); /* as was asked for */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_followed_before_is_guessed),
        cmocka_unit_test(the_longest_and_then_the_latest_copy_counts),
        cmocka_unit_test(a_loop_goes_on),
        cmocka_unit_test(what_is_new_is_not_guessed),
        cmocka_unit_test(drafts_grow_with_their_luck_and_stop_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
