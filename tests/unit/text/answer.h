/* For tests of answers: formats by the words of their templates, and what a parser gave, as lines.
 */
#ifndef AG_TESTS_ANSWER_H
#define AG_TESTS_ANSWER_H

#include <stdio.h>
#include <stdlib.h>

#include "base/random.h"
#include "text/answer/answer.h"
#include "unit/test.h"

/* Words that templates of each format contain. */
#define GLM4        "[gMASK]<sop><|observation|>"
#define GLM45       "[gMASK]<sop><|observation|><tool_call>{name}<arg_key><think></think>"
#define HERMES      "<tool_call>{\"name\": x, \"arguments\": y}<think></think>"
#define CODER       "<tool_call><function=name><parameter=p>"
#define SEED        "<seed:think></seed:think><seed:tool_call><function=name><parameter=p>"
#define MINIMAX     "<think></think><minimax:tool_call><invoke name="
#define LLAMA       "<|python_tag|>{\"name\": \"parameters\": "
#define JSON        "'{\"name\": \"' ... '\"parameters\": '"
#define MISTRAL     "[TOOL_CALLS] ["
#define MINISTRAL   "[THINK][/THINK][TOOL_CALLS]name[ARGS]"
#define DEEPSEEK    "<think></think><｜tool▁call▁begin｜>```json"
#define DEEPSEEK31  "<think></think><｜tool▁call▁begin｜>"
#define KIMI        "<|tool_calls_section_begin|>"
#define PHI         "<|tool|>"
#define GRANITE     "<|tool_call|>"
#define COMMAND     "<|START_THINKING|><|END_THINKING|><|START_ACTION|>"
#define NEMOTRON    "<think></think><TOOLCALL>"
#define FUNCTIONARY "<function=name></function>"
#define PLAIN       "{{ message.content }}"

static const char answer_tools[] =
    "[{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"parameters\": {\"type\":"
    " \"object\", \"properties\": {\"city\": {\"type\": \"string\"}, \"days\": {\"type\":"
    " \"integer\"}, \"tags\": {\"type\": \"array\"}, \"at\": {\"$ref\": \"#/$defs/place\"},"
    " \"unit\": {\"enum\": [\"c\", \"f\"]}, \"note\": {\"anyOf\": [{\"type\": \"string\"},"
    " {\"type\": \"null\"}]}, \"hourly\": {\"type\": \"boolean\"}, \"any\": {}}, \"required\":"
    " [\"city\"], \"$defs\": {\"place\": {\"type\": \"object\"}}}}},"
    " {\"type\": \"function\", \"function\": {\"name\": \"get_time\"}},"
    " {\"name\": \"search\", \"parameters\": {\"type\": \"object\", \"properties\": {\"query\":"
    " {\"type\": \"string\"}}}}]";

/* What came out: "content: ...", "reasoning: ...", "call NAME ARGUMENTS" (a call that was cut:
 * "cut NAME ARGUMENTS"), each on a line of its own, pieces of a kind joined. */
typedef struct answer_log {
    ag_buf text;
    ag_buf ids; /* of the calls, each on a line */
    ag_answer_event_kind last;
    bool open; /* a line of content or reasoning goes on */
    size_t call_at;
    int n_calls;
    bool in_call;
    size_t args_at;
} answer_log;

static inline void log_text(answer_log *l, const ag_answer_event *e, const char *label) {
    if (!l->open || l->last != e->kind) {
        if (l->text.n > 0)
            ag_buf_addc(&l->text, '\n');
        ag_buf_adds(&l->text, label);
    }
    l->open = true;
    ag_buf_add(&l->text, e->text.p, e->text.n);
}

/* Arguments of a call that ended are an object. (jansson has no numbers past a double, and no NUL
 * in names; JSON has both.) */
static inline void check_json(ag_span text) {
    json_error_t error;
    json_t *args = json_loadb(text.p, text.n, JSON_ALLOW_NUL, &error);
    bool beyond = !args && (json_error_code(&error) == json_error_numeric_overflow ||
                            json_error_code(&error) == json_error_null_byte_in_key);
    AG_ASSERT(json_is_object(args) || beyond);
    json_decref(args);
}

static inline void log_event(void *ctx, const ag_answer_event *e) {
    answer_log *l = (answer_log *)ctx;
    switch (e->kind) {
    case AG_ANSWER_CONTENT:
        log_text(l, e, "content: ");
        break;
    case AG_ANSWER_REASONING:
        log_text(l, e, "reasoning: ");
        break;
    case AG_ANSWER_CALL_BEGIN:
        AG_ASSERT(!l->in_call && e->call == l->n_calls);
        if (l->text.n > 0)
            ag_buf_addc(&l->text, '\n');
        l->call_at = l->text.n;
        ag_buf_addf(&l->text, "call %s ", e->name);
        ag_buf_addf(&l->ids, "%s\n", e->id);
        l->args_at = l->text.n;
        l->in_call = true;
        l->open = false;
        break;
    case AG_ANSWER_ARGUMENTS:
        AG_ASSERT(l->in_call && e->call == l->n_calls);
        ag_buf_add(&l->text, e->text.p, e->text.n);
        break;
    case AG_ANSWER_CALL_CUT:
        memcpy(l->text.p + l->call_at, "cut ", 4);
        memmove(l->text.p + l->call_at + 3, l->text.p + l->call_at + 4, l->text.n - l->call_at - 4);
        l->text.n--;
        __attribute__((fallthrough));
    case AG_ANSWER_CALL_END:
        AG_ASSERT(l->in_call && e->call == l->n_calls);
        if (e->kind == AG_ANSWER_CALL_END)
            check_json(ag_span_sub(ag_buf_span(&l->text), l->args_at, l->text.n));
        l->in_call = false;
        l->n_calls++;
        break;
    }
    l->last = e->kind;
}

static inline void log_init(answer_log *l) {
    *l = (answer_log){0};
    ag_buf_init(&l->text, AG_ROOM_TEST, (size_t)256 << 20);
    ag_buf_init(&l->ids, AG_ROOM_TEST, 1 << 20);
}

static inline void log_deinit(answer_log *l) {
    ag_buf_deinit(&l->text);
    ag_buf_deinit(&l->ids);
}

/* Parse `text` in pieces: `cut` says how many bytes the next one has. */
static inline void parse_pieces(const ag_answer_opts *opts, ag_span text,
                                size_t (*cut)(void *state), void *state, answer_log *l) {
    ag_answer_opts o = *opts;
    ag_answer_parser *p = NULL;
    ag_err err = {0};
    log_init(l);
    o.on_event = log_event;
    o.ctx = l;
    AG_ASSERT(ag_answer_parser_new(&o, &p, &err) == AG_OK);
    for (size_t at = 0; at < text.n;) {
        size_t n = cut ? cut(state) : text.n;
        n = n > text.n - at ? text.n - at : n;
        AG_ASSERT(ag_answer_parser_push(p, ag_span_of(text.p + at, n), &err) == AG_OK);
        at += n;
    }
    AG_ASSERT(ag_answer_parser_end(p, &err) == AG_OK);
    AG_ASSERT(!l->in_call && ag_answer_parser_n_calls(p) == l->n_calls);
    ag_answer_parser_free(&p);
}

#endif
