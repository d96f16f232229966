#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "base/fault.h"

/* In front of every block. 16 bytes keep malloc's alignment. */
typedef struct header {
    size_t bytes; /* asked for by the caller */
    size_t room;
} header;
_Static_assert(sizeof(header) == 16, "the header must keep 16-byte alignment");

static _Atomic size_t held[AG_ROOM_COUNT];
static _Thread_local const char *guard_phase;

static void check_guard(void) {
#ifdef NDEBUG
    const bool on = false;
#else
    const bool on = true;
#endif
    if (on && guard_phase) {
        fprintf(stderr, "autoglm: allocation during \"%s\"\n", guard_phase);
        abort();
    }
}

void ag_alloc_guard_begin(const char *phase) { guard_phase = phase; }
void ag_alloc_guard_end(void) { guard_phase = NULL; }

/* A block of nothing has a byte, so that its pointer lies inside the block: leak checkers take one
 * that nobody points into for lost. */
static size_t with_header(size_t n) { return sizeof(header) + (n ? n : 1); }

static void *finish(header *h, ag_room room, size_t n) {
    h->bytes = n;
    h->room = (size_t)room;
    atomic_fetch_add_explicit(&held[room], n, memory_order_relaxed);
    return h + 1;
}

void *ag_alloc(ag_room room, size_t n) {
    check_guard();
    if (n > SIZE_MAX - sizeof(header) || ag_fault_hit(AG_FAULT_ALLOC))
        return NULL;
    header *h = malloc(with_header(n));
    return h ? finish(h, room, n) : NULL;
}

void *ag_calloc(ag_room room, size_t n, size_t size) {
    check_guard();
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || bytes > SIZE_MAX - sizeof(header) ||
        ag_fault_hit(AG_FAULT_ALLOC))
        return NULL;
    header *h = calloc(1, with_header(bytes));
    return h ? finish(h, room, bytes) : NULL;
}

void *ag_realloc(ag_room room, void *p, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    if (!p)
        return ag_alloc(room, bytes);
    check_guard();
    if (bytes > SIZE_MAX - sizeof(header) || ag_fault_hit(AG_FAULT_ALLOC))
        return NULL;
    header *h = (header *)p - 1;
    size_t old = h->bytes, old_room = h->room;
    h = realloc(h, with_header(bytes));
    if (!h)
        return NULL;
    atomic_fetch_sub_explicit(&held[old_room], old, memory_order_relaxed);
    return finish(h, room, bytes);
}

char *ag_strndup(ag_room room, const char *s, size_t n) {
    char *p = n < SIZE_MAX ? ag_alloc(room, n + 1) : NULL;
    if (!p)
        return NULL;
    if (n)
        memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

void ag_mem_trim(void) { (void)malloc_trim(0); }

void ag_mem_return_large(void) {
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 20);
}

void ag_free(void *p) {
    if (!p)
        return;
    header *h = (header *)p - 1;
    atomic_fetch_sub_explicit(&held[h->room], h->bytes, memory_order_relaxed);
    free(h);
}

void *ag_alloc_small_pages(ag_room room, size_t n) {
    check_guard();
    if (ag_fault_hit(AG_FAULT_ALLOC))
        return NULL;
    if (n == 0)
        n = 1;
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    atomic_fetch_add_explicit(&held[room], n, memory_order_relaxed);
    return p;
}

void *ag_alloc_pages(ag_room room, size_t n) {
    void *p = ag_alloc_small_pages(room, n);
#ifdef MADV_HUGEPAGE
    if (p && n >= (size_t)4 << 20)
        (void)madvise(p, n, MADV_HUGEPAGE);
#endif
    return p;
}

void ag_free_pages(ag_room room, void *p, size_t n) {
    if (!p)
        return;
    if (n == 0)
        n = 1;
    munmap(p, n);
    atomic_fetch_sub_explicit(&held[room], n, memory_order_relaxed);
}

void ag_mem_count(ag_room room, size_t n) {
    atomic_fetch_add_explicit(&held[room], n, memory_order_relaxed);
}

void ag_mem_uncount(ag_room room, size_t n) {
    atomic_fetch_sub_explicit(&held[room], n, memory_order_relaxed);
}

size_t ag_mem_bytes(ag_room room) {
    return atomic_load_explicit(&held[room], memory_order_relaxed);
}

const char *ag_room_name(ag_room room) {
    switch (room) {
#define AG_ROOM_NAME(id, name)                                                                     \
    case AG_ROOM_##id:                                                                             \
        return name;
        AG_ROOM_MAP(AG_ROOM_NAME)
#undef AG_ROOM_NAME
    case AG_ROOM_COUNT:
        break;
    }
    return "?";
}
