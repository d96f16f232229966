/* The functions every template has: range, dict, namespace, cycler, joiner, raise_exception and
 * strftime_now. */
#include <locale.h>
#include <time.h>

#include "text/template/filter.h"

#define MAX_RANGE 100000 /* items, as in the reference's sandbox */

static tpl_value range_of(tpl_run *r, tpl_int start, tpl_int stop, tpl_int step) {
    tpl_range *g = ag_tpl_alloc(r, 1, sizeof *g);
    if (step == 0)
        return ag_tpl_fail(r, "range() arg 3 must not be zero");
    if (!g)
        return tpl_undef();
    const tpl_int far = (tpl_int)1 << 100; /* differences of nearer bounds cannot overflow */
    if (start > far || start < -far || stop > far || stop < -far || step > far || step < -far)
        return ag_tpl_fail(r, "the bounds of the range are too large");
    tpl_int span = step > 0 ? stop - start : start - stop, size = step > 0 ? step : -step;
    tpl_int n = span > 0 ? (span - 1) / size + 1 : 0;
    if (n > MAX_RANGE)
        return ag_tpl_fail(r, "range too big: the sandbox blocks ranges larger than %d", MAX_RANGE);
    *g = (tpl_range){.start = start, .stop = stop, .step = step, .n = (size_t)n};
    return (tpl_value){.kind = TPL_RANGE, .range = g};
}

static tpl_value make_range(tpl_run *r, const tpl_args *args) {
    tpl_int v[3] = {0, 0, 1};
    if (args->n == 0 || args->n > 3 || args->n_kw)
        return ag_tpl_fail(r, "range expects 1 to 3 positional arguments");
    for (size_t i = 0; i < args->n; i++)
        v[i] = ag_tpl_int_arg(r, "range", args->pos[i], 0);
    if (tpl_failed(r))
        return tpl_undef();
    return args->n == 1 ? range_of(r, 0, v[0], 1) : range_of(r, v[0], v[1], v[2]);
}

/* One key and value of dict([[k, v], ...]). */
static void set_from_pair(tpl_run *r, tpl_dict *d, tpl_value pair) {
    tpl_value items = ag_tpl_collect(r, pair, TPL_LIST);
    if (tpl_failed(r))
        return;
    if (items.l->n != 2)
        ag_tpl_fail(r, "dict needs pairs, got %zu items", items.l->n);
    else
        ag_tpl_dict_set(r, d, items.l->v[0], items.l->v[1]);
}

static tpl_value make_dict(tpl_run *r, const tpl_args *args) {
    tpl_value made = ag_tpl_dict(r, args->n_kw);
    if (args->n > 1)
        return ag_tpl_fail(r, "dict expected at most 1 argument, got %zu", args->n);
    if (args->n && args->pos[0].kind == TPL_DICT) {
        const tpl_dict *d = args->pos[0].d;
        for (size_t i = 0; i < d->n && !tpl_failed(r); i++)
            ag_tpl_dict_set(r, made.d, d->e[i].key, d->e[i].value);
    } else if (args->n) {
        tpl_iter *it = ag_tpl_iter(r, args->pos[0]);
        for (tpl_value pair; ag_tpl_next(r, it, &pair);)
            set_from_pair(r, made.d, pair);
    }
    for (size_t i = 0; i < args->n_kw && !tpl_failed(r); i++)
        ag_tpl_dict_set(r, made.d, tpl_string(args->names[i]), args->kw[i]);
    return made;
}

static tpl_value make_namespace(tpl_run *r, const tpl_args *args) {
    tpl_value made = make_dict(r, args);
    if (!tpl_failed(r))
        made.kind = TPL_NAMESPACE;
    return made;
}

static tpl_value make_cycler(tpl_run *r, const tpl_args *args) {
    tpl_cycler *c = ag_tpl_alloc(r, 1, sizeof *c);
    if (args->n == 0)
        return ag_tpl_fail(r, "at least one item has to be provided");
    if (!c)
        return tpl_undef();
    *c = (tpl_cycler){.v = args->pos, .n = args->n};
    return (tpl_value){.kind = TPL_CYCLER, .cycler = c};
}

static tpl_value make_joiner(tpl_run *r, const tpl_args *args) {
    static const char *const names[] = {"sep", NULL};
    tpl_cycler *c = ag_tpl_alloc(r, 1, sizeof *c);
    tpl_value *v = ag_tpl_alloc(r, 2, sizeof *v);
    if (!c || !v || !ag_tpl_bind(r, "joiner", args, names, 0, v))
        return tpl_undef();
    if (v[0].kind == TPL_MISSING)
        v[0] = ag_tpl_text(r, ", ");
    v[1] = ag_tpl_text(r, "");
    *c = (tpl_cycler){.v = v, .n = 2};
    return (tpl_value){.kind = TPL_JOINER, .cycler = c};
}

static tpl_value raise_exception(tpl_run *r, const tpl_args *args) {
    static const char *const names[] = {"message", NULL};
    tpl_value message;
    if (!ag_tpl_bind(r, "raise_exception", args, names, 1, &message))
        return tpl_undef();
    const tpl_str *s = ag_tpl_to_str(r, message);
    return s ? ag_tpl_fail_as(r, AG_E_TEMPLATE, "%.*s", AG_SPAN(tpl_span(s))) : tpl_undef();
}

static tpl_value strftime_now(tpl_run *r, const tpl_args *args) {
    static const char *const names[] = {"format", NULL};
    tpl_value v;
    if (!ag_tpl_bind(r, "strftime_now", args, names, 1, &v))
        return tpl_undef();
    const tpl_str *format = ag_tpl_str_arg(r, "strftime_now", v, false);
    char text[1024];
    tpl_builder f = tpl_builder_of(r);
    tpl_add_all(&f, format);
    ag_tpl_add(&f, "", 1, false);
    const tpl_str *cstr = ag_tpl_built(&f);
    if (!format || !cstr)
        return tpl_undef();
    struct tm now;
    time_t t = time(NULL);
    if (r->now)
        now = *r->now;
    else if (!localtime_r(&t, &now))
        return ag_tpl_fail(r, "the time is not known");
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    size_t n = format->n ? strftime_l(text, sizeof text, cstr->p, &now, c) : 0;
    freelocale(c);
    if (n == 0 && format->n)
        return ag_tpl_fail(r, "strftime_now: the result is too long or empty");
    return tpl_string(ag_tpl_str(r, text, n, format->taint != TPL_CLEAN));
}

bool ag_tpl_find_global(ag_span name, tpl_value *out) {
    static const tpl_func functions[] = {
        {"namespace", make_namespace}, {"raise_exception", raise_exception},
        {"range", make_range},         {"strftime_now", strftime_now},
        {"dict", make_dict},           {"cycler", make_cycler},
        {"joiner", make_joiner},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (ag_span_is(name, functions[i].name)) {
            *out = (tpl_value){.kind = TPL_FUNC, .func = &functions[i]};
            return true;
        }
    return false;
}
