/* What the reference decides when it compiles a template, decided here after parsing:
 *
 * 1. Unknown filters and tests are errors at once, unless they stand under an `if` (statement or
 *    expression), where they only fail when they are reached.
 * 2. A name belongs to the innermost scope that assigns it. Where the first mention of a name in a
 *    scope is an unconditional assignment, and no scope around it knows the name, then the name is
 *    unset when the scope opens, even if the context has a variable of that name: an inner scope
 *    that runs earlier sees it undefined. Those names are collected for each node that opens a
 *    scope.
 *
 * A scope's own statements are looked at first, without the scopes inside it; those come after,
 * since they see all names of the scope around them, wherever they stand. */
#include "text/template/filter.h"
#include "text/template/parser.h"

#define MAX_DEPTH 1000u             /* a chain of operators nests to its length */
#define MAX_WORK  ((size_t)1 << 30) /* bytes of symbol tables copied: a second or so */

enum { SEEN = 1, UNSET = 2, STORED = 4 }; /* UNSET implies SEEN */

typedef struct frame {
    const struct frame *up;
    uint8_t *names; /* [n_names], flags; owned */
} frame;

typedef struct analyzer {
    ag_template *t;
    ag_err *err;
    ag_code code;
    unsigned depth;
    size_t work;
} analyzer;

static void body_names(analyzer *a, frame *f, const tpl_nodes *body, bool soft);
static void inner_scopes(analyzer *a, const frame *f, const tpl_nodes *body);

static bool enter(analyzer *a, const tpl_node *node) {
    if (a->depth >= MAX_DEPTH && a->code == AG_OK)
        a->code =
            ag_fail(a->err, AG_E_LIMIT, "chat template, line %u: nested too deeply", node->line);
    if (a->code != AG_OK)
        return false;
    a->depth++;
    return true;
}

static uint8_t *new_table(analyzer *a, const uint8_t *copied) {
    a->work += a->t->n_names + 1;
    if (a->code == AG_OK && a->work > MAX_WORK)
        a->code = ag_fail(a->err, AG_E_LIMIT, "the chat template has too many names and scopes");
    uint8_t *table = a->code == AG_OK ? ag_calloc(AG_ROOM_TEXT, a->t->n_names + 1, 1) : NULL;
    if (!table && a->code == AG_OK)
        a->code = ag_fail(a->err, AG_E_NOMEM, "out of memory while parsing the chat template");
    if (table && copied)
        memcpy(table, copied, a->t->n_names);
    return table;
}

static bool known(const frame *f, uint32_t id) {
    for (; f; f = f->up)
        if (f->names[id])
            return true;
    return false;
}

static void load(frame *f, uint32_t id) {
    if (!known(f, id))
        f->names[id] = SEEN;
}

static void store(frame *f, uint32_t id) {
    if (!f->names[id])
        f->names[id] = known(f->up, id) ? SEEN : SEEN | UNSET;
    f->names[id] |= STORED;
}

static void param(frame *f, uint32_t id) { f->names[id] = SEEN | STORED; }

/* ---- expressions ----------------------------------------------------------------------------- */

static void expr(analyzer *a, frame *f, const tpl_node *node, bool soft);

static void call_names(analyzer *a, frame *f, const tpl_call *call, bool soft) {
    for (size_t i = 0; i < call->pos.n; i++)
        expr(a, f, call->pos.v[i], soft);
    for (size_t i = 0; i < call->kw.n; i++)
        expr(a, f, call->kw.v[i].value, soft);
    expr(a, f, call->star, soft);
    expr(a, f, call->star2, soft);
}

static void check_exists(analyzer *a, const tpl_node *node) {
    ag_span name = node->name ? tpl_span(node->name) : (ag_span){0};
    const char *what = node->kind == NODE_FILTER && !ag_tpl_find_filter(name) ? "filter"
                       : node->kind == NODE_TEST && !ag_tpl_find_test(name)   ? "test"
                                                                              : NULL;
    if (what && a->code == AG_OK)
        a->code = ag_fail(a->err, AG_E_TEMPLATE, "chat template, line %u: no %s named '%.*s'",
                          node->line, what, AG_SPAN(name));
}

