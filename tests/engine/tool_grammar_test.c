/* Grammars of tool calls at work: whatever is written at random under them, the parser of answers
 * takes for calls whose arguments are valid. (text/ writes these grammars and reads the calls,
 * grammar/ follows them; neither knows the other.) */
#include "base/hash.h"
#include "grammar/grammar.h"
#include "unit/text/answer.h"

enum { FIRST_MARKER = 256, N_TOKENS = 2048 };

static const char *const templates[] = {
    GLM4, GLM45, HERMES,  CODER,   SEED,  MINIMAX,  LLAMA,       JSON,     MISTRAL,   MINISTRAL,
    KIMI, PHI,   GRANITE, COMMAND, PLAIN, NEMOTRON, FUNCTIONARY, DEEPSEEK, DEEPSEEK31};
#define N_TEMPLATES (sizeof templates / sizeof *templates)

/* Markers as tokens: numbered as they are asked for. */
static char *markers[N_TOKENS - FIRST_MARKER];
static int32_t n_markers;

static int32_t marker_id(ag_span text) {
    for (int32_t i = 0; i < n_markers; i++)
        if (ag_span_is(text, markers[i]))
            return FIRST_MARKER + i;
    AG_ASSERT(n_markers < N_TOKENS - FIRST_MARKER);
    markers[n_markers] = ag_strndup(AG_ROOM_TEST, text.p, text.n);
    return FIRST_MARKER + n_markers++;
}

static int32_t every_marker(const void *ctx, ag_span text, bool *control) {
    (void)ctx;
    *control = text.n > 2;
    return text.n > 2 ? marker_id(text) : -1;
}

static ag_span token_bytes(const void *ctx, int32_t id) {
    static char bytes[256];
    (void)ctx;
    if (id > 255)
        return (ag_span){0};
    bytes[id] = (char)id;
    return ag_span_of(&bytes[id], 1);
}

static int32_t find_marker(const void *ctx, ag_span text) {
    (void)ctx;
    return marker_id(text);
}

/* Bytes that bring a text to its end come more often than others. */
static int32_t choose(const uint64_t *bits, ag_rng *rng) {
    static const char ends[] = "\"}]<>/,:{[1ae";
    for (int i = 0; i < 12; i++) {
        int32_t id = (uint8_t)ends[ag_rng_u64(rng) % (sizeof ends - 1)];
        if (bits[id >> 6] >> (id & 63) & 1)
            return id;
    }
    int32_t id;
    do
        id = (int32_t)(ag_rng_u64(rng) % (uint64_t)(FIRST_MARKER + n_markers));
    while (!(bits[id >> 6] >> (id & 63) & 1));
    return id;
}

/* A text of the grammar; false when it did not come to an end. */
static bool write_answer(ag_grammar *g, ag_rng *rng, ag_buf *out) {
    ag_match *m = NULL;
    uint64_t bits[N_TOKENS / 64];
    ag_err err = {0};
    assert_int_equal(ag_match_new(g, &m, &err), AG_OK);
    bool ended = false;
    for (int i = 0; i < 4000 && !ended; i++) {
        ended = ag_match_is_complete(m) || (ag_match_is_accepting(m) && ag_rng_u64(rng) % 8 == 0);
        if (ended)
            break;
        if (ag_match_mask(m, bits, &err))
            fail_msg("%s after\n%.*s", err.msg, AG_SPAN(*out));
        int32_t id = choose(bits, rng);
        assert_int_equal(ag_match_accept(m, id, &err), AG_OK);
        if (id < 256)
            ag_buf_addc(out, (char)id);
        else
            ag_buf_adds(out, markers[id - FIRST_MARKER]);
    }
    ag_match_free(&m);
    return ended;
}

static ag_grammar *compile(const ag_gvocab *vocab, const ag_answer_format *f,
                           const ag_tool_force *force) {
    ag_buf text;
    ag_grammar *g = NULL;
    ag_err err = {0};
    ag_buf_init(&text, AG_ROOM_TEST, 1 << 20);
    assert_int_equal(ag_answer_tool_grammar(f, force, &text, &err), AG_OK);
    ag_structure s = {AG_STRUCTURE_GRAMMAR, text.p, text.n};
    if (ag_grammar_compile(vocab, &s, &g, &err))
        fail_msg("%s\n%.*s", err.msg, AG_SPAN(text));
    ag_buf_deinit(&text);
    return g;
}

/* Read it back; the number of calls, or -1 when there was something else. */
static int count_calls(const ag_answer_format *f, const json_t *tools, bool in_reasoning,
                       ag_span text, ag_buf *log) {
    ag_answer_opts o = {.format = f,
                        .tools = tools,
                        .reasoning = AG_REASONING_HIDDEN,
                        .in_reasoning = in_reasoning};
    answer_log l;
    parse_pieces(&o, text, NULL, NULL, &l);
    bool content = ag_span_find(ag_buf_span(&l.text), ag_str("content: "), 0) != SIZE_MAX;
    int n = content ? -1 : l.n_calls;
    ag_buf_add(log, l.text.p, l.text.n);
    log_deinit(&l);
    return n;
}

