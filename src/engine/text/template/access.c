/* Attributes, items and slices.
 *
 * a.b looks for a method or attribute first, then for the key; a['b'] the other way round. What the
 * sandbox hides (changing a list or dict in place, names with underscores) reads as undefined. */
#include "text/template/filter.h"

static bool is_one_of(ag_span name, const char *const *names) {
    for (; *names; names++)
        if (ag_span_is(name, *names))
            return true;
    return false;
}

static bool is_hidden(tpl_value owner, ag_span name) {
    static const char *const list[] = {"append", "clear",  "pop",    "reverse", "insert",
                                       "sort",   "extend", "remove", NULL};
    static const char *const dict[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    if (owner.kind == TPL_LIST)
        return is_one_of(name, list);
    if (owner.kind == TPL_DICT)
        return is_one_of(name, dict);
    return false;
}

static bool is_dunder(ag_span name) {
    return name.n > 4 && ag_span_starts(name, ag_str("__")) && ag_span_ends(name, ag_str("__"));
}

static bool group_attr(const tpl_list *l, ag_span name, tpl_value *out) {
    if (!l->group || (!ag_span_is(name, "grouper") && !ag_span_is(name, "list")))
        return false;
    *out = l->v[ag_span_is(name, "list")];
    return true;
}

static tpl_value macro_arguments(tpl_run *r, const tpl_node *node) {
    tpl_value *v = ag_tpl_alloc(r, node->params.n, sizeof *v);
    for (size_t i = 0; v && i < node->params.n; i++)
        v[i] = tpl_string(node->params.v[i].name);
    return ag_tpl_list(r, TPL_LIST, v, node->params.n);
}

static bool macro_attr(tpl_run *r, const tpl_node *node, ag_span name, tpl_value *out) {
    if (ag_span_is(name, "name"))
        *out = node->name ? tpl_string(node->name) : tpl_none();
    else if (ag_span_is(name, "arguments"))
        *out = macro_arguments(r, node);
    else if (ag_span_is(name, "caller"))
        *out = tpl_bool(node->has_caller);
    else if (ag_span_is(name, "catch_kwargs"))
        *out = tpl_bool(node->has_kwargs);
    else if (ag_span_is(name, "catch_varargs"))
        *out = tpl_bool(node->has_varargs);
    else
        return false;
    return true;
}

/* getattr(): methods and attributes, no keys. */
static bool find_attr(tpl_run *r, tpl_value owner, const tpl_str *name, tpl_value *out) {
    ag_span n = tpl_span(name);
    const tpl_value *v;
    bool found = false;
    if (is_hidden(owner, n) || (is_dunder(n) && owner.kind != TPL_NAMESPACE)) {
        *out = ag_tpl_undef_unsafe(r, owner, name);
        return true;
    }
    switch (owner.kind) {
    case TPL_NAMESPACE:
        v = ag_tpl_dict_find_text(owner.d, n);
        if (v)
            *out = *v;
        return v != NULL;
    case TPL_LOOP:
        *out = ag_tpl_loop_attr(r, owner.loop, name, &found);
        return found;
    case TPL_MACRO:
        return macro_attr(r, owner.macro->node, n, out);
    case TPL_TUPLE:
        return group_attr(owner.l, n, out) || ag_tpl_find_method(r, owner, n, out);
    case TPL_CYCLER:
        if (ag_span_is(n, "current")) {
            *out = owner.cycler->v[owner.cycler->at];
            return true;
        }
        return ag_tpl_find_method(r, owner, n, out);
    default:
        return ag_tpl_find_method(r, owner, n, out);
    }
}

tpl_value ag_tpl_get_attr(tpl_run *r, tpl_value owner, const tpl_str *name) {
    tpl_value out;
    if (tpl_failed(r))
        return tpl_undef();
    if (owner.kind == TPL_UNDEFINED)
        return ag_tpl_fail_undefined(r, owner);
    if (find_attr(r, owner, name, &out))
        return out;
    const tpl_value *v =
        owner.kind == TPL_DICT ? ag_tpl_dict_find(r, owner.d, tpl_string(name)) : NULL;
    return v ? *v : ag_tpl_undef_attr(r, owner, tpl_string(name));
}

/* Items by position: false when the key is no integer or past the end. */
static bool find_index(tpl_run *r, tpl_value owner, tpl_value key, tpl_value *out) {
    size_t n;
    if (!tpl_is_int(key) || !ag_tpl_length(owner, &n))
        return false;
    tpl_int i = tpl_to_int(key);
    if (i < 0)
        i += (tpl_int)n;
    if (i < 0 || i >= (tpl_int)n)
        return false;
    size_t at = (size_t)i;
    if (owner.kind == TPL_LIST || owner.kind == TPL_TUPLE) {
        *out = owner.l->v[at];
    } else if (owner.kind == TPL_RANGE) {
        *out = tpl_integer(owner.range->start + i * owner.range->step);
    } else if (owner.kind == TPL_STR && ag_tpl_spend(r, owner.s->n / 64)) {
        size_t from = ag_tpl_offset(owner.s, at), len;
        ag_tpl_cp(owner.s, from, &len);
        *out = tpl_string(ag_tpl_str_sub(r, owner.s, from, from + len));
    } else {
        return false;
    }
    return true;
}

tpl_value ag_tpl_get_item(tpl_run *r, tpl_value owner, tpl_value key) {
    tpl_value out;
    if (tpl_failed(r))
        return tpl_undef();
    if (owner.kind == TPL_UNDEFINED)
        return ag_tpl_fail_undefined(r, owner);
    if (owner.kind == TPL_DICT) {
        const tpl_value *v = ag_tpl_dict_find(r, owner.d, key);
        if (v)
            return *v;
    } else if (find_index(r, owner, key, &out)) {
        return out;
    }
    if (key.kind == TPL_STR && find_attr(r, owner, key.s, &out))
        return out;
    return ag_tpl_undef_attr(r, owner, key);
}

/* ---- slices ---------------------------------------------------------------------------------- */

typedef struct slice {
    tpl_int from, step;
    size_t n; /* items */
} slice;

/* A bound of a slice: none gives `missing`; false when it is no integer. */
static bool bound(tpl_value v, tpl_int n, tpl_int missing, tpl_int low, tpl_int high,
                  tpl_int *out) {
    *out = missing;
    if (v.kind == TPL_NONE)
        return true;
    if (!tpl_is_int(v))
        return false;
    tpl_int i = tpl_to_int(v);
    if (i < 0)
        i = i < -n ? low : i + n;
    *out = i < low ? low : i > high ? high : i;
    return true;
}

/* Python's slice.indices(n). */
static bool resolve(tpl_value from, tpl_value to, tpl_value step, size_t length, slice *out) {
    tpl_int n = (tpl_int)length, s = 1, stop;
    if (step.kind != TPL_NONE && !tpl_is_int(step))
        return false;
    if (tpl_is_int(step))
        s = tpl_to_int(step);
    bool back = s < 0;
    if (!bound(from, n, back ? n - 1 : 0, back ? -1 : 0, back ? n - 1 : n, &out->from) ||
        !bound(to, n, back ? -1 : n, back ? -1 : 0, back ? n - 1 : n, &stop))
        return false;
    tpl_int span = back ? out->from - stop : stop - out->from;
    tpl_uint size = back ? -(tpl_uint)s : (tpl_uint)s;
    out->step = s;
    out->n = span <= 0 || s == 0 ? 0 : (size_t)(((tpl_uint)span - 1) / size + 1);
    return true;
}

static tpl_value slice_list(tpl_run *r, tpl_value owner, const slice *s) {
    if (s->step == 1 && s->n) /* shares the items */
        return ag_tpl_list(r, owner.kind, owner.l->v + (size_t)s->from, s->n);
    tpl_value *v = ag_tpl_alloc(r, s->n, sizeof *v);
    if (!v || !ag_tpl_spend(r, s->n / 16))
        return tpl_undef();
    for (size_t i = 0; i < s->n; i++)
        v[i] = owner.l->v[(size_t)(s->from + (tpl_int)i * s->step)];
    return ag_tpl_list(r, owner.kind, v, s->n);
}

static tpl_value slice_str(tpl_run *r, const tpl_str *s, const slice *part) {
    if (!ag_tpl_spend(r, s->n / 16))
        return tpl_undef();
    if (part->step == 1) {
        size_t from = ag_tpl_offset(s, (size_t)part->from);
        tpl_str rest = {.p = s->p + from, .n = s->n - from};
        return tpl_string(ag_tpl_str_sub(r, s, from, from + ag_tpl_offset(&rest, part->n)));
    }
    size_t length = ag_tpl_str_length(s), at = 0, n = 0;
    size_t *offsets = ag_tpl_alloc(r, length + 1, sizeof *offsets);
    if (!offsets)
        return tpl_undef();
    for (; at < s->n; at += n, offsets++) {
        *offsets = at;
        ag_tpl_cp(s, at, &n);
    }
    *offsets = at;
    offsets -= length;
    tpl_builder b = tpl_builder_of(r);
    for (size_t i = 0; i < part->n; i++) {
        size_t c = (size_t)(part->from + (tpl_int)i * part->step);
        ag_tpl_add_part(&b, s, offsets[c], offsets[c + 1]);
    }
    return tpl_string(ag_tpl_str_as(r, ag_tpl_built(&b), s->markup));
}

static tpl_value slice_range(tpl_run *r, const tpl_range *g, const slice *s) {
    tpl_range *part = ag_tpl_alloc(r, 1, sizeof *part);
    if (!part)
        return tpl_undef();
    *part =
        (tpl_range){.start = g->start + s->from * g->step, .step = g->step * s->step, .n = s->n};
    part->stop = part->start + (tpl_int)s->n * part->step;
    return (tpl_value){.kind = TPL_RANGE, .range = part};
}

/* Unlike a[b], a slice of something that has none is an error. */
tpl_value ag_tpl_get_slice(tpl_run *r, tpl_value owner, tpl_value from, tpl_value to,
                           tpl_value step) {
    size_t n;
    slice s;
    if (tpl_failed(r))
        return tpl_undef();
    if (owner.kind == TPL_UNDEFINED)
        return ag_tpl_fail_undefined(r, owner);
    if (owner.kind != TPL_STR && owner.kind != TPL_LIST && owner.kind != TPL_TUPLE &&
        owner.kind != TPL_RANGE)
        return ag_tpl_fail(r, "'%s' object cannot be sliced", ag_tpl_type_name(owner));
    if (tpl_is_int(step) && tpl_to_int(step) == 0)
        return ag_tpl_fail(r, "slice step cannot be zero");
    if (!ag_tpl_length(owner, &n) || !resolve(from, to, step, n, &s))
        return ag_tpl_fail(r, "slice indices must be integers or none");
    if (owner.kind == TPL_STR)
        return slice_str(r, owner.s, &s);
    return owner.kind == TPL_RANGE ? slice_range(r, owner.range, &s) : slice_list(r, owner, &s);
}
