/* Answers taken apart: what models really write, in every format, cut at every byte. */
#include "base/fault.h"
#include "base/limits.h"
#include "unit/text/answer.h"

typedef struct answer_case {
    const char *template_text;
    ag_reasoning_mode reasoning;
    const char *text, *want;
} answer_case;

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

static size_t one(void *state) {
    (void)state;
    return 1;
}
static size_t some(void *state) { return 1 + ag_rng_u64((ag_rng *)state) % 7; }

static void assert_log(const answer_log *l, const answer_case *c, const char *want,
                       const char *how) {
    if (!ag_span_is(ag_buf_span(&l->text), want))
        fail_msg("%s, %s: \"%s\"\n--- got\n%.*s\n--- want\n%s", c->template_text, how, c->text,
                 AG_SPAN(l->text), want);
}

/* The case at once, by the byte, and in random pieces. */
static void run(const answer_case *c, const ag_answer_opts *more) {
    ag_answer_format f = ag_answer_format_detect(ag_str(c->template_text), NULL, NULL);
    ag_answer_opts o = *more;
    ag_rng rng;
    answer_log l;
    o.format = &f;
    o.reasoning = c->reasoning;
    ag_rng_init(&rng, 1);
    parse_pieces(&o, ag_str(c->text), NULL, NULL, &l);
    assert_log(&l, c, c->want, "at once");
    log_deinit(&l);
    parse_pieces(&o, ag_str(c->text), one, NULL, &l);
    assert_log(&l, c, c->want, "by the byte");
    log_deinit(&l);
    for (int i = 0; i < 10; i++) {
        parse_pieces(&o, ag_str(c->text), some, &rng, &l);
        assert_log(&l, c, c->want, "in pieces");
        log_deinit(&l);
    }
}

static void run_all(const answer_case *cases, size_t n) {
    for (size_t i = 0; i < n; i++) {
        run(&cases[i], &(ag_answer_opts){.tools = tools});
        /* Calls that are not broken look the same when they are streamed. */
        if (!strstr(cases[i].text, "BROKEN"))
            run(&cases[i], &(ag_answer_opts){.tools = tools, .arguments = AG_ARGUMENTS_STREAM});
    }
}
#define RUN_ALL(cases) run_all(cases, sizeof(cases) / sizeof *(cases))
#define INLINE         AG_REASONING_INLINE
#define SPLIT          AG_REASONING_SPLIT
#define HIDDEN         AG_REASONING_HIDDEN

/* ---- formats --------------------------------------------------------------------------------- */

static void hermes_and_qwen(void **state) {
    (void)state;
    const answer_case cases[] = {
        {HERMES, INLINE, "Just text.\n", "content: Just text.\n"},
        {HERMES, INLINE,
         "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
         "\"北京\"}}\n</tool_call>",
         "call get_weather {\"city\": \"北京\"}"},
        {HERMES, INLINE,
         "Let me look.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
         "\"Paris\","
         " \"at\": {\"x\": [1, {\"y\": null}]}}}\n</tool_call>\n<tool_call>\n{\"name\":"
         " \"get_time\", \"arguments\": {}}\n</tool_call>\n",
         "content: Let me look.\n"
         "call get_weather {\"city\": \"Paris\", \"at\": {\"x\": [1, {\"y\": null}]}}\n"
         "call get_time {}"},
        {HERMES, INLINE,
         "<tool_call>{\"arguments\": {\"query\": \"a </tool_call> \\\"quoted\\\" <tool_call>\"},"
         " \"name\": \"search\"}</tool_call>Done.",
         "call search {\"query\": \"a </tool_call> \\\"quoted\\\" <tool_call>\"}\ncontent: Done."},
        {HERMES, INLINE, "<tool_call>{\"name\": \"get_time\"}</tool_call>", "call get_time {}"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"other\", \"arguments\": null}</tool_call>",
         "call other {}"},
        {HERMES, INLINE,
         "<tool_call>{\"name\": \"search\", \"arguments\": \"{\\\"query\\\": \\\"x\\\\n\\\"}\"}",
         "call search {\"query\": \"x\\n\"}"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"a\nb\"}}",
         "call search {\"query\": \"a\\nb\"}"},
        {HERMES, INLINE,
         "<tool_call>[{\"name\": \"get_time\", \"arguments\": {}}, {\"name\": \"search\","
         " \"arguments\": {}}]</tool_call>",
         "call get_time {}\ncall search {}"},
        {HERMES, INLINE,
         "<tool_call>\n{\"name\": \"get_time\", \"arguments\": {}}\n{\"name\": \"search\","
         " \"arguments\": {}}\n</tool_call>",
         "call get_time {}\ncall search {}"},
        {HERMES, INLINE, "a < b <tool <tool_call", "content: a < b <tool <tool_call"},
        {HERMES, INLINE, "The <tool_call> tag. BROKEN", "content: The <tool_call> tag. BROKEN"},
        {HERMES, INLINE, "<tool_call>\n<tool_call>{\"name\": \"get_time\"}</tool_call>",
         "content: <tool_call>\ncall get_time {}"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": BROKEN}}",
         "content: <tool_call>{\"name\": \"search\", \"arguments\": {\"query\": BROKEN}}"},
        {HERMES, INLINE, "So: <tool_call>{\"name\": \"search\", \"arguments\": {\"q\": \"BROKEN",
         "content: So: <tool_call>{\"name\": \"search\", \"arguments\": {\"q\": \"BROKEN"},
        {HERMES, INLINE, "<tool_call>{\"name\": 5}</tool_call>",
         "content: <tool_call>{\"name\": 5}</tool_call>"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"a b\"}",
         "content: <tool_call>{\"name\": \"a b\"}"},
        {HERMES, INLINE, "<tool_call>{\"arguments\": {}} BROKEN",
         "content: <tool_call>{\"arguments\": {}} BROKEN"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"search\", \"arguments\": [1]}",
         "content: <tool_call>{\"name\": \"search\", \"arguments\": [1]}"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"search\", \"arguments\": \"{} BROKEN\"}",
         "content: <tool_call>{\"name\": \"search\", \"arguments\": \"{} BROKEN\"}"},
        {HERMES, INLINE,
         "<tool_call>{\"name\": \"search\", \"arguments\": {\"\\ud800\": 1}} BROKEN",
         "content: <tool_call>{\"name\": \"search\", \"arguments\": {\"\\ud800\": 1}} BROKEN"},
        {NEMOTRON, SPLIT,
         "<think>\nHm.\n</think>\n\n<TOOLCALL>[{\"name\": \"get_time\", \"arguments\": "
         "{}}]</TOOLCALL>",
         "reasoning: Hm.\ncall get_time {}"},
    };
    RUN_ALL(cases);
}

