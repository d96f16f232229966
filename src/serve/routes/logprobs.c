/* Log-probabilities of tokens, in the two shapes that OpenAI has. What was noted of a choice lies
 * as ready JSON in its buffers: for chats the objects of "content" in the first; for completions
 * the items of tokens, token_logprobs, top_logprobs and text_offset in the four. */
#include <math.h>

#include "base/json_out.h"
#include "base/utf8.h"
#include "routes/task.h"

#define NEVER                                                                                      \
    (-9999.0f) /* what other servers write for minus infinity, which JSON does not have            \
                */

static float number(float logprob) { return isfinite(logprob) ? logprob : NEVER; }

static ag_span token_bytes(const ag_task *t, int32_t id) {
    ag_token_info info;
    return ag_engine_get_token(t->engine, id, &info) ? ag_span_of(info.bytes, info.len)
                                                     : (ag_span){0};
}

/* {"token":...,"logprob":...,"bytes":[...] left open */
static void open_entry(const ag_task *t, int32_t id, float logprob, ag_buf *out) {
    ag_span bytes = token_bytes(t, id);
    ag_json_open(out, '{');
    ag_json_key(out, "token");
    ag_json_text(out, bytes);
    ag_json_key(out, "logprob");
    ag_json_f32(out, number(logprob));
    ag_json_key(out, "bytes");
    ag_json_open(out, '[');
    for (size_t i = 0; i < bytes.n; i++)
        ag_json_u64(out, (uint8_t)bytes.p[i]);
    ag_json_close(out, ']');
}

static void add_chat(ag_choice *c, const ag_token_event *e) {
    ag_buf *out = &c->logprobs[0];
    open_entry(c->task, e->id, e->logprob, out);
    ag_json_key(out, "top_logprobs");
    ag_json_open(out, '[');
    for (size_t i = 0; i < e->n_top; i++) {
        open_entry(c->task, e->top[i].id, e->top[i].logprob, out);
        ag_json_close(out, '}');
    }
    ag_json_close(out, ']');
    ag_json_close(out, '}');
}

/* Was the same text written by a likelier candidate? Names in an object must differ. */
static bool is_twin(const ag_task *t, const ag_token_event *e, size_t n, int32_t id) {
    for (size_t i = 0; i < n; i++)
        if (ag_span_eq(token_bytes(t, e->top[i].id), token_bytes(t, id)))
            return true;
    return false;
}

/* A token in the older object; one that is no whole text as "bytes:\xe2\x80", which is OpenAI's
 * way: as U+FFFD all of them would have the same name. */
static void add_name(ag_span bytes, ag_buf *out) {
    ag_buf name;
    ag_buf_init(&name, out->tag, out->cap);
    ag_buf_adds(&name, "bytes:");
    for (size_t i = 0; i < bytes.n; i++)
        ag_buf_addf(&name, "\\x%02x", (uint8_t)bytes.p[i]);
    ag_json_text(out, ag_utf8_is_valid(bytes) ? bytes : ag_buf_span(&name));
    out->failed |= name.failed;
    ag_buf_deinit(&name);
}

/* The candidates as one object; the chosen token is always among them. */
static void add_candidates(const ag_task *t, const ag_token_event *e, ag_buf *out) {
    ag_json_open(out, '{');
    for (size_t i = 0; i < e->n_top; i++) {
        if (is_twin(t, e, i, e->top[i].id))
            continue;
        add_name(token_bytes(t, e->top[i].id), out);
        ag_buf_addc(out, ':');
        ag_json_f32(out, number(e->top[i].logprob));
    }
    if (!is_twin(t, e, e->n_top, e->id)) {
        add_name(token_bytes(t, e->id), out);
        ag_buf_addc(out, ':');
        ag_json_f32(out, number(e->logprob));
    }
    ag_json_close(out, '}');
}

static void add_completion(ag_choice *c, const ag_token_event *e, bool first) {
    ag_buf *b = c->logprobs;
    ag_span bytes = token_bytes(c->task, e->id);
    add_name(bytes, &b[0]);
    if (first) { /* nothing stands before it */
        ag_json_null(&b[1]);
        ag_json_null(&b[2]);
    } else {
        ag_json_f32(&b[1], number(e->logprob));
        add_candidates(c->task, e, &b[2]);
    }
    ag_json_u64(&b[3], c->text_offset);
    /* Continuation bytes belong to a character that was counted. */
    for (size_t i = 0; i < bytes.n; i++)
        c->text_offset += ((uint8_t)bytes.p[i] & 0xC0) != 0x80;
}

/* Did the token end the answer? */
static bool is_end(const ag_task *t, int32_t id) {
    ag_token_info info;
    return ag_engine_get_token(t->engine, id, &info) && info.stops && !t->gen.ignore_eos;
}

/* In a chat the token that ends an answer is no part of it. In a completion every token that was
 * counted is told: evaluation harnesses ask for one token more than they score, and drop it. */
void ag_logprobs_add(ag_choice *c, const ag_token_event *e) {
    if (!c->task->gen.chat)
        add_completion(c, e, false);
    else if (!is_end(c->task, e->id))
        add_chat(c, e);
}

void ag_logprobs_echo(ag_choice *c, const ag_token_event *e, bool first) {
    if (c->task->gen.logprobs)
        add_completion(c, e, first);
}

void ag_logprobs_flush(ag_choice *c, ag_buf *out) {
    static const char *const names[] = {"tokens", "token_logprobs", "top_logprobs", "text_offset"};
    ag_buf *b = c->logprobs;
    if (!c->task->gen.logprobs || (c->task->gen.stream && b[0].n == 0)) {
        ag_json_null(out);
        return;
    }
    ag_json_open(out, '{');
    if (c->task->gen.chat) {
        ag_json_key(out, "content");
        ag_json_open(out, '[');
        ag_json_raw(out, ag_buf_span(&b[0]));
        ag_json_close(out, ']');
        ag_json_key(out, "refusal");
        ag_json_null(out);
    } else {
        for (size_t k = 0; k < 4; k++) {
            ag_json_key(out, names[k]);
            ag_json_open(out, '[');
            ag_json_raw(out, ag_buf_span(&b[k]));
            ag_json_close(out, ']');
        }
    }
    ag_json_close(out, '}');
    for (size_t k = 0; k < 4; k++) {
        out->failed |= b[k].failed;
        b[k].n = 0;
    }
}
