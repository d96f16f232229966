/* The table of formats, and finding the one of a template. A new format is a row. */
#include "text/answer/answer_parts.h"

#define OUT    AG_STEP_OUT
#define BROKEN AG_STEP_BROKEN
/* Objects with name and arguments, one or a list, between an opening marker and `close`. */
#define OBJECTS(close)                                                                             \
    {.op = AG_STEP_BRANCH, .alt = {{"[", 1, false}}, .to = 1}, {.op = AG_STEP_CALL, .to = 2},      \
        {.op = AG_STEP_BRANCH,                                                                     \
         .alt = {{",", 1, false}, {"{", 1, true}, {"]", 3, false}, {close, OUT, false}},           \
         .to = OUT},                                                                               \
    {                                                                                              \
        .op = AG_STEP_BRANCH, .alt = {{close, OUT, false}}, .to = OUT                              \
    }

const ag_answer_calls ag_answer_hermes = {
    .name = "hermes",
    .all_of = {"<tool_call>", "\"arguments"},
    .open = {{"<tool_call>", 0, false}},
    .script = {OBJECTS("</tool_call>")},
    .written = {.begin = "",
                .head = "<tool_call>\n{\"name\": \"",
                .middle = "\", \"arguments\": ",
                .tail = "}\n</tool_call>",
                .sep = "\n",
                .finish = ""},
};

static const ag_answer_calls glm45 = {
    .name = "glm-4.5",
    .all_of = {"<arg_key>", "<tool_call>"},
    .open = {{"<tool_call>", 0, false}},
    .script = {{.op = AG_STEP_NAME, .text = "\n<", .to = 1},
               {.op = AG_STEP_BRANCH,
                .alt = {{"<arg_key>", 2, false}, {"</tool_call>", 5, false}},
                .to = BROKEN},
               {.op = AG_STEP_KEY, .text = "</arg_key>", .to = 3},
               {.op = AG_STEP_BRANCH, .alt = {{"<arg_value>", 4, false}}, .to = BROKEN},
               {.op = AG_STEP_VALUE, .text = "</arg_value>", .to = 1},
               {.op = AG_STEP_END, .to = OUT}},
    .written = {.begin = "",
                .head = "<tool_call>",
                .middle = "\n",
                .tail = "</tool_call>",
                .sep = "\n",
                .finish = "",
                .key = "<arg_key>",
                .value = "</arg_key>\n<arg_value>",
                .value_end = "</arg_value>\n"},
};

/* Qwen3-Coder's, under the markers `open` and `close`. */
#define FUNCTION_TAGS(opening, close)                                                              \
    .all_of = {"<parameter=", opening}, .open = {{opening, 0, false}, {"<function=", 1, false}},   \
    .newlines = true,                                                                              \
    .script = {{.op = AG_STEP_BRANCH, .alt = {{"<function=", 1, false}}, .to = BROKEN},            \
               {.op = AG_STEP_NAME, .text = ">", .to = 2},                                         \
               {.op = AG_STEP_BRANCH, .alt = {{">", 3, false}}, .to = BROKEN},                     \
               {.op = AG_STEP_BRANCH,                                                              \
                .alt = {{"<parameter=", 4, false}, {"</function>", 6, false}},                     \
                .to = BROKEN},                                                                     \
               {.op = AG_STEP_KEY, .text = ">", .to = 5},                                          \
               {.op = AG_STEP_VALUE, .text = "</parameter>", .to = 3},                             \
               {.op = AG_STEP_END, .to = 7},                                                       \
               {.op = AG_STEP_BRANCH,                                                              \
                .alt = {{close, OUT, false}, {"<function=", 1, false}},                            \
                .to = OUT}},                                                                       \
    .written = {.begin = "",                                                                       \
                .head = opening "\n<function=",                                                    \
                .middle = ">\n",                                                                   \
                .tail = "</function>\n" close,                                                     \
                .sep = "\n",                                                                       \
                .finish = "",                                                                      \
                .key = "<parameter=",                                                              \
                .value = ">\n",                                                                    \
                .value_end = "\n</parameter>\n"}

static const ag_answer_calls qwen_coder = {.name = "qwen3-coder",
                                           FUNCTION_TAGS("<tool_call>", "</tool_call>")};
