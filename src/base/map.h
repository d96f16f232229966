/* ag_map: bytes → u64, open addressing with linear probing, insert and find only.
 *
 * Keys are borrowed: the caller keeps their bytes alive (they usually lie in a mapped file or an
 * arena). The hash is seeded per map so that hostile keys cannot be prepared against it. */
#ifndef AG_BASE_MAP_H
#define AG_BASE_MAP_H

#include "base/span.h"

typedef struct ag_map_slot {
    ag_span key; /* p == NULL: free */
    uint64_t hash;
    uint64_t value;
} ag_map_slot;

typedef struct ag_map {
    ag_map_slot *slots; /* owned; n_slots is a power of two */
    size_t n_slots;
    size_t n; /* keys held */
    uint64_t seed;
    ag_room tag;
} ag_map;

/* Room for `expected` keys without growing (0 is fine). AG_E_NOMEM. */
ag_code ag_map_init(ag_map *m, ag_room tag, size_t expected, ag_err *err) AG_MUST_USE;
void ag_map_deinit(ag_map *m);
/* Add key → value. `*fresh` (may be NULL) tells whether it was new; an existing key keeps its old
 * value. AG_E_NOMEM. */
ag_code ag_map_add(ag_map *m, ag_span key, uint64_t value, bool *fresh, ag_err *err) AG_MUST_USE;
/* Set *value and return true when the key is there. */
bool ag_map_find(const ag_map *m, ag_span key, uint64_t *value);

#endif
