/* device_map: every form of one map gives the same placement; mistakes are told with what helps. */
#include "core/devices.h"

#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "unit/test.h"

#define ALL_CPU "token_embd=cpu,0-3=cpu,output_norm=cpu,output=cpu"

static void must_give(const char *map, int n_layers, bool has_output, const char *expected) {
    ag_err err = {0};
    char *text = NULL;
    if (ag_device_map_resolve(map, n_layers, has_output, &text, &err))
        fail_msg("%s: %s", map ? map : "NULL", err.msg);
    assert_string_equal(text, expected);
    ag_free(text);
}

static void must_refuse(const char *map, ag_code code, const char *says) {
    ag_err err = {0};
    char *text = NULL;
    ag_code got = ag_device_map_resolve(map, 4, true, &text, &err);
    assert_null(text);
    if (got != code || err.code != code || !strstr(err.msg, says))
        fail_msg("%s: %s: \"%s\", expected \"%s\"", map, ag_code_name(got), err.msg, says);
}

static void every_form_of_a_map_is_understood(void **state) {
    (void)state;
    static const char *const maps[] = {
        NULL,
        "",
        "auto",
        "balanced",
        "sequential",
        " cpu ",
        "0-3=cpu",
        "0=cpu, 1=cpu, 2-3=cpu",
        "*=cpu",
        "blk.0-3=cpu,token_embd=cpu,output_norm=cpu,output=cpu",
        "{\"\": \"cpu\"}",
        "{\"model\": \"cpu\", \"lm_head\": \"cpu\"}",
        "{\"model.layers\": \"cpu\", \"model.embed_tokens\": \"cpu\", \"model.norm\": \"cpu\", "
        "\"model.rotary_emb\": \"cpu\", \"lm_head\": \"cpu\"}",
        "{\"model.layers.0\": \"cpu\", \"model.layers.1-2\": \"cpu\", \"\": \"cpu\"}",
        "{\"model.language_model.layers.0-3\": \"cpu\", \"language_model.lm_head\": \"cpu\"}",
        "{\"transformer.embedding\": \"cpu\", \"transformer.encoder.layers.0\": \"cpu\","
        " \"transformer.encoder\": \"cpu\", \"transformer.encoder.final_layernorm\": \"cpu\","
        " \"transformer.output_layer\": \"cpu\", \"transformer.rotary_pos_emb\": \"cpu\"}",
        "{\"bert.embeddings\": \"cpu\", \"bert.encoder.layer.0-3\": \"cpu\", \"pooler\": \"cpu\"}",
    };
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++)
        must_give(maps[i], 4, true, ALL_CPU);
    must_give("0=cpu", 1, true, "token_embd=cpu,0=cpu,output_norm=cpu,output=cpu");
    must_give("cpu", 6, false, "token_embd=cpu,0-5=cpu");
    must_give(ALL_CPU, 4, true, ALL_CPU); /* a result is a map */
}

static void an_absent_device_is_told_with_those_present(void **state) {
    (void)state;
    must_refuse("cuda:0", AG_E_UNSUPPORTED, "cuda:0 is not present; present: cpu");
    must_refuse("cuda", AG_E_UNSUPPORTED, "cuda is not present; present: cpu");
    must_refuse("CPU", AG_E_UNSUPPORTED, "CPU is not present");
    must_refuse("0-1=cpu,2-3=disk", AG_E_UNSUPPORTED, "disk is not present");
    must_refuse("{\"\": 0}", AG_E_UNSUPPORTED, "cuda:0 is not present; present: cpu");
    must_refuse("{\"\": \"cpu\", \"lm_head\": 1}", AG_E_UNSUPPORTED, "cuda:1 is not present");
    must_refuse("{\"\": \"auto\"}", AG_E_UNSUPPORTED, "auto is not present");
}

static void layers_are_covered_once(void **state) {
    (void)state;
    must_refuse("0-1=cpu", AG_E_ARG, "layers 2-3 have no device");
    must_refuse("0=cpu,3=cpu", AG_E_ARG, "layers 1-2 have no device");
    must_refuse("{}", AG_E_ARG, "layers 0-3 have no device");
    must_refuse("lm_head=cpu", AG_E_ARG, "layers 0-3 have no device");
    must_refuse("0-2=cpu,2-3=cpu", AG_E_ARG, "layer 2 is named twice");
    must_refuse("{\"model.layers.1\": \"cpu\", \"blk.1\": \"cpu\", \"\": \"cpu\"}", AG_E_ARG,
                "layer 1 is named twice");
    must_refuse("*=cpu,output=cpu,lm_head=cpu", AG_E_ARG, "\"lm_head\" names is named twice");
    must_refuse("0-4=cpu", AG_E_ARG, "past the last layer; the model has layers 0-3");
    must_refuse("*=cpu,99999999999999999999=cpu", AG_E_ARG, "past the last layer");
}

static void what_is_no_module_is_told(void **state) {
    (void)state;
    must_refuse("{\"model.leyers.0\": \"cpu\"}", AG_E_ARG, "\"model.leyers.0\" is no module");
    must_refuse("*=cpu,model.layers.1.mlp=cpu", AG_E_ARG, "is a part of a layer");
    must_refuse("*=cpu,blk.x=cpu", AG_E_ARG, "\"blk.x\" names no layers");
    must_refuse("*=cpu,2-1=cpu", AG_E_ARG, "\"2-1\" names no layers");
    must_refuse("*=cpu,1-=cpu", AG_E_ARG, "\"1-\" names no layers");
    must_refuse("*=cpu,0x1=cpu", AG_E_ARG, "\"0x1\" names no layers");
    must_refuse("0-3=cpu,,", AG_E_ARG, "expected MODULE=DEVICE");
    must_refuse("{\"\": \"cpu\", \"\": \"cpu\"}", AG_E_ARG, "not valid JSON");
    must_refuse("{\"\": \"cpu\"", AG_E_ARG, "not valid JSON");
    must_refuse("{\"\": [\"cpu\"]}", AG_E_ARG, "the device of \"\" is an array");
    must_refuse("{\"\": true}", AG_E_ARG, "is a boolean");
}

static void running_out_of_memory_leaves_nothing(void **state) {
    (void)state;
    size_t before = ag_mem_bytes(AG_ROOM_CORE);
    ag_code code = AG_E_NOMEM;
    for (long n = 1; code; n++) {
        ag_err err = {0};
        char *text = NULL;
        ag_fault_arm(AG_FAULT_ALLOC, n, false);
        code = ag_device_map_resolve("0-3=cpu", 4, true, &text, &err);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        if (code)
            assert_int_equal(code, AG_E_NOMEM);
        ag_free(text);
        assert_int_equal(ag_mem_bytes(AG_ROOM_CORE), before);
        assert_true(n < 20);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_of_a_map_is_understood),
        cmocka_unit_test(an_absent_device_is_told_with_those_present),
        cmocka_unit_test(layers_are_covered_once),
        cmocka_unit_test(what_is_no_module_is_told),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