static const ag_answer_calls seed_oss = {.name = "seed-oss",
                                         FUNCTION_TAGS("<seed:tool_call>", "</seed:tool_call>")};

static const ag_answer_calls minimax = {
    .name = "minimax-m2",
    .all_of = {"<minimax:tool_call>", "<invoke name="},
    .open = {{"<minimax:tool_call>", 0, false}},
    .script = {{.op = AG_STEP_BRANCH, .alt = {{"<invoke name=\"", 1, false}}, .to = BROKEN},
               {.op = AG_STEP_NAME, .text = "\"", .to = 2},
               {.op = AG_STEP_BRANCH, .alt = {{"\">", 3, false}}, .to = BROKEN},
               {.op = AG_STEP_BRANCH,
                .alt = {{"<parameter name=\"", 4, false}, {"</invoke>", 6, false}},
                .to = BROKEN},
               {.op = AG_STEP_KEY, .text = "\">", .to = 5},
               {.op = AG_STEP_VALUE, .text = "</parameter>", .to = 3},
               {.op = AG_STEP_END, .to = 7},
               {.op = AG_STEP_BRANCH,
                .alt = {{"<invoke name=\"", 1, false}, {"</minimax:tool_call>", OUT, false}},
                .to = OUT}},
    .written = {.begin = "<minimax:tool_call>\n",
                .head = "<invoke name=\"",
                .middle = "\">\n",
                .tail = "</invoke>",
                .sep = "\n",
                .finish = "\n</minimax:tool_call>",
                .key = "<parameter name=\"",
                .value = "\">",
                .value_end = "</parameter>\n"},
};

/* The list of v3 and Nemo, and NAME[ARGS]{} with or without [CALL_ID] of later ones. */
#define MISTRAL_SCRIPT                                                                             \
    .open = {{"[TOOL_CALLS]", 0, false}}, .short_ids = true,                                       \
    .script = {                                                                                    \
        {.op = AG_STEP_BRANCH, .alt = {{"[", 1, false}, {"{", 1, true}}, .to = 3},                 \
        {.op = AG_STEP_CALL, .to = 2},                                                             \
        {.op = AG_STEP_BRANCH,                                                                     \
         .alt = {{",", 1, false}, {"{", 1, true}, {"]", OUT, false}},                              \
         .to = OUT},                                                                               \
        {.op = AG_STEP_NAME, .text = "[{", .to = 4},                                               \
        {.op = AG_STEP_BRANCH, .alt = {{"[ARGS]", 6, false}, {"[CALL_ID]", 5, false}}, .to = 6},   \
        {.op = AG_STEP_ID, .text = "[", .to = 4},                                                  \
        {.op = AG_STEP_ARGS, .to = OUT}}

static const ag_answer_calls mistral = {
    .name = "mistral",
    .all_of = {"[TOOL_CALLS]"},
    MISTRAL_SCRIPT,
    .written = {.begin = "[TOOL_CALLS][",
                .head = "{\"name\": \"",
                .middle = "\", \"arguments\": ",
                .tail = "}",
                .sep = ", ",
                .finish = "]"},
};
static const ag_answer_calls mistral_args = {
    .name = "mistral-args",
    .all_of = {"[TOOL_CALLS]", "[ARGS]"},
    MISTRAL_SCRIPT,
    .written = {.begin = "",
                .head = "[TOOL_CALLS]",
                .middle = "[ARGS]",
                .tail = "",
                .sep = "",
                .finish = ""},
};

#define DS_CALLS_BEGIN "<｜tool▁calls▁begin｜>"
#define DS_CALLS_END   "<｜tool▁calls▁end｜>"
#define DS_CALL_BEGIN  "<｜tool▁call▁begin｜>"
#define DS_CALL_END    "<｜tool▁call▁end｜>"
#define DS_SEP         "<｜tool▁sep｜>"

