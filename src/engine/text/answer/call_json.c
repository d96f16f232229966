/* Calls whose arguments are JSON: the object around them, and the arguments alone. */
#include "text/answer/answer_parts.h"

static void add_json_byte(ag_answer_parser *p, bool in_string, char b) {
    if (in_string && (uint8_t)b < 0x20) { /* models write line breaks into strings */
        ag_buf escaped;
        ag_buf_init(&escaped, AG_ROOM_TEXT, 16);
        ag_escape_json(ag_span_of(&b, 1), &escaped);
        ag_call_take_args(p, &escaped);
        return;
    }
    ag_call_add_args(p, &b, 1);
}

/* A byte of an object of arguments that `scan` follows. */
static ag_read args_byte(ag_answer_parser *p, ag_scan *scan, char b) {
    bool in_string = ag_scan_in_string(scan);
    bool outside = scan->depth == 0;
    if (outside && (ag_is_space(b) || b != '{'))
        return ag_is_space(b) ? AG_READ_MORE : AG_READ_BROKEN;
    ag_scan_event event = ag_scan_byte(scan, (uint8_t)b);
    if (event == AG_SCAN_FAIL)
        return AG_READ_BROKEN;
    add_json_byte(p, in_string, b);
    return event == AG_SCAN_CLOSE && scan->depth == 0 ? AG_READ_DONE : AG_READ_MORE;
}

ag_read ag_call_read_args(ag_answer_parser *p, char b) {
    ag_read how = args_byte(p, &p->call.scan, b);
    if (how != AG_READ_BROKEN && p->call.scan.depth > 0)
        ag_call_announce(p);
    return how;
}

/* ---- {"name": ..., "arguments": {...}} ------------------------------------------------------- */

static bool is_one_of(ag_span key, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (ag_span_is(key, names[i]))
            return true;
    return false;
}

static ag_read key_ended(ag_answer_parser *p) {
    static const char *const names[] = {"name", "tool_name"};
    static const char *const args[] = {"arguments", "parameters"};
    static const char *const others[] = {"id", "type", "tool_call_id"};
    ag_call *c = &p->call;
    ag_span key = ag_buf_span(&c->word);
    c->in = AG_IN_NOTHING;
    c->field = AG_FIELD_OTHER;
    if (is_one_of(key, names, 2)) {
        c->field = AG_FIELD_NAME;
        return c->name.n == 0 ? AG_READ_MORE : AG_READ_BROKEN;
    }
    if (is_one_of(key, args, 2)) {
        c->field = AG_FIELD_ARGS;
        return c->has_args ? AG_READ_BROKEN : AG_READ_MORE;
    }
    /* An answer in JSON is soon known to be no call. */
    return c->strict && !is_one_of(key, others, 3) ? AG_READ_BROKEN : AG_READ_MORE;
}

static ag_read string_begins(ag_call *c) {
    if (c->scan.depth != 1)
        return AG_READ_MORE;
    if (c->field == AG_FIELD_NAME)
        c->in = AG_IN_NAME;
    if (c->field == AG_FIELD_ARGS)
        c->in = AG_IN_ARGS_STRING;
    c->unescape = (ag_unescape){0};
    c->inner = (ag_scan){0};
    return AG_READ_MORE;
}

/* A value of the call's object that is no string begins. */
static ag_read value_begins(ag_answer_parser *p, char b) {
    ag_call *c = &p->call;
    bool nested = b == '{' || b == '[';
    if (c->scan.depth != (nested ? 2 : 1) || c->field == AG_FIELD_OTHER)
        return AG_READ_MORE;
    if (c->field == AG_FIELD_NAME)
        return AG_READ_BROKEN;
    if (b == '{') {
        c->in = AG_IN_ARGS;
        ag_call_add_args(p, &b, 1);
        return AG_READ_MORE;
    }
    if (b != 'n')
        return AG_READ_BROKEN;
    ag_call_add_args(p, "{}", 2);
    return AG_READ_MORE;
}

