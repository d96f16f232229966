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

static void what_comes_at_once_computes_its_beginning_once(void **state) {
    (void)state;
    ag_engine_opts o = small(4096, 8);
    engine = must_open(&o);
    int32_t ids[300];
    for (int i = 0; i < 300; i++)
        ids[i] = 5 + i * 7 % 40;
    static answer of[8];
    ag_request *requests[8];
    for (int i = 0; i < 8; i++) {
        memset(&of[i], 0, sizeof of[i]);
        ag_request_opts r = ask_ids(ids, 300, 4, &of[i]);
        requests[i] = must_submit(engine, &r);
    }
    for (int i = 0; i < 8; i++) {
        must_finish(&requests[i]);
        assert_int_equal(of[i].result.n_cached, i == 0 ? 0 : 288);
        assert_true(same_answer(&of[0], &of[i]));
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
    ag_err err = {0}, before = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(ag_engine_submit(engine, &r, NULL, &err), AG_OK);
    assert_int_equal(ag_engine_submit(engine, &r, NULL, &err), AG_E_AGAIN);
    assert_true(strstr(err.msg, "3 requests") != NULL);
    r.prompt = NULL; /* not known yet: the same refusal, and it counts as one */
    assert_int_equal(ag_engine_admit(engine, &r, 0, &before), AG_E_AGAIN);
    assert_string_equal(before.msg, err.msg);
    ag_engine_stats s;
    ag_engine_get_stats(engine, &s);
    assert_int_equal(s.n_rejected_requests, 2);
    ag_request_cancel(first);
    must_finish(&first);
    ag_engine_close(&engine);
}

/* Notes when it ended, as a number that counts up. */
static atomic_int n_ended;
static void note_end(void *ctx, const ag_result *result) {
    answer *into = ctx;
    into->result = *result;
    into->finish = result->finish;
    atomic_store(&into->n_done, atomic_fetch_add(&n_ended, 1) + 1);
}

static void the_higher_class_goes_first(void **state) {
    (void)state;
    ag_engine_opts o = small(1024, 1);
    engine = must_open(&o);
    ag_request_opts r = ask_endless(&a);
    ag_request *first = must_submit(engine, &r), *others[3];
    wait_for_tokens(&a, 1);
    static answer of[3];
    for (int i = 0; i < 3; i++) { /* low, normal, high */
        r = ask("Hello", 3, &of[i]);
        r.priority = (ag_priority)(i - 1);
        r.on_done = note_end;
        others[i] = must_submit(engine, &r);
    }
    atomic_store(&n_ended, 0);
    ag_request_cancel(first);
    must_finish(&first);
    for (int i = 0; i < 3; i++)
        must_finish(&others[i]);
    for (int i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&of[i].n_done), 3 - i);
    ag_engine_close(&engine);
}

/* The tenant that has had least is next, whoever came first. */
static void tenants_take_turns(void **state) {
    (void)state;
    ag_engine_opts o = small(1024, 1);
    engine = must_open(&o);
    ag_request_opts r = ask_endless(&a);
    ag_request *first = must_submit(engine, &r), *others[4];
    wait_for_tokens(&a, 1);
    static answer of[4];
    static const char *const tenants[] = {"greedy", "greedy", "greedy", "modest"};
    for (int i = 0; i < 4; i++) {
        r = ask("Hello", 3, &of[i]);
        r.tenant = tenants[i];
        r.on_done = note_end;
        others[i] = must_submit(engine, &r);
    }
    atomic_store(&n_ended, 0);
    ag_request_cancel(first);
    must_finish(&first);
    for (int i = 0; i < 4; i++)
        must_finish(&others[i]);
    assert_true(atomic_load(&of[3].n_done) <= 2);
    ag_engine_close(&engine);
}

/* Collects as usual, and rests after the first token. */
static _Atomic(ag_request *) to_rest;
static bool (*collect)(void *ctx, const ag_token_event *event);

static bool rest_at_once(void *ctx, const ag_token_event *event) {
    while (event->index == 0 && !atomic_load(&to_rest))
        usleep(100);
    if (event->index == 0)
        ag_request_pause(atomic_load(&to_rest));
    return collect(ctx, event);
}

