/* The nth allocation, read and mapping fails, n = 1, 2, 3, ..., from open through a request to
 * close. After each failure nothing may be held, and the error must say what happened. While
 * sequences only decode, all may fail and none is missed. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "engine/support.h"

static size_t bytes_held(void) {
    size_t sum = 0;
    for (int room = 0; room < AG_ROOM_COUNT; room++)
        sum += ag_mem_bytes((ag_room)room);
    return sum;
}

static void check_code(ag_code code, const ag_err *err, const char *what, long n) {
    if (code != AG_E_NOMEM && code != AG_E_IO && code != AG_E_BUDGET)
        fail_msg("%s with failure %ld: %s: %s", what, n, ag_code_name(code), err->msg);
    if (!err->msg[0])
        fail_msg("%s with failure %ld: no message", what, n);
}

static bool embed(ag_engine *engine, long n) {
    ag_embed_input in[] = {{.text = "abc de", .text_len = 6}, {.text = "b", .text_len = 1}};
    ag_embed_opts o = {.pooling = AG_POOLING_MEAN, .normalize = true};
    float out[2 * 64];
    ag_err err = {0};
    ag_code code = ag_engine_embed(engine, in, 2, &o, out, NULL, &err);
    if (code)
        check_code(code, &err, "embed", n);
    return !code;
}

/* Everything that an engine does in its life, stopping at the first failure. Returns whether all
 * of it succeeded. */
static bool live(const char *model, long n) {
    static answer a;
    ag_engine_opts o = test_opts(model_path(model, NULL));
    o.max_context_length = 32;
    o.kv_tokens = 64;
    o.batch_tokens = 16;
    o.n_threads = 2;
    ag_engine *engine = NULL;
    ag_err err = {0};
    ag_code code = ag_engine_open(&o, &engine, &err);
    if (code) {
        assert_null(engine);
        check_code(code, &err, "open", n);
        return false;
    }
    bool all = embed(engine, n);
    if (strcmp(model, "micro-bert") == 0) { /* which does nothing else */
        ag_engine_close(&engine);
        return all;
    }
    int32_t *ids = NULL;
    size_t n_ids = 0;
    ag_message message = {"user", "ab"};
    code = ag_engine_chat_ids(engine, &message, 1, &ids, &n_ids, &err);
    if (code) {
        check_code(code, &err, "chat_ids", n);
        all = false;
    }
    ag_ids_free(ids);
    const char *stops[] = {"zzz"};
    ag_request_opts r = ask_text("abc de", 4, &a);
    r.stop = stops;
    r.n_stop = 1;
    r.top_logprobs = 2;
    ag_request *request = NULL;
    err = (ag_err){0};
    code = ag_engine_submit(engine, &r, &request, &err);
    if (code) {
        assert_null(request);
        assert_int_equal(atomic_load(&a.n_done), 0);
        check_code(code, &err, "submit", n);
        all = false;
    } else {
        must_finish(&request);
        assert_int_equal(atomic_load(&a.n_done), 1);
        if (a.finish == AG_FINISH_ERROR) {
            check_code(a.result.err.code, &a.result.err, "request", n);
            all = false;
        }
    }
    float *logits = malloc(4 * vocab_of(engine) * sizeof *logits);
    const int32_t some[] = {1, 4, 5, 6};
    err = (ag_err){0};
    code = ag_engine_logits(engine, some, 4, logits, &err);
    if (code) {
        check_code(code, &err, "logits", n);
        all = false;
    }
    free(logits);
    char *text = NULL;
    err = (ag_err){0};
    code = ag_engine_detokenize(engine, some, 4, true, &text, NULL, &err);
    if (code) {
        check_code(code, &err, "detokenize", n);
        all = false;
    }
    ag_string_free(text);
    ag_engine_close(&engine);
    assert_null(engine);
    return all;
}

/* A failure may be harmless (a hint, a cache), so that everything succeeds although it happened. */
static void fail_each_of(const char *model, ag_fault kind, bool sticky, const char *name) {
    ag_fault_arm(kind, 0, false);
    assert_true(live(model, 0));
    size_t before = bytes_held();
    long n = 1, borne = 0;
    for (;; n++) {
        ag_fault_arm(kind, n, sticky);
        bool all = live(model, n);
        bool fired = ag_fault_fired(kind);
        ag_fault_arm(kind, 0, false);
        if (bytes_held() != before)
            fail_msg("%s %ld: %zu bytes are still held", name, n, bytes_held() - before);
        if (!fired) {
            assert_true(all);
            break;
        }
        borne += all;
        assert_true(n < 100000);
    }
    print_message("%s, %s: %ld failures, %ld of them borne\n", model, name, n - 1, borne);
    assert_true(live(model, 0));
}

