/* What a GGUF file says of its tokenizer, and what is refused. */
#include "text/vocab.h"

#include "unit/text/golden.h"

static const char *const abc[] = {"a", "b", "ab"}, *const rule[] = {"a b"};

static void begin_abc(ag_buf *b) {
    begin_gguf(b);
    put_str_key(b, "model", "gpt2");
    put_str_key(b, "pre", "gpt-2");
    put_strs_key(b, "tokens", abc, 3);
}

static void refuse(ag_buf *b, ag_code code, const char *why) {
    vocab v;
    ag_err err = {0};
    assert_int_equal(vocab_of(b, &v, &err), code);
    if (!strstr(err.msg, why))
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
    ag_buf_deinit(b);
}

static void broken_descriptions_are_refused_with_the_key(void **state) {
    (void)state;
    ag_buf b;
    begin_gguf(&b);
    refuse(&b, AG_E_NOT_FOUND, "tokenizer.ggml.model");
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    refuse(&b, AG_E_NOT_FOUND, "tokenizer.ggml.tokens");
    begin_abc(&b);
    refuse(&b, AG_E_FORMAT, "tokenizer.ggml.merges");
    begin_abc(&b);
    put_ints_key(&b, "merges", (const int[]){1}, 1);
    refuse(&b, AG_E_FORMAT, "expected an array of strings");
    begin_abc(&b);
    put_strs_key(&b, "merges", rule, 1);
    put_ints_key(&b, "token_type", (const int[]){1, 1}, 2);
    refuse(&b, AG_E_FORMAT, "expected 3 elements");
    begin_abc(&b);
    put_strs_key(&b, "merges", rule, 1);
    put_str_key(&b, "token_type", "x");
    refuse(&b, AG_E_FORMAT, "expected an array of numbers");
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    put_strs_key(&b, "tokens", abc, 0);
    refuse(&b, AG_E_LIMIT, "0 tokens");
    begin_gguf(&b);
    put_str_key(&b, "model", "llama");
    put_strs_key(&b, "tokens", abc, 3);
    refuse(&b, AG_E_FORMAT, "tokenizer.ggml.scores");
}

static void unknown_kinds_are_refused_with_what_is_supported(void **state) {
    (void)state;
    ag_buf b;
    begin_gguf(&b);
    put_str_key(&b, "model", "t5");
    put_strs_key(&b, "tokens", abc, 3);
    refuse(&b, AG_E_UNSUPPORTED, "\"t5\" is not supported; supported are gpt2");
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    put_str_key(&b, "pre", "chameleon");
    put_strs_key(&b, "tokens", abc, 3);
    put_strs_key(&b, "merges", rule, 1);
    refuse(&b, AG_E_UNSUPPORTED, "\"chameleon\" is not supported; supported are: llama-bpe llama3");
}