static ag_request *submit_resting(ag_request_opts *opts) {
    collect = opts->on_token;
    opts->on_token = rest_at_once;
    atomic_store(&to_rest, NULL);
    ag_request *request = must_submit(engine, opts);
    atomic_store(&to_rest, request);
    return request;
}

static void a_resting_request_waits_and_answers_the_same(void **state) {
    (void)state;
    ag_engine_opts o = small(256, 4);
    engine = must_open(&o);
    static answer alone, c;
    memset(&alone, 0, sizeof alone);
    ag_request_opts r = ask("Open the settings", 40, &alone);
    must_answer(engine, &r);
    r = ask("Open the settings", 40, &b);
    r.speculate = -1;
    ag_request *request = submit_resting(&r);
    r = ask("Hello", 30, &c); /* goes on beside it */
    must_answer(engine, &r);
    usleep(20000);
    assert_int_equal(atomic_load(&b.n_tokens), 1);
    ag_engine_stats stats;
    ag_engine_get_stats(engine, &stats);
    assert_int_equal(stats.paused, 1);
    ag_request_resume(request);
    must_finish(&request);
    assert_true(same_answer(&alone, &b));
    r = ask_endless(&b); /* one that rests can be cancelled */
    request = must_submit(engine, &r);
    ag_request_pause(request);
    ag_request_cancel(request);
    must_finish(&request);
    assert_int_equal(b.finish, AG_FINISH_CANCELLED);
    r = ask_endless(&b); /* and its time runs on */
    r.timeout_ms = 30;
    request = must_submit(engine, &r);
    ag_request_pause(request);
    must_finish(&request);
    assert_int_equal(b.result.err.code, AG_E_TIMEOUT);
    ag_engine_close(&engine);
}

/* What rests gives its KV to who needs it, and is the same afterwards. */
static void who_rests_makes_room(void **state) {
    (void)state;
    ag_engine_opts o = small(256, 1);
    engine = must_open(&o);
    static answer alone;
    ag_request_opts r = ask("Open the settings", 40, &alone);
    must_answer(engine, &r);
    r = ask("Open the settings", 40, &b);
    ag_request *request = submit_resting(&r);
    static answer c;
    r = ask("Hello", 30, &c); /* there is one place only */
    must_answer(engine, &r);
    assert_int_equal(atomic_load(&b.n_done), 0);
    ag_request_resume(request);
    must_finish(&request);
    assert_true(same_answer(&alone, &b));
    ag_engine_close(&engine);
}

static void the_ledger_adds_up(void **state) {
    (void)state;
    ag_engine_opts o = small(1024, 2);
    o.max_queued_requests = 4;
    engine = must_open(&o);
    static answer of[12];
    ag_request *requests[12] = {0};
    ag_engine_stats s;
    uint64_t refused = 0;
    ag_err none = {0};
    ag_request_opts any = ag_request_default();
    assert_int_equal(ag_engine_admit(engine, &any, 1 << 20, &none),
                     AG_OK);       /* which submits nothing */
    for (int i = 0; i < 12; i++) { /* two take the places, four wait */
        ag_request_opts r = i < 2 ? ask_endless(&of[i]) : ask("Hello, hello", 20, &of[i]);
        r.timeout_ms = i == 3 ? 20 : 0;
        ag_err err = {0};
        refused += ag_engine_submit(engine, &r, &requests[i], &err) == AG_E_AGAIN;
        if (i < 2)
            wait_for_tokens(&of[i], 1);
    }
    ag_engine_get_stats(engine, &s);
    assert_int_equal(s.n_rejected_requests, refused);
    assert_true(refused > 0 && s.retry_after_s >= 0);
    must_finish(&requests[3]);
    assert_int_equal(of[3].result.err.code, AG_E_TIMEOUT);
    for (int i = 0; i < 2; i++)
        ag_request_cancel(requests[i]);
    for (int i = 0; i < 12; i++)
        if (requests[i])
            must_finish(&requests[i]);
    ag_engine_get_stats(engine, &s);
    assert_int_equal(s.n_submitted + refused, 12);
    assert_int_equal(s.n_requests, s.n_submitted);
    assert_int_equal(s.n_requests, s.n_succeeded + s.n_failed + s.n_cancelled + s.n_expired);
    assert_int_equal(s.n_cancelled, 2);
    assert_int_equal(s.n_expired, 1);
    assert_true(s.n_succeeded > 0);
    assert_int_equal(s.running + s.waiting + s.paused, 0);
    assert_int_equal(s.kv_blocks_used, 0); /* of who was cancelled as well */
    assert_int_equal(s.n_rows, s.n_prefill_rows + s.n_decode_rows);
    assert_true(s.n_steps > 0 && s.n_step_us > 0 && s.tokens_per_s > 0 && s.requests_per_s > 0);
    assert_int_equal(s.kv_blocks * s.kv_block_tokens, 4096);
    ag_engine_close(&engine);
}

