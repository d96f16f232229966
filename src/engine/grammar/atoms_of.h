/* Expressions as single automata, for the algebra of atom.h. */
#ifndef AG_GRAMMAR_ATOMS_OF_H
#define AG_GRAMMAR_ATOMS_OF_H

#include "grammar/expr.h"

/* The texts of an expression as one automaton, owned by the builder; one without states when there
 * are none. NULL: see the builder (it is too large, or no automaton without a stack can do it). */
const ag_atom *ag_build_atom(ag_build *b, const ag_expr *e);
/* Give the builder an atom made elsewhere; returns it, or an equal one. */
const ag_atom *ag_build_own_atom(ag_build *b, ag_atom *atom);
/* The expression of an atom that the builder owns, or of one without states. */
const ag_expr *ag_build_atom_expr(ag_build *b, const ag_atom *atom);

#endif
