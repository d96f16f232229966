/* WordPiece: what the goldens (folder_test.c) do not reach. */
#include "base/clock.h"
#include "unit/text/golden.h"

#define MARK "\xE2\x96\x81"

enum { UNK = 1, CLS, SEP, A, INNER_A, AB, INNER_E, E_ACUTE, DOT, INK, THE };
static const char *const tokens[] = {"[PAD]",
                                     "[UNK]",
                                     "[CLS]",
                                     "[SEP]",
                                     MARK "a",
                                     "a",
                                     MARK "ab",
                                     "e",
                                     MARK "\xC3\xA9",
                                     MARK ".",
                                     MARK "\xE5\xA2\xA8",
                                     MARK "The"};
static const int types[] = {3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
#define N_TOKENS (sizeof tokens / sizeof tokens[0])

static void begin_bert(ag_buf *b) {
    begin_gguf(b);
    put_str_key(b, "model", "bert");
    put_strs_key(b, "tokens", tokens, N_TOKENS);
    put_ints_key(b, "token_type", types, N_TOKENS);
}

static vocab built(ag_buf *b) {
    vocab v;
    ag_err err = {0};
    if (vocab_of(b, &v, &err) != AG_OK)
        fail_msg("%s", err.msg);
    return v;
}

#define IDS(v, text, ...)                                                                          \
    assert_ids((v).t, ag_str(text), 0, (const int32_t[]){__VA_ARGS__},                             \
               sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t))

static void the_longest_token_wins_and_a_word_is_whole_or_unknown(void **state) {
    (void)state;
    ag_buf b;
    begin_bert(&b);
    vocab v = built(&b);
    IDS(v, "a", A);
    IDS(v, "ab aba", AB, AB, INNER_A);
    IDS(v, "aax a", UNK, A);
    IDS(v,
        " \t\n a\xC2\xA0"
        "a",
        A, A);
    IDS(v, "a.a", A, DOT, A);
    IDS(v,
        "a\x01\xC2\xAD"
        "b",
        AB); /* controls and formats vanish */
    IDS(v, "x y", UNK, UNK);
    assert_ids(v.t, ag_str(""), 0, NULL, 0);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

/* In the published form it would be ##▁a, which is another token than ▁a. */
static void a_mark_inside_a_word_is_no_start_of_one(void **state) {
    (void)state;
    ag_buf b;
    begin_bert(&b);
    vocab v = built(&b);
    IDS(v, "a" MARK "a", UNK);
    IDS(v, MARK "a", UNK);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void words_of_more_than_100_characters_are_unknown(void **state) {
    (void)state;
    ag_buf b, text;
    begin_bert(&b);
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 22);
    vocab v = built(&b);
    for (size_t n = 100; n <= 101; n++) {
        text.n = 0;
        for (size_t i = 0; i < n; i++)
            ag_buf_addc(&text, 'a');
        ag_ids ids = encode(v.t, ag_buf_span(&text), 0);
        assert_int_equal(ids.n, n == 100 ? 100 : 1);
        assert_int_equal(ids.v[0], n == 100 ? A : UNK);
        ag_ids_deinit(&ids);
    }
    while (text.n < 1 << 21) /* and cost no more than others */
        ag_buf_addc(&text, 'a');
    uint64_t at = ag_clock_us();
    IDS(v, ag_buf_cstr(&text), UNK);
    assert_true(ag_clock_us() - at < 30000000);
    close_vocab(&v);
    ag_buf_deinit(&text);
    ag_buf_deinit(&b);
}

static void keys_say_how_text_is_normalised(void **state) {
    (void)state;
    ag_buf b;
    begin_bert(&b);
    vocab v = built(&b);
    IDS(v, "A AE\xCC\x81 \xC3\x89", A, A, INNER_E,
        UNK); /* an e without its accent starts no word */
    IDS(v,
        "a\xE5\xA2\xA8"
        "a",
        A, INK, A);
    close_vocab(&v);
    ag_buf_deinit(&b);
    begin_bert(&b);
    put_bool_key(&b, "normalizer.lowercase", false);
    v = built(&b);
    IDS(v, "The A \xC3\xA9", THE, UNK, E_ACUTE);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void the_frame_is_found_by_key_or_by_text(void **state) {
    (void)state;
    ag_buf b;
    begin_bert(&b);
    vocab v = built(&b);
    assert_ids(v.t, ag_str("a"), AG_ENCODE_BOS, (const int32_t[]){CLS, A, SEP}, 3);
    close_vocab(&v);
    ag_buf_deinit(&b);
    begin_bert(&b);
    put_u32_key(&b, "cls_token_id", DOT);
    put_u32_key(&b, "seperator_token_id", 99999); /* no token: the text counts */
    v = built(&b);
    assert_ids(v.t, ag_str("a"), AG_ENCODE_BOS, (const int32_t[]){DOT, A, SEP}, 3);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void words_are_put_apart_but_not_from_full_stops(void **state) {
    (void)state;
    static const int32_t ids[] = {CLS, AB, INNER_A, DOT, A, SEP};
    ag_buf b, out;
    begin_bert(&b);
    ag_buf_init(&out, AG_ROOM_TEST, 1 << 10);
    vocab v = built(&b);
    decode(v.t, ids, 6, false, &out);
    assert_true(ag_span_is(ag_buf_span(&out), "aba. a"));
    decode(v.t, ids, 6, true, &out);
    assert_true(ag_span_is(ag_buf_span(&out), "[CLS] aba. a [SEP]"));
    close_vocab(&v);
    ag_buf_deinit(&out);
    ag_buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_longest_token_wins_and_a_word_is_whole_or_unknown),
        cmocka_unit_test(a_mark_inside_a_word_is_no_start_of_one),
        cmocka_unit_test(words_of_more_than_100_characters_are_unknown),
        cmocka_unit_test(keys_say_how_text_is_normalised),
        cmocka_unit_test(the_frame_is_found_by_key_or_by_text),
        cmocka_unit_test(words_are_put_apart_but_not_from_full_stops),
    };
    return cmocka_run_group_tests_name("text/wordpiece", tests, NULL, NULL);
}
