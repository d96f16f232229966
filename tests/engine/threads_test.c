/* Several threads on one engine: answers stay what they are alone, cancelling and closing are
 * orderly, and more work than fits waits its turn. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/support.h"

#define THREADS  4
#define REQUESTS 3
#define LENGTH   24

static const char *const prompts[THREADS] = {"The quick brown fox", "Open the settings",
                                             "1234567 lazy dogs", "print(i, argv[i])"};
static ag_engine *engine;

static ag_request_opts question(int who, answer *a) {
    ag_request_opts o = ask_text(prompts[who], LENGTH, a);
    o.sampling.temperature = who % 2 ? 0.8f : 0;
    o.sampling.seed = (uint64_t)who;
    o.sampling.has_seed = true;
    return o;
}

typedef struct worker {
    int who;
    bool same;
    answer *alone;
} worker;

static void *ask_often(void *arg) {
    worker *w = arg;
    answer *a = calloc(REQUESTS, sizeof *a);
    w->same = true;
    for (int round = 0; round < 3; round++) {
        ag_request *requests[REQUESTS] = {0};
        for (int i = 0; i < REQUESTS; i++) {
            ag_request_opts o = question(w->who, &a[i]);
            ag_err err = {0};
            if (ag_engine_submit(engine, &o, &requests[i], &err))
                w->same = false;
        }
        for (int i = 0; i < REQUESTS; i++) {
            if (requests[i])
                ag_request_wait(requests[i]);
            ag_request_release(&requests[i]);
            w->same = w->same && same_answer(&a[i], w->alone);
        }
        int32_t *ids = NULL;
        size_t n = 0;
        ag_err err = {0};
        w->same = w->same && ag_engine_tokenize(engine, prompts[w->who], strlen(prompts[w->who]),
                                                true, false, &ids, &n, &err) == AG_OK;
        ag_ids_free(ids);
    }
    free(a);
    return NULL;
}

static void run_threads(uint32_t max_sequences, uint64_t kv_tokens) {
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "q4_k"));
    o.n_threads = 2;
    o.batch_tokens = 16;
    o.max_sequences = max_sequences;
    o.kv_tokens = kv_tokens;
    o.max_context_length = 64;
    engine = must_open(&o);
    static answer alone[THREADS];
    worker w[THREADS];
    pthread_t thread[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ag_request_opts r = question(i, &alone[i]);
        must_answer(engine, &r);
        assert_int_equal(alone[i].n, LENGTH);
    }
    for (int i = 0; i < THREADS; i++) {
        w[i] = (worker){.who = i, .alone = &alone[i]};
        assert_int_equal(pthread_create(&thread[i], NULL, ask_often, &w[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(thread[i], NULL);
    ag_engine_close(&engine);
    for (int i = 0; i < THREADS; i++)
        assert_true(w[i].same);
}

static void answers_of_several_threads_are_those_alone(void **state) {
    (void)state;
    run_threads(16, 1024);
}

static void more_requests_than_sequences_wait_their_turn(void **state) {
    (void)state;
    run_threads(2, 1024);
}

static void more_requests_than_kv_holds_wait_their_turn(void **state) {
    (void)state;
    run_threads(8, 128);
}

/* One of many that choose from 512 tokens in the same steps: enough to be shared by threads. */
static ag_request_opts one_of_many(int who, answer *a) {
    static const int32_t ids[] = {5, 9, 17, 33, 65};
    ag_request_opts o = ask_ids(ids, 2 + (size_t)who % 4, 24, a);
    ag_sampling *p = &o.sampling;
    p->has_seed = true;
    p->seed = (uint64_t)who;
    p->temperature = who % 8 ? 1 : 0;
    p->top_p = who % 8 == 1 ? 0.9f : 1;
    p->top_k = who % 8 == 2 ? 40 : 0;
    p->typical_p = who % 8 == 3 ? 0.9f : 1;
    p->repetition_penalty = who % 8 == 4 ? 1.3f : 1;
    p->dry_multiplier = who % 8 == 5 ? 0.8f : 0;
    p->mirostat = who % 8 == 6 ? 2 : 0;
    o.top_logprobs = 3;
    if (who % 8 == 7)
        o.structure = (ag_structure){AG_STRUCTURE_REGEX, "[a-z ]{5,}", 10};
    return o;
}

static void tokens_that_several_threads_choose_are_those_of_one(void **state) {
    (void)state;
    enum { MANY = 96 };
    ag_engine_opts opts = test_opts(model_path("tiny-llama2", "q4_0"));
    answer *alone = calloc(MANY, sizeof *alone), *beside = calloc(MANY, sizeof *beside);
    ag_request *requests[MANY];
    opts.max_context_length = 64;
    opts.max_sequences = MANY;
    opts.kv_tokens = 64 * MANY;
    engine = must_open(&opts);
    for (int i = 0; i < MANY; i++) {
        ag_request_opts o = one_of_many(i, &alone[i]);
        must_answer(engine, &o);
    }
    ag_engine_close(&engine);
    opts.n_threads = 4;
    engine = must_open(&opts);
    for (int i = 0; i < MANY; i++) {
        ag_request_opts o = one_of_many(i, &beside[i]);
        requests[i] = must_submit(engine, &o);
    }
    for (int i = 0; i < MANY; i++)
        must_finish(&requests[i]);
    ag_engine_close(&engine);
    for (int i = 0; i < MANY; i++)
        if (!same_answer(&alone[i], &beside[i]))
            fail_msg("request %d has another answer than alone", i);
    free(alone);
    free(beside);
}

