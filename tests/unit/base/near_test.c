/* What is near enough to be suggested. */
#include "unit/test.h"

#include <string.h>

#include "base/near.h"

static size_t near(const char *written, const char *known) {
    return ag_near(ag_str(written), ag_str(known));
}

static void slips_of_the_hand_are_near(void **state) {
    (void)state;
    assert_int_equal(near("glm-4", "glm-4"), 0);
    assert_int_equal(near("gml-4", "glm-4"), 1);  /* swapped */
    assert_int_equal(near("glm4", "glm-4"), 1);   /* left out */
    assert_int_equal(near("glm--4", "glm-4"), 1); /* doubled */
    assert_int_equal(near("glm-5", "glm-4"), 1);
    assert_int_equal(near("glm", "glm-4-plus"), 1); /* an abbreviation */
}

static void other_words_are_not(void **state) {
    (void)state;
    assert_int_equal(near("llama", "glm-4"), SIZE_MAX);
    assert_int_equal(near("ab", "cd"), SIZE_MAX);
    assert_int_equal(near("", "a"), SIZE_MAX);
    assert_int_equal(near("gl", "glm-4-plus"), SIZE_MAX);
}

static void long_words_are_near_to_nothing(void **state) {
    (void)state;
    char longest[AG_NEAR_MAX + 2];
    memset(longest, 'a', sizeof longest);
    ag_span s = ag_span_of(longest, AG_NEAR_MAX);
    assert_int_equal(ag_near(s, s), 0);
    s.n++;
    assert_int_equal(ag_near(s, s), SIZE_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slips_of_the_hand_are_near),
        cmocka_unit_test(other_words_are_not),
        cmocka_unit_test(long_words_are_near_to_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
