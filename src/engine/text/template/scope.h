/* Scopes, macros and loops: what executing statements needs beyond values. */
#ifndef AG_TEXT_TEMPLATE_SCOPE_H
#define AG_TEXT_TEMPLATE_SCOPE_H

#include "text/template/node.h"

typedef struct tpl_binding {
    uint32_t id;
    tpl_value value; /* MISSING: unset here, and outer values do not shine through */
} tpl_binding;

/* Names bound by one loop body, macro call, ... Lives in the arena, since macros keep the scope
 * they were defined in. */
struct tpl_scope {
    tpl_scope *up;
    tpl_binding *v;
    size_t n, room;
};

struct tpl_macro {
    const tpl_node *node; /* MACRO */
    tpl_scope *scope;     /* where it was defined */
};

struct tpl_loop {
    const tpl_node *node;
    tpl_scope *scope;   /* around the loop */
    tpl_value iterable; /* as given; the loop's length is its length, if it has one */
    tpl_iter *it;
    size_t index0, length;
    bool has_length, peeked, at_end; /* `after` holds the next item, or there is none */
    tpl_value before, current, after;
    tpl_value changed; /* the tuple that loop.changed() saw last; MISSING at first */
    tpl_int depth0;    /* of a recursive loop */
};

/* A new innermost scope; the caller restores r->scope. NULL after a failure. */
tpl_scope *ag_tpl_scope_open(tpl_run *r, const uint32_t *unset, size_t n_unset);
void ag_tpl_scope_set(tpl_run *r, tpl_scope *scope, uint32_t id, tpl_value v);
/* The variable's value, undefined when there is none. */
tpl_value ag_tpl_lookup(tpl_run *r, uint32_t id, const tpl_str *name);

/* eval.c */
tpl_value ag_tpl_eval(tpl_run *r, const tpl_node *node);
/* Apply the filters of `node` to a block's text. */
tpl_value ag_tpl_eval_filters(tpl_run *r, const tpl_node *node, tpl_value input);
/* The arguments of a call, evaluated; `caller` (may be MISSING) is added as a keyword. */
bool ag_tpl_eval_args(tpl_run *r, const tpl_call *call, tpl_value caller, tpl_args *out);

/* exec.c */
typedef enum tpl_flow { TPL_FLOW_NEXT, TPL_FLOW_BREAK, TPL_FLOW_CONTINUE } tpl_flow;
tpl_flow ag_tpl_exec(tpl_run *r, const tpl_nodes *body);
tpl_value ag_tpl_run_loop(tpl_run *r, const tpl_node *node, tpl_value iterable, tpl_int depth0);
/* Assign to a name, ns.attr or tuple of such in the innermost scope. */
void ag_tpl_assign(tpl_run *r, const tpl_node *target, tpl_value v);

/* call.c */
tpl_value ag_tpl_call(tpl_run *r, tpl_value callee, const tpl_args *args);
tpl_value ag_tpl_loop_attr(tpl_run *r, tpl_loop *loop, const tpl_str *name, bool *found);
/* The next item of a loop. */
bool ag_tpl_loop_next(tpl_run *r, tpl_loop *loop, tpl_value *out);

/* access.c: a.b, a[b], a[b:c:d] */
tpl_value ag_tpl_get_attr(tpl_run *r, tpl_value owner, const tpl_str *name);
tpl_value ag_tpl_get_item(tpl_run *r, tpl_value owner, tpl_value key);
tpl_value ag_tpl_get_slice(tpl_run *r, tpl_value owner, tpl_value from, tpl_value to,
                           tpl_value step);

/* operator.c */
tpl_value ag_tpl_binary(tpl_run *r, tpl_token_kind op, tpl_value a, tpl_value b);
tpl_value ag_tpl_negate(tpl_run *r, tpl_value a, bool negative);
bool ag_tpl_test_order(tpl_run *r, tpl_token_kind op, tpl_value a, tpl_value b);

/* global.c: a function every template has; false when there is none of that name. */
bool ag_tpl_find_global(ag_span name, tpl_value *out);

#endif
