#include "base/span.h"

#include <stdarg.h>
#include <stdio.h>

size_t ag_span_find(ag_span hay, ag_span needle, size_t from) {
    if (from > hay.n || needle.n > hay.n - from)
        return SIZE_MAX;
    if (needle.n == 0)
        return from;
    const char *end = hay.p + (hay.n - needle.n) + 1;
    for (const char *at = hay.p + from; at < end; at++) {
        at = memchr(at, needle.p[0], (size_t)(end - at));
        if (!at)
            return SIZE_MAX;
        if (memcmp(at, needle.p, needle.n) == 0)
            return (size_t)(at - hay.p);
    }
    return SIZE_MAX;
}

void ag_buf_deinit(ag_buf *b) {
    ag_free(b->p);
    *b = (ag_buf){.cap = b->cap, .tag = b->tag};
}

bool ag_buf_reserve(ag_buf *b, size_t n) {
    if (b->failed)
        return false;
    if (n > b->cap || b->n > b->cap - n) {
        b->failed = b->over = true;
        return false;
    }
    if (b->n + n <= b->room)
        return true;
    size_t want = b->room < 64 ? 64 : b->room * 2;
    if (want > b->cap)
        want = b->cap;
    if (want < b->n + n)
        want = b->n + n;
    char *p = ag_realloc(b->tag, b->p, want, 1);
    if (!p) {
        b->failed = true;
        return false;
    }
    b->p = p;
    b->room = want;
    return true;
}

bool ag_buf_add(ag_buf *b, const void *p, size_t n) {
    if (!ag_buf_reserve(b, n))
        return false;
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    return true;
}

bool ag_buf_add_le(ag_buf *b, uint64_t v, size_t n) {
    uint8_t bytes[sizeof v];
    ag_put_le(bytes, v, n);
    return ag_buf_add(b, bytes, n);
}

bool ag_buf_adds(ag_buf *b, const char *s) { return ag_buf_add(b, s, strlen(s)); }
bool ag_buf_addc(ag_buf *b, char c) { return ag_buf_add(b, &c, 1); }

bool ag_buf_addf(ag_buf *b, const char *fmt, ...) {
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    bool ok = n >= 0 && ag_buf_reserve(b, (size_t)n + 1);
    if (ok) {
        vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
        b->n += (size_t)n;
    }
    va_end(again);
    return ok;
}

ag_code ag_buf_check(const ag_buf *b, const char *what, ag_err *err) {
    if (!b->failed)
        return AG_OK;
    if (b->over)
        return ag_fail(err, AG_E_LIMIT, "%s is larger than its limit of %zu bytes", what, b->cap);
    return ag_fail(err, AG_E_NOMEM, "out of memory while building %s", what);
}

const char *ag_buf_cstr(ag_buf *b) {
    if (b->n == b->room) { /* the terminator does not count towards the cap */
        char *p = ag_realloc(b->tag, b->p, b->n + 1, 1);
        if (!p)
            return NULL;
        b->p = p;
        b->room = b->n + 1;
    }
    b->p[b->n] = '\0';
    return b->p;
}
