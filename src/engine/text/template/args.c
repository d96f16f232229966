/* What filters, tests and methods share: arguments by name, sorting, attributes. */
#include "text/template/filter.h"
#include "text/template/number.h"

static size_t count_names(const char *const *names) {
    size_t n = 0;
    while (names[n])
        n++;
    return n;
}

static bool bind_keyword(tpl_run *r, const char *what, const tpl_str *name, tpl_value v,
                         const char *const *names, tpl_value *out) {
    for (size_t i = 0; names[i]; i++) {
        if (!ag_span_is(tpl_span(name), names[i]))
            continue;
        if (out[i].kind != TPL_MISSING)
            ag_tpl_fail(r, "%s() got multiple values for argument '%s'", what, names[i]);
        out[i] = v;
        return !tpl_failed(r);
    }
    ag_tpl_fail(r, "%s() got an unexpected keyword argument '%.*s'", what, AG_SPAN(tpl_span(name)));
    return false;
}

bool ag_tpl_bind(tpl_run *r, const char *what, const tpl_args *args, const char *const *names,
                 size_t required, tpl_value *out) {
    size_t n = count_names(names);
    for (size_t i = 0; i < n; i++)
        out[i] = i < args->n ? args->pos[i] : tpl_missing();
    if (args->n > n)
        ag_tpl_fail(r, "%s() takes at most %zu argument(s), got %zu", what, n, args->n);
    for (size_t i = 0; i < args->n_kw && !tpl_failed(r); i++)
        bind_keyword(r, what, args->names[i], args->kw[i], names, out);
    for (size_t i = 0; i < required && !tpl_failed(r); i++)
        if (out[i].kind == TPL_MISSING)
            ag_tpl_fail(r, "%s() is missing the argument '%s'", what, names[i]);
    return !tpl_failed(r);
}

tpl_int ag_tpl_int_arg(tpl_run *r, const char *what, tpl_value v, tpl_int missing) {
    if (v.kind == TPL_MISSING)
        return missing;
    if (tpl_is_int(v))
        return tpl_to_int(v);
    if (v.kind == TPL_UNDEFINED)
        ag_tpl_fail_undefined(r, v);
    else
        ag_tpl_fail(r, "%s: '%s' object cannot be interpreted as an integer", what,
                    ag_tpl_type_name(v));
    return missing;
}

const tpl_str *ag_tpl_str_arg(tpl_run *r, const char *what, tpl_value v, bool none_allowed) {
    if (v.kind == TPL_STR)
        return v.s;
    if (v.kind != TPL_MISSING && !(none_allowed && v.kind == TPL_NONE))
        ag_tpl_fail(r, "%s: the argument must be str, not %s", what, ag_tpl_type_name(v));
    return NULL;
}

/* ---- sorting --------------------------------------------------------------------------------- */

typedef struct sorter {
    tpl_run *r;
    const tpl_value *keys;
    size_t *at, *spare;
    bool reverse;
} sorter;

/* Python only ever asks whether the later of two is less than the earlier one. */
static bool goes_before(const sorter *s, size_t later, size_t earlier) {
    tpl_value a = s->keys[s->reverse ? earlier : later], b = s->keys[s->reverse ? later : earlier];
    return ag_tpl_test_order(s->r, TOK_LT, a, b);
}

static void merge(sorter *s, size_t from, size_t mid, size_t to) {
    size_t i = from, j = mid;
    for (size_t k = from; k < to; k++) {
        bool right = i >= mid || (j < to && goes_before(s, s->at[j], s->at[i]));
        s->spare[k] = right ? s->at[j++] : s->at[i++];
    }
    memcpy(s->at + from, s->spare + from, (to - from) * sizeof *s->at);
}

size_t *ag_tpl_sort(tpl_run *r, const tpl_value *keys, size_t n, bool reverse) {
    sorter s = {.r = r, .keys = keys, .reverse = reverse};
    s.at = ag_tpl_alloc(r, n, sizeof *s.at);
    s.spare = ag_tpl_alloc(r, n, sizeof *s.spare);
    if (!s.at || !s.spare)
        return NULL;
    for (size_t i = 0; i < n; i++)
        s.at[i] = i;
    for (size_t run = 1; run < n && !tpl_failed(r); run *= 2)
        for (size_t from = 0; from + run < n && !tpl_failed(r); from += 2 * run)
            merge(&s, from, from + run, n - from > 2 * run ? from + 2 * run : n);
    return tpl_failed(r) ? NULL : s.at;
}

/* ---- attributes ------------------------------------------------------------------------------ */

static tpl_value part_of(tpl_run *r, tpl_value item, const tpl_str *part) {
    tpl_int index;
    if (ag_tpl_str_is(part, TPL_CLASS_DIGIT) && ag_tpl_parse_int(tpl_span(part), 10, &index))
        return ag_tpl_get_item(r, item, tpl_integer(index));
    return ag_tpl_get_item(r, item, tpl_string(part));
}

tpl_value ag_tpl_attribute(tpl_run *r, tpl_value item, tpl_value attribute) {
    if (attribute.kind == TPL_MISSING || attribute.kind == TPL_NONE)
        return item;
    if (attribute.kind != TPL_STR)
        return ag_tpl_get_item(r, item, attribute);
    const tpl_str *s = attribute.s;
    size_t from = 0;
    for (size_t i = 0; i <= s->n && !tpl_failed(r); i++) {
        if (i < s->n && s->p[i] != '.')
            continue;
        const tpl_str *part = ag_tpl_str_sub(r, s, from, i);
        if (part)
            item = part_of(r, item, part);
        from = i + 1;
    }
    return item;
}

tpl_value ag_tpl_ignore_case(tpl_run *r, tpl_value v) {
    return v.kind == TPL_STR ? tpl_string(ag_tpl_str_lower(r, v.s)) : v;
}
