#include "unit/test.h"

#include "hub/choose.h"

#include <stdio.h>

/* A finished listing of these names, separated by blanks. */
static void list(ag_hub_listing *l, const char *names) {
    ag_buf json;
    ag_err err = {0};
    ag_buf_init(&json, AG_ROOM_TEST, 65536);
    ag_hub_listing_init(l);
    ag_buf_adds(&json, "[");
    for (const char *at = names; *at;) {
        size_t n = strcspn(at, " ");
        ag_buf_addf(&json, "%s{\"type\":\"file\",\"path\":\"%.*s\",\"size\":1,\"oid\":\"%040d\"}",
                    at == names ? "" : ",", (int)n, at, 0);
        at += n + (at[n] != '\0');
    }
    ag_buf_adds(&json, "]");
    assert_int_equal(ag_hub_listing_add(l, ag_buf_span(&json), &err), AG_OK);
    assert_int_equal(ag_hub_listing_finish(l, &err), AG_OK);
    ag_buf_deinit(&json);
}

/* What is chosen, in the same form, or the code's name. */
static void chooses(const char *names, const char *want, const char *expected) {
    ag_hub_listing l;
    ag_hub_choice c;
    ag_err err = {0};
    char found[1024] = "";
    list(&l, names);
    ag_code code = ag_hub_choose(&l, want, &c, &err);
    for (size_t i = 0, at = 0; !code && i < c.n; i++)
        at +=
            (size_t)snprintf(found + at, sizeof found - at, "%s%s", i ? " " : "", c.files[i]->path);
    assert_string_equal(code ? ag_code_name(code) : found, expected);
    ag_hub_listing_deinit(&l);
}

static void a_file_is_itself(void **state) {
    (void)state;
    chooses("a.gguf b.gguf config.json", "b.gguf", "b.gguf");
    chooses("a.gguf sub/b.gguf", "sub/b.gguf", "sub/b.gguf");
    chooses("mmproj-F16.gguf a.gguf", "mmproj-F16.gguf", "mmproj-F16.gguf");
    chooses("a.gguf", "c.gguf", "not_found");
}

static void a_part_is_its_set(void **state) {
    (void)state;
    const char *set = "m-00001-of-00003.gguf m-00002-of-00003.gguf m-00003-of-00003.gguf";
    char all[256];
    snprintf(all, sizeof all, "%s m-00001-of-00002.gguf n-00001-of-00003.gguf m.gguf", set);
    chooses(all, "m-00002-of-00003.gguf", set);
    chooses(all, "m.gguf", "m.gguf");
    chooses(all, "n-00001-of-00003.gguf", "bad_format");
    chooses("m-00000-of-00003.gguf", "m-00000-of-00003.gguf", "m-00000-of-00003.gguf");
    chooses("m-0001-of-00003.gguf", "m-0001-of-00003.gguf", "m-0001-of-00003.gguf");
}

static void a_quantisation_is_a_whole_word(void **state) {
    (void)state;
    const char *all =
        "M-Q4_K.gguf M-Q4_K_M.gguf M-IQ4_XS.gguf M-BF16.gguf M-F16.gguf imatrix-Q4_K_M.gguf "
        "mmproj-F16.gguf";
    chooses(all, "Q4_K_M", "M-Q4_K_M.gguf");
    chooses(all, "q4_k", "M-Q4_K.gguf");
    chooses(all, "f16", "M-F16.gguf");
    chooses(all, "Q4_XS", "not_found");
    chooses(all, "Q4", "not_found");
    chooses("m.Q8_0.gguf m.Q4_0.gguf", "q8_0", "m.Q8_0.gguf");
    chooses("Q8_0/m-00001-of-00002.gguf Q8_0/m-00002-of-00002.gguf Q4_0/m.gguf", "Q8_0",
            "Q8_0/m-00001-of-00002.gguf Q8_0/m-00002-of-00002.gguf");
    chooses("a-Q8_0.gguf b-Q8_0.gguf", "Q8_0", "invalid_argument");
}

static void without_a_name_a_folder_comes(void **state) {
    (void)state;
    chooses("README.md config.json model.safetensors tokenizer.json x.png x-Q8_0.gguf", "",
            "config.json model.safetensors tokenizer.json");
    chooses("config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
            "model.safetensors.index.json consolidated.safetensors",
            "",
            "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
            "model.safetensors.index.json");
    chooses("config.json other-1.safetensors other-2.safetensors model.safetensors.index.json", "",
            "config.json model.safetensors.index.json other-1.safetensors other-2.safetensors");
    chooses("1_Pooling/config.json config.json model.safetensors onnx/config.json vocab.txt", "",
            "1_Pooling/config.json config.json model.safetensors vocab.txt");
}

static void without_a_folder_the_usual_gguf_comes(void **state) {
    (void)state;
    chooses("config.json m-Q8_0.gguf", "", "m-Q8_0.gguf");
    chooses("m-Q8_0.gguf m-Q4_K_M.gguf m-Q2_K.gguf", "", "m-Q4_K_M.gguf");
    chooses("m-Q8_0.gguf m-Q2_K.gguf", "", "invalid_argument");
    chooses("m-Q4_K_M.gguf n-Q4_K_M.gguf", "", "invalid_argument");
    chooses("config.json pytorch_model.bin", "", "unsupported");
    chooses("mmproj-F16.gguf", "", "unsupported");
}

static void what_there_is_gets_listed(void **state) {
    (void)state;
    ag_hub_listing l;
    ag_hub_choice c;
    ag_err err = {0};
    list(&l, "Big-Model.Q2_K.gguf Big-Model.Q8_0.gguf Big-Model.F16-00001-of-00002.gguf "
             "Big-Model.F16-00002-of-00002.gguf");
    assert_int_equal(ag_hub_choose(&l, "q3_k", &c, &err), AG_E_NOT_FOUND);
    assert_non_null(strstr(err.msg, "F16, Q2_K, Q8_0"));
    ag_hub_listing_deinit(&l);
    char names[8192] = "";
    for (int i = 0, at = 0; i < 100; i++)
        at += snprintf(names + at, sizeof names - (size_t)at, "%sx-word%03d.gguf", i ? " " : "", i);
    list(&l, names);
    assert_int_equal(ag_hub_choose(&l, "", &c, &err), AG_E_ARG);
    assert_non_null(strstr(err.msg, "word000, word001"));
    assert_non_null(strstr(err.msg, " more"));
    ag_hub_listing_deinit(&l);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_itself),
        cmocka_unit_test(a_part_is_its_set),
        cmocka_unit_test(a_quantisation_is_a_whole_word),
        cmocka_unit_test(without_a_name_a_folder_comes),
        cmocka_unit_test(without_a_folder_the_usual_gguf_comes),
        cmocka_unit_test(what_there_is_gets_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