static void glm_45(void **state) {
    (void)state;
#define PAIR(k, v) "<arg_key>" k "</arg_key>\n<arg_value>" v "</arg_value>\n"
    const answer_case cases[] = {
        {GLM45, INLINE,
         "\n<tool_call>get_weather\n" PAIR("city", "\"Paris\" \\ 北京\n2") PAIR("days", "3")
             PAIR("tags", "[1, \"a\"]") PAIR("at", "{\"x\": {}}") PAIR("unit", "c")
                 PAIR("note", "null") PAIR("hourly", "true") "</tool_call>",
         "call get_weather {\"city\": \"\\\"Paris\\\" \\\\ 北京\\n2\", \"days\": 3, \"tags\": [1,"
         " \"a\"], \"at\": {\"x\": {}}, \"unit\": \"c\", \"note\": null, \"hourly\": true}"},
        {GLM45, SPLIT,
         "\n<think>I "
         "need\nboth.</think>\nHere:\n<tool_call>get_time\n</tool_call>\n<tool_call>search\n" PAIR(
             "query", "5") "</tool_call>",
         "reasoning: I need\nboth.\ncontent: Here:\ncall get_time {}\ncall search {\"query\": "
         "\"5\"}"},
        {GLM45, INLINE,
         "<tool_call>get_weather<arg_key>city</arg_key><arg_value></arg_value><arg_key>days</"
         "arg_key>"
         "<arg_value>three</arg_value><arg_key>note</arg_key><arg_value>none</arg_value></"
         "tool_call>",
         "call get_weather {\"city\": \"\", \"days\": \"three\", \"note\": \"none\"}"},
        {GLM45, INLINE, "<tool_call>get_time</tool_call>", "call get_time {}"},
        {GLM45, INLINE,
         "<tool_call>other\n" PAIR("a", "1") PAIR("b", "x y") PAIR("c", "\"s\"") "</tool_call>",
         "call other {\"a\": 1, \"b\": \"x y\", \"c\": \"s\"}"},
        {GLM45, INLINE,
         "<tool_call>get_weather\n" PAIR("city", "a < b </arg_valu <tool_call>") "</tool_call>",
         "call get_weather {\"city\": \"a < b </arg_valu <tool_call>\"}"},
        {GLM45, INLINE, "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Par BROKEN",
         "content: <tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Par BROKEN"},
        {GLM45, INLINE, "<tool_call>get_weather\n" PAIR("city", "Paris") "BROKEN",
         "content: <tool_call>get_weather\n" PAIR("city", "Paris") "BROKEN"},
        {GLM45, INLINE, "A <tool_call> is a\ntag", "content: A <tool_call> is a\ntag"},
        {GLM45, INLINE, "<tool_call>get_time\n<<tool_call>get_time\n</tool_call>",
         "content: <tool_call>get_time\n<\ncall get_time {}"},
    };
    RUN_ALL(cases);
}

static void glm_4(void **state) {
    (void)state;
    const answer_case cases[] = {
        {GLM4, INLINE, "\nHello there.", "content: \nHello there."},
        {GLM4, INLINE, "get_weather\n{\"city\": \"北京\"}",
         "call get_weather {\"city\": \"北京\"}"},
        {GLM4, INLINE, "\nget_weather\n{\"city\": \"Paris\",\n \"days\": 2}\n",
         "call get_weather {\"city\": \"Paris\",\n \"days\": 2}"},
        {GLM4, INLINE, "Let me see.<|assistant|>get_time\n{}",
         "content: Let me see.\ncall get_time {}"},
        {GLM4, INLINE, "get_time\n{}<|assistant|>search\n{\"query\": \"}\"}",
         "call get_time {}\ncall search {\"query\": \"}\"}"},
        {GLM4, INLINE, "I call\nget_time\n{}\nnow",
         "content: I call\ncall get_time {}\ncontent: \nnow"},
        {GLM4, INLINE, "get_time is a function", "content: get_time is a function"},
        {GLM4, INLINE, "get_time\nis a function", "content: get_time\nis a function"},
        {GLM4, INLINE, "get_tim", "content: get_tim"},
        {GLM4, INLINE, "other\n{\"a\": 1}", "content: other\n{\"a\": 1}"},
        {GLM4, INLINE, "a<|assistant|>\nHello", "content: a\nHello"},
        {GLM4, INLINE, "get_time\n{\"a\": BROKEN", "content: get_time\n{\"a\": BROKEN"},
    };
    RUN_ALL(cases);
}

