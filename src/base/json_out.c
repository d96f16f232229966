#include "base/json_out.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"

static void separate(ag_buf *b) {
    char last = b->n ? b->p[b->n - 1] : '[';
    if (!strchr("{[:, \n", last))
        ag_buf_addc(b, ',');
}

void ag_json_open(ag_buf *b, char bracket) {
    separate(b);
    ag_buf_addc(b, bracket);
}

void ag_json_close(ag_buf *b, char bracket) { ag_buf_addc(b, bracket); }

void ag_json_key(ag_buf *b, const char *name) {
    separate(b);
    ag_buf_addc(b, '"');
    ag_buf_adds(b, name);
    ag_buf_add(b, "\":", 2);
}

void ag_json_key_text(ag_buf *b, ag_span name) {
    ag_json_text(b, name);
    ag_buf_addc(b, ':');
}

static void escape_control(ag_buf *b, unsigned char c) {
    const char *at = strchr("\bb\ff\nn\rr\tt\"\"\\\\", c); /* pairs: character, letter */
    if (c && at)
        ag_buf_add(b, (char[2]){'\\', at[1]}, 2);
    else
        ag_buf_addf(b, "\\u%04x", c);
}

void ag_json_escape(ag_buf *b, ag_span text) {
    size_t from = 0, at = 0;
    while (at < text.n) {
        unsigned char c = (unsigned char)text.p[at];
        if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
            at++;
            continue;
        }
        ag_utf8_step step = ag_utf8_next(ag_span_sub(text, at, text.n));
        if (c >= 0x80 && step.kind == AG_UTF8_OK) {
            at += step.n;
            continue;
        }
        if (at > from)
            ag_buf_add(b, text.p + from, at - from);
        if (c >= 0x80)
            ag_buf_add(b, "\xEF\xBF\xBD", 3);
        else
            escape_control(b, c);
        at += c >= 0x80 ? step.n : 1;
        from = at;
    }
    if (at > from)
        ag_buf_add(b, text.p + from, at - from);
}

void ag_json_text(ag_buf *b, ag_span text) {
    separate(b);
    ag_buf_addc(b, '"');
    ag_json_escape(b, text);
    ag_buf_addc(b, '"');
}

void ag_json_str(ag_buf *b, const char *text) {
    if (text)
        ag_json_text(b, ag_str(text));
    else
        ag_json_null(b);
}

void ag_json_raw(ag_buf *b, ag_span json) {
    separate(b);
    ag_buf_add(b, json.p, json.n);
}

/* Decimal digits of v, a minus in front when asked for, as one value. */
static void integer(ag_buf *b, uint64_t v, bool negative) {
    char digits[24];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    if (negative)
        digits[--at] = '-';
    ag_json_raw(b, ag_span_of(digits + at, sizeof digits - at));
}

void ag_json_u64(ag_buf *b, uint64_t v) { integer(b, v, false); }

void ag_json_i64(ag_buf *b, int64_t v) { integer(b, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, v < 0); }

/* Digits of v that strto reads back as the same value, with the fewest of `fewest` to `most`. */
static void shortest(ag_buf *b, double v, int fewest, int most, bool single) {
    char text[40];
    if (!isfinite(v)) {
        ag_json_null(b);
        return;
    }
    for (int digits = fewest; digits <= most; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v)
            break;
    }
    char *comma = strchr(text, ','); /* what some locales make of the point */
    if (comma)
        *comma = '.';
    ag_json_raw(b, ag_str(text));
}

void ag_json_f64(ag_buf *b, double v) { shortest(b, v, 15, 17, false); }
void ag_json_f32(ag_buf *b, float v) { shortest(b, (double)v, 6, 9, true); }
void ag_json_bool(ag_buf *b, bool v) { ag_json_raw(b, ag_str(v ? "true" : "false")); }
void ag_json_null(ag_buf *b) { ag_json_raw(b, ag_str("null")); }

size_t ag_json_step(char *to, size_t n, size_t cap, const char *key) {
    if (n + 1 < cap)
        to[n++] = '/';
    for (; *key; key++) {
        bool escaped = *key == '~' || *key == '/';
        if (n + 1 + escaped >= cap)
            break;
        to[n++] = escaped ? '~' : (unsigned char)*key < 0x20 ? '?' : *key;
        if (escaped)
            to[n++] = *key == '~' ? '0' : '1';
    }
    to[n] = 0;
    return n;
}
