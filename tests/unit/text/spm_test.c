/* SentencePiece BPE: goldens, scores, byte fallback, where texts may be cut. */
#include "base/clock.h"
#include "text/vocab.h"
#include "unit/text/golden.h"

#define MARK "\xE2\x96\x81"

static void small_vocabularies_agree_with_the_reference(void **state) {
    (void)state;
    static const char *const kinds[] = {"llama2", "gemma"};
    for (size_t i = 0; i < 2; i++) {
        char path[128], name[64];
        snprintf(path, sizeof path, GOLDENS "%s.gguf", kinds[i]);
        snprintf(name, sizeof name, "%s.txt", kinds[i]);
        vocab v = open_vocab(path);
        assert_true(check_golden(v.t, name) > 100);
        close_vocab(&v);
    }
}

static void scores_order_as_floats_do(void **state) {
    (void)state;
    static const float falling[] = {1e30f, 2, 1, 0.5f, 1e-30f, 0, -1e-30f, -1, -2, -1e4f, -1e30f};
    for (size_t i = 1; i < sizeof falling / sizeof falling[0]; i++)
        assert_true(ag_order_of_score(falling[i - 1]) < ag_order_of_score(falling[i]));
    float nan;
    memset(&nan, 0xFF, sizeof nan);
    assert_true(ag_order_of_score(nan) < UINT32_MAX); /* the value that means: no pair */
}

typedef struct piece {
    const char *text;
    int type;
    float score;
} piece;

static vocab spm_of(ag_buf *b, const piece *pieces, size_t n, bool prefix) {
    const char *tokens[32];
    int types[32];
    float scores[32];
    for (size_t i = 0; i < n; i++) {
        tokens[i] = pieces[i].text;
        types[i] = pieces[i].type;
        scores[i] = pieces[i].score;
    }
    begin_gguf(b);
    put_str_key(b, "model", "llama");
    put_strs_key(b, "tokens", tokens, n);
    put_ints_key(b, "token_type", types, n);
    put_floats_key(b, "scores", scores, n);
    put_bool_key(b, "add_space_prefix", prefix);
    vocab v;
    ag_err err = {0};
    if (vocab_of(b, &v, &err) != AG_OK)
        fail_msg("%s", err.msg);
    return v;
}