static ag_read name_byte(ag_answer_parser *p, ag_scan_event event, char b) {
    ag_call *c = &p->call;
    if (event == AG_SCAN_QUOTE) {
        c->in = AG_IN_NOTHING;
        return ag_call_check_name(p) ? AG_READ_MORE : AG_READ_BROKEN;
    }
    if (c->name.n >= AG_MAX_TOOL_NAME)
        return AG_READ_BROKEN;
    ag_unescape_byte(&c->unescape, (uint8_t)b, &c->name);
    return AG_READ_MORE;
}

/* Some models write the arguments as JSON inside a string, as OpenAI's interface has them. */
static ag_read args_string_byte(ag_answer_parser *p, ag_scan_event event, char b) {
    ag_call *c = &p->call;
    char bytes[8];
    if (event == AG_SCAN_QUOTE) {
        c->in = AG_IN_NOTHING;
        if (!c->has_args)
            ag_call_add_args(p, "{}", 2);
        return c->inner.depth == 0 ? AG_READ_MORE : AG_READ_BROKEN;
    }
    ag_buf decoded;
    ag_buf_init(&decoded, AG_ROOM_TEXT, sizeof bytes);
    ag_unescape_byte(&c->unescape, (uint8_t)b, &decoded);
    ag_read how = AG_READ_MORE;
    for (size_t i = 0; i < decoded.n && how != AG_READ_BROKEN; i++) {
        bool over = c->has_args && c->inner.depth == 0;
        if (!over)
            how = args_byte(p, &c->inner, decoded.p[i]);
        else if (!ag_is_space(decoded.p[i]))
            how = AG_READ_BROKEN;
    }
    p->failed = p->failed || decoded.failed;
    ag_buf_deinit(&decoded);
    return how == AG_READ_BROKEN ? how : AG_READ_MORE;
}

static ag_read object_ended(const ag_call *c) {
    bool whole = c->name.n > 0 && (c->has_args || !c->strict);
    return whole ? AG_READ_DONE : AG_READ_BROKEN;
}

static ag_read object_byte(ag_answer_parser *p, ag_scan_event event, char b) {
    ag_call *c = &p->call;
    switch (event) {
    case AG_SCAN_KEY:
        if (c->scan.depth == 1) {
            c->in = AG_IN_KEY;
            c->word.n = 0;
        }
        return AG_READ_MORE;
    case AG_SCAN_STRING:
        return string_begins(c);
    case AG_SCAN_SCALAR:
    case AG_SCAN_OPEN:
        return value_begins(p, b);
    case AG_SCAN_CLOSE:
        return c->scan.depth == 0 ? object_ended(c) : AG_READ_MORE;
    default:
        return AG_READ_MORE;
    }
}

ag_read ag_call_read_object(ag_answer_parser *p, char b) {
    ag_call *c = &p->call;
    bool in_string = ag_scan_in_string(&c->scan);
    if (c->scan.depth == 0 && (ag_is_space(b) || b != '{'))
        return ag_is_space(b) ? AG_READ_MORE : AG_READ_BROKEN;
    ag_scan_event event = ag_scan_byte(&c->scan, (uint8_t)b);
    ag_read how = AG_READ_MORE;
    if (event == AG_SCAN_FAIL)
        return AG_READ_BROKEN;
    switch (c->in) {
    case AG_IN_KEY:
        if (event == AG_SCAN_QUOTE)
            how = key_ended(p);
        else if (c->word.n < AG_MAX_TOOL_NAME)
            ag_buf_addc(&c->word, b);
        break;
    case AG_IN_NAME:
        how = name_byte(p, event, b);
        break;
    case AG_IN_ARGS:
        add_json_byte(p, in_string, b);
        if (event == AG_SCAN_CLOSE && c->scan.depth == 1)
            c->in = AG_IN_NOTHING;
        break;
    case AG_IN_ARGS_STRING:
        how = args_string_byte(p, event, b);
        break;
    default:
        how = object_byte(p, event, b);
    }
    if (how == AG_READ_MORE && c->has_args && c->name.n > 0 && c->in != AG_IN_NAME)
        ag_call_announce(p);
    return how;
}
