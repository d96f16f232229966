/* How answers look: the events of a stream, and whole ones. Events are written with constant pieces
 * around the few that change, since there is one a token. */
#include "base/json_out.h"
#include "base/utf8.h"
#include "routes/task.h"

const char *ag_finish_word(const ag_choice *c) {
    if (c->result.finish == AG_FINISH_LENGTH)
        return "length";
    return c->n_calls ? "tool_calls" : "stop";
}

static const char *id_prefix(const ag_task *t) { return t->gen.chat ? "chatcmpl-" : "cmpl-"; }

/* {"id":...,"object":...,"created":...,"model":..., left open. */
static void add_head(const ag_task *t, const char *object, ag_buf *out) {
    ag_buf_addf(out, "{\"id\":\"%s%s\"", id_prefix(t), t->x->id);
    ag_json_key(out, "object");
    ag_json_str(out, object);
    ag_json_key(out, "created");
    ag_json_u64(out, t->created);
    ag_json_key(out, "model");
    ag_json_str(out, ag_served_name(t->served));
}

static void add_usage(const ag_task *t, ag_buf *out) {
    uint64_t prompt = 0, cached = 0, made = 0, reasoning = 0;
    for (size_t i = 0; i < t->n_choices; i++) {
        const ag_choice *c = &t->choices[i];
        made += c->n_generated;
        reasoning += c->n_reasoning;
        if (i % t->gen.n == 0) {
            prompt += t->prompts.v[c->prompt].n;
            cached += c->result.n_cached;
        }
    }
    ag_buf_addf(out,
                "{\"prompt_tokens\":%llu,\"completion_tokens\":%llu,\"total_tokens\":%llu,"
                "\"prompt_tokens_details\":{\"cached_tokens\":%llu},"
                "\"completion_tokens_details\":{\"reasoning_tokens\":%llu}}",
                (unsigned long long)prompt, (unsigned long long)made,
                (unsigned long long)(prompt + made), (unsigned long long)cached,
                (unsigned long long)reasoning);
}

/* ---- streams --------------------------------------------------------------------------------- */

void ag_chunk_head(ag_task *t) {
    if (!t->gen.stream)
        return;
    ag_buf_adds(&t->head, "data: ");
    add_head(t, t->gen.chat ? "chat.completion.chunk" : "text_completion", &t->head);
    ag_buf_adds(&t->head, ",\"choices\":[");
}

/* From behind the choices to the end of the event. */
static void close_event(ag_task *t, bool usage) {
    ag_buf_addc(&t->out, ']');
    if (usage || t->gen.continuous_usage) {
        ag_buf_adds(&t->out, ",\"usage\":");
        add_usage(t, &t->out);
    } else if (t->gen.include_usage) {
        ag_buf_adds(&t->out, ",\"usage\":null");
    }
    ag_buf_adds(&t->out, "}\n\n");
}

static void open_choice(ag_task *t, const ag_choice *c) {
    ag_buf_add(&t->out, t->head.p, t->head.n);
    ag_buf_adds(&t->out, "{\"index\":");
    ag_json_u64(&t->out, c->index);
}

static void close_choice(ag_task *t, ag_choice *c, const char *finish) {
    ag_buf_adds(&t->out, ",\"logprobs\":");
    ag_logprobs_flush(c, &t->out);
    ag_buf_adds(&t->out, ",\"finish_reason\":");
    ag_json_str(&t->out, finish);
    ag_buf_addc(&t->out, '}');
    close_event(t, false);
}

void ag_chunk_text(ag_task *t, ag_choice *c, ag_said kind, ag_span text) {
    const char *begin = !t->gen.chat                ? ",\"text\":\""
                        : kind == AG_SAID_REASONING ? ",\"delta\":{\"reasoning_content\":\""
                                                    : ",\"delta\":{\"content\":\"";
    open_choice(t, c);
    ag_buf_adds(&t->out, begin);
    ag_json_escape(&t->out, text);
    ag_buf_adds(&t->out, t->gen.chat ? "\"}" : "\"");
    close_choice(t, c, NULL);
}

