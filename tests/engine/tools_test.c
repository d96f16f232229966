/* Forced tool calls through the whole engine: the grammar of a format, with the model's own control
 * tokens, holds a model that knows nothing of tools to calls, and the parser reads them from the
 * text as it streams. */
#include "engine/support.h"
#include "unit/text/answer.h"

static ag_engine *engine;
static answer unused; /* its place in the callbacks is taken */

static int open_engine(void **state) {
    (void)state;
    ag_engine_opts o = test_opts(model_path("tiny-glm", "q8_0"));
    o.n_threads = 2;
    engine = must_open(&o);
    return 0;
}

static int close_engine(void **state) {
    (void)state;
    ag_engine_close(&engine);
    return 0;
}

/* Nothing in it is free text, so every call comes to its end. */
static const char some_tools[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"set_volume\", \"parameters\": {\"type\":"
    " \"object\", \"properties\": {\"level\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\":"
    " 100}, \"unit\": {\"enum\": [\"%\", \"dB\"]}}, \"required\": [\"level\", \"unit\"],"
    " \"additionalProperties\": false}}}, {\"type\": \"function\", \"function\": {\"name\":"
    " \"mute\", \"parameters\": {\"type\": \"object\", \"properties\": {\"on\": {\"type\":"
    " \"boolean\"}}, \"required\": [\"on\"], \"additionalProperties\": false}}}]";

static int32_t find_token(const void *ctx, ag_span text, bool *control) {
    return ag_engine_find_token((const ag_engine *)ctx, text.p, text.n, control);
}

typedef struct reading {
    ag_answer_parser *parser;
    ag_finish finish;
} reading;

static bool read_token(void *ctx, const ag_token_event *e) {
    reading *r = (reading *)ctx;
    return ag_answer_parser_push(r->parser, ag_span_of(e->text, e->text_len), NULL) == AG_OK;
}

static void read_end(void *ctx, const ag_result *result) {
    reading *r = (reading *)ctx;
    r->finish = result->finish;
    assert_int_equal(
        ag_answer_parser_push(r->parser, ag_span_of(result->tail, result->tail_len), NULL), AG_OK);
    assert_int_equal(ag_answer_parser_end(r->parser, NULL), AG_OK);
}

/* An answer under the grammar, read while it streams. */
static void answer_with_calls(const ag_answer_format *f, const ag_tool_force *force, uint64_t seed,
                              answer_log *l) {
    int32_t shown[AG_ANSWER_MAX_TOKENS];
    ag_buf grammar;
    ag_err err = {0};
    reading r = {0};
    ag_request *request = NULL;
    ag_buf_init(&grammar, AG_ROOM_TEST, 1 << 20);
    if (ag_answer_tool_grammar(f, force, &grammar, &err))
        fail_msg("%s: %s", ag_answer_format_name(f), err.msg);
    log_init(l);
    ag_answer_format forced = ag_answer_format_forced(f);
    ag_answer_opts po = {.format = &forced,
                         .tools = force->tools,
                         .arguments = AG_ARGUMENTS_STREAM,
                         .in_reasoning = force->in_reasoning,
                         .on_event = log_event,
                         .ctx = l};
    assert_int_equal(ag_answer_parser_new(&po, &r.parser, &err), AG_OK);
    ag_request_opts o = ask_text("Be quiet!", 240, &unused);
    o.ignore_eos = false;
    o.on_token = read_token;
    o.on_done = read_end;
    o.ctx = &r;
    o.sampling.temperature = 1;
    o.sampling.seed = seed;
    o.sampling.has_seed = true;
    o.structure = (ag_structure){AG_STRUCTURE_GRAMMAR, grammar.p, grammar.n};
    o.show_ids = shown;
    o.n_show_ids = ag_answer_format_shown(&forced, true, shown);
    if (ag_engine_submit(engine, &o, &request, &err))
        fail_msg("%s: %s\n%.*s", ag_answer_format_name(f), err.msg, AG_SPAN(grammar));
    must_finish(&request);
    ag_answer_parser_free(&r.parser);
    bool calls_only = ag_span_find(ag_buf_span(&l->text), ag_str("content: "), 0) == SIZE_MAX;
    if (r.finish != AG_FINISH_STOP || l->n_calls == 0 || !calls_only)
        fail_msg("%s, seed %d: finish %d, %d calls\n%.*s\n--- grammar\n%.*s",
                 ag_answer_format_name(f), (int)seed, (int)r.finish, l->n_calls, AG_SPAN(l->text),
                 AG_SPAN(grammar));
    ag_buf_deinit(&grammar);
}

/* Formats without reasoning, whose end a model without sense would not find. */
static const char *const templates[] = {GLM4,
                                        "<arg_key><tool_call>",
                                        "<tool_call>\"arguments",
                                        CODER,
                                        "<minimax:tool_call><invoke name=",
                                        LLAMA,
                                        JSON,
                                        MISTRAL,
                                        "[TOOL_CALLS][ARGS]",
                                        "<｜tool▁call▁begin｜>```",
                                        "<｜tool▁call▁begin｜>",
                                        KIMI,
                                        PHI,
                                        GRANITE,
                                        "<|START_ACTION|>",
                                        "<TOOLCALL>",
                                        FUNCTIONARY,
                                        PLAIN};

static void check_mute(const ag_answer_format *f, ag_span log) {
    const ag_span head = ag_str("call mute ");
    bool starts = ag_span_starts(log, head);
    ag_span text = ag_span_sub(log, starts ? head.n : log.n, log.n);
    json_t *args = json_loadb(text.p, text.n, 0, NULL);
    if (json_object_size(args) != 1 || !json_is_boolean(json_object_get(args, "on")))
        fail_msg("%s: %.*s", ag_answer_format_name(f), AG_SPAN(log));
    json_decref(args);
}

static void every_format_can_be_forced(void **state) {
    (void)state;
    json_t *tools = json_loads(some_tools, 0, NULL);
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        ag_answer_format f = ag_answer_format_detect(ag_str(templates[i]), find_token, engine);
        f.think = NULL; /* the vocabulary of GLM-4.1V has its tags */
        for (uint64_t seed = 0; seed < 3; seed++) {
            answer_log l;
            ag_tool_force force = {.tools = tools, .choice = AG_TOOL_REQUIRED};
            answer_with_calls(&f, &force, seed, &l);
            assert_int_equal(l.n_calls, 1);
            log_deinit(&l);
            force.choice = AG_TOOL_NAMED;
            force.name = ag_str("mute");
            answer_with_calls(&f, &force, seed, &l);
            check_mute(&f, ag_buf_span(&l.text));
            log_deinit(&l);
        }
    }
    json_decref(tools);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_format_can_be_forced)};
    return cmocka_run_group_tests_name("engine/tools", tests, open_engine, close_engine);
}
