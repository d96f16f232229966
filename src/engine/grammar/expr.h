/* Expressions: what a grammar is while it is being read. Regular expressions, GBNF, JSON Schemas
 * and lists of choices all become these; nfa.h turns them into an automaton.
 *
 * Expressions are constant once made and may be shared (they form a DAG); recursion goes through
 * rules. Everything lives in the builder's arena. Failure is sticky: the first error is kept in the
 * builder, every function then returns NULL, and functions take NULL for a part that failed, so
 * that readers check once, at the end. Thread: one at a time. */
#ifndef AG_GRAMMAR_EXPR_H
#define AG_GRAMMAR_EXPR_H

#include "base/arena.h"
#include "grammar/atom.h"
#include "grammar/vocab.h"

typedef enum ag_expr_kind {
    AG_EXPR_NOTHING, /* matches no text at all */
    AG_EXPR_EMPTY,   /* matches the empty text */
    AG_EXPR_BYTES,   /* these bytes */
    AG_EXPR_ATOM,    /* a byte automaton */
    AG_EXPR_SEQ,     /* all parts, one after another */
    AG_EXPR_ALT,     /* one of the parts */
    AG_EXPR_REPEAT,  /* part 0, min to max times */
    AG_EXPR_RULE,    /* a rule by number */
    AG_EXPR_TOKEN,   /* one token by its id */
    AG_EXPR_START,   /* "^" and "$" of a regular expression; ag_regex_parse() resolves them */
    AG_EXPR_END,
} ag_expr_kind;

#define AG_EXPR_MANY UINT32_MAX /* of max: any number */

typedef struct ag_expr ag_expr;
struct ag_expr {
    ag_expr_kind kind;
    bool has_start, has_end; /* holds a "^" or "$" */
    uint32_t id;             /* counts from 0 in a builder */
    uint32_t size;           /* about as many nodes as it will need; saturates */
    uint32_t n;              /* parts */
    union {
        const ag_expr **parts; /* SEQ, ALT; REPEAT: one */
        ag_span bytes;         /* BYTES; NOTHING: why, where that is known */
        uint32_t index;        /* ATOM, RULE */
        int32_t token;
    } u;
    uint32_t min, max; /* REPEAT */
};

typedef struct ag_rule {
    ag_span name;        /* as the user wrote it; empty for one of ours */
    const ag_expr *body; /* NULL: referred to, not yet defined */
    ag_span where;       /* of a schema's: the JSON pointer to it */
    size_t at;           /* where in the text it was first met */
    bool shared;         /* keep as a rule of its own even where it could be put in place */
} ag_rule;

#define AG_KNOWN_SETS 64u
typedef struct ag_known_set {
    uint64_t hash; /* 0: none */
    uint32_t atom;
} ag_known_set;

typedef struct ag_build {
    ag_arena arena;
    ag_code code; /* of the first failure */
    ag_err err;
    uint32_t n_exprs;
    ag_rule *rules; /* owned [n_rules] */
    uint32_t n_rules, rule_room;
    ag_atom **atoms; /* owned, each owned [n_atoms] */
    uint32_t n_atoms, atom_room;
    uint64_t work_left;               /* steps that compiling may still take */
    const ag_gvocab *vocab;           /* borrowed; for tokens by their text */
    const ag_expr *json_parts[8];     /* made once, by json_text.c */
    ag_known_set sets[AG_KNOWN_SETS]; /* classes of characters that were made, the last of a hash */
} ag_build;

/* All of AG_MAX_GRAMMAR_* of base/limits.h apply. Never fails by itself. */
void ag_build_init(ag_build *b, const ag_gvocab *vocab);
void ag_build_deinit(ag_build *b);
/* Record a failure, unless there is one; returns NULL. `where` goes in front; may be NULL. */
const ag_expr *ag_build_fail(ag_build *b, ag_code code, const char *fmt, ...) AG_PRINTF(3, 4);
/* Take n steps out of the budget; false and a failure when it is spent. */
bool ag_build_spend(ag_build *b, uint64_t n);

const ag_expr *ag_expr_nothing(ag_build *b);
/* The same with a reason, which goes with it into what becomes impossible by it. */
const ag_expr *ag_expr_nothing_since(ag_build *b, const char *fmt, ...) AG_PRINTF(2, 3);
const ag_expr *ag_expr_empty(ag_build *b);
/* The bytes are copied. */
const ag_expr *ag_expr_bytes(ag_build *b, ag_span bytes);
const ag_expr *ag_expr_text(ag_build *b, const char *text);
/* Takes the atom, also on failure; NULL is a failure that was already recorded. */
const ag_expr *ag_expr_atom(ag_build *b, ag_atom *atom);
/* An atom that the builder has already, by its number. */
const ag_expr *ag_expr_atom_again(ag_build *b, uint32_t index);
/* The array is copied; nested sequences and choices are flattened. */
const ag_expr *ag_expr_seq(ag_build *b, const ag_expr *const *parts, size_t n);
const ag_expr *ag_expr_alt(ag_build *b, const ag_expr *const *parts, size_t n);
#define AG_SEQ(b, ...)                                                                             \
    ag_expr_seq(b, (const ag_expr *const[]){__VA_ARGS__},                                          \
                sizeof((const ag_expr *const[]){__VA_ARGS__}) / sizeof(ag_expr *))
#define AG_ALT(b, ...)                                                                             \
    ag_expr_alt(b, (const ag_expr *const[]){__VA_ARGS__},                                          \
                sizeof((const ag_expr *const[]){__VA_ARGS__}) / sizeof(ag_expr *))
/* min to max times (AG_EXPR_MANY: any number). */
const ag_expr *ag_expr_repeat(ag_build *b, const ag_expr *part, uint32_t min, uint32_t max);
const ag_expr *ag_expr_maybe(ag_build *b, const ag_expr *part);
const ag_expr *ag_expr_token(ag_build *b, int32_t id);
const ag_expr *ag_expr_anchor(ag_build *b, ag_expr_kind start_or_end);

/* A new rule without a body; UINT32_MAX on failure. */
uint32_t ag_rule_add(ag_build *b, ag_span name);
const ag_expr *ag_expr_rule(ag_build *b, uint32_t rule);
/* A rule of our own around an expression that is used in many places. */
const ag_expr *ag_expr_shared(ag_build *b, const ag_expr *body);

/* A growing list of parts in the builder's arena. */
typedef struct ag_parts {
    const ag_expr **v;
    size_t n, room;
} ag_parts;
void ag_parts_add(ag_build *b, ag_parts *list, const ag_expr *part);

#endif