void ag_chunk_call(ag_task *t, ag_choice *c, const ag_answer_event *e) {
    ag_buf *out = &t->out;
    open_choice(t, c);
    ag_buf_addf(out, ",\"delta\":{\"tool_calls\":[{\"index\":%d", e->call);
    if (e->kind == AG_ANSWER_CALL_BEGIN) {
        ag_json_key(out, "id");
        ag_json_str(out, e->id);
        ag_buf_adds(out, ",\"type\":\"function\",\"function\":{\"name\":");
        ag_json_str(out, e->name);
        ag_buf_adds(out, ",\"arguments\":\"\"}}]}");
    } else {
        ag_buf_adds(out, ",\"function\":{\"arguments\":\"");
        ag_json_escape(out, e->text);
        ag_buf_adds(out, "\"}}]}");
    }
    close_choice(t, c, NULL);
}

void ag_chunk_finish(ag_task *t, ag_choice *c, const char *finish) {
    open_choice(t, c);
    ag_buf_adds(&t->out, t->gen.chat ? ",\"delta\":{}" : ",\"text\":\"\"");
    close_choice(t, c, finish);
}

void ag_chunk_greet(ag_task *t, ag_choice *c) {
    if (!t->gen.chat) {
        if (t->gen.echo)
            ag_chunk_text(t, c, AG_SAID_TEXT, t->prompts.v[c->prompt].text);
        return;
    }
    ag_buf_add(&t->out, t->head.p, t->head.n);
    ag_buf_addf(&t->out,
                "{\"index\":%u,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
                "\"logprobs\":null,\"finish_reason\":null}",
                c->index);
    close_event(t, false);
}

void ag_chunk_end(ag_task *t) {
    if (t->gen.include_usage) {
        ag_buf_add(&t->out, t->head.p, t->head.n);
        close_event(t, true);
    }
    ag_buf_adds(&t->out, "data: [DONE]\n\n");
}

void ag_chunk_problem(ag_task *t, const ag_problem *p) {
    ag_buf_adds(&t->out, "data: ");
    ag_problem_json(p, &t->out);
    ag_buf_adds(&t->out, "\n\n");
}

/* ---- whole answers --------------------------------------------------------------------------- */

static void add_message(const ag_choice *c, ag_buf *out) {
    ag_buf_adds(out, ",\"message\":{\"role\":\"assistant\",\"content\":");
    if (c->n_calls && !c->text.n)
        ag_json_null(out);
    else
        ag_json_text(out, ag_buf_span(&c->text));
    if (c->reasoning.n) {
        ag_json_key(out, "reasoning_content");
        ag_json_text(out, ag_buf_span(&c->reasoning));
    }
    if (c->n_calls) {
        ag_json_key(out, "tool_calls");
        ag_json_open(out, '[');
        ag_json_raw(out, ag_buf_span(&c->calls));
        ag_json_close(out, ']');
    }
    ag_buf_adds(out, ",\"refusal\":null}");
}

/* Of the prompt of a choice; told in each of its choices by completions, once by chats. */
static void add_prompt_logprobs(const ag_task *t, const ag_choice *c, ag_buf *out) {
    if (!t->gen.has_prompt_logprobs)
        return;
    ag_json_key(out, "prompt_logprobs");
    ag_json_open(out, '[');
    ag_json_raw(out, ag_buf_span(&t->choices[c->prompt * t->gen.n].prompt_logprobs));
    ag_json_close(out, ']');
}

static void add_choice(const ag_task *t, ag_choice *c, ag_buf *out) {
    ag_json_open(out, '{');
    ag_json_key(out, "index");
    ag_json_u64(out, c->index);
    if (t->gen.chat) {
        add_message(c, out);
    } else {
        ag_buf_adds(out, ",\"text\":\"");
        if (t->gen.echo)
            ag_json_escape(out, t->prompts.v[c->prompt].text);
        ag_json_escape(out, ag_buf_span(&c->text));
        ag_buf_addc(out, '"');
    }
    ag_json_key(out, "logprobs");
    ag_logprobs_flush(c, out);
    ag_json_key(out, "finish_reason");
    ag_json_str(out, ag_finish_word(c));
    if (!t->gen.chat)
        add_prompt_logprobs(t, c, out);
    ag_json_close(out, '}');
}

void ag_chunk_whole(ag_task *t, ag_buf *out) {
    add_head(t, t->gen.chat ? "chat.completion" : "text_completion", out);
    ag_json_key(out, "choices");
    ag_json_open(out, '[');
    for (size_t i = 0; i < t->n_choices; i++)
        add_choice(t, &t->choices[i], out);
    ag_json_close(out, ']');
    ag_json_key(out, "usage");
    add_usage(t, out);
    if (t->gen.chat)
        add_prompt_logprobs(t, t->choices, out);
    ag_json_close(out, '}');
}