static void the_highest_score_merges_first(void **state) {
    (void)state;
    static const piece pieces[] = {{"<unk>", 2, 0}, {"a", 1, -9},  {"b", 1, -9},  {"c", 1, -9},
                                   {"ab", 1, -2},   {"bc", 1, -1}, {"abc", 1, -5}};
    const int32_t abc[] = {6}, abab[] = {4, 4}, abcc[] = {6, 3};
    ag_buf b;
    vocab v = spm_of(&b, pieces, 7, false);
    assert_ids(v.t, ag_str("abc"), 0, abc, 1);
    assert_ids(v.t, ag_str("abab"), 0, abab, 2);
    assert_ids(v.t, ag_str("abcc"), 0, abcc, 2);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void characters_without_a_token_become_bytes_or_unknown(void **state) {
    (void)state;
    static const piece pieces[] = {
        {"<unk>", 2, 0}, {"a", 1, -1}, {"<0xC3>", 6, 0}, {"<0xA9>", 6, 0}, {"<0xG0>", 6, 0}};
    const int32_t e_acute[] = {1, 2, 3, 1}, unknown[] = {1, 0, 1, 0};
    ag_buf b;
    vocab v = spm_of(&b, pieces, 5, false);
    assert_ids(v.t,
               ag_str("a\xC3\xA9"
                      "a"),
               0, e_acute, 4);
    assert_ids(v.t, ag_str("axyzaxyz"), 0, unknown, 4); /* neighbours share one */
    assert_int_equal(ag_tokenizer_bytes(v.t, 4).n, 0);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void the_unknown_token_is_never_one_that_frames_text(void **state) {
    (void)state;
    static const piece as_control[] = {{"<unk>", 3, 0}, {"<s>", 3, 0}, {"</s>", 3, 0}};
    static const char *const tokens[] = {"a", "<s>", "</s>"};
    static const float scores[] = {-1, 0, 0};
    const int32_t a[] = {0}, unknown[] = {0};
    ag_buf b;
    vocab v = spm_of(&b, as_control, 3, false);
    assert_ids(v.t, ag_str("xy"), 0, unknown, 1);
    assert_int_equal(ag_tokenizer_type(v.t, 0), AG_TOKEN_UNKNOWN);
    close_vocab(&v);
    ag_buf_deinit(&b);
    begin_gguf(&b);
    put_str_key(&b, "model", "llama");
    put_strs_key(&b, "tokens", tokens, 3);
    put_floats_key(&b, "scores", scores, 3);
    put_bool_key(&b, "add_space_prefix", false);
    put_u32_key(&b, "unknown_token_id", 2); /* also the end of the text */
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("xa"), 0, a, 1);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void a_token_across_a_space_is_found(void **state) {
    (void)state;
    static const piece pieces[] = {{"<unk>", 2, 0},         {">", 1, -9},      {"<", 1, -9},
                                   {MARK, 1, -9},           {MARK "<", 1, -2}, {">" MARK, 1, -4},
                                   {">" MARK "<", 1, -1.f}, {"a", 1, -9},      {MARK "a", 1, -1}};
    const int32_t want[] = {6, 8, 7, 8};
    ag_buf b;
    vocab v = spm_of(&b, pieces, 9, false);
    assert_true(v.t->joins['>'][0xFF / 8] >> 0xFF % 8 & 1);
    assert_false(v.t->joins['a'][0xFF / 8] >> 0xFF % 8 & 1);
    assert_ids(v.t, ag_str("> < aa a"), 0, want, 4);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void the_prefix_stands_before_each_piece_but_no_empty_one(void **state) {
    (void)state;
    static const piece pieces[] = {{"<unk>", 2, 0}, {"<s>", 3, 0},     {"</s>", 3, 0},
                                   {"a", 1, -9},    {MARK "a", 1, -1}, {MARK, 1, -9}};
    const int32_t want[] = {1, 4, 2, 4}, two[] = {5, 4};
    ag_buf b;
    vocab v = spm_of(&b, pieces, 6, true);
    assert_ids(v.t, ag_str("<s>a</s>a"), AG_ENCODE_SPECIAL, want, 4);
    assert_ids(v.t, ag_str(" a"), 0, two, 2);
    assert_ids(v.t, ag_str(""), 0, NULL, 0);
    assert_ids(v.t, ag_str(""), AG_ENCODE_BOS, want, 1);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void half_a_megabyte_without_a_space_is_encoded_in_seconds(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "gemma.gguf");
    static const char *const parts[] = {"a", "the", " ", "\xE5\xA4\xA9", "\n"};
    ag_buf text;
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 21);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        text.n = 0;
        while (text.n < 1 << 19)
            ag_buf_adds(&text, parts[i]);
        uint64_t at = ag_clock_us();
        ag_ids ids = encode(v.t, ag_buf_span(&text), 0);
        assert_true(ids.n > 0);
        assert_true(ag_clock_us() - at < 30000000);
        ag_ids_deinit(&ids);
    }
    ag_buf_deinit(&text);
    close_vocab(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_vocabularies_agree_with_the_reference),
        cmocka_unit_test(scores_order_as_floats_do),
        cmocka_unit_test(the_highest_score_merges_first),
        cmocka_unit_test(characters_without_a_token_become_bytes_or_unknown),
        cmocka_unit_test(the_unknown_token_is_never_one_that_frames_text),
        cmocka_unit_test(a_token_across_a_space_is_found),
        cmocka_unit_test(the_prefix_stands_before_each_piece_but_no_empty_one),
        cmocka_unit_test(half_a_megabyte_without_a_space_is_encoded_in_seconds),
    };
    return cmocka_run_group_tests_name("text/spm", tests, NULL, NULL);
}
