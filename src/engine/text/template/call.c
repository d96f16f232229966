/* Calls: macros, functions, methods, recursive loops; and the attributes of `loop`. */
#include "text/template/filter.h"

/* ---- macros ---------------------------------------------------------------------------------- */

typedef struct macro_call {
    const tpl_macro *macro;
    const tpl_args *args;
    bool *used; /* which keyword arguments were taken */
} macro_call;

static bool take_keyword(macro_call *c, ag_span name, tpl_value *out) {
    for (size_t i = 0; i < c->args->n_kw; i++)
        if (!c->used[i] && ag_span_eq(tpl_span(c->args->names[i]), name)) {
            c->used[i] = true;
            *out = c->args->kw[i];
            return true;
        }
    return false;
}

/* Defaults see the parameters before them, hence one after the other in the macro's own scope. */
static void bind_params(tpl_run *r, macro_call *c, tpl_scope *scope) {
    const tpl_params *params = &c->macro->node->params;
    for (size_t i = 0; i < params->n; i++) {
        tpl_value v = tpl_missing();
        if (i < c->args->n)
            v = c->args->pos[i];
        else
            take_keyword(c, tpl_span(params->v[i].name), &v);
        ag_tpl_scope_set(r, scope, params->v[i].id, v);
    }
    for (size_t i = 0; i < params->n && !tpl_failed(r); i++) {
        for (size_t j = 0; j < scope->n; j++) {
            if (scope->v[j].id != params->v[i].id || scope->v[j].value.kind != TPL_MISSING)
                continue;
            tpl_value v = params->v[i].value ? ag_tpl_eval(r, params->v[i].value)
                                             : ag_tpl_undef_name(r, params->v[i].name);
            ag_tpl_scope_set(r, scope, params->v[i].id, v);
        }
    }
}

static tpl_value rest_of_keywords(tpl_run *r, const macro_call *c) {
    tpl_value d = ag_tpl_dict(r, c->args->n_kw);
    for (size_t i = 0; i < c->args->n_kw && !tpl_failed(r); i++)
        if (!c->used[i])
            ag_tpl_dict_set(r, d.d, tpl_string(c->args->names[i]), c->args->kw[i]);
    return d;
}

static bool has_param(const tpl_node *node, uint32_t id) {
    for (size_t i = 0; i < node->params.n; i++)
        if (node->params.v[i].id == id)
            return true;
    return false;
}

static void bind_special(tpl_run *r, macro_call *c, tpl_scope *scope) {
    const tpl_node *node = c->macro->node;
    size_t n = node->params.n;
    if (node->has_caller && !has_param(node, TPL_ID_CALLER)) {
        tpl_value caller = ag_tpl_undef_hint(r, "no caller defined");
        take_keyword(c, ag_str("caller"), &caller);
        ag_tpl_scope_set(r, scope, TPL_ID_CALLER, caller);
    }
    if (node->has_kwargs && !has_param(node, TPL_ID_KWARGS)) {
        ag_tpl_scope_set(r, scope, TPL_ID_KWARGS, rest_of_keywords(r, c));
    } else {
        for (size_t i = 0; i < c->args->n_kw; i++)
            if (!c->used[i])
                ag_tpl_fail(r, "the macro takes no keyword argument '%.*s'",
                            AG_SPAN(tpl_span(c->args->names[i])));
    }
    if (node->has_varargs && !has_param(node, TPL_ID_VARARGS)) {
        size_t extra = c->args->n > n ? c->args->n - n : 0;
        tpl_value *v = ag_tpl_alloc(r, extra, sizeof *v);
        if (v && extra)
            memcpy(v, c->args->pos + n, extra * sizeof *v);
        ag_tpl_scope_set(r, scope, TPL_ID_VARARGS, ag_tpl_list(r, TPL_TUPLE, v, extra));
    } else if (c->args->n > n) {
        ag_tpl_fail(r, "the macro takes not more than %zu argument(s)", n);
    }
}

static tpl_value call_macro(tpl_run *r, const tpl_macro *macro, const tpl_args *args) {
    macro_call c = {.macro = macro, .args = args, .used = ag_tpl_alloc(r, args->n_kw, 1)};
    tpl_builder b = tpl_builder_of(r), *out = r->out;
    tpl_scope *scope = r->scope;
    r->scope = macro->scope;
    r->out = &b;
    tpl_scope *inner = ag_tpl_scope_open(r, macro->node->unset, macro->node->n_unset);
    if (inner && c.used) {
        bind_params(r, &c, inner);
        bind_special(r, &c, inner);
        ag_tpl_exec(r, &macro->node->body);
    }
    r->out = out;
    r->scope = scope;
    return tpl_string(ag_tpl_built(&b));
}

/* ---- other callables ------------------------------------------------------------------------- */

static tpl_value call_loop(tpl_run *r, tpl_loop *loop, const tpl_args *args) {
    static const char *const names[] = {"iterable", NULL};
    tpl_value iterable;
    if (!loop->node->recursive)
        return ag_tpl_fail(r, "the loop must be marked 'recursive' to be called");
    if (!ag_tpl_bind(r, "loop", args, names, 1, &iterable))
        return tpl_undef();
    tpl_scope *scope = r->scope;
    r->scope = loop->scope;
    tpl_value text = ag_tpl_run_loop(r, loop->node, iterable, loop->depth0 + 1);
    r->scope = scope;
    return text;
}

