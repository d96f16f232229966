/* Events by the WHATWG's rules for text/event-stream, as far as APIs use them: "data:" lines, of
 * which each holds one JSON object; comments and other fields are skipped. */
#include "loadtest/sse.h"

#include <jansson.h>
#include <stdio.h>

void ag_load_answer_begin(ag_load_answer *a, bool streamed) {
    ag_buf line = a->line; /* keeps its memory from one request to the next */
    *a = (ag_load_answer){.line = line, .streamed = streamed};
    a->line.n = 0;
    a->line.failed = a->line.over = false;
    if (!a->line.cap)
        ag_buf_init(&a->line, AG_ROOM_CLI, AG_LOAD_MAX_BODY);
}

void ag_load_answer_deinit(ag_load_answer *a) { ag_buf_deinit(&a->line); }

static void fail(ag_load_answer *a, const char *why) {
    if (!a->failed)
        snprintf(a->error, sizeof a->error, "%s", why);
    a->failed = true;
}

static uint64_t number(const json_t *object, const char *name) {
    json_int_t v = json_integer_value(json_object_get(object, name));
    return v > 0 ? (uint64_t)v : 0;
}

static void take_usage(ag_load_answer *a, const json_t *usage) {
    if (!json_is_object(usage))
        return;
    a->prompt_tokens = number(usage, "prompt_tokens");
    a->generated_tokens = number(usage, "completion_tokens");
    a->cached_tokens = number(json_object_get(usage, "prompt_tokens_details"), "cached_tokens");
}

static bool is_text(const json_t *v) { return json_is_string(v) && json_string_length(v) > 0; }

/* Does a choice bring content: delta.content, delta.reasoning_content, a call, or text? */
static bool has_content(const json_t *choice) {
    const json_t *delta = json_object_get(choice, "delta");
    return is_text(json_object_get(delta, "content")) ||
           is_text(json_object_get(delta, "reasoning_content")) ||
           json_array_size(json_object_get(delta, "tool_calls")) > 0 ||
           is_text(json_object_get(choice, "text"));
}

/* An object of the stream, or the whole answer. True: it brought content. */
static bool take_object(ag_load_answer *a, ag_span text) {
    json_t *j = json_loadb(text.p, text.n, JSON_ALLOW_NUL, NULL); /* a model may say it */
    bool content = false;
    if (!json_is_object(j)) {
        fail(a, "an answer that is no JSON object");
    } else if (json_object_get(j, "error")) {
        const char *why =
            json_string_value(json_object_get(json_object_get(j, "error"), "message"));
        fail(a, why ? why : "an error without a message");
    } else {
        take_usage(a, json_object_get(j, "usage"));
        const json_t *choices = json_object_get(j, "choices");
        for (size_t i = 0; i < json_array_size(choices); i++)
            content |= has_content(json_array_get(choices, i));
    }
    json_decref(j);
    a->n_pieces += content;
    return content;
}

static bool take_line(ag_load_answer *a, ag_span line) {
    if (ag_span_ends(line, ag_str("\r")))
        line.n--;
    if (!ag_span_starts(line, ag_str("data:")))
        return false;
    line = ag_span_sub(line, 5, line.n);
    if (ag_span_starts(line, ag_str(" ")))
        line = ag_span_sub(line, 1, line.n);
    if (ag_span_is(line, "[DONE]")) {
        a->done = true;
        return false;
    }
    return take_object(a, line);
}

size_t ag_load_answer_push(ag_load_answer *a, ag_span piece) {
    size_t n = 0;
    if (!ag_buf_add(&a->line, piece.p, piece.n)) {
        fail(a, "a line or body beyond 16 MiB");
        return 0;
    }
    if (!a->streamed)
        return 0;
    ag_span all = ag_buf_span(&a->line);
    size_t from = 0, end;
    while ((end = ag_span_find(all, ag_str("\n"), from)) != SIZE_MAX) {
        n += take_line(a, ag_span_sub(all, from, end));
        from = end + 1;
    }
    if (from) {
        memmove(a->line.p, a->line.p + from, a->line.n - from);
        a->line.n -= from;
    }
    return n;
}

void ag_load_answer_end(ag_load_answer *a, int status) {
    char why[64];
    if (a->line.n && (status != 200 || !a->streamed)) {
        take_object(a, ag_buf_span(&a->line));
        a->done = true;
    }
    if (status != 200) {
        snprintf(why, sizeof why, "status %d", status);
        fail(a, why);
    } else if (!a->done) {
        fail(a, "the answer ended before [DONE]");
    }
}
