/* Opening files: split sets, progress, refusals that say what is wrong and what to do. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/support.h"

static ag_code open_with(const ag_engine_opts *o, ag_err *err) {
    ag_engine *engine = NULL;
    *err = (ag_err){0};
    ag_code code = ag_engine_open(o, &engine, err);
    if (code)
        assert_null(engine);
    ag_engine_close(&engine);
    return code;
}

static void must_say(const ag_err *err, const char *words) {
    if (!strstr(err->msg, words))
        fail_msg("expected \"%s\" in \"%s\"", words, err->msg);
    assert_null(strchr(err->msg, '\n'));
}

static void a_split_set_computes_what_the_whole_file_does(void **state) {
    (void)state;
    golden g;
    golden_open(&g, "tiny-llama3", "q4_k");
    const golden_case *c = &g.prompt[0];
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "q4_k"));
    ag_engine *engine = must_open(&o);
    float *whole = must_logits(engine, c->ids, c->n_ids);
    ag_engine_close(&engine);
    for (int part = 1; part <= 3; part++) {
        char type[64];
        snprintf(type, sizeof type, "q4_k-split-%05d-of-00003", part);
        o.model = model_path("tiny-llama3", type);
        engine = must_open(&o);
        float *split = must_logits(engine, c->ids, c->n_ids);
        assert_memory_equal(split, whole, c->n_ids * g.n_vocab * sizeof *whole);
        free(split);
        ag_engine_close(&engine);
    }
    free(whole);
    golden_close(&g);
}

static void a_missing_file_is_not_found(void **state) {
    (void)state;
    ag_err err;
    ag_engine_opts o = test_opts("/nonexistent/model.gguf");
    assert_int_equal(open_with(&o, &err), AG_E_NOT_FOUND);
    must_say(&err, "/nonexistent/model.gguf");
    o.model = NULL;
    assert_int_equal(open_with(&o, &err), AG_E_ARG);
    must_say(&err, "model");
}

static void something_else_than_a_model_is_refused(void **state) {
    (void)state;
    ag_err err;
    ag_engine_opts o = test_opts("/");
    assert_int_equal(open_with(&o, &err), AG_E_NOT_FOUND);
    must_say(&err, "directory");
    o.model = "/proc/self/exe";
    assert_int_equal(open_with(&o, &err), AG_E_FORMAT);
}

static void wrong_options_name_the_option(void **state) {
    (void)state;
    static const struct {
        const char *device_map, *numa, *kv_type, *dtype, *quantize, *isa, *generation_config, *says;
        double memory_fraction;
    } cases[] = {
        {.device_map = "cuda:0", .says = "device_map"},
        {.numa = "63", .says = "numa: node 63 is not present; present: 0"},
        {.numa = "no", .says = "expected auto, off, interleave or a node"},
        {.kv_type = "q3", .says = "kv_type"},
        {.generation_config = "always", .says = "generation_config is \"always\""},
        {.dtype = "int3", .says = "dtype"},
        {.quantize = "int3", .says = "quantize"},
        {.isa = "sse9", .says = "isa"},
        {.memory_fraction = 1.5, .says = "memory_fraction"},
        {.memory_fraction = -0.1, .says = "memory_fraction"},
        {.memory_fraction = NAN, .says = "memory_fraction"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ag_err err;
        ag_engine_opts o = test_opts(model_path("micro", NULL));
        o.device_map = cases[i].device_map;
        o.numa = cases[i].numa;
        o.kv_type = cases[i].kv_type;
        o.generation_config = cases[i].generation_config;
        o.dtype = cases[i].dtype;
        o.quantize = cases[i].quantize;
        o.isa = cases[i].isa;
        o.memory_fraction = cases[i].memory_fraction;
        ag_code code = open_with(&o, &err);
        if (code != AG_E_ARG && code != AG_E_UNSUPPORTED)
            fail_msg("%s: %s: %s", cases[i].says, ag_code_name(code), err.msg);
        must_say(&err, cases[i].says);
    }
}

static void quantising_while_loading_takes_less_memory(void **state) {
    (void)state;
    static const int32_t ids[] = {1, 2, 3, 4, 5, 6, 7, 8};
    ag_engine_info info[3];
    float *logits[3];
    for (int i = 0; i < 3; i++) {
        ag_engine_opts o = test_opts(model_path("tiny-llama3", i == 0 ? "f32" : "q8_0"));
        o.quantize = i == 0 ? "Q8_0" : i == 1 ? "int8" : NULL;
        o.dtype = i == 2 ? NULL : "f16"; /* has no say then */
        ag_engine *engine = must_open(&o);
        ag_engine_get_info(engine, &info[i]);
        logits[i] = must_logits(engine, ids, 8);
        if (i == 2)
            assert_memory_equal(logits[1], logits[2], 8 * vocab_of(engine) * sizeof(float));
        ag_engine_close(&engine);
    }
    assert_int_equal(info[0].weight_bytes, info[2].weight_bytes);
    for (int i = 0; i < 3; i++)
        free(logits[i]);
}

static void too_little_memory_is_refused_with_the_arithmetic(void **state) {
    (void)state;
    ag_err err;
    ag_engine_opts o = test_opts(model_path("tiny-glm4", "f32"));
    o.memory_fraction = 1e-6; /* some kilobytes */
    assert_int_equal(open_with(&o, &err), AG_E_BUDGET);
    must_say(&err, "weights");
    must_say(&err, "KV");
    must_say(&err, "memory_fraction");
}

