/* What a model wrote, taken apart into text, reasoning and tool calls, where a request needs that;
 * otherwise the text is the answer. */
#include "base/json_out.h"
#include "routes/task.h"

#define TAIL_TOKENS 64 /* of a prompt: where a template opens the reasoning, if it does */

/* ---- planning -------------------------------------------------------------------------------- */

static ag_reasoning_mode mode_of(const ag_task *t) {
    const ag_gen *g = &t->gen;
    const char *word = g->reasoning_format;
    if (word && (word[0] == 'n' || word[0] == 'i')) /* none, inline */
        return AG_REASONING_INLINE;
    if (word && word[0] == 'h')
        return AG_REASONING_HIDDEN;
    if (word)
        return AG_REASONING_SPLIT;
    if (g->has_separate_reasoning)
        return g->separate_reasoning ? AG_REASONING_SPLIT : AG_REASONING_INLINE;
    return t->x->routes->opts.reasoning;
}

/* Does the prompt end inside the model's reasoning? */
static bool begins_in_reasoning(const ag_task *t) {
    const ag_prompt *prompt = &t->prompts.v[0];
    size_t n = prompt->n < TAIL_TOKENS ? prompt->n : TAIL_TOKENS, len = 0;
    char *text = NULL;
    if (!t->format.think ||
        ag_engine_detokenize(t->engine, prompt->ids + prompt->n - n, n, true, &text, &len, NULL))
        return false;
    bool begins = ag_answer_begins_in_reasoning(&t->format, ag_span_of(text, len));
    ag_string_free(text);
    return begins;
}

/* May the model write what it likes, or must calls have a form? `strict` functions must. */
static bool is_forced(const ag_gen *g) {
    if (g->tools_wish == AG_TOOLS_REQUIRED || g->tools_wish == AG_TOOLS_NAMED)
        return true;
    for (size_t i = 0; g->tools_wish == AG_TOOLS_AUTO && i < json_array_size(g->tools); i++) {
        const json_t *function = json_object_get(json_array_get(g->tools, i), "function");
        if (json_is_true(json_object_get(function, "strict")))
            return g->structure.kind == AG_STRUCTURE_NONE;
    }
    return false;
}

static bool force_calls(ag_task *t, ag_request_opts *o, ag_buf *grammar, ag_problem *p) {
    const ag_gen *g = &t->gen;
    ag_err err = {0};
    if (g->structure.kind != AG_STRUCTURE_NONE)
        return ag_problem_bad(p, "tool_choice",
                              "%s and tool_choice both ask for a form of the answer",
                              g->structure_param);
    ag_tool_force force = {.tools = g->tools,
                           .at = g->tools_at,
                           .choice = g->tools_wish == AG_TOOLS_NAMED      ? AG_TOOL_NAMED
                                     : g->tools_wish == AG_TOOLS_REQUIRED ? AG_TOOL_REQUIRED
                                                                          : AG_TOOL_AUTO,
                           .name = ag_str(g->tool_name),
                           .parallel = g->parallel_tool_calls,
                           .in_reasoning = t->in_reasoning};
    if (ag_answer_tool_grammar(&t->format, &force, grammar, &err))
        return ag_problem_of(p, &err, "tools");
    t->format = ag_answer_format_forced(&t->format);
    o->structure =
        (ag_structure){.kind = AG_STRUCTURE_GRAMMAR, .text = grammar->p, .len = grammar->n};
    return true;
}

bool ag_said_plan(ag_task *t, ag_request_opts *o, ag_buf *grammar, ag_problem *p) {
    if (!t->gen.chat)
        return true;
    t->format = *ag_served_format(t->served);
    t->reasoning = t->format.think ? mode_of(t) : AG_REASONING_INLINE;
    t->in_reasoning = begins_in_reasoning(t);
    if (is_forced(&t->gen) && !force_calls(t, o, grammar, p))
        return false;
    int32_t *ids = ag_arena_array(&t->x->arena, AG_ANSWER_MAX_TOKENS, sizeof *ids);
    if (!ids)
        return ag_problem_memory(p, "the request");
    o->n_show_ids = ag_answer_format_shown(&t->format, t->gen.tools_wish != AG_TOOLS_NONE, ids);
    o->show_ids = ids;
    return true;
}

