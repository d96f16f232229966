/* Text between two others: whose tokens mark it, and in which order. */
#include "text/tokenizer.h"

#include "unit/text/golden.h"

#define MARK "\xE2\x96\x81"

/* Ids 0 to 4 are a, b, ab, <s> and </s>; then come the tokens given, of a type each. */
static void begin_bpe(ag_buf *b, const char *const *more, int type, size_t n) {
    const char *tokens[16] = {"a", "b", "ab", "<s>", "</s>"};
    int types[16] = {1, 1, 1, 3, 3};
    static const char *const rule[] = {"a b"};
    for (size_t i = 0; i < n; i++) {
        tokens[5 + i] = more[i];
        types[5 + i] = type;
    }
    begin_gguf(b);
    put_str_key(b, "model", "gpt2");
    put_str_key(b, "pre", "llama-bpe");
    put_strs_key(b, "tokens", tokens, 5 + n);
    put_ints_key(b, "token_type", types, 5 + n);
    put_strs_key(b, "merges", rule, 1);
    put_u32_key(b, "bos_token_id", 3);
    put_u32_key(b, "eos_token_id", 4);
    put_bool_key(b, "add_eos_token", true);
}

static vocab finish(ag_buf *b) {
    vocab v;
    ag_err err = {0};
    if (vocab_of(b, &v, &err) != AG_OK)
        fail_msg("%s", err.msg);
    return v;
}

static void close_all(vocab *v, ag_buf *b) {
    close_vocab(v);
    ag_buf_deinit(b);
}

static void assert_infill(const ag_tokenizer *t, const char *before, const char *behind,
                          unsigned flags, const int32_t *want, size_t n) {
    ag_ids got = {0};
    ag_err err = {0};
    assert_true(ag_tokenizer_infills(t));
    if (ag_tokenizer_infill(t, ag_str(before), ag_str(behind), flags, &got, &err) != AG_OK)
        fail_msg("%s", err.msg);
    assert_int_equal(got.n, n);
    assert_memory_equal(got.v, want, n * sizeof *want);
    ag_ids_deinit(&got);
}

