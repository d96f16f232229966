/* The vocabularies of real models, where their files have been fetched into models/. */
#include <unistd.h>

#include "unit/text/golden.h"

static void check_model(const char *path, const char *golden) {
    if (access(path, R_OK)) {
        print_message("skipped: %s is not there (tools/fetch_model)\n", path);
        skip();
    }
    vocab v = open_vocab(path);
    assert_int_equal(check_golden(v.t, golden), 151);
    close_vocab(&v);
}

static void smollm2_agrees_with_the_reference(void **state) {
    (void)state;
    check_model("models/smollm2-135m-instruct-q4_1.gguf", "smollm2-135m.txt");
}
static void gemma3_agrees_with_the_reference(void **state) {
    (void)state;
    check_model("models/gemma-3-270m-q4_k_m.gguf", "gemma3-270m.txt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_agrees_with_the_reference),
        cmocka_unit_test(gemma3_agrees_with_the_reference),
    };
    return cmocka_run_group_tests_name("text/real", tests, NULL, NULL);
}
