/* Who gets how much: the rules of memory.h, with small numbers. */
#include "unit/test.h"

#include "base/random.h"
#include "runtime/memory.h"

static ag_memory_answer ask(const ag_memory_model *m, size_t n, size_t which, uint64_t budget) {
    return ag_memory_ask(m, n, which, budget);
}

static void a_cache_that_was_asked_for_is_given_or_the_model_is_refused(void **state) {
    (void)state;
    ag_memory_model m[] = {{.fixed_bytes = 60, .least_kv_bytes = 30, .usual_kv_bytes = 30}};
    ag_memory_answer a = ask(m, 1, 0, 90);
    assert_int_equal(a.verdict, AG_MEMORY_FITS);
    assert_int_equal(a.limit_bytes, 90);
    assert_int_equal(ask(m, 1, 0, 200).limit_bytes, 90);
    assert_int_equal(ask(m, 1, 0, 89).verdict, AG_MEMORY_NEVER);
}

static void a_cache_that_was_not_asked_for_takes_what_there_is(void **state) {
    (void)state;
    ag_memory_model m[] = {{.fixed_bytes = 60, .least_kv_bytes = 10, .usual_kv_bytes = 100}};
    assert_int_equal(ask(m, 1, 0, 1000).limit_bytes, 160);
    assert_int_equal(ask(m, 1, 0, 100).limit_bytes, 100);
    assert_int_equal(ask(m, 1, 0, 70).limit_bytes, 70);
    assert_int_equal(ask(m, 1, 0, 69).verdict, AG_MEMORY_NEVER);
}

/* Whoever is loaded first: the same shares, and what one leaves goes to those behind it. */
static void models_at_start_share_what_is_left(void **state) {
    (void)state;
    ag_memory_model m[] = {
        {.fixed_bytes = 50, .least_kv_bytes = 10, .usual_kv_bytes = 1000, .at_start = true},
        {.fixed_bytes = 20, .least_kv_bytes = 10, .usual_kv_bytes = 30, .at_start = true},
        {.fixed_bytes = 30, .least_kv_bytes = 80, .usual_kv_bytes = 80, .at_start = true},
        {.fixed_bytes = 10, .least_kv_bytes = 10, .usual_kv_bytes = 1000, .at_start = true},
    };
    uint64_t budget = 220 + 90, sum = 0; /* 220: all with their least */
    static const uint64_t expected[] = {60 + 30, 30 + 20, 110, 20 + 40};
    for (size_t i = 0; i < 4; i++) {
        ag_memory_answer a = ask(m, 4, i, budget);
        assert_int_equal(a.verdict, AG_MEMORY_FITS);
        assert_int_equal(a.limit_bytes, expected[i]);
        m[i].held_bytes = a.limit_bytes;
        m[i].at_start = false;
        sum += a.limit_bytes;
    }
    assert_int_equal(sum, budget);
}

static void who_stays_leaves_room_for_the_largest_that_comes_when_asked_for(void **state) {
    (void)state;
    ag_memory_model m[] = {
        {.fixed_bytes = 50, .least_kv_bytes = 10, .usual_kv_bytes = 1000, .at_start = true},
        {.fixed_bytes = 40, .least_kv_bytes = 10, .usual_kv_bytes = 500, .may_unload = true},
        {.fixed_bytes = 20, .least_kv_bytes = 10, .usual_kv_bytes = 500, .may_unload = true},
    };
    assert_int_equal(ask(m, 3, 0, 200).limit_bytes, 150);
    m[0].held_bytes = 150;
    m[0].at_start = false;
    assert_int_equal(ask(m, 3, 1, 200).limit_bytes, 50);
    m[0].may_unload = true; /* it could make room itself */
    m[0].held_bytes = 0;
    assert_int_equal(ask(m, 3, 0, 200).limit_bytes, 200);
}

