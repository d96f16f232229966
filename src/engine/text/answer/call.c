/* The script machine. `raw` holds what the model wrote since the script started or the last call
 * was announced, so that what turns out to be no call can go out as text. */
#include "text/answer/answer_parts.h"

void ag_call_init(ag_call *c) {
    *c = (ag_call){0};
    ag_buf_init(&c->raw, AG_ROOM_TEXT, AG_MAX_TOOL_CALL_BYTES + AG_MAX_MARKER);
    ag_buf_init(&c->name, AG_ROOM_TEXT, AG_MAX_TOOL_NAME + 4);
    ag_buf_init(&c->args, AG_ROOM_TEXT, 8 * AG_MAX_TOOL_CALL_BYTES); /* escapes take 6 bytes */
    ag_buf_init(&c->word, AG_ROOM_TEXT, AG_MAX_TOOL_CALL_BYTES + AG_MAX_MARKER);
}

void ag_call_deinit(ag_call *c) {
    ag_buf_deinit(&c->raw);
    ag_buf_deinit(&c->name);
    ag_buf_deinit(&c->args);
    ag_buf_deinit(&c->word);
}

/* Forget the call; the script goes on. The buffers keep their memory. */
static void reset_call(ag_call *c) {
    ag_call fresh = {.step = c->step, .strict = c->strict};
    fresh.raw = c->raw;
    fresh.name = c->name;
    fresh.args = c->args;
    fresh.word = c->word;
    *c = fresh;
    c->raw.n = c->name.n = c->args.n = c->word.n = 0;
}

static const ag_step *step_of(const ag_answer_parser *p) {
    return &p->format.calls->script[p->call.step];
}

/* ---- announcing ------------------------------------------------------------------------------ */

/* functions.NAME:0 → NAME */
static void strip_number(ag_buf *name) {
    const char prefix[] = "functions.";
    size_t n = sizeof prefix - 1, end = name->n;
    while (end > 0 && name->p[end - 1] >= '0' && name->p[end - 1] <= '9')
        end--;
    if (end > 0 && end < name->n && name->p[end - 1] == ':')
        name->n = end - 1;
    if (ag_span_starts(ag_buf_span(name), ag_str(prefix))) {
        memmove(name->p, name->p + n, name->n - n);
        name->n -= n;
    }
}

bool ag_call_check_name(const ag_answer_parser *p) {
    ag_span name = ag_buf_span(&p->call.name);
    if (!ag_tool_name_ok(name))
        return false;
    bool known_only = p->format.calls->bare != AG_BARE_NONE;
    return !known_only || ag_tool_find(p->tools, name);
}

static void announce(ag_answer_parser *p) {
    ag_call *c = &p->call;
    if (c->begun)
        return;
    c->begun = true;
    p->space.n = 0;
    p->fresh = p->trim = p->may_think = false;
    c->raw.n = 0;
    ag_answer_emit_call(p, AG_ANSWER_CALL_BEGIN);
    if (c->args.n > 0)
        ag_answer_emit(p, AG_ANSWER_ARGUMENTS, ag_buf_span(&c->args));
    c->args.n = 0;
}

void ag_call_announce(ag_answer_parser *p) {
    if (p->arguments == AG_ARGUMENTS_STREAM)
        announce(p);
}

void ag_call_add_args(ag_answer_parser *p, const char *text, size_t n) {
    p->call.has_args = true;
    if (p->call.begun)
        ag_answer_emit(p, AG_ANSWER_ARGUMENTS, ag_span_of(text, n));
    else
        ag_buf_add(&p->call.args, text, n);
}

void ag_call_take_args(ag_answer_parser *p, ag_buf *json) {
    p->failed = p->failed || json->failed;
    if (json->n > 0)
        ag_call_add_args(p, json->p, json->n);
    ag_buf_deinit(json);
}

static void complete(ag_answer_parser *p) {
    if (!p->call.has_args)
        ag_call_add_args(p, "{}", 2);
    announce(p);
    ag_answer_emit_call(p, AG_ANSWER_CALL_END);
    p->n_calls++;
    p->after_call = p->line_start = true;
    reset_call(&p->call);
}

/* ---- leaving --------------------------------------------------------------------------------- */

/* Back to text: what is in raw was no call after all. The beginning of a marker at its end is
 * looked at again. */
static void leave(ag_answer_parser *p) {
    ag_call *c = &p->call;
    char again[AG_MAX_MARKER];
    size_t n_again = c->n_lit;
    memcpy(again, c->lit, n_again);
    if (c->begun) {
        ag_answer_emit_call(p, AG_ANSWER_CALL_CUT);
        p->n_calls++;
    }
    p->phase = AG_PHASE_TEXT;
    for (size_t i = 0; i + n_again < c->raw.n; i++)
        ag_answer_text_byte(p, c->raw.p[i]);
    reset_call(c);
    for (size_t i = 0; i < n_again; i++)
        ag_answer_byte(p, again[i]);
}

void ag_call_end_of_text(ag_answer_parser *p) {
    p->call.n_lit = 0;
    leave(p);
}

