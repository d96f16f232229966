#include "http/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/random.h"

static ag_http_queue q;

static int setup(void **state) {
    (void)state;
    ag_http_queue_init(&q, 10, 20, 1000);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    ag_http_queue_deinit(&q);
    return ag_mem_bytes(AG_ROOM_HTTP) == 0 ? 0 : -1;
}

static void push(size_t n) {
    char bytes[1000] = {0};
    assert_true(ag_http_queue_push(&q, ag_span_of(bytes, n)));
}

static bool pop(size_t n) {
    char bytes[1000];
    bool drained;
    assert_int_equal(ag_http_queue_pop(&q, bytes, n, &drained), n);
    return drained;
}

static void it_is_full_above_the_high_mark_until_it_falls_to_the_low_one(void **state) {
    (void)state;
    push(20);
    assert_false(q.full);
    push(1);
    assert_true(q.full);
    assert_false(pop(10)); /* 11 left */
    assert_true(q.full);
    assert_true(pop(1)); /* 10: the low mark */
    assert_false(q.full);
    assert_false(pop(5)); /* said once */
    push(16);
    assert_true(q.full);
    assert_true(pop(21));
}

static void bytes_come_out_in_order_whatever_the_pieces(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 1);
    uint8_t in = 0, out = 0;
    char bytes[64];
    bool drained;
    for (int i = 0; i < 10000; i++) {
        size_t n = ag_rng_u64(&rng) % 40;
        if (ag_http_queue_bytes(&q) + n <= 400) {
            for (size_t k = 0; k < n; k++)
                bytes[k] = (char)in++;
            assert_true(ag_http_queue_push(&q, ag_span_of(bytes, n)));
        }
        n = ag_http_queue_pop(&q, bytes, ag_rng_u64(&rng) % 40, &drained);
        for (size_t k = 0; k < n; k++)
            assert_int_equal((uint8_t)bytes[k], out++);
        assert_true(q.buf.n <= 1000 && q.at <= q.buf.n);
    }
}

static void a_push_past_the_cap_leaves_it_as_it_was(void **state) {
    (void)state;
    char bytes[1000] = "x";
    push(900);
    assert_false(ag_http_queue_push(&q, ag_span_of(bytes, 101)));
    assert_int_equal(ag_http_queue_bytes(&q), 900);
}

static void out_of_memory_leaves_it_as_it_was(void **state) {
    (void)state;
    push(10);
    ag_fault_arm(AG_FAULT_ALLOC, 1, false);
    char bytes[500] = {0};
    assert_false(ag_http_queue_push(&q, ag_span_of(bytes, 500)));
    ag_fault_arm(AG_FAULT_ALLOC, 0, false);
    assert_int_equal(ag_http_queue_bytes(&q), 10);
}

static void an_adopted_body_comes_out_and_leaves_nothing_behind(void **state) {
    (void)state;
    ag_buf body;
    ag_buf_init(&body, AG_ROOM_TEST, 100);
    ag_buf_adds(&body, "hello");
    ag_http_queue_adopt(&q, &body);
    assert_int_equal(body.n, 0);
    char out[8];
    bool drained;
    assert_int_equal(ag_http_queue_pop(&q, out, 8, &drained), 5);
    assert_memory_equal(out, "hello", 5);
    ag_buf_deinit(&body);
}

static void memory_of_a_slow_reader_is_given_back(void **state) {
    (void)state;
    push(900);
    pop(900);
    assert_int_equal(q.buf.room, 0);
}

int main(void) {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_is_full_above_the_high_mark_until_it_falls_to_the_low_one),
        T(bytes_come_out_in_order_whatever_the_pieces),
        T(a_push_past_the_cap_leaves_it_as_it_was),
        T(out_of_memory_leaves_it_as_it_was),
        T(an_adopted_body_comes_out_and_leaves_nothing_behind),
        T(memory_of_a_slow_reader_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
