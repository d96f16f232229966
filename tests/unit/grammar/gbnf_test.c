#include "unit/grammar/support.h"

static const char arithmetic[] = "# sums\n"
                                 "root  ::= expr \"\\n\"\n"
                                 "expr  ::= term ([-+*/] term)*\n"
                                 "term  ::= num | \"(\" ws expr ws \")\"\n"
                                 "num   ::= [0-9]+ ws # digits\n"
                                 "ws    ::= [ \\t]?\n";

static const char json[] =
    "root   ::= object\n"
    "value  ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
    "object ::=\n"
    "  \"{\" ws (\n"
    "            string \":\" ws value\n"
    "    (\",\" ws string \":\" ws value)*\n"
    "  )? \"}\" ws\n"
    "array  ::= \"[\" ws (value (\",\" ws value)*)? \"]\" ws\n"
    "string ::= \"\\\"\" (\n"
    "    [^\"\\\\\\x7F\\x00-\\x1F] |\n"
    "    \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4})\n"
    "  )* \"\\\"\" ws\n"
    "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ws\n"
    "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";

typedef struct row {
    const char *grammar;
    const char *yes[6], *no[6];
} row;

static const row rows[] = {
    {arithmetic, {"1+2\n", "(1 +2)*3\n", "((1))\n", "12\n"}, {"1+\n", "(1\n", "1", ")\n"}},
    {json,
     {"{}", "{\"a\": [1, 2.5, {\"b\": null}], \"c\": \"\\u00e9é\"}", "{\"a\":[[[[]]]]}", "{ }\n"},
     {"[]", "{\"a\"}", "{\"a\":01}", "{\"a\":[}", "{\"a\":\"\\x\"}"}},
    {"root ::= a | b\na ::= \"x\" a \"y\" | \"xy\"\nb ::= \"z\"",
     {"xy", "xxyy", "xxxyyy", "z"},
     {"x", "xyy", "xxy", ""}},
    /* A rule that calls itself at its end, and one that begins with itself. */
    {"root ::= [a-b] root | \"c\"", {"c", "abababc"}, {"ab", "cc"}},
    {"root ::= root \"+\" [0-9] | [0-9]", {"1", "1+2+3"}, {"+1", "1+"}},
    {"root ::= e\ne ::= e \"*\" t | e \"/\" t | t\nt ::= \"(\" e \")\" | [0-9]",
     {"1", "1*2/3", "(1*(2/3))*4"},
     {"*1", "(1", "1*"}},
    /* Empty parts in front of a call, and two ways to read the same text. */
    {"root ::= a \"z\" root \"x\" | \"y\"\na ::= \"b\"?",
     {"y", "zyx", "bzbzyxx", "zbzyxx"},
     {"x", "bx"}},
    {"root ::= s s\ns ::= \"a\" s | \"a\" s \"b\" | \"c\"",
     {"cc", "acacb", "aacbbc", "aacbbacb"},
     {"c", "cb", "acbb"}},
    {"root ::= s{2,4}\ns ::= \"(\" s? \")\"",
     {"()()", "(())()", "((()))()()()"},
     {"()", "()()()()()", "(()"}},
    {"root ::= \"a\"{3} \"b\"{1,} \"c\"{,2}", {"aaab", "aaabbbcc"}, {"aab", "aaabccc", "aaa"}},
    {"root ::= .  \"\\\"\" [\\]\\-x] \"\\u65e5\"", {"日\"]日", "\n\"-日", "a\"x日"}, {"\"]日"}},
    {"root ::= one\n  | two\none ::= \"1\"\ntwo ::= \"2\"\n\n# end", {"1", "2"}, {"12"}},
    {"root ::= %regex /[a-c]+\\/[/]/ \"!\"", {"ab//!"}, {"ab/!", "//!"}},
    {"root ::= \"\"", {""}, {"a"}},
};

static void matches_what_it_should(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 2);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ag_grammar *g = compile(AG_STRUCTURE_GRAMMAR, rows[i].grammar);
        for (size_t k = 0; k < 6 && rows[i].yes[k]; k++) {
            if (!takes(g, rows[i].yes[k]))
                fail_msg("\"%s\" should be a text of\n%s", rows[i].yes[k], rows[i].grammar);
            for (int n = 0; n < 5; n++)
                check_never_masked(g, rows[i].yes[k], &rng);
        }
        for (size_t k = 0; k < 6 && rows[i].no[k]; k++)
            if (takes(g, rows[i].no[k]))
                fail_msg("\"%s\" should be no text of\n%s", rows[i].no[k], rows[i].grammar);
        ag_grammar_unref(g);
    }
}

static void masks_are_what_accepting_says(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 3);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ag_grammar *g = compile(AG_STRUCTURE_GRAMMAR, rows[i].grammar);
        for (int k = 0; k < 8; k++) {
            ag_buf text;
            ag_buf_init(&text, AG_ROOM_TEST, 1 << 16);
            if (walk_at_random(g, &rng, 25, &text) && strlen(ag_buf_cstr(&text)) == text.n)
                assert_true(takes(g, ag_buf_cstr(&text)));
            ag_buf_deinit(&text);
        }
        ag_grammar_unref(g);
    }
}

