#include "unit/grammar/support.h"

typedef struct row {
    const char *pattern;
    const char *yes[6], *no[6];
} row;

static const row rows[] = {
    {"abc", {"abc"}, {"", "ab", "abcd", "abd"}},
    {"a|b|cde", {"a", "b", "cde"}, {"", "c", "ab"}},
    {"a*b+c?", {"b", "aab", "bbc", "aaaabbbc"}, {"", "a", "ac", "bcc"}},
    {"(ab){2,3}", {"abab", "ababab"}, {"ab", "abababab", "aba"}},
    {"a{3}", {"aaa"}, {"aa", "aaaa"}},
    {"a{2,}", {"aa", "aaaaaaa"}, {"a", ""}},
    {"x{,2}y", {"y", "xy", "xxy"}, {"xxxy"}},
    {"a{", {"a{"}, {"a"}},
    {"[a-c]+[^a-c]", {"abx", "cé", "b\n"}, {"abc", "x"}},
    {"[\\d.]+", {"1.5", "..."}, {"a"}},
    {"[]", {}, {""}},
    {"\\d{4}-\\d\\d", {"2024-01"}, {"2024-1", "202a-01"}},
    {"\\w+@\\w+\\.com", {"me@x.com"}, {"me@x,com", "@x.com"}},
    {"[^\\s]+", {"abc", "é"}, {"a b"}},
    {"\\S\\W", {"a-", "a\xc3\xa9"}, {"aa"}},
    {".+", {"abc", "日本", "🙂"}, {"", "a\nb"}},
    {"日[本-本]?", {"日", "日本"}, {"本"}},
    {"[α-ω]+", {"αβγ"}, {"abc", "Α"}},
    {"\\x41\\u0042\\u{43}", {"ABC"}, {"abc"}},
    {"\\p{Lu}\\p{L}*", {"A", "Éa", "Zz"}, {"a", "1"}},
    {"\\p{Han}+", {"日本"}, {"a", "あ"}},
    {"\\P{L}", {"1", "-"}, {"a", "é"}},
    {"^abc$", {"abc"}, {"abcd"}},
    {"(^a|^b)c$", {"ac", "bc"}, {"c"}},
    {"(?:a|b)(?<name>c)(?P<n>d)", {"acd", "bcd"}, {"ab"}},
    {"a+?b*?", {"a", "aab"}, {"b"}},
    {"\\(\\)\\[\\]\\.\\/\\-", {"()[].\x2f-"}, {"a"}},
    {"(a(b(c(d)?)?)?)?x", {"x", "ax", "abcdx"}, {"bx"}},
    {"[\\]a-]+", {"]a-"}, {"b"}},
    {"(|a)b", {"b", "ab"}, {"a"}},
    {"", {""}, {"a"}},
    {"(a*)*b", {"b", "aaab"}, {"a"}},
};

static void matches_what_it_should(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].pattern, "[]") == 0)
            continue;
        ag_grammar *g = compile(AG_STRUCTURE_REGEX, rows[i].pattern);
        for (size_t k = 0; k < 6 && rows[i].yes[k]; k++)
            if (!takes(g, rows[i].yes[k]))
                fail_msg("/%s/ should match \"%s\"", rows[i].pattern, rows[i].yes[k]);
        for (size_t k = 0; k < 6 && rows[i].no[k]; k++)
            if (takes(g, rows[i].no[k]))
                fail_msg("/%s/ should not match \"%s\"", rows[i].pattern, rows[i].no[k]);
        ag_grammar_unref(g);
    }
}

static void masks_are_what_accepting_says(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 1);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(rows[i].pattern, "[]") == 0)
            continue;
        ag_grammar *g = compile(AG_STRUCTURE_REGEX, rows[i].pattern);
        for (int k = 0; k < 3; k++) {
            ag_buf text;
            ag_buf_init(&text, AG_ROOM_TEST, 1 << 16);
            walk_at_random(g, &rng, 10, &text);
            ag_buf_deinit(&text);
        }
        for (size_t k = 0; k < 6 && rows[i].yes[k]; k++)
            check_never_masked(g, rows[i].yes[k], &rng);
        ag_grammar_unref(g);
    }
}

static void refusals_say_where(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"a(b", "position 1: the group is not closed"},
        {"a)b", "position 1: \")\" without"},
        {"[a-", "position 0: the class is not closed"},
        {"a**", "position 2: a repetition of a repetition"},
        {"*a", "position 0: there is nothing to repeat"},
        {"a{3,2}", "position 1: the repetition's least"},
        {"(?=a)b", "position 0: of the groups"},
        {"(?<!a)b", "position 0: of the groups"},
        {"(a)\\1", "position 3: back references"},
        {"a\\bc", "position 1: \\b"},
        {"a\\q", "position 1: this escape"},
        {"[z-a]", "position 0: the range"},
        {"a^b", "\"^\" and \"$\" are supported at the beginning"},
        {"a\\", "position 1: nothing follows"},
        {"\\p{Klingon}", "position 0: this property"},
        {"\\ud800", "position 0: there is no such character"},
        {"a\xff", "position 1: it is not valid UTF-8"},
        {"[]", "no text at all"},
        {"(a{1000}){1000}{3}", "position"},
        {"a{3000000}", "too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *msg = why_not(AG_STRUCTURE_REGEX, bad[i][0]);
        if (!strstr(msg, bad[i][1]))
            fail_msg("/%s/: \"%s\", expected \"%s\"", bad[i][0], msg, bad[i][1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_what_it_should),
        cmocka_unit_test(masks_are_what_accepting_says),
        cmocka_unit_test(refusals_say_where),
    };
    return cmocka_run_group_tests(tests, make_vocab, free_vocab);
}