static void wait_for_tokens(const answer *a, int n) {
    for (int i = 0; i < 20000 && atomic_load(&a->n_tokens) < n; i++)
        usleep(500);
    assert_true(atomic_load(&a->n_tokens) >= n);
}

static void small_engine(const char *model, uint32_t context) {
    ag_engine_opts o = test_opts(model_path(model, "q4_0"));
    o.n_threads = 2;
    o.max_context_length = context;
    o.kv_tokens = 4 * context;
    engine = must_open(&o);
}

static void a_cancelled_request_ends_and_frees_its_room(void **state) {
    (void)state;
    small_engine("tiny-glm4", 2048);
    static answer a;
    for (int round = 0; round < 6; round++) { /* more rounds than the KV could hold at once */
        ag_request_opts o = ask_text("Hello", 0, &a);
        ag_request *request = must_submit(engine, &o);
        wait_for_tokens(&a, 3);
        ag_request_cancel(request);
        ag_request_cancel(request);
        must_finish(&request);
        assert_int_equal(a.finish, AG_FINISH_CANCELLED);
        assert_int_equal(atomic_load(&a.n_done), 1);
        assert_true(a.result.n_generated >= 3 && a.result.n_generated < 2000);
    }
    ag_engine_close(&engine);
}

static void cancelling_after_the_end_changes_nothing(void **state) {
    (void)state;
    small_engine("tiny-glm4", 64);
    static answer a;
    ag_request_opts o = ask_text("Hello", 3, &a);
    ag_request *request = must_submit(engine, &o);
    ag_request_wait(request);
    ag_request_cancel(request);
    ag_request_wait(request);
    ag_request_release(&request);
    ag_request_release(&request);
    assert_int_equal(a.finish, AG_FINISH_LENGTH);
    assert_int_equal(atomic_load(&a.n_done), 1);
    ag_engine_close(&engine);
}

static void closing_ends_what_runs_and_what_waits(void **state) {
    (void)state;
    small_engine("tiny-glm4", 4096);
    static answer a[12];
    for (int i = 0; i < 12; i++) { /* more than max_sequences: some are still queued */
        ag_request_opts o = ask_text("Hello", 0, &a[i]);
        ag_err err = {0};
        if (ag_engine_submit(engine, &o, NULL, &err))
            fail_msg("%s", err.msg);
    }
    wait_for_tokens(&a[0], 2);
    ag_engine_close(&engine);
    assert_null(engine);
    for (int i = 0; i < 12; i++) {
        assert_int_equal(atomic_load(&a[i].n_done), 1);
        assert_int_equal(a[i].finish, AG_FINISH_CANCELLED);
        assert_false(a[i].out_of_order);
    }
}

static void a_released_request_goes_on(void **state) {
    (void)state;
    small_engine("tiny-glm4", 64);
    static answer a;
    ag_request_opts o = ask_text("Hello", 5, &a);
    ag_request *request = must_submit(engine, &o);
    ag_request_release(&request);
    wait_for_tokens(&a, 5);
    ag_engine_close(&engine);
    assert_int_equal(atomic_load(&a.n_done), 1);
}

static void a_full_queue_says_try_again(void **state) {
    (void)state;
    small_engine("tiny-glm4", 512);
    enum { MANY = 20000 };
    answer *shared_answer = calloc(1, sizeof *shared_answer);
    ag_request_opts o = ask_text("Hello", 400, shared_answer);
    o.on_token = NULL; /* the counters are enough */
    int accepted = 0;
    ag_code code = AG_OK;
    ag_err err = {0};
    for (; accepted < MANY; accepted++)
        if ((code = ag_engine_submit(engine, &o, NULL, &err)))
            break;
    assert_int_equal(code, AG_E_AGAIN);
    assert_true(err.msg[0] != 0);
    ag_engine_close(&engine);
    assert_int_equal(atomic_load(&shared_answer->n_done), accepted);
    free(shared_answer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_several_threads_are_those_alone),
        cmocka_unit_test(more_requests_than_sequences_wait_their_turn),
        cmocka_unit_test(more_requests_than_kv_holds_wait_their_turn),
        cmocka_unit_test(tokens_that_several_threads_choose_are_those_of_one),
        cmocka_unit_test(a_cancelled_request_ends_and_frees_its_room),
        cmocka_unit_test(cancelling_after_the_end_changes_nothing),
        cmocka_unit_test(closing_ends_what_runs_and_what_waits),
        cmocka_unit_test(a_released_request_goes_on),
        cmocka_unit_test(a_full_queue_says_try_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
