/* Filters over sequences and dicts. */
#include "text/template/filter.h"

static const char *const no_names[] = {NULL};

static tpl_value filter_length(tpl_run *r, tpl_value v, const tpl_args *args) {
    size_t n;
    if (!ag_tpl_bind(r, "length", args, no_names, 0, NULL))
        return tpl_undef();
    if (!ag_tpl_length(v, &n))
        return ag_tpl_fail(r, "object of type '%s' has no len()", ag_tpl_type_name(v));
    return tpl_integer((tpl_int)n);
}

static tpl_value filter_list(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "list", args, no_names, 0, NULL))
        return tpl_undef();
    return ag_tpl_collect(r, v, TPL_LIST);
}

static tpl_value filter_join(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"d", "attribute", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, "join", args, names, 0, a))
        return tpl_undef();
    const tpl_str *between = a[0].kind == TPL_MISSING ? NULL : ag_tpl_to_str(r, a[0]);
    tpl_builder b = tpl_builder_of(r);
    tpl_iter *it = ag_tpl_iter(r, v);
    bool first = true;
    for (tpl_value item; ag_tpl_next(r, it, &item); first = false) {
        if (!first)
            tpl_add_all(&b, between ? between : &(tpl_str){0});
        ag_tpl_add_str(r, &b, ag_tpl_attribute(r, item, a[1]));
    }
    return tpl_string(ag_tpl_built(&b));
}

static tpl_value filter_first(tpl_run *r, tpl_value v, const tpl_args *args) {
    tpl_value item;
    if (!ag_tpl_bind(r, "first", args, no_names, 0, NULL))
        return tpl_undef();
    return ag_tpl_next(r, ag_tpl_iter(r, v), &item)
               ? item
               : ag_tpl_undef_hint(r, "no first item, sequence was empty");
}

static bool is_reversible(tpl_value v) { return v.kind != TPL_ITER && ag_tpl_is_iterable(v); }

static tpl_value filter_last(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "last", args, no_names, 0, NULL))
        return tpl_undef();
    if (!is_reversible(v))
        return ag_tpl_fail(r, "'%s' object is not reversible", ag_tpl_type_name(v));
    if (v.kind == TPL_STR && v.s->n) {
        tpl_value minus_one = tpl_integer(-1);
        return ag_tpl_get_item(r, v, minus_one);
    }
    tpl_value items = ag_tpl_collect(r, v, TPL_LIST);
    if (tpl_failed(r))
        return tpl_undef();
    return items.l->n ? items.l->v[items.l->n - 1]
                      : ag_tpl_undef_hint(r, "no last item, sequence was empty");
}

static tpl_value filter_reverse(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "reverse", args, no_names, 0, NULL))
        return tpl_undef();
    if (v.kind == TPL_STR)
        return ag_tpl_get_slice(r, v, tpl_none(), tpl_none(), tpl_integer(-1));
    if (is_reversible(v))
        return ag_tpl_generator_over(r, ag_tpl_collect(r, v, TPL_LIST), true);
    tpl_value items = ag_tpl_collect(r, v, TPL_LIST);
    return tpl_failed(r) ? tpl_undef()
                         : ag_tpl_get_slice(r, items, tpl_none(), tpl_none(), tpl_integer(-1));
}

/* ---- sorting --------------------------------------------------------------------------------- */

static tpl_value part_key(tpl_run *r, tpl_value item, tpl_value attribute, bool case_sensitive) {
    tpl_value key = ag_tpl_attribute(r, item, attribute);
    return case_sensitive ? key : ag_tpl_ignore_case(r, key);
}

/* The key of sort: a list with one value for each attribute of "a,b". */
static tpl_value sort_key(tpl_run *r, tpl_value item, tpl_value attribute, bool case_sensitive) {
    tpl_vec parts = {0};
    if (attribute.kind != TPL_STR) {
        ag_tpl_push(r, &parts, part_key(r, item, attribute, case_sensitive));
        return ag_tpl_list(r, TPL_LIST, parts.v, parts.n);
    }
    const tpl_str *s = attribute.s;
    for (size_t from = 0, i = 0; i <= s->n && !tpl_failed(r); i++) {
        if (i < s->n && s->p[i] != ',')
            continue;
        tpl_value one = tpl_string(ag_tpl_str_sub(r, s, from, i));
        ag_tpl_push(r, &parts, part_key(r, item, one, case_sensitive));
        from = i + 1;
    }
    return ag_tpl_list(r, TPL_LIST, parts.v, parts.n);
}

