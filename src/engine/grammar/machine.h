/* The automaton at work: sets of positions, found when they are first needed and then kept.
 *
 * A *state* is all the places where a text read so far can stand: items of a position and a stack.
 * A stack is a *return*: the set of places to go on from when a rule ends, each with its own stack;
 * so stacks with a common future share it, and the same text gives the same state whatever the
 * number of ways to read it. Both are interned, hence numbers stand for them, and equal numbers
 * mean equal futures. Return 0 is the empty stack: who ends there has read a whole text.
 *
 *   state ──▶ items (position, return) ──▶ return ──▶ items (node, return) ──▶ … ──▶ 0
 *
 * A return is always older than what refers to it. States and returns live as long as the machine.
 *
 * Everything stops at two limits, of bytes and of work: then `stopped` is set and steps lead to the
 * dead state. Thread: one at a time (the owner locks). */
#ifndef AG_GRAMMAR_MACHINE_H
#define AG_GRAMMAR_MACHINE_H

#include "grammar/nfa.h"

#define AG_STATE_DEAD 0u

typedef struct ag_item {
    uint32_t place; /* of a state: a position; of a return: a node */
    uint32_t stack; /* return */
} ag_item;

/* Items [at, at + n) of a table, sorted by stack, then place. */
typedef struct ag_set {
    uint32_t at, n;
    uint32_t hash;
    bool accepts;   /* of a state: what was read is a whole text */
    bool has_bytes; /* of a state: some item reads bytes, not a token */
} ag_set;

/* A table of different sets, numbered as they come. */
typedef struct ag_sets {
    ag_set *v;       /* owned [n] */
    ag_item *items;  /* owned [n_items] */
    uint32_t *slots; /* owned [n_slots]: 1 + number of a set; 0: free */
    uint32_t n, room, n_items, item_room, n_slots;
} ag_sets;

typedef struct ag_machine {
    const ag_nfa *nfa;
    ag_sets states;   /* 0: the dead one */
    ag_sets returns;  /* 0: the empty stack */
    uint32_t *row;    /* owned: of each state 1 + its row in `ways`; 0: none yet */
    uint32_t *opened; /* owned: of each return the state behind it; 0: not known yet */
    uint32_t *ways;   /* owned: rows of n_classes; 0: unknown, else 1 + state */
    uint32_t row_room, opened_room, n_rows, way_room;
    uint32_t start; /* state; 0: not made yet */
    size_t bytes, max_bytes;
    uint64_t work_left;
    ag_code stopped; /* AG_E_GRAMMAR: a limit; AG_E_NOMEM */
    /* While a set is being closed. */
    ag_item *found;   /* owned: items so far */
    ag_item *to_do;   /* owned: nodes still to look at */
    ag_item *calls;   /* owned: returns of calls: node behind the call, stack */
    uint32_t *callee; /* owned: the rule of each */
    uint32_t n_found, n_to_do, n_calls, found_room, to_do_room, call_room, callee_room;
    struct ag_seen *seen; /* owned [n_seen_slots]: the nodes looked at, each with its stack */
    uint32_t n_seen, n_seen_slots, round;
    bool accepts;
} ag_machine;

/* AG_E_NOMEM. The automaton must outlive the machine. */
ag_code ag_machine_init(ag_machine *m, const ag_nfa *nfa, size_t max_bytes,
                        ag_err *err) AG_MUST_USE;
void ag_machine_deinit(ag_machine *m);

/* The state before anything is read. */
uint32_t ag_machine_start(ag_machine *m);
/* The state after a byte. */
uint32_t ag_machine_step(ag_machine *m, uint32_t state, uint8_t byte);
/* The state after a token: its bytes (none when text cannot match it), or a place that asks for it.
 */
uint32_t ag_machine_token(ag_machine *m, uint32_t state, int32_t id, ag_span bytes);
/* The state behind a return; what its places lead to without reading. */
uint32_t ag_machine_open(ag_machine *m, uint32_t stack);
/* A state of the items [from, to) of another, on an empty stack instead of theirs. */
uint32_t ag_machine_alone(ag_machine *m, uint32_t state, uint32_t from, uint32_t to);
/* A state from which no token can tell this one (see ag_node); itself where there is no other. */
uint32_t ag_machine_like(ag_machine *m, uint32_t state);
/* Take n steps out of what one mask may cost; false: it has stopped. */
bool ag_machine_work(ag_machine *m, uint64_t n);
/* Why it stopped, as an error. */
ag_code ag_machine_error(const ag_machine *m, ag_err *err);

static inline const ag_item *ag_state_items(const ag_machine *m, uint32_t state) {
    return m->states.items + m->states.v[state].at;
}

#endif
