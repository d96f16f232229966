/* Values: the run's budget, making values, and asking them: truth, equality, order, membership. */
#include "text/template/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"

/* ---- failing and paying ---------------------------------------------------------------------- */

static tpl_value fail(tpl_run *r, ag_code code, bool with_line, const char *fmt, va_list ap) {
    if (tpl_failed(r))
        return tpl_undef();
    char text[400];
    vsnprintf(text, sizeof text, fmt, ap);
    for (char *c = text; *c; c++) /* an error is one line */
        if (*c == '\n' || *c == '\r')
            *c = ' ';
    r->code = code;
    if (with_line)
        (void)ag_fail(r->err, code, "chat template, line %u: %s", r->line, text);
    else
        (void)ag_fail(r->err, code, "%s", text);
    return tpl_undef();
}

tpl_value ag_tpl_fail(tpl_run *r, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(r, AG_E_TEMPLATE, true, fmt, ap);
    va_end(ap);
    return tpl_undef();
}

tpl_value ag_tpl_fail_as(tpl_run *r, ag_code code, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    fail(r, code, code == AG_E_LIMIT, fmt, ap);
    va_end(ap);
    return tpl_undef();
}

tpl_value ag_tpl_fail_undefined(tpl_run *r, tpl_value v) {
    const tpl_undefined *u = v.kind == TPL_UNDEFINED ? v.u : NULL;
    if (!u)
        return ag_tpl_fail(r, "the value is undefined");
    if (u->unsafe)
        return ag_tpl_fail(r, "access to attribute '%.*s' of '%s' object is unsafe",
                           AG_SPAN(tpl_span(u->name)), u->owner);
    if (u->hint)
        return ag_tpl_fail(r, "%s", u->hint);
    if (!u->owner)
        return ag_tpl_fail(r, "'%.*s' is undefined", AG_SPAN(tpl_span(u->name)));
    if (!u->name)
        return ag_tpl_fail(r, "%s object has no such element", u->owner);
    return ag_tpl_fail(r, "'%s object' has no attribute '%.*s'", u->owner,
                       AG_SPAN(tpl_span(u->name)));
}

void *ag_tpl_alloc(tpl_run *r, size_t n, size_t size) {
    if (tpl_failed(r))
        return NULL;
    void *p = ag_arena_array(&r->arena, n, size);
    if (p)
        return p;
    size_t left = r->arena.cap - (r->arena.bytes < r->arena.cap ? r->arena.bytes : r->arena.cap);
    if (size && n > left / size)
        ag_tpl_fail_as(r, AG_E_LIMIT, "rendering needs more than %zu bytes of memory",
                       r->arena.cap);
    else
        ag_tpl_fail_as(r, AG_E_NOMEM, "out of memory while rendering the chat template");
    return NULL;
}

bool ag_tpl_spend(tpl_run *r, uint64_t n) {
    if (n <= r->steps_left) {
        r->steps_left -= n;
        return !tpl_failed(r);
    }
    r->steps_left = 0;
    ag_tpl_fail_as(r, AG_E_LIMIT, "rendering takes too many steps");
    return false;
}

bool ag_tpl_enter(tpl_run *r) {
    if (r->depth_left == 0) {
        ag_tpl_fail_as(r, AG_E_LIMIT, "nested too deeply");
        return false;
    }
    r->depth_left--;
    return true;
}

/* ---- making ---------------------------------------------------------------------------------- */

tpl_value ag_tpl_text(tpl_run *r, const char *s) {
    return tpl_string(ag_tpl_str(r, s, strlen(s), false));
}

static tpl_value undefined(tpl_run *r, tpl_undefined what) {
    tpl_undefined *u = ag_tpl_alloc(r, 1, sizeof *u);
    if (u)
        *u = what;
    return (tpl_value){.kind = TPL_UNDEFINED, .u = u};
}

tpl_value ag_tpl_undef_name(tpl_run *r, const tpl_str *name) {
    return undefined(r, (tpl_undefined){.name = name});
}
tpl_value ag_tpl_undef_attr(tpl_run *r, tpl_value owner, tpl_value name) {
    return undefined(r, (tpl_undefined){.name = name.kind == TPL_STR ? name.s : NULL,
                                        .owner = ag_tpl_type_name(owner)});
}
tpl_value ag_tpl_undef_unsafe(tpl_run *r, tpl_value owner, const tpl_str *name) {
    return undefined(
        r, (tpl_undefined){.name = name, .owner = ag_tpl_type_name(owner), .unsafe = true});
}
tpl_value ag_tpl_undef_hint(tpl_run *r, const char *hint) {
    return undefined(r, (tpl_undefined){.hint = hint});
}