typedef tpl_value (*key_fn)(tpl_run *r, tpl_value item, tpl_value attribute, bool case_sensitive);

/* Items of the list in the order of their keys; *keys (may be NULL) gets the keys in that order. */
static tpl_value sorted_by(tpl_run *r, tpl_value items, key_fn key, tpl_value attribute,
                           bool case_sensitive, bool reverse, tpl_value **keys) {
    if (tpl_failed(r))
        return tpl_undef();
    size_t n = items.l->n;
    tpl_value *k = ag_tpl_alloc(r, n, sizeof *k), *v = ag_tpl_alloc(r, n, sizeof *v);
    for (size_t i = 0; k && v && i < n && !tpl_failed(r); i++)
        k[i] = key(r, items.l->v[i], attribute, case_sensitive);
    size_t *at = tpl_failed(r) ? NULL : ag_tpl_sort(r, k, n, reverse);
    if (!at)
        return tpl_undef();
    for (size_t i = 0; i < n; i++)
        v[i] = items.l->v[at[i]];
    if (keys) {
        *keys = ag_tpl_alloc(r, n, sizeof **keys);
        for (size_t i = 0; *keys && i < n; i++)
            (*keys)[i] = k[at[i]];
    }
    return ag_tpl_list(r, TPL_LIST, v, n);
}

static tpl_value filter_sort(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"reverse", "case_sensitive", "attribute", NULL};
    tpl_value a[3];
    if (!ag_tpl_bind(r, "sort", args, names, 0, a))
        return tpl_undef();
    return sorted_by(r, ag_tpl_collect(r, v, TPL_LIST), sort_key, a[2], ag_tpl_truth(a[1]),
                     ag_tpl_truth(a[0]), NULL);
}

static tpl_value filter_dictsort(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"case_sensitive", "by", "reverse", NULL};
    tpl_value a[3];
    if (!ag_tpl_bind(r, "dictsort", args, names, 0, a))
        return tpl_undef();
    const tpl_str *by = ag_tpl_str_arg(r, "dictsort", a[1], false);
    bool by_value = by && ag_span_is(tpl_span(by), "value");
    if (by && !by_value && !ag_span_is(tpl_span(by), "key"))
        return ag_tpl_fail(r, "dictsort can only sort by 'key' or 'value'");
    if (v.kind != TPL_DICT)
        return v.kind == TPL_UNDEFINED
                   ? ag_tpl_fail_undefined(r, v)
                   : ag_tpl_fail(r, "dictsort needs a dict, not %s", ag_tpl_type_name(v));
    tpl_view *view = ag_tpl_alloc(r, 1, sizeof *view);
    if (!view)
        return tpl_undef();
    *view = (tpl_view){.d = v.d, .kind = TPL_ITEMS};
    tpl_value pairs = ag_tpl_collect(r, (tpl_value){.kind = TPL_VIEW, .view = view}, TPL_LIST);
    return sorted_by(r, pairs, part_key, tpl_integer(by_value), ag_tpl_truth(a[0]),
                     ag_tpl_truth(a[2]), NULL);
}