static void ids_that_name_no_token_are_none(void **state) {
    (void)state;
    ag_buf b;
    vocab v;
    begin_abc(&b);
    put_strs_key(&b, "merges", rule, 1);
    put_u32_key(&b, "bos_token_id", 3);
    put_u32_key(&b, "eos_token_id", 0xFFFFFFFF);
    put_bool_key(&b, "add_bos_token", true);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_int_equal(ag_tokenizer_bos(v.t), -1);
    assert_int_equal(ag_tokenizer_eos(v.t), -1);
    assert_false(ag_tokenizer_adds_bos(v.t));
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void bos_and_eos_frame_the_text_when_asked(void **state) {
    (void)state;
    static const char *const tokens[] = {"a", "b", "ab", "<s>", "</s>"};
    const int32_t framed[] = {3, 2, 4}, bare[] = {2};
    ag_buf b;
    vocab v;
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    put_str_key(&b, "pre", "llama-bpe"); /* adds BOS where the file does not say */
    put_strs_key(&b, "tokens", tokens, 5);
    put_strs_key(&b, "merges", rule, 1);
    put_u32_key(&b, "bos_token_id", 3);
    put_u32_key(&b, "eos_token_id", 4);
    put_bool_key(&b, "add_eos_token", true);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("ab"), AG_ENCODE_BOS, framed, 3);
    assert_ids(v.t, ag_str("ab"), 0, bare, 1);
    assert_int_equal(ag_tokenizer_type(v.t, 3), AG_TOKEN_CONTROL); /* an old file without types */
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void tokens_are_found_by_their_raw_text(void **state) {
    (void)state;
    static const char *const paths[] = {GOLDENS "qwen2.gguf", GOLDENS "gemma.gguf"};
    for (size_t i = 0; i < 2; i++) {
        vocab v = open_vocab(paths[i]);
        for (int32_t id = 0; id < ag_tokenizer_n(v.t); id++)
            assert_int_equal(ag_tokenizer_find(v.t, ag_tokenizer_raw(v.t, id)), id);
        assert_int_equal(ag_tokenizer_find(v.t, ag_str("no such token, surely")), -1);
        close_vocab(&v);
    }
}

static void a_token_written_in_stand_ins_is_not_an_added_one(void **state) {
    (void)state;
    /* Both decode to a space and an a: the first by stand-ins, the second as it is. */
    static const char *const tokens[] = {"\xC4\xA0"
                                         "a",
                                         " a", "\xC4\xA0", "a"};
    static const char *const merges[] = {"\xC4\xA0 a"};
    static const int types[] = {1, 4, 1, 1};
    const int32_t want[] = {1};
    ag_buf b;
    vocab v;
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    put_str_key(&b, "pre", "gpt-2");
    put_strs_key(&b, "tokens", tokens, 4);
    put_strs_key(&b, "merges", merges, 1);
    put_ints_key(&b, "token_type", types, 4);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_int_equal(ag_tokenizer_find(v.t, ag_str("\xC4\xA0"
                                                   "a")),
                     0);
    assert_int_equal(ag_tokenizer_find(v.t, ag_str(" a")), 1);
    assert_true(ag_span_is(ag_tokenizer_bytes(v.t, 0), " a"));
    assert_ids(v.t, ag_str(" a"), 0, want, 1);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void padding_is_never_matched(void **state) {
    (void)state;
    static const char *const tokens[] = {"[PAD7]", "[PADx]", "a"};
    static const int types[] = {4, 4, 1};
    const int32_t want[] = {1};
    ag_buf b;
    vocab v;
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    put_str_key(&b, "pre", "gpt-2");
    put_strs_key(&b, "tokens", tokens, 3);
    put_strs_key(&b, "merges", rule, 1);
    put_ints_key(&b, "token_type", types, 3);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("[PAD7][PADx]"), 0, want, 1);
    assert_int_equal(ag_tokenizer_type(v.t, 0), AG_TOKEN_UNUSED);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

/* ---- stops ----------------------------------------------------------------------------------- */

static void check_stops(const char *const *tokens, size_t n, int32_t eos, const int32_t *want,
                        size_t n_want) {
    int types[8];
    for (size_t i = 0; i < n; i++)
        types[i] = 3;
    ag_buf b;
    vocab v;
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    put_str_key(&b, "pre", "gpt-2");
    put_strs_key(&b, "tokens", tokens, n);
    put_strs_key(&b, "merges", rule, 1);
    put_ints_key(&b, "token_type", types, n);
    put_u32_key(&b, "eos_token_id", (uint32_t)eos);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    size_t n_stops;
    const int32_t *stops = ag_tokenizer_stops(v.t, &n_stops);
    assert_int_equal(n_stops, n_want);
    assert_memory_equal(stops, want, n_want * sizeof *want);
    for (size_t i = 0; i < n_want; i++)
        assert_true(ag_tokenizer_is_stop(v.t, want[i]));
    assert_false(ag_tokenizer_is_stop(v.t, -1));
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void generation_stops_at_eos_and_at_well_known_tokens(void **state) {
    (void)state;
    static const char *const chatml[] = {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "x"};
    check_stops(chatml, 4, 2, (const int32_t[]){1, 2}, 2);
    static const char *const glm[] = {"<|endoftext|>", "[gMASK]",         "<sop>",
                                      "<|user|>",      "<|observation|>", "<|assistant|>"};
    check_stops(glm, 6, 0, (const int32_t[]){0, 3, 4}, 3);
    static const char *const phi[] = {"<|user|>", "<|end|>", "<|endoftext|>"};
    check_stops(phi, 3, 2, (const int32_t[]){1, 2}, 2);
    static const char *const harmony[] = {"<|return|>", "<|end|>", "<|call|>"};
    check_stops(harmony, 3, 0, (const int32_t[]){0, 2}, 2);
    static const char *const deepseek[] = {"<\xEF\xBD\x9C"
                                           "end\xE2\x96\x81of\xE2\x96\x81sentence"
                                           "\xEF\xBD\x9C>",
                                           "a"};
    check_stops(deepseek, 2, 1, (const int32_t[]){0, 1}, 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_descriptions_are_refused_with_the_key),
        cmocka_unit_test(unknown_kinds_are_refused_with_what_is_supported),
        cmocka_unit_test(ids_that_name_no_token_are_none),
        cmocka_unit_test(bos_and_eos_frame_the_text_when_asked),
        cmocka_unit_test(tokens_are_found_by_their_raw_text),
        cmocka_unit_test(a_token_written_in_stand_ins_is_not_an_added_one),
        cmocka_unit_test(padding_is_never_matched),
        cmocka_unit_test(generation_stops_at_eos_and_at_well_known_tokens),
    };
    return cmocka_run_group_tests_name("text/vocab", tests, NULL, NULL);
}