/* ---- guesses --------------------------------------------------------------------------------- */

/* A text that repeats itself, so that there is something to guess from. */
static ag_request_opts ask_repeating(int how, int32_t speculate, answer *into) {
    static int32_t ids[60];
    for (int i = 0; i < 60; i++)
        ids[i] = 5 + (i * i) % 12;
    memset(into, 0, sizeof *into);
    ag_request_opts r = ask_ids(ids, 60, 120, into);
    r.speculate = speculate;
    r.top_logprobs = 3;
    r.sampling.has_seed = true;
    r.sampling.seed = 11;
    if (how % 2)
        r.sampling.temperature = 0.3f;
    if (how / 2 % 2)
        r.sampling.repetition_penalty = 1.05f;
    if (how / 4 % 2)
        r.max_tokens = 37; /* an end in the middle of a draft */
    if (how / 8)           /* a form that is held to */
        r.structure = (ag_structure){AG_STRUCTURE_REGEX, "([a-d ]|the|and){20,90}", 23};
    return r;
}

static void guesses_change_no_answer(void **state) {
    (void)state;
    static const char *const models[] = {"tiny-llama3", "tiny-glm4", "tiny-gemma3"};
    uint64_t n_true = 0, n_drafted = 0;
    for (size_t m = 0; m < 3; m++) {
        ag_engine_opts o = test_opts(model_path(models[m], "q4_0"));
        engine = must_open(&o);
        for (int how = 0; how < 12; how++) {
            ag_request_opts r = ask_repeating(how, -1, &a);
            must_answer(engine, &r);
            static answer c;
            r = ask_repeating(how, 8, &b);
            ag_request_opts q = ask_repeating(how, 3, &c);
            ag_request *first = must_submit(engine, &r), *second = must_submit(engine, &q);
            must_finish(&first);
            must_finish(&second);
            assert_true(same_answer(&a, &b));
            assert_true(same_answer(&a, &c));
        }
        ag_engine_stats s;
        ag_engine_get_stats(engine, &s);
        n_true += s.n_drafts_true;
        n_drafted += s.n_drafted;
        assert_int_equal(s.kv_blocks_used, 0);
        ag_engine_close(&engine);
    }
    assert_true(n_true > 50 && n_drafted > n_true); /* some come true, some do not */
}

/* Words of an answer are forbidden: they do not come, and guesses change nothing of what does. */
static void forbidden_words_do_not_come(void **state) {
    (void)state;
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "q4_0"));
    engine = must_open(&o);
    for (int how = 0; how < 12; how++) {
        static answer c;
        ag_request_opts r = ask_repeating(how, -1, &a);
        must_answer(engine, &r);
        const ag_token_sequence words[] = {{a.id + 3, 2}, {a.id + 9, 3}, {a.id + 16, 1}};
        ag_request_opts q = ask_repeating(how, 8, &c);
        r = ask_repeating(how, -1, &b);
        q.sampling.forbidden = r.sampling.forbidden = words;
        q.sampling.n_forbidden = r.sampling.n_forbidden = 3;
        must_answer(engine, &r);
        must_answer(engine, &q);
        assert_true(same_answer(&b, &c));
        assert_true(b.finish != AG_FINISH_ERROR && b.n > 3 && !same_answer(&a, &b));
        for (size_t i = 0; i < b.n; i++)
            for (int w = 0; w < 3; w++)
                assert_false(i + words[w].n <= b.n &&
                             !memcmp(b.id + i, words[w].ids, words[w].n * sizeof *b.id));
    }
    ag_engine_close(&engine);
}