static void fail_each(ag_fault kind, bool sticky, const char *name) {
    fail_each_of("micro", kind, sticky, name);
    fail_each_of("micro-latent", kind, sticky, name);
    fail_each_of("micro-bert", kind, sticky, name);
}

static void a_failing_allocation_fails_one_call_and_leaks_nothing(void **state) {
    (void)state;
    fail_each(AG_FAULT_ALLOC, false, "allocation");
}

static void failing_allocations_from_some_point_on_leak_nothing(void **state) {
    (void)state;
    fail_each(AG_FAULT_ALLOC, true, "all allocations from");
}

static void a_failing_read_is_reported(void **state) {
    (void)state;
    fail_each(AG_FAULT_READ, false, "read");
}

static void a_failing_mapping_is_reported(void **state) {
    (void)state;
    fail_each(AG_FAULT_MMAP, false, "mapping");
}

/* ---- while tokens flow ----------------------------------------------------------------------- */

enum { FLOWS = 4, FLOW_TOKENS = 100, FLOW_FROM = 8, FLOW_TO = 90 };

typedef struct flow {
    size_t n[FLOWS]; /* tokens of each sequence; the engine thread's */
    bool ended, fired;
} flow;
static flow flowing;
static pthread_mutex_t submitting = PTHREAD_MUTEX_INITIALIZER; /* held until all are in */

/* From when all sequences decode until the first is near its end, no allocation succeeds. */
static bool count_flow(void *ctx, const ag_token_event *e) {
    size_t least = FLOW_TOKENS, most = 0;
    (void)e;
    pthread_mutex_lock(&submitting);
    pthread_mutex_unlock(&submitting);
    ++*(size_t *)ctx;
    for (int i = 0; i < FLOWS; i++) {
        least = flowing.n[i] < least ? flowing.n[i] : least;
        most = flowing.n[i] > most ? flowing.n[i] : most;
    }
    if (least == FLOW_FROM && most < FLOW_TO && !flowing.ended)
        ag_fault_arm(AG_FAULT_ALLOC, 1, true);
    if (most == FLOW_TO && !flowing.ended) {
        flowing.fired = ag_fault_fired(AG_FAULT_ALLOC);
        flowing.ended = true;
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
    }
    return true;
}

/* What the sequences do: the greedy one, one that draws, one with penalties, stop strings and
 * log-probabilities, one held to a form (whose states are known by then: new ones are kept). Their
 * KV passes from block to block. */
static void set_flow(int i, ag_request_opts *o) {
    static const char *const stops[] = {"never said", "nor that"};
    if (i == 1 || i == 2) {
        o->sampling.temperature = 0.8f;
        o->sampling.top_p = 0.9f;
        o->sampling.has_seed = true;
    }
    if (i == 2) {
        o->sampling.repetition_penalty = 1.1f;
        o->sampling.presence_penalty = 0.2f;
        o->stop = stops;
        o->n_stop = 2;
        o->top_logprobs = 5;
    }
    if (i == 3)
        o->structure = (ag_structure){.kind = AG_STRUCTURE_REGEX, .text = "[a-z ]+", .len = 7};
    o->on_token = count_flow;
    o->on_done = NULL;
    o->ctx = &flowing.n[i];
}

static void decoding_asks_for_no_memory(void **state) {
    static const int32_t ids[FLOWS][6] = {
        {5, 9, 3, 7, 8, 2}, {4, 4, 8, 1, 9, 6}, {2, 3, 5, 7, 11, 13}, {1, 2, 3, 4, 5, 6}};
    static answer unused;
    (void)state;
    ag_engine_opts eo = test_opts(model_path("tiny-llama3", "q4_k"));
    eo.n_threads = 2;
    eo.kv_tokens = 1024;
    ag_engine *engine = must_open(&eo);
    ag_request *r[FLOWS];
    flowing = (flow){0};
    pthread_mutex_lock(&submitting);
    for (int i = 0; i < FLOWS; i++) {
        ag_request_opts o = ask_ids(ids[i], 6, FLOW_TOKENS, &unused);
        set_flow(i, &o);
        r[i] = must_submit(engine, &o);
    }
    pthread_mutex_unlock(&submitting);
    for (int i = 0; i < FLOWS; i++)
        must_finish(&r[i]);
    assert_true(flowing.ended);
    assert_false(flowing.fired);
    for (int i = 0; i < FLOWS; i++)
        assert_int_equal(flowing.n[i], FLOW_TOKENS);
    ag_engine_close(&engine);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failing_mapping_is_reported),
        cmocka_unit_test(a_failing_read_is_reported),
        cmocka_unit_test(a_failing_allocation_fails_one_call_and_leaks_nothing),
        cmocka_unit_test(failing_allocations_from_some_point_on_leak_nothing),
        cmocka_unit_test(decoding_asks_for_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
