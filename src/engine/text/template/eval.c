/* Evaluates expressions. */
#include "text/template/filter.h"

static tpl_value eval_items(tpl_run *r, const tpl_node *node, tpl_kind kind) {
    size_t n = node->items.n;
    tpl_value *v = ag_tpl_alloc(r, n, sizeof *v);
    for (size_t i = 0; v && i < n && !tpl_failed(r); i++)
        v[i] = ag_tpl_eval(r, node->items.v[i]);
    return ag_tpl_list(r, kind, v, n);
}

static tpl_value eval_dict(tpl_run *r, const tpl_node *node) {
    tpl_value d = ag_tpl_dict(r, node->items.n / 2);
    for (size_t i = 0; i + 1 < node->items.n && !tpl_failed(r); i += 2) {
        tpl_value key = ag_tpl_eval(r, node->items.v[i]);
        ag_tpl_dict_set(r, d.d, key, ag_tpl_eval(r, node->items.v[i + 1]));
    }
    return d;
}

static tpl_value eval_cond(tpl_run *r, const tpl_node *node) {
    if (ag_tpl_truth(ag_tpl_eval(r, node->b)))
        return ag_tpl_eval(r, node->a);
    if (node->c)
        return ag_tpl_eval(r, node->c);
    return ag_tpl_undef_hint(r, "the inline if-expression evaluated to false and no else section "
                                "was defined");
}

static bool compare(tpl_run *r, const tpl_node *operand, tpl_value a, tpl_value b) {
    switch (operand->op) {
    case TOK_NAME:
        return ag_tpl_contains(r, b, a) != operand->negated;
    case TOK_EQ:
        return ag_tpl_equal(r, a, b);
    case TOK_NE:
        return !ag_tpl_equal(r, a, b);
    default:
        return ag_tpl_test_order(r, operand->op, a, b);
    }
}

/* a < b < c holds when both do; b is evaluated once, c only when it matters. */
static tpl_value eval_compare(tpl_run *r, const tpl_node *node) {
    tpl_value left = ag_tpl_eval(r, node->a);
    for (size_t i = 0; i < node->items.n && !tpl_failed(r); i++) {
        tpl_value right = ag_tpl_eval(r, node->items.v[i]->a);
        if (tpl_failed(r) || !compare(r, node->items.v[i], left, right))
            return tpl_bool(false);
        left = right;
    }
    return tpl_bool(true);
}

static tpl_value eval_concat(tpl_run *r, const tpl_node *node) {
    tpl_builder b = tpl_builder_of(r);
    for (size_t i = 0; i < node->items.n && !tpl_failed(r); i++)
        ag_tpl_add_str(r, &b, ag_tpl_eval(r, node->items.v[i]));
    return tpl_string(ag_tpl_built(&b));
}

static tpl_value eval_optional(tpl_run *r, const tpl_node *node) {
    return node ? ag_tpl_eval(r, node) : tpl_none();
}

static tpl_value eval_item(tpl_run *r, const tpl_node *node) {
    tpl_value owner = ag_tpl_eval(r, node->a);
    if (node->b->kind != NODE_SLICE) {
        tpl_value key = ag_tpl_eval(r, node->b);
        r->line = node->line;
        return ag_tpl_get_item(r, owner, key);
    }
    tpl_value from = eval_optional(r, node->b->a), to = eval_optional(r, node->b->b);
    return ag_tpl_get_slice(r, owner, from, to, eval_optional(r, node->b->c));
}

/* ---- calls ----------------------------------------------------------------------------------- */

static bool spread_positional(tpl_run *r, const tpl_call *call, tpl_vec *pos) {
    for (size_t i = 0; i < call->pos.n; i++)
        if (!ag_tpl_push(r, pos, ag_tpl_eval(r, call->pos.v[i])))
            return false;
    if (!call->star)
        return true;
    tpl_iter *it = ag_tpl_iter(r, ag_tpl_eval(r, call->star));
    for (tpl_value item; ag_tpl_next(r, it, &item);)
        if (!ag_tpl_push(r, pos, item))
            break;
    return !tpl_failed(r);
}

bool ag_tpl_eval_args(tpl_run *r, const tpl_call *call, tpl_value caller, tpl_args *out) {
    tpl_vec pos = {0};
    *out = (tpl_args){0};
    if (call->pos.n + call->kw.n == 0 && !call->star && !call->star2 && caller.kind == TPL_MISSING)
        return !tpl_failed(r);
    if (!spread_positional(r, call, &pos))
        return false;
    tpl_value more = call->star2 ? ag_tpl_eval(r, call->star2) : tpl_missing();
    if (call->star2 && more.kind != TPL_DICT)
        ag_tpl_fail(r, "argument after ** must be a mapping, not %s", ag_tpl_type_name(more));
    size_t room = call->kw.n + 1 + (more.kind == TPL_DICT ? more.d->n : 0), n = 0;
    tpl_value *kw = ag_tpl_alloc(r, room, sizeof *kw);
    const tpl_str **names = ag_tpl_alloc(r, room, sizeof *names);
    if (!kw || !names)
        return false;
    for (size_t i = 0; i < call->kw.n && !tpl_failed(r); i++) {
        names[n] = call->kw.v[i].name;
        kw[n++] = ag_tpl_eval(r, call->kw.v[i].value);
    }
    for (size_t i = 0; more.kind == TPL_DICT && i < more.d->n; i++) {
        if (more.d->e[i].key.kind != TPL_STR)
            ag_tpl_fail(r, "keywords must be strings");
        names[n] = more.d->e[i].key.s;
        kw[n++] = more.d->e[i].value;
    }
    static const tpl_str caller_name = {.p = "caller", .n = 6};
    if (caller.kind != TPL_MISSING) {
        names[n] = &caller_name;
        kw[n++] = caller;
    }
    *out = (tpl_args){.pos = pos.v, .n = pos.n, .names = names, .kw = kw, .n_kw = n};
    return !tpl_failed(r);
}

