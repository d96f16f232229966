/* The text around calls: markers, reasoning, white space, and giving out events. */
#include "text/answer/answer_parts.h"

/* ---- matching markers ------------------------------------------------------------------------ */

int ag_held_byte(ag_held *m, char b, const ag_span *markers, size_t n_markers, char *loose,
                 size_t *n_loose) {
    *n_loose = 0;
    m->held[m->n++] = b;
    while (m->n > 0) {
        bool begins = false;
        for (size_t i = 0; i < n_markers; i++) {
            if (markers[i].n < m->n || memcmp(markers[i].p, m->held, m->n) != 0)
                continue;
            if (markers[i].n == m->n) {
                m->n = 0;
                return (int)i;
            }
            begins = true;
        }
        if (begins)
            return -1;
        loose[(*n_loose)++] = m->held[0];
        memmove(m->held, m->held + 1, --m->n);
    }
    return -1;
}

/* ---- giving out ------------------------------------------------------------------------------ */

static void give_out(ag_answer_parser *p) {
    if (p->out.n == 0 || p->out.failed || p->failed)
        return;
    ag_answer_event e = {
        .kind = p->out_kind, .text = ag_buf_span(&p->out), .call = p->n_calls, .id = NULL};
    p->on_event(p->ctx, &e);
    p->out.n = 0;
}

void ag_answer_emit(ag_answer_parser *p, ag_answer_event_kind kind, ag_span text) {
    if (kind != p->out_kind)
        give_out(p);
    p->out_kind = kind;
    ag_buf_add(&p->out, text.p, text.n);
}

static void make_id(ag_answer_parser *p, char id[32]) {
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    bool shorter = p->format.calls->short_ids;
    size_t n = 0;
    for (const char *c = shorter ? "" : "call_"; *c; c++)
        id[n++] = *c;
    for (size_t end = n + (shorter ? 9 : 24); n < end; n++)
        id[n] = digits[ag_rng_u64(&p->rng) % 62];
    id[n] = 0;
}

