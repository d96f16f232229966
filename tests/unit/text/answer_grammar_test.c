/* Grammars of tool calls: whatever they generate, the parser takes for calls. A small generator
 * walks the grammar at random; %json gives a value of the schema's kind. */
#include "base/hash.h"
#include "text/answer/answer_parts.h"
#include "unit/text/answer.h"

static json_t *tools;

static int read_tools(void **state) {
    (void)state;
    tools = json_loads(answer_tools, 0, NULL);
    return tools ? 0 : 1;
}
static int free_tools(void **state) {
    (void)state;
    json_decref(tools);
    return 0;
}

/* ---- generating ------------------------------------------------------------------------------ */

typedef struct walk {
    ag_span grammar;
    size_t at; /* in the grammar, while an alternative is read */
    ag_rng rng;
    ag_buf out;
    const ag_answer_format *format;
} walk;

static void walk_rule(walk *w, ag_span name);

static char peek(const walk *w) { return w->at < w->grammar.n ? w->grammar.p[w->at] : '\n'; }
static bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; }

/* A literal's or class's character; escapes as GBNF has them. */
static char read_character(walk *w) {
    char c = w->grammar.p[w->at++];
    if (c != '\\')
        return c;
    c = w->grammar.p[w->at++];
    return c == 'n' ? '\n' : c == 't' ? '\t' : c;
}

static void walk_literal(walk *w, bool emit) {
    for (w->at++; peek(w) != '"';) {
        char c = read_character(w);
        if (emit)
            ag_buf_addc(&w->out, c);
    }
    w->at++;
}

static void walk_class(walk *w, bool emit) {
    static const char some[] = "ab<>/_ \n\"\\{}[]:1,";
    bool not = w->grammar.p[++w->at] == '^';
    char set[64], c = 0;
    size_t n = 0;
    for (w->at += not ; peek(w) != ']';)
        set[n++] = read_character(w);
    w->at++;
    if (!emit)
        return;
    if (!not ) {
        ag_buf_add(&w->out, set, n); /* one character, maybe of several bytes */
        return;
    }
    do {
        c = some[ag_rng_u64(&w->rng) % (sizeof some - 1)];
    } while (memchr(set, c, n));
    ag_buf_addc(&w->out, c);
}

static void walk_token(walk *w, bool emit) {
    int id = atoi(w->grammar.p + w->at + 2);
    w->at = ag_span_find(w->grammar, ag_str("]>"), w->at) + 2;
    for (size_t i = 0; emit && i < w->format->n_tokens; i++)
        if (w->format->tokens[i].id == id)
            ag_buf_adds(&w->out, w->format->tokens[i].text);
}

static void walk_json(walk *w, bool emit) {
    static const char *const objects[] = {"{}", "{\"city\": \"a\\n<é>\"}",
                                          "{\"x\": [1, {\"y\": \"}\"}]}"};
    w->at += strlen("%json ");
    json_t *schema =
        json_loadb(w->grammar.p + w->at, w->grammar.n - w->at, JSON_DISABLE_EOF_CHECK, NULL);
    json_error_t where;
    json_decref(
        json_loadb(w->grammar.p + w->at, w->grammar.n - w->at, JSON_DISABLE_EOF_CHECK, &where));
    assert_non_null(schema);
    w->at += (size_t)where.position;
    const char *type = json_string_value(json_object_get(schema, "type"));
    const char *value = !type                      ? "\"any\""
                        : !strcmp(type, "integer") ? "-3"
                        : !strcmp(type, "boolean") ? "true"
                        : !strcmp(type, "array")   ? "[\"a\", {}]"
                                                   : objects[ag_rng_u64(&w->rng) % 3];
    if (json_object_get(schema, "$ref")) {
        assert_non_null(json_object_get(schema, "$defs")); /* what it refers to comes along */
        value = "{\"r\": 1}";
    }
    if (emit)
        ag_buf_adds(&w->out, value);
    json_decref(schema);
}

static void walk_choice(walk *w, bool emit);

static void walk_item(walk *w, bool emit) {
    switch (peek(w)) {
    case '"':
        walk_literal(w, emit);
        break;
    case '[':
        walk_class(w, emit);
        break;
    case '<':
        walk_token(w, emit);
        break;
    case '%':
        walk_json(w, emit);
        break;
    case '.':
        w->at++;
        if (emit)
            ag_buf_addc(&w->out, "ab \n"[ag_rng_u64(&w->rng) % 4]);
        break;
    case '(':
        w->at++;
        walk_choice(w, emit);
        assert_int_equal(peek(w), ')');
        w->at++;
        break;
    default: {
        size_t from = w->at;
        while (is_name(peek(w)))
            w->at++;
        assert_true(w->at > from);
        size_t at = w->at;
        if (emit)
            walk_rule(w, ag_span_sub(w->grammar, from, at));
        w->at = at;
    }
    }
}