static void tokens_are_asked_for_by_number_or_text(void **state) {
    (void)state;
    char text[128];
    uint64_t bits[(N_VOCAB + 63) / 64];
    snprintf(text, sizeof text, "root ::= <[%d]> \"a\" <|tool|> [bc] <[<user>]>", T_CONTROL);
    ag_grammar *g = compile(AG_STRUCTURE_GRAMMAR, text);
    ag_match *m = start(g);
    static const int32_t path[] = {T_CONTROL, 'a', T_TOOL, 'c', T_USER};
    for (size_t i = 0; i < 5; i++) {
        assert_false(ag_match_is_accepting(m));
        check_mask(m, bits);
        assert_true(is_allowed(bits, path[i]));
        for (int32_t id = T_CONTROL; id < N_VOCAB; id++)
            assert_int_equal(is_allowed(bits, id), id == path[i]);
        assert_int_equal(ag_match_accept(m, path[i], NULL), AG_OK);
    }
    assert_true(ag_match_is_complete(m));
    ag_match_free(&m);
    ag_grammar_unref(g);
}

static void control_tokens_never_match_by_text(void **state) {
    (void)state;
    uint64_t bits[(N_VOCAB + 63) / 64];
    ag_grammar *g = compile(AG_STRUCTURE_GRAMMAR, "root ::= \"<\" [a-z|]+ \">\"");
    ag_match *m = start(g);
    check_mask(m, bits);
    assert_false(is_allowed(bits, T_CONTROL));
    assert_true(is_allowed(bits, T_USER));
    ag_match_free(&m);
    ag_grammar_unref(g);
}

static void what_can_only_end_is_complete(void **state) {
    (void)state;
    ag_grammar *g = compile(AG_STRUCTURE_GRAMMAR, "root ::= \"a\" \"b\"?");
    ag_match *m = start(g), *copy = NULL;
    assert_false(ag_match_is_accepting(m));
    assert_int_equal(ag_match_accept(m, 'a', NULL), AG_OK);
    assert_true(ag_match_is_accepting(m));
    assert_false(ag_match_is_complete(m));
    assert_int_equal(ag_match_copy(m, &copy, NULL), AG_OK);
    assert_int_equal(ag_match_accept(m, 'b', NULL), AG_OK);
    assert_true(ag_match_is_complete(m));
    assert_false(ag_match_is_complete(copy));
    ag_match_rollback(m, 2);
    assert_int_equal(ag_match_accept(m, 'b', NULL), AG_E_GRAMMAR);
    assert_int_equal(ag_match_accept(m, 'a', NULL), AG_OK);
    ag_match_free(&copy);
    ag_match_free(&m);
    ag_grammar_unref(g);
}

static void refusals_say_where(void **state) {
    (void)state;
    static const char *const bad[][2] = {
        {"", "there is no rule \"root\""},
        {"root ::= a\n", "line 1, column 10: the rule \"a\" is not defined"},
        {"root ::= \"a", "line 1, column 10: the literal is not closed"},
        {"root ::= (\"a\"\n\nb ::= \"c\"", "line 3, column 3"},
        {"root ::= \"a\")", "line 1, column 13: expected the end"},
        {"root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: a rule of this name"},
        {"root = \"a\"", "line 1, column 6: expected \"::=\""},
        {"root ::= [a", "line 1, column 10: the class is not closed"},
        {"root ::= \"a\"{2", "expected {m}"},
        {"root ::= \"a\"{3,2}", "expected {m}"},
        {"root ::= a\na ::= b | \"y\"\nb ::= a \"x\"", "left-recursive"},
        {"root ::= a root \"x\" | \"y\"\na ::= \"b\"?", "left-recursive"},
        {"root ::= a \"x\" | \"y\"\na ::= \"z\"? root", "left-recursive"},
        {"root ::= root", "no text at all"},
        {"root ::= \"a\" root", "no text at all"},
        {"root ::= <[99999999]>", "no token of this number"},
        {"root ::= <[nope]>", "no token of this text"},
        {"root ::= <|nope|>", "no token of this text"},
        {"root ::= %regex /a(/", "line 1, %regex: position 1: the group"},
        {"root ::= %what", "expected %json or %regex"},
        {"root ::= \"\xff\"", "not valid UTF-8"},
        {"root ::= \"a\" root? \"b\" {9999999}", "too large"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const char *msg = why_not(AG_STRUCTURE_GRAMMAR, bad[i][0]);
        if (!strstr(msg, bad[i][1]))
            fail_msg("%s: \"%s\", expected \"%s\"", bad[i][0], msg, bad[i][1]);
    }
}

/* Nesting is held in the stack, not in the program's. */
static void nesting_is_as_deep_as_the_text(void **state) {
    (void)state;
    uint64_t bits[(N_VOCAB + 63) / 64];
    ag_grammar *g = compile(AG_STRUCTURE_GRAMMAR, "root ::= \"[\" root? \"]\"");
    ag_match *m = start(g);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(ag_match_accept(m, '[', NULL), AG_OK);
    check_mask(m, bits);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(ag_match_accept(m, ']', NULL), AG_OK);
    assert_true(ag_match_is_complete(m));
    ag_match_free(&m);
    ag_grammar_unref(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_what_it_should),
        cmocka_unit_test(masks_are_what_accepting_says),
        cmocka_unit_test(tokens_are_asked_for_by_number_or_text),
        cmocka_unit_test(control_tokens_never_match_by_text),
        cmocka_unit_test(what_can_only_end_is_complete),
        cmocka_unit_test(refusals_say_where),
        cmocka_unit_test(nesting_is_as_deep_as_the_text),
    };
    return cmocka_run_group_tests(tests, make_vocab, free_vocab);
}
