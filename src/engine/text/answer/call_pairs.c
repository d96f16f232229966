/* Calls whose arguments are written as keys and values between tags: JSON is made from them, typed
 * by the tool's schema. */
#include "text/answer/answer_parts.h"

ag_read ag_call_read_key(ag_answer_parser *p, const ag_step *step, char b) {
    ag_call *c = &p->call;
    ag_span end = ag_str(step->text);
    if (c->word.n >= AG_MAX_TOOL_NAME + end.n || (uint8_t)b < 0x20)
        return AG_READ_BROKEN;
    ag_buf_addc(&c->word, b);
    if (!ag_span_ends(ag_buf_span(&c->word), end))
        return AG_READ_MORE;
    ag_span key = ag_span_sub(ag_buf_span(&c->word), 0, c->word.n - end.n);
    while (key.n > 0 && ag_is_space(key.p[key.n - 1]))
        key.n--;
    while (key.n > 0 && ag_is_space(key.p[0]))
        key = ag_span_sub(key, 1, key.n);
    if (key.n == 0)
        return AG_READ_BROKEN;
    c->function = ag_tool_find(p->tools, ag_buf_span(&c->name));
    c->kinds = ag_tool_kinds(c->function, key);
    ag_buf json;
    ag_buf_init(&json, AG_ROOM_TEXT, 8 * AG_MAX_TOOL_NAME);
    ag_buf_adds(&json, c->n_pairs++ == 0 ? "{\"" : ", \"");
    ag_escape_json(key, &json);
    ag_buf_adds(&json, "\": ");
    ag_call_take_args(p, &json);
    ag_call_announce(p);
    return AG_READ_DONE;
}

/* ---- values ---------------------------------------------------------------------------------- */

static void add_string(ag_answer_parser *p, ag_span text) {
    ag_buf json;
    ag_buf_init(&json, AG_ROOM_TEXT, 6 * AG_MAX_TOOL_CALL_BYTES);
    ag_escape_json(text, &json);
    ag_call_take_args(p, &json);
}

static unsigned kind_of_json(ag_span json) {
    switch (*json.p) {
    case '"':
        return AG_KIND_STRING;
    case '{':
        return AG_KIND_OBJECT;
    case '[':
        return AG_KIND_ARRAY;
    case 'n':
        return AG_KIND_NULL;
    case 't':
    case 'f':
        return AG_KIND_BOOL;
    default:
        return AG_KIND_NUMBER;
    }
}

static ag_span trimmed(ag_span s) {
    while (s.n > 0 && ag_is_space(s.p[s.n - 1]))
        s.n--;
    while (s.n > 0 && ag_is_space(s.p[0]))
        s = ag_span_sub(s, 1, s.n);
    return s;
}

/* Templates print what Python prints. */
static ag_span python_word(ag_span s) {
    static const char *const words[][2] = {{"True", "true"}, {"False", "false"}, {"None", "null"}};
    for (size_t i = 0; i < 3; i++)
        if (ag_span_is(s, words[i][0]))
            return ag_str(words[i][1]);
    return s;
}

/* A value that may be something else than a string: JSON of a kind that the schema takes goes
 * through as it is, anything else is a string. */
static void add_value(ag_answer_parser *p) {
    ag_call *c = &p->call;
    ag_span json = python_word(trimmed(ag_buf_span(&c->word)));
    bool is_json = json.n > 0 && ag_scan_is_json(json);
    unsigned kind = is_json ? kind_of_json(json) : 0;
    bool takes_strings = c->kinds != AG_KIND_ANY && (c->kinds & AG_KIND_STRING);
    if (is_json && (!takes_strings || ((kind & c->kinds) && kind != AG_KIND_STRING))) {
        ag_call_add_args(p, json.p, json.n);
        return;
    }
    ag_call_add_args(p, "\"", 1);
    add_string(p, ag_buf_span(&c->word));
    ag_call_add_args(p, "\"", 1);
}

static void take_text(ag_answer_parser *p, const char *text, size_t n) {
    ag_call *c = &p->call;
    if (c->kinds == AG_KIND_STRING)
        add_string(p, ag_span_of(text, n));
    else
        ag_buf_add(&c->word, text, n);
}

ag_read ag_call_read_value(ag_answer_parser *p, const ag_step *step, char b) {
    ag_call *c = &p->call;
    char loose[AG_MAX_MARKER], line_end[AG_MAX_MARKER] = "\n";
    size_t n_loose, n_end = strlen(step->text);
    memcpy(line_end + 1, step->text, n_end);
    const ag_span ends[2] = {ag_span_of(line_end + 1, n_end), ag_span_of(line_end, n_end + 1)};
    bool newlines = p->format.calls->newlines, string = c->kinds == AG_KIND_STRING;
    if (!c->value_begun) {
        c->value_begun = true;
        c->match.n = 0;
        if (string)
            ag_call_add_args(p, "\"", 1);
        if (newlines && b == '\n')
            return AG_READ_MORE;
    }
    int found = ag_held_byte(&c->match, b, ends, newlines ? 2 : 1, loose, &n_loose);
    take_text(p, loose, n_loose);
    if (found < 0)
        return AG_READ_MORE;
    if (string)
        ag_call_add_args(p, "\"", 1);
    else
        add_value(p);
    return AG_READ_DONE;
}

void ag_call_close_pairs(ag_answer_parser *p) {
    if (p->call.n_pairs > 0)
        ag_call_add_args(p, "}", 1);
}