static tpl_value eval_call(tpl_run *r, const tpl_node *node) {
    tpl_args args;
    tpl_value callee = ag_tpl_eval(r, node->a);
    if (!ag_tpl_eval_args(r, &node->call, tpl_missing(), &args))
        return tpl_undef();
    r->line = node->line;
    return ag_tpl_call(r, callee, &args);
}

static tpl_value apply_filter(tpl_run *r, const tpl_node *node, tpl_value input) {
    tpl_args args;
    const tpl_filter *filter = ag_tpl_find_filter(tpl_span(node->name));
    if (!filter)
        return ag_tpl_fail(r, "no filter named '%.*s'", AG_SPAN(tpl_span(node->name)));
    if (!ag_tpl_eval_args(r, &node->call, tpl_missing(), &args))
        return tpl_undef();
    r->line = node->line;
    return filter->call(r, input, &args);
}

tpl_value ag_tpl_eval_filters(tpl_run *r, const tpl_node *node, tpl_value input) {
    if (!node || !ag_tpl_enter(r))
        return input;
    tpl_value v = node->a ? ag_tpl_eval_filters(r, node->a, input) : input;
    v = tpl_failed(r) ? v : apply_filter(r, node, v);
    tpl_leave(r);
    return v;
}

static tpl_value eval_test(tpl_run *r, const tpl_node *node) {
    tpl_args args;
    const tpl_test *test = ag_tpl_find_test(tpl_span(node->name));
    if (!test)
        return ag_tpl_fail(r, "no test named '%.*s'", AG_SPAN(tpl_span(node->name)));
    tpl_value v = ag_tpl_eval(r, node->a);
    if (!ag_tpl_eval_args(r, &node->call, tpl_missing(), &args))
        return tpl_undef();
    r->line = node->line;
    return tpl_bool(test->call(r, v, &args));
}

/* ---- the switch ------------------------------------------------------------------------------ */

static tpl_value eval_logic(tpl_run *r, const tpl_node *node) {
    tpl_value left = ag_tpl_eval(r, node->a);
    if (node->kind == NODE_NOT)
        return tpl_bool(!ag_tpl_truth(left));
    if (tpl_failed(r) || ag_tpl_truth(left) == (node->kind == NODE_OR))
        return left;
    return ag_tpl_eval(r, node->b);
}

static tpl_value eval_binary(tpl_run *r, const tpl_node *node) {
    tpl_value left = ag_tpl_eval(r, node->a), right = ag_tpl_eval(r, node->b);
    r->line = node->line;
    return tpl_failed(r) ? tpl_undef() : ag_tpl_binary(r, node->op, left, right);
}

static tpl_value eval_inner(tpl_run *r, const tpl_node *node) {
    switch (node->kind) {
    case NODE_LIST:
        return eval_items(r, node, TPL_LIST);
    case NODE_TUPLE:
        return eval_items(r, node, TPL_TUPLE);
    case NODE_DICT:
        return eval_dict(r, node);
    case NODE_COND:
        return eval_cond(r, node);
    case NODE_OR:
    case NODE_AND:
    case NODE_NOT:
        return eval_logic(r, node);
    case NODE_COMPARE:
        return eval_compare(r, node);
    case NODE_BINARY:
        return eval_binary(r, node);
    case NODE_CONCAT:
        return eval_concat(r, node);
    case NODE_NEG:
    case NODE_POS:
        return ag_tpl_negate(r, ag_tpl_eval(r, node->a), node->kind == NODE_NEG);
    case NODE_ATTR: {
        tpl_value owner = ag_tpl_eval(r, node->a);
        r->line = node->line;
        return ag_tpl_get_attr(r, owner, node->attr);
    }
    case NODE_ITEM:
        return eval_item(r, node);
    case NODE_CALL:
        return eval_call(r, node);
    case NODE_FILTER:
        return apply_filter(r, node, ag_tpl_eval(r, node->a));
    case NODE_TEST:
        return eval_test(r, node);
    default:
        return ag_tpl_fail(r, "this is no expression");
    }
}

tpl_value ag_tpl_eval(tpl_run *r, const tpl_node *node) {
    if (!ag_tpl_spend(r, 1))
        return tpl_undef();
    if (node->kind == NODE_CONST)
        return node->value;
    r->line = node->line;
    if (node->kind == NODE_NAME)
        return ag_tpl_lookup(r, node->id, node->name);
    if (!ag_tpl_enter(r))
        return tpl_undef();
    tpl_value v = eval_inner(r, node);
    tpl_leave(r);
    return tpl_failed(r) ? tpl_undef() : v;
}
