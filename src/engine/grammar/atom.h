/* Atoms: small byte automata (deterministic), the leaves of a grammar. A class of characters is
 * one, and so is whatever needs algebra: intersections, differences. State 0 is the start.
 *
 * Invariant of every finished atom: from each state an accepting one can be reached; an atom that
 * accepts nothing has no states. Constant once made; any thread. */
#ifndef AG_GRAMMAR_ATOM_H
#define AG_GRAMMAR_ATOM_H

#include "base/span.h"

#define AG_ATOM_STATES                                                                             \
    4096u /* most in one atom: their number lies in the low bits of a position                     \
           */
#define AG_ATOM_NONE 0xffffu

#define AG_ATOM_ACCEPTS 1u /* the text may end in this state */
#define AG_ATOM_GOES_ON 2u /* some byte leads on from it */

typedef struct ag_atom {
    uint16_t n_states, n_classes;
    uint8_t class_of[256];
    uint8_t *flags; /* owned [n_states] */
    uint16_t *next; /* owned [n_states * n_classes]; AG_ATOM_NONE: no way */
} ag_atom;

static inline uint32_t ag_atom_step(const ag_atom *a, uint32_t state, uint8_t byte) {
    return a->next[state * a->n_classes + a->class_of[byte]];
}
static inline bool ag_atom_is_void(const ag_atom *a) { return a->n_states == 0; }
bool ag_atom_eq(const ag_atom *a, const ag_atom *b);
/* Accepts NULL. */
void ag_atom_free(ag_atom *a);

/* An automaton while it is drawn: a full row of 256 for each state. */
typedef struct ag_drawing {
    uint16_t (*next)[256]; /* owned [n] */
    uint8_t *accepts;      /* owned [n] */
    uint32_t n, room;
    ag_code failed; /* sticky: AG_E_GRAMMAR (too many states) or AG_E_NOMEM */
} ag_drawing;

void ag_drawing_deinit(ag_drawing *d);
/* A new state that leads nowhere; 0 after a failure. */
uint32_t ag_drawing_state(ag_drawing *d, bool accepts);
/* Bytes lo to hi lead from one state to another. */
void ag_drawing_edge(ag_drawing *d, uint32_t from, uint8_t lo, uint8_t hi, uint32_t to);
/* Drop states that no text comes to or that lead to no end and
 * pack. The draft is emptied. AG_E_GRAMMAR (too large), AG_E_NOMEM. */
ag_code ag_drawing_finish(ag_drawing *d, ag_atom **out, ag_err *err) AG_MUST_USE;

/* Texts of both; texts of a that are not texts of b. *work is reduced by the steps taken.
 * AG_E_GRAMMAR (too large), AG_E_NOMEM. */
ag_code ag_atom_both(const ag_atom *a, const ag_atom *b, uint64_t *work, ag_atom **out,
                     ag_err *err) AG_MUST_USE;
ag_code ag_atom_without(const ag_atom *a, const ag_atom *b, uint64_t *work, ag_atom **out,
                        ag_err *err) AG_MUST_USE;
/* Is `text` one of its texts? */
bool ag_atom_matches(const ag_atom *a, ag_span text);

#endif
