/* Escapes in string literals, as Python's unicode-escape codec reads them. */
#include <stdio.h>

#include "base/utf8.h"
#include "text/template/unescape.h"

typedef struct unescaper {
    char *p;
    size_t n;
} unescaper;

static void put(unescaper *u, uint32_t cp) { u->n += ag_utf8_encode(cp, u->p + u->n); }

static int hex_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char simple(char c) {
    static const char from[] = "abfnrtv\\'\"", to[] = "\a\b\f\n\r\t\v\\'\"";
    const char *at = c ? strchr(from, c) : NULL;
    return at ? to[at - from] : 0;
}

/* `digits` hexadecimal digits at s[at], or -1. */
static int64_t hex(ag_span s, size_t at, size_t digits) {
    int64_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        int d = at + i < s.n ? hex_of(s.p[at + i]) : -1;
        if (d < 0)
            return -1;
        value = value * 16 + d;
    }
    return value;
}

static size_t octal(ag_span s, size_t at, unescaper *u) {
    uint32_t value = 0;
    size_t i = at;
    for (; i < s.n && i < at + 3 && s.p[i] >= '0' && s.p[i] <= '7'; i++)
        value = value * 8 + (uint32_t)(s.p[i] - '0');
    put(u, value);
    return i;
}

/* The reference first writes characters outside ASCII as escapes of their own, so a backslash in
 * front of one is an escaped backslash, and the letters of that escape remain. */
static size_t odd_escape(ag_span s, size_t at, unescaper *u) {
    ag_utf8_step step = ag_utf8_next(ag_span_sub(s, at, s.n));
    char text[16];
    int n = step.cp < 0x100     ? snprintf(text, sizeof text, "\\x%02x", step.cp)
            : step.cp < 0x10000 ? snprintf(text, sizeof text, "\\u%04x", step.cp)
                                : snprintf(text, sizeof text, "\\U%08x", step.cp);
    memcpy(u->p + u->n, text, (size_t)n);
    u->n += (size_t)n;
    return at + step.n;
}

/* The escape whose letter is at s[at]; the offset behind it, or 0 when it is malformed. */
static size_t escape(ag_span s, size_t at, unescaper *u) {
    char c = s.p[at];
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits) {
        int64_t cp = hex(s, at + 1, digits);
        if (cp < 0 || cp > 0x10ffff || (cp >= 0xd800 && cp < 0xe000))
            return 0;
        put(u, (uint32_t)cp);
        return at + 1 + digits;
    }
    if (c >= '0' && c <= '7')
        return octal(s, at, u);
    if (c == '\n')
        return at + 1;
    if (c == 'N')
        return 0;
    if ((uint8_t)c >= 0x80)
        return odd_escape(s, at, u);
    if (simple(c)) {
        put(u, (uint8_t)simple(c));
    } else {
        put(u, '\\');
        put(u, (uint8_t)c);
    }
    return at + 1;
}

ag_code ag_tpl_unescape(ag_arena *arena, ag_span s, uint32_t line, ag_span *out, ag_err *err) {
    *out = s;
    if (!s.n || !memchr(s.p, '\\', s.n))
        return AG_OK;
    /* No escape is shorter than half of what it stands for, odd ones grow fivefold. */
    unescaper u = {.p = ag_arena_array(arena, s.n, 5)};
    if (!u.p)
        return ag_fail(err, AG_E_NOMEM, "out of memory while parsing the chat template");
    for (size_t at = 0; at < s.n;) {
        if (s.p[at] != '\\') {
            u.p[u.n++] = s.p[at++];
            continue;
        }
        size_t end = at + 1 < s.n ? escape(s, at + 1, &u) : 0;
        if (!end)
            return ag_fail(err, AG_E_TEMPLATE,
                           "chat template, line %u: malformed escape \"%.*s\" in a string", line,
                           (int)(s.n - at < 10 ? s.n - at : 10), s.p + at);
        at = end;
    }
    *out = (ag_span){u.p, u.n};
    return AG_OK;
}
