#include "http/check.h"

#include <string.h>
#include <strings.h>

#include "base/utf8.h"

#define FINE ((ag_http_fault){0, NULL})
static ag_http_fault fault(int status, const char *reason) {
    return (ag_http_fault){status, reason};
}

/* ---- the target --------------------------------------------------------------------------------
 */

static int hex(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decode `raw` into a string of `a`; in a query "+" is a space. */
static ag_http_fault decode(ag_arena *a, ag_span raw, bool query, const char **out) {
    char *p = ag_arena_get(a, raw.n + 1);
    if (!p)
        return fault(503, "Out of memory.");
    size_t n = 0;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            int high = i + 2 < raw.n ? hex(raw.p[i + 1]) : -1;
            int low = high >= 0 ? hex(raw.p[i + 2]) : -1;
            if (low < 0)
                return fault(400, "The request target has a broken percent-encoding.");
            c = (char)(high << 4 | low);
            i += 2;
        } else if (query && c == '+') {
            c = ' ';
        }
        if (c == '\0')
            return fault(400, "The request target has a NUL byte.");
        p[n++] = c;
    }
    p[n] = '\0';
    if (!ag_utf8_is_valid(ag_span_of(p, n)))
        return fault(400, "The request target is not UTF-8 after decoding.");
    *out = p;
    return FINE;
}

static ag_http_fault decode_query(ag_http_target *t, ag_arena *a, ag_span raw) {
    size_t at = 0;
    while (at < raw.n) {
        size_t end = ag_span_find(raw, ag_str("&"), at);
        ag_span pair = ag_span_sub(raw, at, end);
        at += pair.n + 1;
        if (pair.n == 0)
            continue;
        if (t->n_query == AG_MAX_QUERY_PARAMS)
            return fault(414, "The request target has too many parameters.");
        size_t eq = ag_span_find(pair, ag_str("="), 0);
        ag_span name = ag_span_sub(pair, 0, eq);
        ag_span value = eq == SIZE_MAX ? ag_str("") : ag_span_sub(pair, eq + 1, pair.n);
        ag_http_fault f = decode(a, name, true, &t->query[t->n_query].name);
        if (!f.status)
            f = decode(a, value, true, &t->query[t->n_query].value);
        if (f.status)
            return f;
        t->n_query++;
    }
    return FINE;
}

/* The absolute form names scheme and authority first; what counts here begins at the path. */
static ag_span skip_authority(ag_span raw) {
    for (size_t i = 0; i < 2; i++) {
        ag_span scheme = ag_str(i ? "https://" : "http://");
        if (raw.n < scheme.n || strncasecmp(raw.p, scheme.p, scheme.n) != 0)
            continue;
        size_t slash = ag_span_find(raw, ag_str("/"), scheme.n);
        return slash == SIZE_MAX ? ag_str("/") : ag_span_sub(raw, slash, raw.n);
    }
    return raw;
}

ag_http_fault ag_http_target_parse(ag_http_target *t, ag_arena *a, ag_span raw) {
    t->n_query = 0;
    t->path = "/";
    for (size_t i = 0; i < raw.n; i++) {
        unsigned char c = (unsigned char)raw.p[i];
        if (c <= ' ' || c == 0x7f)
            return fault(400, "The request target has a space or control character.");
    }
    raw = skip_authority(raw);
    if (!ag_span_starts(raw, ag_str("/")))
        return fault(400, "The request target must be a path that starts with a slash.");
    raw = ag_span_sub(raw, 0, ag_span_find(raw, ag_str("#"), 0));
    size_t mark = ag_span_find(raw, ag_str("?"), 0);
    ag_http_fault f = decode(a, ag_span_sub(raw, 0, mark), false, &t->path);
    if (f.status || mark == SIZE_MAX)
        return f;
    return decode_query(t, a, ag_span_sub(raw, mark + 1, raw.n));
}

/* ---- header fields -----------------------------------------------------------------------------
 */

bool ag_http_is_token(ag_span s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return s.n > 0;
}

/* Tab is the one control character that a value may have. CR ends no line, and a fold leaves one
 * behind: neither is taken. */
static bool is_field_value(ag_span s) {
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static ag_span trim(ag_span s) {
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = ag_span_sub(s, 1, s.n);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static bool same(ag_span a, const char *b) {
    return a.n == strlen(b) && strncasecmp(a.p, b, a.n) == 0;
}

static ag_http_fault content_length(ag_http_fields *f, ag_span value) {
    if (f->n_length++)
        return fault(400, "Content-Length was sent more than once.");
    if (value.n == 0 || value.n > 18)
        return fault(400, "Content-Length is not a number.");
    f->length = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return fault(400, "Content-Length is not a number.");
        f->length = f->length * 10 + (uint64_t)(value.p[i] - '0');
    }
    return FINE;
}

static ag_http_fault transfer_encoding(ag_http_fields *f, ag_span value) {
    if (f->n_coding++)
        return fault(400, "Transfer-Encoding was sent more than once.");
    if (f->http10)
        return fault(400, "Transfer-Encoding does not exist in HTTP/1.0.");
    if (!same(value, "chunked"))
        return fault(501, "The only transfer coding is chunked.");
    return FINE;
}

ag_http_fault ag_http_fields_add(ag_http_fields *f, ag_span name, ag_span value) {
    if (++f->n > f->max)
        return fault(431, "The request has too many header fields.");
    if (!ag_http_is_token(name))
        return fault(400, "A header field's name has a character that is not allowed.");
    if (!is_field_value(value))
        return fault(400, "A header field's value has a control character or a folded line.");
    value = trim(value);
    if (same(name, "content-length"))
        return content_length(f, value);
    if (same(name, "transfer-encoding"))
        return transfer_encoding(f, value);
    if (same(name, "host") && f->n_host++)
        return fault(400, "Host was sent more than once.");
    if (same(name, "expect") && !same(value, "100-continue"))
        return fault(417, "The only expectation that is known is 100-continue.");
    return FINE;
}

ag_http_fault ag_http_fields_end(const ag_http_fields *f) {
    if (f->n_length && f->n_coding)
        return fault(400, "Content-Length and Transfer-Encoding were sent together.");
    if (!f->http10 && f->n_host == 0)
        return fault(400, "Host is missing.");
    return FINE;
}