/* What measuring says is what opening takes, to the byte; with less memory it is refused. */
static void measuring_says_what_opening_takes(void **state) {
    (void)state;
    static const struct {
        const char *model, *type;
        uint32_t context;
        uint64_t kv_tokens;
    } cases[] = {{"tiny-llama3", "q8_0", 0, 0},
                 {"tiny-llama3", "q8_0", 300, 0},
                 {"tiny-llama3", "q4_k", 256, 4096},
                 {"tiny-bert", "f32", 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ag_engine_opts o = test_opts(model_path(cases[i].model, cases[i].type));
        ag_engine_needs needs;
        ag_engine_info info;
        ag_err err;
        o.max_context_length = cases[i].context;
        o.kv_tokens = cases[i].kv_tokens;
        assert_int_equal(ag_engine_measure(&o, &needs, &err), AG_OK);
        uint64_t fixed = needs.weight_bytes + needs.scratch_bytes;
        for (int usual = 0; usual < 2; usual++) {
            uint64_t kv = usual ? needs.usual_kv_bytes : needs.least_kv_bytes;
            o.memory_bytes = fixed + kv;
            ag_engine *engine = must_open(&o);
            ag_engine_get_info(engine, &info);
            ag_engine_close(&engine);
            assert_int_equal(info.weight_bytes, needs.weight_bytes);
            assert_int_equal(info.scratch_bytes, needs.scratch_bytes);
            assert_int_equal(info.kv_bytes, kv);
        }
        o.memory_bytes = fixed;
        assert_int_equal(open_with(&o, &err), AG_E_BUDGET);
        must_say(&err, "budget");
    }
    ag_err err;
    ag_engine_needs needs;
    ag_engine_opts o = test_opts(model_path("none", "f32"));
    assert_int_equal(ag_engine_measure(&o, &needs, &err), AG_E_NOT_FOUND);
}

static void a_context_beyond_the_memory_is_refused(void **state) {
    (void)state;
    ag_err err;
    ag_engine_opts o = test_opts(model_path("tiny-llama3", "q8_0"));
    o.max_context_length = 131072;
    o.kv_tokens = (uint64_t)1 << 40;
    ag_code code = open_with(&o, &err);
    if (code != AG_E_BUDGET && code != AG_E_ARG && code != AG_E_LIMIT)
        fail_msg("%s: %s", ag_code_name(code), err.msg);
}

typedef struct watch {
    uint64_t last, total;
    int n, stop_at;
} watch;

static bool on_progress(void *ctx, uint64_t done, uint64_t total) {
    watch *w = ctx;
    assert_true(done >= w->last && done <= total);
    w->last = done;
    w->total = total;
    return ++w->n != w->stop_at;
}

static void progress_reaches_the_end_and_can_stop_the_load(void **state) {
    (void)state;
    ag_err err;
    watch w = {0};
    ag_engine_opts o = test_opts(model_path("tiny-glm4", "q4_0"));
    o.on_progress = on_progress;
    o.progress_ctx = &w;
    assert_int_equal(open_with(&o, &err), AG_OK);
    assert_true(w.n > 0 && w.total > 0);
    assert_int_equal(w.last, w.total);
    w = (watch){.stop_at = 1};
    assert_int_equal(open_with(&o, &err), AG_E_CANCELLED);
    assert_int_equal(w.n, 1);
}

static void info_tells_what_was_loaded(void **state) {
    (void)state;
    ag_engine_opts o = test_opts(model_path("tiny-gemma3", "q6_k"));
    o.n_threads = 2;
    ag_engine *engine = must_open(&o);
    ag_engine_info info;
    ag_engine_get_info(engine, &info);
    assert_string_equal(info.architecture, "gemma3");
    assert_string_equal(info.name, "tiny-gemma3");
    assert_int_equal(info.n_vocab, 512);
    assert_int_equal(info.n_layers, 6);
    assert_int_equal(info.n_embd, 128);
    assert_int_equal(info.train_context, 4096);
    assert_int_equal(info.context_length, 256);
    assert_int_equal(info.n_threads, 2);
    assert_true(info.has_chat_template);
    assert_in_range(info.n_params, 900000, 1000000);
    assert_true(info.weight_bytes > 500000 && info.kv_bytes > 0 && info.scratch_bytes > 0);
    assert_true(info.kv_tokens >= 1024);
    ag_engine_close(&engine);
    ag_engine_close(&engine); /* NULL is accepted */
    ag_engine_close(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_set_computes_what_the_whole_file_does),
        cmocka_unit_test(a_missing_file_is_not_found),
        cmocka_unit_test(something_else_than_a_model_is_refused),
        cmocka_unit_test(wrong_options_name_the_option),
        cmocka_unit_test(quantising_while_loading_takes_less_memory),
        cmocka_unit_test(too_little_memory_is_refused_with_the_arithmetic),
        cmocka_unit_test(measuring_says_what_opening_takes),
        cmocka_unit_test(a_context_beyond_the_memory_is_refused),
        cmocka_unit_test(progress_reaches_the_end_and_can_stop_the_load),
        cmocka_unit_test(info_tells_what_was_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
