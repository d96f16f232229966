/* Masks: which tokens may come next, one bit a token.
 *
 * The mask of a state is put together from those of its items "alone", each on an empty stack: they
 * do not depend on where the text stands, so a string costs the same at any depth and in any
 * object. Such a mask comes with its *exits*: the places in the tries where a text leaves the rule
 * with bytes to come. From there the walk goes on in what lies below on the stack, and it is short.
 *
 * Masks are kept, least recently used out first, within a cap of bytes. Thread: as the machine. */
#ifndef AG_GRAMMAR_MASK_H
#define AG_GRAMMAR_MASK_H

#include "grammar/machine.h"

typedef struct ag_mask {
    uint32_t state;
    uint32_t newer, older; /* 1 + number of the next in order of use; 0: none */
    uint32_t chain;        /* 1 + number of the next of the same slot */
    bool has_exits;        /* they were asked for */
    uint32_t n_exits, n_ids;
    uint32_t *exits; /* owned [n_exits] nodes of the tries */
    int32_t *ids;    /* owned [n_ids]: the tokens, when they are few */
    uint64_t *bits;  /* owned [words], else */
    size_t bytes;
} ag_mask;

typedef struct ag_masks {
    const ag_gvocab *vocab;
    ag_machine *machine;
    ag_mask *v;              /* owned [n]; unused ones have no bits and no ids */
    uint32_t n, room, free;  /* free: 1 + number of an unused one, chained */
    uint32_t newest, oldest; /* 1 + number */
    uint32_t *slots;         /* owned [n_slots] by state: 1 + number */
    uint32_t n_slots, n_used;
    size_t bytes, max_bytes;
    /* Working space. */
    uint64_t *bits; /* owned [words] */
    uint32_t *exits;
    uint32_t n_exits, exit_room;
    uint32_t path[256]; /* states along the walk, by depth */
} ag_masks;

/* AG_E_NOMEM. Vocabulary and machine must outlive it. */
ag_code ag_masks_init(ag_masks *s, const ag_gvocab *vocab, ag_machine *machine, size_t max_bytes,
                      ag_err *err) AG_MUST_USE;
void ag_masks_deinit(ag_masks *s);
/* Write the mask of a state to out[words]. AG_E_GRAMMAR, AG_E_NOMEM. */
ag_code ag_masks_get(ag_masks *s, uint32_t state, uint64_t *out, ag_err *err) AG_MUST_USE;

#endif