/* Items up to | ) or the line's end. */
static void walk_sequence(walk *w, bool emit) {
    while (peek(w) == ' ')
        w->at++;
    while (!strchr("|)\n", peek(w))) {
        size_t from = w->at;
        walk_item(w, false);
        char how = peek(w);
        size_t end = w->at + (how == '*' || how == '?');
        size_t times = how == '*'   ? ag_rng_u64(&w->rng) % 3
                       : how == '?' ? ag_rng_u64(&w->rng) % 2
                                    : 1;
        for (size_t i = 0; emit && i < times; i++) {
            w->at = from;
            walk_item(w, true);
        }
        w->at = end;
        while (peek(w) == ' ')
            w->at++;
    }
}

static void walk_choice(walk *w, bool emit) {
    size_t from = w->at, n = 1, end;
    for (walk_sequence(w, false); peek(w) == '|'; n++) {
        w->at++;
        walk_sequence(w, false);
    }
    end = w->at;
    w->at = from;
    /* The last alternative comes more often: there, texts go on to their marker. */
    size_t pick = ag_rng_u64(&w->rng) % 4 ? n - 1 : ag_rng_u64(&w->rng) % n;
    for (size_t i = 0; emit && i <= pick; i++) {
        walk_sequence(w, i == pick);
        w->at++;
    }
    w->at = end;
}

static void walk_rule(walk *w, ag_span name) {
    char head[80];
    snprintf(head, sizeof head, "\n%.*s ::= ", AG_SPAN(name));
    bool first = ag_span_starts(w->grammar, ag_str(head + 1));
    size_t at = first ? 0 : ag_span_find(w->grammar, ag_str(head), 0);
    if (at == SIZE_MAX)
        fail_msg("no rule%s in\n%.*s", head, AG_SPAN(w->grammar));
    w->at = at + strlen(head) - first;
    walk_choice(w, true);
}

/* ---- the law --------------------------------------------------------------------------------- */

static const char *const templates[] = {
    GLM4, GLM45,   HERMES,    CODER,    SEED,       MINIMAX, LLAMA,   JSON,     MISTRAL,    KIMI,
    PHI,  GRANITE, MINISTRAL, DEEPSEEK, DEEPSEEK31, PLAIN,   COMMAND, NEMOTRON, FUNCTIONARY};
#define N_TEMPLATES (sizeof templates / sizeof *templates)

static ag_buf grammar_of(const ag_answer_format *f, const ag_tool_force *force) {
    ag_buf out;
    ag_err err = {0};
    ag_buf_init(&out, AG_ROOM_TEST, 1 << 20);
    if (ag_answer_tool_grammar(f, force, &out, &err))
        fail_msg("%s: %s", ag_answer_format_name(f), err.msg);
    assert_non_null(ag_buf_cstr(&out)); /* the walk reads numbers by atoi() */
    return out;
}

/* Any marker may be a control token of the vocabulary. */
static int32_t every_marker(const void *ctx, ag_span text, bool *control) {
    (void)ctx;
    *control = text.n > 2;
    return 1000 + (int32_t)(ag_hash64(text.p, text.n, 0) % 100000);
}

static void check_format(const char *template_text, const ag_tool_force *force, bool tokens,
                         int seed) {
    ag_answer_format f =
        ag_answer_format_detect(ag_str(template_text), tokens ? every_marker : NULL, NULL);
    ag_buf grammar = grammar_of(&f, force);
    f = ag_answer_format_forced(&f);
    walk w = {.grammar = ag_buf_span(&grammar), .format = &f};
    ag_rng_init(&w.rng, (uint64_t)seed);
    ag_buf_init(&w.out, AG_ROOM_TEST, 1 << 20);
    walk_rule(&w, ag_str("root"));
    ag_answer_opts o = {.format = &f,
                        .tools = tools,
                        .reasoning = AG_REASONING_HIDDEN,
                        .in_reasoning = force->in_reasoning};
    answer_log l;
    parse_pieces(&o, ag_buf_span(&w.out), NULL, NULL, &l);
    bool content = ag_span_find(ag_buf_span(&l.text), ag_str("content: "), 0) != SIZE_MAX;
    bool right = force->choice == AG_TOOL_AUTO || (l.n_calls > 0 && !content);
    if (force->choice == AG_TOOL_AUTO && f.calls->bare == AG_BARE_NONE)
        right = ag_span_find(ag_buf_span(&l.text), ag_str(f.calls->open[0].text), 0) == SIZE_MAX;
    if (!force->parallel || force->choice == AG_TOOL_NAMED)
        right = right && l.n_calls <= 1;
    if (force->choice == AG_TOOL_NAMED)
        right = right && ag_span_starts(ag_buf_span(&l.text), ag_str("call search "));
    if (!right)
        fail_msg("%s\n%.*s\n--- generated\n%.*s\n--- read\n%.*s", ag_answer_format_name(&f),
                 AG_SPAN(grammar), AG_SPAN(w.out), AG_SPAN(l.text));
    log_deinit(&l);
    ag_buf_deinit(&w.out);
    ag_buf_deinit(&grammar);
}