tpl_value ag_tpl_list(tpl_run *r, tpl_kind kind, tpl_value *v, size_t n) {
    tpl_list *l = ag_tpl_alloc(r, 1, sizeof *l);
    if (!l)
        return tpl_undef();
    *l = (tpl_list){.v = v, .n = n};
    return (tpl_value){.kind = kind, .l = l};
}

tpl_value ag_tpl_pair(tpl_run *r, tpl_value a, tpl_value b) {
    tpl_value *v = ag_tpl_alloc(r, 2, sizeof *v);
    if (!v)
        return tpl_undef();
    v[0] = a;
    v[1] = b;
    return ag_tpl_list(r, TPL_TUPLE, v, 2);
}

bool ag_tpl_push(tpl_run *r, tpl_vec *vec, tpl_value v) {
    if (vec->n == vec->room) {
        size_t room = vec->room ? vec->room * 2 : 8;
        tpl_value *grown = ag_tpl_alloc(r, room, sizeof *grown);
        if (!grown)
            return false;
        if (vec->n)
            memcpy(grown, vec->v, vec->n * sizeof *grown);
        vec->v = grown;
        vec->room = room;
    }
    vec->v[vec->n++] = v;
    return !tpl_failed(r);
}

/* ---- dicts ----------------------------------------------------------------------------------- */

/* Equal keys must hash alike, and 1 == 1.0 == True. */
static uint64_t hash_of(tpl_value v) {
    if (v.kind == TPL_STR)
        return ag_hash64(v.s->p, v.s->n, 1);
    if (v.kind == TPL_TUPLE) {
        uint64_t h = v.l->n;
        for (size_t i = 0; i < v.l->n; i++)
            h = ag_mix64(h ^ hash_of(v.l->v[i]), 0xe7037ed1a0b428dbull);
        return h;
    }
    if (tpl_is_number(v)) {
        double f = tpl_to_float(v) + 0.0; /* -0.0 and 0.0 are equal */
        return ag_hash64(&f, sizeof f, 2);
    }
    return (uint64_t)v.kind;
}

bool ag_tpl_is_hashable(tpl_value v) {
    if (v.kind == TPL_TUPLE) {
        for (size_t i = 0; i < v.l->n; i++)
            if (!ag_tpl_is_hashable(v.l->v[i]))
                return false;
        return true;
    }
    return v.kind != TPL_LIST && v.kind != TPL_DICT;
}

tpl_value ag_tpl_dict(tpl_run *r, size_t room) {
    tpl_dict *d = ag_tpl_alloc(r, 1, sizeof *d);
    if (!d)
        return tpl_undef();
    d->e = ag_tpl_alloc(r, room, sizeof *d->e);
    d->room = d->e ? room : 0;
    return (tpl_value){.kind = TPL_DICT, .d = d};
}

static tpl_entry *find_entry(tpl_run *r, const tpl_dict *d, tpl_value key, uint64_t hash) {
    /* Comparing hashes in order is fast up to thousands of keys; the budget bounds the rest. */
    for (size_t i = 0; i < d->n && !tpl_failed(r); i++) {
        if (i % 64 == 63 && !ag_tpl_spend(r, 1))
            return NULL;
        if (d->e[i].hash == hash && ag_tpl_equal(r, d->e[i].key, key))
            return &d->e[i];
    }
    return NULL;
}

bool ag_tpl_dict_set(tpl_run *r, tpl_dict *d, tpl_value key, tpl_value value) {
    if (tpl_failed(r))
        return false;
    if (!ag_tpl_is_hashable(key)) {
        ag_tpl_fail(r, "unhashable type: '%s'", ag_tpl_type_name(key));
        return false;
    }
    uint64_t hash = hash_of(key);
    tpl_entry *e = find_entry(r, d, key, hash);
    if (e) {
        e->value = value;
        return true;
    }
    if (d->n == d->room) {
        size_t room = d->room ? d->room * 2 : 8;
        tpl_entry *grown = ag_tpl_alloc(r, room, sizeof *grown);
        if (!grown)
            return false;
        if (d->n)
            memcpy(grown, d->e, d->n * sizeof *grown);
        d->e = grown;
        d->room = room;
    }
    d->e[d->n++] = (tpl_entry){.hash = hash, .key = key, .value = value};
    return !tpl_failed(r);
}

const tpl_value *ag_tpl_dict_find(tpl_run *r, const tpl_dict *d, tpl_value key) {
    if (tpl_failed(r) || !ag_tpl_is_hashable(key))
        return NULL;
    const tpl_entry *e = find_entry(r, d, key, hash_of(key));
    return e ? &e->value : NULL;
}

