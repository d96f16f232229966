/* Every allocation fails once, from opening the file to freeing the tokenizer: an error, no leak.
 */
#include "base/fault.h"
#include "unit/text/golden.h"

/* The whole life of a tokenizer; false when something failed. */
static bool live(const ag_source *g, ag_span text, ag_code *code) {
    ag_tokenizer *t = NULL;
    ag_ids ids = {0};
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEXT, 1 << 20);
    *code = ag_tokenizer_from_source(g, &t, NULL);
    if (*code == AG_OK)
        *code = ag_tokenizer_encode(t, text, AG_ENCODE_BOS | AG_ENCODE_SPECIAL, &ids, NULL);
    if (*code == AG_OK) {
        ag_detok d;
        ag_detok_init(&d, t, true, true);
        for (size_t i = 0; i < ids.n; i++)
            ag_detok_push(&d, ids.v[i], &out);
        ag_detok_flush(&d, &out);
        *code = ag_buf_check(&out, "text", NULL);
    }
    ag_buf_deinit(&out);
    ag_ids_deinit(&ids);
    ag_tokenizer_free(&t);
    assert_null(t);
    return *code == AG_OK;
}

static void check_faults(const char *path) {
    ag_source *g = NULL;
    assert_int_equal(ag_gguf_open(path, &g, NULL), AG_OK);
    ag_buf text; /* long words, accents to compose, invalid bytes, special tokens */
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 16);
    ag_buf_adds(&text, "e\xCC\x81 \xFF <s> <|im_start|> ");
    for (int i = 0; i < 3000; i++)
        ag_buf_addc(&text, (char)('a' + i % 7));
    size_t before = ag_mem_bytes(AG_ROOM_TEXT);
    ag_code code;
    long nth = 0;
    for (bool done = false; !done;) {
        ag_fault_arm(AG_FAULT_ALLOC, ++nth, false);
        bool ok = live(g, ag_buf_span(&text), &code);
        done = !ag_fault_fired(AG_FAULT_ALLOC);
        ag_fault_arm(AG_FAULT_ALLOC, 0, false);
        if (done)
            assert_true(ok);
        else if (!ok)
            assert_int_equal(code, AG_E_NOMEM);
        assert_int_equal(ag_mem_bytes(AG_ROOM_TEXT), before);
    }
    assert_true(nth > 10);
    ag_buf_deinit(&text);
    ag_source_close(&g);
}

static void no_failed_allocation_leaks_in_byte_level_bpe(void **state) {
    (void)state;
    check_faults(GOLDENS "qwen2.gguf");
}
static void no_failed_allocation_leaks_in_sentencepiece(void **state) {
    (void)state;
    check_faults(GOLDENS "llama2.gguf");
}

static void no_failed_allocation_leaks_in_wordpiece(void **state) {
    (void)state;
    check_faults(GOLDENS "bert.gguf");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_failed_allocation_leaks_in_byte_level_bpe),
        cmocka_unit_test(no_failed_allocation_leaks_in_sentencepiece),
        cmocka_unit_test(no_failed_allocation_leaks_in_wordpiece),
    };
    return cmocka_run_group_tests_name("text/fault", tests, NULL, NULL);
}