static void qwen_coder_and_its_kin(void **state) {
    (void)state;
    const answer_case cases[] = {
        {CODER, INLINE,
         "Sure.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nSan\n\nFrancisco\n</"
         "parameter>\n"
         "<parameter=days>\n3\n</parameter>\n<parameter=hourly>\nTrue\n</parameter>\n</"
         "function>\n</tool_call>",
         "content: Sure.\ncall get_weather {\"city\": \"San\\n\\nFrancisco\", \"days\": 3, "
         "\"hourly\": true}"},
        {CODER, INLINE, "<function=get_time>\n</function>\n</tool_call>", "call get_time {}"},
        {CODER, INLINE,
         "<tool_call>\n<function=search>\n<parameter=query>if (a<b) { </parameter </parameter>\n"
         "</function>\n</tool_call>\n<tool_call>\n<function=get_time>\n</function>\n</tool_call>",
         "call search {\"query\": \"if (a<b) { </parameter \"}\ncall get_time {}"},
        {CODER, INLINE, "<tool_call>\n<function=search>\n<parameter=query>\nx BROKEN",
         "content: <tool_call>\n<function=search>\n<parameter=query>\nx BROKEN"},
        {CODER, INLINE, "Use <function=f in C", "content: Use <function=f in C"},
        {SEED, SPLIT,
         "<seed:think>Hm</seed:think><seed:tool_call>\n<function=search>\n<parameter=query>a "
         "b</parameter>\n"
         "</function>\n</seed:tool_call>",
         "reasoning: Hm\ncall search {\"query\": \"a b\"}"},
        {MINIMAX, INLINE,
         "<minimax:tool_call>\n<invoke name=\"get_weather\">\n<parameter "
         "name=\"city\">Rome</parameter>\n"
         "</invoke>\n<invoke name=\"get_time\">\n</invoke>\n</minimax:tool_call>",
         "call get_weather {\"city\": \"Rome\"}\ncall get_time {}"},
    };
    RUN_ALL(cases);
}

static void llama_3(void **state) {
    (void)state;
    const answer_case cases[] = {
        {LLAMA, INLINE, "{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Paris\"}}",
         "call get_weather {\"city\": \"Paris\"}"},
        {JSON, INLINE,
         "{\"type\": \"function\", \"name\": \"get_time\", \"parameters\": {}}; {\"name\": "
         "\"search\","
         " \"parameters\": {\"query\": \"a; b\"}}",
         "call get_time {}\ncall search {\"query\": \"a; b\"}"},
        {LLAMA, INLINE, "<|python_tag|>{\"name\": \"get_time\", \"parameters\": {}}",
         "call get_time {}"},
        {LLAMA, INLINE, "<|python_tag|>print(1)", "content: <|python_tag|>print(1)"},
        {LLAMA, INLINE, "{\"answer\": {\"name\": \"get_time\"}}",
         "content: {\"answer\": {\"name\": \"get_time\"}}"},
        {LLAMA, INLINE, "{\"name\": \"Ann\", \"parameters\": {}}",
         "content: {\"name\": \"Ann\", \"parameters\": {}}"},
        {LLAMA, INLINE, "{\"name\": \"get_time\"}", "content: {\"name\": \"get_time\"}"},
        {LLAMA, INLINE, "So {\"name\": \"get_time\", \"parameters\": {}}",
         "content: So {\"name\": \"get_time\", \"parameters\": {}}"},
        {LLAMA, INLINE, "{\"name\": \"get_time\", \"parameters\": {}} and more",
         "call get_time {}\ncontent:  and more"},
        {LLAMA, INLINE, "{\"name\": \"search\", \"parameters\": {\"BROKEN",
         "content: {\"name\": \"search\", \"parameters\": {\"BROKEN"},
    };
    RUN_ALL(cases);
}

static void mistral(void **state) {
    (void)state;
    const answer_case cases[] = {
        {MISTRAL, INLINE,
         "[TOOL_CALLS] [{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}, \"id\":"
         " \"abcdefghi\"}, {\"name\": \"get_time\", \"arguments\": {}}]",
         "call get_weather {\"city\": \"Paris\"}\ncall get_time {}"},
        {MINISTRAL, INLINE,
         "Sure.[TOOL_CALLS]get_weather[ARGS]{\"city\": \"]\"}[TOOL_CALLS]get_time[ARGS]{}",
         "content: Sure.\ncall get_weather {\"city\": \"]\"}\ncall get_time {}"},
        {MINISTRAL, INLINE, "[TOOL_CALLS]get_time[CALL_ID]abc123XYZ[ARGS]{}", "call get_time {}"},
        {MINISTRAL, INLINE, "[TOOL_CALLS]get_time{}", "call get_time {}"},
        {MINISTRAL, SPLIT, "[THINK]So.[/THINK]Hi [1]", "reasoning: So.\ncontent: Hi [1]"},
        {MISTRAL, INLINE, "A list: [1, 2]", "content: A list: [1, 2]"},
        {MISTRAL, INLINE, "[TOOL_CALLS] none BROKEN", "content: [TOOL_CALLS] none BROKEN"},
        {MISTRAL, INLINE, "[TOOL_CALLS][{\"name\": \"get_time\", \"arguments\": {}}, {\"nam BROKEN",
         "call get_time {}\ncontent: , {\"nam BROKEN"},
    };
    RUN_ALL(cases);
}

