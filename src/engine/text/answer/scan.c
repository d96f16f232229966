#include "text/answer/scan.h"

#include "base/utf8.h"

/* VALUE and ITEM: a value begins (ITEM: or the array ends); MEMBER and NAME: a member's name begins
 * (MEMBER: or the object ends). */
enum {
    VALUE,
    ITEM,
    MEMBER,
    NAME,
    COLON,
    AFTER,
    STRING,
    ESCAPE,
    HEX,
    WORD,
    MINUS,
    ZERO,
    DIGITS,
    POINT,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    EXPONENT_DIGITS,
    DONE,
};

static bool is_space(uint8_t b) { return b == ' ' || b == '\n' || b == '\r' || b == '\t'; }
static bool is_digit(uint8_t b) { return b >= '0' && b <= '9'; }

static int hex_value(uint8_t b) {
    if (is_digit(b))
        return b - '0';
    b |= 0x20;
    return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

static void value_ended(ag_scan *s) { s->state = s->depth > 0 ? AFTER : DONE; }

static ag_scan_event open_nested(ag_scan *s, bool object) {
    if (s->depth == AG_SCAN_DEPTH)
        return AG_SCAN_FAIL;
    uint64_t bit = (uint64_t)1 << s->depth++;
    s->objects = object ? s->objects | bit : s->objects & ~bit;
    s->state = object ? MEMBER : ITEM;
    return AG_SCAN_OPEN;
}

static bool in_object(const ag_scan *s) {
    return s->depth > 0 && (s->objects >> (s->depth - 1) & 1);
}

static ag_scan_event close_nested(ag_scan *s) {
    s->depth--;
    value_ended(s);
    return AG_SCAN_CLOSE;
}

static ag_scan_event open_string(ag_scan *s, bool key) {
    s->state = STRING;
    s->key = key;
    return key ? AG_SCAN_KEY : AG_SCAN_STRING;
}

static ag_scan_event begin_value(ag_scan *s, uint8_t b) {
    switch (b) {
    case '{':
        return open_nested(s, true);
    case '[':
        return open_nested(s, false);
    case '"':
        return open_string(s, false);
    case '-':
        s->state = MINUS;
        return AG_SCAN_SCALAR;
    case '0':
        s->state = ZERO;
        return AG_SCAN_SCALAR;
    case 't':
        s->word = "rue";
        break;
    case 'f':
        s->word = "alse";
        break;
    case 'n':
        s->word = "ull";
        break;
    default:
        s->state = DIGITS;
        return is_digit(b) ? AG_SCAN_SCALAR : AG_SCAN_FAIL;
    }
    s->state = WORD;
    return AG_SCAN_SCALAR;
}

/* Between values. */
static ag_scan_event structure_byte(ag_scan *s, uint8_t b) {
    if (is_space(b))
        return AG_SCAN_MORE;
    switch (s->state) {
    case ITEM:
        return b == ']' ? close_nested(s) : begin_value(s, b);
    case VALUE:
        return begin_value(s, b);
    case MEMBER:
        if (b == '}')
            return close_nested(s);
        return b == '"' ? open_string(s, true) : AG_SCAN_FAIL;
    case NAME:
        return b == '"' ? open_string(s, true) : AG_SCAN_FAIL;
    case COLON:
        s->state = VALUE;
        return b == ':' ? AG_SCAN_MORE : AG_SCAN_FAIL;
    case AFTER:
        if (b == (in_object(s) ? '}' : ']'))
            return close_nested(s);
        s->state = in_object(s) ? NAME : VALUE;
        return b == ',' ? AG_SCAN_MORE : AG_SCAN_FAIL;
    default: /* DONE: only white space may follow */
        return AG_SCAN_FAIL;
    }
}

static ag_scan_event unit_read(ag_scan *s) {
    bool is_low = s->unit >= 0xDC00 && s->unit <= 0xDFFF;
    if (is_low != s->high)
        return AG_SCAN_FAIL;
    s->high = s->unit >= 0xD800 && s->unit <= 0xDBFF;
    s->state = STRING;
    return AG_SCAN_MORE;
}

static ag_scan_event string_byte(ag_scan *s, uint8_t b) {
    if (s->state == HEX) {
        int v = hex_value(b);
        if (v < 0)
            return AG_SCAN_FAIL;
        s->unit = (uint16_t)(s->unit << 4 | v);
        return --s->left == 0 ? unit_read(s) : AG_SCAN_MORE;
    }
    if (s->state == ESCAPE) {
        s->state = STRING;
        if (b == 'u') {
            s->state = HEX;
            s->left = 4;
            s->unit = 0;
            return AG_SCAN_MORE;
        }
        bool known = b && strchr("\"\\/bfnrt", b);
        return known && !s->high ? AG_SCAN_MORE : AG_SCAN_FAIL;
    }
    if (b == '\\') {
        s->state = ESCAPE;
        return AG_SCAN_MORE;
    }
    if (s->high)
        return AG_SCAN_FAIL;
    if (b != '"')
        return AG_SCAN_MORE;
    if (s->key)
        s->state = COLON;
    else
        value_ended(s);
    return AG_SCAN_QUOTE;
}

static bool number_may_end(uint8_t state) {
    return state == ZERO || state == DIGITS || state == FRACTION || state == EXPONENT_DIGITS;
}

/* The state after b inside a number, or DONE when b is not part of it. */
static uint8_t number_next(uint8_t state, uint8_t b) {
    bool digit = is_digit(b), e = b == 'e' || b == 'E';
    switch (state) {
    case MINUS:
        return digit ? (b == '0' ? ZERO : DIGITS) : DONE;
    case ZERO:
    case DIGITS:
        if (digit && state == DIGITS)
            return DIGITS;
        return b == '.' ? POINT : e ? EXPONENT : DONE;
    case POINT:
        return digit ? FRACTION : DONE;
    case FRACTION:
        return digit ? FRACTION : e ? EXPONENT : DONE;
    case EXPONENT:
        if (b == '+' || b == '-')
            return EXPONENT_SIGN;
        return digit ? EXPONENT_DIGITS : DONE;
    default:
        return digit ? EXPONENT_DIGITS : DONE;
    }
}

static ag_scan_event number_byte(ag_scan *s, uint8_t b) {
    uint8_t next = number_next(s->state, b);
    if (next != DONE) {
        s->state = next;
        return AG_SCAN_MORE;
    }
    if (!number_may_end(s->state))
        return AG_SCAN_FAIL;
    value_ended(s);
    return structure_byte(s, b);
}

ag_scan_event ag_scan_byte(ag_scan *s, uint8_t b) {
    if (s->state >= STRING && s->state <= HEX)
        return string_byte(s, b);
    if (s->state >= MINUS && s->state <= EXPONENT_DIGITS)
        return number_byte(s, b);
    if (s->state != WORD)
        return structure_byte(s, b);
    if (b != (uint8_t)*s->word)
        return AG_SCAN_FAIL;
    if (!*++s->word)
        value_ended(s);
    return AG_SCAN_MORE;
}

bool ag_scan_is_done(const ag_scan *s) {
    return s->state == DONE || (s->depth == 0 && number_may_end(s->state));
}

bool ag_scan_in_string(const ag_scan *s) { return s->state >= STRING && s->state <= HEX; }

bool ag_scan_is_json(ag_span text) {
    ag_scan s = {0};
    for (size_t i = 0; i < text.n; i++) {
        if (ag_scan_in_string(&s) && (uint8_t)text.p[i] < 0x20)
            return false;
        if (ag_scan_byte(&s, (uint8_t)text.p[i]) == AG_SCAN_FAIL)
            return false;
    }
    return ag_scan_is_done(&s);
}

/* ---- strings --------------------------------------------------------------------------------- */

static void add_character(uint32_t cp, ag_buf *out) {
    char bytes[4];
    ag_buf_add(out, bytes, ag_utf8_encode(cp, bytes));
}

static void add_unit(ag_unescape *u, ag_buf *out) {
    u->state = 0;
    if (u->unit >= 0xD800 && u->unit <= 0xDBFF) {
        u->high = u->unit;
        return;
    }
    if (u->high)
        u->unit = 0x10000 + ((u->high - 0xD800) << 10) + (u->unit - 0xDC00);
    u->high = 0;
    add_character(u->unit, out);
}

void ag_unescape_byte(ag_unescape *u, uint8_t b, ag_buf *out) {
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (u->state == 0) {
        if (b == '\\')
            u->state = 1;
        else
            ag_buf_addc(out, (char)b);
    } else if (u->state > 1) {
        u->unit = u->unit << 4 | (uint32_t)hex_value(b);
        if (--u->state == 1)
            add_unit(u, out);
    } else if (b == 'u') {
        u->state = 5;
        u->unit = 0;
    } else {
        const char *at = strchr(from, b);
        u->state = 0;
        ag_buf_addc(out, at ? to[at - from] : (char)b);
    }
}

void ag_escape_json(ag_span text, ag_buf *out) {
    for (size_t i = 0; i < text.n; i++) {
        uint8_t b = (uint8_t)text.p[i];
        if (b == '"' || b == '\\')
            ag_buf_addc(out, '\\');
        if (b == '\n')
            ag_buf_adds(out, "\\n");
        else if (b == '\t')
            ag_buf_adds(out, "\\t");
        else if (b == '\r')
            ag_buf_adds(out, "\\r");
        else if (b < 0x20)
            ag_buf_addf(out, "\\u%04x", b);
        else
            ag_buf_addc(out, (char)b);
    }
}