void ag_answer_emit_call(ag_answer_parser *p, ag_answer_event_kind kind) {
    char id[32];
    give_out(p);
    ag_answer_event e = {.kind = kind, .call = p->n_calls};
    if (kind == AG_ANSWER_CALL_BEGIN) {
        make_id(p, id);
        e.id = id;
        e.name = ag_buf_cstr(&p->call.name);
    }
    if (kind == AG_ANSWER_CALL_BEGIN && !e.name)
        p->failed = true;
    if (!p->failed)
        p->on_event(p->ctx, &e);
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool is_split(const ag_answer_parser *p) { return p->reasoning != AG_REASONING_INLINE; }

static void put(ag_answer_parser *p, const char *text, size_t n) {
    bool thought = p->phase == AG_PHASE_REASONING && is_split(p);
    if (!thought)
        ag_answer_emit(p, AG_ANSWER_CONTENT, ag_span_of(text, n));
    else if (p->reasoning == AG_REASONING_SPLIT)
        ag_answer_emit(p, AG_ANSWER_REASONING, ag_span_of(text, n));
}

static void put_space(ag_answer_parser *p) {
    if (!p->trim && p->space.n > 0)
        put(p, p->space.p, p->space.n);
    p->space.n = 0;
}

/* White space is held where it may turn out to stand before a call, a closing tag or the end. */
static bool holds_space(const ag_answer_parser *p) {
    if (p->phase == AG_PHASE_REASONING)
        return is_split(p);
    return p->trim || p->after_call || ag_answer_calls_of(p);
}

void ag_answer_text_byte(ag_answer_parser *p, char b) {
    if (ag_is_space(b)) {
        p->line_start = p->line_start || b == '\n';
        if (!holds_space(p)) {
            put(p, &b, 1);
            return;
        }
        if (p->space.n >= AG_MAX_ANSWER_SPACE)
            put_space(p);
        ag_buf_addc(&p->space, b);
        return;
    }
    put_space(p);
    put(p, &b, 1);
    p->may_think = p->trim = p->line_start = false;
    if (p->phase == AG_PHASE_TEXT)
        p->fresh = p->after_call = false;
}

/* ---- markers --------------------------------------------------------------------------------- */

enum { THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE, CALL_OPEN /* and the next ones */ };

/* The markers that count here, and what they are. */
static size_t active_markers(const ag_answer_parser *p, ag_span *marker, int *what) {
    const ag_answer_think *think = p->format.think;
    size_t n = 0;
    if (p->phase == AG_PHASE_REASONING) {
        marker[n] = ag_str(think->close);
        what[n++] = THINK_CLOSE;
        return n;
    }
    if (think && p->may_think) {
        marker[n] = ag_str(think->open);
        what[n++] = THINK_OPEN;
    }
    if (p->format.answer_tags && is_split(p)) {
        marker[n] = p->fresh ? ag_str("<answer>") : ag_str("</answer>");
        what[n++] = p->fresh ? ANSWER_OPEN : ANSWER_CLOSE;
    }
    const ag_answer_calls *calls = ag_answer_calls_of(p);
    for (int i = 0; calls && i < 3 && calls->open[i].text; i++) {
        marker[n] = ag_str(calls->open[i].text);
        what[n++] = CALL_OPEN + i;
    }
    return n;
}

static void open_reasoning(ag_answer_parser *p) {
    p->may_think = false;
    if (is_split(p)) {
        p->space.n = 0;
        p->phase = AG_PHASE_REASONING;
        p->trim = true;
        return;
    }
    put_space(p);
    put(p, p->format.think->open, strlen(p->format.think->open));
    p->phase = AG_PHASE_REASONING;
}

static void close_reasoning(ag_answer_parser *p) {
    p->phase = AG_PHASE_TEXT;
    p->fresh = p->line_start = true;
    p->space.n = 0;
    p->trim = is_split(p);
    if (!p->trim)
        put(p, p->format.think->close, strlen(p->format.think->close));
}

static void act(ag_answer_parser *p, int what, ag_span marker) {
    switch (what) {
    case THINK_OPEN:
        open_reasoning(p);
        break;
    case THINK_CLOSE:
        close_reasoning(p);
        break;
    case ANSWER_OPEN:
        p->trim = true;
        p->fresh = p->may_think = false;
        break;
    case ANSWER_CLOSE:
        p->space.n = 0;
        break;
    default: {
        int i = what - CALL_OPEN;
        bool quiet = p->format.calls->open[i].quiet;
        ag_call_start(p, p->format.calls->open[i].to, quiet ? ag_span_of("", 0) : marker, false);
    }
    }
}

/* May a call start here without a marker, with this byte? */
static bool starts_bare(const ag_answer_parser *p, char b) {
    const ag_answer_calls *calls = ag_answer_calls_of(p);
    if (!calls || p->phase != AG_PHASE_TEXT || p->match.n > 0)
        return false;
    if (calls->bare == AG_BARE_OBJECT)
        return p->fresh && b == '{';
    return calls->bare == AG_BARE_NAME && p->line_start &&
           ag_tool_has_prefix(p->tools, ag_span_of(&b, 1));
}

void ag_answer_byte(ag_answer_parser *p, char b) {
    ag_span marker[AG_MAX_TEXT_MARKERS];
    int what[AG_MAX_TEXT_MARKERS];
    char loose[AG_MAX_MARKER];
    size_t n_loose;
    if (p->phase == AG_PHASE_CALL) {
        ag_call_byte(p, b);
        return;
    }
    if (starts_bare(p, b)) {
        ag_call_start(p, 0, ag_span_of("", 0), true);
        ag_call_byte(p, b);
        return;
    }
    size_t n = active_markers(p, marker, what);
    int found = ag_held_byte(&p->match, b, marker, n, loose, &n_loose);
    for (size_t i = 0; i < n_loose; i++)
        ag_answer_text_byte(p, loose[i]);
    if (found >= 0)
        act(p, what[found], marker[found]);
}

/* ---- the parser ------------------------------------------------------------------------------ */

ag_code ag_answer_parser_new(const ag_answer_opts *o, ag_answer_parser **out, ag_err *err) {
    *out = NULL;
    ag_answer_parser *p = ag_calloc(AG_ROOM_TEXT, 1, sizeof *p);
    if (!p)
        return ag_fail(err, AG_E_NOMEM, "out of memory for the parser of an answer");
    p->format = *o->format;
    if (json_array_size(o->tools) > 0)
        p->tools = json_incref((json_t *)o->tools);
    p->reasoning = o->reasoning;
    p->arguments = o->arguments;
    p->on_event = o->on_event;
    p->ctx = o->ctx;
    ag_rng_init(&p->rng, o->seed);
    ag_buf_init(&p->space, AG_ROOM_TEXT, AG_MAX_ANSWER_SPACE + 1);
    ag_buf_init(&p->out, AG_ROOM_TEXT, AG_MAX_TEXT_BYTES);
    ag_call_init(&p->call);
    p->fresh = p->may_think = p->line_start = true;
    if (o->in_reasoning && p->format.think) {
        p->phase = AG_PHASE_REASONING;
        p->may_think = false;
        p->trim = is_split(p);
    }
    *out = p;
    return AG_OK;
}

void ag_answer_parser_free(ag_answer_parser **p) {
    if (!*p)
        return;
    json_decref((*p)->tools);
    ag_buf_deinit(&(*p)->space);
    ag_buf_deinit(&(*p)->out);
    ag_call_deinit(&(*p)->call);
    ag_free(*p);
    *p = NULL;
}

/* The caps of the buffers are beyond what they are given, so only memory can be short. */
static bool has_failed(const ag_answer_parser *p) {
    const ag_call *c = &p->call;
    return p->failed || p->space.failed || p->out.failed || c->raw.failed || c->name.failed ||
           c->args.failed || c->word.failed;
}

static ag_code settle(ag_answer_parser *p, ag_err *err) {
    if (has_failed(p))
        return ag_fail(err, AG_E_NOMEM, "out of memory for the parser of an answer");
    give_out(p);
    return AG_OK;
}

/* Out comes at least every so many bytes, so that its buffer stays small. */
#define PIECE ((size_t)64 << 10)

ag_code ag_answer_parser_push(ag_answer_parser *p, ag_span text, ag_err *err) {
    for (size_t i = 0; i < text.n && !has_failed(p); i++) {
        ag_answer_byte(p, text.p[i]);
        if (p->out.n >= PIECE)
            give_out(p);
    }
    return settle(p, err);
}

ag_code ag_answer_parser_end(ag_answer_parser *p, ag_err *err) {
    if (p->phase == AG_PHASE_CALL)
        ag_call_end_of_text(p);
    for (size_t i = 0; i < p->match.n; i++)
        ag_answer_text_byte(p, p->match.held[i]);
    p->match.n = 0;
    if (p->phase == AG_PHASE_TEXT && !p->after_call)
        put_space(p);
    return settle(p, err);
}

bool ag_answer_parser_in_reasoning(const ag_answer_parser *p) {
    return p->phase == AG_PHASE_REASONING;
}

int ag_answer_parser_n_calls(const ag_answer_parser *p) { return p->n_calls; }
