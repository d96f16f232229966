#include "text/added.h"

#include "unit/text/golden.h"

static void put(ag_added *a, const char *text, int32_t id, bool special) {
    assert_int_equal(ag_added_put(a, ag_str(text), id, special, NULL), AG_OK);
}

static void the_leftmost_match_wins_and_then_the_longest(void **state) {
    (void)state;
    ag_added a = {0};
    put(&a, "<a>", 1, false);
    put(&a, "<a><b>", 2, false);
    put(&a, "a><b><c>", 3, false);
    put(&a, "<", 4, false);
    ag_added_match m;
    assert_true(ag_added_find(&a, ag_str("x<a><b><c>"), 0, &m));
    assert_int_equal(m.id, 2);
    assert_int_equal(m.from, 1);
    assert_int_equal(m.to, 7);
    assert_true(ag_added_find(&a, ag_str("x<a><b><c>"), m.to, &m));
    assert_int_equal(m.id, 4);
    assert_true(ag_added_find(&a, ag_str("<a><b"), 0, &m));
    assert_int_equal(m.id, 1);
    assert_false(ag_added_find(&a, ag_str("a><b"), 4, &m));
    assert_true(ag_added_find(&a, ag_str("a><b><c>"), 0, &m));
    assert_int_equal(m.id, 3);
    ag_added_deinit(&a);
}

static void of_equal_texts_the_last_counts_and_empty_ones_never(void **state) {
    (void)state;
    ag_added a = {0};
    ag_added_match m;
    put(&a, "", 9, false);
    assert_false(ag_added_find(&a, ag_str("x"), 0, &m));
    put(&a, "x", 1, false);
    put(&a, "x", 2, true);
    assert_true(ag_added_find(&a, ag_str("x"), 0, &m));
    assert_int_equal(m.id, 2);
    assert_true(m.special);
    ag_added_deinit(&a);
}

static void a_token_too_long_to_match_is_refused(void **state) {
    (void)state;
    ag_added a = {0};
    ag_err err = {0};
    char text[AG_MAX_ADDED_BYTES + 1];
    memset(text, 'a', sizeof text);
    assert_int_equal(ag_added_put(&a, ag_span_of(text, sizeof text - 1), 1, false, &err), AG_OK);
    assert_int_equal(ag_added_put(&a, ag_span_of(text, sizeof text), 2, false, &err), AG_E_LIMIT);
    ag_added_deinit(&a);
}

/* Against trying every token at every place. */
static void matching_equals_the_plain_rule(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 5);
    for (int round = 0; round < 300; round++) {
        char tokens[12][6], text[60];
        ag_added a = {0};
        size_t n = 1 + ag_rng_u64(&rng) % 12;
        for (size_t i = 0; i < n; i++) {
            size_t len = 1 + ag_rng_u64(&rng) % 5;
            for (size_t k = 0; k < len; k++)
                tokens[i][k] = (char)('a' + ag_rng_u64(&rng) % 2);
            tokens[i][len] = 0;
            put(&a, tokens[i], (int32_t)i, false);
        }
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = (char)('a' + ag_rng_u64(&rng) % 3);
        for (size_t at = 0; at < sizeof text;) {
            ag_span rest = ag_span_of(text + at, sizeof text - at);
            int32_t best = -1;
            size_t best_at = 0, best_n = 0;
            for (size_t from = 0; from < rest.n && best < 0; from++)
                for (size_t i = 0; i < n; i++)
                    if (ag_span_starts(ag_span_sub(rest, from, rest.n), ag_str(tokens[i])) &&
                        strlen(tokens[i]) >= best_n) {
                        best = (int32_t)i;
                        best_at = at + from;
                        best_n = strlen(tokens[i]);
                    }
            ag_added_match m;
            bool found = ag_added_find(&a, ag_span_of(text, sizeof text), at, &m);
            assert_int_equal(found, best >= 0);
            if (!found)
                break;
            assert_int_equal(m.from, best_at);
            assert_int_equal(m.to, best_at + best_n);
            assert_int_equal(m.id, best);
            at = m.to;
        }
        ag_added_deinit(&a);
    }
}

/* ---- in a tokenizer ----------------------------------------------------------------------------
 */

static void user_text_yields_control_tokens_only_when_asked(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "qwen2.gguf");
    int32_t start = ag_tokenizer_find(v.t, ag_str("<|im_start|>"));
    int32_t think = ag_tokenizer_find(v.t, ag_str("<think>"));
    assert_true(start >= 0 && think >= 0);
    ag_span text = ag_str("<|im_start|>user <think>");
    ag_ids with = encode(v.t, text, AG_ENCODE_SPECIAL), without = encode(v.t, text, 0);
    assert_int_equal(with.v[0], start);
    assert_int_equal(with.v[with.n - 1], think);
    assert_int_equal(without.v[without.n - 1], think); /* not a control token: always matched */
    for (size_t i = 0; i < without.n; i++)
        assert_int_not_equal(ag_tokenizer_type(v.t, without.v[i]), AG_TOKEN_CONTROL);
    ag_ids_deinit(&with);
    ag_ids_deinit(&without);
    close_vocab(&v);
}

static void a_control_token_kept_as_text_hides_what_it_covers(void **state) {
    (void)state;
    static const char *const tokens[] = {"<", "x", ">", "<x>", "x>"}, *const merges[] = {"a b"};
    static const int types[] = {1, 1, 1, 3, 4};
    const int32_t plain[] = {0, 1, 2, 4}, special[] = {3, 4};
    ag_buf b;
    vocab v;
    begin_gguf(&b);
    put_str_key(&b, "model", "gpt2");
    put_str_key(&b, "pre", "gpt-2");
    put_strs_key(&b, "tokens", tokens, 5);
    put_strs_key(&b, "merges", merges, 1);
    put_ints_key(&b, "token_type", types, 5);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("<x>x>"), 0, plain, 4);
    assert_ids(v.t, ag_str("<x>x>"), AG_ENCODE_SPECIAL, special, 2);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_leftmost_match_wins_and_then_the_longest),
        cmocka_unit_test(of_equal_texts_the_last_counts_and_empty_ones_never),
        cmocka_unit_test(a_token_too_long_to_match_is_refused),
        cmocka_unit_test(matching_equals_the_plain_rule),
        cmocka_unit_test(user_text_yields_control_tokens_only_when_asked),
        cmocka_unit_test(a_control_token_kept_as_text_hides_what_it_covers),
    };
    return cmocka_run_group_tests_name("text/added", tests, NULL, NULL);
}