static void well_known_tokens_are_found(void **state) {
    (void)state;
    static const char *const rows[][3] = {
        {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"},
        {"<fim_prefix>", "<fim_suffix>", "<fim_middle>"},
        {"<|fim_begin|>", "<|fim_hole|>", "<|fim_end|>"},
        {"<PRE>", "<SUF>", "<MID>"},
        {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>"},
    };
    static const int32_t want[] = {5, 2, 0, 6, 1, 7}, framed[] = {3, 5, 6, 2, 7};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int type = 3; type <= 4; type++) { /* a control token, or one that was added */
            ag_buf b;
            begin_bpe(&b, rows[i], type, 3);
            vocab v = finish(&b);
            assert_infill(v.t, "aba", "b", 0, want, 6);
            assert_infill(v.t, "", "ab", AG_ENCODE_BOS, framed, 5); /* and no EOS */
            close_all(&v, &b);
        }
}

static void without_all_of_them_there_is_no_form(void **state) {
    (void)state;
    static const char *const two[] = {"<|fim_prefix|>", "<|fim_suffix|>", "<fim_middle>"};
    static const char *const plain[] = {"[PREFIX]", "[SUFFIX]"};
    for (int i = 0; i < 2; i++) {
        ag_buf b;
        ag_ids ids = {0};
        ag_err err = {0};
        begin_bpe(&b, i ? plain : two, i ? 1 : 3, i ? 2 : 3); /* ordinary tokens mark nothing */
        vocab v = finish(&b);
        assert_false(ag_tokenizer_infills(v.t));
        assert_int_equal(ag_tokenizer_infill(v.t, ag_str("a"), ag_str("b"), 0, &ids, &err),
                         AG_E_UNSUPPORTED);
        assert_string_equal(err.msg, "the model has no fill-in-the-middle form");
        assert_int_equal(ids.n, 0);
        close_all(&v, &b);
    }
}

static void keys_name_them_and_go_before_texts(void **state) {
    (void)state;
    static const char *const tokens[] = {
        "<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<x>", "<y>", "<z>"};
    static const char *const names[][3] = {
        {"fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id"},
        {"prefix_token_id", "suffix_token_id", "middle_token_id"}};
    static const int32_t want[] = {8, 0, 9, 1, 10}, texts[] = {5, 0, 6, 1, 7};
    for (int i = 0; i < 3; i++) {
        ag_buf b;
        begin_bpe(&b, tokens, 3, 6);
        put_u32_key(&b, names[i % 2][0], 8);
        put_u32_key(&b, names[i % 2][1], 9);
        put_u32_key(&b, names[i % 2][2], i < 2 ? 10 : 4711); /* which is no token */
        vocab v = finish(&b);
        assert_infill(v.t, "a", "b", 0, i < 2 ? want : texts, 5);
        close_all(&v, &b);
    }
}

static void mistrals_form_has_the_text_behind_first(void **state) {
    (void)state;
    static const char *const tokens[] = {"[PREFIX]", "[MIDDLE]", "[SUFFIX]"};
    static const int32_t want[] = {3, 7, 1, 5, 0};
    ag_buf b;
    begin_bpe(&b, tokens, 3, 3);
    vocab v = finish(&b);
    assert_infill(v.t, "a", "b", AG_ENCODE_BOS, want, 5);
    close_all(&v, &b);
}

static void an_answer_ends_where_another_part_would_begin(void **state) {
    (void)state;
    static const char *const tokens[] = {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>",
                                         "<|fim_pad|>",    "<|file_sep|>",   "<|other|>"};
    static const int32_t want[] = {5, 6, 7, 8, 9};
    ag_buf b;
    begin_bpe(&b, tokens, 4, 6);
    vocab v = finish(&b);
    size_t n;
    const int32_t *ends = ag_tokenizer_infill_ends(v.t, &n);
    assert_int_equal(n, 5);
    assert_memory_equal(ends, want, sizeof want);
    for (size_t i = 0; i < n; i++) /* elsewhere they are text */
        assert_false(ag_tokenizer_is_stop(v.t, ends[i]));
    close_all(&v, &b);
}

/* Code Llama's: the text before begins with a space that nobody wrote, the one behind does not. */
static void sentencepiece_puts_no_space_before_the_text_behind(void **state) {
    (void)state;
    static const char *const tokens[] = {"<unk>", "<s>",        "</s>",       "a",         MARK "a",
                                         MARK,    MARK "<PRE>", MARK "<SUF>", MARK "<MID>"};
    static const int types[] = {2, 3, 3, 1, 1, 1, 3, 3, 3};
    static const float scores[] = {0, 0, 0, -2, -1, -3, 0, 0, 0};
    static const int32_t want[] = {6, 4, 7, 3, 8}, blank[] = {6, 4, 7, 4, 8}, goes_on[] = {3};
    ag_buf b;
    begin_gguf(&b);
    put_str_key(&b, "model", "llama");
    put_strs_key(&b, "tokens", tokens, 9);
    put_ints_key(&b, "token_type", types, 9);
    put_floats_key(&b, "scores", scores, 9);
    put_bool_key(&b, "add_space_prefix", true);
    vocab v = finish(&b);
    assert_infill(v.t, "a", "a", 0, want, 5);
    assert_infill(v.t, "a", " a", 0, blank, 5); /* one that somebody wrote stays */
    assert_ids(v.t, ag_str("a"), AG_ENCODE_GOES_ON, goes_on, 1);
    close_all(&v, &b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_known_tokens_are_found),
        cmocka_unit_test(without_all_of_them_there_is_no_form),
        cmocka_unit_test(keys_name_them_and_go_before_texts),
        cmocka_unit_test(mistrals_form_has_the_text_behind_first),
        cmocka_unit_test(an_answer_ends_where_another_part_would_begin),
        cmocka_unit_test(sentencepiece_puts_no_space_before_the_text_behind),
    };
    return cmocka_run_group_tests_name("text/infill", tests, NULL, NULL);
}
