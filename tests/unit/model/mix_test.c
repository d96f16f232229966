/* Which tensor gets which type: the rules of docs/quantize.md on models made of names and shapes.
 */
#include "unit/test.h"

#include <stdio.h>
#include <string.h>

#include "load/source_parts.h"
#include "model/mix.h"

#define LAYERS 16

static char names[1024][48];
static size_t n_names;
static const char *arch = "llama";

static void add_u32(ag_source *s, const char *name, uint32_t v) {
    snprintf(names[n_names], sizeof names[0], "%s.%s", arch, name);
    assert_int_equal(ag_source_add_key(s, ag_str(names[n_names++]),
                                       (ag_value){.kind = AG_VALUE_U32, .u = v}, NULL),
                     AG_OK);
}

static void add(ag_source *s, int layer, const char *what, uint64_t cols, uint64_t rows) {
    char *name = names[n_names++];
    if (layer >= 0)
        snprintf(name, sizeof names[0], "blk.%d.%s", layer, what);
    else
        snprintf(name, sizeof names[0], "%s", what);
    ag_tensor t = {.name = ag_str(name),
                   .type = AG_T_Q2_K, /* its own type is always kept, whatever can be encoded */
                   .keep = AG_T_Q2_K,
                   .n_dims = rows ? 2 : 1,
                   .dim = {cols, rows ? rows : 1, 1, 1}};
    if (!rows)
        t.type = t.keep = AG_T_BF16;
    assert_int_equal(ag_source_add_tensor(s, &t, NULL), AG_OK);
}

/* A decoder with E columns; matrices are added as their names are met, layer by layer. */
static ag_source *make(uint64_t e, uint32_t experts, bool tied) {
    static const char *const parts[] = {"attn_q.weight",      "attn_k.weight", "attn_v.weight",
                                        "attn_output.weight", "ffn_up.weight", "ffn_down.weight"};
    ag_source *s = NULL;
    n_names = 0;
    assert_int_equal(ag_source_new(NULL, "test", &s, NULL), AG_OK);
    assert_int_equal(ag_source_add_key(s, ag_str("general.architecture"),
                                       (ag_value){.kind = AG_VALUE_STRING, .s = ag_str(arch)},
                                       NULL),
                     AG_OK);
    add_u32(s, "block_count", LAYERS);
    add_u32(s, "attention.head_count", 8);
    add_u32(s, "attention.head_count_kv", 2);
    if (experts)
        add_u32(s, "expert_count", experts);
    add(s, -1, "token_embd.weight", e, 1000);
    add(s, -1, "output_norm.weight", e, 0);
    if (!tied)
        add(s, -1, "output.weight", e, 1000);
    for (int i = LAYERS - 1; i >= 0; i--) { /* the order in the file does not matter */
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            add(s, i, parts[k], e, e);
        add(s, i, "attn_norm.weight", e, 0);
        if (experts)
            add(s, i, "ffn_gate_inp.weight", e, experts);
    }
    return s;
}

static ag_type types[1024];

static ag_type type_of(const ag_source *s, const char *name) {
    const ag_tensor *t = ag_source_find_tensor(s, name);
    assert_non_null(t);
    return types[t - ag_source_tensor_at(s, 0)];
}

static ag_code choose(const ag_source *s, const char *mix, bool pure, ag_err *err) {
    const ag_mix *m = ag_mix_find(mix);
    assert_non_null(m);
    return ag_mix_choose(m, s, pure, false, types, err);
}

static void names_are_found_in_any_case_and_in_short(void **state) {
    (void)state;
    char list[256], small[8];
    assert_string_equal(ag_mix_find("Q4_K_M")->name, "q4_k_m");
    assert_string_equal(ag_mix_find("q4_k")->name, "q4_k_m");
    assert_string_equal(ag_mix_find("int8")->name, "q8_0");
    assert_null(ag_mix_find("q4"));
    assert_null(ag_mix_find(""));
    ag_mix_list(list, sizeof list);
    assert_non_null(strstr(list, "f32, f16, bf16, q8_0"));
    ag_mix_list(small, sizeof small);
    assert_int_equal(strlen(small), 7);
}

static void norms_and_routers_stay_float32(void **state) {
    (void)state;
    ag_source *s = make(256, 4, true);
    assert_int_equal(choose(s, "q8_0", false, NULL), AG_OK);
    assert_int_equal(type_of(s, "blk.3.attn_norm.weight"), AG_T_F32);
    assert_int_equal(type_of(s, "output_norm.weight"), AG_T_F32);
    assert_int_equal(type_of(s, "blk.3.ffn_gate_inp.weight"), AG_T_Q2_K); /* undecoded: as it is */
    assert_int_equal(type_of(s, "blk.3.attn_q.weight"), AG_T_Q8_0);
    assert_int_equal(type_of(s, "token_embd.weight"), AG_T_Q8_0);
    ag_source_close(&s);
}