/* V3 and R1 write function SEP NAME and fenced JSON, V3.1 writes NAME SEP JSON. */
#define DEEPSEEK_SCRIPT                                                                            \
    .open = {{DS_CALLS_BEGIN, 0, false}, {DS_CALL_BEGIN, 1, false}},                               \
    .script = {                                                                                    \
        {.op = AG_STEP_BRANCH, .alt = {{DS_CALL_BEGIN, 1, false}}, .to = BROKEN},                  \
        {.op = AG_STEP_NAME, .text = "<", .to = 2},                                                \
        {.op = AG_STEP_BRANCH, .alt = {{DS_SEP, 3, false}}, .to = BROKEN},                         \
        {.op = AG_STEP_BRANCH, .alt = {{"{", 6, true}}, .to = 4},                                  \
        {.op = AG_STEP_NAME, .text = "\n`", .to = 5},                                              \
        {.op = AG_STEP_BRANCH, .alt = {{"```json", 6, false}, {"{", 6, true}}, .to = BROKEN},      \
        {.op = AG_STEP_ARGS, .to = 7},                                                             \
        {.op = AG_STEP_BRANCH, .alt = {{"```", 7, false}, {DS_CALL_END, 8, false}}, .to = OUT},    \
        {.op = AG_STEP_BRANCH,                                                                     \
         .alt = {{DS_CALL_BEGIN, 1, false}, {DS_CALLS_END, OUT, false}},                           \
         .to = OUT}}

static const ag_answer_calls deepseek_v3 = {
    .name = "deepseek-v3",
    .all_of = {"<｜tool▁call▁begin｜>", "```"},
    DEEPSEEK_SCRIPT,
    .written = {.begin = DS_CALLS_BEGIN,
                .head = DS_CALL_BEGIN "function" DS_SEP,
                .middle = "\n```json\n",
                .tail = "\n```" DS_CALL_END,
                .sep = "\n",
                .finish = DS_CALLS_END},
};
static const ag_answer_calls deepseek_v31 = {
    .name = "deepseek-v3.1",
    .all_of = {"<｜tool▁call▁begin｜>"},
    DEEPSEEK_SCRIPT,
    .written = {.begin = DS_CALLS_BEGIN,
                .head = DS_CALL_BEGIN,
                .middle = DS_SEP,
                .tail = DS_CALL_END,
                .sep = "",
                .finish = DS_CALLS_END},
};

static const ag_answer_calls kimi = {
    .name = "kimi-k2",
    .all_of = {"<|tool_calls_section_begin|>"},
    .open = {{"<|tool_calls_section_begin|>", 0, false}, {"<|tool_call_begin|>", 1, false}},
    .numbered = true,
    .script =
        {{.op = AG_STEP_BRANCH, .alt = {{"<|tool_call_begin|>", 1, false}}, .to = BROKEN},
         {.op = AG_STEP_NAME, .text = "<", .to = 2},
         {.op = AG_STEP_BRANCH, .alt = {{"<|tool_call_argument_begin|>", 3, false}}, .to = BROKEN},
         {.op = AG_STEP_ARGS, .to = 4},
         {.op = AG_STEP_BRANCH, .alt = {{"<|tool_call_end|>", 5, false}}, .to = OUT},
         {.op = AG_STEP_BRANCH,
          .alt = {{"<|tool_call_begin|>", 1, false}, {"<|tool_calls_section_end|>", OUT, false}},
          .to = OUT}},
    .written = {.begin = "<|tool_calls_section_begin|>",
                .head = "<|tool_call_begin|>functions.",
                .middle = ":0<|tool_call_argument_begin|>",
                .tail = "<|tool_call_end|>",
                .sep = "",
                .finish = "<|tool_calls_section_end|>"},
};

