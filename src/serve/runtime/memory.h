/* Who gets how much of one budget: arithmetic only. Private to the room.
 *
 * 1. All that is loaded, with what is about to be, stays within the budget.
 * 2. A KV cache that was asked for is given or the model is refused; one that was not is cut.
 * 3. Models that load at start share evenly what is left for such caches: whoever comes first
 * leaves the others what they need at least and their part of the rest. If it is never unloaded it
 *    leaves room for the largest of those that load at their first use, too.
 * 4. A model that does not fit makes room: those that may be unloaded and that nobody uses go, the
 *    longest unused first, and only if that is enough. What was just loaded stays until it was used
 *    or a while has passed, so that two who want to take turns both get theirs. */
#ifndef AG_RUNTIME_MEMORY_H
#define AG_RUNTIME_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A declared model, as this room sees it; all zero: nothing is known of what it needs. */
typedef struct ag_memory_model {
    uint64_t fixed_bytes; /* weights and working memory */
    uint64_t least_kv_bytes, usual_kv_bytes;
    uint64_t held_bytes; /* while it is loaded */
    uint64_t used_at;    /* an order is enough */
    bool at_start;       /* it will be loaded without being asked for, and is not yet */
    bool may_unload;     /* it is loaded when asked for, so it can go */
    bool is_idle;        /* loaded, and nobody would miss it */
} ag_memory_model;

typedef enum ag_memory_verdict {
    AG_MEMORY_FITS,
    AG_MEMORY_EVICT, /* unload `victim`, then ask again */
    AG_MEMORY_WAIT,  /* it would fit if nobody used those that may go */
    AG_MEMORY_NEVER,
} ag_memory_verdict;

typedef struct ag_memory_answer {
    ag_memory_verdict verdict;
    uint64_t limit_bytes; /* FITS: it may take so much */
    uint64_t free_bytes;  /* of the budget */
    size_t victim;
} ag_memory_answer;

/* May model `which` of m[n], which is not loaded, be loaded? */
ag_memory_answer ag_memory_ask(const ag_memory_model *m, size_t n, size_t which, uint64_t budget);

#endif
