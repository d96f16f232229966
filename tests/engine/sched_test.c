/* What a request may ask of the scheduler, and what the engine promises about its line: deadlines,
 * salts, limits. The order itself is held by tests/unit/sched. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/support.h"

static ag_engine *engine;
static answer a, b;

static ag_engine_opts small(uint32_t context, uint32_t max_sequences) {
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "q4_0"));
    o.max_context_length = context;
    o.max_sequences = max_sequences;
    o.kv_tokens = 4 * context;
    return o;
}

/* Takes its time and keeps only the count: such an answer never ends by itself in a test. */
static bool slowly(void *ctx, const ag_token_event *event) {
    (void)event;
    usleep(1000);
    atomic_fetch_add(&((answer *)ctx)->n_tokens, 1);
    return true;
}

static ag_request_opts ask(const char *text, uint32_t max_tokens, answer *into) {
    memset(into, 0, sizeof *into);
    return ask_text(text, max_tokens, into);
}

static ag_request_opts ask_endless(answer *into) {
    ag_request_opts r = ask("Hello", 0, into);
    r.on_token = slowly;
    return r;
}

/* Run to the end, which may be an error. */
static void run(const ag_request_opts *opts) {
    ag_request *request = must_submit(engine, opts);
    must_finish(&request);
}

static void wait_for_tokens(const answer *of, int n) {
    for (int i = 0; i < 20000 && atomic_load(&of->n_tokens) < n; i++)
        usleep(500);
    assert_true(atomic_load(&of->n_tokens) >= n);
}

static void a_deadline_ends_a_running_request(void **state) {
    (void)state;
    ag_engine_opts o = small(4096, 2);
    engine = must_open(&o);
    ag_request_opts r = ask_endless(&a);
    r.timeout_ms = 60;
    run(&r);
    assert_int_equal(a.finish, AG_FINISH_ERROR);
    assert_int_equal(a.result.err.code, AG_E_TIMEOUT);
    assert_true(a.result.n_generated < 4000);
    ag_engine_close(&engine);
}

static void a_deadline_ends_a_waiting_request(void **state) {
    (void)state;
    ag_engine_opts o = small(4096, 1);
    engine = must_open(&o);
    ag_request_opts r = ask_endless(&a);
    ag_request *first = must_submit(engine, &r);
    wait_for_tokens(&a, 1);
    r = ask("Hello", 3, &b);
    r.max_queue_ms = 30;
    run(&r);
    assert_int_equal(b.finish, AG_FINISH_ERROR);
    assert_int_equal(b.result.err.code, AG_E_TIMEOUT);
    assert_int_equal(b.n, 0);
    assert_int_equal(atomic_load(&a.n_done), 0);
    ag_request_cancel(first);
    must_finish(&first);
    ag_engine_close(&engine);
}

static void beginnings_are_shared_only_under_one_salt(void **state) {
    (void)state;
    ag_engine_opts o = small(256, 2);
    engine = must_open(&o);
    int32_t ids[100];
    for (int i = 0; i < 100; i++)
        ids[i] = 5 + i % 40;
    static const struct {
        const char *salt;
        uint32_t cached;
    } rows[] = {{NULL, 0}, {NULL, 96}, {"a", 0}, {"a", 96}, {"b", 0}, {NULL, 96}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        answer *x = i ? &b : &a;
        memset(x, 0, sizeof *x);
        ag_request_opts r = ask_ids(ids, 100, 4, x);
        r.cache_salt = rows[i].salt;
        r.cache_salt_len = rows[i].salt ? 1 : 0;
        must_answer(engine, &r);
        assert_int_equal(x->result.n_cached, rows[i].cached);
        assert_true(same_answer(&a, x));
    }
    ag_engine_close(&engine);
}

static void the_line_is_as_long_as_was_asked_for(void **state) {
    (void)state;
    ag_engine_opts o = small(4096, 1);
    o.max_queued_requests = 3;
    engine = must_open(&o);
    ag_request_opts r = ask_endless(&a);
    ag_request *first = must_submit(engine, &r);
    wait_for_tokens(&a, 1);
    r = ask("Hello", 3, &b);
    ag_err err = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(ag_engine_submit(engine, &r, NULL, &err), AG_OK);
    assert_int_equal(ag_engine_submit(engine, &r, NULL, &err), AG_E_AGAIN);
    assert_true(strstr(err.msg, "3 requests") != NULL);
    ag_request_cancel(first);
    must_finish(&first);
    ag_engine_close(&engine);
}

static void wrong_terms_are_refused_by_name(void **state) {
    (void)state;
    ag_engine_opts o = small(64, 1);
    engine = must_open(&o);
    ag_err err = {0};
    ag_request_opts r = ask("Hello", 1, &a);
    r.priority = (ag_priority)2;
    assert_int_equal(ag_engine_submit(engine, &r, NULL, &err), AG_E_ARG);
    assert_true(strstr(err.msg, "priority is 2") != NULL);
    static const float weights[] = {-1, 1001, NAN, INFINITY};
    for (size_t i = 0; i < 4; i++) {
        r = ask("Hello", 1, &a);
        r.tenant_weight = weights[i];
        assert_int_equal(ag_engine_submit(engine, &r, NULL, &err), AG_E_ARG);
        assert_true(strstr(err.msg, "tenant_weight") != NULL);
    }
    ag_engine_close(&engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_ends_a_running_request),
        cmocka_unit_test(a_deadline_ends_a_waiting_request),
        cmocka_unit_test(beginnings_are_shared_only_under_one_salt),
        cmocka_unit_test(the_line_is_as_long_as_was_asked_for),
        cmocka_unit_test(wrong_terms_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