static tpl_value filter_groupby(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"attribute", "default", "case_sensitive", NULL};
    tpl_value a[3], *keys = NULL;
    if (!ag_tpl_bind(r, "groupby", args, names, 1, a))
        return tpl_undef();
    bool exact = ag_tpl_truth(a[2]);
    tpl_value items = ag_tpl_collect(r, v, TPL_LIST);
    tpl_value sorted = sorted_by(r, items, part_key, a[0], exact, false, &keys);
    tpl_vec groups = {0};
    for (size_t from = 0, to = 0; !tpl_failed(r) && from < sorted.l->n; from = to) {
        while (to < sorted.l->n && ag_tpl_equal(r, keys[from], keys[to]))
            to++;
        to += to == from; /* a key that is unequal to itself, or a failure */
        tpl_value grouper = ag_tpl_attribute(r, sorted.l->v[from], a[0]);
        if (grouper.kind == TPL_UNDEFINED && a[1].kind != TPL_MISSING && a[1].kind != TPL_NONE)
            grouper = a[1];
        tpl_value list = ag_tpl_list(r, TPL_LIST, sorted.l->v + from, to - from);
        tpl_value pair = ag_tpl_pair(r, grouper, list);
        if (!tpl_failed(r))
            ((tpl_list *)pair.l)->group = true; /* made here, nobody else has it yet */
        ag_tpl_push(r, &groups, pair);
    }
    return ag_tpl_list(r, TPL_LIST, groups.v, groups.n);
}

static tpl_value extreme(tpl_run *r, tpl_value v, const tpl_args *args, const char *what,
                         bool max) {
    static const char *const names[] = {"case_sensitive", "attribute", NULL};
    tpl_value a[2], best = tpl_missing(), best_key = tpl_none();
    if (!ag_tpl_bind(r, what, args, names, 0, a))
        return tpl_undef();
    tpl_iter *it = ag_tpl_iter(r, v);
    for (tpl_value item; ag_tpl_next(r, it, &item);) {
        tpl_value key = part_key(r, item, a[1], ag_tpl_truth(a[0]));
        if (best.kind != TPL_MISSING && !ag_tpl_test_order(r, max ? TOK_GT : TOK_LT, key, best_key))
            continue;
        best = item;
        best_key = key;
    }
    return best.kind == TPL_MISSING ? ag_tpl_undef_hint(r, "no aggregated item, sequence was empty")
                                    : best;
}

static tpl_value filter_min(tpl_run *r, tpl_value v, const tpl_args *args) {
    return extreme(r, v, args, "min", false);
}
static tpl_value filter_max(tpl_run *r, tpl_value v, const tpl_args *args) {
    return extreme(r, v, args, "max", true);
}

static tpl_value filter_sum(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"attribute", "start", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, "sum", args, names, 0, a))
        return tpl_undef();
    tpl_value total = a[1].kind == TPL_MISSING ? tpl_integer(0) : a[1];
    if (total.kind == TPL_STR)
        return ag_tpl_fail(r, "sum cannot add strings");
    tpl_iter *it = ag_tpl_iter(r, v);
    for (tpl_value item; ag_tpl_next(r, it, &item);)
        total = ag_tpl_binary(r, TOK_ADD, total, ag_tpl_attribute(r, item, a[0]));
    return total;
}

static tpl_value filter_unique(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"case_sensitive", "attribute", NULL};
    tpl_value a[2], seen = ag_tpl_dict(r, 0);
    tpl_vec kept = {0};
    if (!ag_tpl_bind(r, "unique", args, names, 0, a))
        return tpl_undef();
    tpl_iter *it = ag_tpl_iter(r, v);
    for (tpl_value item; ag_tpl_next(r, it, &item);) {
        tpl_value key = part_key(r, item, a[1], ag_tpl_truth(a[0]));
        size_t before = seen.d->n;
        if (ag_tpl_dict_set(r, seen.d, key, tpl_none()) && seen.d->n > before)
            ag_tpl_push(r, &kept, item);
    }
    return ag_tpl_generator_over(r, ag_tpl_list(r, TPL_LIST, kept.v, kept.n), false);
}

/* ---- other shapes ---------------------------------------------------------------------------- */

static tpl_value filter_items(tpl_run *r, tpl_value v, const tpl_args *args) {
    if (!ag_tpl_bind(r, "items", args, no_names, 0, NULL))
        return tpl_undef();
    if (v.kind == TPL_UNDEFINED)
        return ag_tpl_generator_over(r, v, false);
    if (v.kind != TPL_DICT)
        return ag_tpl_fail(r, "can only get item pairs from a mapping");
    tpl_view *view = ag_tpl_alloc(r, 1, sizeof *view);
    if (!view)
        return tpl_undef();
    *view = (tpl_view){.d = v.d, .kind = TPL_ITEMS};
    return ag_tpl_generator_over(r, (tpl_value){.kind = TPL_VIEW, .view = view}, false);
}

