/* Strings: building, slicing, searching. Case and character classes are in unicode.c. */
#include "text/template/str.h"

#include "text/template/value.h"

/* ---- the builder ----------------------------------------------------------------------------- */

static bool grow(tpl_builder *b, size_t n) {
    if (b->cap && (n > b->cap || b->n > b->cap - n)) {
        ag_tpl_fail_as(b->r, AG_E_LIMIT, "the rendered prompt is larger than %zu bytes", b->cap);
        return false;
    }
    if (n <= b->room - b->n)
        return true;
    size_t room = b->room < 64 ? 64 : b->room * 2;
    if (room < b->n + n)
        room = b->n + n;
    char *p = ag_tpl_alloc(b->r, room, 1);
    uint8_t *marks = b->marks && p ? ag_tpl_alloc(b->r, room, 1) : NULL;
    if (!p || (b->marks && !marks))
        return false;
    if (b->n)
        memcpy(p, b->p, b->n);
    if (b->marks)
        memcpy(marks, b->marks, b->n);
    b->p = p;
    b->marks = marks;
    b->room = room;
    return true;
}

/* Make ready for bytes of kind `taint`: turn to an array of marks when kinds meet. */
static bool mix(tpl_builder *b, tpl_taint taint) {
    if (b->n == 0 && !b->marks && taint != TPL_MIXED) {
        b->taint = taint;
        return true;
    }
    if (b->marks || b->taint == taint)
        return b->marks || taint != TPL_MIXED;
    b->marks = ag_tpl_alloc(b->r, b->room, 1);
    if (!b->marks)
        return false;
    memset(b->marks, b->taint == TPL_MARKED, b->n);
    b->taint = TPL_MIXED;
    return true;
}

void ag_tpl_add(tpl_builder *b, const char *p, size_t n, bool marked) {
    if (n == 0 || tpl_failed(b->r) || !ag_tpl_spend(b->r, n / 64))
        return;
    if (!grow(b, n) || !mix(b, marked ? TPL_MARKED : TPL_CLEAN))
        return;
    memcpy(b->p + b->n, p, n);
    if (b->marks)
        memset(b->marks + b->n, marked, n);
    b->n += n;
}

void ag_tpl_adds(tpl_builder *b, const char *s) { ag_tpl_add(b, s, strlen(s), false); }

void ag_tpl_add_cp(tpl_builder *b, uint32_t cp, bool marked) {
    char bytes[4];
    ag_tpl_add(b, bytes, ag_utf8_encode(cp, bytes), marked);
}

void ag_tpl_add_part(tpl_builder *b, const tpl_str *s, size_t from, size_t to) {
    if (!s || from >= to)
        return;
    if (s->taint != TPL_MIXED) {
        ag_tpl_add(b, s->p + from, to - from, s->taint == TPL_MARKED);
        return;
    }
    size_t n = to - from;
    if (tpl_failed(b->r) || !ag_tpl_spend(b->r, n / 64) || !grow(b, n) || !mix(b, TPL_MIXED))
        return;
    memcpy(b->p + b->n, s->p + from, n);
    memcpy(b->marks + b->n, s->marks + from, n);
    b->n += n;
}

const tpl_str *ag_tpl_built(tpl_builder *b) {
    if (tpl_failed(b->r))
        return NULL;
    tpl_str *s = ag_tpl_alloc(b->r, 1, sizeof *s);
    if (s)
        *s = (tpl_str){.p = b->n ? b->p : "", .n = b->n, .marks = b->marks, .taint = b->taint};
    return s;
}

/* ---- making strings -------------------------------------------------------------------------- */

const tpl_str *ag_tpl_str(tpl_run *r, const char *p, size_t n, bool marked) {
    tpl_builder b = tpl_builder_of(r);
    ag_tpl_add(&b, p, n, marked);
    return ag_tpl_built(&b);
}