void ag_call_start(ag_answer_parser *p, uint8_t step, ag_span marker, bool strict) {
    p->phase = AG_PHASE_CALL;
    reset_call(&p->call);
    p->call.step = step;
    p->call.strict = strict;
    ag_buf_add(&p->call.raw, marker.p, marker.n);
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Go on with step `to`. */
static void move(ag_answer_parser *p, uint8_t to) {
    ag_call *c = &p->call;
    c->n_lit = 0;
    if (to == AG_STEP_OUT || to == AG_STEP_BROKEN) {
        leave(p);
        return;
    }
    c->step = to;
    c->scan = c->inner = (ag_scan){0};
    c->word.n = 0;
    c->ended_name = c->value_begun = false;
    if (step_of(p)->op == AG_STEP_NAME)
        c->name.n = 0;
    if (step_of(p)->op == AG_STEP_END) {
        uint8_t next = step_of(p)->to;
        ag_call_close_pairs(p);
        complete(p);
        move(p, next);
    }
}

/* Its last n bytes; after a failed append they are not there. */
static void drop_tail(ag_buf *b, size_t n) { b->n -= n < b->n ? n : b->n; }

/* Nothing of a branch matched: its bytes go on to step `to`. */
static void move_with(ag_answer_parser *p, uint8_t to) {
    ag_call *c = &p->call;
    char again[AG_MAX_MARKER];
    size_t n = c->n_lit;
    memcpy(again, c->lit, n);
    if (to == AG_STEP_OUT || to == AG_STEP_BROKEN) {
        leave(p);
        return;
    }
    drop_tail(&c->raw, n);
    move(p, to);
    for (size_t i = 0; i < n; i++)
        ag_answer_byte(p, again[i]);
}

/* Nothing but the ends of complete calls stands between step `to` and text. */
static bool only_ends(const ag_answer_parser *p, uint8_t to) {
    const ag_step *script = p->format.calls->script;
    return to == AG_STEP_OUT || (script[to].op == AG_STEP_BRANCH && script[to].to == AG_STEP_OUT);
}

static void branch_byte(ag_answer_parser *p, char b) {
    ag_call *c = &p->call;
    const ag_step *step = step_of(p);
    ag_buf_addc(&c->raw, b);
    if (c->n_lit == 0 && ag_is_space(b))
        return;
    c->lit[c->n_lit++] = b;
    ag_span lit = ag_span_of(c->lit, c->n_lit);
    bool begins = false;
    for (size_t i = 0; i < AG_MAX_BRANCH && step->alt[i].text; i++) {
        ag_span text = ag_str(step->alt[i].text);
        if (!ag_span_starts(text, lit))
            continue;
        begins = true;
        if (text.n != lit.n)
            continue;
        bool keep = step->alt[i].keep;
        if (c->begun || only_ends(p, step->alt[i].to))
            c->raw.n = 0;
        else
            drop_tail(&c->raw, keep);
        move(p, step->alt[i].to);
        if (keep)
            ag_answer_byte(p, b);
        return;
    }
    if (!begins)
        move_with(p, step->to);
}

/* The byte does not fit: this is no call, and the byte is text again. */
static void break_off(ag_answer_parser *p, char b) {
    p->call.n_lit = 0;
    leave(p);
    ag_answer_byte(p, b);
}

static void name_byte(ag_answer_parser *p, char b) {
    ag_call *c = &p->call;
    const ag_step *step = step_of(p);
    bool blank = c->name.n == 0 && ag_is_space(b);
    if (!blank && b && strchr(step->text, b)) {
        if (p->format.calls->numbered)
            strip_number(&c->name);
        if (!ag_call_check_name(p)) {
            break_off(p, b);
            return;
        }
        move(p, step->to);
        ag_answer_byte(p, b);
        return;
    }
    if (!blank && ag_is_space(b)) {
        c->ended_name = true;
    } else if (!blank) {
        if (c->ended_name || !ag_tool_name_byte_ok(b) || c->name.n >= AG_MAX_TOOL_NAME) {
            break_off(p, b);
            return;
        }
        ag_buf_addc(&c->name, b);
        if (p->format.calls->bare == AG_BARE_NAME &&
            !ag_tool_has_prefix(p->tools, ag_buf_span(&c->name))) {
            break_off(p, b);
            return;
        }
    }
    ag_buf_addc(&c->raw, b);
}

static void id_byte(ag_answer_parser *p, char b) {
    const ag_step *step = step_of(p);
    if (b && strchr(step->text, b)) {
        move(p, step->to);
        ag_answer_byte(p, b);
    } else if (ag_tool_name_byte_ok(b)) {
        ag_buf_addc(&p->call.raw, b);
    } else {
        break_off(p, b);
    }
}

static void read_byte(ag_answer_parser *p, char b) {
    ag_call *c = &p->call;
    const ag_step *step = step_of(p);
    uint8_t to = step->to;
    ag_read how = step->op == AG_STEP_CALL   ? ag_call_read_object(p, b)
                  : step->op == AG_STEP_ARGS ? ag_call_read_args(p, b)
                  : step->op == AG_STEP_KEY  ? ag_call_read_key(p, step, b)
                                             : ag_call_read_value(p, step, b);
    if (how == AG_READ_BROKEN) {
        break_off(p, b);
        return;
    }
    if (!c->begun)
        ag_buf_addc(&c->raw, b);
    if (how != AG_READ_DONE)
        return;
    if (step->op == AG_STEP_CALL || step->op == AG_STEP_ARGS)
        complete(p);
    move(p, to);
}

void ag_call_byte(ag_answer_parser *p, char b) {
    if (++p->call.n_bytes > AG_MAX_TOOL_CALL_BYTES) {
        break_off(p, b);
        return;
    }
    switch (step_of(p)->op) {
    case AG_STEP_BRANCH:
        branch_byte(p, b);
        break;
    case AG_STEP_NAME:
        name_byte(p, b);
        break;
    case AG_STEP_ID:
        id_byte(p, b);
        break;
    default: /* NONE and END are never the current step */
        read_byte(p, b);
    }
}