/* items[from, to) as a list, filled up to `size` if fill is given. */
static tpl_value chunk(tpl_run *r, const tpl_list *l, size_t from, size_t to, size_t size,
                       tpl_value fill) {
    tpl_vec part = {0};
    for (size_t i = from; i < to; i++)
        ag_tpl_push(r, &part, l->v[i]);
    bool fills = fill.kind != TPL_MISSING && fill.kind != TPL_NONE;
    for (size_t i = to - from; fills && i < size && ag_tpl_spend(r, 1); i++)
        ag_tpl_push(r, &part, fill);
    return ag_tpl_list(r, TPL_LIST, part.v, part.n);
}

static tpl_value filter_batch(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"linecount", "fill_with", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, "batch", args, names, 1, a))
        return tpl_undef();
    tpl_int size = ag_tpl_int_arg(r, "batch", a[0], 0);
    tpl_value items = ag_tpl_collect(r, v, TPL_LIST);
    tpl_vec rows = {0};
    if (tpl_failed(r))
        return tpl_undef();
    if (size < 1 || size > 1000000)
        return ag_tpl_fail(r, "batch: linecount must be from 1 to 1000000");
    for (size_t from = 0; from < items.l->n && !tpl_failed(r); from += (size_t)size) {
        size_t to = items.l->n - from > (size_t)size ? from + (size_t)size : items.l->n;
        ag_tpl_push(r, &rows, chunk(r, items.l, from, to, (size_t)size, a[1]));
    }
    return ag_tpl_generator_over(r, ag_tpl_list(r, TPL_LIST, rows.v, rows.n), false);
}

static tpl_value filter_slice(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"slices", "fill_with", NULL};
    tpl_value a[2];
    if (!ag_tpl_bind(r, "slice", args, names, 1, a))
        return tpl_undef();
    tpl_int slices = ag_tpl_int_arg(r, "slice", a[0], 0);
    tpl_value items = ag_tpl_collect(r, v, TPL_LIST);
    tpl_vec rows = {0};
    if (tpl_failed(r))
        return tpl_undef();
    if (slices < 1 || slices > 1000000)
        return ag_tpl_fail(r, "slice: slices must be from 1 to 1000000");
    size_t n = (size_t)slices, each = items.l->n / n, extra = items.l->n % n, from = 0;
    for (size_t i = 0; i < n && !tpl_failed(r); i++) {
        size_t to = from + each + (i < extra);
        ag_tpl_push(r, &rows, chunk(r, items.l, from, to, to - from + (i >= extra), a[1]));
        from = to;
    }
    return ag_tpl_generator_over(r, ag_tpl_list(r, TPL_LIST, rows.v, rows.n), false);
}

static tpl_value filter_attr(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"name", NULL};
    tpl_value name, out;
    if (!ag_tpl_bind(r, "attr", args, names, 1, &name))
        return tpl_undef();
    const tpl_str *s = ag_tpl_str_arg(r, "attr", name, false);
    if (!s || v.kind != TPL_DICT) /* only dicts have keys beside attributes */
        return s ? ag_tpl_get_attr(r, v, s) : tpl_undef();
    return ag_tpl_find_method(r, v, tpl_span(s), &out) ? out : ag_tpl_undef_attr(r, v, name);
}

const tpl_filter ag_tpl_list_filters[] = {{"length", filter_length},
                                          {"count", filter_length},
                                          {"list", filter_list},
                                          {"join", filter_join},
                                          {"first", filter_first},
                                          {"last", filter_last},
                                          {"reverse", filter_reverse},
                                          {"sort", filter_sort},
                                          {"dictsort", filter_dictsort},
                                          {"groupby", filter_groupby},
                                          {"min", filter_min},
                                          {"max", filter_max},
                                          {"sum", filter_sum},
                                          {"unique", filter_unique},
                                          {"items", filter_items},
                                          {"batch", filter_batch},
                                          {"slice", filter_slice},
                                          {"attr", filter_attr},
                                          {NULL, NULL}};