const tpl_str *ag_tpl_str_sub(tpl_run *r, const tpl_str *s, size_t from, size_t to) {
    if (!s || (from == 0 && to == s->n))
        return s;
    tpl_str *sub = ag_tpl_alloc(r, 1, sizeof *sub);
    if (!sub)
        return NULL;
    *sub = *s;
    sub->p = s->p + from;
    sub->n = to - from;
    if (s->marks)
        sub->marks = s->marks + from;
    return sub;
}

const tpl_str *ag_tpl_str_as(tpl_run *r, const tpl_str *s, bool markup) {
    if (!s || s->markup == markup)
        return s;
    tpl_str *copy = ag_tpl_alloc(r, 1, sizeof *copy);
    if (!copy)
        return NULL;
    *copy = *s;
    copy->markup = markup;
    return copy;
}

const tpl_str *ag_tpl_str_escape(tpl_run *r, const tpl_str *s) {
    if (!s || s->markup)
        return s;
    tpl_builder b = tpl_builder_of(r);
    size_t done = 0;
    for (size_t i = 0; i < s->n; i++) {
        const char *to = NULL;
        switch (s->p[i]) {
        case '&':
            to = "&amp;";
            break;
        case '<':
            to = "&lt;";
            break;
        case '>':
            to = "&gt;";
            break;
        case '\'':
            to = "&#39;";
            break;
        case '"':
            to = "&#34;";
            break;
        default:
            continue;
        }
        ag_tpl_add_part(&b, s, done, i);
        ag_tpl_add(&b, to, strlen(to), tpl_marked_at(s, i));
        done = i + 1;
    }
    ag_tpl_add_part(&b, s, done, s->n);
    return ag_tpl_str_as(r, ag_tpl_built(&b), true);
}

const tpl_str *ag_tpl_str_soft(tpl_run *r, const tpl_str *like, const tpl_str *s) {
    return like && like->markup ? ag_tpl_str_escape(r, s) : s;
}

const tpl_str *ag_tpl_str_concat(tpl_run *r, const tpl_str *a, const tpl_str *b) {
    if (!a || !b)
        return NULL;
    bool markup = a->markup || b->markup;
    if (markup) {
        a = ag_tpl_str_escape(r, a);
        b = ag_tpl_str_escape(r, b);
        if (!a || !b)
            return NULL;
    }
    if (b->n == 0 && a->markup == markup)
        return a;
    if (a->n == 0 && b->markup == markup)
        return b;
    tpl_builder sum = tpl_builder_of(r);
    if (!grow(&sum, a->n + b->n))
        return NULL;
    tpl_add_all(&sum, a);
    tpl_add_all(&sum, b);
    return ag_tpl_str_as(r, ag_tpl_built(&sum), markup);
}

/* ---- code points ----------------------------------------------------------------------------- */

uint32_t ag_tpl_cp(const tpl_str *s, size_t at, size_t *n) {
    uint8_t c = (uint8_t)s->p[at];
    if (c < 0x80) {
        *n = 1;
        return c;
    }
    ag_utf8_step step = ag_utf8_next(ag_span_of(s->p + at, s->n - at));
    *n = step.n;
    return step.cp;
}

static bool is_start(char c) { return ((uint8_t)c & 0xc0) != 0x80; }

size_t ag_tpl_str_length(const tpl_str *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        n += is_start(s->p[i]);
    return n;
}

size_t ag_tpl_offset(const tpl_str *s, size_t index) {
    size_t at = 0;
    for (; at < s->n; at++)
        if (is_start(s->p[at]) && index-- == 0)
            break;
    return at;
}

size_t ag_tpl_line_end(const tpl_str *s, size_t at) {
    size_t n;
    uint32_t cp = ag_tpl_cp(s, at, &n);
    if (cp == '\r')
        return at + 1 < s->n && s->p[at + 1] == '\n' ? 2 : 1;
    bool ends = (cp >= '\n' && cp <= '\f') || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 ||
                cp == 0x2028 || cp == 0x2029;
    return ends ? n : 0;
}