static void what_is_written_under_them_is_read_as_calls(void **state) {
    (void)state;
    json_t *tools = json_loads(answer_tools, 0, NULL);
    ag_gvocab_source source = {.n_tokens = N_TOKENS, .bytes = token_bytes, .find = find_marker};
    ag_gvocab *vocab = NULL;
    ag_rng rng;
    int n_ended = 0, n_all = 0;
    ag_rng_init(&rng, 1);
    assert_int_equal(ag_gvocab_new(&source, &vocab, NULL), AG_OK);
    for (size_t i = 0; i < N_TEMPLATES * 12; i++) {
        bool tokens = i & 1;
        ag_tool_force force = {.tools = tools,
                               .choice = (ag_tool_choice)(1 + i / N_TEMPLATES % 2),
                               .name = ag_str("search"),
                               .parallel = i / N_TEMPLATES & 2,
                               .in_reasoning = i / N_TEMPLATES % 5 == 0};
        ag_answer_format f = ag_answer_format_detect(ag_str(templates[i % N_TEMPLATES]),
                                                     tokens ? every_marker : NULL, NULL);
        ag_grammar *g = compile(vocab, &f, &force);
        ag_answer_format forced = ag_answer_format_forced(&f);
        for (int k = 0; k < 4; k++, n_all++) {
            ag_buf text, log;
            ag_buf_init(&text, AG_ROOM_TEST, 1 << 20);
            ag_buf_init(&log, AG_ROOM_TEST, 1 << 20);
            if (write_answer(g, &rng, &text)) {
                n_ended++;
                int n = count_calls(&forced, tools, force.in_reasoning, ag_buf_span(&text), &log);
                if (n < 1 || ((force.choice == AG_TOOL_NAMED || !force.parallel) && n != 1))
                    fail_msg("%s: %d calls\n--- written\n%.*s\n--- read\n%.*s",
                             ag_answer_format_name(&forced), n, AG_SPAN(text), AG_SPAN(log));
            }
            ag_buf_deinit(&text);
            ag_buf_deinit(&log);
        }
        ag_grammar_unref(g);
    }
    assert_true(n_ended > n_all / 2);
    ag_gvocab_free(&vocab);
    json_decref(tools);
}

/* Whatever form calls have, a schema that is refused is found in the user's own words. */
static void a_schema_at_fault_is_told_by_its_tool(void **state) {
    (void)state;
    json_t *tools = json_loads(
        "[{\"type\": \"function\", \"function\": {\"name\": \"fine\"}}, {\"type\": \"function\","
        "\"function\": {\"name\": \"odd\", \"parameters\": {\"type\": \"object\", \"properties\": {"
        "\"x\": {\"type\": \"integer\"}, \"a/b\": {\"type\": \"array\", \"items\": {\"not\": {}}}},"
        "\"required\": [\"a/b\"]}}}]",
        0, NULL);
    ag_gvocab_source source = {.n_tokens = N_TOKENS, .bytes = token_bytes, .find = find_marker};
    ag_gvocab *vocab = NULL;
    assert_int_equal(ag_gvocab_new(&source, &vocab, NULL), AG_OK);
    for (size_t i = 0; i < N_TEMPLATES; i++) {
        ag_answer_format f =
            ag_answer_format_detect(ag_str(templates[i]), i & 1 ? every_marker : NULL, NULL);
        ag_tool_force force = {.tools = tools, .choice = AG_TOOL_REQUIRED};
        ag_buf text;
        ag_grammar *g = NULL;
        ag_err err = {0}, before;
        ag_buf_init(&text, AG_ROOM_TEST, 1 << 20);
        assert_int_equal(ag_answer_tool_grammar(&f, &force, &text, &err), AG_OK);
        ag_structure s = {AG_STRUCTURE_GRAMMAR, text.p, text.n};
        assert_int_equal(ag_grammar_compile(vocab, &s, &g, &err), AG_E_GRAMMAR);
        before = err;
        assert_true(ag_answer_tool_blame(tools, NULL, ag_buf_span(&text), &err));
        if (strcmp(err.msg,
                   "tools[1].function.parameters: #/properties/a~1b/items/not: this keyword "
                   "is not supported") != 0)
            fail_msg("%s: %s, before it %s", ag_answer_format_name(&f), err.msg, before.msg);
        ag_fail(&err, AG_E_GRAMMAR, "grammar: it is too large");
        assert_false(ag_answer_tool_blame(tools, NULL, ag_buf_span(&text), &err));
        assert_string_equal(err.msg, "grammar: it is too large");
        ag_buf_deinit(&text);
    }
    ag_gvocab_free(&vocab);
    json_decref(tools);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_under_them_is_read_as_calls),
        cmocka_unit_test(a_schema_at_fault_is_told_by_its_tool),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int32_t i = 0; i < n_markers; i++)
        ag_free(markers[i]);
    return failed;
}
