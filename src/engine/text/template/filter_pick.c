/* map, select, reject, selectattr and rejectattr: lazy, as in the reference, so that what comes out
 * is a generator: always true, without length, read once. */
#include "text/template/filter.h"

typedef struct pick {
    const tpl_filter *filter; /* map by a filter */
    const tpl_test *test;     /* select; NULL: by truth */
    tpl_value attribute;      /* MISSING: the item itself */
    tpl_value fallback;       /* map(attribute=, default=) */
    bool reject;
    tpl_args args;
} pick;

static bool map_item(tpl_run *r, void *state, tpl_value item, tpl_value *out, bool *keep) {
    const pick *p = state;
    *keep = true;
    if (p->filter) {
        *out = p->filter->call(r, item, &p->args);
        return !tpl_failed(r);
    }
    *out = ag_tpl_attribute(r, item, p->attribute);
    if (out->kind == TPL_UNDEFINED && p->fallback.kind != TPL_MISSING &&
        p->fallback.kind != TPL_NONE)
        *out = p->fallback;
    return !tpl_failed(r);
}

static bool select_item(tpl_run *r, void *state, tpl_value item, tpl_value *out, bool *keep) {
    const pick *p = state;
    tpl_value asked = ag_tpl_attribute(r, item, p->attribute);
    *keep = (p->test ? p->test->call(r, asked, &p->args) : ag_tpl_truth(asked)) != p->reject;
    *out = item;
    return !tpl_failed(r);
}

/* The first argument names a filter or test; the others are passed on to it. */
static const tpl_str *take_name(tpl_run *r, tpl_args *args) {
    if (args->n == 0 || args->pos[0].kind != TPL_STR) {
        ag_tpl_fail(r, "the name of a filter or test is missing");
        return NULL;
    }
    const tpl_str *name = args->pos[0].s;
    args->pos++;
    args->n--;
    return name;
}

static tpl_value generator(tpl_run *r, tpl_value v, tpl_step_fn step, pick p) {
    pick *kept = ag_tpl_alloc(r, 1, sizeof *kept);
    if (!kept)
        return tpl_undef();
    *kept = p;
    return ag_tpl_generator(r, ag_tpl_iter(r, v), step, kept);
}

static tpl_value nothing(tpl_run *r) { return ag_tpl_generator_over(r, tpl_undef(), false); }

static tpl_value filter_map(tpl_run *r, tpl_value v, const tpl_args *args) {
    static const char *const names[] = {"attribute", "default", NULL};
    pick p = {.args = *args, .attribute = tpl_missing(), .fallback = tpl_missing()};
    if (!ag_tpl_truth(v))
        return nothing(r);
    if (args->n == 0) {
        tpl_value a[2];
        if (!ag_tpl_bind(r, "map", args, names, 1, a))
            return tpl_undef();
        p.attribute = a[0];
        p.fallback = a[1];
        return generator(r, v, map_item, p);
    }
    const tpl_str *name = take_name(r, &p.args);
    if (!name)
        return tpl_undef();
    p.filter = ag_tpl_find_filter(tpl_span(name));
    if (!p.filter)
        return ag_tpl_fail(r, "no filter named '%.*s'", AG_SPAN(tpl_span(name)));
    return generator(r, v, map_item, p);
}

static tpl_value select_by(tpl_run *r, tpl_value v, const tpl_args *args, bool by_attribute,
                           bool reject) {
    pick p = {.args = *args, .attribute = tpl_missing(), .reject = reject};
    if (!ag_tpl_truth(v))
        return nothing(r);
    if (by_attribute) {
        if (args->n == 0)
            return ag_tpl_fail(r, "missing parameter for attribute name");
        p.attribute = args->pos[0];
        p.args.pos++;
        p.args.n--;
    }
    if (p.args.n) {
        const tpl_str *name = take_name(r, &p.args);
        p.test = name ? ag_tpl_find_test(tpl_span(name)) : NULL;
        if (!p.test)
            return ag_tpl_fail(r, "no test named '%.*s'",
                               AG_SPAN(name ? tpl_span(name) : (ag_span){0}));
    }
    return generator(r, v, select_item, p);
}

static tpl_value filter_select(tpl_run *r, tpl_value v, const tpl_args *args) {
    return select_by(r, v, args, false, false);
}
static tpl_value filter_reject(tpl_run *r, tpl_value v, const tpl_args *args) {
    return select_by(r, v, args, false, true);
}
static tpl_value filter_selectattr(tpl_run *r, tpl_value v, const tpl_args *args) {
    return select_by(r, v, args, true, false);
}
static tpl_value filter_rejectattr(tpl_run *r, tpl_value v, const tpl_args *args) {
    return select_by(r, v, args, true, true);
}

const tpl_filter ag_tpl_pick_filters[] = {{"map", filter_map},
                                          {"select", filter_select},
                                          {"reject", filter_reject},
                                          {"selectattr", filter_selectattr},
                                          {"rejectattr", filter_rejectattr},
                                          {NULL, NULL}};
