#include "text/pretokenize.h"

#include "unit/text/golden.h"

#define DIGITS "123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

static ag_code note_length(void *ctx, const uint8_t *word, size_t n, ag_err *err) {
    (void)word, (void)err;
    ag_buf *out = ctx;
    if (n <= strlen(DIGITS))
        ag_buf_addc(out, DIGITS[n - 1]);
    else
        ag_buf_addf(out, "(%zu)", n);
    return AG_OK;
}

static void every_pre_tokenizer_cuts_as_the_reference(void **state) {
    (void)state;
    ag_buf file = read_golden("words.txt"), text, got;
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 16);
    ag_buf_init(&got, AG_ROOM_TEST, 1 << 16);
    golden_line line;
    int n = 0;
    for (char *at = file.p; next_line(&at, &line);) {
        if (strcmp(line.key, "text") == 0) {
            from_hex(line.rest, &text);
            continue;
        }
        const ag_pre *pre = ag_pre_find(ag_str(line.key));
        assert_non_null(pre);
        got.n = 0;
        assert_int_equal(ag_pre_split(pre, ag_buf_span(&text), note_length, &got, NULL), AG_OK);
        if (!ag_span_is(ag_buf_span(&got), line.rest))
            fail_msg("%s cuts \"%.*s\" into %.*s, want %s", line.key, AG_SPAN(text), AG_SPAN(got),
                     line.rest);
        n++;
    }
    assert_true(n > 3000);
    ag_buf_deinit(&got);
    ag_buf_deinit(&text);
    ag_buf_deinit(&file);
}

static ag_code count(void *ctx, const uint8_t *word, size_t n, ag_err *err) {
    (void)word, (void)err;
    *(size_t *)ctx += n;
    return AG_OK;
}

/* Each is a trap for a backtracking matcher: quadratic time would need minutes. */
static void hostile_text_takes_linear_time(void **state) {
    (void)state;
    static const char *const parts[] = {"a",
                                        "A",
                                        " ",
                                        "\n",
                                        " \n",
                                        "1",
                                        "'",
                                        "!",
                                        "\xCC\x81",
                                        "A\xCC\x81",
                                        "\xC2\xA0x",
                                        " !",
                                        "\x01",
                                        "\xE3\x80\x80",
                                        "\xCC\x81"
                                        "AB",
                                        "\t "};
    ag_buf names, text;
    ag_buf_init(&names, AG_ROOM_TEST, 4096);
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 20);
    ag_pre_list(&names);
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        text.n = 0;
        while (text.n < 200000)
            ag_buf_adds(&text, parts[i]);
        size_t n;
        for (const char *name = ag_buf_cstr(&names); *name; name += n + (name[n] == ' ')) {
            n = strcspn(name, " ");
            size_t bytes = 0;
            const ag_pre *pre = ag_pre_find(ag_span_of(name, n));
            assert_non_null(pre);
            assert_int_equal(ag_pre_split(pre, ag_buf_span(&text), count, &bytes, NULL), AG_OK);
            assert_int_equal(bytes, text.n);
        }
    }
    ag_buf_deinit(&text);
    ag_buf_deinit(&names);
}

static void unknown_names_are_not_found(void **state) {
    (void)state;
    assert_null(ag_pre_find(ag_str("")));
    assert_null(ag_pre_find(ag_str("llama")));
    assert_null(ag_pre_find(ag_str("llama-bpe llama3")));
    assert_ptr_equal(ag_pre_find(ag_str("llama3")), ag_pre_find(ag_str("llama-bpe")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pre_tokenizer_cuts_as_the_reference),
        cmocka_unit_test(hostile_text_takes_linear_time),
        cmocka_unit_test(unknown_names_are_not_found),
    };
    return cmocka_run_group_tests_name("text/pretokenize", tests, NULL, NULL);
}