static void deepseek(void **state) {
    (void)state;
#define CALL(name, args)                                                                           \
    "<｜tool▁call▁begin｜>function<｜tool▁sep｜>" name "\n```json\n" args "\n```<"                 \
    "｜tool▁call▁end｜>"
#define CALL31(name, args) "<｜tool▁call▁begin｜>" name "<｜tool▁sep｜>" args "<｜tool▁call▁end｜>"
    const answer_case cases[] = {
        {DEEPSEEK, INLINE,
         "Sure.<｜tool▁calls▁begin｜>" CALL("get_weather", "{\"city\": \"```\"}") "\n" CALL(
             "get_time", "{}") "<｜tool▁calls▁end｜>",
         "content: Sure.\ncall get_weather {\"city\": \"```\"}\ncall get_time {}"},
        {DEEPSEEK31, SPLIT,
         "Hm</think><｜tool▁calls▁begin｜>" CALL31("get_time", "{}")
             CALL31("search", "{\"query\": \"｜\"}") "<｜tool▁calls▁end｜>",
         "content: Hm</think>\ncall get_time {}\ncall search {\"query\": \"｜\"}"},
        {DEEPSEEK, INLINE, "<｜tool▁call", "content: <｜tool▁call"},
        {DEEPSEEK, INLINE, "<｜tool▁calls▁begin｜>" CALL("search", "{\"query\": BROKEN}"),
         "content: <｜tool▁calls▁begin｜>" CALL("search", "{\"query\": BROKEN}")},
    };
    RUN_ALL(cases);
}

static void other_formats(void **state) {
    (void)state;
    const answer_case cases[] = {
        {KIMI, INLINE,
         "Ok<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0"
         "<|tool_call_argument_begin|>{\"city\": \"x\"}<|tool_call_end|><|tool_call_begin|>"
         "functions.get_time:1<|tool_call_argument_begin|>{}<|tool_call_end|><|tool_calls_section_"
         "end|>",
         "content: Ok\ncall get_weather {\"city\": \"x\"}\ncall get_time {}"},
        {PHI, INLINE,
         "functools[{\"name\": \"get_time\", \"arguments\": {}}, {\"name\": \"search\","
         " \"arguments\": {\"query\": \"]\"}}]",
         "call get_time {}\ncall search {\"query\": \"]\"}"},
        {PHI, INLINE, "<|tool_call|>[{\"name\": \"get_time\", \"arguments\": {}}]<|/tool_call|>",
         "call get_time {}"},
        {PHI, INLINE, "import functools", "content: import functools"},
        {GRANITE, INLINE, "<|tool_call|>[{\"name\": \"get_time\", \"arguments\": {}}]",
         "call get_time {}"},
        {COMMAND, SPLIT,
         "<|START_THINKING|>I see.<|END_THINKING|><|START_ACTION|>[\n{\"tool_call_id\": \"0\","
         " \"tool_name\": \"search\", \"parameters\": {\"query\": \"x\"}}\n]<|END_ACTION|>",
         "reasoning: I see.\ncall search {\"query\": \"x\"}"},
        {FUNCTIONARY, INLINE, "<function=search>{\"query\": \"</function>\"}</function>",
         "call search {\"query\": \"</function>\"}"},
        {PLAIN, INLINE, "<tool_call>{\"name\": \"get_time\"}</tool_call>\n",
         "content: <tool_call>{\"name\": \"get_time\"}</tool_call>\n"},
    };
    RUN_ALL(cases);
}

/* ---- reasoning ------------------------------------------------------------------------------- */

static void reasoning_stays_or_is_split_or_hidden(void **state) {
    (void)state;
#define CALL_TIME "<tool_call>{\"name\": \"get_time\"}</tool_call>"
    const answer_case cases[] = {
        {HERMES, INLINE, "<think>\nHm.\n</think>\n\nHello.\n",
         "content: <think>\nHm.\n</think>\n\nHello.\n"},
        {HERMES, SPLIT, "<think>\nHm.\nSo.\n\n</think>\n\nHello.\n",
         "reasoning: Hm.\nSo.\ncontent: Hello.\n"},
        {HERMES, HIDDEN, "<think>\nHm.\n</think>\n\nHello.", "content: Hello."},
        {HERMES, SPLIT, "<think>\n\n</think>\n\nHello.", "content: Hello."},
        {HERMES, SPLIT, "\n <think>a</think>b", "reasoning: a\ncontent: b"},
        {HERMES, SPLIT, "The <think> tag and </think>.", "content: The <think> tag and </think>."},
        {HERMES, SPLIT, "<think>never closed </thin", "reasoning: never closed </thin"},
        {HERMES, SPLIT, "<think>I may " CALL_TIME " later.</think>\n\n" CALL_TIME,
         "reasoning: I may " CALL_TIME " later.\ncall get_time {}"},
        {HERMES, INLINE, "<think>I may " CALL_TIME " later.</think>\n\n" CALL_TIME,
         "content: <think>I may " CALL_TIME " later.</think>\ncall get_time {}"},
        {HERMES, HIDDEN, "<think>a</think>" CALL_TIME "\n", "call get_time {}"},
        {PLAIN, SPLIT, "<think>a</think>b", "content: <think>a</think>b"},
    };
    RUN_ALL(cases);
}