/* A joiner gives nothing at first, then its separator. */
static tpl_value call_joiner(tpl_cycler *joiner) {
    return joiner->at++ ? joiner->v[0] : joiner->v[1];
}

tpl_value ag_tpl_call(tpl_run *r, tpl_value callee, const tpl_args *args) {
    if (tpl_failed(r))
        return tpl_undef();
    switch (callee.kind) {
    case TPL_MACRO:
        return call_macro(r, callee.macro, args);
    case TPL_FUNC:
        return callee.func->call(r, args);
    case TPL_METHOD:
        return callee.method->call(r, callee.method->self, args);
    case TPL_LOOP:
        return call_loop(r, callee.loop, args);
    case TPL_JOINER:
        return call_joiner(callee.cycler);
    case TPL_UNDEFINED:
        return ag_tpl_fail_undefined(r, callee);
    default:
        return ag_tpl_fail(r, "'%s' object is not callable", ag_tpl_type_name(callee));
    }
}

/* ---- loop ------------------------------------------------------------------------------------ */

static bool peek(tpl_run *r, tpl_loop *loop) {
    if (!loop->peeked) {
        loop->at_end = !ag_tpl_next(r, loop->it, &loop->after);
        loop->peeked = true;
    }
    return !loop->at_end;
}

bool ag_tpl_loop_next(tpl_run *r, tpl_loop *loop, tpl_value *out) {
    if (!peek(r, loop) || tpl_failed(r))
        return false;
    *out = loop->after;
    loop->peeked = false;
    loop->index0++;
    loop->before = loop->current;
    loop->current = *out;
    return true;
}

/* Without a length of its own the rest of the iterable is read to count it. */
static size_t loop_length(tpl_run *r, tpl_loop *loop) {
    if (loop->has_length)
        return loop->length;
    if (!ag_tpl_length(loop->iterable, &loop->length)) {
        tpl_vec rest = {0};
        if (loop->peeked && !loop->at_end)
            ag_tpl_push(r, &rest, loop->after);
        if (!loop->peeked || !loop->at_end)
            for (tpl_value item; ag_tpl_next(r, loop->it, &item);)
                if (!ag_tpl_push(r, &rest, item))
                    break;
        loop->length = loop->index0 + 1 + rest.n;
        loop->it = ag_tpl_iter(r, ag_tpl_list(r, TPL_LIST, rest.v, rest.n));
        loop->peeked = false;
    }
    loop->has_length = true;
    return loop->length;
}

static tpl_value loop_cycle(tpl_run *r, tpl_value self, const tpl_args *args) {
    if (args->n == 0)
        return ag_tpl_fail(r, "no items for cycling given");
    return args->pos[self.loop->index0 % args->n];
}

static tpl_value loop_changed(tpl_run *r, tpl_value self, const tpl_args *args) {
    tpl_value *v = ag_tpl_alloc(r, args->n, sizeof *v);
    if (v && args->n)
        memcpy(v, args->pos, args->n * sizeof *v);
    tpl_value now = ag_tpl_list(r, TPL_TUPLE, v, args->n);
    if (tpl_failed(r) || ag_tpl_equal(r, now, self.loop->changed))
        return tpl_bool(false);
    self.loop->changed = now;
    return tpl_bool(true);
}

static tpl_value bound(tpl_run *r, tpl_loop *loop, const char *name, tpl_method_fn call) {
    tpl_method *m = ag_tpl_alloc(r, 1, sizeof *m);
    if (!m)
        return tpl_undef();
    *m = (tpl_method){.name = name, .call = call, .self = {.kind = TPL_LOOP, .loop = loop}};
    return (tpl_value){.kind = TPL_METHOD, .method = m};
}

tpl_value ag_tpl_loop_attr(tpl_run *r, tpl_loop *loop, const tpl_str *name, bool *found) {
    ag_span n = tpl_span(name);
    tpl_int index0 = (tpl_int)loop->index0;
    *found = true;
    if (ag_span_is(n, "index"))
        return tpl_integer(index0 + 1);
    if (ag_span_is(n, "index0"))
        return tpl_integer(index0);
    if (ag_span_is(n, "first"))
        return tpl_bool(index0 == 0);
    if (ag_span_is(n, "last"))
        return tpl_bool(!peek(r, loop));
    if (ag_span_is(n, "length"))
        return tpl_integer((tpl_int)loop_length(r, loop));
    if (ag_span_is(n, "revindex"))
        return tpl_integer((tpl_int)loop_length(r, loop) - index0);
    if (ag_span_is(n, "revindex0"))
        return tpl_integer((tpl_int)loop_length(r, loop) - index0 - 1);
    if (ag_span_is(n, "previtem"))
        return index0 > 0 ? loop->before : ag_tpl_undef_hint(r, "there is no previous item");
    if (ag_span_is(n, "nextitem"))
        return peek(r, loop) ? loop->after : ag_tpl_undef_hint(r, "there is no next item");
    if (ag_span_is(n, "depth"))
        return tpl_integer(loop->depth0 + 1);
    if (ag_span_is(n, "depth0"))
        return tpl_integer(loop->depth0);
    if (ag_span_is(n, "cycle"))
        return bound(r, loop, "cycle", loop_cycle);
    if (ag_span_is(n, "changed"))
        return bound(r, loop, "changed", loop_changed);
    *found = false;
    return tpl_undef();
}
