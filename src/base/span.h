/* ag_span: borrowed bytes, never freed by who holds it. ag_buf: owned, growable bytes with a cap.
 *
 * Thread: each object belongs to one thread at a time. */
#ifndef AG_BASE_SPAN_H
#define AG_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

typedef struct ag_span {
    const char *p; /* not terminated; may be NULL when n is 0 */
    size_t n;      /* bytes */
} ag_span;

/* Printf helper: printf("%.*s", AG_SPAN(s)); longer than INT_MAX is cut. */
#define AG_SPAN(s) (int)((s).n < 0x7fffffff ? (s).n : 0x7fffffff), ((s).p ? (s).p : "")

static inline ag_span ag_span_of(const void *p, size_t n) { return (ag_span){(const char *)p, n}; }
static inline ag_span ag_str(const char *s) { return (ag_span){s, s ? strlen(s) : 0}; }
static inline bool ag_span_eq(ag_span a, ag_span b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool ag_span_is(ag_span a, const char *s) { return ag_span_eq(a, ag_str(s)); }
static inline bool ag_span_starts(ag_span a, ag_span prefix) {
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}
static inline bool ag_span_ends(ag_span a, ag_span tail) {
    return a.n >= tail.n && (tail.n == 0 || memcmp(a.p + a.n - tail.n, tail.p, tail.n) == 0);
}
/* Bytes [from, to) of a; both are clamped. */
static inline ag_span ag_span_sub(ag_span a, size_t from, size_t to) {
    if (to > a.n)
        to = a.n;
    if (from > to)
        from = to;
    return (ag_span){a.n ? a.p + from : a.p, to - from};
}
/* Offset of the first `needle` at or after `from`, or SIZE_MAX. */
size_t ag_span_find(ag_span hay, ag_span needle, size_t from);

/* v as n little-endian bytes; ag_cursor reads them. */
static inline void ag_put_le(void *to, uint64_t v, size_t n) {
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)to)[i] = (uint8_t)(v >> 8 * i);
}

typedef struct ag_buf {
    char *p;     /* owned; NULL until the first append */
    size_t n;    /* bytes used */
    size_t room; /* bytes allocated */
    size_t cap;  /* n never passes this */
    ag_room tag; /* who pays */
    bool failed; /* sticky: an append was refused (cap or memory); contents end before it */
    bool over;   /* the refusal was for the cap */
} ag_buf;

/* An empty buffer that may grow to cap bytes. Never fails. */
static inline void ag_buf_init(ag_buf *b, ag_room tag, size_t cap) {
    *b = (ag_buf){.cap = cap, .tag = tag};
}
void ag_buf_deinit(ag_buf *b);
/* Append; false (and sticky failure) past the cap or out of memory. Checking once at the end with
 * ag_buf_check() is enough. */
bool ag_buf_add(ag_buf *b, const void *p, size_t n);
bool ag_buf_adds(ag_buf *b, const char *s);
bool ag_buf_addc(ag_buf *b, char c);
/* v as n (up to 8) little-endian bytes. */
bool ag_buf_add_le(ag_buf *b, uint64_t v, size_t n);
bool ag_buf_addf(ag_buf *b, const char *fmt, ...) AG_PRINTF(2, 3);
/* Make room for n more bytes; they are written at b->p + b->n and claimed with b->n += n. */
bool ag_buf_reserve(ag_buf *b, size_t n);
/* AG_OK, AG_E_LIMIT or AG_E_NOMEM, for the first append refused. `what` names the buffer. */
ag_code ag_buf_check(const ag_buf *b, const char *what, ag_err *err);
static inline ag_span ag_buf_span(const ag_buf *b) { return (ag_span){b->p, b->n}; }
/* Contents as a C string (terminated beyond n), or NULL out of memory. Stays owned by b. */
const char *ag_buf_cstr(ag_buf *b);

#endif
