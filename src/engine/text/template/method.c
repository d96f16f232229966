/* Finds methods, and those of dicts, lists, tuples and cyclers. Methods of strings: method_str.c.
 */
#include "text/template/filter.h"

static const char *const no_names[] = {NULL};

/* ---- dict ------------------------------------------------------------------------------------ */

static tpl_value view_of(tpl_run *r, tpl_value self, const tpl_args *args, tpl_view_kind kind) {
    tpl_view *view = ag_tpl_alloc(r, 1, sizeof *view);
    if (!view || !ag_tpl_bind(r, "this method", args, no_names, 0, NULL))
        return tpl_undef();
    *view = (tpl_view){.d = self.d, .kind = kind};
    return (tpl_value){.kind = TPL_VIEW, .view = view};
}

static tpl_value dict_keys(tpl_run *r, tpl_value self, const tpl_args *args) {
    return view_of(r, self, args, TPL_KEYS);
}
static tpl_value dict_values(tpl_run *r, tpl_value self, const tpl_args *args) {
    return view_of(r, self, args, TPL_VALUES);
}
static tpl_value dict_items(tpl_run *r, tpl_value self, const tpl_args *args) {
    return view_of(r, self, args, TPL_ITEMS);
}

static tpl_value dict_get(tpl_run *r, tpl_value self, const tpl_args *args) {
    if (args->n_kw || args->n < 1 || args->n > 2)
        return ag_tpl_fail(r, "get expects 1 or 2 positional arguments");
    if (!ag_tpl_is_hashable(args->pos[0]))
        return ag_tpl_fail(r, "unhashable type: '%s'", ag_tpl_type_name(args->pos[0]));
    const tpl_value *v = ag_tpl_dict_find(r, self.d, args->pos[0]);
    return v ? *v : args->n > 1 ? args->pos[1] : tpl_none();
}

static tpl_value copy_of(tpl_run *r, tpl_value self, const tpl_args *args) {
    return ag_tpl_bind(r, "copy", args, no_names, 0, NULL) ? self : tpl_undef();
}

/* ---- list, tuple ----------------------------------------------------------------------------- */

static tpl_value list_index(tpl_run *r, tpl_value self, const tpl_args *args) {
    static const char *const names[] = {"value", NULL};
    tpl_value wanted;
    if (!ag_tpl_bind(r, "index", args, names, 1, &wanted))
        return tpl_undef();
    for (size_t i = 0; i < self.l->n && !tpl_failed(r); i++)
        if (ag_tpl_equal(r, self.l->v[i], wanted))
            return tpl_integer((tpl_int)i);
    return ag_tpl_fail(r, "the value is not in the list");
}

static tpl_value list_count(tpl_run *r, tpl_value self, const tpl_args *args) {
    static const char *const names[] = {"value", NULL};
    tpl_value wanted;
    tpl_int n = 0;
    if (!ag_tpl_bind(r, "count", args, names, 1, &wanted))
        return tpl_undef();
    for (size_t i = 0; i < self.l->n && !tpl_failed(r); i++)
        n += ag_tpl_equal(r, self.l->v[i], wanted);
    return tpl_integer(n);
}

/* ---- cycler ---------------------------------------------------------------------------------- */

static tpl_value cycler_next(tpl_run *r, tpl_value self, const tpl_args *args) {
    if (!ag_tpl_bind(r, "next", args, no_names, 0, NULL))
        return tpl_undef();
    tpl_cycler *c = self.cycler;
    tpl_value v = c->v[c->at];
    c->at = (c->at + 1) % c->n;
    return v;
}

static tpl_value cycler_reset(tpl_run *r, tpl_value self, const tpl_args *args) {
    if (ag_tpl_bind(r, "reset", args, no_names, 0, NULL))
        self.cycler->at = 0;
    return tpl_none();
}

/* ---- finding --------------------------------------------------------------------------------- */

static const struct tpl_method_row dict_methods[] = {{"keys", dict_keys},   {"values", dict_values},
                                                     {"items", dict_items}, {"get", dict_get},
                                                     {"copy", copy_of},     {NULL, NULL}};
static const struct tpl_method_row list_methods[] = {
    {"index", list_index}, {"count", list_count}, {"copy", copy_of}, {NULL, NULL}};
static const struct tpl_method_row tuple_methods[] = {
    {"index", list_index}, {"count", list_count}, {NULL, NULL}};
static const struct tpl_method_row cycler_methods[] = {
    {"next", cycler_next}, {"reset", cycler_reset}, {NULL, NULL}};

static const struct tpl_method_row *methods_of(tpl_kind kind) {
    switch (kind) {
    case TPL_STR:
        return ag_tpl_str_methods;
    case TPL_DICT:
        return dict_methods;
    case TPL_LIST:
        return list_methods;
    case TPL_TUPLE:
        return tuple_methods;
    case TPL_CYCLER:
        return cycler_methods;
    default:
        return NULL;
    }
}

bool ag_tpl_find_method(tpl_run *r, tpl_value self, ag_span name, tpl_value *out) {
    for (const struct tpl_method_row *row = methods_of(self.kind); row && row->name; row++) {
        if (!ag_span_is(name, row->name))
            continue;
        tpl_method *m = ag_tpl_alloc(r, 1, sizeof *m);
        if (m)
            *m = (tpl_method){.name = row->name, .call = row->call, .self = self};
        *out = m ? (tpl_value){.kind = TPL_METHOD, .method = m} : tpl_undef();
        return true;
    }
    return false;
}