static bool strips(const tpl_str *chars, uint32_t cp) {
    if (!chars)
        return ag_tpl_is_space(cp);
    for (size_t at = 0, n; at < chars->n; at += n)
        if (ag_tpl_cp(chars, at, &n) == cp)
            return true;
    return false;
}

const tpl_str *ag_tpl_str_strip(tpl_run *r, const tpl_str *s, const tpl_str *chars,
                                tpl_strip sides) {
    if (!s || !ag_tpl_spend(r, chars ? chars->n / 16 * (s->n / 64) : 0))
        return NULL;
    size_t from = 0, to = s->n, n;
    while ((sides & TPL_STRIP_LEFT) && from < to && strips(chars, ag_tpl_cp(s, from, &n)))
        from += n;
    while ((sides & TPL_STRIP_RIGHT) && to > from) {
        size_t at = to - 1;
        while (at > from && !is_start(s->p[at]))
            at--;
        if (!strips(chars, ag_tpl_cp(s, at, &n)))
            break;
        to = at;
    }
    return ag_tpl_str_sub(r, s, from, to);
}

size_t ag_tpl_str_find(tpl_run *r, const tpl_str *s, const tpl_str *needle, size_t from) {
    if (from > s->n || needle->n > s->n - from || tpl_failed(r))
        return SIZE_MAX;
    if (needle->n == 0)
        return from;
    /* memmem is linear; a hostile needle would make a naive search quadratic. The window grows, so
     * that the cost is that of the distance even where memmem is checked over its whole range. */
    size_t window = needle->n + 256, at = from;
    for (;; window *= 2) {
        size_t n = s->n - at < window ? s->n - at : window;
        if (!ag_tpl_spend(r, 1 + n / 64))
            return SIZE_MAX;
        const char *found = memmem(s->p + at, n, needle->p, needle->n);
        if (found)
            return (size_t)(found - s->p);
        if (at + n == s->n)
            return SIZE_MAX;
        at += n - needle->n + 1;
    }
}

size_t ag_tpl_str_rfind(tpl_run *r, const tpl_str *s, const tpl_str *needle, size_t to) {
    if (needle->n > to)
        return SIZE_MAX;
    for (size_t at = to - needle->n;; at--) {
        if (memcmp(s->p + at, needle->p, needle->n) == 0)
            return at;
        if (at == 0 || !ag_tpl_spend(r, 1 + needle->n / 64))
            return SIZE_MAX;
    }
}

/* Python puts the replacement between all characters when `from` is empty. */
static const tpl_str *interleave(tpl_run *r, const tpl_str *s, const tpl_str *to, int64_t max) {
    tpl_builder b = tpl_builder_of(r);
    size_t at = 0, n;
    for (; max != 0 && !tpl_failed(r); at += n, max--) {
        tpl_add_all(&b, to);
        if (at >= s->n)
            break;
        ag_tpl_cp(s, at, &n);
        ag_tpl_add_part(&b, s, at, at + n);
    }
    ag_tpl_add_part(&b, s, at < s->n ? at : s->n, s->n);
    return ag_tpl_built(&b);
}

const tpl_str *ag_tpl_str_replace(tpl_run *r, const tpl_str *s, const tpl_str *from,
                                  const tpl_str *to, int64_t max) {
    if (!s || !from || !to)
        return NULL;
    if (from->n == 0)
        return interleave(r, s, to, max);
    size_t at = ag_tpl_str_find(r, s, from, 0), done = 0;
    if (at == SIZE_MAX || max == 0)
        return s;
    tpl_builder b = tpl_builder_of(r);
    for (; at != SIZE_MAX && max != 0 && !tpl_failed(r); max--) {
        ag_tpl_add_part(&b, s, done, at);
        tpl_add_all(&b, to);
        done = at + from->n;
        at = ag_tpl_str_find(r, s, from, done);
    }
    ag_tpl_add_part(&b, s, done, s->n);
    return ag_tpl_built(&b);
}
