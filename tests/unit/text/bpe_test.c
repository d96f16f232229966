/* Byte-level BPE: goldens, the merge loop against a plain one, odd vocabularies, threads. */
#include <pthread.h>

#include "base/clock.h"
#include "text/bpe.h"
#include "text/vocab.h"
#include "unit/text/golden.h"

static void small_vocabularies_agree_with_the_reference(void **state) {
    (void)state;
    static const char *const kinds[] = {"llama3", "qwen2", "glm4"};
    for (size_t i = 0; i < 3; i++) {
        char path[128], name[64];
        snprintf(path, sizeof path, GOLDENS "%s.gguf", kinds[i]);
        snprintf(name, sizeof name, "%s.txt", kinds[i]);
        vocab v = open_vocab(path);
        assert_true(check_golden(v.t, name) > 100);
        close_vocab(&v);
    }
}

/* ---- the rule itself, as plainly as possible ---------------------------------------------------
 */

static uint32_t rank_of(const ag_tokenizer *t, int32_t left, int32_t right, int32_t *id) {
    for (size_t i = 0; i <= t->merge_mask; i++)
        if (t->merges[i].left == left && t->merges[i].right == right) {
            *id = t->merges[i].id;
            return t->merges[i].rank;
        }
    return UINT32_MAX;
}

static size_t merge_plainly(const ag_tokenizer *t, ag_span word, int32_t *ids) {
    size_t n = 0;
    for (size_t i = 0; i < word.n; i++)
        ids[n++] = t->byte_id[(uint8_t)word.p[i]];
    for (;;) {
        uint32_t best = UINT32_MAX;
        size_t at = 0;
        int32_t to = -1, id;
        for (size_t i = 0; i + 1 < n; i++) {
            uint32_t rank = rank_of(t, ids[i], ids[i + 1], &id);
            if (rank < best) {
                best = rank;
                at = i;
                to = id;
            }
        }
        if (best == UINT32_MAX)
            return n;
        ids[at] = to;
        memmove(ids + at + 1, ids + at + 2, (n - at - 2) * sizeof *ids);
        n--;
    }
}

static void merging_equals_the_plain_rule_for_words_of_any_length(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "qwen2.gguf");
    ag_rng rng;
    ag_rng_init(&rng, 11);
    static const char letters[] = "thenaior sdThe";
    for (int round = 0; round < 150; round++) {
        char word[120];
        int32_t want[120];
        size_t n = 1 + ag_rng_u64(&rng) % sizeof word;
        for (size_t i = 0; i < n; i++)
            word[i] = letters[ag_rng_u64(&rng) % (sizeof letters - 1)];
        ag_ids got = {0};
        ag_merger m = {.t = v.t, .out = &got};
        assert_int_equal(ag_merge_word(&m, (const uint8_t *)word, n, NULL), AG_OK);
        size_t n_want = merge_plainly(v.t, ag_span_of(word, n), want);
        assert_int_equal(got.n, n_want);
        assert_memory_equal(got.v, want, n_want * sizeof *want);
        ag_merger_deinit(&m);
        ag_ids_deinit(&got);
    }
    close_vocab(&v);
}

/* Quadratic merging would take hours; the bound leaves room for sanitizers. */
static void half_a_megabyte_without_a_boundary_is_encoded_in_seconds(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "llama3.gguf");
    static const char *const parts[] = {"a", "the", " ", "=", "\xE5\xA5\xBD", "\n"};
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

static void a_word_past_the_limit_is_refused(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "llama3.gguf");
    ag_ids ids = {0};
    ag_merger m = {.t = v.t, .out = &ids};
    ag_err err = {0};
    const uint8_t byte = 'a';
    assert_int_equal(ag_merge_word(&m, &byte, AG_MAX_WORD_BYTES + 1, &err), AG_E_LIMIT);
    assert_non_null(strstr(err.msg, "word boundary"));
    ag_ids_deinit(&ids);
    close_vocab(&v);
}

/* ---- odd vocabularies --------------------------------------------------------------------------
 */

static void begin_bpe(ag_buf *b, const char *pre, const char *const *tokens, size_t n_tokens,
                      const char *const *merges, size_t n_merges) {
    begin_gguf(b);
    put_str_key(b, "model", "gpt2");
    put_str_key(b, "pre", pre);
    put_strs_key(b, "tokens", tokens, n_tokens);
    put_strs_key(b, "merges", merges, n_merges);
}

