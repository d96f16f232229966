/* The automaton of a grammar: for each rule a graph of nodes over bytes, in which rules call each
 * other (so it is one with a stack). Constant once built; any thread.
 *
 * Rules that do not recur and are small or used once are put in place of their calls, so most
 * grammars need no stack, or a shallow one. A rule's call of itself at its own end is a loop.
 *
 * Invariants: from every node the end of its rule can be reached (whatever cannot end is left out
 * when the nodes are made), so there are no dead ends. No rule calls itself before a byte is read.
 */
#ifndef AG_GRAMMAR_NFA_H
#define AG_GRAMMAR_NFA_H

#include "grammar/expr.h"

typedef enum ag_node_kind {
    AG_NODE_END,   /* of the rule */
    AG_NODE_FORK,  /* on to any of ways[at .. at + n) */
    AG_NODE_BYTES, /* bytes[at .. at + n), then next; n <= AG_NODE_OFFSETS */
    AG_NODE_ATOM,  /* atoms[at], then next */
    AG_NODE_CALL,  /* rules[at], then next */
    AG_NODE_TOKEN, /* the token `at`, then next */
} ag_node_kind;

typedef struct ag_node {
    uint32_t kind, at, n, next;
    uint32_t
        twin; /* a node from which no token can tell this one, as the difference (how often a
               * part may still be repeated) lies further ahead than tokens are long; 0: none */
} ag_node;

/* A position: a node and how far into it (bytes read, or the state of its atom). */
#define AG_NODE_OFFSETS    AG_ATOM_STATES
#define AG_POS(node, off)  ((node)*AG_NODE_OFFSETS + (off))
#define AG_POS_NODE(pos)   ((pos) / AG_NODE_OFFSETS)
#define AG_POS_OFFSET(pos) ((pos) % AG_NODE_OFFSETS)

typedef struct ag_nfa_rule {
    uint32_t start; /* node */
    uint32_t order; /* callers of what can stand at a rule's beginning come before it */
    bool nullable;  /* the empty text is one of its texts */
} ag_nfa_rule;

typedef struct ag_nfa {
    ag_node *nodes;     /* owned [n_nodes] */
    uint32_t *ways;     /* owned [n_ways] */
    char *bytes;        /* owned [n_bytes] */
    ag_atom **atoms;    /* [n_atoms] owned with each of them, but for a sketch */
    ag_nfa_rule *rules; /* owned [n_rules]; only those called have a start */
    uint32_t n_nodes, n_ways, n_bytes, n_atoms, n_rules;
    uint32_t start; /* node */
    bool has_tokens, has_twins, is_sketch;
    uint8_t class_of[256]; /* bytes that lead the same way everywhere */
    uint8_t byte_of[256];  /* one of each class */
    uint32_t n_classes;
} ag_nfa;

/* Build from an expression; atoms move from the builder. AG_E_GRAMMAR (matches nothing, left
 * recursion, too large), AG_E_NOMEM; also those kept in the builder. */
ag_code ag_nfa_build(ag_build *b, const ag_expr *start, ag_nfa *out, ag_err *err) AG_MUST_USE;
/* The same of an expression on the way, whose atoms stay the builder's. It must be gone before the
 * builder gets more of them. Rules without a body yet match nothing. */
ag_code ag_nfa_sketch(ag_build *b, const ag_expr *start, ag_nfa *out, ag_err *err) AG_MUST_USE;
void ag_nfa_deinit(ag_nfa *n);
size_t ag_nfa_bytes(const ag_nfa *n);

#endif
