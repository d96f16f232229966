/* Iterators: over every iterable kind, and generators, which are lazy and read once. */
#include "text/template/value.h"

struct tpl_iter {
    tpl_value source; /* LIST, TUPLE, STR, DICT, VIEW, RANGE, or UNDEFINED (empty) */
    size_t at;        /* items (bytes of a string) already handed out */
    bool reversed;    /* lists only */
    tpl_iter *inner;  /* of a generator */
    tpl_step_fn step;
    void *state;
};

bool ag_tpl_is_iterable(tpl_value v) {
    size_t n;
    return v.kind == TPL_ITER || ag_tpl_length(v, &n);
}

tpl_iter *ag_tpl_iter(tpl_run *r, tpl_value v) {
    if (v.kind == TPL_ITER)
        return v.iter;
    if (!ag_tpl_is_iterable(v)) {
        ag_tpl_fail(r, "'%s' object is not iterable", ag_tpl_type_name(v));
        return NULL;
    }
    tpl_iter *it = ag_tpl_alloc(r, 1, sizeof *it);
    if (it)
        it->source = v;
    return it;
}

static tpl_value view_item(tpl_run *r, tpl_view_kind kind, const tpl_entry *e) {
    if (kind == TPL_ITEMS)
        return ag_tpl_pair(r, e->key, e->value);
    return kind == TPL_KEYS ? e->key : e->value;
}

static bool next_of_source(tpl_run *r, tpl_iter *it, tpl_value *out) {
    const tpl_value *v = &it->source;
    size_t n = 0;
    switch (v->kind) {
    case TPL_STR:
        if (it->at >= v->s->n)
            return false;
        ag_tpl_cp(v->s, it->at, &n);
        *out = tpl_string(ag_tpl_str_as(r, ag_tpl_str_sub(r, v->s, it->at, it->at + n), false));
        it->at += n;
        return !tpl_failed(r);
    case TPL_LIST:
    case TPL_TUPLE:
        if (it->at >= v->l->n)
            return false;
        *out = v->l->v[it->reversed ? v->l->n - 1 - it->at : it->at];
        break;
    case TPL_DICT:
    case TPL_VIEW: {
        const tpl_dict *d = v->kind == TPL_DICT ? v->d : v->view->d;
        if (it->at >= d->n)
            return false;
        *out = view_item(r, v->kind == TPL_DICT ? TPL_KEYS : v->view->kind, &d->e[it->at]);
        break;
    }
    case TPL_RANGE:
        if (it->at >= v->range->n)
            return false;
        *out = tpl_integer(v->range->start + (tpl_int)it->at * v->range->step);
        break;
    default:
        return false;
    }
    it->at++;
    return !tpl_failed(r);
}

bool ag_tpl_next(tpl_run *r, tpl_iter *it, tpl_value *out) {
    if (!it || !ag_tpl_spend(r, 1))
        return false;
    if (!it->step)
        return next_of_source(r, it, out);
    if (!ag_tpl_enter(r))
        return false;
    bool found = false;
    for (tpl_value item; !found && ag_tpl_next(r, it->inner, &item);) {
        *out = item;
        if (!it->step(r, it->state, item, out, &found))
            break;
    }
    tpl_leave(r);
    return found && !tpl_failed(r);
}

tpl_value ag_tpl_collect(tpl_run *r, tpl_value v, tpl_kind kind) {
    if ((v.kind == TPL_LIST || v.kind == TPL_TUPLE) && !tpl_failed(r)) /* immutable: share */
        return (tpl_value){.kind = kind, .l = v.l};
    tpl_vec items = {0};
    tpl_iter *it = ag_tpl_iter(r, v);
    for (tpl_value item; ag_tpl_next(r, it, &item);)
        if (!ag_tpl_push(r, &items, item))
            break;
    return ag_tpl_list(r, kind, items.v, items.n);
}

tpl_value ag_tpl_generator(tpl_run *r, tpl_iter *source, tpl_step_fn step, void *state) {
    tpl_iter *it = ag_tpl_alloc(r, 1, sizeof *it);
    if (!it || !source)
        return tpl_undef();
    *it = (tpl_iter){.inner = source, .step = step, .state = state};
    return (tpl_value){.kind = TPL_ITER, .iter = it};
}

tpl_value ag_tpl_generator_over(tpl_run *r, tpl_value list, bool reversed) {
    tpl_iter *it = ag_tpl_alloc(r, 1, sizeof *it);
    if (!it)
        return tpl_undef();
    *it = (tpl_iter){.source = list, .reversed = reversed};
    return (tpl_value){.kind = TPL_ITER, .iter = it};
}