const tpl_value *ag_tpl_dict_find_text(const tpl_dict *d, ag_span key) {
    uint64_t hash = ag_hash64(key.p, key.n, 1);
    for (size_t i = 0; i < d->n; i++)
        if (d->e[i].hash == hash && d->e[i].key.kind == TPL_STR &&
            ag_span_eq(tpl_span(d->e[i].key.s), key))
            return &d->e[i].value;
    return NULL;
}

/* ---- asking ---------------------------------------------------------------------------------- */

const char *ag_tpl_type_name(tpl_value v) {
    static const char *const names[] = {
        [TPL_UNDEFINED] = "Undefined",
        [TPL_MISSING] = "MissingType",
        [TPL_NONE] = "NoneType",
        [TPL_BOOL] = "bool",
        [TPL_INT] = "int",
        [TPL_FLOAT] = "float",
        [TPL_STR] = "str",
        [TPL_LIST] = "list",
        [TPL_TUPLE] = "tuple",
        [TPL_DICT] = "dict",
        [TPL_VIEW] = "dict view",
        [TPL_RANGE] = "range",
        [TPL_ITER] = "generator",
        [TPL_NAMESPACE] = "Namespace",
        [TPL_MACRO] = "Macro",
        [TPL_FUNC] = "function",
        [TPL_METHOD] = "method",
        [TPL_LOOP] = "LoopContext",
        [TPL_CYCLER] = "Cycler",
        [TPL_JOINER] = "Joiner",
    };
    return v.kind == TPL_STR && v.s->markup ? "Markup" : names[v.kind];
}

bool ag_tpl_truth(tpl_value v) {
    size_t n;
    switch (v.kind) {
    case TPL_UNDEFINED:
    case TPL_MISSING:
    case TPL_NONE:
        return false;
    case TPL_BOOL:
        return v.b;
    case TPL_INT:
        return v.i != 0;
    case TPL_FLOAT:
        return v.f != 0;
    case TPL_LOOP:
        return true;
    default:
        return !ag_tpl_length(v, &n) || n > 0;
    }
}

bool ag_tpl_length(tpl_value v, size_t *n) {
    switch (v.kind) {
    case TPL_UNDEFINED:
        *n = 0;
        return true;
    case TPL_STR:
        *n = ag_tpl_str_length(v.s);
        return true;
    case TPL_LIST:
    case TPL_TUPLE:
        *n = v.l->n;
        return true;
    case TPL_DICT:
        *n = v.d->n;
        return true;
    case TPL_VIEW:
        *n = v.view->d->n;
        return true;
    case TPL_RANGE:
        *n = v.range->n;
        return true;
    default:
        return false;
    }
}

static bool equal_lists(tpl_run *r, const tpl_list *a, const tpl_list *b) {
    if (a->n != b->n || !ag_tpl_enter(r))
        return false;
    bool same = true;
    for (size_t i = 0; same && i < a->n; i++)
        same = ag_tpl_equal(r, a->v[i], b->v[i]);
    tpl_leave(r);
    return same;
}

static bool equal_dicts(tpl_run *r, const tpl_dict *a, const tpl_dict *b) {
    if (a->n != b->n || !ag_tpl_enter(r))
        return false;
    bool same = true;
    for (size_t i = 0; same && i < a->n; i++) {
        const tpl_value *other = ag_tpl_dict_find(r, b, a->e[i].key);
        same = other && ag_tpl_equal(r, a->e[i].value, *other);
    }
    tpl_leave(r);
    return same;
}

static bool equal_numbers(tpl_value a, tpl_value b) {
    if (a.kind != TPL_FLOAT && b.kind != TPL_FLOAT)
        return tpl_to_int(a) == tpl_to_int(b);
    return tpl_to_float(a) == tpl_to_float(b);
}

bool ag_tpl_equal(tpl_run *r, tpl_value a, tpl_value b) {
    if (!ag_tpl_spend(r, 1))
        return false;
    if (tpl_is_number(a) && tpl_is_number(b))
        return equal_numbers(a, b);
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case TPL_UNDEFINED:
    case TPL_NONE:
        return true;
    case TPL_STR:
        return ag_span_eq(tpl_span(a.s), tpl_span(b.s));
    case TPL_LIST:
    case TPL_TUPLE:
        return equal_lists(r, a.l, b.l);
    case TPL_DICT:
        return equal_dicts(r, a.d, b.d);
    case TPL_RANGE:
        return a.range->n == b.range->n &&
               (a.range->n == 0 || (a.range->start == b.range->start &&
                                    (a.range->n == 1 || a.range->step == b.range->step)));
    case TPL_METHOD:
        return a.method->call == b.method->call && ag_tpl_equal(r, a.method->self, b.method->self);
    case TPL_VIEW:
        return a.view->kind == b.view->kind && a.view->kind != TPL_VALUES &&
               equal_dicts(r, a.view->d, b.view->d);
    default: /* by identity; all pointers of the union share their place */
        return a.d == b.d;
    }
}

