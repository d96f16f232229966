/* ag_arena: many small allocations, freed whole. For things that live as long as one request or one
 * loaded file. Thread: one at a time. */
#ifndef AG_BASE_ARENA_H
#define AG_BASE_ARENA_H

#include "base/span.h"

typedef struct ag_arena_chunk ag_arena_chunk;

typedef struct ag_arena {
    ag_arena_chunk *last; /* newest chunk; older ones hang behind it */
    size_t bytes;         /* handed out in all */
    size_t cap;           /* bytes never passes this */
    ag_room tag;
} ag_arena;

static inline void ag_arena_init(ag_arena *a, ag_room tag, size_t cap) {
    *a = (ag_arena){.tag = tag, .cap = cap};
}
void ag_arena_deinit(ag_arena *a);
/* n zeroed bytes aligned to 16, or NULL past the cap or out of memory. */
void *ag_arena_get(ag_arena *a, size_t n);
/* n * size bytes, checked. */
void *ag_arena_array(ag_arena *a, size_t n, size_t size);
/* NUL-terminated copy. */
char *ag_arena_strndup(ag_arena *a, const char *s, size_t n);

#endif
