/* Executes statements; scopes. */
#include "text/template/filter.h"

/* ---- scopes ---------------------------------------------------------------------------------- */

tpl_scope *ag_tpl_scope_open(tpl_run *r, const uint32_t *unset, size_t n_unset) {
    tpl_scope *scope = ag_tpl_alloc(r, 1, sizeof *scope);
    if (!scope)
        return NULL;
    scope->up = r->scope;
    r->scope = scope;
    for (size_t i = 0; i < n_unset; i++)
        ag_tpl_scope_set(r, scope, unset[i], tpl_missing());
    return scope;
}

void ag_tpl_scope_set(tpl_run *r, tpl_scope *scope, uint32_t id, tpl_value v) {
    for (size_t i = 0; i < scope->n; i++)
        if (scope->v[i].id == id) {
            scope->v[i].value = v;
            return;
        }
    if (scope->n == scope->room) {
        size_t room = scope->room ? scope->room * 2 : 4;
        tpl_binding *grown = ag_tpl_alloc(r, room, sizeof *grown);
        if (!grown)
            return;
        if (scope->n)
            memcpy(grown, scope->v, scope->n * sizeof *grown);
        scope->v = grown;
        scope->room = room;
    }
    scope->v[scope->n++] = (tpl_binding){.id = id, .value = v};
}

tpl_value ag_tpl_lookup(tpl_run *r, uint32_t id, const tpl_str *name) {
    for (const tpl_scope *scope = r->scope; scope; scope = scope->up)
        for (size_t i = 0; i < scope->n; i++)
            if (scope->v[i].id == id)
                return scope->v[i].value.kind == TPL_MISSING ? ag_tpl_undef_name(r, name)
                                                             : scope->v[i].value;
    const tpl_value *v = ag_tpl_dict_find_text(r->context, tpl_span(name));
    tpl_value global;
    if (v)
        return *v;
    return ag_tpl_find_global(tpl_span(name), &global) ? global : ag_tpl_undef_name(r, name);
}

/* ---- assignment ------------------------------------------------------------------------------ */

static void assign_tuple(tpl_run *r, const tpl_nodes *targets, tpl_value v) {
    size_t n = 0;
    tpl_iter *it = ag_tpl_iter(r, v);
    for (tpl_value item; ag_tpl_next(r, it, &item); n++) {
        if (n == targets->n) {
            ag_tpl_fail(r, "too many values to unpack (expected %zu)", targets->n);
            return;
        }
        ag_tpl_assign(r, targets->v[n], item);
    }
    if (n < targets->n)
        ag_tpl_fail(r, "not enough values to unpack (expected %zu, got %zu)", targets->n, n);
}