static int order(tpl_int a, tpl_int b) { return a < b ? -1 : a > b; }

static int compare_lists(tpl_run *r, tpl_value a, tpl_value b, const char *op) {
    if (!ag_tpl_enter(r))
        return 0;
    size_t n = a.l->n < b.l->n ? a.l->n : b.l->n, i = 0;
    while (i < n && ag_tpl_equal(r, a.l->v[i], b.l->v[i]))
        i++;
    int c = i < n ? ag_tpl_compare(r, a.l->v[i], b.l->v[i], op)
                  : order((tpl_int)a.l->n, (tpl_int)b.l->n);
    tpl_leave(r);
    return c;
}

int ag_tpl_compare(tpl_run *r, tpl_value a, tpl_value b, const char *op) {
    if (!ag_tpl_spend(r, 1))
        return 0;
    if (tpl_is_int(a) && tpl_is_int(b))
        return order(tpl_to_int(a), tpl_to_int(b));
    if (tpl_is_number(a) && tpl_is_number(b)) {
        double x = tpl_to_float(a), y = tpl_to_float(b);
        return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2; /* 2: not a number, never less or equal */
    }
    if (a.kind == TPL_STR && b.kind == TPL_STR) { /* UTF-8 sorts like its code points */
        size_t n = a.s->n < b.s->n ? a.s->n : b.s->n;
        int c = n ? memcmp(a.s->p, b.s->p, n) : 0;
        return c ? (c < 0 ? -1 : 1) : order((tpl_int)a.s->n, (tpl_int)b.s->n);
    }
    if (a.kind == b.kind && (a.kind == TPL_LIST || a.kind == TPL_TUPLE))
        return compare_lists(r, a, b, op);
    if (a.kind == TPL_UNDEFINED || b.kind == TPL_UNDEFINED)
        ag_tpl_fail_undefined(r, a.kind == TPL_UNDEFINED ? a : b);
    else
        ag_tpl_fail(r, "'%s' not supported between instances of '%s' and '%s'", op,
                    ag_tpl_type_name(a), ag_tpl_type_name(b));
    return 0;
}

static bool range_has(const tpl_range *g, tpl_value v) {
    if (v.kind == TPL_FLOAT && v.f == floor(v.f) && fabs(v.f) < 1e18)
        v = tpl_integer((tpl_int)v.f);
    if (!tpl_is_int(v) || g->n == 0)
        return false;
    tpl_int i = tpl_to_int(v), last = g->start + (tpl_int)(g->n - 1) * g->step;
    tpl_int low = g->step > 0 ? g->start : last, high = g->step > 0 ? last : g->start;
    return i >= low && i <= high && (i - g->start) % g->step == 0;
}

bool ag_tpl_contains(tpl_run *r, tpl_value b, tpl_value a) {
    if (tpl_failed(r))
        return false;
    if (b.kind == TPL_STR) {
        if (a.kind == TPL_STR)
            return ag_tpl_str_find(r, b.s, a.s, 0) != SIZE_MAX;
        ag_tpl_fail(r, "'in <string>' requires string as left operand, not %s",
                    ag_tpl_type_name(a));
        return false;
    }
    if (b.kind == TPL_DICT || (b.kind == TPL_VIEW && b.view->kind == TPL_KEYS)) {
        if (!ag_tpl_is_hashable(a))
            ag_tpl_fail(r, "unhashable type: '%s'", ag_tpl_type_name(a));
        return ag_tpl_dict_find(r, b.kind == TPL_DICT ? b.d : b.view->d, a) != NULL;
    }
    if (b.kind == TPL_RANGE)
        return range_has(b.range, a);
    if (!ag_tpl_is_iterable(b)) {
        ag_tpl_fail(r, "argument of type '%s' is not iterable", ag_tpl_type_name(b));
        return false;
    }
    tpl_iter *it = ag_tpl_iter(r, b);
    for (tpl_value item; ag_tpl_next(r, it, &item);)
        if (ag_tpl_equal(r, item, a))
            return true;
    return false;
}