static void what_a_grammar_generates_is_read_as_calls(void **state) {
    (void)state;
    for (int i = 0; i < 3000; i++) {
        ag_tool_force force = {.tools = tools,
                               .choice = (ag_tool_choice)(i % 3),
                               .name = ag_str("search"),
                               .parallel = i & 4,
                               .in_reasoning = i % 5 == 0};
        check_format(templates[(size_t)i % N_TEMPLATES], &force, i & 8, i);
    }
}

static void a_grammar_reads_like_this(void **state) {
    (void)state;
    ag_answer_format f = ag_answer_format_detect(ag_str("[TOOL_CALLS] ["), NULL, NULL);
    ag_tool_force force = {.tools = tools, .choice = AG_TOOL_NAMED, .name = ag_str("search")};
    ag_buf g = grammar_of(&f, &force);
    const char want[] =
        "root ::= calls\n"
        "args-2 ::= %json {\"type\":\"object\",\"properties\":{\"query\":{\"type\":\"string\"}}} \n"
        "call-2 ::= \"search\" \"\\\", \\\"arguments\\\": \" args-2 \"}\" \n"
        "any-call ::= call-2\n"
        "calls ::= \"[TOOL_CALLS][{\\\"name\\\": \\\"\" any-call \"]\" \n";
    if (!ag_span_is(ag_buf_span(&g), want))
        fail_msg("got\n%.*s\nwant\n%s", AG_SPAN(g), want);
    ag_buf_deinit(&g);
}

/* The parser never sees the end of text that must not hold its own end. */
static void values_of_glm_end_at_their_tag(void **state) {
    (void)state;
    ag_answer_format f = ag_answer_format_detect(ag_str(GLM45), NULL, NULL);
    ag_tool_force force = {.tools = tools, .choice = AG_TOOL_REQUIRED};
    ag_buf g = grammar_of(&f, &force);
    const char *rules[] = {
        "value-0 ::= [^<] value-0 | [<] value-1\n",
        "value-1 ::= [^</] value-0 | [<] value-1 | [/] value-2\n",
        "pair-0-4 ::= \"<arg_key>\" \"unit\" \"</arg_key>\\n<arg_value>\" ( \"c\" | \"f\" ) "
        "\"</arg_value>\\n\" \n",
        "args-0 ::= pair-0-0 pair-0-1? ",
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (ag_span_find(ag_buf_span(&g), ag_str(rules[i]), 0) == SIZE_MAX)
            fail_msg("no %s in\n%.*s", rules[i], AG_SPAN(g));
    ag_buf_deinit(&g);
}

static void wrong_choices_are_refused(void **state) {
    (void)state;
    ag_answer_format f = ag_answer_format_detect(ag_str(HERMES), NULL, NULL);
    json_t *none = json_array(),
           *nameless = json_loads("[{\"function\": {\"name\": \"a b\"}}]", 0, NULL);
    const struct {
        ag_tool_force force;
        const char *words;
    } cases[] = {
        {{.tools = none, .choice = AG_TOOL_REQUIRED}, "at least one"},
        {{.tools = nameless, .choice = AG_TOOL_REQUIRED}, "tools[0].function.name"},
        {{.tools = tools, .choice = AG_TOOL_NAMED, .name = ag_str("x")}, "there is no tool \"x\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ag_buf out;
        ag_err err = {0};
        ag_buf_init(&out, AG_ROOM_TEST, 1 << 20);
        assert_int_equal(ag_answer_tool_grammar(&f, &cases[i].force, &out, &err), AG_E_ARG);
        assert_non_null(strstr(err.msg, cases[i].words));
        assert_int_equal(out.n, 0);
        ag_buf_deinit(&out);
    }
    json_decref(none);
    json_decref(nameless);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_grammar_generates_is_read_as_calls),
        cmocka_unit_test(a_grammar_reads_like_this),
        cmocka_unit_test(values_of_glm_end_at_their_tag),
        cmocka_unit_test(wrong_choices_are_refused),
    };
    return cmocka_run_group_tests(tests, read_tools, free_tools);
}