void ag_tpl_assign(tpl_run *r, const tpl_node *target, tpl_value v) {
    if (tpl_failed(r))
        return;
    if (target->kind == NODE_NAME) {
        ag_tpl_scope_set(r, r->scope, target->id, v);
    } else if (target->kind == NODE_TUPLE) {
        if (ag_tpl_enter(r)) {
            assign_tuple(r, &target->items, v);
            tpl_leave(r);
        }
    } else {
        tpl_value ns = ag_tpl_lookup(r, target->id, target->name);
        if (ns.kind != TPL_NAMESPACE)
            ag_tpl_fail(r, "cannot assign attribute on non-namespace object '%.*s'",
                        AG_SPAN(tpl_span(target->name)));
        else
            ag_tpl_dict_set(r, ns.d, tpl_string(target->attr), v);
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Execute `body` in a scope of its own and return what it prints. */
static tpl_value capture(tpl_run *r, const tpl_node *node, tpl_flow *flow) {
    tpl_builder b = tpl_builder_of(r), *out = r->out;
    tpl_scope *scope = r->scope;
    r->out = &b;
    if (ag_tpl_scope_open(r, node->unset, node->n_unset))
        *flow = ag_tpl_exec(r, &node->body);
    r->out = out;
    r->scope = scope;
    return tpl_string(ag_tpl_built(&b));
}

static tpl_flow exec_set_block(tpl_run *r, const tpl_node *node) {
    tpl_flow flow = TPL_FLOW_NEXT;
    tpl_value text = capture(r, node, &flow);
    if (flow == TPL_FLOW_NEXT)
        ag_tpl_assign(r, node->a, ag_tpl_eval_filters(r, node->b, text));
    return flow;
}

static tpl_flow exec_filter_block(tpl_run *r, const tpl_node *node) {
    tpl_flow flow = TPL_FLOW_NEXT;
    tpl_value text = capture(r, node, &flow);
    if (flow == TPL_FLOW_NEXT)
        ag_tpl_add_str(r, r->out, ag_tpl_eval_filters(r, node->a, text));
    return flow;
}

static tpl_flow exec_with(tpl_run *r, const tpl_node *node) {
    tpl_scope *outer = r->scope, *inner = ag_tpl_scope_open(r, node->unset, node->n_unset);
    for (size_t i = 0; inner && i + 1 < node->items.n; i += 2) {
        r->scope = outer;
        tpl_value v = ag_tpl_eval(r, node->items.v[i + 1]);
        r->scope = inner;
        ag_tpl_assign(r, node->items.v[i], v);
    }
    tpl_flow flow = ag_tpl_exec(r, &node->body);
    r->scope = outer;
    return flow;
}

static tpl_flow exec_scope(tpl_run *r, const tpl_node *node) {
    tpl_scope *outer = r->scope;
    ag_tpl_scope_open(r, node->unset, node->n_unset);
    tpl_flow flow = ag_tpl_exec(r, &node->body);
    r->scope = outer;
    return flow;
}

static tpl_value make_macro(tpl_run *r, const tpl_node *node) {
    tpl_macro *macro = ag_tpl_alloc(r, 1, sizeof *macro);
    if (!macro)
        return tpl_undef();
    *macro = (tpl_macro){.node = node, .scope = r->scope};
    return (tpl_value){.kind = TPL_MACRO, .macro = macro};
}

static void exec_call_block(tpl_run *r, const tpl_node *node) {
    tpl_args args;
    tpl_value callee = ag_tpl_eval(r, node->a->a);
    if (ag_tpl_eval_args(r, &node->a->call, make_macro(r, node->b), &args))
        ag_tpl_add_str(r, r->out, ag_tpl_call(r, callee, &args));
}

static tpl_flow exec_if(tpl_run *r, const tpl_node *node) {
    for (size_t i = 0; i < node->items.n && !tpl_failed(r); i++) {
        const tpl_node *branch = node->items.v[i];
        if (!branch->a || (ag_tpl_truth(ag_tpl_eval(r, branch->a)) && !tpl_failed(r)))
            return ag_tpl_exec(r, &branch->body);
    }
    return TPL_FLOW_NEXT;
}

/* ---- loops ----------------------------------------------------------------------------------- */

typedef struct filter_state {
    const tpl_node *node;
    tpl_scope *scope;
} filter_state;

/* `for a in b if c`: keep the items for which c holds. */
static bool test_item(tpl_run *r, void *state, tpl_value item, tpl_value *out, bool *keep) {
    const filter_state *f = state;
    tpl_scope *outer = r->scope;
    r->scope = f->scope;
    if (ag_tpl_scope_open(r, NULL, 0)) {
        ag_tpl_assign(r, f->node->a, item);
        *keep = ag_tpl_truth(ag_tpl_eval(r, f->node->c));
    }
    *out = item;
    r->scope = outer;
    return !tpl_failed(r);
}

static tpl_loop *start_loop(tpl_run *r, const tpl_node *node, tpl_value iterable, tpl_int depth0) {
    tpl_loop *loop = ag_tpl_alloc(r, 1, sizeof *loop);
    tpl_iter *it = ag_tpl_iter(r, iterable);
    filter_state *f = node->c ? ag_tpl_alloc(r, 1, sizeof *f) : NULL;
    if (!loop || !it || (node->c && !f))
        return NULL;
    if (f) {
        *f = (filter_state){node, r->scope};
        iterable = ag_tpl_generator(r, it, test_item, f);
        it = iterable.iter;
    }
    *loop = (tpl_loop){.node = node,
                       .scope = r->scope,
                       .iterable = iterable,
                       .it = it,
                       .index0 = SIZE_MAX,
                       .before = tpl_missing(),
                       .current = tpl_missing(),
                       .changed = tpl_missing(),
                       .depth0 = depth0};
    return tpl_failed(r) ? NULL : loop;
}

/* All iterations. *ran: one body came to its end, so the loop's else is not due; a body that was
 * left by break or continue does not count, as in the reference. */
static void iterate(tpl_run *r, tpl_loop *loop, bool *ran) {
    const tpl_node *node = loop->node;
    tpl_scope *outer = r->scope, *scope = ag_tpl_scope_open(r, NULL, 0);
    r->scope = outer;
    for (tpl_value item; scope && ag_tpl_loop_next(r, loop, &item);) {
        r->scope = scope;
        scope->n = 0;
        for (size_t i = 0; i < node->n_unset; i++)
            ag_tpl_scope_set(r, scope, node->unset[i], tpl_missing());
        ag_tpl_scope_set(r, scope, TPL_ID_LOOP, (tpl_value){.kind = TPL_LOOP, .loop = loop});
        ag_tpl_assign(r, node->a, item);
        tpl_flow flow = ag_tpl_exec(r, &node->body);
        r->scope = outer;
        if (flow == TPL_FLOW_BREAK)
            break;
        *ran |= flow == TPL_FLOW_NEXT;
    }
}

static tpl_flow exec_for(tpl_run *r, const tpl_node *node, tpl_value iterable, tpl_int depth0) {
    tpl_flow flow = TPL_FLOW_NEXT;
    bool ran = false;
    tpl_loop *loop = start_loop(r, node, iterable, depth0);
    if (!loop)
        return flow;
    iterate(r, loop, &ran);
    if (!ran && node->other.n) {
        tpl_scope *outer = r->scope;
        ag_tpl_scope_open(r, node->unset_other, node->n_unset_other);
        flow = ag_tpl_exec(r, &node->other);
        r->scope = outer;
    }
    return flow;
}

tpl_value ag_tpl_run_loop(tpl_run *r, const tpl_node *node, tpl_value iterable, tpl_int depth0) {
    tpl_builder b = tpl_builder_of(r), *out = r->out;
    if (!ag_tpl_enter(r))
        return tpl_undef();
    r->out = &b;
    exec_for(r, node, iterable, depth0);
    r->out = out;
    tpl_leave(r);
    return tpl_string(ag_tpl_built(&b));
}

/* ---- the switch ------------------------------------------------------------------------------ */

static tpl_flow exec_node(tpl_run *r, const tpl_node *node) {
    switch (node->kind) {
    case NODE_TEXT:
        tpl_add_all(r->out, node->value.s);
        return TPL_FLOW_NEXT;
    case NODE_PRINT:
        ag_tpl_add_str(r, r->out, ag_tpl_eval(r, node->a));
        return TPL_FLOW_NEXT;
    case NODE_FOR:
        return exec_for(r, node, ag_tpl_eval(r, node->b), 0);
    case NODE_IF:
        return exec_if(r, node);
    case NODE_SET:
        ag_tpl_assign(r, node->a, ag_tpl_eval(r, node->b));
        return TPL_FLOW_NEXT;
    case NODE_SET_BLOCK:
        return exec_set_block(r, node);
    case NODE_MACRO:
        ag_tpl_scope_set(r, r->scope, node->id, make_macro(r, node));
        return TPL_FLOW_NEXT;
    case NODE_CALL_BLOCK:
        exec_call_block(r, node);
        return TPL_FLOW_NEXT;
    case NODE_FILTER_BLOCK:
        return exec_filter_block(r, node);
    case NODE_WITH:
        return exec_with(r, node);
    case NODE_SCOPE:
        return exec_scope(r, node);
    case NODE_BREAK:
        return TPL_FLOW_BREAK;
    case NODE_CONTINUE:
        return TPL_FLOW_CONTINUE;
    default:
        ag_tpl_fail(r, "this is no statement");
        return TPL_FLOW_NEXT;
    }
}

tpl_flow ag_tpl_exec(tpl_run *r, const tpl_nodes *body) {
    tpl_flow flow = TPL_FLOW_NEXT;
    if (tpl_failed(r) || !ag_tpl_enter(r))
        return flow;
    for (size_t i = 0; i < body->n && flow == TPL_FLOW_NEXT && ag_tpl_spend(r, 1); i++) {
        r->line = body->v[i]->line;
        flow = exec_node(r, body->v[i]);
    }
    tpl_leave(r);
    return flow;
}