static void expr(analyzer *a, frame *f, const tpl_node *node, bool soft) {
    if (!node || !enter(a, node))
        return;
    if (node->kind == NODE_NAME || node->kind == NODE_NSREF)
        load(f, node->id);
    if (!soft)
        check_exists(a, node);
    soft |= node->kind == NODE_COND;
    expr(a, f, node->a, soft);
    expr(a, f, node->b, soft);
    expr(a, f, node->c, soft);
    for (size_t i = 0; i < node->items.n; i++)
        expr(a, f, node->items.v[i], soft);
    call_names(a, f, &node->call, soft);
    a->depth--;
}

static void target(analyzer *a, frame *f, const tpl_node *node, void (*bind)(frame *, uint32_t)) {
    if (!node || !enter(a, node))
        return;
    if (node->kind == NODE_NAME)
        bind(f, node->id);
    else if (node->kind == NODE_NSREF)
        load(f, node->id);
    for (size_t i = 0; i < node->items.n; i++)
        target(a, f, node->items.v[i], bind);
    a->depth--;
}

/* ---- the names of one scope ------------------------------------------------------------------ */

/* Join what branches made of the table `before`: what only some of them store is looked up outside
 * first, so it is not unset. */
static void merge(analyzer *a, frame *f, uint8_t *const *branches, size_t n) {
    for (size_t id = 0; id < a->t->n_names; id++) {
        bool stored = false, was_stored = f->names[id] & STORED;
        for (size_t i = 0; i < n; i++) {
            uint8_t flags = branches[i] ? branches[i][id] : 0;
            stored |= (flags & STORED) != 0;
            if (flags && !f->names[id])
                f->names[id] = flags;
        }
        if (stored && !was_stored)
            f->names[id] = SEEN | STORED;
    }
}

/* One branch, on a copy of the names so far. */
static uint8_t *branch_names(analyzer *a, const frame *f, const tpl_nodes *body) {
    frame copy = {f->up, new_table(a, f->names)};
    if (copy.names)
        body_names(a, &copy, body, true);
    return copy.names;
}

static void if_names(analyzer *a, frame *f, const tpl_node *node) {
    for (size_t i = 0; i < node->items.n && a->code == AG_OK; i++) {
        const tpl_node *branch = node->items.v[i];
        expr(a, f, branch->a, true);
        uint8_t *names = branch_names(a, f, &branch->body);
        merge(a, f, &names, 1);
        ag_free(names);
    }
}

static void statement_names(analyzer *a, frame *f, const tpl_node *node, bool soft) {
    switch (node->kind) {
    case NODE_PRINT:
    case NODE_CALL_BLOCK:
    case NODE_FILTER_BLOCK:
        expr(a, f, node->a, soft);
        break;
    case NODE_FOR:
        expr(a, f, node->b, soft);
        break;
    case NODE_IF:
        if_names(a, f, node);
        break;
    case NODE_SET:
        expr(a, f, node->b, soft);
        target(a, f, node->a, store);
        break;
    case NODE_SET_BLOCK:
        target(a, f, node->a, store);
        break;
    case NODE_MACRO:
        store(f, node->id);
        break;
    case NODE_WITH:
        for (size_t i = 1; i < node->items.n; i += 2)
            expr(a, f, node->items.v[i], soft);
        break;
    default:
        break;
    }
}

static void body_names(analyzer *a, frame *f, const tpl_nodes *body, bool soft) {
    for (size_t i = 0; i < body->n && a->code == AG_OK; i++) {
        if (!enter(a, body->v[i]))
            return;
        statement_names(a, f, body->v[i], soft);
        a->depth--;
    }
}