static void types_without_an_encoder_are_named(void **state) {
    (void)state;
    ag_source *s = make(256, 0, true);
    ag_err err = {0};
    ag_code code = choose(s, "iq4_xs", false, &err);
    if (!ag_type_encodes(AG_T_IQ4_XS)) {
        assert_int_equal(code, AG_E_UNSUPPORTED);
        assert_non_null(strstr(err.msg, "cannot encode"));
    }
    ag_source_close(&s);
}

static void rows_that_no_block_fits_fall_back(void **state) {
    (void)state;
    ag_source *s = make(576, 0, true);
    assert_int_equal(choose(s, "q4_k_m", false, NULL), AG_OK);
    assert_int_equal(type_of(s, "token_embd.weight"), AG_T_Q8_0);
    assert_int_equal(type_of(s, "blk.4.ffn_up.weight"), AG_T_Q5_0);
    assert_int_equal(type_of(s, "blk.0.ffn_down.weight"), AG_T_Q8_0);
    assert_int_equal(choose(s, "q5_k_m", false, NULL), AG_OK);
    assert_int_equal(type_of(s, "blk.4.ffn_up.weight"), AG_T_Q5_1);
    ag_source_close(&s);
    s = make(40, 0, false);
    assert_int_equal(choose(s, "q8_0", false, NULL), AG_OK);
    assert_int_equal(type_of(s, "blk.4.ffn_up.weight"), AG_T_F16);
    ag_source_close(&s);
}

static void some_layers_get_better_types(void **state) {
    (void)state;
    ag_source *s = make(256, 0, false);
    if (choose(s, "q4_k_m", false, NULL) == AG_E_UNSUPPORTED) {
        ag_source_close(&s);
        skip();
    }
    for (int i = 0; i < LAYERS; i++) {
        char name[32];
        bool more = i < 2 || i >= 14 || (i - 2) % 3 == 2;
        snprintf(name, sizeof name, "blk.%d.attn_v.weight", i);
        assert_int_equal(type_of(s, name), more ? AG_T_Q6_K : AG_T_Q4_K);
        snprintf(name, sizeof name, "blk.%d.ffn_down.weight", i);
        assert_int_equal(type_of(s, name), more ? AG_T_Q6_K : AG_T_Q4_K);
        snprintf(name, sizeof name, "blk.%d.attn_k.weight", i);
        assert_int_equal(type_of(s, name), AG_T_Q4_K);
    }
    assert_int_equal(type_of(s, "output.weight"), AG_T_Q6_K);
    assert_int_equal(type_of(s, "token_embd.weight"), AG_T_Q4_K);
    assert_int_equal(choose(s, "q4_k_m", true, NULL), AG_OK);
    assert_int_equal(type_of(s, "output.weight"), AG_T_Q4_K);
    assert_int_equal(type_of(s, "blk.0.attn_v.weight"), AG_T_Q4_K);
    ag_source_close(&s);
}

static void mxfp4_is_for_experts_where_there_are_some(void **state) {
    (void)state;
    ag_source *s = make(256, 0, false);
    assert_int_equal(choose(s, "mxfp4", false, NULL), AG_OK);
    assert_int_equal(type_of(s, "blk.3.attn_v.weight"), AG_T_MXFP4);
    assert_int_equal(type_of(s, "blk.3.ffn_down.weight"), AG_T_MXFP4);
    assert_int_equal(type_of(s, "token_embd.weight"), AG_T_Q8_0);
    assert_int_equal(type_of(s, "output.weight"), AG_T_Q8_0);
    ag_source_close(&s);
    s = make(256, 32, true);
    ag_tensor experts = {.name = ag_str("blk.3.ffn_down_exps.weight"),
                         .type = AG_T_Q2_K,
                         .keep = AG_T_Q2_K,
                         .n_dims = 3,
                         .dim = {256, 256, 32, 1}};
    assert_int_equal(ag_source_add_tensor(s, &experts, NULL), AG_OK);
    assert_int_equal(choose(s, "MXFP4_MOE", false, NULL), AG_OK);
    assert_int_equal(type_of(s, "blk.3.ffn_down_exps.weight"), AG_T_MXFP4);
    assert_int_equal(type_of(s, "blk.3.attn_v.weight"), AG_T_Q8_0);
    assert_int_equal(type_of(s, "blk.3.attn_norm.weight"), AG_T_F32);
    assert_int_equal(choose(s, "mxfp4", true, NULL), AG_OK);
    assert_int_equal(type_of(s, "blk.3.attn_v.weight"), AG_T_MXFP4);
    ag_source_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_in_any_case_and_in_short),
        cmocka_unit_test(norms_and_routers_stay_float32),
        cmocka_unit_test(types_without_an_encoder_are_named),
        cmocka_unit_test(rows_that_no_block_fits_fall_back),
        cmocka_unit_test(some_layers_get_better_types),
        cmocka_unit_test(mxfp4_is_for_experts_where_there_are_some),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
