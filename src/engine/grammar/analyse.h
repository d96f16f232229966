/* What is to be known of the rules before nodes are made of them. */
#ifndef AG_GRAMMAR_ANALYSE_H
#define AG_GRAMMAR_ANALYSE_H

#include "grammar/expr.h"

typedef struct ag_rule_facts {
    bool ends;      /* some text matches it */
    bool nullable;  /* the empty text does */
    bool in_place;  /* put its body in place of calls */
    uint32_t order; /* see ag_nfa_rule */
    uint32_t uses;  /* times its call would be copied; saturates */
    uint32_t size;  /* nodes of its body, with what is put in place there; saturates */
} ag_rule_facts;

/* Fill facts[b->n_rules], which are zero: of all rules, or of those only that are reached from the
 * start. Direct left recursion is rewritten to a repetition first; what is left of it is
 * AG_E_GRAMMAR, in the builder. False: see the builder. */
bool ag_rules_analyse(ag_build *b, const ag_expr *start, bool reached, ag_rule_facts *facts);

/* No text matches the start: fail, and say which part is to blame. */
void ag_rules_refuse(ag_build *b, const ag_expr *start, const ag_rule_facts *facts);

bool ag_expr_ends(const ag_expr *e, const ag_rule_facts *facts);
bool ag_expr_nullable(const ag_build *b, const ag_expr *e, const ag_rule_facts *facts);

#endif