/* ---- scopes ---------------------------------------------------------------------------------- */

static void collect(analyzer *a, const frame *f, uint32_t **out, size_t *n) {
    size_t count = 0;
    for (size_t id = 0; id < a->t->n_names; id++)
        count += (f->names[id] & UNSET) != 0;
    if (!count || a->code != AG_OK)
        return;
    *out = ag_arena_array(&a->t->arena, count, sizeof **out);
    if (!*out) {
        a->code = ag_fail(a->err, AG_E_NOMEM, "out of memory while parsing the chat template");
        return;
    }
    for (uint32_t id = 0; id < a->t->n_names; id++)
        if (f->names[id] & UNSET)
            (*out)[(*n)++] = id;
}

/* A scope whose parameters are bound already: its statements, its unset names, its inner scopes. */
static void scope(analyzer *a, frame *f, const tpl_nodes *body, uint32_t **unset, size_t *n) {
    body_names(a, f, body, false);
    collect(a, f, unset, n);
    inner_scopes(a, f, body);
}

static void macro_params(analyzer *a, frame *f, const tpl_node *macro) {
    param(f, TPL_ID_CALLER);
    param(f, TPL_ID_VARARGS);
    param(f, TPL_ID_KWARGS);
    for (size_t i = 0; i < macro->params.n; i++)
        param(f, macro->params.v[i].id);
    for (size_t i = 0; i < macro->params.n; i++)
        expr(a, f, macro->params.v[i].value, false);
}

static void bind_params(analyzer *a, frame *f, const tpl_node *node) {
    switch (node->kind) {
    case NODE_FOR:
        param(f, TPL_ID_LOOP);
        target(a, f, node->a, param);
        expr(a, f, node->c, false);
        break;
    case NODE_MACRO:
        macro_params(a, f, node);
        break;
    case NODE_WITH:
        for (size_t i = 0; i < node->items.n; i += 2)
            target(a, f, node->items.v[i], param);
        break;
    case NODE_SET_BLOCK:
        expr(a, f, node->b, false);
        break;
    default:
        break;
    }
}

static void scope_of(analyzer *a, const frame *up, tpl_node *node) {
    frame f = {up, new_table(a, NULL)};
    if (!f.names)
        return;
    bind_params(a, &f, node);
    scope(a, &f, &node->body, &node->unset, &node->n_unset);
    ag_free(f.names);
    if (node->kind != NODE_FOR || !node->other.n)
        return;
    f.names = new_table(a, NULL);
    if (f.names)
        scope(a, &f, &node->other, &node->unset_other, &node->n_unset_other);
    ag_free(f.names);
}

static void inner_scope(analyzer *a, const frame *f, tpl_node *node) {
    switch (node->kind) {
    case NODE_IF:
        for (size_t i = 0; i < node->items.n; i++)
            inner_scopes(a, f, &node->items.v[i]->body);
        break;
    case NODE_CALL_BLOCK:
        scope_of(a, f, node->b);
        break;
    case NODE_FOR:
    case NODE_MACRO:
    case NODE_SET_BLOCK:
    case NODE_FILTER_BLOCK:
    case NODE_WITH:
    case NODE_SCOPE:
        scope_of(a, f, node);
        break;
    default:
        break;
    }
}

static void inner_scopes(analyzer *a, const frame *f, const tpl_nodes *body) {
    for (size_t i = 0; i < body->n && a->code == AG_OK; i++) {
        if (!enter(a, body->v[i]))
            return;
        inner_scope(a, f, body->v[i]);
        a->depth--;
    }
}

ag_code ag_tpl_analyze(ag_template *t, ag_err *err) {
    analyzer a = {.t = t, .err = err};
    frame f = {NULL, new_table(&a, NULL)};
    if (f.names)
        scope(&a, &f, &t->root.body, &t->root.unset, &t->root.n_unset);
    ag_free(f.names);
    return a.code;
}
