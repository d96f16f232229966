/* Streaming decode: the same text however the ids are split, and never half a character. */
#include "base/utf8.h"
#include "unit/text/golden.h"

/* The bytes of the ids, one after the other: what decoding at once has to repair. */
static void join(const ag_tokenizer *t, const int32_t *ids, size_t n, bool show, ag_buf *out) {
    out->n = 0;
    for (size_t i = 0; i < n; i++) {
        ag_token_type type = ag_tokenizer_type(t, ids[i]);
        if (!show && (type == AG_TOKEN_CONTROL || type == AG_TOKEN_UNKNOWN))
            continue;
        ag_span s = ag_tokenizer_bytes(t, ids[i]);
        ag_buf_add(out, s.p, s.n);
    }
}

static void check_stream(const ag_tokenizer *t, const int32_t *ids, size_t n, bool show) {
    ag_buf bytes, want, got;
    ag_buf_init(&bytes, AG_ROOM_TEST, 1 << 16);
    ag_buf_init(&want, AG_ROOM_TEST, 1 << 16);
    ag_buf_init(&got, AG_ROOM_TEST, 1 << 16);
    join(t, ids, n, show, &bytes);
    ag_utf8_repair(ag_buf_span(&bytes), &want);
    ag_detok d;
    ag_detok_init(&d, t, false, show);
    for (size_t i = 0; i < n; i++) {
        size_t before = got.n;
        ag_detok_push(&d, ids[i], &got);
        assert_true(d.n_pending <= 3);
        assert_true(ag_utf8_is_valid(ag_span_sub(ag_buf_span(&got), before, got.n)));
    }
    ag_detok_flush(&d, &got);
    assert_int_equal(d.n_pending, 0);
    if (!ag_span_eq(ag_buf_span(&got), ag_buf_span(&want)))
        fail_msg("streamed \"%.*s\", at once \"%.*s\"", AG_SPAN(got), AG_SPAN(want));
    ag_buf_deinit(&got);
    ag_buf_deinit(&want);
    ag_buf_deinit(&bytes);
}

static void random_bytes_stream_as_they_decode_at_once(const char *path) {
    vocab v = open_vocab(path);
    ag_rng rng;
    ag_rng_init(&rng, 3);
    /* Tokens of one byte that occur in multi-byte characters, good and bad ones. */
    static const uint8_t hot[] = {0xE4, 0xBD, 0xA0, 0xF0, 0x9F, 0x98, 0x80, 0xC3, 0xA9, 0xED,
                                  0xA0, 0x80, 0xE0, 0xF4, 0x90, 0xC0, 0xFF, 'a',  0x8F, 0xBF};
    int32_t of_byte[256], ids[40];
    memset(of_byte, 0xFF, sizeof of_byte);
    for (int32_t id = 0; id < ag_tokenizer_n(v.t); id++) {
        ag_span s = ag_tokenizer_bytes(v.t, id);
        if (s.n == 1)
            of_byte[(uint8_t)*s.p] = id;
    }
    for (int round = 0; round < 20000; round++) {
        size_t n = 1 + ag_rng_u64(&rng) % 40;
        for (size_t i = 0; i < n; i++)
            ids[i] = ag_rng_u64(&rng) % 8 == 0
                         ? (int32_t)(ag_rng_u64(&rng) % (uint64_t)(ag_tokenizer_n(v.t) + 3)) - 1
                         : of_byte[hot[ag_rng_u64(&rng) % sizeof hot]];
        check_stream(v.t, ids, n, round % 2);
    }
    close_vocab(&v);
}

static void random_byte_level_tokens_stream(void **state) {
    (void)state;
    random_bytes_stream_as_they_decode_at_once(GOLDENS "llama3.gguf");
}
static void random_sentencepiece_tokens_stream(void **state) {
    (void)state;
    random_bytes_stream_as_they_decode_at_once(GOLDENS "gemma.gguf");
}

/* A stream that is read after any number of tokens holds a prefix of the whole text. */
static void after_every_token_the_text_is_a_prefix(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "qwen2.gguf");
    ag_span text = ag_str("\xE4\xBD\xA0\xE5\xA5\xBD \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7 "
                          "na\xC3\xAFve \xED\x95\x9C");
    ag_ids ids = encode(v.t, text, 0);
    ag_buf got;
    ag_buf_init(&got, AG_ROOM_TEST, 4096);
    ag_detok d;
    ag_detok_init(&d, v.t, true, true);
    for (size_t i = 0; i < ids.n; i++) {
        ag_detok_push(&d, ids.v[i], &got);
        assert_true(ag_span_starts(text, ag_buf_span(&got)));
        assert_int_equal(ag_utf8_valid_prefix(ag_buf_span(&got)), got.n);
    }
    assert_true(ag_span_eq(ag_buf_span(&got), text));
    ag_ids_deinit(&ids);
    ag_buf_deinit(&got);
    close_vocab(&v);
}

static void the_leading_space_goes_only_at_the_start(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "llama2.gguf");
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 4096);
    ag_ids ids = encode(v.t, ag_str(" the dog"), AG_ENCODE_BOS);
    decode(v.t, ids.v, ids.n, false, &out);
    assert_true(ag_span_is(ag_buf_span(&out), " the dog"));
    decode(v.t, ids.v, ids.n, true, &out); /* behind a visible <s> nothing is dropped */
    assert_true(ag_span_is(ag_buf_span(&out), "<s>  the dog"));
    ag_detok d;
    ag_detok_init(&d, v.t, false, false);
    out.n = 0;
    for (size_t i = 0; i < ids.n; i++)
        ag_detok_push(&d, ids.v[i], &out);
    assert_true(ag_span_is(ag_buf_span(&out), "  the dog"));
    ag_ids_deinit(&ids);
    ag_buf_deinit(&out);
    close_vocab(&v);
}

static void ids_that_are_no_token_decode_to_nothing(void **state) {
    (void)state;
    vocab v = open_vocab(GOLDENS "llama3.gguf");
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 4096);
    const int32_t ids[] = {-1, INT32_MIN, ag_tokenizer_n(v.t), INT32_MAX};
    decode(v.t, ids, 4, true, &out);
    assert_int_equal(out.n, 0);
    assert_int_equal(ag_tokenizer_bytes(v.t, -1).n, 0);
    assert_int_equal(ag_tokenizer_raw(v.t, INT32_MAX).n, 0);
    assert_int_equal(ag_tokenizer_type(v.t, -5), AG_TOKEN_UNUSED);
    ag_buf_deinit(&out);
    close_vocab(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_byte_level_tokens_stream),
        cmocka_unit_test(random_sentencepiece_tokens_stream),
        cmocka_unit_test(after_every_token_the_text_is_a_prefix),
        cmocka_unit_test(the_leading_space_goes_only_at_the_start),
        cmocka_unit_test(ids_that_are_no_token_decode_to_nothing),
    };
    return cmocka_run_group_tests_name("text/detok", tests, NULL, NULL);
}