static void an_unreachable_token_is_taken_only_where_merges_are_ignored(void **state) {
    (void)state;
    static const char *const tokens[] = {"a", "b", "c", "bc", "abc"}, *const merges[] = {"b c"};
    const int32_t merged[] = {0, 3}, whole[] = {4};
    ag_buf b;
    vocab v;
    begin_bpe(&b, "gpt-2", tokens, 5, merges, 1);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    for (int again = 0; again < 3; again++) /* also once the fact is known */
        assert_ids(v.t, ag_str("abc"), 0, merged, 2);
    close_vocab(&v);
    ag_buf_deinit(&b);
    begin_bpe(&b, "llama-bpe", tokens, 5, merges, 1);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("abc"), 0, whole, 1);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void a_byte_the_vocabulary_lacks_vanishes(void **state) {
    (void)state;
    static const char *const tokens[] = {"a", "b", "ab"}, *const merges[] = {"a b"};
    const int32_t want[] = {2};
    ag_buf b, text;
    vocab v;
    begin_bpe(&b, "gpt-2", tokens, 3, merges, 1);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("axb"), 0, want, 1);
    ag_buf_init(&text, AG_ROOM_TEST, 4096);
    ag_buf_addc(&text, 'a');
    for (int i = 0; i < 100; i++) /* a long word takes the other path */
        ag_buf_addc(&text, 'x');
    ag_buf_addc(&text, 'b');
    assert_ids(v.t, ag_buf_span(&text), 0, want, 1);
    ag_buf_deinit(&text);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void odd_merge_rules_are_left_out(void **state) {
    (void)state;
    static const char *const tokens[] = {"a",
                                         "b",
                                         "ab",
                                         "\xC4\xA0",
                                         "\xC4\xA0"
                                         "a",
                                         "x\xE2\x96\x81"};
    static const char *const merges[] = {"",    "a",         " ",     "a ",
                                         " b",  "a  b",      "a c",   "zz b",
                                         "b a", "a b ",      "ab ab", "x \xE2\x96\x81",
                                         "a b", "\xC4\xA0 a"};
    const int32_t want[] = {2, 3, 2};
    ag_buf b;
    vocab v;
    begin_bpe(&b, "gpt-2", tokens, 6, merges, sizeof merges / sizeof merges[0]);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("ab ab"), 0, want, 3);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

static void control_tokens_never_come_out_of_merges(void **state) {
    (void)state;
    static const char *const tokens[] = {"a", "b", "ab"}, *const merges[] = {"a b"};
    static const int types[] = {1, 1, 3};
    const int32_t plain[] = {0, 1}, special[] = {2};
    ag_buf b;
    vocab v;
    begin_bpe(&b, "llama-bpe", tokens, 3, merges, 1);
    put_ints_key(&b, "token_type", types, 3);
    assert_int_equal(vocab_of(&b, &v, NULL), AG_OK);
    assert_ids(v.t, ag_str("ab"), 0, plain, 2);
    assert_ids(v.t, ag_str("ab"), AG_ENCODE_SPECIAL, special, 1);
    close_vocab(&v);
    ag_buf_deinit(&b);
}

/* ---- threads -----------------------------------------------------------------------------------
 */

static void *encode_often(void *t) {
    for (int i = 0; i < 20; i++) {
        ag_ids ids = {0};
        ag_span text = ag_str("The next token is added to the context; hello world 123 it's over.");
        if (ag_tokenizer_encode(t, text, 0, &ids, NULL) != AG_OK || ids.n < 5)
            return NULL;
        ag_ids_deinit(&ids);
    }
    return t;
}

static void threads_share_a_tokenizer(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "qwen2.gguf");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, v.t), 0);
    for (int i = 0; i < 4; i++) {
        void *ok;
        pthread_join(threads[i], &ok);
        assert_non_null(ok);
    }
    close_vocab(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_vocabularies_agree_with_the_reference),
        cmocka_unit_test(merging_equals_the_plain_rule_for_words_of_any_length),
        cmocka_unit_test(half_a_megabyte_without_a_boundary_is_encoded_in_seconds),
        cmocka_unit_test(a_word_past_the_limit_is_refused),
        cmocka_unit_test(an_unreachable_token_is_taken_only_where_merges_are_ignored),
        cmocka_unit_test(a_byte_the_vocabulary_lacks_vanishes),
        cmocka_unit_test(odd_merge_rules_are_left_out),
        cmocka_unit_test(control_tokens_never_come_out_of_merges),
        cmocka_unit_test(threads_share_a_tokenizer),
    };
    return cmocka_run_group_tests_name("text/bpe", tests, NULL, NULL);
}