static void an_answer_may_begin_inside_the_reasoning(void **state) {
    (void)state;
    ag_answer_opts o = {.tools = tools, .in_reasoning = true};
    const answer_case cases[] = {
        {HERMES, SPLIT, "\nHm.</think>\nHello", "reasoning: Hm.\ncontent: Hello"},
        {HERMES, INLINE, "\nHm.</think>\nHello", "content: \nHm.</think>\nHello"},
        {HERMES, SPLIT, "Hm " CALL_TIME, "reasoning: Hm " CALL_TIME},
        {PLAIN, SPLIT, "Hm", "content: Hm"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run(&cases[i], &o);
    ag_answer_format f = ag_answer_format_detect(ag_str(HERMES), NULL, NULL);
    assert_true(ag_answer_begins_in_reasoning(&f, ag_str("<|im_start|>assistant\n<think>\n")));
    assert_false(ag_answer_begins_in_reasoning(&f, ag_str("<think>\n\n</think>\n\n")));
    assert_false(ag_answer_begins_in_reasoning(&f, ag_str("")));
}

/* GLM-4.1V and AutoGLM-Phone: all four tags are tokens, </answer> ends the turn. */
static int32_t glm41v_token(const void *ctx, ag_span text, bool *control) {
    static const char *const known[] = {"<think>", "</think>", "<answer>", "</answer>"};
    (void)ctx;
    *control = true;
    for (int i = 0; i < 4; i++)
        if (ag_span_is(text, known[i]))
            return 151345 + i;
    return -1;
}

static void the_phone_agent_reads_everything_in_content(void **state) {
    (void)state;
    const char text[] = "<think>Open it.</think>\n<answer>do(action=\"Launch\", app=\"京东\")";
    ag_answer_format f =
        ag_answer_format_detect(ag_str("[gMASK]<sop><|assistant|>"), glm41v_token, NULL);
    ag_answer_opts o = {.format = &f};
    answer_log l;
    int32_t ids[AG_ANSWER_MAX_TOKENS];
    assert_string_equal(ag_answer_format_name(&f), "none");
    assert_int_equal(ag_answer_format_shown(&f, false, ids), 4);
    parse_pieces(&o, ag_str(text), one, NULL, &l);
    assert_int_equal(l.text.n, strlen("content: ") + strlen(text));
    assert_memory_equal(l.text.p + 9, text, strlen(text));
    log_deinit(&l);
    o.reasoning = AG_REASONING_SPLIT;
    parse_pieces(&o, ag_str(text), one, NULL, &l);
    assert_true(ag_span_is(ag_buf_span(&l.text),
                           "reasoning: Open it.\ncontent: do(action=\"Launch\", app=\"京东\")"));
    log_deinit(&l);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void a_streamed_call_that_breaks_is_cut(void **state) {
    (void)state;
    ag_answer_opts o = {.tools = tools, .arguments = AG_ARGUMENTS_STREAM};
    const answer_case cases[] = {
        {HERMES, INLINE, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"a",
         "cut search {\"query\": \"a"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": oops}}",
         "cut search {\"query\": \ncontent: oops}}"},
        {HERMES, INLINE, "<tool_call>{\"name\": \"sear", "content: <tool_call>{\"name\": \"sear"},
        {GLM45, INLINE,
         "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>a</"
         "arg_value>\n<x><tool_call>get_time\n"
         "</tool_call>",
         "cut search {\"query\": \"a\"\ncontent: \n<x>\ncall get_time {}"},
        {GLM45, INLINE, "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>\"</arg_va",
         "cut search {\"query\": \"\\\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        run(&cases[i], &o);
}

typedef struct arrival {
    size_t at[64]; /* bytes pushed when each event came */
    ag_answer_event_kind kind[64];
    size_t n, pushed;
} arrival;

static void note_arrival(void *ctx, const ag_answer_event *e) {
    arrival *a = (arrival *)ctx;
    assert_true(a->n < 64);
    a->at[a->n] = a->pushed;
    a->kind[a->n++] = e->kind;
}

/* Push `text` by the byte and see when things come out. */
static arrival watch(const char *template_text, ag_arguments_mode mode, const char *text) {
    ag_answer_format f = ag_answer_format_detect(ag_str(template_text), NULL, NULL);
    arrival a = {0};
    ag_answer_opts o = {
        .format = &f, .tools = tools, .arguments = mode, .on_event = note_arrival, .ctx = &a};
    ag_answer_parser *p;
    assert_int_equal(ag_answer_parser_new(&o, &p, NULL), AG_OK);
    for (; *text; text++) {
        a.pushed++;
        assert_int_equal(ag_answer_parser_push(p, ag_span_of(text, 1), NULL), AG_OK);
    }
    assert_int_equal(ag_answer_parser_end(p, NULL), AG_OK);
    ag_answer_parser_free(&p);
    return a;
}

static void nothing_is_held_back_without_need(void **state) {
    (void)state;
    arrival a = watch(HERMES, AG_ARGUMENTS_WHOLE, "ab<t>c d");
    const size_t want[] = {1, 2, 5, 6, 8}; /* "<t" waits for ">", the blank for what follows */
    assert_int_equal(a.n, 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(a.at[i], want[i]);
    a = watch(LLAMA, AG_ARGUMENTS_WHOLE, "{\"city\": 1}");
    assert_int_equal(a.at[0], 7); /* the key says that this is no call */
    a = watch(GLM4, AG_ARGUMENTS_WHOLE, "gone");
    assert_int_equal(a.at[0], 2);
}

static void arguments_grow_as_they_are_written(void **state) {
    (void)state;
    const char head[] = "<tool_call>{\"name\": \"search\", \"arguments\": {";
    arrival a = watch(HERMES, AG_ARGUMENTS_STREAM,
                      "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": 1}}");
    assert_int_equal(a.kind[0], AG_ANSWER_CALL_BEGIN);
    assert_int_equal(a.at[0], strlen(head));
    assert_true(a.n > 10);
    a = watch(HERMES, AG_ARGUMENTS_WHOLE,
              "<tool_call>{\"name\": \"get_time\", \"arguments\": {}}x");
    assert_int_equal(a.kind[0], AG_ANSWER_CALL_BEGIN);
    assert_int_equal(a.at[0], a.at[2]); /* all of it comes with its last byte */
    assert_int_equal(a.kind[2], AG_ANSWER_CALL_END);
    const char glm[] =
        "<tool_call>search\n<arg_key>query</arg_key>\n<arg_value>abcdefghij</arg_value>\n"
        "</tool_call>";
    a = watch(GLM45, AG_ARGUMENTS_STREAM, glm);
    assert_int_equal(a.kind[0], AG_ANSWER_CALL_BEGIN);
    assert_true(a.n > 12);
}

static void without_tools_nothing_is_a_call(void **state) {
    (void)state;
    const answer_case c = {HERMES, INLINE, CALL_TIME "\n", "content: " CALL_TIME "\n"};
    run(&c, &(ag_answer_opts){0});
    json_t *none = json_array();
    run(&c, &(ag_answer_opts){.tools = none});
    json_decref(none);
}

static void ids_follow_from_the_seed(void **state) {
    (void)state;
    ag_answer_format f = ag_answer_format_detect(ag_str(HERMES), NULL, NULL);
    ag_answer_opts o = {.format = &f, .tools = tools, .seed = 7};
    answer_log a, b;
    parse_pieces(&o, ag_str(CALL_TIME CALL_TIME), NULL, NULL, &a);
    parse_pieces(&o, ag_str(CALL_TIME CALL_TIME), one, NULL, &b);
    assert_int_equal(a.ids.n, 2 * (strlen("call_") + 24 + 1));
    assert_memory_equal(a.ids.p, "call_", 5);
    assert_true(ag_span_eq(ag_buf_span(&a.ids), ag_buf_span(&b.ids)));
    assert_memory_not_equal(a.ids.p, a.ids.p + 30, 29);
    log_deinit(&b);
    o.seed = 8;
    parse_pieces(&o, ag_str(CALL_TIME CALL_TIME), NULL, NULL, &b);
    assert_false(ag_span_eq(ag_buf_span(&a.ids), ag_buf_span(&b.ids)));
    log_deinit(&a);
    log_deinit(&b);
    f = ag_answer_format_detect(ag_str(MISTRAL), NULL, NULL);
    parse_pieces(&o, ag_str("[TOOL_CALLS]get_time{}"), NULL, NULL, &a);
    assert_int_equal(a.ids.n, 9 + 1);
    log_deinit(&a);
}

/* ---- templates ------------------------------------------------------------------------------- */

static void templates_tell_their_format(void **state) {
    (void)state;
    static const char *const want[][3] = {{"chatml", "hermes", "<think>"},
                                          {"glm", "glm-4.5", "<think>"},
                                          {"headers", "json", ""},
                                          {"inst", "mistral", ""},
                                          {"turns", "none", ""}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        char path[100];
        static char text[1 << 16];
        snprintf(path, sizeof path, "tests/golden/templates/own/%s.jinja", want[i][0]);
        FILE *file = fopen(path, "rb");
        assert_non_null(file);
        size_t n = fread(text, 1, sizeof text, file);
        fclose(file);
        ag_answer_format f = ag_answer_format_detect(ag_span_of(text, n), NULL, NULL);
        assert_string_equal(ag_answer_format_name(&f), want[i][1]);
        char open[32];
        snprintf(open, sizeof open, "...%s", want[i][2]);
        assert_int_equal(ag_answer_begins_in_reasoning(&f, ag_str(open)), want[i][2][0] != 0);
    }
    static const char *const others[][2] = {{GLM4, "glm-4"},
                                            {CODER, "qwen3-coder"},
                                            {SEED, "seed-oss"},
                                            {MINIMAX, "minimax-m2"},
                                            {LLAMA, "llama-3"},
                                            {MINISTRAL, "mistral-args"},
                                            {DEEPSEEK, "deepseek-v3"},
                                            {DEEPSEEK31, "deepseek-v3.1"},
                                            {KIMI, "kimi-k2"},
                                            {PHI, "phi-4"},
                                            {GRANITE, "granite"},
                                            {COMMAND, "command-r7b"},
                                            {NEMOTRON, "nemotron"},
                                            {FUNCTIONARY, "functionary"},
                                            {"functools[", "functools"},
                                            {"", "none"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        ag_answer_format f = ag_answer_format_detect(ag_str(others[i][0]), NULL, NULL);
        assert_string_equal(ag_answer_format_name(&f), others[i][1]);
    }
}

/* Only what an engine would hide has to be asked for. */
static int32_t some_are_control(const void *ctx, ag_span text, bool *control) {
    (void)ctx;
    *control = ag_span_is(text, "[TOOL_CALLS]") || ag_span_is(text, "[THINK]");
    return ag_span_is(text, "[ARGS]") ? -1 : (int32_t)text.n;
}

static void control_tokens_of_a_format_are_listed(void **state) {
    (void)state;
    int32_t ids[AG_ANSWER_MAX_TOKENS];
    ag_answer_format f = ag_answer_format_detect(ag_str(MINISTRAL), some_are_control, NULL);
    assert_int_equal(ag_answer_format_shown(&f, true, ids), 2);
    assert_int_equal(ids[0], strlen("[THINK]"));
    assert_int_equal(ids[1], strlen("[TOOL_CALLS]"));
    assert_int_equal(ag_answer_format_shown(&f, false, ids), 1);
    f = ag_answer_format_detect(ag_str(MINISTRAL), NULL, NULL);
    assert_int_equal(ag_answer_format_shown(&f, true, ids), 0);
}

/* ---- laws over noise ------------------------------------------------------------------------- */

static const char *const templates[] = {
    GLM4, GLM45,   HERMES,    CODER,    SEED,       MINIMAX, LLAMA,   JSON,     MISTRAL,    KIMI,
    PHI,  GRANITE, MINISTRAL, DEEPSEEK, DEEPSEEK31, PLAIN,   COMMAND, NEMOTRON, FUNCTIONARY};
#define N_TEMPLATES (sizeof templates / sizeof *templates)

/* Pieces of calls, put together at random: mostly broken, sometimes not. */
static void add_noise(ag_rng *rng, ag_buf *out) {
    static const char *const pieces[] = {"<tool_call>",
                                         "</tool_call>",
                                         "{\"name\": \"search\", ",
                                         "\"arguments\": {\"query\": \"a\"}}",
                                         "\"parameters\": {}}",
                                         "get_time",
                                         "\n",
                                         " ",
                                         "{}",
                                         "[",
                                         "]",
                                         ",",
                                         ";",
                                         "<arg_key>query</arg_key>",
                                         "<arg_value>",
                                         "</arg_value>",
                                         "<function=search>",
                                         "<parameter=query>",
                                         "</parameter>",
                                         "</function>",
                                         "[TOOL_CALLS]",
                                         "[ARGS]",
                                         "<think>",
                                         "</think>",
                                         "[THINK]",
                                         "[/THINK]",
                                         "x",
                                         "é",
                                         "<｜tool▁calls▁begin｜>",
                                         "<｜tool▁call▁begin｜>",
                                         "<｜tool▁sep｜>",
                                         "```json\n",
                                         "```",
                                         "<｜tool▁call▁end｜>",
                                         "<|assistant|>",
                                         "<|python_tag|>",
                                         "functools[",
                                         "<|tool_call|>",
                                         "<TOOLCALL>",
                                         "<invoke name=\"",
                                         "\">",
                                         "<minimax:tool_call>",
                                         "\"",
                                         "\\",
                                         "{",
                                         "}",
                                         "<",
                                         "12e",
                                         "<|tool_call_begin|>",
                                         "<|tool_call_argument_begin|>",
                                         "<|START_ACTION|>",
                                         "true",
                                         ":"};
    for (int n = 1 + (int)(ag_rng_u64(rng) % 16); n > 0; n--)
        ag_buf_adds(out, pieces[ag_rng_u64(rng) % (sizeof pieces / sizeof *pieces)]);
}

static void any_cut_gives_the_same(void **state) {
    (void)state;
    ag_rng rng;
    ag_rng_init(&rng, 20);
    for (int i = 0; i < 6000; i++) {
        ag_answer_format f =
            ag_answer_format_detect(ag_str(templates[(size_t)i % N_TEMPLATES]), NULL, NULL);
        ag_answer_opts o = {.format = &f,
                            .tools = tools,
                            .reasoning = (ag_reasoning_mode)(ag_rng_u64(&rng) % 3),
                            .arguments = (ag_arguments_mode)(ag_rng_u64(&rng) % 2),
                            .in_reasoning = ag_rng_u64(&rng) % 8 == 0};
        ag_buf text;
        answer_log whole, cut;
        ag_buf_init(&text, AG_ROOM_TEST, 1 << 20);
        add_noise(&rng, &text);
        parse_pieces(&o, ag_buf_span(&text), NULL, NULL, &whole);
        parse_pieces(&o, ag_buf_span(&text), i % 2 ? some : one, &rng, &cut);
        if (!ag_span_eq(ag_buf_span(&whole.text), ag_buf_span(&cut.text)))
            fail_msg("%s: \"%.*s\"\n--- at once\n%.*s\n--- cut\n%.*s", ag_answer_format_name(&f),
                     AG_SPAN(text), AG_SPAN(whole.text), AG_SPAN(cut.text));
        log_deinit(&whole);
        log_deinit(&cut);
        ag_buf_deinit(&text);
    }
}

/* Text without calls comes out as it went in, whatever markers are in it. */
static void many_half_markers_come_out_as_they_went_in(void **state) {
    (void)state;
    static const char *const halves[] = {"<tool_call",
                                         "<",
                                         "<tool_call>",
                                         "{\"name\": ",
                                         "\n",
                                         " ",
                                         "<tool_call>{\"name\": \"search\", \"arguments\": {",
                                         "<tool_call>search\n<arg_key>",
                                         "get_tim",
                                         "[TOOL_CALLS]["};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        ag_buf text;
        ag_buf_init(&text, AG_ROOM_TEST, 8 << 20);
        while (text.n < 1 << 18)
            ag_buf_adds(&text, halves[i]);
        for (size_t k = 0; k < 5; k++) {
            const char *which[] = {HERMES, GLM45, GLM4, LLAMA, MISTRAL};
            ag_answer_format f = ag_answer_format_detect(ag_str(which[k]), NULL, NULL);
            ag_answer_opts o = {.format = &f, .tools = tools};
            answer_log l;
            parse_pieces(&o, ag_buf_span(&text), NULL, NULL, &l);
            assert_int_equal(l.text.n, text.n + strlen("content: "));
            assert_memory_equal(l.text.p + 9, text.p, text.n);
            log_deinit(&l);
        }
        ag_buf_deinit(&text);
    }
}

static void a_call_past_the_cap_is_content(void **state) {
    (void)state;
    ag_answer_format f = ag_answer_format_detect(ag_str(HERMES), NULL, NULL);
    ag_answer_opts o = {.format = &f, .tools = tools};
    ag_buf text;
    answer_log l;
    ag_buf_init(&text, AG_ROOM_TEST, 2 * AG_MAX_TOOL_CALL_BYTES);
    ag_buf_adds(&text, "<tool_call>{\"name\": \"search\", \"arguments\": {\"query\": \"");
    while (text.n < AG_MAX_TOOL_CALL_BYTES + 100)
        ag_buf_addc(&text, 'x');
    ag_buf_adds(&text, "\"}}</tool_call>" CALL_TIME);
    parse_pieces(&o, ag_buf_span(&text), NULL, NULL, &l);
    assert_int_equal(l.n_calls, 1);
    assert_true(ag_span_starts(ag_buf_span(&l.text), ag_str("content: <tool_call>{\"name\"")));
    assert_true(ag_span_ends(ag_buf_span(&l.text), ag_str("</tool_call>\ncall get_time {}")));
    log_deinit(&l);
    ag_buf_deinit(&text);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void drop_event(void *ctx, const ag_answer_event *e) {
    (void)ctx;
    (void)e;
}

static ag_code parse_once(const ag_answer_format *f, ag_arguments_mode mode, const char *text) {
    ag_answer_opts o = {.format = f, .tools = tools, .arguments = mode, .on_event = drop_event};
    ag_answer_parser *p = NULL;
    ag_err err = {0};
    ag_code code = ag_answer_parser_new(&o, &p, &err);
    for (; *text && !code; text++)
        code = ag_answer_parser_push(p, ag_span_of(text, 1), &err);
    if (!code)
        code = ag_answer_parser_end(p, &err);
    assert_int_equal(code, err.code);
    ag_answer_parser_free(&p);
    return code;
}

static ag_code force_once(const ag_answer_format *f) {
    ag_tool_force force = {.tools = tools, .choice = AG_TOOL_AUTO, .parallel = true};
    ag_err err = {0};
    ag_buf out;
    ag_buf_init(&out, AG_ROOM_TEST, 1 << 20);
    ag_code code = ag_answer_tool_grammar(f, &force, &out, &err);
    assert_true(code == err.code && (code == AG_OK) == (out.n > 0));
    ag_buf_deinit(&out);
    return code;
}

static void memory_may_run_out_anywhere(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {HERMES,
         "Hi \n<tool_call>{\"name\": \"search\", \"arguments\": \"{\\\"query\\\": \\\"a\nb"
         "\\\"}\"}</tool_call>\n<tool_call>{\"name\": \"get_time\", \"arguments\": {\"a\": 1"},
        {GLM45,
         "<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>x\"y</arg_value>\n<arg_key>"
         "days</arg_key>\n<arg_value>three</arg_value>\n</tool_call>\n<tool_call>get_time\n<x>"},
        {MISTRAL, "[TOOL_CALLS] [{\"name\": \"get_time\"}, {\"name\""},
        {DEEPSEEK, "<｜tool▁call▁begin｜>search<｜tool▁sep｜>{} "},
    };
    for (size_t i = 0; i < 8; i++) {
        ag_answer_format f = ag_answer_format_detect(ag_str(cases[i / 2][0]), NULL, NULL);
        bool fired = true;
        for (long nth = 1; fired; nth++) {
            ag_fault_arm(AG_FAULT_ALLOC, nth, false);
            ag_code code = parse_once(&f, (ag_arguments_mode)(i % 2), cases[i / 2][1]);
            if (!code)
                code = force_once(&f);
            fired = ag_fault_fired(AG_FAULT_ALLOC);
            ag_fault_arm(AG_FAULT_ALLOC, 0, false);
            assert_int_equal(code, fired ? AG_E_NOMEM : AG_OK);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hermes_and_qwen),
        cmocka_unit_test(glm_45),
        cmocka_unit_test(glm_4),
        cmocka_unit_test(qwen_coder_and_its_kin),
        cmocka_unit_test(llama_3),
        cmocka_unit_test(mistral),
        cmocka_unit_test(deepseek),
        cmocka_unit_test(other_formats),
        cmocka_unit_test(reasoning_stays_or_is_split_or_hidden),
        cmocka_unit_test(an_answer_may_begin_inside_the_reasoning),
        cmocka_unit_test(the_phone_agent_reads_everything_in_content),
        cmocka_unit_test(a_streamed_call_that_breaks_is_cut),
        cmocka_unit_test(nothing_is_held_back_without_need),
        cmocka_unit_test(arguments_grow_as_they_are_written),
        cmocka_unit_test(without_tools_nothing_is_a_call),
        cmocka_unit_test(ids_follow_from_the_seed),
        cmocka_unit_test(templates_tell_their_format),
        cmocka_unit_test(control_tokens_of_a_format_are_listed),
        cmocka_unit_test(any_cut_gives_the_same),
        cmocka_unit_test(many_half_markers_come_out_as_they_went_in),
        cmocka_unit_test(a_call_past_the_cap_is_content),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };
    return cmocka_run_group_tests(tests, read_tools, free_tools);
}