static void no_guess_is_made_where_none_is_wanted(void **state) {
    (void)state;
    ag_engine_opts o = small(256, 4);
    o.speculate = -1;
    engine = must_open(&o);
    ag_request_opts r = ask_repeating(0, 0, &a);
    must_answer(engine, &r);
    ag_engine_stats s;
    ag_engine_get_stats(engine, &s);
    assert_int_equal(s.n_drafted, 0);
    ag_err err = {0};
    r.speculate = 17;
    assert_int_equal(ag_engine_submit(engine, &r, NULL, &err), AG_E_ARG);
    assert_true(strstr(err.msg, "speculate is 17") != NULL);
    ag_engine_close(&engine);
}

/* ---- one executor for several engines -------------------------------------------------------- */

static void engines_share_an_executor(void **state) {
    (void)state;
    ag_executor *executor = NULL;
    ag_err err = {0};
    assert_int_equal(ag_executor_open(2, &executor, &err), AG_OK);
    ag_engine_opts o = small(1024, 4);
    static answer alone, other;
    engine = must_open(&o);
    ag_request_opts r = ask("Open the settings", 60, &alone);
    must_answer(engine, &r);
    ag_engine_close(&engine);

    o.executor = executor;
    engine = must_open(&o);
    r = ask_endless(&a);
    ag_request *endless = must_submit(engine, &r);
    wait_for_tokens(&a, 1);
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    assert_int_equal(info.n_threads, 2);
    for (int round = 0; round < 3; round++) { /* others come and go while it streams */
        ag_engine_opts p = test_opts(model_path("tiny-glm4", "q4_0"));
        p.executor = executor;
        ag_engine *second = must_open(&p);
        ag_request_opts q = ask("Hello", 20, &other);
        must_answer(second, &q);
        int before = atomic_load(&a.n_tokens);
        wait_for_tokens(&a, before + 2);
        r = ask("Open the settings", 60, &b);
        must_answer(engine, &r);
        assert_true(same_answer(&alone, &b));
        q = ask_endless(&other); /* closing one with work in it ends its own only */
        ag_request *lost = must_submit(second, &q);
        wait_for_tokens(&other, 1);
        ag_engine_close(&second);
        must_finish(&lost);
        assert_int_equal(other.finish, AG_FINISH_CANCELLED);
        assert_int_equal(atomic_load(&a.n_done), 0);
    }
    ag_executor_close(&executor); /* the engine still has it */
    assert_null(executor);
    wait_for_tokens(&a, atomic_load(&a.n_tokens) + 2);
    ag_request_cancel(endless);
    must_finish(&endless);
    ag_engine_close(&engine);
}

static void a_request_may_be_touched_after_closing(void **state) {
    (void)state;
    ag_engine_opts o = small(256, 2);
    engine = must_open(&o);
    ag_request_opts r = ask_endless(&a);
    ag_request *request = must_submit(engine, &r);
    ag_engine_close(&engine);
    ag_request_pause(request);
    ag_request_resume(request);
    ag_request_cancel(request);
    ag_request_wait(request);
    ag_request_release(&request);
    assert_int_equal(a.finish, AG_FINISH_CANCELLED);
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
        cmocka_unit_test(what_comes_at_once_computes_its_beginning_once),
        cmocka_unit_test(the_line_is_as_long_as_was_asked_for),
        cmocka_unit_test(the_higher_class_goes_first),
        cmocka_unit_test(tenants_take_turns),
        cmocka_unit_test(a_resting_request_waits_and_answers_the_same),
        cmocka_unit_test(who_rests_makes_room),
        cmocka_unit_test(the_ledger_adds_up),
        cmocka_unit_test(guesses_change_no_answer),
        cmocka_unit_test(forbidden_words_do_not_come),
        cmocka_unit_test(no_guess_is_made_where_none_is_wanted),
        cmocka_unit_test(engines_share_an_executor),
        cmocka_unit_test(a_request_may_be_touched_after_closing),
        cmocka_unit_test(wrong_terms_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
