/* Logits and greedy tokens against transformers, for every architecture and weight type.
 *
 * Exact mode (weights re-encoded to F32, KV in F32) must be within 1e-3 of the reference, which ran
 * the dequantised weights in float32. The default mode computes with integers on quantised
 * activations, which random weights amplify: there the error is bounded by its size beside the
 * logits' own. usage: golden_test TIER [MODEL] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/support.h"

#define EXACT_ERROR 1e-3f

static const char *tier = "auto";

typedef struct job {
    const char *model, *type;
} job;

typedef struct error_sum {
    double worst;     /* largest |error| */
    double square;    /* sum of error^2 */
    double reference; /* sum of logit^2, mean removed */
} error_sum;

static void add_row(error_sum *sum, const float *got, const float *want, size_t n) {
    double mean = 0;
    for (size_t i = 0; i < n; i++)
        mean += want[i] / (double)n;
    for (size_t i = 0; i < n; i++) {
        double e = (double)got[i] - want[i];
        if (!isfinite(got[i]))
            fail_msg("logit %zu is %f", i, (double)got[i]);
        sum->worst = fabs(e) > sum->worst ? fabs(e) : sum->worst;
        sum->square += e * e;
        sum->reference += (want[i] - mean) * (want[i] - mean);
    }
}

static error_sum compare(ag_engine *engine, const golden *g) {
    error_sum sum = {0};
    for (size_t i = 0; i < 3; i++) {
        const golden_case *c = &g->prompt[i];
        float *got = must_logits(engine, c->ids, c->n_ids);
        for (size_t r = 0; r < c->n_rows; r++)
            add_row(&sum, got + c->rows[r] * g->n_vocab, c->logits + r * g->n_vocab, g->n_vocab);
        free(got);
    }
    return sum;
}

/* After a step whose margin is within the error anything may follow. */
static void check_greedy(ag_engine *engine, const golden_case *c) {
    static answer a;
    ag_request_opts o = ask_ids(c->ids, c->n_ids, 16, &a);
    must_answer(engine, &o);
    assert_int_equal(a.n, 16);
    for (size_t k = 0; k < 16 && c->margin[k] > 2 * EXACT_ERROR; k++)
        if (a.id[k] != c->greedy[k])
            fail_msg("greedy token %zu is %d, expected %d (margin %.4f)", k, a.id[k], c->greedy[k],
                     (double)c->margin[k]);
}

static void exact_mode_is_within_1e_3_of_the_reference(void **state) {
    const job *j = *state;
    golden g;
    golden_open(&g, j->model, j->type);
    ag_engine_opts o = test_opts(model_path(j->model, j->type));
    o.dtype = "f32";
    o.kv_type = "f32";
    o.isa = tier;
    ag_engine *engine = must_open(&o);
    assert_int_equal(vocab_of(engine), g.n_vocab);
    error_sum sum = compare(engine, &g);
    print_message("%s %s: exact: largest error %.1e\n", j->model, j->type, sum.worst);
    if (!(sum.worst <= (double)EXACT_ERROR))
        fail_msg("%s %s: largest error %.2e", j->model, j->type, sum.worst);
    for (size_t i = 0; i < 3; i++)
        check_greedy(engine, &g.prompt[i]);
    ag_engine_close(&engine);
    golden_close(&g);
}

/* Quantised activations move a router's choice here and there, after which nothing is alike: models
 * with experts are compared in this mode only where weights are floats. */
static bool is_quantised(const char *type) {
    return !strstr(type, "f16") && strcmp(type, "f32") != 0;
}

/* rms(error) / rms(logits) that the default mode may have: of activations rounded to 8 bits, to
 * bfloat16, or not at all. */
static double allowed(const char *type) {
    return is_quantised(type) ? 0.15 : strcmp(type, "bf16") == 0 ? 0.03 : 0.02;
}

static void default_mode_stays_near_the_reference(void **state) {
    const job *j = *state;
    golden g;
    golden_open(&g, j->model, j->type);
    ag_engine_opts o = test_opts(model_path(j->model, j->type));
    o.isa = tier;
    ag_engine *engine = must_open(&o);
    error_sum sum = compare(engine, &g);
    double ratio = sqrt(sum.square / sum.reference);
    print_message("%s %s: default: largest error %.2e, rms error / rms logit %.4f\n", j->model,
                  j->type, sum.worst, ratio);
    if (!(ratio <= allowed(j->type)))
        fail_msg("%s %s: rms error / rms logit %.4f", j->model, j->type, ratio);
    ag_engine_close(&engine);
    golden_close(&g);
}

