/* The vocabularies of real models, where their files have been fetched into models/. */
#include <unistd.h>

#include "unit/text/golden.h"

static void check_model(const char *path, const char *golden) {
    vocab v = open_vocab(path);
    assert_int_equal(check_golden(v.t, golden), 151);
    close_vocab(&v);
}

/* The model of the quickstart. CTest shows the test as skipped by the message. */
static void smollm2_agrees_with_the_reference(void **state) {
    (void)state;
    const char *path = "models/smollm2-135m-instruct-q4_1.gguf";
    if (access(path, R_OK)) {
        print_message("skipped: %s is not there (tools/fetch_model)\n", path);
        skip();
    }
    check_model(path, "smollm2-135m.txt");
}

/* Nothing fetches this one; who has it gets it checked. */
static void gemma3_agrees_with_the_reference(void **state) {
    (void)state;
    const char *path = "models/gemma-3-270m-q4_k_m.gguf";
    if (access(path, R_OK)) {
        print_message("not checked: %s is not there\n", path);
        skip();
    }
    check_model(path, "gemma3-270m.txt");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smollm2_agrees_with_the_reference),
        cmocka_unit_test(gemma3_agrees_with_the_reference),
    };
    return cmocka_run_group_tests_name("text/real", tests, NULL, NULL);
}
