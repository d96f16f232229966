#include "unit/test.h"

#include "unit/sample/plain.h"

static void refused(const ag_sampling *p, const char *message) {
    ag_err err = {0};
    assert_int_equal(ag_sampling_check(p, 100, &err), AG_E_ARG);
    assert_string_equal(err.msg, message);
    assert_int_equal(ag_sampling_check(p, 100, NULL), AG_E_ARG);
}

static void the_defaults_are_accepted(void **state) {
    (void)state;
    const ag_sampling p = ag_sampling_default();
    ag_err err = {0};
    assert_int_equal(ag_sampling_check(&p, 1, &err), AG_OK);
}

static void errors_name_field_value_and_range(void **state) {
    (void)state;
    ag_sampling p = ag_sampling_default();
    p.temperature = 101;
    refused(&p, "temperature is 101; allowed are from 0 to 100");
    p = ag_sampling_default();
    p.top_p = 0;
    refused(&p, "top_p is 0; allowed are above 0 to 1");
    p = ag_sampling_default();
    p.mirostat = 1;
    refused(&p, "mirostat is 1; allowed are 0 (off) and 2");
}

/* Each float, one after the other: NaN, both infinities, and just outside its range. */
static void every_float_has_a_range(void **state) {
    (void)state;
    static const struct {
        size_t at;
        float low, high; /* allowed themselves */
    } fields[] = {
        {offsetof(ag_sampling, temperature), 0, 100},
        {offsetof(ag_sampling, top_p), 1e-45f, 1},
        {offsetof(ag_sampling, min_p), 0, 1},
        {offsetof(ag_sampling, typical_p), 1e-45f, 1},
        {offsetof(ag_sampling, repetition_penalty), 1e-45f, 100},
        {offsetof(ag_sampling, frequency_penalty), -2, 2},
        {offsetof(ag_sampling, presence_penalty), -2, 2},
        {offsetof(ag_sampling, mirostat_tau), 0, 100},
        {offsetof(ag_sampling, mirostat_eta), 0, 1},
        {offsetof(ag_sampling, dry_multiplier), 0, 100},
        {offsetof(ag_sampling, dry_base), 1, 100},
        {offsetof(ag_sampling, xtc_probability), 0, 1},
        {offsetof(ag_sampling, xtc_threshold), 0, 1},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const float bad[] = {NAN, INFINITY, -INFINITY, nextafterf(fields[i].low, -INFINITY),
                             nextafterf(fields[i].high, INFINITY)};
        const float good[] = {fields[i].low, fields[i].high};
        for (size_t j = 0; j < 7; j++) {
            ag_sampling p = ag_sampling_default();
            const float value = j < 5 ? bad[j] : good[j - 5];
            memcpy((char *)&p + fields[i].at, &value, sizeof value);
            assert_int_equal(ag_sampling_check(&p, 100, NULL), j < 5 ? AG_E_ARG : AG_OK);
        }
    }
}

static void counts_have_lower_bounds(void **state) {
    (void)state;
    static const struct {
        size_t at;
        int32_t low;
    } fields[] = {{offsetof(ag_sampling, top_k), 0},
                  {offsetof(ag_sampling, penalty_last_n), -1},
                  {offsetof(ag_sampling, dry_allowed_length), 1},
                  {offsetof(ag_sampling, dry_penalty_last_n), -1}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const int32_t values[] = {fields[i].low, INT32_MAX, fields[i].low - 1, INT32_MIN};
        for (size_t j = 0; j < 4; j++) {
            ag_sampling p = ag_sampling_default();
            memcpy((char *)&p + fields[i].at, &values[j], sizeof values[j]);
            assert_int_equal(ag_sampling_check(&p, 100, NULL), j < 2 ? AG_OK : AG_E_ARG);
        }
    }
}

static void logit_bias_must_name_tokens_and_be_a_number(void **state) {
    (void)state;
    ag_logit_bias bias = {.id = 99, .bias = -INFINITY};
    ag_sampling p = ag_sampling_default();
    p.logit_bias = &bias;
    p.n_logit_bias = 1;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_OK);
    bias = (ag_logit_bias){.id = 100};
    refused(&p, "logit_bias names token 100; allowed are 0 to 99");
    bias = (ag_logit_bias){.id = -1};
    refused(&p, "logit_bias names token -1; allowed are 0 to 99");
    bias = (ag_logit_bias){.id = 3, .bias = NAN};
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_E_ARG);
    bias.bias = INFINITY;
    refused(&p, "logit_bias of token 3 is inf; allowed are finite values and -infinity");
    p.logit_bias = NULL;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_E_ARG);
    p.n_logit_bias = AG_SAMPLE_MAX_BIAS + 1;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_E_LIMIT);
}

static void forbidden_sequences_must_name_tokens(void **state) {
    (void)state;
    int32_t ids[] = {0, 99};
    ag_token_sequence sequences[2] = {{ids, 2}, {ids, 1}};
    ag_sampling p = ag_sampling_default();
    p.forbidden = sequences;
    p.n_forbidden = 2;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_OK);
    ids[1] = 100;
    refused(&p, "forbidden[0] names token 100; allowed are 0 to 99");
    ids[1] = -1;
    refused(&p, "forbidden[0] names token -1; allowed are 0 to 99");
    ids[1] = 1;
    sequences[1].n = 0;
    refused(&p, "forbidden[1] is empty; it must have a token");
    sequences[1].n = AG_SAMPLE_MAX_FORBIDDEN - 1;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_E_LIMIT);
    p.forbidden = NULL;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_E_ARG);
}

static void breakers_must_not_be_empty(void **state) {
    (void)state;
    const char *breakers[AG_SAMPLE_MAX_BREAKERS + 1] = {"\n", ""};
    ag_sampling p = ag_sampling_default();
    p.dry_breakers = breakers;
    p.n_dry_breakers = 1;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_OK);
    p.n_dry_breakers = 2;
    refused(&p, "dry_breakers[1] is empty; it must have a character");
    breakers[1] = NULL;
    refused(&p, "dry_breakers[1] is empty; it must have a character");
    p.n_dry_breakers = AG_SAMPLE_MAX_BREAKERS + 1;
    assert_int_equal(ag_sampling_check(&p, 100, NULL), AG_E_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_are_accepted),
        cmocka_unit_test(errors_name_field_value_and_range),
        cmocka_unit_test(every_float_has_a_range),
        cmocka_unit_test(counts_have_lower_bounds),
        cmocka_unit_test(logit_bias_must_name_tokens_and_be_a_number),
        cmocka_unit_test(forbidden_sequences_must_name_tokens),
        cmocka_unit_test(breakers_must_not_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