static void room_is_made_by_those_nobody_uses_longest_unused_first(void **state) {
    (void)state;
    ag_memory_model m[] = {
        {.fixed_bytes = 50},
        {.held_bytes = 40, .may_unload = true, .is_idle = true, .used_at = 9},
        {.held_bytes = 20, .may_unload = true, .is_idle = true, .used_at = 3},
        {.held_bytes = 30, .is_idle = true, .used_at = 1}, /* stays for good */
        {.held_bytes = 10, .may_unload = true, .used_at = 2},
    };
    ag_memory_answer a = ask(m, 5, 0, 100);
    assert_int_equal(a.verdict, AG_MEMORY_EVICT);
    assert_int_equal(a.victim, 2);
    assert_int_equal(a.free_bytes, 0);
    m[2].held_bytes = 0;
    a = ask(m, 5, 0, 100);
    assert_int_equal(a.verdict, AG_MEMORY_EVICT);
    assert_int_equal(a.victim, 1);
    m[1].held_bytes = 0;
    assert_int_equal(ask(m, 5, 0, 100).verdict, AG_MEMORY_FITS);

    m[1].held_bytes = 40;
    m[2].held_bytes = 20;
    m[0].fixed_bytes = 70; /* only with the busy one's: nobody goes */
    assert_int_equal(ask(m, 5, 0, 100).verdict, AG_MEMORY_WAIT);
    m[0].fixed_bytes = 71;
    assert_int_equal(ask(m, 5, 0, 100).verdict, AG_MEMORY_NEVER);
}

/* Whatever is asked in whatever order, what is held stays within the budget; who is evicted may be;
 * and asking again comes to an end. */
static void the_budget_holds_whatever_happens(void **state) {
    (void)state;
    enum { N = 6, BUDGET = 1000 };
    for (uint64_t seed = 0; seed < 300; seed++) {
        ag_memory_model m[N] = {0};
        ag_rng rng;
        ag_rng_init(&rng, seed);
        for (size_t i = 0; i < N; i++) {
            m[i].fixed_bytes = ag_rng_u64(&rng) % 500;
            m[i].least_kv_bytes = ag_rng_u64(&rng) % 200;
            m[i].usual_kv_bytes = m[i].least_kv_bytes + ag_rng_u64(&rng) % 3 * 150;
            m[i].may_unload = ag_rng_u64(&rng) % 2;
            m[i].at_start = !m[i].may_unload;
        }
        for (int step = 0; step < 200; step++) {
            size_t which = ag_rng_u64(&rng) % N;
            uint64_t held = 0;
            m[which].is_idle = ag_rng_u64(&rng) % 2;
            m[which].used_at = (uint64_t)step;
            if (m[which].held_bytes > 0)
                continue;
            ag_memory_answer a;
            int n = 0;
            while ((a = ask(m, N, which, BUDGET)).verdict == AG_MEMORY_EVICT) {
                ag_memory_model *v = &m[a.victim];
                assert_true(v->may_unload && v->is_idle && v->held_bytes > 0 && n++ < N);
                v->held_bytes = 0;
            }
            if (a.verdict == AG_MEMORY_FITS) {
                assert_true(n == 0 || a.limit_bytes > 0);
                assert_true(a.limit_bytes >= m[which].fixed_bytes + m[which].least_kv_bytes);
                m[which].held_bytes = a.limit_bytes;
                m[which].at_start = false;
            } else {
                assert_int_equal(n, 0); /* nobody left in vain */
            }
            for (size_t i = 0; i < N; i++)
                held += m[i].held_bytes;
            assert_true(held <= BUDGET);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cache_that_was_asked_for_is_given_or_the_model_is_refused),
        cmocka_unit_test(a_cache_that_was_not_asked_for_takes_what_there_is),
        cmocka_unit_test(models_at_start_share_what_is_left),
        cmocka_unit_test(who_stays_leaves_room_for_the_largest_that_comes_when_asked_for),
        cmocka_unit_test(room_is_made_by_those_nobody_uses_longest_unused_first),
        cmocka_unit_test(the_budget_holds_whatever_happens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