static void text_becomes_the_reference_ids(void **state) {
    const job *j = *state;
    golden g;
    golden_open(&g, j->model, j->type);
    ag_engine_opts o = test_opts(model_path(j->model, j->type));
    ag_engine *engine = must_open(&o);
    for (size_t i = 0; i < 3; i++) {
        const golden_case *c = &g.prompt[i];
        int32_t *ids = NULL;
        size_t n = 0;
        ag_err err = {0};
        if (ag_engine_tokenize(engine, c->text, strlen(c->text), true, true, &ids, &n, &err))
            fail_msg("tokenize: %s", err.msg);
        assert_int_equal(n, c->n_ids);
        assert_memory_equal(ids, c->ids, n * sizeof *ids);
        ag_ids_free(ids);
    }
    ag_engine_close(&engine);
    golden_close(&g);
}

static void the_template_renders_as_the_reference_does(void **state) {
    const job *j = *state;
    golden g;
    golden_open(&g, j->model, j->type);
    ag_engine_opts o = test_opts(model_path(j->model, j->type));
    ag_engine *engine = must_open(&o);
    const json_t *chat = json_object_get(g.json, "chat");
    const json_t *list = json_object_get(chat, "messages");
    ag_message messages[8];
    size_t n_messages = json_array_size(list);
    assert_in_range(n_messages, 1, 8);
    for (size_t i = 0; i < n_messages; i++) {
        const json_t *m = json_array_get(list, i);
        messages[i].role = json_string_value(json_object_get(m, "role"));
        messages[i].content = json_string_value(json_object_get(m, "content"));
    }
    int32_t *ids = NULL;
    size_t n = 0;
    ag_err err = {0};
    if (ag_engine_chat_ids(engine, messages, n_messages, &ids, &n, &err))
        fail_msg("chat: %s", err.msg);
    const json_t *want = json_object_get(chat, "ids");
    assert_int_equal(n, json_array_size(want));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(ids[i], json_integer_value(json_array_get(want, i)));
    ag_ids_free(ids);

    json_t *body = json_pack("{s:O}", "messages", list);
    char *source = json_dumps(body, 0);
    char *text = NULL;
    if (ag_engine_render(engine, source, strlen(source), &text, &err))
        fail_msg("render: %s", err.msg);
    assert_string_equal(text, json_string_value(json_object_get(chat, "rendered")));
    ag_string_free(text);
    free(source);
    json_decref(body);
    ag_engine_close(&engine);
    golden_close(&g);
}

/* What re-encoding to 16 bits may cost on top of the file's own rounding. */
static void sixteen_bit_modes_stay_near_the_reference(void **state) {
    const job *j = *state;
    static const char *const dtypes[] = {"f16", "bf16"};
    static const double limits[] = {0.02, 0.06};
    for (size_t d = 0; d < 2; d++) {
        golden g;
        golden_open(&g, j->model, j->type);
        ag_engine_opts o = test_opts(model_path(j->model, j->type));
        o.isa = tier;
        o.dtype = dtypes[d];
        ag_engine *engine = must_open(&o);
        error_sum sum = compare(engine, &g);
        double ratio = sqrt(sum.square / sum.reference);
        print_message("%s %s as %s: rms error / rms logit %.4f\n", j->model, j->type, dtypes[d],
                      ratio);
        assert_true(ratio <= limits[d]);
        ag_engine_close(&engine);
        golden_close(&g);
    }
}

#define MAX_TESTS 512
static struct CMUnitTest tests[MAX_TESTS];
static job jobs[MAX_TESTS];
static char names[MAX_TESTS][96];
static size_t n_tests;

static void add(const char *model, const char *type, CMUnitTestFunction f, const char *what) {
    assert_true(n_tests < MAX_TESTS);
    jobs[n_tests] = (job){model, type};
    snprintf(names[n_tests], sizeof names[0], "%s %s: %s", model, type, what);
    tests[n_tests] = (struct CMUnitTest){names[n_tests], f, NULL, NULL, &jobs[n_tests]};
    n_tests++;
}

int main(int argc, char **argv) {
    if (argc > 1)
        tier = argv[1];
    if (!cpu_runs(tier))
        return 77;
    for (size_t m = 0; model_names[m]; m++) {
        if (argc > 2 && strcmp(argv[2], model_names[m]) != 0)
            continue;
        for (size_t t = 0; type_names[t]; t++) {
            if (!has_type(model_names[m], type_names[t]))
                continue;
            add(model_names[m], type_names[t], exact_mode_is_within_1e_3_of_the_reference, "exact");
            if (!has_experts(model_names[m]) || !is_quantised(type_names[t]))
                add(model_names[m], type_names[t], default_mode_stays_near_the_reference,
                    "default");
        }
        add(model_names[m], "q8_0", text_becomes_the_reference_ids, "tokenize");
        add(model_names[m], "q8_0", the_template_renders_as_the_reference_does, "template");
        add(model_names[m], "f32", sixteen_bit_modes_stay_near_the_reference, "16 bits");
    }
    return _cmocka_run_group_tests("golden", tests, n_tests, NULL, NULL);
}
