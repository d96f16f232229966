#include <math.h>

#include "unit/test.h"

#include "base/limits.h"
#include "model/route.h"

static ag_moe_config config(int n_experts, int n_used, ag_gating gating) {
    return (ag_moe_config){.n_experts = n_experts,
                           .n_used = n_used,
                           .n_groups = 1,
                           .n_groups_used = 1,
                           .gating = gating,
                           .normalise = true,
                           .scale = 1.0f};
}

static void near(float got, double want) {
    if (fabs((double)got - want) > 1e-6)
        fail_msg("%f, expected %f", (double)got, want);
}

static void the_largest_are_chosen_in_ascending_order(void **state) {
    (void)state;
    ag_moe_config c = config(5, 2, AG_GATE_SOFTMAX);
    float x[] = {0, 3, 1, 2, -1}, w[2];
    int e[2];
    ag_route(&c, x, NULL, e, w);
    assert_int_equal(e[0], 1);
    assert_int_equal(e[1], 3);
    near(w[0], 1 / (1 + exp(-1)));
    near(w[1], 1 / (1 + exp(1)));
}

static void without_dividing_weights_are_shares_of_all(void **state) {
    (void)state;
    ag_moe_config c = config(4, 1, AG_GATE_SOFTMAX);
    c.normalise = false;
    c.scale = 3.0f;
    float x[] = {1, 1, 1, 2}, w[1];
    int e[1];
    ag_route(&c, x, NULL, e, w);
    assert_int_equal(e[0], 3);
    near(w[0], 3 * exp(1) / (3 + exp(1)));
}

static void among_equals_the_lower_number_wins(void **state) {
    (void)state;
    ag_moe_config c = config(6, 3, AG_GATE_SIGMOID);
    float x[] = {1, 2, 2, 2, 2, 1}, w[3];
    int e[3];
    ag_route(&c, x, NULL, e, w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(e[i], i + 1);
}

static void the_bias_moves_the_choice_but_not_the_weight(void **state) {
    (void)state;
    ag_moe_config c = config(3, 1, AG_GATE_SIGMOID);
    c.normalise = false;
    float x[] = {2, 1, 0}, bias[] = {0, 0, 1}, w[1];
    int e[1];
    ag_route(&c, x, bias, e, w);
    assert_int_equal(e[0], 2);
    near(w[0], 0.5);
}

/* The group of the single best expert loses to the one whose two best add to more, unless groups
 * count by their best. */
static void groups_count_by_two_or_by_one(void **state) {
    (void)state;
    static const int sigmoid_choice[] = {2, 3}, softmax_choice[] = {0, 1};
    for (int gating = 0; gating < 2; gating++) {
        ag_moe_config c = config(4, 2, (ag_gating)gating);
        c.n_groups = 2;
        float x[] = {3, -9, 2, 2}, w[2];
        int e[2];
        ag_route(&c, x, NULL, e, w);
        const int *want = gating == AG_GATE_SIGMOID ? sigmoid_choice : softmax_choice;
        assert_memory_equal(e, want, sizeof e);
    }
}

static void what_is_not_a_number_is_chosen_last(void **state) {
    (void)state;
    ag_moe_config c = config(4, 3, AG_GATE_SIGMOID);
    float x[] = {NAN, 1, -2, 0}, w[3];
    int e[3];
    ag_route(&c, x, NULL, e, w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(e[i], i + 1);
    float all[] = {NAN, NAN, NAN, NAN};
    ag_route(&c, all, NULL, e, w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(e[i], i);
}

/* Whatever the numbers: different experts, ascending, of groups that take part. */
static void any_numbers_give_a_valid_choice(void **state) {
    (void)state;
    static float x[AG_MAX_EXPERTS], bias[AG_MAX_EXPERTS];
    static const int shapes[][4] = {/* experts, used, groups, groups used */
                                    {1, 1, 1, 1},     {8, 8, 1, 1},      {160, 8, 8, 3},
                                    {64, 6, 64, 6},   {128, 64, 2, 1},   {4096, 64, 64, 1},
                                    {4096, 64, 1, 1}, {4096, 3, 4096, 3}};
    static const float odd[] = {NAN, INFINITY, -INFINITY, 0.0f, 1e30f};
    uint64_t random = 7;
    for (int round = 0; round < 400; round++) {
        const int *s = shapes[round % 8];
        ag_moe_config c = config(s[0], s[1], round / 8 % 2 ? AG_GATE_SIGMOID : AG_GATE_SOFTMAX);
        c.n_groups = s[2];
        c.n_groups_used = s[3];
        for (int i = 0; i < s[0]; i++) {
            uint64_t r = random = random * 6364136223846793005u + 1442695040888963407u;
            bool is_odd = round % 3 == 0 && (r >> 32) % 4 == 0;
            x[i] = is_odd ? odd[(r >> 40) % 5] : (float)((int64_t)(r >> 33) - (1 << 30)) * 0x1p-27f;
            bias[i] = x[(i * 7) % (i + 1)] * 0.25f;
        }
        int e[AG_MAX_EXPERTS_USED], groups = 0, last_group = -1;
        float w[AG_MAX_EXPERTS_USED];
        ag_route(&c, x, round % 2 ? bias : NULL, e, w);
        for (int i = 0; i < c.n_used; i++) {
            assert_in_range(e[i], i ? e[i - 1] + 1 : 0, c.n_experts - 1);
            int group = e[i] / (c.n_experts / c.n_groups);
            groups += group != last_group;
            last_group = group;
        }
        assert_in_range(groups, 1, c.n_groups_used);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_largest_are_chosen_in_ascending_order),
        cmocka_unit_test(without_dividing_weights_are_shares_of_all),
        cmocka_unit_test(among_equals_the_lower_number_wins),
        cmocka_unit_test(the_bias_moves_the_choice_but_not_the_weight),
        cmocka_unit_test(groups_count_by_two_or_by_one),
        cmocka_unit_test(what_is_not_a_number_is_chosen_last),
        cmocka_unit_test(any_numbers_give_a_valid_choice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
