#include "base/utf8.h"

ag_utf8_step ag_utf8_next(ag_span s) {
    const unsigned char *p = (const unsigned char *)s.p;
    if (p[0] < 0x80)
        return (ag_utf8_step){AG_UTF8_OK, p[0], 1};
    size_t need;                           /* bytes of the whole sequence */
    unsigned char low = 0x80, high = 0xBF; /* allowed second byte */
    uint32_t cp;
    if (p[0] >= 0xC2 && p[0] <= 0xDF) {
        need = 2;
        cp = p[0] & 0x1Fu;
    } else if (p[0] >= 0xE0 && p[0] <= 0xEF) {
        need = 3;
        cp = p[0] & 0x0Fu;
        if (p[0] == 0xE0)
            low = 0xA0;
        if (p[0] == 0xED)
            high = 0x9F;
    } else if (p[0] >= 0xF0 && p[0] <= 0xF4) {
        need = 4;
        cp = p[0] & 0x07u;
        if (p[0] == 0xF0)
            low = 0x90;
        if (p[0] == 0xF4)
            high = 0x8F;
    } else {
        return (ag_utf8_step){AG_UTF8_BAD, AG_UTF8_REPLACEMENT, 1};
    }
    for (size_t i = 1; i < need; i++) {
        if (i == s.n)
            return (ag_utf8_step){AG_UTF8_INCOMPLETE, AG_UTF8_REPLACEMENT, i};
        if (p[i] < low || p[i] > high)
            return (ag_utf8_step){AG_UTF8_BAD, AG_UTF8_REPLACEMENT, i};
        cp = cp << 6 | (p[i] & 0x3Fu);
        low = 0x80;
        high = 0xBF;
    }
    return (ag_utf8_step){AG_UTF8_OK, cp, need};
}

size_t ag_utf8_encode(uint32_t cp, char out[4]) {
    if (cp > 0x10FFFF || (cp >= 0xD800 && cp <= 0xDFFF))
        cp = AG_UTF8_REPLACEMENT;
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

size_t ag_utf8_valid_prefix(ag_span s) {
    size_t at = 0;
    while (at < s.n) {
        uint64_t eight;
        for (; s.n - at >= 8; at += 8) { /* ASCII, eight bytes at once */
            memcpy(&eight, s.p + at, 8);
            if (eight & 0x8080808080808080u)
                break;
        }
        if (at == s.n)
            break;
        ag_utf8_step c = ag_utf8_next(ag_span_sub(s, at, s.n));
        if (c.kind != AG_UTF8_OK)
            break;
        at += c.n;
    }
    return at;
}

bool ag_utf8_repair(ag_span s, ag_buf *out) {
    while (s.n > 0) {
        size_t good = ag_utf8_valid_prefix(s);
        ag_buf_add(out, s.p, good);
        s = ag_span_sub(s, good, s.n);
        if (s.n == 0)
            break;
        ag_utf8_step c = ag_utf8_next(s);
        ag_buf_add(out, "\xEF\xBF\xBD", 3);
        s = ag_span_sub(s, c.n, s.n);
    }
    return !out->failed;
}

size_t ag_utf8_length(ag_span s) {
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}