/* Phi-4-mini writes functools or its own marker, Granite 3 only the marker. */
static const ag_answer_calls phi = {
    .name = "phi-4",
    .all_of = {"<|tool|>"},
    .open = {{"functools[", 1, false}, {"<|tool_call|>", 0, false}},
    .script = {OBJECTS("<|/tool_call|>")},
    .written = {.begin = "functools[",
                .head = "{\"name\": \"",
                .middle = "\", \"arguments\": ",
                .tail = "}",
                .sep = ", ",
                .finish = "]"},
};
static const ag_answer_calls functools = {
    .name = "functools",
    .all_of = {"functools["},
    .open = {{"functools[", 1, false}},
    .script = {OBJECTS(NULL)},
    .written = {.begin = "functools[",
                .head = "{\"name\": \"",
                .middle = "\", \"arguments\": ",
                .tail = "}",
                .sep = ", ",
                .finish = "]"},
};
static const ag_answer_calls granite = {
    .name = "granite",
    .all_of = {"<|tool_call|>"},
    .open = {{"<|tool_call|>", 0, false}},
    .script = {OBJECTS("<|/tool_call|>")},
    .written = {.begin = "<|tool_call|>[",
                .head = "{\"name\": \"",
                .middle = "\", \"arguments\": ",
                .tail = "}",
                .sep = ", ",
                .finish = "]"},
};
static const ag_answer_calls command_r7b = {
    .name = "command-r7b",
    .all_of = {"<|START_ACTION|>"},
    .open = {{"<|START_ACTION|>", 0, false}},
    .script = {OBJECTS("<|END_ACTION|>")},
    .written = {.begin = "<|START_ACTION|>[",
                .head = "{\"tool_call_id\": \"0\", \"tool_name\": \"",
                .middle = "\", \"parameters\": ",
                .tail = "}",
                .sep = ", ",
                .finish = "]<|END_ACTION|>"},
};
static const ag_answer_calls nemotron = {
    .name = "nemotron",
    .all_of = {"<TOOLCALL>"},
    .open = {{"<TOOLCALL>", 0, false}},
    .script = {OBJECTS("</TOOLCALL>")},
    .written = {.begin = "<TOOLCALL>[",
                .head = "{\"name\": \"",
                .middle = "\", \"arguments\": ",
                .tail = "}",
                .sep = ", ",
                .finish = "]</TOOLCALL>"},
};

static const ag_answer_calls functionary = {
    .name = "functionary",
    .all_of = {"<function=", "</function>"},
    .open = {{"<function=", 0, false}},
    .script = {{.op = AG_STEP_NAME, .text = ">", .to = 1},
               {.op = AG_STEP_BRANCH, .alt = {{">", 2, false}}, .to = BROKEN},
               {.op = AG_STEP_ARGS, .to = 3},
               {.op = AG_STEP_BRANCH, .alt = {{"</function>", OUT, false}}, .to = OUT}},
    .written = {.begin = "",
                .head = "<function=",
                .middle = ">",
                .tail = "</function>",
                .sep = "",
                .finish = ""},
};

#define LLAMA_SCRIPT                                                                               \
    .bare = AG_BARE_OBJECT, .open = {{"<|python_tag|>", 0, false}},                                \
    .script = {{.op = AG_STEP_CALL, .to = 1},                                                      \
               {.op = AG_STEP_BRANCH,                                                              \
                .alt = {{";", 0, false}, {",", 0, false}, {"{", 0, true}},                         \
                .to = OUT}},                                                                       \
    .written = {.begin = "",                                                                       \
                .head = "{\"name\": \"",                                                           \
                .middle = "\", \"parameters\": ",                                                  \
                .tail = "}",                                                                       \
                .sep = "; ",                                                                       \
                .finish = ""}

static const ag_answer_calls llama3 = {
    .name = "llama-3", .all_of = {"<|python_tag|>"}, LLAMA_SCRIPT};
/* Llama 3.2, and templates of other models (Gemma 3's with tools) that ask for the same object. */
static const ag_answer_calls bare_json = {
    .name = "json", .all_of = {"{\"name\": \"", "\"parameters\": "}, LLAMA_SCRIPT};

static const ag_answer_calls glm4 = {
    .name = "glm-4",
    .all_of = {"[gMASK]", "<|observation|>"},
    .open = {{"<|assistant|>", 0, true}},
    .bare = AG_BARE_NAME,
    .script = {{.op = AG_STEP_NAME, .text = "\n", .to = 1}, {.op = AG_STEP_ARGS, .to = OUT}},
    .written =
        {.begin = "", .head = "", .middle = "\n", .tail = "", .sep = "<|assistant|>", .finish = ""},
};

/* The first that fits counts: what is particular stands before what is common. */
static const ag_answer_calls *const formats[] = {
    &glm45,        &seed_oss, &qwen_coder,       &minimax, &mistral_args, &mistral, &deepseek_v3,
    &deepseek_v31, &kimi,     &command_r7b,      &phi,     &functools,    &granite, &nemotron,
    &functionary,  &llama3,   &ag_answer_hermes, &glm4,    &bare_json,
};
#define N_FORMATS (sizeof formats / sizeof *formats)