/* ---- taking apart ---------------------------------------------------------------------------- */

static void close_call(ag_choice *c) {
    if (c->call_open)
        ag_buf_adds(&c->calls, "\"}}");
    c->call_open = false;
}

static void keep(ag_choice *c, const ag_answer_event *e) {
    switch (e->kind) {
    case AG_ANSWER_CONTENT:
        ag_buf_add(&c->text, e->text.p, e->text.n);
        break;
    case AG_ANSWER_REASONING:
        ag_buf_add(&c->reasoning, e->text.p, e->text.n);
        break;
    case AG_ANSWER_CALL_BEGIN:
        ag_json_open(&c->calls, '{');
        ag_json_key(&c->calls, "id");
        ag_json_str(&c->calls, e->id);
        ag_buf_adds(&c->calls, ",\"type\":\"function\",\"function\":{\"name\":");
        ag_json_str(&c->calls, e->name);
        ag_buf_adds(&c->calls, ",\"arguments\":\"");
        c->call_open = true;
        break;
    case AG_ANSWER_ARGUMENTS:
        ag_json_escape(&c->calls, e->text);
        break;
    case AG_ANSWER_CALL_END:
    case AG_ANSWER_CALL_CUT:
        close_call(c);
        break;
    }
}

static void tell(ag_choice *c, const ag_answer_event *e) {
    ag_task *t = c->task;
    if (e->kind == AG_ANSWER_CONTENT)
        ag_chunk_text(t, c, AG_SAID_TEXT, e->text);
    else if (e->kind == AG_ANSWER_REASONING)
        ag_chunk_text(t, c, AG_SAID_REASONING, e->text);
    else if (e->kind == AG_ANSWER_CALL_BEGIN || e->kind == AG_ANSWER_ARGUMENTS)
        ag_chunk_call(t, c, e);
}

static void on_event(void *ctx, const ag_answer_event *e) {
    ag_choice *c = ctx;
    c->thinks = e->kind == AG_ANSWER_REASONING;
    c->n_calls += e->kind == AG_ANSWER_CALL_BEGIN;
    if (c->thinks && c->task->reasoning == AG_REASONING_HIDDEN)
        return; /* counted, not told */
    if (c->task->gen.stream)
        tell(c, e);
    else
        keep(c, e);
}

ag_code ag_said_open(ag_choice *c, ag_err *err) {
    ag_task *t = c->task;
    bool tools = t->gen.tools_wish != AG_TOOLS_NONE;
    bool split = t->reasoning != AG_REASONING_INLINE;
    if (!t->gen.chat || (!tools && !split))
        return AG_OK;
    ag_answer_opts o = {.format = &t->format,
                        .tools = tools ? t->gen.tools : NULL,
                        .reasoning = split ? AG_REASONING_SPLIT : AG_REASONING_INLINE,
                        .arguments = is_forced(&t->gen) ? AG_ARGUMENTS_STREAM : AG_ARGUMENTS_WHOLE,
                        .in_reasoning = t->in_reasoning,
                        .seed = t->x->serial * AG_MAX_ALL_CHOICES + c->index,
                        .on_event = on_event,
                        .ctx = c};
    c->thinks = t->in_reasoning && split;
    return ag_answer_parser_new(&o, &c->parser, err);
}

/* Did all of it find room? */
static ag_code check_kept(const ag_choice *c, ag_err *err) {
    ag_code code = ag_buf_check(&c->text, "the answer", err);
    if (!code)
        code = ag_buf_check(&c->reasoning, "the reasoning of an answer", err);
    return code ? code : ag_buf_check(&c->calls, "the tool calls of an answer", err);
}

ag_code ag_said_push(ag_choice *c, ag_span text, ag_err *err) {
    ag_code code = AG_OK;
    if (c->parser)
        code = ag_answer_parser_push(c->parser, text, err);
    else if (c->task->gen.stream)
        ag_chunk_text(c->task, c, AG_SAID_TEXT, text);
    else
        ag_buf_add(&c->text, text.p, text.n);
    return code ? code : check_kept(c, err);
}

ag_code ag_said_end(ag_choice *c, ag_err *err) {
    ag_code code = c->parser ? ag_answer_parser_end(c->parser, err) : AG_OK;
    close_call(c);
    return code ? code : check_kept(c, err);
}
