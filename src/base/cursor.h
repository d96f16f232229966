/* ag_cursor: the only way bytes from files and sockets are read. It never moves past the end, its
 * first error sticks with the offset where it happened, and after an error every read gives zero.
 * Callers read freely and check once. Little-endian. Thread: one at a time. */
#ifndef AG_BASE_CURSOR_H
#define AG_BASE_CURSOR_H

#include "base/span.h"

typedef struct ag_cursor {
    const uint8_t *p; /* borrowed */
    size_t n;         /* bytes in all */
    size_t at;        /* next byte */
    bool failed;      /* sticky */
    size_t fail_at;   /* offset of the first read that did not fit */
} ag_cursor;

static inline ag_cursor ag_cursor_of(const void *p, size_t n) {
    return (ag_cursor){.p = (const uint8_t *)p, .n = n};
}
static inline bool ag_cursor_has(const ag_cursor *c, size_t n) {
    return !c->failed && n <= c->n && c->at <= c->n - n;
}
/* n bytes, or NULL (and sticky failure) when fewer are left. */
static inline const uint8_t *ag_cursor_take(ag_cursor *c, size_t n) {
    if (!ag_cursor_has(c, n)) {
        if (!c->failed) {
            c->failed = true;
            c->fail_at = c->at;
        }
        return NULL;
    }
    const uint8_t *p = c->p + c->at;
    c->at += n;
    return p;
}
static inline uint8_t ag_cursor_u8(ag_cursor *c) {
    const uint8_t *p = ag_cursor_take(c, 1);
    return p ? *p : 0;
}
static inline uint16_t ag_cursor_u16(ag_cursor *c) {
    const uint8_t *p = ag_cursor_take(c, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}
static inline uint32_t ag_cursor_u32(ag_cursor *c) {
    const uint8_t *p = ag_cursor_take(c, 4);
    return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24
             : 0;
}
static inline uint64_t ag_cursor_u64(ag_cursor *c) {
    if (!ag_cursor_has(c, 8)) {
        ag_cursor_take(c, 8);
        return 0;
    }
    uint64_t lo = ag_cursor_u32(c);
    return lo | (uint64_t)ag_cursor_u32(c) << 32;
}
static inline float ag_cursor_f32(ag_cursor *c) {
    uint32_t u = ag_cursor_u32(c);
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

#endif