static const ag_answer_think thinks[] = {
    {"<think>", "</think>"},
    {"[THINK]", "[/THINK]"},
    {"<seed:think>", "</seed:think>"},
    {"<|START_THINKING|>", "<|END_THINKING|>"},
};

/* ---- finding it ------------------------------------------------------------------------------ */

static bool says(ag_span text, const char *words) {
    return !words || ag_span_find(text, ag_str(words), 0) != SIZE_MAX;
}

static void add_token(ag_answer_format *f, const char *text, bool tool, ag_answer_find_fn find,
                      const void *ctx) {
    for (size_t i = 0; i < f->n_tokens; i++)
        if (strcmp(f->tokens[i].text, text) == 0)
            return;
    ag_answer_token token = {.text = text, .id = -1, .tool = tool};
    if (find)
        token.id = find(ctx, ag_str(text), &token.control);
    if (token.id >= 0 && f->n_tokens < AG_ANSWER_MAX_TOKENS)
        f->tokens[f->n_tokens++] = token;
}

static void add_tokens(ag_answer_format *f, ag_answer_find_fn find, const void *ctx) {
    if (f->think) {
        add_token(f, f->think->open, false, find, ctx);
        add_token(f, f->think->close, false, find, ctx);
    }
    if (f->answer_tags) {
        add_token(f, "<answer>", false, find, ctx);
        add_token(f, "</answer>", false, find, ctx);
    }
    for (size_t i = 0; f->calls && i < 3 && f->calls->open[i].text; i++)
        add_token(f, f->calls->open[i].text, true, find, ctx);
    for (size_t i = 0; f->calls && i < AG_MAX_SCRIPT; i++) {
        const ag_step *step = &f->calls->script[i];
        if (step->op == AG_STEP_KEY || step->op == AG_STEP_VALUE)
            add_token(f, step->text, true, find, ctx);
        for (size_t k = 0; k < AG_MAX_BRANCH && step->alt[k].text; k++)
            if (strlen(step->alt[k].text) > 1)
                add_token(f, step->alt[k].text, true, find, ctx);
    }
}

static bool has_token(ag_answer_find_fn find, const void *ctx, const char *text) {
    bool control;
    return find && find(ctx, ag_str(text), &control) >= 0;
}

ag_answer_format ag_answer_format_detect(ag_span text, ag_answer_find_fn find, const void *ctx) {
    ag_answer_format f = {0};
    for (size_t i = 0; i < N_FORMATS && !f.calls; i++)
        if (says(text, formats[i]->all_of[0]) && says(text, formats[i]->all_of[1]))
            f.calls = formats[i];
    for (size_t i = 0; i < sizeof thinks / sizeof *thinks && !f.think; i++)
        if (says(text, thinks[i].open) || says(text, thinks[i].close))
            f.think = &thinks[i];
    /* GLM-4.1V's template does not mention what its vocabulary has. */
    f.answer_tags = has_token(find, ctx, "<answer>") && has_token(find, ctx, "</answer>");
    if (!f.think && f.answer_tags && has_token(find, ctx, "<think>"))
        f.think = &thinks[0];
    add_tokens(&f, find, ctx);
    return f;
}

const char *ag_answer_format_name(const ag_answer_format *f) {
    return f->calls ? f->calls->name : "none";
}

ag_answer_format ag_answer_format_forced(const ag_answer_format *f) {
    ag_answer_format forced = *f;
    if (!forced.calls)
        forced.calls = &ag_answer_hermes;
    return forced;
}

bool ag_answer_begins_in_reasoning(const ag_answer_format *f, ag_span prompt) {
    while (prompt.n > 0 && ag_is_space(prompt.p[prompt.n - 1]))
        prompt.n--;
    return f->think && ag_span_ends(prompt, ag_str(f->think->open));
}

size_t ag_answer_format_shown(const ag_answer_format *f, bool tools, int32_t *ids) {
    size_t n = 0;
    for (size_t i = 0; i < f->n_tokens; i++)
        if (f->tokens[i].control && (tools || !f->tokens[i].tool))
            ids[n++] = f->tokens[i].id;
    return n;
}
