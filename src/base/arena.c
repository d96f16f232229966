#include "base/arena.h"

struct ag_arena_chunk {
    ag_arena_chunk *older;
    size_t used, room; /* bytes of data */
};
#define CHUNK_HEAD ((sizeof(ag_arena_chunk) + 15) / 16 * 16)

void ag_arena_deinit(ag_arena *a) {
    for (ag_arena_chunk *c = a->last; c;) {
        ag_arena_chunk *older = c->older;
        ag_free(c);
        c = older;
    }
    *a = (ag_arena){.tag = a->tag, .cap = a->cap};
}

void *ag_arena_get(ag_arena *a, size_t n) {
    if (n > a->cap || a->bytes > a->cap - n || n > SIZE_MAX - 64)
        return NULL;
    n = (n + 15) / 16 * 16;
    if (!a->last || a->last->room - a->last->used < n) {
        size_t room = a->last ? a->last->room * 2 : 4096;
        if (room > (size_t)1 << 20)
            room = (size_t)1 << 20;
        if (room < n)
            room = n;
        if (room > SIZE_MAX - CHUNK_HEAD)
            return NULL;
        ag_arena_chunk *c = ag_alloc(a->tag, CHUNK_HEAD + room);
        if (!c)
            return NULL;
        *c = (ag_arena_chunk){.older = a->last, .room = room};
        a->last = c;
    }
    char *p = (char *)a->last + CHUNK_HEAD + a->last->used;
    a->last->used += n;
    a->bytes += n;
    memset(p, 0, n);
    return p;
}

void *ag_arena_array(ag_arena *a, size_t n, size_t size) {
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : ag_arena_get(a, bytes);
}

char *ag_arena_strndup(ag_arena *a, const char *s, size_t n) {
    char *p = n < SIZE_MAX ? ag_arena_get(a, n + 1) : NULL;
    if (p && n)
        memcpy(p, s, n);
    return p;
}
