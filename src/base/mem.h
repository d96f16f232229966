/* The only caller of malloc. Every block is tagged with the room that owns it, sizes are checked
 * for overflow, and faults can be injected (see fault.h).
 *
 * Thread: any. Counters are atomic. */
#ifndef AG_BASE_MEM_H
#define AG_BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

#define AG_ROOM_MAP(X)                                                                             \
    X(BASE, "base")                                                                                \
    X(LOAD, "load")                                                                                \
    X(MODEL, "model")                                                                              \
    X(WEIGHTS, "weights")                                                                          \
    X(TEXT, "text")                                                                                \
    X(GRAMMAR, "grammar")                                                                          \
    X(SAMPLE, "sample")                                                                            \
    X(KV, "kv")                                                                                    \
    X(CORE, "core")                                                                                \
    X(SCHED, "sched")                                                                              \
    X(API, "api")                                                                                  \
    X(NET, "net")                                                                                  \
    X(HUB, "hub")                                                                                  \
    X(OPS, "ops")                                                                                  \
    X(HTTP, "http")                                                                                \
    X(NAMES, "names")                                                                              \
    X(RUNTIME, "runtime")                                                                          \
    X(ROUTES, "routes")                                                                            \
    X(PROCESS, "process")                                                                          \
    X(CLI, "cli")                                                                                  \
    X(TEST, "test")

typedef enum ag_room {
#define AG_ROOM_ENUM(id, name) AG_ROOM_##id,
    AG_ROOM_MAP(AG_ROOM_ENUM)
#undef AG_ROOM_ENUM
        AG_ROOM_COUNT
} ag_room;

/* n bytes, uninitialised (alloc) or zeroed (calloc: n * size bytes). NULL when out of memory, when
 * n * size overflows, or when a fault was injected. n == 0 gives a valid pointer. */
void *ag_alloc(ag_room room, size_t n) __attribute__((malloc, warn_unused_result));
void *ag_calloc(ag_room room, size_t n, size_t size) __attribute__((malloc, warn_unused_result));
/* Grow or shrink to n * size bytes. On failure NULL, and `p` stays valid and owned by the caller.
 */
void *ag_realloc(ag_room room, void *p, size_t n, size_t size) __attribute__((warn_unused_result));
/* NUL-terminated copy of n bytes. */
char *ag_strndup(ag_room room, const char *s, size_t n) __attribute__((malloc, warn_unused_result));
/* NULL is accepted. */
void ag_free(void *p);

/* Zeroed page-aligned memory straight from the system, for KV and scratch; huge pages are asked
 * for. Give it back with the same size. */
void *ag_alloc_pages(ag_room room, size_t n) __attribute__((malloc, warn_unused_result));
/* The same in small pages, for weights: these are read from one end to the other, which is no
 * faster with huge pages, and a start waits until the system has found and cleared all of them. */
void *ag_alloc_small_pages(ag_room room, size_t n) __attribute__((malloc, warn_unused_result));
void ag_free_pages(ag_room room, void *p, size_t n);
/* Bytes of a mapped file that stand for pages of a room count as its own, until they are let go. */
void ag_mem_count(ag_room room, size_t n);
void ag_mem_uncount(ag_room room, size_t n);

/* Give what was freed, and lies in the allocator's store, back to the system. Takes milliseconds.
 */
void ag_mem_trim(void);
/* From now on blocks of a MiB or more, and as much at the end of a heap, go back to the system when
 * they are freed; glibc would learn from the first of them to keep up to 64 MiB a heap. For
 * processes that live long, before their threads start. */
void ag_mem_return_large(void);

/* The next multiple of `to` from n on. */
static inline size_t ag_round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* Bytes now held by a room. */
size_t ag_mem_bytes(ag_room room);
const char *ag_room_name(ag_room room);

/* Between begin and end any allocation on this thread is a broken invariant: it aborts with the
 * phase's name. The token step runs inside. Pairs do not nest. In release builds (NDEBUG) the check
 * is off: a late allocation is slow, an abort is worse. */
void ag_alloc_guard_begin(const char *phase);
void ag_alloc_guard_end(void);

#endif
